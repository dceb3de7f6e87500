//! `ferry`: the client of a Ferry server, for a person at a prompt and for scripts. Its engine also drives the load
//! generator of the tests: there is one client of the protocol.

mod address;
mod cli;
mod config;
pub mod engine;
mod exit_code;
mod failure;
mod limits;
mod mirror;
mod prompt;
mod session;
mod terminal;
mod transfer;
mod tree;

use crate::cli::Cli;
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, describe};
use crate::prompt::words::Word;
use crate::prompt::{batch, places, repl};
use crate::session::Session;
use crate::session::connect::Target;
use crate::terminal::screen;
use crate::terminal::signals::{AtRest, Signals};
use clap::Parser as _;
use ferry_common::limits::CONTROL_PORT;
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;

/// The whole program.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::explain(&error),
    };
    if let Some(document) = cli.document() {
        let written = io::stdout().write_all(&document);
        return if written.is_ok() { ExitCode::Success.into() } else { ExitCode::Local.into() };
    }
    let is_prompt = cli.commands.is_empty() && io::stdin().is_terminal();
    let at_rest = if is_prompt { AtRest::Ignore } else { AtRest::Exit };
    let signals = match Signals::install(at_rest) {
        Ok(signals) => signals,
        Err(error) => {
            screen::message(&format!("Cannot take charge of signals: {}", describe(&error)));
            return ExitCode::Local.into();
        }
    };
    let result = run(&cli, is_prompt, &signals);
    if let Some(signal) = signals.ending() {
        // Everything is tidied up; now end as the sender of the signal expects. It cannot fail for these.
        let _ = emulate_default_handler(signal);
    }
    match result {
        Ok(()) => ExitCode::Success.into(),
        Err(failure) => {
            screen::failure(&failure);
            failure.exit_code().into()
        }
    }
}

fn run(cli: &Cli, is_prompt: bool, signals: &Arc<Signals>) -> Result<(), Failure> {
    signals.limit_time(cli.time_limit());
    let interrupts = signals.interrupts();
    let mut context = cli.context();
    let address = cli.address(&Config::load()?)?;
    let target = Target::new(&address.host, address.port.unwrap_or(CONTROL_PORT));
    let mut session = {
        let _running = interrupts.begin();
        Session::connect(target, &interrupts)?
    };
    if let Some(folder) = &address.folder {
        let _running = interrupts.begin();
        places::go(&mut session, &mut context, Some(&Word::literal(folder)))?;
    }
    if is_prompt {
        screen::message(&format!("Connected to {}; help lists the commands", session.target()));
        return repl::run(session, context);
    }
    let result = if cli.commands.is_empty() {
        batch::run_lines(&mut session, &mut context, &mut io::stdin().lock())
    } else {
        batch::run_commands(&mut session, &mut context, &cli.commands)
    };
    session.close();
    result
}
