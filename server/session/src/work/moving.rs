//! How the work moves the payload of its transfers: the facts about them, from the file being ready to the
//! answer.

use super::pace::Pace;
use super::phase::Phase;
use super::transfer::{Trailer, Transfer, TransferKind};
use super::{Output, Work};
use crate::action::{Action, End, Length, Opened, Way};
use crate::answer::{Answer, Subject};
use crate::consent::Consenting;
use crate::request::{UploadSpec, Via};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, RECEIVED_INTERVAL, TRAILER_BYTES};
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use std::time::Instant;

impl Work {
    pub(crate) fn handle_opened(&mut self, opened: Result<Opened, ErrorCode>, now: Instant) {
        let Phase::Opening { path, spec } = &self.phase else { return };
        let (path, spec) = (path.clone(), *spec);
        let remaining = opened.and_then(|opened| {
            let length = opened.size_bytes.checked_sub(spec.offset).ok_or(ErrorCode::BadOffset)?;
            Ok((length, opened))
        });
        match remaining {
            Ok((length, Opened { mtime, executable, .. })) => {
                let kind = TransferKind::Download { length, spec, mtime, executable };
                self.connect(Box::new(Transfer::new(path, spec.offset, kind, now)), now);
            }
            Err(code) => {
                self.act(Action::Discard);
                self.drop_line_of(spec.via);
                self.refuse(&path, code, now);
            }
        }
    }

    pub(crate) fn handle_staged(&mut self, staged: Result<u64, ErrorCode>, now: Instant) {
        let Phase::Staging { path, spec } = &self.phase else { return };
        let (path, spec) = (path.clone(), *spec);
        match staged {
            Ok(offset) => {
                let trailer = if spec.has_trailer { Trailer::Awaited } else { Trailer::None };
                let length = match spec.size {
                    Length::Exact(bytes) => Length::Exact(bytes.saturating_sub(offset)),
                    Length::UntilClose => Length::UntilClose,
                };
                let kind = TransferKind::Upload { length, spec, trailer };
                self.connect(Box::new(Transfer::new(path, offset, kind, now)), now);
            }
            Err(code) => self.refuse_upload(&path, &spec, code, now),
        }
    }

    pub(crate) fn handle_ticket(&mut self, ticket: Ticket, now: Instant) {
        if self.data_line.offer() {
            self.since = now;
            self.answer(Answer::Offered(ticket));
        }
    }

    pub(crate) fn handle_data_attached(&mut self, now: Instant) {
        // It may have been asked for ahead: then the transfer comes later.
        if self.data_line.attach()
            && matches!(self.phase, Phase::Connecting(_))
            && let Some(transfer) = self.phase.take_transfer()
        {
            self.begin_moving(transfer, now);
        }
    }

    pub(crate) fn handle_data_ended(&mut self, end: End, now: Instant) {
        self.data_line.handle_end();
        if let Phase::Moving(transfer) = &mut self.phase {
            if end == End::Clean && transfer.is_as_declared() && transfer.handle_clean_end() {
                self.finish_if_moved(now);
            } else {
                self.break_off(ErrorCode::BrokenOff, now);
            }
        } else if matches!(self.phase, Phase::Dropping { .. }) {
            self.enter(Phase::Ready, now);
        }
    }

    pub(crate) fn handle_arrived(&mut self, bytes: u64, now: Instant) {
        if let Phase::Moving(transfer) = &mut self.phase {
            transfer.arrived += bytes;
            self.pace.progress(bytes, now);
            self.tell_received(now);
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
            self.handle_part_sent(bytes, now);
            self.finish_if_moved(now);
        } else if let Phase::Dropping { remaining } = &mut self.phase {
            *remaining = remaining.saturating_sub(bytes);
            if *remaining == 0 {
                self.enter(Phase::Ready, now);
            }
        }
    }

