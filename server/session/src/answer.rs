//! What the work tells the client. Each dialect has its own text for it; the work has none.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::session_entry::SessionTotals;
use ferry_common::wire::ticket::Ticket;
use std::net::SocketAddr;

/// See the module's documentation. All but the first nine end the request.
#[derive(Debug)]
pub enum Answer {
    /// What the dialect has said by itself, at its place between the others.
    Said(Vec<u8>),
    /// What was asked for takes longer.
    Working,
    /// A part of a listing, or of the sessions of the server, in the [format](crate::entry_format::EntryFormat) that was asked for.
    Entries(Vec<u8>),
    /// A data connection is taken for the session's if it presents this ticket.
    Offered(Ticket),
    /// A data connection to this address is taken for the session's, if it comes from the client's own.
    Listening(SocketAddr),
    /// A listing follows on the data connection.
    SendingListing,
    /// So many bytes follow on the data connection.
    Sending {
        length: u64,
        mtime: FileTime,
        executable: bool,
    },
    /// The file is wanted from this offset on.
    Receiving {
        offset: u64,
    },
    /// So much of the file that is received has come.
    Received {
        bytes: u64,
    },
    /// The listing is whole.
    Listed {
        entries: u64,
        /// Names that cannot be told in this dialect.
        left_out: u64,
    },
    Entry(Entry),
    /// So many bytes of the file have this digest.
    Sum {
        length: u64,
        digest: Digest,
    },
    /// So much of an upload is kept, and has this digest.
    Partial {
        length: u64,
        digest: Digest,
    },
    /// What uploads may take of a file system, and all that it has.
    Space {
        free_bytes: u64,
        total_bytes: u64,
    },
    /// All sessions of the server were looked at, and so many were told of one by one.
    Surveyed {
        sessions: u64,
        totals: SessionTotals,
    },
    /// What was asked for is done.
    Done,
    /// A transfer is done; the digest is that of the whole file.
    Moved {
        length: u64,
        digest: Option<Digest>,
    },
    Refused {
        code: ErrorCode,
        subject: Subject,
    },
    /// The session ends.
    Ending {
        code: ErrorCode,
        reason: &'static str,
    },
}

/// What a refusal is about.
#[derive(Debug)]
pub enum Subject {
    Path(RemotePath),
    Rename {
        from: RemotePath,
        to: RemotePath,
    },
    /// The sessions of the server.
    Sessions,
    /// A data connection that was asked for ahead.
    DataConnection,
}
