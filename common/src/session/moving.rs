//! How a session moves the payload of its transfers, from the file being ready to the answer.

use super::Session;
use super::phase::Phase;
use super::transfer::{Trailer, Transfer, TransferKind};
use crate::action::{Action, Direction, Event};
use crate::command::{UploadOptions, Verb};
use crate::error::ErrorCode;
use crate::path::RemotePath;
use crate::reply::Reply;
use std::time::Instant;

impl Session {
    /// Has a data connection, or asks for one.
    pub(super) fn connect(&mut self, transfer: Transfer, now: Instant) {
        if self.data_attached {
            self.begin_moving(transfer, now);
        } else if !self.owed.is_empty() {
            // The offer would not be heard before the uploads ahead of it are answered.
            self.enter(Phase::Holding(transfer), now);
        } else {
            self.enter(Phase::Connecting { transfer, ticket_issued: false }, now);
            self.actions.push_back(Action::RequestData);
        }
    }

    pub(super) fn begin_moving(&mut self, transfer: Transfer, now: Instant) {
        let Transfer { offset, length, .. } = transfer;
        match &transfer.kind {
            TransferKind::Download { mtime_s, digest } => {
                let (mtime_s, digest) = (*mtime_s, *digest);
                self.reply(Reply::download(length, mtime_s), now);
                self.actions.push_back(Action::Send { offset, length, digest });
            }
            TransferKind::Upload { options, trailer } => {
                let (eager, trailer) = (options.is_eager(transfer.size()), *trailer == Trailer::Awaited);
                if !eager {
                    self.reply(Reply::upload(offset), now);
                }
                if length > 0 || trailer {
                    self.actions.push_back(Action::Receive { offset, length, trailer });
                }
            }
        }
        self.enter(Phase::Moving(transfer), now);
        // An empty file has moved already.
        self.finish_if_moved(now);
    }

    pub(super) fn finish_if_moved(&mut self, now: Instant) {
        if !matches!(&self.phase, Phase::Moving(transfer) if transfer.is_moved()) {
            return;
        }
        let Some(transfer) = self.phase.take_transfer() else { return };
        match transfer.kind {
            TransferKind::Download { digest, .. } => {
                self.enter(Phase::Checking(transfer), now);
                self.actions.push_back(Action::Check { digest });
            }
            TransferKind::Upload { .. } => {
                let id = self.next_publication;
                self.next_publication += 1;
                if let Some(publication) = transfer.publication(id) {
                    self.enter(Phase::Ready, now);
                    self.owed.push_publishing(id, transfer, publication.alone);
                    self.actions.push_back(Action::Publish(publication));
                }
            }
        }
    }

    pub(super) fn log_finished(&mut self, transfer: &Transfer, now: Instant) {
        let elapsed = now.saturating_duration_since(transfer.started);
        let (direction, path, length) = (transfer.direction(), transfer.path.clone(), transfer.length);
        self.actions.push_back(Action::Log(Event::Finished { direction, path, length, elapsed }));
    }

    /// Ends a transfer whose file cannot be gone on with, and answers its command.
    pub(super) fn fail(&mut self, code: ErrorCode, now: Instant) {
        self.actions.push_back(Action::Discard);
        self.end_transfer(code, now);
    }

    /// Ends a transfer that the peer or the network did not go on with, and answers its command.
    pub(super) fn break_off(&mut self, code: ErrorCode, now: Instant) {
        let is_upload = matches!(
            &self.phase,
            Phase::Connecting { transfer, .. } | Phase::Moving(transfer)
                if transfer.direction() == Direction::Upload
        );
        self.actions.push_back(if is_upload { Action::Keep } else { Action::Discard });
        self.end_transfer(code, now);
    }

    fn end_transfer(&mut self, code: ErrorCode, now: Instant) {
        let Some(transfer) = self.phase.take_transfer() else { return };
        self.reply(Reply::err(code, format_args!("{code}: {}", transfer.path)), now);
        let direction = transfer.direction();
        let Transfer { path, moved, length, .. } = transfer;
        self.actions.push_back(Action::Log(Event::BrokenOff { direction, path, moved, length, code }));
        self.enter(Phase::Ready, now);
    }

    /// Refuses an upload; where its bytes may be on their way, they are read and dropped.
    pub(super) fn refuse_upload(
        &mut self,
        path: RemotePath,
        size: u64,
        options: &UploadOptions,
        code: ErrorCode,
        now: Instant,
    ) {
        self.refuse(Verb::Upload, path, code, now);
        self.drop_payload(options.eager_bytes(size), now);
    }

    pub(super) fn drop_payload(&mut self, length: u64, now: Instant) {
        if self.data_attached && length > 0 {
            self.enter(Phase::Dropping { remaining: length }, now);
            self.actions.push_back(Action::Drop { length });
        }
    }
}
