//! How the work of a session ends, or is broken off from outside.

use super::Work;
use super::phase::Phase;
use crate::action::{Action, Event};
use crate::answer::Answer;
use ferry_common::error::ErrorCode;
use ferry_common::limits::GIVE_WAY_SILENCE;
use std::time::Instant;

impl Work {
    /// Ends the session with a reason, whatever was under way.
    pub(crate) fn give_up(&mut self, code: ErrorCode, reason: &'static str, now: Instant) {
        self.owed.clear();
        if let Some(event) = self.unfinished(code, now) {
            self.log(event);
        }
        self.answer(Answer::Ending { code, reason });
        self.close(now);
    }

    /// For the log: the transfer that is under way, where the session ends and it with that.
    pub(crate) fn unfinished(&self, code: ErrorCode, now: Instant) -> Option<Event> {
        match &self.phase {
            Phase::Connecting(transfer) | Phase::Moving(transfer) | Phase::Checking(transfer) => {
                Some(transfer.broken_off(code, now))
            }
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Offering
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Dropping { .. }
            | Phase::Closed => None,
        }
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.enter(Phase::Closed, now);
        self.act(Action::Close);
    }

    pub(super) fn abort(&mut self) {
        self.phase = Phase::Closed;
        self.act(Action::Abort);
    }

    pub(crate) fn handle_sought_elsewhere(&mut self, now: Instant) {
        let silent_since = match &self.phase {
            Phase::Moving(transfer) if transfer.is_upload() && !transfer.waits_for_disk() => {
                self.pace.silent_since()
            }
            Phase::Connecting(transfer) if transfer.is_upload() && self.data_line.is_offered() => self.since,
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Offering
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Connecting(_)
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
        self.end_command(ErrorCode::Busy, now);
    }

    /// Ends the running command, as far as it can be ended.
    fn end_command(&mut self, code: ErrorCode, now: Instant) {
        self.close_data_line();
        match &self.phase {
            Phase::Listing(listing) => {
                let path = listing.path.clone();
                self.act(Action::Discard);
                self.refuse(&path, code, now);
            }
            Phase::Surveying(_) => {
                self.act(Action::Discard);
                self.refuse_survey(code, now);
            }
            Phase::Asking(_) => {
                self.act(Action::Discard);
                self.handle_found(Err(code), now);
            }
            // The change may be done already, and holds no file.
            Phase::Changing(_) => {}
            Phase::Opening { .. } => self.handle_opened(Err(code), now),
            Phase::Staging { .. } => {
                self.act(Action::Keep);
                self.handle_staged(Err(code), now);
            }
            Phase::Connecting(_) | Phase::Moving(_) | Phase::Checking(_) => {
                self.break_off(code, now);
            }
            Phase::Offering => self.refuse_offer(code, now),
            Phase::Dropping { .. } => self.enter(Phase::Ready, now),
            Phase::Ready | Phase::Closed => {}
        }
    }

    /// Breaks off a transfer whose peer does too little for it, or for which there is no room.
    pub(super) fn time_out_transfer(&mut self, now: Instant) {
        let code = if self.data_line.is_wanted() { ErrorCode::Busy } else { ErrorCode::TimedOut };
        self.close_data_line();
        self.break_off(code, now);
    }

    /// The client takes back what it has asked for: a transfer ends, and an upload that waits for the disk gets no name.
    pub(crate) fn take_back(&mut self, now: Instant) {
        self.owed.withdraw_consent();
        if self.is_transferring() {
            self.end_command(ErrorCode::BrokenOff, now);
        }
    }

    /// The client has gone, which takes back what is under way and the uploads that are still to come.
    pub(crate) fn handle_client_gone(&mut self, now: Instant) {
        self.is_client_gone = true;
        self.take_back(now);
    }

    /// Something is under way that [`Work::take_back`] ends.
    pub(crate) fn can_be_taken_back(&self) -> bool {
        self.is_transferring() || !self.owed.is_empty()
    }

    fn is_transferring(&self) -> bool {
        match &self.phase {
            Phase::Listing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Connecting(_)
            | Phase::Moving(_)
            | Phase::Checking(_) => true,
            Phase::Ready
            | Phase::Offering
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Dropping { .. }
            | Phase::Closed => false,
        }
    }
}
