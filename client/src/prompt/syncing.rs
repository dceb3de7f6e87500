//! `sync`: a folder gets what another one holds, content into content. Which of the two is here and which is on the server
//! shows by where the first one is.

use crate::failure::{Failure, show_path};
use crate::mirror::download::Item;
use crate::mirror::summary::Direction;
use crate::mirror::surplus::Ends;
use crate::mirror::{self};
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::moving::{answer, mirror_options};
use crate::prompt::names;
use crate::prompt::remote;
use crate::prompt::table::Flag;
use crate::session::Session;
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::fs;
use std::path::Path;

/// Where the folder is that is made alike.
enum Way {
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
    if command.has(Flag::Up) && command.has(Flag::Down) {
        return Err(Failure::Usage("sync goes one way: --up or --down, and not both".to_owned()));
    }
    let (local_from, remote_from) = (context.local.resolve(from)?, context.place.resolve(from.bytes())?);
    let options = mirror_options(context, command, asker)?;
    let is_deleting = command.has(Flag::Delete);
    if is_deleting && !options.dry_run && !command.has(Flag::Force) && !asker.is_person() {
        return Err(Failure::Usage(
            "sync --delete asks before it removes anything, and there is no person to ask; with -f it does not ask, and with -n it only tells what it would do"
                .to_owned(),
        ));
    }
    let way = direction(session, command, &local_from, &remote_from)?;
    let mut asks = |question: &str| answer(asker, question);
    match way {
        Way::Up => {
            let to = context.place.resolve(to.bytes())?;
            if !options.dry_run && !to.is_root() {
                names::make_with_parents(session, &to)?;
            }
            let mut ends =
                is_deleting.then(|| Ends::open(Direction::Up, to.clone(), &local_from)).transpose()?;
            mirror::send_content(session, &options, &local_from, &to, ends.as_mut(), &mut asks)
        }
        Way::Down(entry) => {
            let to = context.local.resolve(to)?;
            if !options.dry_run {
                fs::create_dir_all(&to).map_err(|error| Failure::local("make the folder", &to, &error))?;
            }
            let mut ends =
                is_deleting.then(|| Ends::open(Direction::Down, remote_from.clone(), &to)).transpose()?;
            let item = Item { path: remote_from, entry, content_only: true };
            mirror::download::run(session, &options, &[item], &to, ends.as_mut(), &mut asks)
        }
    }
}

fn direction(
    session: &mut Session,
    command: &PromptCommand,
    local: &Path,
    remote: &RemotePath,
) -> Result<Way, Failure> {
    let is_here = local.is_dir();
    let found = match remote::stat(session, remote) {
        Ok(entry) => Some(entry),
        Err(Failure::Refused { .. }) => None,
        Err(failure) => return Err(failure),
    };
    let is_file_there = found.as_ref().is_some_and(|entry| entry.kind != EntryKind::Dir);
    let there = found.filter(|entry| entry.kind == EntryKind::Dir);
    let is_file_here = !is_here && local.exists();
    let shown = show_path(local);
    let no_folder = |text: String| Err(Failure::Local(text));
    match (is_here, there) {
        (true, _) if command.has(Flag::Up) => Ok(Way::Up),
        (_, Some(entry)) if command.has(Flag::Down) => Ok(Way::Down(entry)),
        (true, None) if !command.has(Flag::Down) => Ok(Way::Up),
        (false, Some(entry)) if !command.has(Flag::Up) => Ok(Way::Down(entry)),
        (true, Some(_)) => Err(Failure::Usage(format!(
            "{shown} is a folder here and on the server; sync --up sends it, sync --down fetches it"
        ))),
        (_, None) if is_file_there && !command.has(Flag::Up) => {
            no_folder(format!("{remote} is a file on the server, not a folder"))
        }
        (false, _) if is_file_here && !command.has(Flag::Down) => {
            no_folder(format!("{shown} is a file, not a folder"))
        }
        (true, None) => no_folder(format!("There is no folder {remote} on the server")),
        (false, Some(_)) => no_folder(format!("There is no folder {shown} here")),
        (false, None) => no_folder(format!("There is no folder {shown}, neither here nor on the server")),
    }
}
