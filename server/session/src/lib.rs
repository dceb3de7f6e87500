//! The server's end of one session, pure.
//!
//! The shell tells facts ([`Session::handle`]) and performs the actions that come out of [`Session::poll_action`],
//! all of them, after each fact. One command is worked on at a time, but for one overlap: while small uploads
//! wait for the disk, the uploads behind them are received already, so that they can share its flushes. The
//! commands behind wait in the dialect and in the socket, so a client may send as many ahead as it likes.
//! The session counts the payload of transfers but never sees it. It never fails on facts that come late:
//! what no longer matters to its phase is ignored.

pub mod action;
mod answer;
pub mod dialect;
pub mod fact;
pub mod limits;
pub mod outbox;
mod request;
mod work;

use crate::action::{Action, Event};
use crate::answer::{Answer, Subject};
use crate::dialect::{Dialect, Heard};
use crate::fact::{Fact, Scarcity};
use crate::limits::TURN_LINES;
use crate::work::owed::Owed;
use crate::work::pace::Pace;
use crate::work::phase::Phase;
use crate::work::wait::Wait;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{OUTBOX_PAUSE_BYTES, PUBLISHING_MAX, WORKING_INTERVAL};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Verb;
use std::collections::VecDeque;
use std::time::Instant;

/// What the server's operator decided for all sessions.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Where data connections are accepted.
    pub data_port: u16,
    /// Nothing in the folder is changed.
    pub read_only: bool,
    /// No existing file is replaced.
    pub no_overwrite: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    dialect: Dialect,
    /// How many lines may still be looked at before others have their turn.
    lines_left: usize,
    phase: Phase,
    /// When the phase, or the newest step in it, began.
    since: Instant,
    /// When the client was last told something, or the phase began.
    told: Instant,
    pace: Pace,
    data_attached: bool,
    /// The client has said its last; what it said is still answered.
    input_ended: bool,
    ending: Ending,
    /// What was heard and must wait for the uploads before it to be published. Few sessions have one.
    held: Option<Box<Heard>>,
    owed: Owed,
    next_publication: u64,
    /// Replies given to the shell and not yet reported as written.
    unwritten_bytes: usize,
    actions: VecDeque<Action>,
}

/// Whether further commands are taken. Where not, the session ends once everything owed is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// The client has asked for it, or was told why already.
    Quiet,
    /// The server is stopping, and the client is still to be told.
    Stopping,
}

/// How much a session does, the least first: one that is idle for long before one that has become so just now, and
/// both before one that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activity {
    /// A command is under way, or has begun to come.
    pub is_working: bool,
    /// Payload of the running transfer, since its beginning.
    pub bytes_per_second: u64,
    /// When the transfer began, or whatever else the session does or waits for.
    pub since: Instant,
}

