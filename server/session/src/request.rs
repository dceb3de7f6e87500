//! What a client asks of the work, whatever its dialect.

use crate::action::Question;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{UploadOptions, Verb};

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    List { path: RemotePath },
    Ask(Question),
    Download { path: RemotePath, offset: u64, digest: bool },
    Upload { path: RemotePath, size: u64, options: UploadOptions },
}

impl Request {
    /// What the log calls it.
    pub(crate) fn verb(&self) -> Verb {
        match self {
            Self::List { .. } => Verb::Ls,
            Self::Ask(question) => question.verb(),
            Self::Download { .. } => Verb::Download,
            Self::Upload { .. } => Verb::Upload,
        }
    }
}
