//! Carries out one command of the prompt. Knows what each is made of; the prompt, the command line and
//! piped input all come here.

use crate::failure::Failure;
use crate::mirror;
use crate::prompt::input::{self, PromptCommand};
use crate::prompt::listing;
use crate::prompt::names;
use crate::prompt::status;
use crate::session::Session;
use crate::terminal::screen::Results;
use crate::transfer::TransferOptions;
use crate::transfer::digests;
use crate::transfer::download;
use crate::transfer::upload;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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
            download_any(session, options, remote, local.as_deref())?;
        }
        PromptCommand::Upload { local, remote } if local.is_dir() => {
            let options = mirror::Options { transfer: *options, jobs: 4, dry_run: false };
            let to = remote.parent().unwrap_or_else(RemotePath::root);
            mirror::send(session, &options, std::slice::from_ref(local), &to)?;
        }
        PromptCommand::Upload { local, remote } => upload::run(session, options, local, remote)?,
        PromptCommand::Sum { path } => digests::show(session, path)?,
        PromptCommand::Mkdir { path } => names::make_directory(session, path)?,
        PromptCommand::Rm { path } => names::remove(session, path)?,
        PromptCommand::Mv { from, to, replace } => names::rename(session, from, to, *replace)?,
        PromptCommand::Df { path } => status::show_room(session, path)?,
        PromptCommand::Who => status::show_sessions(session)?,
        PromptCommand::Help => {
            let mut results = Results::new();
            results.line(&input::help())?;
            results.finish()?;
        }
        PromptCommand::Exit => return Ok(Next::Exit),
    }
    Ok(Next::Continue)
}

/// A folder comes as a whole.
fn download_any(
    session: &mut Session,
    options: &TransferOptions,
    remote: &RemotePath,
    local: Option<&Path>,
) -> Result<(), Failure> {
    let to = local.unwrap_or(Path::new("."));
    if remote.is_root() || remote.file_name().is_some_and(|name| to.join(OsStr::from_bytes(name)).is_dir()) {
        let options = mirror::Options { transfer: *options, jobs: 4, dry_run: false };
        return mirror::fetch(session, &options, std::slice::from_ref(remote), to);
    }
    match download::run(session, options, remote, local) {
        Err(Failure::Refused { code: Some(ErrorCode::IsDirectory), .. }) => {
            let options = mirror::Options { transfer: *options, jobs: 4, dry_run: false };
            mirror::fetch(session, &options, std::slice::from_ref(remote), to)
        }
        result => result,
    }
}