impl Session {
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            dialect: Dialect::ferry(&policy),
            lines_left: TURN_LINES,
            phase: Phase::Ready,
            since: now,
            told: now,
            pace: Pace::new(now),
            data_attached: false,
            input_ended: false,
            ending: Ending::No,
            held: None,
            owed: Owed::default(),
            next_publication: 0,
            unwritten_bytes: 0,
            actions: VecDeque::new(),
        }
    }

    /// A session that is only told why it cannot be.
    pub fn turned_away(policy: Policy, code: ErrorCode, now: Instant) -> Self {
        let mut session = Self::new(policy, now);
        session.give_up(code, code.message(), now);
        session
    }

    /// Takes in what has happened; what is to be done about it comes out of [`Session::poll_action`].
    pub fn handle(&mut self, fact: Fact<'_>, now: Instant) {
        let may_take_requests = !matches!(fact, Fact::SoughtElsewhere);
        match fact {
            Fact::Input(bytes) => self.handle_input(bytes, now),
            Fact::EndOfInput => self.input_ended = true,
            Fact::EndInSight => self.handle_end_in_sight(now),
            Fact::Turn { lines } => self.lines_left = lines,
            Fact::RepliesWritten(bytes) => self.handle_replies_written(bytes, now),
            Fact::Listed(part) => self.handle_listing(part, now),
            Fact::Found(found) => self.handle_found(found, now),
            Fact::Opened(opened) => self.handle_opened(opened, now),
            Fact::Staged(staged) => self.handle_staged(staged, now),
            Fact::Ticket(ticket) => self.handle_ticket(ticket, now),
            Fact::Checked(checked) => self.handle_checked(checked, now),
            Fact::Published { id, result } => self.handle_published(id, result, now),
            Fact::DiskProgress => self.handle_disk_progress(now),
            Fact::NoRoom => self.handle_no_room(now),
            Fact::DataAttached => self.handle_data_attached(now),
            Fact::DataLost => self.handle_data_lost(now),
            Fact::Arrived { bytes } => self.handle_arrived(bytes, now),
            Fact::Moved { bytes } => self.handle_moved(bytes, now),
            Fact::Trailer(digest) => self.handle_trailer(digest, now),
            Fact::SendFailed(code) => self.handle_send_failed(code, now),
            Fact::ReceiveFailed { code, unread_bytes } => self.handle_receive_failed(code, unread_bytes, now),
            Fact::SoughtElsewhere => self.handle_sought_elsewhere(now),
            Fact::GiveWay => self.handle_give_way(now),
            Fact::CrowdedOut(scarcity) => self.handle_crowded_out(scarcity, now),
            Fact::Shutdown => self.handle_shutdown(),
            Fact::Timeout => self.handle_timeout(now),
        }
        if may_take_requests {
            // Any fact may have finished a command.
            self.take_requests(now);
        }
        self.check_invariants();
    }

    /// What holds between facts, whatever they are. Checked in debug builds.
    fn check_invariants(&self) {
        let has_data = match &self.phase {
            Phase::Moving(_) | Phase::Dropping { .. } => Some(true),
            Phase::Holding(_) | Phase::Connecting { .. } => Some(false),
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Checking(_)
            | Phase::Closed => None,
        };
        debug_assert!(has_data.is_none_or(|has_data| has_data == self.data_attached), "{:?}", self.phase);
        debug_assert!(
            self.owed.is_empty() == (self.owed.publishing() == 0),
            "lines wait behind uploads only"
        );
        debug_assert!(!matches!(self.phase, Phase::Holding(_)) || !self.owed.is_empty());
        debug_assert!(self.owed.publishing() <= PUBLISHING_MAX);
        let is_held = self.held.is_some() && self.takes_requests();
        debug_assert!(!is_held || self.owed.publishing() > 0, "a command is held for nothing");
    }

    /// The next piece of work. Call until it gives `None` after every fact.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            self.actions = VecDeque::new();
        }
        action
    }

    /// True while bytes of the control connection are welcome. Reading on regardless would only make the
    /// server hold what the socket can hold.
    pub fn wants_input(&self) -> bool {
        self.takes_requests() && !self.input_ended && self.held.is_none()
    }

    /// True while no command is under way that could have a file open.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Closed)
    }

    /// True where more could be done at once, but others should have their turn before:
    /// [`Fact::Turn`] has it go on.
    pub fn is_paused(&self) -> bool {
        self.lines_left == 0 && self.is_between_commands()
    }

    /// True between commands, with nothing read or owed. A data connection can be given up then.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Ready)
            && self.lines_left > 0
            && self.unwritten_bytes == 0
            && self.owed.is_empty()
            && self.dialect.held_bytes() == 0
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if matches!(self.phase, Phase::Ready) && self.dialect.held_bytes() == 0 {
            self.since = now;
        }
        self.dialect.push(bytes);
    }

    /// Bytes of input that are held and not worked on yet.
    pub fn held_input_bytes(&self) -> usize {
        self.dialect.held_bytes()
    }

    /// True where the session can do nothing with the input that it holds before the end of a line comes.
    pub fn awaits_end_of_line(&self) -> bool {
        matches!(self.phase, Phase::Ready) && self.dialect.awaits_more()
    }

    fn handle_crowded_out(&mut self, scarcity: Scarcity, now: Instant) {
        self.dialect.clear();
        if !matches!(self.phase, Phase::Closed) {
            self.give_up(ErrorCode::Busy, scarcity.message(), now);
        }
    }

    /// What the session makes of what it has.
    pub fn activity(&self, now: Instant) -> Activity {
        let working = |bytes: u64, since: Instant| {
            let elapsed_ms = now.saturating_duration_since(since).as_millis().max(1);
            let bytes_per_second = u128::from(bytes) * 1000 / elapsed_ms;
            Activity {
                is_working: true,
                bytes_per_second: bytes_per_second.try_into().unwrap_or(u64::MAX),
                since,
            }
        };
        match &self.phase {
            Phase::Moving(transfer) | Phase::Checking(transfer) => {
                working(transfer.moved.max(transfer.arrived), transfer.started)
            }
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Asking(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Holding(_)
            | Phase::Connecting { .. }
            | Phase::Dropping { .. }
            | Phase::Closed => Activity { is_working: !self.is_idle(), ..working(0, self.since) },
        }
    }

    fn handle_end_in_sight(&mut self, now: Instant) {
        if self.awaits_work() {
            self.answer(Answer::Working, now);
        }
    }

    fn handle_shutdown(&mut self) {
        if self.ending == Ending::No {
            self.ending = Ending::Stopping;
        }
    }

    fn handle_replies_written(&mut self, bytes: usize, now: Instant) {
        let was_full = self.is_outbox_full();
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
        if !self.moves_payload() {
            self.pace.progress(bytes as u64, now);
        }
        if was_full && self.takes_requests() {
            // The rest of a line that was not welcome until now gets its time from now on.
            self.since = now;
        }
        self.resume_listing(now);
    }

    fn handle_disk_progress(&mut self, now: Instant) {
        if self.wait() == Wait::Disk {
            self.since = now;
            if self.is_heard() && now >= self.told + WORKING_INTERVAL {
                self.answer(Answer::Working, now);
            }
        }
    }

    fn takes_requests(&self) -> bool {
        self.lines_left > 0 && self.is_between_commands()
    }

    fn is_between_commands(&self) -> bool {
        matches!(self.phase, Phase::Ready) && self.ending == Ending::No && !self.is_outbox_full()
    }

    /// Too much waits to be read by the client, or will.
    fn is_outbox_full(&self) -> bool {
        self.unwritten_bytes + self.owed.bytes() >= OUTBOX_PAUSE_BYTES
    }

    /// The pace is that of the data connection.
    fn moves_payload(&self) -> bool {
        matches!(self.phase, Phase::Moving(_) | Phase::Dropping { .. })
    }

    /// Every upload is answered: what had to wait for that goes on.
    fn handle_nothing_owed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Ready) {
            // Only from now on it is the client that is waited for.
            self.pace = Pace::new(now);
        } else if matches!(self.phase, Phase::Holding(_))
            && let Some(transfer) = self.phase.take_transfer()
        {
            self.connect(transfer, now);
        }
    }

    fn refuse(&mut self, verb: Verb, path: RemotePath, code: ErrorCode, now: Instant) {
        self.answer(Answer::Refused { code, subject: Subject::Path(&path) }, now);
        self.log_refusal(verb, code, path);
        self.enter(Phase::Ready, now);
    }

    fn log_refusal(&mut self, verb: Verb, code: ErrorCode, path: RemotePath) {
        self.actions.push_back(Action::Log(Event::Refused { verb: Some(verb), code, path: Some(path) }));
    }

    fn finish(&mut self, answer: Answer<'_>, now: Instant) {
        self.answer(answer, now);
        self.enter(Phase::Ready, now);
    }

    fn answer(&mut self, answer: Answer<'_>, now: Instant) {
        let text = self.dialect.text_of(answer);
        self.say(text, now);
    }

    /// Says something, behind everything that is owed for earlier requests.
    fn say(&mut self, text: Vec<u8>, now: Instant) {
        if self.owed.is_empty() {
            self.send_text(text, now);
        } else {
            self.owed.push_text(text);
        }
    }

    fn send_text(&mut self, text: Vec<u8>, now: Instant) {
        if self.unwritten_bytes == 0 && !self.moves_payload() {
            self.pace = Pace::new(now);
        }
        self.told = now;
        self.unwritten_bytes += text.len();
        self.actions.push_back(Action::Reply(text));
    }

    /// Ends the session with a reason, whatever was under way.
    fn give_up(&mut self, code: ErrorCode, reason: &str, now: Instant) {
        self.owed.clear();
        self.answer(Answer::Ending { code, reason }, now);
        self.close(now);
    }

    fn close(&mut self, now: Instant) {
        self.enter(Phase::Closed, now);
        self.actions.push_back(Action::Close);
    }

    fn abort(&mut self) {
        self.phase = Phase::Closed;
        self.actions.push_back(Action::Abort);
    }

    fn close_data(&mut self) {
        if std::mem::take(&mut self.data_attached) {
            self.actions.push_back(Action::CloseData);
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
