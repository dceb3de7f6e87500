//! `ferryd`: hosts a folder to very many clients from one reactor thread. The program is [`run`]; tests also know its limits.

mod admission;
mod asker;
mod config;
mod connection;
mod disk;
mod figures;
mod files;
pub mod limits;
mod logging;
mod net;
mod peer_log;
mod reactor;
mod rendezvous;
mod seat;
mod store;

use admission::descriptors::{self, DescriptorPlan};
use clap::Parser;
use config::Config;
use ferry_common::wire::{printable, words};
use logging::LogWriter;
use net::acceptor::Acceptor;
use reactor::Reactor;
use rustix::io::Errno;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use store::folder::Folder;
use store::staging::{Retention, StagingError};

/// Serves as the flags of this process say, until a signal ends that.
pub fn run() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => return explain(&error),
    };
    let log_writer = match logging::start(config.log_level, config.log_file.as_deref()) {
        Ok(writer) => writer,
        Err(error) => {
            let file = config.log_file.unwrap_or_default();
            eprintln!(
                "ferryd: cannot write the log {}: {error}; choose another with --log-file",
                file.display()
            );
            return ExitCode::FAILURE;
        }
    };
    match serve(&config, log_writer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ferryd: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the help that was asked for, or what is wrong with the arguments. Those are repeated in it, and may hold
/// characters that a terminal would obey.
fn explain(error: &clap::Error) -> ExitCode {
    let is_plain = |argument: OsString| argument.to_str().is_some_and(printable::are_lines);
    if env::args_os().all(is_plain) {
        // Where standard error is gone, it cannot be told.
        let _ = error.print();
    } else {
        error.to_string().lines().for_each(|line| eprintln!("{}", words::escape_text(line.as_bytes())));
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Everything from the flags to the end of serving; an error is one line that says what to do.
fn serve(config: &Config, log_writer: LogWriter) -> Result<(), String> {
    let folder = open_folder(config)?;
    let plan = DescriptorPlan::new(descriptors::raise_limit(), config.max_sessions)
        .map_err(|error| error.to_string())?;
    let acceptor = Acceptor::bind(config).map_err(|error| error.to_string())?;
    let (control_port, data_port) = (acceptor.control_port, acceptor.data_port);
    let mut reactor = Reactor::new(folder, acceptor, plan, config, log_writer)
        .map_err(|error| format!("cannot start: {error}"))?;
    log::info!("Serving: {}", config.directory.display());
    log::info!("Server Port: {control_port}");
    log::info!("File Transfer Port: {data_port}");
    log::info!("Room for {} sessions and {} data connections", plan.sessions, plan.data_slots);
    log::info!("The server is ready to receive");
    reactor.run().map_err(|error| format!("cannot go on: {error}"))?;
    let log_writer = reactor.finish();
    log::info!("Stopped");
    log_writer.finish();
    Ok(())
}

fn open_folder(config: &Config) -> Result<Folder, String> {
    let directory = &config.directory;
    let retention = Retention { age_s: config.partial_age, bytes: config.partial_bytes };
    let folder = Folder::open(directory, config.durability, retention)
        .map_err(|errno| folder_advice(directory, errno))?;
    folder.try_calls().map_err(|(call, errno)| {
        let reason = match errno {
            Errno::NOSYS => "the kernel does not have it, or its container hides it; ferryd needs Linux 5.12 or later",
            Errno::PERM | Errno::ACCESS => {
                "it is denied, most likely by the seccomp profile of a container; run it with a newer profile, or one \
                 that allows this call"
            }
            _ => "the file system of the folder may lack it; serve another folder",
        };
        format!("cannot serve {}: ferryd cannot do without {call} ({errno}): {reason}", directory.display())
    })?;
    if config.read_only {
        return Ok(folder);
    }
    folder.with_staging(config.keep_free).map_err(|error| {
        let advice = match error {
            StagingError::Call(Errno::ACCESS | Errno::PERM) => "; make the folder writable",
            StagingError::Call(_)
            | StagingError::LockedTwice
            | StagingError::NoLocks(_)
            | StagingError::Occupied(_)
            | StagingError::OfAnotherUser { .. } => "",
        };
        let shown = directory.display();
        format!("cannot prepare uploads in {shown}: {error}{advice}, or serve it with --read-only")
    })
}

fn folder_advice(directory: &Path, errno: Errno) -> String {
    let reason = match errno {
        Errno::NOENT => "there is no such folder; create it or name another".to_owned(),
        Errno::NOTDIR => "it is not a folder; name the folder that holds it".to_owned(),
        Errno::ACCESS => "it is not readable; change its permissions or name another".to_owned(),
        other => other.to_string(),
    };
    format!("cannot serve {}: {reason}", directory.display())
}
