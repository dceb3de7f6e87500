//! The texts of listings, one for each dialect that has listings.

use ferry_common::wire::entry::Entry;
use ferry_common::wire::reply::Reply;
use ferry_common::wire::session_entry::SessionEntry;

/// How the entries of a listing are written. It goes with [`Action::List`](crate::action::Action::List), so that a disk
/// thread writes them, once for all sessions that ask for the same: the reactor would do that for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryFormat {
    Ferry,
}

impl EntryFormat {
    /// Appends an entry of a listing.
    pub fn write(self, entry: &Entry, text: &mut Vec<u8>) {
        match self {
            Self::Ferry => text.extend_from_slice(&Reply::entry("ls", entry)),
        }
    }

    /// Appends one of the sessions of the server.
    pub fn write_session(self, entry: &SessionEntry, text: &mut Vec<u8>) {
        match self {
            Self::Ferry => text.extend_from_slice(&Reply::session(entry)),
        }
    }
}
