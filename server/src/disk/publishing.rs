//! Uploads on their way to their names, as the threads that publish them hand them on.

use crate::asker::Asker;
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_session::action::Publication;
use std::sync::Arc;

/// One upload to be published.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) upload: Upload,
    pub(super) publication: Publication,
}

#[derive(Debug)]
pub(super) enum Upload {
    /// In a file, whose data may be on the disk already.
    Staged { staged: Arc<StagedFile>, is_flushed: bool },
    /// Still in memory.
    Small { content: Vec<u8> },
}

impl Upload {
    /// Memory that is set aside for it.
    pub(super) fn small_bytes(&self) -> u64 {
        match self {
            Self::Staged { .. } => 0,
            Self::Small { content } => content.len() as u64,
        }
    }
}

/// The directory that an upload goes to, and how it is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    parent: RemotePath,
    follow: Option<u32>,
}

impl Place {
    /// `None` for the served folder itself.
    pub(super) fn of(publication: &Publication) -> Option<Self> {
        let parent = publication.path.parent()?;
        Some(Self { parent, follow: publication.conditions.follow })
    }
}

/// An upload that is in a file and prepared for its name, and what has come of it so far.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) asker: Asker,
    pub(super) staged: Arc<StagedFile>,
    pub(super) publication: Publication,
    pub(super) place: Place,
    pub(super) is_flushed: bool,
    pub(super) small_bytes: u64,
    pub(super) result: Result<(), ErrorCode>,
}
