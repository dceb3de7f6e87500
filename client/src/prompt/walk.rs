//! Walks through a folder of the server and those beneath it, by listing one after the other. Holds a bounded number
//! of names, however many there are; and ends, though links may lead in circles.

use crate::failure::Failure;
use crate::limits::{SORTED_LISTING_MAX_ENTRIES, WALK_ENTRIES_MAX, WALK_HELD_MAX_BYTES};
use crate::prompt::listing::order::{By, sort};
use crate::prompt::remote;
use crate::session::Session;
use crate::terminal::screen;
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};

/// Something that the walk has come to.
pub(crate) struct Visit<'a> {
    pub(crate) path: RemotePath,
    pub(crate) entry: &'a Entry,
    /// How many folders it is beneath the first one.
    pub(crate) depth: usize,
    /// Nothing of its folder comes behind it.
    pub(crate) is_last: bool,
}

type Visitor<'a> = &'a mut dyn FnMut(Visit<'_>) -> Result<(), Failure>;

/// Shows everything in `folder` to `visit`, each folder before what is in it, down to this depth. A folder that
/// cannot be listed is told and passed by, and makes the walk fail at its end.
pub(crate) fn walk(
    session: &mut Session,
    folder: &RemotePath,
    by: By,
    depth_max: usize,
    visit: Visitor<'_>,
) -> Result<(), Failure> {
    let mut walk = Walk { by, frames: Vec::new(), held_bytes: 0, visited: 0 };
    walk.enter(session, folder.clone(), visit)?;
    let mut failed: Option<Failure> = None;
    while let Some(frame) = walk.frames.last_mut() {
        let Some(entry) = frame.left.pop() else {
            walk.frames.pop();
            continue;
        };
        walk.held_bytes -= held_bytes(&entry);
        let (folder, is_last, is_shown) = (frame.folder.clone(), frame.left.is_empty(), frame.are_shown);
        let Ok(path) = folder.join(&entry.name) else { continue };
        let depth = walk.frames.len() - 1;
        if !is_shown {
            walk.show(Visit { path: path.clone(), entry: &entry, depth, is_last }, visit)?;
        }
        if entry.kind == EntryKind::Dir && !entry.link && depth < depth_max {
            match walk.enter(session, path.clone(), visit) {
                Ok(()) => {}
                Err(failure) if failure.concerns_one_file() => {
                    let failure = failure.about(&path.to_string());
                    if let Some(earlier) = failed.replace(failure) {
                        screen::failure(&earlier);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

struct Walk {
    by: By,
    /// The folders that the walk is in.
    frames: Vec<Frame>,
    held_bytes: usize,
    visited: u64,
}

struct Frame {
    folder: RemotePath,
    /// What is still to come, the next one last.
    left: Vec<Entry>,
    /// Was shown already: there were too many to be kept, and only the folders of them are.
    are_shown: bool,
}

impl Walk {
    fn enter(
        &mut self,
        session: &mut Session,
        folder: RemotePath,
        visit: Visitor<'_>,
    ) -> Result<(), Failure> {
        let depth = self.frames.len();
        let (mut held, mut bytes, mut are_shown) = (Vec::new(), 0, false);
        let listed = remote::list(session, &folder, &mut |entry| {
            bytes += held_bytes(&entry);
            held.push(entry);
            let from = match are_shown {
                true => held.len() - 1,
                false if held.len() > SORTED_LISTING_MAX_ENTRIES => 0,
                false => return Ok(()),
            };
            are_shown = true;
            for entry in held.split_off(from) {
                if let Ok(path) = folder.join(&entry.name) {
                    self.show(Visit { path, entry: &entry, depth, is_last: false }, visit)?;
                }
                match entry.kind {
                    EntryKind::Dir => held.push(entry),
                    EntryKind::File => bytes -= held_bytes(&entry),
                }
            }
            self.check_held(bytes)
        });
        sort(&mut held, self.by, false);
        held.reverse();
        self.held_bytes += bytes;
        self.frames.push(Frame { folder, left: held, are_shown });
        listed.and_then(|()| self.check_held(0))
    }

    fn show(&mut self, seen: Visit<'_>, visit: Visitor<'_>) -> Result<(), Failure> {
        self.visited += 1;
        if self.visited > WALK_ENTRIES_MAX {
            return Err(Failure::Usage(format!(
                "There are more than {WALK_ENTRIES_MAX} names, or links that lead in circles; name a smaller folder"
            )));
        }
        visit(seen)
    }

    fn check_held(&self, more_bytes: usize) -> Result<(), Failure> {
        if self.held_bytes + more_bytes <= WALK_HELD_MAX_BYTES {
            return Ok(());
        }
        Err(Failure::Usage("There are too many folders to keep in mind; name a smaller one".to_owned()))
    }
}

/// What an entry takes in memory.
fn held_bytes(entry: &Entry) -> usize {
    size_of::<Entry>() + entry.name.len()
}