    /// The sender of a large file can then tell how much of it is at this end, and not only in some buffer on the way.
    fn tell_received(&mut self, now: Instant) {
        let Phase::Moving(transfer) = &self.phase else { return };
        let TransferKind::Upload { spec, .. } = &transfer.kind else { return };
        let bytes = transfer.offset.saturating_add(transfer.received());
        if !spec.is_eager && now >= self.told + RECEIVED_INTERVAL && self.is_heard() {
            self.answer(Answer::Received { bytes });
        }
    }

    pub(crate) fn handle_trailer(&mut self, digest: Option<Digest>, now: Instant) {
        if let Phase::Moving(transfer) = &mut self.phase
            && let TransferKind::Upload { trailer, .. } = &mut transfer.kind
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
                    self.close_data_line();
                    self.fail(ErrorCode::Mismatch, now);
                }
            }
        }
    }

    pub(crate) fn handle_send_failed(&mut self, code: ErrorCode, now: Instant) {
        let is_download = matches!(
            &self.phase,
            Phase::Moving(transfer) | Phase::Checking(transfer) if transfer.is_download()
        );
        if is_download {
            self.close_data_line();
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
                if self.phase.sends_until_close() {
                    if !self.data_line.is_attached() {
                        // The client has not seen a clean end.
                        return self.break_off(ErrorCode::BrokenOff, now);
                    }
                    self.end_data_line(End::Clean);
                }
                if let Some(transfer) = self.phase.take_transfer() {
                    self.act(Action::Discard);
                    transfer.finished(now).into_iter().for_each(|event| self.log(event));
                    self.finish(Answer::Moved { length: transfer.moved, digest }, now);
                }
            }
        }
    }

    pub(crate) fn handle_receive_failed(&mut self, code: ErrorCode, unread_bytes: u64, now: Instant) {
        if let Phase::Moving(transfer) = &self.phase
            && let TransferKind::Upload { length, spec, .. } = &transfer.kind
        {
            let trailer_bytes = if spec.has_trailer { TRAILER_BYTES as u64 } else { 0 };
            let droppable = *length != Length::UntilClose && unread_bytes <= EAGER_MAX_BYTES + trailer_bytes;
            if !droppable {
                self.close_data_line();
            }
            self.fail(code, now);
            if droppable {
                self.drop_payload(unread_bytes, now);
            }
        }
    }

    pub(crate) fn handle_published(&mut self, id: u64, published: Result<Digest, ErrorCode>, now: Instant) {
        let Some(transfer) = self.owed.find(id) else { return };
        let (event, answer) = match published {
            Ok(digest) => {
                let answer = Answer::Moved { length: transfer.size(), digest: Some(digest) };
                (transfer.finished(now), answer)
            }
            Err(code) => {
                let path = RemotePath::clone(&transfer.path);
                let answer = Answer::Refused { code, subject: Subject::Path(path) };
                (Some(transfer.broken_off(code, now)), answer)
            }
        };
        event.into_iter().for_each(|event| self.log(event));
        if self.is_ready() {
            self.since = now;
        }
        self.owed.resolve(id, answer);
        while let Some(answer) = self.owed.pop() {
            self.outputs.push_back(Output::Answer(answer));
        }
        if self.owed.is_empty() {
            self.handle_nothing_owed(now);
        }
    }

    /// Every upload is answered: what had to wait for that goes on.
    fn handle_nothing_owed(&mut self, now: Instant) {
        if self.is_ready() {
            // Only from now on it is the client that is waited for.
            self.pace = Pace::new(now);
        } else if matches!(self.phase, Phase::Connecting(_))
            && let Some(transfer) = self.phase.take_transfer()
        {
            self.connect(transfer, now);
        }
    }

    /// Moves the payload of a transfer, or asks for a data connection first.
    pub(super) fn connect(&mut self, transfer: Box<Transfer>, now: Instant) {
        if self.data_line.is_attached() {
            return self.begin_moving(transfer, now);
        }
        let via = transfer.via();
        self.enter(Phase::Connecting(transfer), now);
        match via {
            // It has not come in time.
            Via::Ahead if !self.data_line.is_offered() => self.break_off(ErrorCode::TimedOut, now),
            Via::Ahead => {}
            // While uploads are owed, the offer would not be heard before they are answered.
            Via::Kept if !self.owed.is_empty() => {}
            Via::Kept => self.want_data(Way::Ticket),
        }
    }

    fn begin_moving(&mut self, transfer: Box<Transfer>, now: Instant) {
        let offset = transfer.offset;
        match &transfer.kind {
            TransferKind::Download { length, spec, mtime, executable } => {
                let (length, digest) = (*length, spec.digest);
                let (mtime, executable) = (*mtime, *executable);
                self.answer(Answer::Sending { length, mtime, executable });
                self.act(Action::Send { offset, length, digest });
            }
            TransferKind::Upload { length, spec, trailer } => {
                let (length, is_eager) = (*length, spec.is_eager);
                let trailer = *trailer == Trailer::Awaited;
                if !is_eager {
                    self.answer(Answer::Receiving { offset });
                }
                if length != Length::Exact(0) || trailer {
                    self.act(Action::Receive { offset, length, trailer });
                }
            }
            TransferKind::Listing(_) => self.answer(Answer::SendingListing),
        }
        self.enter(Phase::Moving(transfer), now);
        self.send_part(now);
        // An empty file has moved already.
        self.finish_if_moved(now);
    }

    fn finish_if_moved(&mut self, now: Instant) {
        if !matches!(&self.phase, Phase::Moving(transfer) if transfer.is_moved()) {
            return;
        }
        let Some(transfer) = self.phase.take_transfer() else { return };
        match &transfer.kind {
            TransferKind::Download { spec, .. } => {
                let digest = spec.digest;
                self.enter(Phase::Checking(transfer), now);
                self.act(Action::Check { digest });
            }
            TransferKind::Upload { spec, .. } => {
                let id = self.next_publication;
                self.next_publication += 1;
                let (consenting, consent) = spec.needs_client.then(Consenting::new).unzip();
                if let Some(publication) = transfer.publication(id, consent) {
                    self.enter(Phase::Ready, now);
                    self.owed.push_publishing(id, transfer, publication.alone, consenting);
                    self.act(Action::Publish(publication));
                }
            }
            // Its end is known where it is sent.
            TransferKind::Listing(_) => {}
        }
    }

    /// Ends a transfer whose file cannot be gone on with, and answers its command.
    pub(super) fn fail(&mut self, code: ErrorCode, now: Instant) {
        self.act(Action::Discard);
        self.end_transfer(code, now);
    }

    /// Ends a transfer that the peer or the network did not go on with, and answers its command.
    pub(super) fn break_off(&mut self, code: ErrorCode, now: Instant) {
        let is_upload = matches!(
            &self.phase,
            Phase::Connecting(transfer) | Phase::Moving(transfer) if transfer.is_upload()
        );
        self.act(if is_upload { Action::Keep } else { Action::Discard });
        self.end_transfer(code, now);
    }

    fn end_transfer(&mut self, code: ErrorCode, now: Instant) {
        let Some(transfer) = self.phase.take_transfer() else { return };
        let subject = Subject::Path(RemotePath::clone(&transfer.path));
        self.answer(Answer::Refused { code, subject });
        self.log(transfer.broken_off(code, now));
        self.enter(Phase::Ready, now);
    }

    /// Refuses an upload; where its bytes may be on their way, they are read and dropped.
    pub(super) fn refuse_upload(
        &mut self,
        path: &RemotePath,
        spec: &UploadSpec,
        code: ErrorCode,
        now: Instant,
    ) {
        self.drop_line_of(spec.via);
        self.refuse(path, code, now);
        self.drop_payload(spec.eager_bytes(), now);
    }

    pub(crate) fn drop_payload(&mut self, length: u64, now: Instant) {
        if self.data_line.is_attached() && length > 0 {
            self.enter(Phase::Dropping { remaining: length }, now);
            self.act(Action::Drop { length });
        }
    }
}
