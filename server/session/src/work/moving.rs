//! How a session moves the payload of its transfers: the facts about them, from the file being ready to the
//! answer.

use crate::Session;
use crate::action::{Action, Direction, Event, Opened, Question};
use crate::answer::{Answer, Subject};
use crate::work::pace::Pace;
use crate::work::phase::Phase;
use crate::work::transfer::{Trailer, Transfer, TransferKind};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, GIVE_WAY_SILENCE, TRAILER_BYTES};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{UploadOptions, Verb};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use std::time::Instant;

impl Session {
    pub(crate) fn handle_opened(&mut self, opened: Result<Opened, ErrorCode>, now: Instant) {
        let Phase::Opening { path, offset, digest } = &self.phase else { return };
        let (path, offset, digest) = (path.clone(), *offset, *digest);
        let remaining = opened.and_then(|opened| {
            let length = opened.size_bytes.checked_sub(offset).ok_or(ErrorCode::BadOffset)?;
            Ok((length, opened.mtime_s))
        });
        match remaining {
            Ok((length, mtime_s)) => {
                let kind = TransferKind::Download { mtime_s, digest };
                self.connect(
                    Transfer { path, offset, length, moved: 0, arrived: 0, started: now, kind },
                    now,
                );
            }
            Err(code) => {
                self.actions.push_back(Action::Discard);
                self.refuse(Verb::Download, path, code, now);
            }
        }
    }

    pub(crate) fn handle_staged(&mut self, staged: Result<u64, ErrorCode>, now: Instant) {
        let Phase::Staging { path, size, options } = &self.phase else { return };
        let (path, size, options) = (path.clone(), *size, *options);
        match staged {
            Ok(offset) => {
                let trailer = if options.digest { Trailer::Awaited } else { Trailer::None };
                let kind = TransferKind::Upload { options, trailer };
                let length = size.saturating_sub(offset);
                self.connect(
                    Transfer { path, offset, length, moved: 0, arrived: 0, started: now, kind },
                    now,
                );
            }
            Err(code) => self.refuse_upload(path, size, &options, code, now),
        }
    }

    pub(crate) fn handle_ticket(&mut self, ticket: &Ticket, now: Instant) {
        let Phase::Connecting { ticket_issued, .. } = &mut self.phase else { return };
        *ticket_issued = true;
        self.since = now;
        self.answer(Answer::Offered { port: self.policy.data_port, ticket }, now);
    }

