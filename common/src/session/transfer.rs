//! One transfer of a session.

use crate::action::{Direction, Publication};
use crate::command::UploadOptions;
use crate::digest::Digest;
use crate::path::RemotePath;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) path: RemotePath,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// How much is to be moved from there on.
    pub(super) length: u64,
    pub(super) moved: u64,
    /// Of an upload: what has come of the payload, whether it is written yet or not.
    pub(super) arrived: u64,
    pub(super) started: Instant,
    pub(super) kind: TransferKind,
}

#[derive(Debug)]
pub(super) enum TransferKind {
    Download { mtime_s: i64, digest: bool },
    Upload { options: UploadOptions, trailer: Trailer },
}

/// The digest behind the bytes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailer {
    None,
    Awaited,
    Come(Digest),
}

impl Transfer {
    pub(super) fn direction(&self) -> Direction {
        match self.kind {
            TransferKind::Download { .. } => Direction::Download,
            TransferKind::Upload { .. } => Direction::Upload,
        }
    }

    /// Every byte has moved, and the trailer has come where there is one.
    pub(super) fn is_moved(&self) -> bool {
        let awaited = matches!(self.kind, TransferKind::Upload { trailer: Trailer::Awaited, .. });
        self.moved >= self.length && !awaited
    }

    /// What has come is on its way to the disk.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.arrived > self.moved
    }

    /// Size of the whole file.
    pub(super) fn size(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// How an upload is to be published; `None` for a download.
    pub(super) fn publication(&self, id: u64) -> Option<Publication> {
        let TransferKind::Upload { options, trailer } = &self.kind else { return None };
        let expected = match trailer {
            Trailer::None | Trailer::Awaited => None,
            Trailer::Come(digest) => Some(*digest),
        };
        Some(Publication {
            id,
            path: self.path.clone(),
            expected,
            mtime_s: options.mtime_s,
            new: options.new,
            alone: !options.is_eager(self.size()),
        })
    }
}
