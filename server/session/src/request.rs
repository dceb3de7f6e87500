//! What a client asks of the work, whatever its dialect.

use crate::action::{Beginning, Change, Length, Query, Way};
use crate::entry_format::EntryFormat;
use ferry_common::limits::TRAILER_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Conditions;
use ferry_common::wire::file_time::FileTime;

/// What the log calls a listing.
pub(crate) const LIST_NAME: &str = "ls";

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    List {
        path: RemotePath,
        format: EntryFormat,
        /// Over the control connection where there is none.
        via: Option<Via>,
    },
    /// Have a data connection come about ahead of the request that uses it, and in place of any other.
    Offer {
        way: Way,
    },
    /// Give up the data connection that was asked for ahead, if there is one.
    DropOffer,
    /// Of all sessions of the server.
    Survey {
        format: EntryFormat,
    },
    Query(Query<RemotePath>),
    Change(Change<RemotePath>),
    Download {
        path: RemotePath,
        spec: DownloadSpec,
    },
    Upload {
        path: RemotePath,
        spec: UploadSpec,
    },
}

/// Which data connection something goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The one that the session keeps from transfer to transfer; where there is none, it is asked for by a ticket.
    Kept,
    /// The one that was asked for ahead, by [`Request::Offer`], for this alone.
    Ahead,
}

/// Which part of a file is wanted, and what beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadSpec {
    pub offset: u64,
    /// The digest of the whole file is wanted with the final answer.
    pub digest: bool,
    /// The client takes the end of the data connection for that of the file.
    pub until_close: bool,
    pub via: Via,
}

/// What is known of an upload before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadSpec {
    /// Of the whole file.
    pub size: Length,
    /// The client need not wait to be told that its payload is wanted: that may be on its way already.
    pub is_eager: bool,
    /// The digest of the whole file follows the payload.
    pub has_trailer: bool,
    /// Only where the name is free.
    pub new: bool,
    /// Of what has the name, and of the way to it.
    pub conditions: Conditions,
    /// The modification time that the file shall have.
    pub mtime: Option<FileTime>,
    /// Whether the file shall be executable.
    pub executable: Option<bool>,
    pub beginning: Beginning,
    pub via: Via,
    /// What the client says will come, where its end is that of the data connection: all of it is, or none.
    pub declared_bytes: Option<u64>,
    /// The file gets its name only while the client is there.
    pub needs_client: bool,
}

impl UploadSpec {
    /// Payload that may be on its way before it is wanted, with the trailer.
    pub(crate) fn eager_bytes(&self) -> u64 {
        let trailer_bytes = if self.has_trailer { TRAILER_BYTES as u64 } else { 0 };
        match self.size {
            Length::Exact(bytes) if self.is_eager => bytes + trailer_bytes,
            Length::Exact(_) | Length::UntilClose => 0,
        }
    }
}

impl Request {
    /// What the log calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::List { .. } => LIST_NAME,
            Self::Offer { .. } => "offer",
            Self::DropOffer => "drop-offer",
            Self::Survey { .. } => "who",
            Self::Query(query) => query.name(),
            Self::Change(change) => change.name(),
            Self::Download { .. } => "download",
            Self::Upload { .. } => "upload",
        }
    }
}
