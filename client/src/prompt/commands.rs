//! Carries out one command of the prompt. Knows what each is made of; the prompt, the command line and
//! piped input all come here.

use crate::failure::Failure;
use crate::prompt::input::{self, PromptCommand};
use crate::prompt::listing;
use crate::prompt::names;
use crate::session::Session;
use crate::terminal::screen::Results;
use crate::transfer::TransferOptions;
use crate::transfer::digests;
use crate::transfer::download;
use crate::transfer::upload;

/// Whether further commands are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Exit,
}

/// Runs `command` to its end. A signal meanwhile makes it fail with [`Failure::Interrupted`].
pub(crate) fn run(
    session: &mut Session,
    options: &TransferOptions,
    command: &PromptCommand,
) -> Result<Next, Failure> {
    let interrupts = session.interrupts().clone();
    let _running = interrupts.begin();
    match command {
        PromptCommand::Ls { path, long } => listing::list(session, path, *long)?,
        PromptCommand::Stat { path } => listing::stat(session, path)?,
        PromptCommand::Download { remote, local } => {
            download::run(session, options, remote, local.as_deref())?;
        }
        PromptCommand::Upload { local, remote } => upload::run(session, options, local, remote)?,
        PromptCommand::Sum { path } => digests::show(session, path)?,
        PromptCommand::Mkdir { path } => names::make_directory(session, path)?,
        PromptCommand::Rm { path } => names::remove(session, path)?,
        PromptCommand::Mv { from, to, replace } => names::rename(session, from, to, *replace)?,
        PromptCommand::Help => {
            let mut results = Results::new();
            results.line(&input::help())?;
            results.finish()?;
        }
        PromptCommand::Exit => return Ok(Next::Exit),
    }
    Ok(Next::Continue)
}
