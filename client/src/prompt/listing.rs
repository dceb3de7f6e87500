//! `ls` and `stat`: what the server tells of its files, in lines that are safe on any terminal and can be
//! typed back at the prompt. Holds a bounded part of a listing, however long it is.

use crate::failure::Failure;
use crate::limits::{SORTED_LISTING_MAX_BYTES, SORTED_LISTING_MAX_ENTRIES};
use crate::session::Session;
use crate::session::link::Handler;
use crate::terminal::screen::Results;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::words;
use indicatif::HumanBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Lists a directory; `long` adds kind, size and time.
pub(crate) fn list(session: &mut Session, path: &RemotePath, long: bool) -> Result<(), Failure> {
    let mut listing =
        Listing { long, held: Vec::new(), held_bytes: 0, streaming: false, results: Results::new() };
    session.exchange(Command::Ls { path: path.clone() }, &mut listing)?;
    listing.held.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listing.show_held()?;
    listing.results.finish()
}

/// Tells about one file or directory.
pub(crate) fn stat(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    let mut facts = Facts(None);
    session.exchange(Command::Stat { path: path.clone() }, &mut facts)?;
    let Some(entry) = facts.0 else {
        return Err(Failure::ConnectionLost("The server told nothing about it".to_owned()));
    };
    let mut results = Results::new();
    results.line(&format!("Name: {}", shown_name(&entry)))?;
    results.line(&format!("Kind: {}", kind_in_words(entry.kind)))?;
    match entry.kind {
        EntryKind::File => {
            let human = HumanBytes(entry.size_bytes);
            results.line(&format!("Size: {} bytes ({human})", entry.size_bytes))?;
        }
        EntryKind::Dir => {}
    }
    results.line(&format!("Modified: {}", local_time(entry.mtime)))?;
    results.finish()
}

struct Listing {
    long: bool,
    /// Entries that are not shown yet, since they may still be sorted.
    held: Vec<Entry>,
    held_bytes: usize,
    /// Too long to be sorted: entries are shown as they come.
    streaming: bool,
    results: Results,
}

/// The last entry that came; an honest server sends one.
struct Facts(Option<Entry>);

impl Handler for Listing {
    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.streaming {
            return self.results.line(&shown(&entry, self.long));
        }
        self.held_bytes += entry.name.len();
        self.held.push(entry);
        if self.held.len() > SORTED_LISTING_MAX_ENTRIES || self.held_bytes > SORTED_LISTING_MAX_BYTES {
            self.streaming = true;
            self.show_held()?;
        }
        Ok(())
    }
}

impl Handler for Facts {
    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        self.0 = Some(entry);
        Ok(())
    }
}

impl Listing {
    fn show_held(&mut self) -> Result<(), Failure> {
        for entry in std::mem::take(&mut self.held) {
            self.results.line(&shown(&entry, self.long))?;
        }
        Ok(())
    }
}

fn shown(entry: &Entry, long: bool) -> String {
    let name = shown_name(entry);
    if !long {
        return name;
    }
    let size = match entry.kind {
        EntryKind::File => entry.size_bytes.to_string(),
        EntryKind::Dir => "-".to_owned(),
    };
    format!("{:<4} {size:>15}  {:<16}  {name}", entry.kind.word(), local_time(entry.mtime))
}

/// The slash goes inside the quotes, so that the word can be typed back.
fn shown_name(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::File => words::display(&entry.name),
        EntryKind::Dir => words::display(&[entry.name.as_slice(), b"/"].concat()),
    }
}

fn kind_in_words(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Dir => "directory",
    }
}

/// In the time zone of this host. Times beyond the calendar stay seconds.
fn local_time(mtime: FileTime) -> String {
    match Timestamp::from_second(mtime.seconds()) {
        Ok(timestamp) => timestamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => format!("@{}", mtime.seconds()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind, name: &[u8]) -> Entry {
        Entry {
            kind,
            size_bytes: 3552,
            mtime: FileTime::from_seconds(1_764_000_000),
            executable: false,
            name: name.to_vec(),
        }
    }

    #[test]
    fn names_are_shown_so_that_they_can_be_typed_back() {
        assert_eq!(shown_name(&entry(EntryKind::File, b"a.txt")), "a.txt");
        assert_eq!(shown_name(&entry(EntryKind::Dir, b"photos")), "photos/");
        assert_eq!(shown_name(&entry(EntryKind::Dir, b"my photos")), "\"my photos/\"");
        assert_eq!(shown_name(&entry(EntryKind::File, b"\x1b]0;x\x07")), "\"\\x1b]0;x\\x07\"");
    }

    #[test]
    fn a_long_line_has_kind_size_time_and_name() {
        let line = shown(&entry(EntryKind::File, b"a b"), true);
        assert!(line.starts_with("file            3552  2025-11-2"), "{line}");
        assert!(line.ends_with("  \"a b\""), "{line}");
        assert_eq!(local_time(FileTime::from_seconds(i64::MAX)), format!("@{}", i64::MAX));
    }
}
