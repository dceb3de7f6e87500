//! What the work waits for. That decides when it has waited too long, and what is done then.

use super::Work;
use super::data_line::DataLine;
use super::pace::Pace;
use super::phase::Phase;
use crate::answer::Answer;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    DATA_SLOT_TIMEOUT, DISK_TIMEOUT, IDLE_TIMEOUT, LINE_TIMEOUT, TICKET_TIMEOUT, WORKING_INTERVAL,
};
use std::time::Instant;

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The next command.
    Command,
    /// The end of a line that has begun.
    EndOfLine,
    /// The client, to read what it was told.
    Reader,
    /// A disk, or the other sessions that are to be looked at.
    Disk,
    /// A disk, for payload that has come and is to be written.
    Writing,
    /// Room for a data connection.
    DataSlot,
    /// The client, to redeem its ticket.
    DataConnection,
    /// The peer, to send or take payload.
    Payload,
    /// The peer, to send the payload of an upload that was refused.
    DroppedPayload,
}

impl Wait {
    /// True where the speed of the peer is what counts.
    fn is_paced(self) -> bool {
        match self {
            Self::Reader | Self::Payload | Self::DroppedPayload => true,
            Self::Command
            | Self::EndOfLine
            | Self::Disk
            | Self::Writing
            | Self::DataSlot
            | Self::DataConnection => false,
        }
    }

    /// True where the client waits for the server, and can be told that it works.
    fn is_for_work(self) -> bool {
        match self {
            Self::Disk | Self::DataSlot | Self::DataConnection => true,
            Self::Command
            | Self::EndOfLine
            | Self::Reader
            | Self::Writing
            | Self::Payload
            | Self::DroppedPayload => false,
        }
    }
}

impl Work {
    /// Of what the client has sent but the work has not been asked to do, the work knows nothing: it gives
    /// [`Wait::Command`] where that may be [`Wait::EndOfLine`].
    pub(crate) fn wait(&self) -> Wait {
        match &self.phase {
            Phase::Ready if self.owed.publishing() > 0 => Wait::Disk,
            Phase::Ready if self.unwritten_bytes > 0 => Wait::Reader,
            Phase::Ready => Wait::Command,
            Phase::Offering => Wait::DataSlot,
            Phase::Listing(listing) if listing.paused_at.is_some() => Wait::Reader,
            Phase::Surveying(survey) if survey.paused_at.is_some() => Wait::Reader,
            Phase::Listing(_)
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Checking(_) => Wait::Disk,
            Phase::Connecting(_) => match self.data_line {
                DataLine::None => Wait::Disk,
                DataLine::Wanted => Wait::DataSlot,
                DataLine::Offered | DataLine::Attached => Wait::DataConnection,
            },
            Phase::Moving(transfer) if transfer.waits_for_disk() && transfer.is_upload() => Wait::Writing,
            Phase::Moving(transfer) if transfer.waits_for_disk() => Wait::Disk,
            Phase::Moving(_) => Wait::Payload,
            Phase::Dropping { .. } => Wait::DroppedPayload,
            Phase::Closed => Wait::Reader,
        }
    }

    /// When a wait has been too long.
    pub(crate) fn deadline(&self, wait: Wait) -> Instant {
        match wait {
            Wait::Command => self.since + IDLE_TIMEOUT,
            Wait::EndOfLine => self.since + LINE_TIMEOUT,
            Wait::Reader | Wait::Payload | Wait::DroppedPayload => self.pace.deadline(),
            Wait::Disk => self.since + DISK_TIMEOUT,
            Wait::Writing => self.pace.silent_since() + DISK_TIMEOUT,
            Wait::DataSlot => self.since + DATA_SLOT_TIMEOUT,
            Wait::DataConnection => self.since + TICKET_TIMEOUT,
        }
    }

    /// True while the client waits for a disk, or for the server to have room, and can be told so.
    pub(crate) fn awaits_work(&self) -> bool {
        self.wait().is_for_work() && self.is_heard()
    }

    /// True where a line that is said now is the next that the client reads, before long: to a client that does not read, it
    /// would only pile up.
    pub(super) fn is_heard(&self) -> bool {
        self.owed.is_empty() && !self.is_outbox_full()
    }

    pub(crate) fn handle_end_in_sight(&mut self) {
        if self.awaits_work() {
            self.answer(Answer::Working);
        }
    }

    pub(crate) fn handle_disk_progress(&mut self, now: Instant) {
        if self.wait() == Wait::Disk {
            self.since = now;
            if self.is_heard() && now >= self.told + WORKING_INTERVAL {
                self.answer(Answer::Working);
            }
        }
    }

    /// The [deadline](Work::deadline) of this wait has come.
    pub(crate) fn time_out(&mut self, wait: Wait, now: Instant) {
        if wait.is_paced() && self.pace.suffices() {
            self.pace = Pace::new(now);
            return;
        }
        match wait {
            Wait::Reader => self.abort(),
            Wait::Command | Wait::EndOfLine => {
                self.give_up(ErrorCode::TimedOut, "no complete command for too long", now);
            }
            // The job cannot be called back, so neither can what it holds: the session ends with it.
            Wait::Disk | Wait::Writing => {
                self.give_up(ErrorCode::Io, "the server's disk does not answer", now);
            }
            Wait::DataSlot if matches!(self.phase, Phase::Offering) => {
                self.close_data_line();
                self.refuse_offer(ErrorCode::Busy, now);
            }
            Wait::DataSlot | Wait::DataConnection | Wait::Payload => self.time_out_transfer(now),
            Wait::DroppedPayload => {
                self.close_data_line();
                self.enter(Phase::Ready, now);
            }
        }
    }
}
