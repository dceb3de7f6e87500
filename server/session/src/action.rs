//! What a session asks of its shell, and what the answers to that hold.

use crate::access::{Access, Cleared, Need};
use crate::consent::Consent;
use crate::entry_format::EntryFormat;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Conditions, Resume};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::session_entry::SessionTotals;
use std::time::Duration;

/// Work for the shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Append these lines to the control connection's output; report each write by
    /// [`crate::fact::Fact::RepliesWritten`].
    Reply(Vec<u8>),
    /// Read and write part of a listing; report by
    /// [`crate::fact::Fact::Listed`].
    List(ListQuery),
    /// Find something out; report by [`crate::fact::Fact::Found`].
    Query(Query),
    /// Change something in the folder, and bring that to the disk; report by [`crate::fact::Fact::Changed`].
    Change(Change),
    /// Open a file and keep it for [`Action::Send`]; report by [`crate::fact::Fact::Opened`].
    Open { path: Cleared },
    /// Make a staged file for `path`, or take up the one that is kept, for [`Action::Receive`]; report by
    /// [`crate::fact::Fact::Staged`].
    Stage { path: Cleared, size: Length, new: bool, conditions: Conditions, beginning: Beginning },
    /// Find room for a data connection, and have it come about; report by [`crate::fact::Fact::Ticket`],
    /// [`crate::fact::Fact::Listening`] or [`crate::fact::Fact::Connecting`], as the way is, or by
    /// [`crate::fact::Fact::Unreachable`].
    RequestData(Way),
    /// The ticket, the port or the attempt to connect, or the wish for one, is void.
    CancelData,
    /// Move this much of the open file to the data connection; begin to compute the digest of the whole
    /// file where one is wanted.
    Send { offset: u64, length: u64, digest: bool },
    /// All was sent: see whether the file is still what it was, and finish its digest; report by
    /// [`crate::fact::Fact::Checked`].
    Check { digest: bool },
    /// Move this much from the data connection to the staged file; then read the digest that follows, where
    /// one does, and report it by [`crate::fact::Fact::Trailer`].
    Receive { offset: u64, length: Length, trailer: bool },
    /// Send part of a listing over the data connection; report by [`crate::fact::Fact::Moved`].
    SendText(Vec<u8>),
    /// Read this much from the data connection and drop it.
    Drop { length: u64 },
    /// Give the staged file its name, and let go of it; report by
    /// [`crate::fact::Fact::Published`].
    Publish(Publication),
    /// Let go of the open or staged file.
    Discard,
    /// Let go of the staged file, but keep it for the client to go on with.
    Keep,
    /// Close the data connection, so that its peer sees this end behind what was sent.
    CloseData(End),
    /// Write what is owed, then close the session.
    Close,
    /// Close the session at once: its peer does not read.
    Abort,
    /// Look at some of the sessions of the server; report by [`crate::fact::Fact::Surveyed`].
    Survey(SurveyQuery),
    /// Something that an operator may want to know.
    Log(Event),
}

/// What one answer of a disk thread settles, and changes nothing. A client asks about a path, the work about a
/// [`Cleared`] one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query<P = Cleared> {
    Stat {
        path: P,
    },
    /// The digest of a file, or of its first `length` bytes.
    Sum {
        path: P,
        length: Option<u64>,
    },
    /// What is kept of an upload to this path.
    Partial {
        path: P,
    },
    /// How much room there is where this path leads.
    Df {
        path: P,
    },
}

/// A change of names, or of what a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<P = Cleared> {
    /// Only the first `follow` names of the path may be links that are followed.
    Mkdir {
        path: P,
        follow: Option<u32>,
    },
    Rm {
        path: P,
        what: Removable,
        conditions: Conditions,
    },
    Mv {
        from: P,
        to: P,
        replace: bool,
    },
    /// Set the modification time of what is there.
    Mtime {
        path: P,
        mtime: FileTime,
    },
    /// Make a file executable, or not.
    Chmod {
        path: P,
        executable: bool,
    },
}

