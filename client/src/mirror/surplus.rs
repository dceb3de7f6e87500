//! What only the receiving end of a tree has, and what becomes of it: counted, asked about, and removed. Only beneath the
//! folder that is made alike, and never through a link.
//!
//! Both ends are looked at anew for that, after everything was moved. What the sending end has stays at the receiving end,
//! whatever it is there. What is excluded stays at both, as do pipes, sockets and devices, what transfers keep for
//! themselves, and every folder that one of these is in.

mod found;
mod look;
mod names;
mod removal;

use crate::failure::{Failure, show_path};
use crate::limits::{SURPLUS_FOLDER_SHOWN_COLUMNS, SURPLUS_SORTED_MAX_BYTES};
use crate::mirror::board::Board;
use crate::mirror::complaints::Complaints;
use crate::mirror::plan::beneath;
use crate::mirror::pool::Pool;
use crate::mirror::report::{removal, would};
use crate::mirror::summary::Direction;
use crate::mirror::surplus::found::{Counts, Found, Stage};
use crate::mirror::surplus::look::Look;
use crate::mirror::surplus::removal::Removal;
use crate::mirror::{Answer, Asker, Options, spool_failed};
use crate::terminal::layout::shortened;
use crate::terminal::screen::{self, Results};
use crate::tree::folder::Folder;
use ferry_common::path::RemotePath;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The two folders of which one is made like the other.
pub(crate) struct Ends {
    direction: Direction,
    /// On the server.
    base: RemotePath,
    /// On this host, and what the user calls it.
    folder: Folder,
    local: PathBuf,
    /// Something was removed.
    have_changed: bool,
}

impl Ends {
    pub(crate) fn open(direction: Direction, base: RemotePath, local: &Path) -> Result<Self, Failure> {
        let folder =
            Folder::open(local).map_err(|error| Failure::Local(format!("{}: {error}", show_path(local))))?;
        Ok(Self { direction, base, folder, local: local.to_owned(), have_changed: false })
    }

    /// True where something was removed.
    pub(crate) fn have_changed(&self) -> bool {
        self.have_changed
    }

    /// Where in a path of the server the part begins that both ends have.
    fn common_at(&self) -> usize {
        if self.base.is_root() { 0 } else { self.base.as_bytes().len() + 1 }
    }

    /// What the server calls something; `None` where that is too long for it.
    fn there(&self, path: &RemotePath) -> Option<RemotePath> {
        beneath(&self.base, path)
    }

    fn here(&self, path: &RemotePath) -> PathBuf {
        if path.is_root() { self.local.clone() } else { self.local.join(OsStr::from_bytes(path.as_bytes())) }
    }

    /// What the receiving end calls something.
    fn received(&self, path: &RemotePath) -> Vec<u8> {
        match self.direction {
            Direction::Up => self.there(path).unwrap_or_else(|| path.clone()).as_bytes().to_vec(),
            Direction::Down => self.here(path).as_os_str().as_bytes().to_vec(),
        }
    }

    fn receiving(&self) -> &'static str {
        match self.direction {
            Direction::Up => "on the server",
            Direction::Down => "here",
        }
    }

    /// What would be removed from, as a question names it: more than a single folder of many is told as that.
    fn removed_from(&self) -> String {
        let named = match self.direction {
            Direction::Up if self.base.is_root() => return "the whole shared folder".to_owned(),
            Direction::Up => self.base.to_string(),
            Direction::Down => {
                let local = self.local.canonicalize().ok();
                let home = etcetera::home_dir().ok().and_then(|home| home.canonicalize().ok());
                if local.as_deref() == Some(Path::new("/")) {
                    return "the root folder of this computer".to_owned();
                }
                if local.is_some() && local == home {
                    return "your home folder".to_owned();
                }
                show_path(&self.local)
            }
        };
        shortened(&named, SURPLUS_FOLDER_SHOWN_COLUMNS)
    }
}

