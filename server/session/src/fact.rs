//! What the shell tells a session. Each can be logged, counted and replayed; one that comes too late, when it no longer
//! matters to what the session is doing, changes nothing.

use crate::action::{End, Found, ListingPart, Opened, SurveyPart};
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use std::net::SocketAddr;

/// See the module's documentation.
#[derive(Debug, Clone)]
pub enum Fact<'a> {
    /// Bytes came over the control connection.
    Input(&'a [u8]),
    /// The client will send no further command. Those that it sent are still answered; a line without its ending is not
    /// one of them.
    EndOfInput,
    /// The client has sent its last byte while it [awaits](crate::Session::awaits_work) something. It may be gone, which
    /// shows when it is told something: the host of a client that has gone answers with a reset.
    EndInSight,
    /// This session has its turn again, and may look at so many more lines.
    Turn { lines: usize },
    /// The control connection took so many bytes of the replies.
    RepliesWritten(usize),

    /// Of [`Action::List`](crate::action::Action::List).
    Listed(Result<ListingPart, ErrorCode>),
    /// Of [`Action::Query`](crate::action::Action::Query).
    Found(Result<Found, ErrorCode>),
    /// Of [`Action::Change`](crate::action::Action::Change).
    Changed(Result<(), ErrorCode>),
    /// Of [`Action::Open`](crate::action::Action::Open).
    Opened(Result<Opened, ErrorCode>),
    /// Of [`Action::Stage`](crate::action::Action::Stage); `Ok` has the offset from which on bytes are wanted.
    Staged(Result<u64, ErrorCode>),
    /// Of [`Action::RequestData`](crate::action::Action::RequestData) by [`Way::Ticket`](crate::action::Way::Ticket).
    Ticket(Ticket),
    /// Of [`Action::RequestData`](crate::action::Action::RequestData) by [`Way::Passive`](crate::action::Way::Passive): where
    /// the client is to connect to.
    Listening(SocketAddr),
    /// Of [`Action::RequestData`](crate::action::Action::RequestData) by [`Way::Active`](crate::action::Way::Active): there is
    /// room, and the attempt has begun.
    Connecting,
    /// No data connection has come about in the way that was wanted, and none will.
    Unreachable,
    /// Of [`Action::Survey`](crate::action::Action::Survey).
    Surveyed(SurveyPart),
    /// Of [`Action::Check`](crate::action::Action::Check): the digest, or why the file is not what it was.
    Checked(Result<Option<Digest>, ErrorCode>),
    /// Of [`Action::Publish`](crate::action::Action::Publish).
    Published { id: u64, result: Result<Digest, ErrorCode> },
    /// A step of a long piece of work on the disk was done.
    DiskProgress,
    /// The file of the command could not be had for want of room for it.
    NoRoom,

    /// A data connection presented the ticket, came to the open port, or was made.
    DataAttached,
    /// The data connection ended, by the peer or by the network. All that it brought was told before.
    DataEnded(End),
    /// Payload of an upload was read, and is to be written: for the time being it is not the peer that is waited for.
    Arrived { bytes: u64 },
    /// Payload moved: to the socket of a download, into the staged file of an upload, or away.
    Moved { bytes: u64 },
    /// The digest behind an upload was read, or `None` where it cannot be understood.
    Trailer(Option<Digest>),
    /// The file of a download shrank or could not be read.
    SendFailed(ErrorCode),
    /// The staged file could not be written; `unread_bytes` of the upload, its trailer included, are still to come from the
    /// peer.
    ReceiveFailed { code: ErrorCode, unread_bytes: u64 },

    /// Another session asks what is kept of the upload that this one receives. If nothing has come of it for
    /// [`GIVE_WAY_SILENCE`](ferry_common::limits::GIVE_WAY_SILENCE), it is broken off, so that what has come is kept. The
    /// only fact after which no command is taken: that waits until the reply is written.
    SoughtElsewhere,
    /// Another address waits for what this session has for its command, and has less of it: the command ends.
    GiveWay,
    /// There is not enough of something for all sessions, and this one is to go without: it ends.
    CrowdedOut(Scarcity),
    /// The server is about to stop: the running command is the last that is done. The client is told.
    Shutdown,
    /// [`Session::deadline`](crate::Session::deadline) has come; does nothing before.
    Timeout,
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarcity {
    /// Memory for input that is not worked on yet.
    Memory,
    Sessions,
}

impl Scarcity {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Memory => "the server holds too many lines without their end",
            Self::Sessions => "the server has no more room, and others have fewer sessions",
        }
    }
}