/// What may be removed. Some protocols have a command for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removable {
    File,
    Directory,
    Any,
}

impl<P> Query<P> {
    /// What the log calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stat { .. } => "stat",
            Self::Sum { .. } => "sum",
            Self::Partial { .. } => "partial",
            Self::Df { .. } => "df",
        }
    }

    pub(crate) fn path(&self) -> &P {
        match self {
            Self::Stat { path } | Self::Sum { path, .. } | Self::Partial { path } | Self::Df { path } => path,
        }
    }
}

impl<P> Change<P> {
    /// What the log calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mkdir { .. } => "mkdir",
            Self::Rm { .. } => "rm",
            Self::Mv { .. } => "mv",
            Self::Mtime { .. } => "mtime",
            Self::Chmod { .. } => "chmod",
        }
    }

    /// The path that its answer is about.
    pub(crate) fn path(&self) -> &P {
        match self {
            Self::Mkdir { path, .. }
            | Self::Rm { path, .. }
            | Self::Mv { from: path, .. }
            | Self::Mtime { path, .. }
            | Self::Chmod { path, .. } => path,
        }
    }
}

impl Query<RemotePath> {
    /// The query, where the account may make it.
    pub(crate) fn cleared(&self, access: &Access) -> Result<Query, ErrorCode> {
        Ok(match self {
            Self::Stat { path } => Query::Stat { path: access.clear(Need::List, path)? },
            Self::Sum { path, length } => {
                Query::Sum { path: access.clear(Need::Read, path)?, length: *length }
            }
            Self::Partial { path } => Query::Partial { path: access.clear(Need::Read, path)? },
            Self::Df { path } => Query::Df { path: access.clear(Need::List, path)? },
        })
    }
}

impl Change<RemotePath> {
    /// The change, where the account may make it.
    pub(crate) fn cleared(&self, access: &Access) -> Result<Change, ErrorCode> {
        Ok(match self {
            Self::Mkdir { path, follow } => {
                Change::Mkdir { path: access.clear(Need::Create, path)?, follow: *follow }
            }
            Self::Rm { path, what, conditions } => {
                Change::Rm { path: access.clear(Need::Remove, path)?, what: *what, conditions: *conditions }
            }
            Self::Mv { from, to, replace } => Change::Mv {
                from: access.clear(Need::Rename, from)?,
                to: access.clear(Need::Create, to)?,
                replace: *replace && access.allows(Need::Replace),
            },
            Self::Mtime { path, mtime } => {
                Change::Mtime { path: access.clear(Need::Touch, path)?, mtime: *mtime }
            }
            Self::Chmod { path, executable } => {
                Change::Chmod { path: access.clear(Need::Touch, path)?, executable: *executable }
            }
        })
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Entry(Entry),
    /// To `sum` and `partial`: how many bytes were looked at, and their digest.
    Digest {
        length: u64,
        digest: Digest,
    },
    /// To `df`: what uploads may take, and all that there is.
    Space {
        free_bytes: u64,
        total_bytes: u64,
    },
}

/// How a staged file is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Tells the publications of one session apart.
    pub id: u64,
    pub path: Cleared,
    /// What the client says that the whole file's digest is.
    pub expected: Option<Digest>,
    pub mtime: Option<FileTime>,
    /// `None` where it is as executable as the file that it replaces, or not at all where it replaces none.
    pub executable: Option<bool>,
    /// Only where the name is free.
    pub new: bool,
    /// Of what has the name, and of the way to it.
    pub conditions: Conditions,
    /// The upload is on its own: no other of the session is under way, and the file may be large.
    pub alone: bool,
    /// Where there is one, the file gets its name only while that holds; else it is kept as [`Action::Keep`] has it, and
    /// [`ErrorCode::BrokenOff`] reported.
    pub consent: Option<Consent>,
}

/// What happened, for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Received {
        command: &'static str,
    },
    /// A line that is no request.
    NotUnderstood {
        code: ErrorCode,
    },
    Refused {
        command: &'static str,
        code: ErrorCode,
        path: RemotePath,
    },
    Changed(Change),
    Finished {
        direction: Direction,
        path: RemotePath,
        offset: u64,
        length: u64,
        elapsed: Duration,
    },
    BrokenOff(Box<BrokenOff>),
}

