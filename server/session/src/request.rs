//! What a client asks of the work, whatever its dialect.

use crate::action::{Change, Length, Query};
use crate::entry_format::EntryFormat;
use ferry_common::limits::TRAILER_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Resume;
use ferry_common::wire::file_time::FileTime;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    List {
        path: RemotePath,
        format: EntryFormat,
    },
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

/// Which part of a file is wanted, and what beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadSpec {
    pub offset: u64,
    /// The digest of the whole file is wanted with the final answer.
    pub digest: bool,
    /// The client takes the end of the data connection for that of the file.
    pub until_close: bool,
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
    /// The modification time that the file shall have.
    pub mtime: Option<FileTime>,
    /// Whether the file shall be executable.
    pub executable: Option<bool>,
    /// Go on behind what is kept.
    pub resume: Option<Resume>,
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
            Self::List { .. } => "ls",
            Self::Survey { .. } => "who",
            Self::Query(query) => query.name(),
            Self::Change(change) => change.name(),
            Self::Download { .. } => "download",
            Self::Upload { .. } => "upload",
        }
    }
}
