//! `ferryd`: hosts a folder to very many clients from one reactor thread. The program is [`run`]; tests also know its limits.

mod admission;
mod asker;
mod banner;
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
mod served_folder;
mod store;

use admission::descriptors::{self, DescriptorPlan};
use banner::{Banner, Reach, Rights};
use clap::Parser;
use config::Config;
use ferry_common::wire::{printable, words};
use log::LevelFilter;
use logging::LogWriter;
use net::acceptor::Acceptor;
use reactor::Reactor;
use rustix::io::Errno;
use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
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
    if let Some(document) = config.document() {
        return match io::stdout().write_all(&document) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let log_writer = match logging::start(config.log_level, config.log_file.as_deref()) {
        Ok(writer) => writer,
        Err(error) => {
            let file = shown(&config.log_file.unwrap_or_default());
            eprintln!("ferryd: cannot write the log {file}: {error}; choose another with --log-file");
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
    let rights = Rights { read_only: config.read_only, no_overwrite: config.no_overwrite };
    let directory = served_folder::choose(config.directory.as_deref(), rights.sentence())?;
    let folder = open_folder(config, &directory)?;
    let plan = DescriptorPlan::new(descriptors::raise_limit(), config.max_sessions)
        .map_err(|error| error.to_string())?;
    let acceptor = Acceptor::bind(config).map_err(|error| error.to_string())?;
    let (control_port, data_port, ftp_port) = (acceptor.control_port, acceptor.data_port, acceptor.ftp_port);
    let is_log_at_terminal = log_writer.is_terminal();
    let mut reactor = Reactor::new(folder, acceptor, plan, config, log_writer)
        .map_err(|error| format!("cannot start: {error}"))?;
    if io::stderr().is_terminal() && config.log_level >= LevelFilter::Info {
        let banner = Banner {
            directory: &shown(&directory.canonicalize().unwrap_or_else(|_| directory.clone())),
            free_bytes: free_bytes(&directory),
            reach: &Reach::of(&config.listen),
            control_port,
            data_port,
            ftp_port,
            rights,
        };
        // Where standard error is gone, the banner has no reader.
        let _ = io::stderr().write_all(banner.text().as_bytes());
    }
    if !is_log_at_terminal {
        log::info!("Serving: {}", shown(&directory));
        log::info!("Server Port: {control_port}");
        log::info!("File Transfer Port: {data_port}");
        if let Some(ftp_port) = ftp_port {
            log::info!("FTP Port: {ftp_port}");
        }
        log::info!("Room for {} sessions and {} data connections", plan.sessions, plan.data_slots);
        log::info!("The server is ready to receive");
    }
    reactor.run().map_err(|error| format!("cannot go on: {error}"))?;
    let log_writer = reactor.finish();
    log::info!("Stopped");
    log_writer.finish();
    Ok(())
}

/// A path of this machine as a terminal may be given it.
fn shown(path: &Path) -> String {
    words::escape_text(path.as_os_str().as_bytes())
}

/// What the users of a file system may still write to it.
fn free_bytes(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn open_folder(config: &Config, directory: &Path) -> Result<Folder, String> {
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
        format!("cannot serve {}: ferryd cannot do without {call} ({errno}): {reason}", shown(directory))
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
        let shown = shown(directory);
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
    format!("cannot serve {}: {reason}", shown(directory))
}
