//! `mkdir`, `rm` and `mv`: names on the server that appear, vanish and change.

use crate::failure::Failure;
use crate::session::Session;
use crate::session::link::Ignore;
use crate::terminal::screen;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;

pub(crate) fn make_directory(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    alter(session, Command::Mkdir { path: path.clone() }, path)?;
    screen::message(&format!("Made the directory {path}"));
    Ok(())
}

/// Removes a file or an empty directory.
pub(crate) fn remove(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    alter(session, Command::Rm { path: path.clone() }, path)?;
    screen::message(&format!("Removed {path}"));
    Ok(())
}

/// Renames; where `replace` is set, over an existing file.
pub(crate) fn rename(
    session: &mut Session,
    from: &RemotePath,
    to: &RemotePath,
    replace: bool,
) -> Result<(), Failure> {
    alter(session, Command::Mv { from: from.clone(), to: to.clone(), replace }, to)?;
    screen::message(&format!("Moved {from} to {to}"));
    Ok(())
}

fn alter(session: &mut Session, command: Command, path: &RemotePath) -> Result<(), Failure> {
    match session.exchange(command, &mut Ignore) {
        Ok(_) => Ok(()),
        Err(Failure::ConnectionLost(reason)) => Err(Failure::ConnectionLost(format!(
            "{reason} before the server answered; whether it was done tells: stat {path}"
        ))),
        Err(failure) => Err(failure),
    }
}
