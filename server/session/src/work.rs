//! What a session does about requests, and what it owes for them. It knows no dialect and makes no text: what is to be
//! done and what is to be told come out of [`Work::poll_output`].

mod asking;
mod beginning;
mod data_line;
mod ending;
mod moving;
mod offering;
mod owed;
mod pace;
mod phase;
mod sending_listings;
mod surveying;
mod transfer;
mod wait;

pub(crate) use wait::Wait;

use crate::Running;
use crate::access::Access;
use crate::action::{Action, End, Event};
use crate::answer::{Answer, Subject};
use data_line::DataLine;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{OUTBOX_PAUSE_BYTES, PUBLISHING_MAX};
use ferry_common::path::RemotePath;
use owed::Owed;
use pace::Pace;
use phase::Phase;
use std::collections::VecDeque;
use std::time::Instant;
use transfer::Transfer;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Work {
    access: Access,
    /// What the log calls the request that was begun last.
    command: &'static str,
    phase: Phase,
    /// When the phase, or the newest step in it, began.
    since: Instant,
    /// When the client was last told something, or the phase began.
    told: Instant,
    pace: Pace,
    /// Whatever the client takes back by going has been taken back, and nothing of the kind begins any more.
    is_client_gone: bool,
    data_line: DataLine,
    owed: Owed,
    next_publication: u64,
    /// Text of answers that is not reported as written yet.
    unwritten_bytes: usize,
    outputs: VecDeque<Output>,
}

/// What the session passes on, in this order.
#[derive(Debug)]
pub(crate) enum Output {
    /// For the shell.
    Action(Action),
    /// For the client, in the words of its dialect. [`Work::handle_said`] is to be told how many bytes those are.
    Answer(Answer),
}

impl Work {
    pub(crate) fn new(access: Access, now: Instant) -> Self {
        Self {
            access,
            command: "",
            phase: Phase::Ready,
            since: now,
            told: now,
            pace: Pace::new(now),
            is_client_gone: false,
            data_line: DataLine::None,
            owed: Owed::default(),
            next_publication: 0,
            unwritten_bytes: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Everything is passed on, and for a while nothing will be: an idle session holds no memory for that.
    pub(crate) fn rest(&mut self) {
        self.outputs = VecDeque::new();
    }

    /// What holds between facts, whatever they are. Checked in debug builds.
    pub(crate) fn check_invariants(&self) {
        let line_fits = match &self.phase {
            // The end of an upload until close may come before all of it is written.
            Phase::Moving(transfer) => self.data_line.is_attached() || transfer.waits_for_disk(),
            Phase::Dropping { .. } => self.data_line.is_attached(),
            Phase::Connecting(_) => match self.data_line {
                DataLine::None => !self.owed.is_empty(),
                DataLine::Wanted | DataLine::Offered => true,
                DataLine::Attached => false,
            },
            Phase::Offering => self.data_line.is_wanted(),
            // One that was asked for ahead may come at any time.
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Checking(_) => !self.data_line.is_wanted(),
            Phase::Closed => true,
        };
        debug_assert!(line_fits, "{:?} with {:?}", self.phase, self.data_line);
        debug_assert!(
            self.owed.is_empty() == (self.owed.publishing() == 0),
            "answers wait behind uploads only"
        );
        debug_assert!(self.owed.publishing() <= PUBLISHING_MAX);
    }

    /// Between commands; earlier uploads may still wait for the disk.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Everything that was asked for is answered.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten_bytes > 0
    }

    /// Too much waits to be read by the client, or will.
    pub(crate) fn is_outbox_full(&self) -> bool {
        self.unwritten_bytes + self.owed.bytes() >= OUTBOX_PAUSE_BYTES
    }

    /// Payload of the running transfer, and since when; without a transfer, since when the work does what it does.
    pub(crate) fn payload(&self) -> (u64, Instant) {
        match &self.phase {
            Phase::Moving(transfer) | Phase::Checking(transfer) => (transfer.received(), transfer.started),
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Offering
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Connecting(_)
            | Phase::Dropping { .. }
            | Phase::Closed => (0, self.since),
        }
    }

    /// The transfer under way, or else the newest that waits for the disk.
    pub(crate) fn running(&self) -> Option<Running<'_>> {
        match &self.phase {
            Phase::Connecting(transfer) | Phase::Moving(transfer) | Phase::Checking(transfer) => {
                transfer.running()
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
            | Phase::Closed => self.owed.newest().and_then(Transfer::running),
        }
    }

    /// Something came from the client that begins or completes a command: its time begins.
    pub(crate) fn handle_heard(&mut self, now: Instant) {
        if self.is_ready() {
            self.since = now;
        }
    }

    /// The text of an answer has so many bytes, and is on its way to the client.
    pub(crate) fn handle_said(&mut self, bytes: usize, now: Instant) {
        if self.unwritten_bytes == 0 && !self.moves_payload() {
            self.pace = Pace::new(now);
        }
        self.told = now;
        self.unwritten_bytes += bytes;
        self.resume_listing(now);
        self.resume_survey(now);
    }

    pub(crate) fn handle_replies_written(&mut self, bytes: usize, now: Instant) {
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
        if !self.moves_payload() {
            self.pace.progress(bytes as u64, now);
        }
        self.resume_listing(now);
        self.resume_survey(now);
    }

    /// The pace is that of the data connection.
    fn moves_payload(&self) -> bool {
        matches!(self.phase, Phase::Moving(_) | Phase::Dropping { .. })
    }

    /// Tells the client something, behind everything that is owed for earlier requests.
    pub(crate) fn answer(&mut self, answer: Answer) {
        if self.owed.is_empty() {
            self.outputs.push_back(Output::Answer(answer));
        } else {
            self.owed.push(answer);
        }
    }

    fn finish(&mut self, answer: Answer, now: Instant) {
        self.answer(answer);
        self.enter(Phase::Ready, now);
    }

    fn refuse(&mut self, path: &RemotePath, code: ErrorCode, now: Instant) {
        self.answer(Answer::Refused { code, subject: Subject::Path(path.clone()) });
        self.log_refusal(code, path.clone());
        self.enter(Phase::Ready, now);
    }

    fn log_refusal(&mut self, code: ErrorCode, path: RemotePath) {
        self.log(Event::Refused { command: self.command, code, path });
    }

    pub(crate) fn log(&mut self, event: Event) {
        self.act(Action::Log(event));
    }

    fn act(&mut self, action: Action) {
        self.outputs.push_back(Output::Action(action));
    }

    /// Gives up the data connection, or the wish for one. A client that would take its end for that of a file is to see
    /// that the file is not whole.
    fn close_data_line(&mut self) {
        let end = if self.phase.sends_until_close() { End::Torn } else { End::Clean };
        self.end_data_line(end);
    }

    fn end_data_line(&mut self, end: End) {
        if let Some(action) = self.data_line.close(end) {
            self.act(action);
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        debug_assert!(phase.may_follow(&self.phase), "{:?} after {:?}", phase, self.phase);
        self.phase = phase;
        self.since = now;
        self.told = now;
        self.pace = Pace::new(now);
    }
}