    pub(crate) fn handle_data_attached(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Connecting { ticket_issued: true, .. })
            && let Some(transfer) = self.phase.take_transfer()
        {
            self.data_attached = true;
            self.begin_moving(transfer, now);
        }
    }

    pub(crate) fn handle_data_lost(&mut self, now: Instant) {
        self.data_attached = false;
        if matches!(self.phase, Phase::Moving(_)) {
            self.break_off(ErrorCode::BrokenOff, now);
        } else if matches!(self.phase, Phase::Dropping { .. }) {
            self.enter(Phase::Ready, now);
        }
    }

    pub(crate) fn handle_sought_elsewhere(&mut self, now: Instant) {
        let silent_since = match &self.phase {
            Phase::Moving(transfer)
                if transfer.direction() == Direction::Upload && !transfer.waits_for_disk() =>
            {
                self.pace.silent_since()
            }
            Phase::Connecting { transfer, ticket_issued: true }
                if transfer.direction() == Direction::Upload =>
            {
                self.since
            }
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Holding(_)
            | Phase::Connecting { .. }
            | Phase::Moving(_)
            | Phase::Checking(_)
            | Phase::Dropping { .. }
            | Phase::Closed => return,
        };
        if now >= silent_since + GIVE_WAY_SILENCE {
            self.time_out_transfer(now);
        }
    }

    pub(crate) fn handle_give_way(&mut self, now: Instant) {
        self.close_data();
        match &self.phase {
            Phase::Listing(listing) => {
                let path = listing.path.clone();
                self.actions.push_back(Action::Discard);
                self.refuse(Verb::Ls, path, ErrorCode::Busy, now);
            }
            Phase::Asking(Question::Stat { .. } | Question::Sum { .. } | Question::Partial { .. }) => {
                self.actions.push_back(Action::Discard);
                self.handle_found(Err(ErrorCode::Busy), now);
            }
            // It may be done already, and it holds no file.
            Phase::Asking(Question::Mkdir { .. } | Question::Rm { .. } | Question::Mv { .. }) => {}
            Phase::Opening { .. } => self.handle_opened(Err(ErrorCode::Busy), now),
            Phase::Staging { .. } => {
                self.actions.push_back(Action::Keep);
                self.handle_staged(Err(ErrorCode::Busy), now);
            }
            Phase::Connecting { .. } => {
                self.actions.push_back(Action::CancelData);
                self.break_off(ErrorCode::Busy, now);
            }
            Phase::Holding(_) | Phase::Moving(_) | Phase::Checking(_) => self.break_off(ErrorCode::Busy, now),
            Phase::Dropping { .. } => self.enter(Phase::Ready, now),
            Phase::Ready | Phase::Closed => {}
        }
    }

    pub(crate) fn handle_arrived(&mut self, bytes: u64, now: Instant) {
        if let Phase::Moving(transfer) = &mut self.phase {
            transfer.arrived += bytes;
            self.pace.progress(bytes, now);
        }
    }

    pub(crate) fn handle_moved(&mut self, bytes: u64, now: Instant) {
        let waited_for_disk = matches!(&self.phase, Phase::Moving(transfer) if transfer.waits_for_disk());
        if !waited_for_disk {
            self.pace.progress(bytes, now);
        } else if now >= self.pace.deadline() {
            // Its time is the peer's again.
            self.pace = Pace::new(now);
        }
        if let Phase::Moving(transfer) = &mut self.phase {
            transfer.moved += bytes;
            self.finish_if_moved(now);
        } else if let Phase::Dropping { remaining } = &mut self.phase {
            *remaining = remaining.saturating_sub(bytes);
            if *remaining == 0 {
                self.enter(Phase::Ready, now);
            }
        }
    }

    pub(crate) fn handle_trailer(&mut self, digest: Option<Digest>, now: Instant) {
        if let Phase::Moving(Transfer { kind: TransferKind::Upload { trailer, .. }, .. }) = &mut self.phase
            && *trailer == Trailer::Awaited
        {
            self.pace.progress(TRAILER_BYTES as u64, now);
            match digest {
                Some(digest) => {
                    *trailer = Trailer::Come(digest);
                    self.finish_if_moved(now);
                }
                None => {
                    // The two ends do not agree on what is payload and what is not.
                    self.close_data();
                    self.fail(ErrorCode::Mismatch, now);
                }
            }
        }
    }

    pub(crate) fn handle_send_failed(&mut self, code: ErrorCode, now: Instant) {
        let is_download = matches!(
            &self.phase,
            Phase::Moving(transfer) | Phase::Checking(transfer) if transfer.direction() == Direction::Download
        );
        if is_download {
            self.close_data();
            self.fail(code, now);
        }
    }

    pub(crate) fn handle_checked(&mut self, checked: Result<Option<Digest>, ErrorCode>, now: Instant) {
        if !matches!(self.phase, Phase::Checking(_)) {
            return;
        }
        match checked {
            Err(code) => self.handle_send_failed(code, now),
            Ok(digest) => {
                if let Some(transfer) = self.phase.take_transfer() {
                    self.actions.push_back(Action::Discard);
                    self.log_finished(&transfer, now);
                    self.finish(Answer::Moved { length: transfer.length, digest }, now);
                }
            }
        }
    }

    pub(crate) fn handle_receive_failed(&mut self, code: ErrorCode, unread_bytes: u64, now: Instant) {
        if let Phase::Moving(Transfer { kind: TransferKind::Upload { options, .. }, .. }) = &self.phase {
            let trailer_bytes = if options.digest { TRAILER_BYTES as u64 } else { 0 };
            let droppable = unread_bytes <= EAGER_MAX_BYTES + trailer_bytes;
            if !droppable {
                self.close_data();
            }
            self.fail(code, now);
            if droppable {
                self.drop_payload(unread_bytes, now);
            }
        }
    }

    pub(crate) fn handle_published(&mut self, id: u64, published: Result<Digest, ErrorCode>, now: Instant) {
        let Some(transfer) = self.owed.find(id) else { return };
        let (path, size) = (transfer.path.clone(), transfer.size());
        let reply = match published {
            Ok(digest) => {
                let elapsed = now.saturating_duration_since(transfer.started);
                let direction = Direction::Upload;
                let event = Event::Finished { direction, path, length: transfer.length, elapsed };
                self.actions.push_back(Action::Log(event));
                self.dialect.text_of(Answer::Moved { length: size, digest: Some(digest) })
            }
            Err(code) => {
                let subject = Subject::Path(&path);
                let reply = self.dialect.text_of(Answer::Refused { code, subject });
                self.log_refusal(Verb::Upload, code, path);
                reply
            }
        };
        if matches!(self.phase, Phase::Ready) {
            self.since = now;
        }
        self.owed.resolve(id, reply);
        while let Some(text) = self.owed.pop_text() {
            self.send_text(text, now);
        }
        if self.owed.is_empty() {
            self.handle_nothing_owed(now);
        }
    }

    /// Breaks off a transfer whose peer does too little for it.
    pub(crate) fn time_out_transfer(&mut self, now: Instant) {
        let has_room = !matches!(self.phase, Phase::Connecting { ticket_issued: false, .. });
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.actions.push_back(Action::CancelData);
        } else {
            self.close_data();
        }
        self.break_off(if has_room { ErrorCode::TimedOut } else { ErrorCode::Busy }, now);
    }

    /// Has a data connection, or asks for one.
    pub(crate) fn connect(&mut self, transfer: Transfer, now: Instant) {
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

    pub(crate) fn begin_moving(&mut self, transfer: Transfer, now: Instant) {
        let Transfer { offset, length, .. } = transfer;
        match &transfer.kind {
            TransferKind::Download { mtime_s, digest } => {
                let (mtime_s, digest) = (*mtime_s, *digest);
                self.answer(Answer::Sending { length, mtime_s }, now);
                self.actions.push_back(Action::Send { offset, length, digest });
            }
            TransferKind::Upload { options, trailer } => {
                let (eager, trailer) = (options.is_eager(transfer.size()), *trailer == Trailer::Awaited);
                if !eager {
                    self.answer(Answer::Receiving { offset }, now);
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

    pub(crate) fn finish_if_moved(&mut self, now: Instant) {
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

    pub(crate) fn log_finished(&mut self, transfer: &Transfer, now: Instant) {
        let elapsed = now.saturating_duration_since(transfer.started);
        let (direction, path, length) = (transfer.direction(), transfer.path.clone(), transfer.length);
        self.actions.push_back(Action::Log(Event::Finished { direction, path, length, elapsed }));
    }

    /// Ends a transfer whose file cannot be gone on with, and answers its command.
    pub(crate) fn fail(&mut self, code: ErrorCode, now: Instant) {
        self.actions.push_back(Action::Discard);
        self.end_transfer(code, now);
    }

    /// Ends a transfer that the peer or the network did not go on with, and answers its command.
    pub(crate) fn break_off(&mut self, code: ErrorCode, now: Instant) {
        let is_upload = matches!(
            &self.phase,
            Phase::Holding(transfer) | Phase::Connecting { transfer, .. } | Phase::Moving(transfer)
                if transfer.direction() == Direction::Upload
        );
        self.actions.push_back(if is_upload { Action::Keep } else { Action::Discard });
        self.end_transfer(code, now);
    }

    fn end_transfer(&mut self, code: ErrorCode, now: Instant) {
        let Some(transfer) = self.phase.take_transfer() else { return };
        self.answer(Answer::Refused { code, subject: Subject::Path(&transfer.path) }, now);
        let direction = transfer.direction();
        let Transfer { path, moved, length, .. } = transfer;
        self.actions.push_back(Action::Log(Event::BrokenOff { direction, path, moved, length, code }));
        self.enter(Phase::Ready, now);
    }

    /// Refuses an upload; where its bytes may be on their way, they are read and dropped.
    pub(crate) fn refuse_upload(
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

    pub(crate) fn drop_payload(&mut self, length: u64, now: Instant) {
        if self.data_attached && length > 0 {
            self.enter(Phase::Dropping { remaining: length }, now);
            self.actions.push_back(Action::Drop { length });
        }
    }
}
