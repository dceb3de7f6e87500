//! One transfer of a session.

use crate::Running;
use crate::access::Cleared;
use crate::action::{BrokenOff, Direction, Event, Length, Publication};
use crate::request::{DownloadSpec, UploadSpec};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) path: Cleared,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    pub(crate) moved: u64,
    /// Of an upload: what has come of the payload, whether it is written yet or not.
    pub(crate) arrived: u64,
    pub(crate) started: Instant,
    pub(crate) kind: TransferKind,
}

#[derive(Debug)]
pub(crate) enum TransferKind {
    /// So much is to be sent from the offset on.
    Download { length: u64, spec: DownloadSpec, mtime: FileTime, executable: bool },
    /// So much is to come for what is behind the offset.
    Upload { length: Length, spec: UploadSpec, trailer: Trailer },
}

/// The digest behind the bytes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trailer {
    None,
    Awaited,
    Come(Digest),
}

impl Transfer {
    pub(crate) fn new(path: Cleared, offset: u64, kind: TransferKind, now: Instant) -> Self {
        Self { path, offset, moved: 0, arrived: 0, started: now, kind }
    }

    pub(crate) fn direction(&self) -> Direction {
        match self.kind {
            TransferKind::Download { .. } => Direction::Download,
            TransferKind::Upload { .. } => Direction::Upload,
        }
    }

    /// How much is to be moved from the offset on.
    pub(crate) fn length(&self) -> Length {
        match self.kind {
            TransferKind::Download { length, .. } => Length::Exact(length),
            TransferKind::Upload { length, .. } => length,
        }
    }

    /// Every byte has moved, and the trailer has come where there is one.
    pub(crate) fn is_moved(&self) -> bool {
        let awaited = matches!(self.kind, TransferKind::Upload { trailer: Trailer::Awaited, .. });
        matches!(self.length(), Length::Exact(bytes) if self.moved >= bytes) && !awaited
    }

    /// What has moved of the payload, or has come of it at least.
    pub(crate) fn received(&self) -> u64 {
        self.arrived.max(self.moved)
    }

    /// What has come is on its way to the disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.arrived > self.moved
    }

    /// Size of the whole file, once all of it has moved.
    pub(crate) fn size(&self) -> u64 {
        self.offset.saturating_add(self.moved)
    }

    /// As others may see it.
    pub(crate) fn running(&self) -> Running<'_> {
        let moved_bytes = self.offset.saturating_add(self.received());
        let size_bytes = match self.length() {
            Length::Exact(length) => self.offset.saturating_add(length),
            Length::UntilClose => moved_bytes,
        };
        Running { direction: self.direction(), path: &self.path, moved_bytes, size_bytes }
    }

    /// The peer has ended the data connection on purpose. True where that ends an upload, whose length is known now.
    pub(crate) fn handle_clean_end(&mut self) -> bool {
        let received = self.received();
        match &mut self.kind {
            TransferKind::Upload { length: length @ Length::UntilClose, .. } => {
                *length = Length::Exact(received);
                true
            }
            TransferKind::Upload { .. } | TransferKind::Download { .. } => false,
        }
    }

    pub(crate) fn is_sent_until_close(&self) -> bool {
        matches!(&self.kind, TransferKind::Download { spec, .. } if spec.until_close)
    }

    /// For the log: all has moved, and what was to be done with it is done.
    pub(crate) fn finished(&self, now: Instant) -> Event {
        Event::Finished {
            direction: self.direction(),
            path: RemotePath::clone(&self.path),
            offset: self.offset,
            length: self.moved,
            elapsed: now.saturating_duration_since(self.started),
        }
    }

    /// For the log: the transfer ends, and its file is not whole at the other end or not under its name here.
    pub(crate) fn broken_off(&self, code: ErrorCode, now: Instant) -> Event {
        Event::BrokenOff(Box::new(BrokenOff {
            direction: self.direction(),
            path: RemotePath::clone(&self.path),
            offset: self.offset,
            moved: self.moved,
            length: self.length(),
            elapsed: now.saturating_duration_since(self.started),
            code,
        }))
    }

    /// How an upload is to be published; `None` for a download.
    pub(crate) fn publication(&self, id: u64) -> Option<Publication> {
        let TransferKind::Upload { spec, trailer, .. } = &self.kind else { return None };
        let expected = match trailer {
            Trailer::None | Trailer::Awaited => None,
            Trailer::Come(digest) => Some(*digest),
        };
        Some(Publication {
            id,
            path: self.path.clone(),
            expected,
            mtime: spec.mtime,
            executable: spec.executable,
            new: spec.new,
            alone: !spec.is_eager,
        })
    }
}
