//! `ls` and `stat`: what the server tells of its files, in lines that are safe on any terminal and can be
//! typed back at the prompt. Holds a bounded part of a listing, however long it is.

mod json;
pub(crate) mod order;
pub(crate) mod sheet;

use crate::failure::Failure;
use crate::limits::{SORTED_LISTING_MAX_BYTES, SORTED_LISTING_MAX_ENTRIES};
use crate::prompt::commands::each;
use crate::prompt::context::Context;
use crate::prompt::input::PromptCommand;
use crate::prompt::listing::order::By;
use crate::prompt::listing::sheet::{Look, Screen, Sizes, Totals};
use crate::prompt::pattern::{Found, expand_remote};
use crate::prompt::place::Place;
use crate::prompt::remote;
use crate::prompt::table::Flag;
use crate::session::Session;
use crate::terminal::layout::size;
use crate::terminal::screen::{self, Results};
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::words;
use jiff::Zoned;
use jiff::tz::TimeZone;

/// Lists folders and files: the files together, then each folder of several under its name.
pub(crate) fn run(session: &mut Session, context: &Context, command: &PromptCommand) -> Result<(), Failure> {
    let look = look(context, command);
    let order = order(&look, command);
    let mut paths = Vec::new();
    for name in &command.names {
        paths.extend(expand_remote(session, &context.place, name)?);
    }
    match &paths[..] {
        [] => list(session, context.place.here(), Listing::new(&look, order)),
        [Found { path, entry: None }] => list(session, path, Listing::new(&look, order)),
        [_, ..] => list_several(session, &context.place, paths, &look, order),
    }
}

/// Tells about files or directories.
pub(crate) fn stat(session: &mut Session, path: &RemotePath, json: bool) -> Result<(), Failure> {
    let entry = remote::stat(session, path)?;
    let mut results = Results::new();
    if json {
        results.line(&json::line(&entry, None))?;
        return results.finish();
    }
    results.line(&format!("Name: {}", sheet::shown_name(&entry)))?;
    results.line(&format!("Kind: {}", kind_in_words(entry.kind)))?;
    match entry.kind {
        EntryKind::File => {
            results.line(&format!("Size: {} bytes ({})", entry.size_bytes, size(entry.size_bytes)))?;
        }
        EntryKind::Dir => {}
    }
    results.line(&format!("Modified: {}", sheet::local_time(entry.mtime, &TimeZone::system())))?;
    results.finish()
}

fn list(session: &mut Session, path: &RemotePath, mut listing: Listing<'_>) -> Result<(), Failure> {
    remote::list(session, path, &mut |entry| listing.take(entry))?;
    listing.finish()
}

fn list_several(
    session: &mut Session,
    place: &Place,
    paths: Vec<Found>,
    look: &Look,
    order: Order,
) -> Result<(), Failure> {
    let (mut files, mut folders) = (Listing::new(look, order), Vec::new());
    let mut has_files = false;
    let sorted = each(
        &paths,
        |found| found.path.to_string(),
        |found| {
            let entry = match &found.entry {
                Some(entry) => entry.clone(),
                None => remote::stat(session, &found.path)?,
            };
            match entry.kind {
                EntryKind::Dir => folders.push(found.path.clone()),
                EntryKind::File => {
                    has_files = true;
                    // It was asked for, so it is not left out.
                    files.hold(Entry { name: place.relative(&found.path), ..entry })?;
                }
            }
            Ok(())
        },
    );
    if has_files {
        files.finish()?;
    }
    let mut is_first = !has_files;
    let listed = each(&folders, ToString::to_string, |path| {
        let mut listing = Listing::new(look, order);
        listing.folder = Some(place.relative(path));
        if !look.json {
            if !std::mem::take(&mut is_first) {
                listing.results.line("")?;
            }
            listing.results.line(&format!("{}:", words::display(&place.relative(path))))?;
        }
        list(session, path, listing)
    });
    match (sorted, listed) {
        (Err(failure), Err(other)) => {
            screen::failure(&failure);
            Err(other)
        }
        (sorted, listed) => sorted.and(listed),
    }
}

/// What a listing is sorted by, and whether it is turned round.
#[derive(Clone, Copy)]
struct Order {
    by: By,
    is_reversed: bool,
}

fn look(context: &Context, command: &PromptCommand) -> Look {
    // A program has no screen.
    let screen = screen::size().filter(|_| !context.json).map(|(columns, rows)| Screen {
        columns,
        rows,
        today: Zoned::now().date(),
    });
    let are_rounded = command.has(Flag::Human) || screen.is_some() && !command.has(Flag::Exact);
    Look {
        long: command.has(Flag::Long),
        one_a_line: command.has(Flag::OneALine),
        json: context.json,
        all: command.has(Flag::All),
        sizes: if are_rounded { Sizes::Rounded } else { Sizes::Bytes },
        palette: context.palette,
        screen,
        zone: TimeZone::system(),
    }
}

fn order(look: &Look, command: &PromptCommand) -> Order {
    let by = if command.has(Flag::ByTime) {
        By::Time
    } else if command.has(Flag::BySize) {
        By::Size
    } else if look.screen.is_some() {
        By::Name
    } else {
        By::Bytes
    };
    Order { by, is_reversed: command.has(Flag::Reverse) }
}

struct Listing<'a> {
    look: &'a Look,
    order: Order,
    /// The folder, where there are several.
    folder: Option<Vec<u8>>,
    /// Entries that are not shown yet, since they may still be sorted.
    held: Vec<Entry>,
    held_bytes: usize,
    totals: Totals,
    /// Too long to be sorted: entries are shown as they come.
    streaming: bool,
    results: Results,
}

impl<'a> Listing<'a> {
    fn new(look: &'a Look, order: Order) -> Self {
        let (held, totals, results) = (Vec::new(), Totals::default(), Results::new());
        Self { look, order, folder: None, held, held_bytes: 0, totals, streaming: false, results }
    }

    fn take(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.look.hides(&entry) {
            self.totals.hidden += 1;
            return Ok(());
        }
        self.hold(entry)
    }

    fn hold(&mut self, entry: Entry) -> Result<(), Failure> {
        self.totals.count(&entry);
        if self.streaming {
            return self.results.line(&self.line(&entry));
        }
        self.held_bytes += entry.name.len();
        self.held.push(entry);
        if self.held.len() > SORTED_LISTING_MAX_ENTRIES || self.held_bytes > SORTED_LISTING_MAX_BYTES {
            self.streaming = true;
            for entry in std::mem::take(&mut self.held) {
                self.results.line(&self.line(&entry))?;
            }
        }
        Ok(())
    }

    /// An entry by itself.
    fn line(&self, entry: &Entry) -> String {
        if self.look.json { json::line(entry, self.folder.as_deref()) } else { self.look.line(entry) }
    }

    fn finish(mut self) -> Result<(), Failure> {
        if self.streaming {
            if let Some(screen) = &self.look.screen {
                self.results.line(&self.look.palette.aside(&self.totals.summary(screen.columns)))?;
            }
        } else {
            order::sort(&mut self.held, self.order.by, self.order.is_reversed);
            let lines = if self.look.json {
                self.held.iter().map(|entry| self.line(entry)).collect()
            } else {
                self.look.lines(&self.held, &self.totals)
            };
            for line in lines {
                self.results.line(&line)?;
            }
        }
        self.results.finish()
    }
}

fn kind_in_words(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Dir => "directory",
    }
}