/// A transfer that has come to no good end.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenOff {
    pub direction: Direction,
    pub path: RemotePath,
    /// Where in the file it began.
    pub offset: u64,
    pub moved: u64,
    /// How much was to be moved from the offset on.
    pub length: Length,
    pub elapsed: Duration,
    pub code: ErrorCode,
}

/// Which way a transfer goes, as the client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Download,
    Upload,
}

/// How much there is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Exact(u64),
    /// Whatever comes before a [clean](End::Clean) end of the data connection.
    UntilClose,
}

/// How a data connection comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The client connects to the data port, and presents a ticket.
    Ticket,
    /// The client connects to a port that is open for this one connection.
    Passive,
    /// The server connects to this port of the address that the session comes from, and to no other address.
    Active { port: u16 },
}

/// What a staged file has before anything comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    Empty,
    /// What is kept of an upload to this path, if its beginning is what the client has.
    Kept(Resume),
    /// What is kept of an upload to this path, if that is so many bytes, in a protocol that cannot tell what the client has.
    /// Refused where the file that is to be replaced has that size too: the client may mean that.
    Unconfirmed {
        offset: u64,
    },
    /// What the file has that the upload is to replace. Refused where something is kept of an upload to this path.
    Published,
}

/// How a data connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On purpose: all that was sent before has come.
    Clean,
    /// By a reset, or by the network: something may be missing.
    Torn,
}

/// The facts of an opened file.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub size_bytes: u64,
    pub mtime: FileTime,
    pub executable: bool,
}

/// Which part of which listing is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListQuery {
    pub path: Cleared,
    /// Where it begins; at the start where there is none.
    pub cursor: Option<Cursor>,
    pub format: EntryFormat,
}

/// Which of the sessions are to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurveyQuery {
    /// The place of the first, as the shell counts.
    pub from: u64,
    /// How they are told of one by one; `None` where only their number and sums are wanted.
    pub format: Option<EntryFormat>,
}

/// What was found at some of the sessions.
#[derive(Debug, Clone)]
pub struct SurveyPart {
    /// The sessions, as the format has them.
    pub text: Vec<u8>,
    /// How many the text tells of.
    pub told: u64,
    /// Of the sessions that were looked at.
    pub totals: SessionTotals,
    /// Where to go on, or `None` at the end.
    pub next: Option<u64>,
}

/// One step of a listing.
#[derive(Debug, Clone)]
pub struct ListingPart {
    /// The entries, as the format has them.
    pub text: Vec<u8>,
    /// How many they are.
    pub entries: u64,
    /// Names that the format cannot tell.
    pub left_out: u64,
    /// Where to go on, or `None` at the end.
    pub next: Option<Cursor>,
}

/// Where a listing goes on, and in which directory. The session carries it from one part to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub directory: DirectoryIdentity,
    /// As the directory counts.
    pub position: u64,
}

/// Tells a directory from every other that comes to have its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryIdentity {
    pub device: u64,
    pub inode: u64,
    /// Seconds and nanoseconds, where the file system knows: it may give the inode of a directory that was removed
    /// to the next one.
    pub made: Option<(i64, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, ShowWho};

    #[test]
    fn a_file_is_not_replaced_by_a_rename_where_none_may_be_replaced() {
        let path = RemotePath::root;
        let asked = Change::Mv { from: path(), to: path(), replace: true };
        let access = |read_only, no_overwrite| {
            Access::everybody(&Policy { data_port: 3333, read_only, no_overwrite, show_who: ShowWho::None })
        };
        for (access, expected) in [(access(false, false), true), (access(false, true), false)] {
            let cleared = asked.cleared(&access).unwrap();
            assert!(matches!(cleared, Change::Mv { replace, .. } if replace == expected));
        }
        assert_eq!(asked.cleared(&access(true, false)), Err(ErrorCode::ReadOnly));
    }
}
