//! What the work tells the client. Each dialect has its own text for it; the work has none.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::ticket::Ticket;

/// See the module's documentation. All but the first five end the request.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// What was asked for takes longer.
    Working,
    /// A part of a listing, in the [format](crate::dialect::EntryFormat) that came with the action.
    Entries(Vec<u8>),
    /// A data connection to this port is taken for the session's if it presents this ticket.
    Offered {
        port: u16,
        ticket: &'a Ticket,
    },
    /// So many bytes follow on the data connection.
    Sending {
        length: u64,
        mtime_s: i64,
    },
    /// The file is wanted from this offset on.
    Receiving {
        offset: u64,
    },
    /// The listing is whole.
    Listed {
        entries: u64,
    },
    Entry(&'a Entry),
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
    /// What was asked for is done.
    Done,
    /// A transfer is done; the digest is that of the whole file.
    Moved {
        length: u64,
        digest: Option<Digest>,
    },
    Refused {
        code: ErrorCode,
        subject: Subject<'a>,
    },
    /// The session ends.
    Ending {
        code: ErrorCode,
        reason: &'a str,
    },
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Path(&'a RemotePath),
    Rename { from: &'a RemotePath, to: &'a RemotePath },
}
