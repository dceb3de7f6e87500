//! `mkdir`, `rm` and `mv`: names on the server that appear, vanish and change.

use crate::failure::Failure;
use crate::mirror::removing;
use crate::prompt::context::{Asker, Context};
use crate::prompt::listing::order::By;
use crate::prompt::listing::sheet::Totals;
use crate::prompt::place::{Place, names_folder};
use crate::prompt::remote::{self, change};
use crate::prompt::walk::walk;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::terminal::layout::size;
use crate::terminal::screen;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::EntryKind;

/// Makes a directory; where `parents` is set, also those that it is in, and none of it need be missing.
pub(crate) fn make_directory(session: &mut Session, path: &RemotePath, parents: bool) -> Result<(), Failure> {
    if parents {
        make_with_parents(session, path)?;
    } else {
        change(session, Command::mkdir(path.clone()), path)?;
    }
    screen::message(&format!("Made the directory {path}"));
    Ok(())
}

/// Makes a directory with those that it is in; none of them need be missing.
pub(crate) fn make_with_parents(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    // From the whole path up to the first that can be made, and down again.
    let mut missing = vec![path.clone()];
    while let Some(path) = missing.last().cloned() {
        match change(session, Command::mkdir(path.clone()), &path) {
            Ok(()) => {}
            Err(failure) => match code(&failure) {
                Some(ErrorCode::Exists) if is_folder(session, &path)? => {}
                Some(ErrorCode::NoParent | ErrorCode::NotFound) => match path.parent() {
                    Some(parent) if !parent.is_root() => {
                        missing.push(parent);
                        continue;
                    }
                    Some(_) | None => return Err(failure),
                },
                Some(_) | None => return Err(failure),
            },
        }
        missing.pop();
    }
    Ok(())
}

/// Removes a file or an empty directory.
pub(crate) fn remove(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    change(session, Command::rm(path.clone()), path)?;
    screen::message(&format!("Removed {path}"));
    Ok(())
}

/// Counts what is in a folder, asks, and removes all of it; where `force` is set, without asking.
pub(crate) fn remove_tree(
    session: &mut Session,
    context: &Context,
    path: &RemotePath,
    force: bool,
    asker: &mut dyn Asker,
) -> Result<(), Failure> {
    if path.is_root() {
        return Err(Failure::Usage("The shared folder itself cannot be removed".to_owned()));
    }
    let entry = remote::stat(session, path)?;
    if entry.kind == EntryKind::Dir && !force {
        let mut totals = Totals::default();
        walk(session, path, By::Bytes, usize::MAX, &mut |visit| {
            totals.count(visit.entry);
            Ok(())
        })?;
        let is_empty = totals == Totals::default();
        if !is_empty
            && !asks(
                asker,
                &format!("Remove {path} with {}, {}? [y/N] ", totals.counts(), size(totals.bytes)),
            )?
        {
            return Ok(());
        }
    }
    let removed = removing::run(session, context.transfer.retry_for, path)?;
    screen::message(&format!(
        "Removed {path}{}",
        if removed > 1 { format!(" and {} in it", removed - 1) } else { String::new() }
    ));
    Ok(())
}

fn asks(asker: &mut dyn Asker, question: &str) -> Result<bool, Failure> {
    match asker.ask(question)? {
        Some(answer) => Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")),
        None => Err(Failure::Usage(format!(
            "{}there is nobody to ask; rm -rf does it",
            question.replace("[y/N]", "-")
        ))),
    }
}

/// Renames; where `replace` is set, over an existing file. A folder as the target is one to move into.
pub(crate) fn rename(
    session: &mut Session,
    place: &Place,
    from: &Word,
    to: &Word,
    replace: bool,
) -> Result<(), Failure> {
    let from = place.resolve(from.bytes())?;
    let target = place.resolve(to.bytes())?;
    let within = from.file_name().and_then(|name| target.join(name).ok());
    let to = match &within {
        Some(within) if names_folder(to.bytes()) => within.clone(),
        Some(_) | None => target.clone(),
    };
    let command = |to: &RemotePath| Command::Mv { from: from.clone(), to: to.clone(), replace };
    let to = match change(session, command(&to), &to) {
        Ok(()) => to,
        Err(failure) => match within.filter(|within| is_taken(&failure) && *within != to) {
            Some(within) if is_folder(session, &target)? => {
                change(session, command(&within), &within)?;
                within
            }
            Some(_) | None => return Err(failure),
        },
    };
    screen::message(&format!("Moved {from} to {to}"));
    Ok(())
}

fn is_taken(failure: &Failure) -> bool {
    matches!(code(failure), Some(ErrorCode::Exists | ErrorCode::IsDirectory | ErrorCode::NotEmpty))
}

/// What the server refused by.
fn code(failure: &Failure) -> Option<ErrorCode> {
    if let Failure::Refused { code, .. } = failure { *code } else { None }
}

fn is_folder(session: &mut Session, path: &RemotePath) -> Result<bool, Failure> {
    match remote::stat(session, path) {
        Ok(entry) => Ok(entry.kind == EntryKind::Dir),
        Err(Failure::Refused { .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}
