//! One transfer of a session.

use crate::Running;
use crate::access::Cleared;
use crate::action::{BrokenOff, Cursor, Direction, Event, Length, Publication};
use crate::consent::Consent;
use crate::entry_format::EntryFormat;
use crate::request::{DownloadSpec, LIST_NAME, UploadSpec, Via};
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
    /// A listing, over a data connection.
    Listing(SentListing),
}

/// See [`TransferKind::Listing`].
#[derive(Debug)]
pub(crate) struct SentListing {
    pub(crate) format: EntryFormat,
    pub(crate) via: Via,
    pub(crate) entries: u64,
    pub(crate) left_out: u64,
    /// The part that is to be sent once there is a data connection.
    pub(crate) text: Vec<u8>,
    /// Text that is on its way to the data connection.
    pub(crate) unsent_bytes: u64,
    /// Where the next part begins, while this one is sent.
    pub(crate) next: Option<Cursor>,
    /// The next part is asked for.
    pub(crate) is_read: bool,
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

    pub(crate) fn is_upload(&self) -> bool {
        matches!(self.kind, TransferKind::Upload { .. })
    }

    pub(crate) fn is_download(&self) -> bool {
        matches!(self.kind, TransferKind::Download { .. })
    }

    /// Which way the file goes, where it is one.
    fn direction(&self) -> Option<Direction> {
        match self.kind {
            TransferKind::Download { .. } => Some(Direction::Download),
            TransferKind::Upload { .. } => Some(Direction::Upload),
            TransferKind::Listing(_) => None,
        }
    }

    /// How much is to be moved from the offset on.
    pub(crate) fn length(&self) -> Length {
        match self.kind {
            TransferKind::Download { length, .. } => Length::Exact(length),
            TransferKind::Upload { length, .. } => length,
            TransferKind::Listing(_) => Length::UntilClose,
        }
    }

    pub(crate) fn via(&self) -> Via {
        match &self.kind {
            TransferKind::Download { spec, .. } => spec.via,
            TransferKind::Upload { spec, .. } => spec.via,
            TransferKind::Listing(listing) => listing.via,
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
        match &self.kind {
            TransferKind::Download { .. } | TransferKind::Upload { .. } => self.arrived > self.moved,
            TransferKind::Listing(listing) => listing.is_read,
        }
    }

    /// Size of the whole file, once all of it has moved.
    pub(crate) fn size(&self) -> u64 {
        self.offset.saturating_add(self.moved)
    }

    /// As others may see it. A listing moves no file.
    pub(crate) fn running(&self) -> Option<Running<'_>> {
        let moved_bytes = self.offset.saturating_add(self.received());
        let size_bytes = match self.length() {
            Length::Exact(length) => self.offset.saturating_add(length),
            Length::UntilClose => moved_bytes,
        };
        Some(Running { direction: self.direction()?, path: &self.path, moved_bytes, size_bytes })
    }

    /// The peer has ended the data connection on purpose. True where that ends an upload, whose length is known now.
    pub(crate) fn handle_clean_end(&mut self) -> bool {
        let received = self.received();
        match &mut self.kind {
            TransferKind::Upload { length: length @ Length::UntilClose, .. } => {
                *length = Length::Exact(received);
                true
            }
            TransferKind::Upload { .. } | TransferKind::Download { .. } | TransferKind::Listing(_) => false,
        }
    }

    /// False where an upload has another size than its client has declared. What is declared is the whole file, or what is
    /// to come of it: clients differ.
    pub(crate) fn is_as_declared(&self) -> bool {
        match &self.kind {
            TransferKind::Upload { spec: UploadSpec { declared_bytes: Some(bytes), .. }, .. } => {
                [self.received(), self.offset.saturating_add(self.received())].contains(bytes)
            }
            TransferKind::Upload { .. } | TransferKind::Download { .. } | TransferKind::Listing(_) => true,
        }
    }

    pub(crate) fn is_sent_until_close(&self) -> bool {
        match &self.kind {
            TransferKind::Download { spec, .. } => spec.until_close,
            TransferKind::Listing(_) => true,
            TransferKind::Upload { .. } => false,
        }
    }

    pub(crate) fn listing(&mut self) -> Option<&mut SentListing> {
        match &mut self.kind {
            TransferKind::Listing(listing) => Some(listing),
            TransferKind::Download { .. } | TransferKind::Upload { .. } => None,
        }
    }

    /// For the log: all has moved, and what was to be done with it is done.
    pub(crate) fn finished(&self, now: Instant) -> Option<Event> {
        Some(Event::Finished {
            direction: self.direction()?,
            path: RemotePath::clone(&self.path),
            offset: self.offset,
            length: self.moved,
            elapsed: now.saturating_duration_since(self.started),
        })
    }

    /// For the log: the transfer ends, and its file is not whole at the other end or not under its name here.
    pub(crate) fn broken_off(&self, code: ErrorCode, now: Instant) -> Event {
        let Some(direction) = self.direction() else {
            return Event::Refused { command: LIST_NAME, code, path: RemotePath::clone(&self.path) };
        };
        Event::BrokenOff(Box::new(BrokenOff {
            direction,
            path: RemotePath::clone(&self.path),
            offset: self.offset,
            moved: self.moved,
            length: self.length(),
            elapsed: now.saturating_duration_since(self.started),
            code,
        }))
    }

    /// How an upload is to be published; `None` for what is sent.
    pub(crate) fn publication(&self, id: u64, consent: Option<Consent>) -> Option<Publication> {
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
            conditions: spec.conditions,
            alone: !spec.is_eager,
            consent,
        })
    }
}