/// Removes it, after a question where the options ask for one. A dry run tells what would be removed.
pub(crate) fn remove(
    options: &Options,
    ends: &mut Ends,
    pool: &mut Pool,
    asker: &mut Asker<'_>,
) -> Result<(), Failure> {
    let mut board = Board::new();
    let Some(found) = look_and_ask(options, ends, pool, &mut board, asker)? else {
        return Ok(());
    };
    if options.dry_run {
        return tell_plan(options, ends, found);
    }
    if found.counts == Counts::default() {
        let is_bare = found.complaints().is_empty();
        let text = if is_bare { "There is nothing to remove" } else { "Nothing was removed" };
        return tell_removed(options, text, found.counts, true, found.complaints());
    }
    let mut removal = Removal::new(ends, found, pool.members(), &mut board);
    let result = pool.run(&mut removal);
    let at_least = if removal.is_unanswered() { "At least " } else { "" };
    let (removed, complaints) = (removal.removed, removal.into_complaints());
    board.clear();
    ends.have_changed = removed != Counts::default();
    let rest = if result.is_ok() { "" } else { "; not complete: the same command goes on from here" };
    let text = format!("{at_least}{} removed{}{rest}", removed.names(), removed.sizes());
    let told = tell_removed(options, &text, removed, result.is_ok(), &complaints);
    result.and(told)
}

/// What may be removed; `None` where the answer was no. A question may stand for long: what was answered with yes is looked
/// at anew, and asked about again where it is not the same any more.
fn look_and_ask(
    options: &Options,
    ends: &mut Ends,
    pool: &mut Pool,
    board: &mut Board,
    asker: &mut Asker<'_>,
) -> Result<Option<Found>, Failure> {
    let mut answered = None;
    loop {
        let mut look = Look::new(options, pool.interrupts(), ends, board)?;
        let looked = pool.run(&mut look);
        let mut found = look.found;
        board.clear();
        looked.and_then(|()| found.settle().map_err(spool_failed)).inspect_err(|_| tell_nothing())?;
        let is_settled = !options.ask || options.dry_run || found.counts == Counts::default();
        if is_settled || answered == Some(found.fingerprint()) {
            return Ok(Some(found));
        }
        let again = if answered.is_some() { "That has changed meanwhile. " } else { "" };
        let question = found.question(ends.receiving(), &ends.removed_from());
        if !matches!(asker(&format!("{again}{question}"))?, Answer::Yes | Answer::All) {
            tell_nothing();
            return Ok(None);
        }
        answered = Some(found.fingerprint());
    }
}

/// What was removed, for a person or for a program.
fn tell_removed(
    options: &Options,
    text: &str,
    removed: Counts,
    is_complete: bool,
    complaints: &Complaints,
) -> Result<(), Failure> {
    screen::message(text);
    complaints.lines_of_done("removed").iter().for_each(|line| screen::message(line));
    if options.json {
        let mut results = Results::new();
        results.line(&removal(removed.all(), is_complete, complaints))?;
        results.finish()?;
    }
    complaints.result()
}

fn tell_nothing() {
    screen::message("Nothing was removed");
}

/// By name, as far as there is room to sort that.
fn tell_plan(options: &Options, ends: &Ends, mut found: Found) -> Result<(), Failure> {
    let mut results = Results::new();
    let mut sorted = BTreeSet::new();
    let (mut stage, mut kept_bytes) = (Some(Stage::FIRST), 0);
    while let Some(current) = stage {
        match found.pop(current).map_err(spool_failed)? {
            Some(surplus) => {
                kept_bytes += surplus.path.as_bytes().len();
                sorted.insert(surplus.path.as_bytes().to_vec());
            }
            None => stage = current.next(),
        }
        if stage.is_none() || kept_bytes > SURPLUS_SORTED_MAX_BYTES {
            for path in std::mem::take(&mut sorted) {
                let path = RemotePath::parse(&path).unwrap_or_else(|_| RemotePath::root());
                results.line(&would(options.json, "remove", &ends.received(&path)))?;
            }
            kept_bytes = 0;
        }
    }
    results.finish()?;
    screen::message(&format!(
        "{} to remove{}; nothing was removed (-n)",
        found.counts.names(),
        found.counts.sizes()
    ));
    let complaints = found.complaints();
    complaints.lines("would not be removed").iter().for_each(|line| screen::message(line));
    complaints.result()
}
