//! What a session asks of its shell, and what the shell tells it.

use crate::command::Verb;
use crate::error::ErrorCode;
use crate::path::RemotePath;
use std::time::Duration;

/// Work for the shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Append these lines to the control connection's output; report each write by
    /// [`crate::session::Session::handle_replies_written`].
    Reply(Vec<u8>),
    /// Encode part of a listing, from the cursor on; report by [`crate::session::Session::handle_listing`].
    List { path: RemotePath, cursor: u64 },
    /// Report by [`crate::session::Session::handle_stat`].
    Stat { path: RemotePath },
    /// Open a file and keep it for [`Action::Send`]; report by [`crate::session::Session::handle_opened`].
    Open { path: RemotePath },
    /// Make a staged file for `path` and keep it for [`Action::Receive`]; report by
    /// [`crate::session::Session::handle_staged`].
    Stage { path: RemotePath, size: u64 },
    /// Find room for a data connection, make a ticket, and report it by [`crate::session::Session::handle_ticket`].
    RequestData,
    /// The ticket, or the wish for one, is void.
    CancelData,
    /// Move this much of the open file to the data connection.
    Send { offset: u64, length: u64 },
    /// Move this much from the data connection to the staged file.
    Receive { length: u64 },
    /// Read this much from the data connection and drop it.
    Drop { length: u64 },
    /// Give the staged file its name; report by [`crate::session::Session::handle_published`].
    Publish,
    /// Let go of the open or staged file.
    Discard,
    /// Close the data connection.
    CloseData,
    /// Write what is owed, then close the session.
    Close,
    /// Close the session at once: its peer does not read.
    Abort,
    /// Something that an operator may want to know.
    Log(Event),
}

/// What happened, for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Received { verb: Verb },
    Refused { verb: Option<Verb>, code: ErrorCode, path: Option<RemotePath> },
    Finished { direction: Direction, path: RemotePath, length: u64, elapsed: Duration },
    BrokenOff { direction: Direction, path: RemotePath, moved: u64, length: u64, code: ErrorCode },
}

/// Which way a transfer goes, as the client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Download,
    Upload,
}

/// The facts of an opened file.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub size_bytes: u64,
    pub mtime_s: i64,
}

/// One step of a listing.
#[derive(Debug, Clone)]
pub struct ListingPart {
    /// Encoded `(ls)` lines.
    pub lines: Vec<u8>,
    /// How many they are.
    pub entries: u64,
    /// Where to go on, or `None` at the end.
    pub next: Option<u64>,
}
