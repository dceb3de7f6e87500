//! The texts of listings, those of each dialect that has listings.

pub(crate) mod date;
pub mod facts;

use date::Date;
use facts::{FactSet, is_searchable_or_executable};
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::reply::Reply;
use ferry_common::wire::session_entry::SessionEntry;

/// How long ago a file may have changed for its listing to tell the time of day, and not the year.
const RECENT_SECONDS: i64 = 180 * 24 * 60 * 60;

/// How the entries of a listing are written. It goes with [`Action::List`](crate::action::Action::List), so that a disk
/// thread writes them, once for all sessions that ask for the same: the reactor would do that for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryFormat {
    Ferry,
    /// FTP's `LIST`, as `ls -l` of Unix has it: all clients know that.
    Unix,
    /// FTP's `NLST`.
    Names,
    /// FTP's `MLSD`.
    Facts(FactSet),
}

impl EntryFormat {
    /// Appends an entry of a listing. False where the format has no way to tell its name: then nothing is appended.
    pub fn write(self, entry: &Entry, now: FileTime, text: &mut Vec<u8>) -> bool {
        match self {
            Self::Ferry => {
                text.extend_from_slice(&Reply::entry("ls", entry));
                true
            }
            Self::Unix => write_named_line(entry, &unix_columns(entry, now), text),
            Self::Names => write_named_line(entry, "", text),
            Self::Facts(set) => write_named_line(entry, &format!("{} ", set.of(entry)), text),
        }
    }

    /// True where a file that was named itself can be listed as if it were alone in a directory.
    pub fn lists_files(self) -> bool {
        match self {
            Self::Ferry | Self::Unix | Self::Names => true,
            Self::Facts(_) => false,
        }
    }

    /// Appends one of the sessions of the server. Only Ferry's own protocol tells of them.
    pub fn write_session(self, entry: &SessionEntry, text: &mut Vec<u8>) {
        match self {
            Self::Ferry => text.extend_from_slice(&Reply::session(entry)),
            Self::Unix | Self::Names | Self::Facts(_) => {}
        }
    }
}

/// A line of FTP, with the name at its end, where that cannot be taken for the end of a line.
fn write_named_line(entry: &Entry, before: &str, text: &mut Vec<u8>) -> bool {
    let is_tellable = !entry.name.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    if is_tellable {
        text.extend_from_slice(before.as_bytes());
        text.extend_from_slice(&entry.name);
        text.extend_from_slice(b"\r\n");
    }
    is_tellable
}

/// All but the name, with the one space before that.
fn unix_columns(entry: &Entry, now: FileTime) -> String {
    let kind = match entry.kind {
        EntryKind::File => '-',
        EntryKind::Dir => 'd',
    };
    let mode = if is_searchable_or_executable(entry) { "rwxr-xr-x" } else { "rw-r--r--" };
    let date = Date::of(entry.mtime);
    let (mtime, now) = (entry.mtime.seconds(), now.seconds());
    let is_recent = mtime <= now && mtime >= now.saturating_sub(RECENT_SECONDS);
    let (month, day) = (date.month_name(), date.day);
    let when =
        if is_recent { format!("{:02}:{:02}", date.hour, date.minute) } else { format!("{:>5}", date.year) };
    format!("{kind}{mode}   1 owner group {:>12} {month} {day:>2} {when} ", entry.size_bytes)
}
