//! `sync`: a folder gets what another one holds, content into content. Which of the two is here and which is on the server
//! shows by where the first one is.

use crate::failure::{Failure, show_path};
use crate::mirror::{self, download::Item};
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::moving::{mirror_options, yes};
use crate::prompt::names;
use crate::prompt::remote;
use crate::prompt::table::Flag;
use crate::session::Session;
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::fs;
use std::path::Path;

/// Where the folder is that is made alike.
enum Direction {
    Up,
    Down(Entry),
}

pub(crate) fn run(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
    asker: &mut dyn Asker,
) -> Result<(), Failure> {
    let [from, to] = &command.names[..] else { return Ok(()) };
    let (local_from, remote_from) = (context.local.resolve(from)?, context.place.resolve(from.bytes())?);
    let options = mirror_options(context, command, asker)?;
    match direction(session, command, &local_from, &remote_from)? {
        Direction::Up => {
            let to = context.place.resolve(to.bytes())?;
            if !options.dry_run && !to.is_root() {
                names::make_with_parents(session, &to)?;
            }
            mirror::send_content(session, &options, &local_from, &to, &mut |question| yes(asker, question))
        }
        Direction::Down(entry) => {
            fetch_content(session, &options, (remote_from, entry), &context.local.resolve(to)?, asker)
        }
    }
}

fn fetch_content(
    session: &mut Session,
    options: &mirror::Options,
    (path, entry): (RemotePath, Entry),
    to: &Path,
    asker: &mut dyn Asker,
) -> Result<(), Failure> {
    if !options.dry_run {
        fs::create_dir_all(to).map_err(|error| Failure::local("make the folder", to, &error))?;
    }
    let item = Item { path, entry, content_only: true };
    mirror::download::run(session, options, &[item], to, &mut |question| yes(asker, question))
}

fn direction(
    session: &mut Session,
    command: &PromptCommand,
    local: &Path,
    remote: &RemotePath,
) -> Result<Direction, Failure> {
    let is_here = local.is_dir();
    let there = match remote::stat(session, remote) {
        Ok(entry) => Some(entry).filter(|entry| entry.kind == EntryKind::Dir),
        Err(Failure::Refused { .. }) => None,
        Err(failure) => return Err(failure),
    };
    let shown = show_path(local);
    match (is_here, there) {
        (true, _) if command.has(Flag::Up) => Ok(Direction::Up),
        (_, Some(entry)) if command.has(Flag::Down) => Ok(Direction::Down(entry)),
        (true, None) if !command.has(Flag::Down) => Ok(Direction::Up),
        (false, Some(entry)) if !command.has(Flag::Up) => Ok(Direction::Down(entry)),
        (true, Some(_)) => Err(Failure::Usage(format!(
            "{shown} is a folder here and on the server; sync --up sends it, sync --down fetches it"
        ))),
        (true, None) => Err(Failure::Local(format!("There is no folder {remote} on the server"))),
        (false, Some(_)) => Err(Failure::Local(format!("There is no folder {shown} here"))),
        (false, None) => {
            Err(Failure::Local(format!("There is no folder {shown}, neither here nor on the server")))
        }
    }
}
