//! The server's end of one session, pure.
//!
//! The shell tells facts ([`Session::handle`]) and performs the actions that come out of [`Session::poll_action`],
//! all of them, after each fact. A session has two layers: its [dialect] makes requests of what the client sends
//! and text of what it is to be told, and its work does what is asked for. One command is worked on at a time, but for one
//! overlap: while small uploads wait for the disk, the uploads behind them are received already, so that they can share its
//! flushes. The commands behind wait in the dialect and in the socket, so a client may send as many ahead as it likes.
//! The session counts the payload of transfers but never sees it. It never fails on facts that come late:
//! what no longer matters to its phase is ignored.

pub mod access;
pub mod action;
pub mod answer;
pub mod consent;
pub mod dialect;
pub mod entry_format;
pub mod fact;
pub mod limits;
pub mod outbox;
pub mod request;
mod work;

use crate::access::Access;
use crate::action::{Action, Direction, Event};
use crate::answer::Answer;
use crate::dialect::{Answered, AnyDialect, Dialect, Heard, Interruption};
use crate::fact::{Fact, Scarcity};
use crate::limits::{LOGIN_TIMEOUT, TURN_LINES};
use crate::work::{Output, Wait, Work};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
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
    pub show_who: ShowWho,
}

/// What a client may know of the sessions of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowWho {
    /// Their addresses, and which files they move.
    All,
    /// How many they are, and how much they move together.
    Counts,
    /// Nothing.
    None,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Session<D = AnyDialect> {
    dialect: D,
    work: Work,
    /// How many lines may still be looked at before others have their turn.
    lines_left: usize,
    /// The client has said its last; what it said is still answered.
    input_ended: bool,
    ending: Ending,
    /// When it began.
    begun: Instant,
    /// What was heard and must wait for the uploads before it to be published. Few sessions have one.
    held: Option<Box<Heard>>,
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

/// A transfer, as others may see it.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    pub direction: Direction,
    pub path: &'a RemotePath,
    /// What the receiving end has of the file.
    pub moved_bytes: u64,
    /// The size of the whole file, as far as it is known.
    pub size_bytes: u64,
}

impl<D: Dialect> Session<D> {
    pub fn new(dialect: D, policy: Policy, now: Instant) -> Self {
        let greeting = dialect.greeting();
        let mut session = Self {
            dialect,
            work: Work::new(Access::everybody(&policy), now),
            lines_left: TURN_LINES,
            input_ended: false,
            ending: Ending::No,
            begun: now,
            held: None,
            actions: VecDeque::new(),
        };
        if let Some(greeting) = greeting {
            session.work.answer(Answer::Said(greeting));
            session.pass_on_outputs(now);
        }
        session
    }

    /// A session for which there is no room: it tells the client why, and ends.
    pub fn turned_away(dialect: D, policy: Policy, code: ErrorCode, now: Instant) -> Self {
        let mut session = Self::new(dialect, policy, now);
        session.work.give_up(code, code.message(), now);
        session.pass_on_outputs(now);
        session
    }

    /// Takes in what has happened; what is to be done about it comes out of [`Session::poll_action`].
    pub fn handle(&mut self, fact: Fact<'_>, now: Instant) {
        let may_take_requests = !matches!(fact, Fact::SoughtElsewhere);
        match fact {
            Fact::Input(bytes) => self.handle_input(bytes, now),
            Fact::EndOfInput => self.handle_end_of_input(now),
            Fact::EndInSight => self.work.handle_end_in_sight(),
            Fact::Turn { lines } => self.lines_left = lines,
            Fact::RepliesWritten(bytes) => self.handle_replies_written(bytes, now),
            Fact::Listed(part) => self.work.handle_listing(part, now),
            Fact::Surveyed(part) => self.work.handle_surveyed(part, now),
            Fact::Found(found) => self.work.handle_found(found, now),
            Fact::Changed(changed) => self.work.handle_changed(changed, now),
            Fact::Opened(opened) => self.work.handle_opened(opened, now),
            Fact::Staged(staged) => self.work.handle_staged(staged, now),
            Fact::Ticket(ticket) => self.work.handle_ticket(ticket, now),
            Fact::Listening(address) => self.work.handle_listening(address, now),
            Fact::Connecting => self.work.handle_connecting(now),
            Fact::Unreachable => self.work.handle_unreachable(now),
            Fact::Checked(checked) => self.work.handle_checked(checked, now),
            Fact::Published { id, result } => self.work.handle_published(id, result, now),
            Fact::DiskProgress => self.work.handle_disk_progress(now),
            Fact::NoRoom => self.work.handle_no_room(now),
            Fact::DataAttached => self.work.handle_data_attached(now),
            Fact::DataEnded(end) => self.work.handle_data_ended(end, now),
            Fact::Arrived { bytes } => self.work.handle_arrived(bytes, now),
            Fact::Moved { bytes } => self.work.handle_moved(bytes, now),
            Fact::Trailer(digest) => self.work.handle_trailer(digest, now),
            Fact::SendFailed(code) => self.work.handle_send_failed(code, now),
            Fact::ReceiveFailed { code, unread_bytes } => {
                self.work.handle_receive_failed(code, unread_bytes, now);
            }
            Fact::SoughtElsewhere => self.work.handle_sought_elsewhere(now),
            Fact::GiveWay => self.work.handle_give_way(now),
            Fact::CrowdedOut(scarcity) => self.handle_crowded_out(scarcity, now),
            Fact::Shutdown => self.handle_shutdown(),
            Fact::Timeout => self.handle_timeout(now),
        }
        self.heed_interruptions(now);
        self.pass_on_outputs(now);
        if may_take_requests {
            // Any fact may have finished a command.
            self.take_requests(now);
        }
        self.work.check_invariants();
        let is_held = self.held.is_some() && self.takes_requests();
        debug_assert!(!is_held || !self.work.owes_nothing(), "a command is held for nothing");
    }

    /// The next piece of work. Call until it gives `None` after every fact.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            self.actions = VecDeque::new();
            self.work.rest();
        }
        action
    }

    /// True while bytes of the control connection are welcome. Reading on regardless would only make the
    /// server hold what the socket can hold.
    pub fn wants_input(&self) -> bool {
        let is_welcome = if self.dialect.hears_meanwhile() {
            !self.work.is_closed() && self.dialect.has_room()
        } else {
            self.takes_requests() && self.held.is_none()
        };
        is_welcome && !self.input_ended
    }

    /// True where what has come over the control connection is to be known before the end of the data connection is: a
    /// client that takes back an upload does so at the same moment.
    pub fn hears_control_first(&self) -> bool {
        self.dialect.hears_meanwhile() && !self.input_ended
    }

    /// True while no command is under way that could have a file open.
    pub fn is_at_rest(&self) -> bool {
        self.work.is_ready() || self.work.is_closed()
    }

    /// True where more could be done at once, but others should have their turn before:
    /// [`Fact::Turn`] has it go on.
    pub fn is_paused(&self) -> bool {
        self.lines_left == 0 && self.is_between_commands()
    }

    /// True between commands, with nothing read or owed. A data connection can be given up then.
    pub fn is_idle(&self) -> bool {
        self.work.is_ready()
            && self.lines_left > 0
            && !self.work.has_unwritten()
            && self.work.owes_nothing()
            && self.dialect.held_bytes() == 0
    }

    /// Bytes of input that are held and not worked on yet.
    pub fn held_input_bytes(&self) -> usize {
        self.dialect.held_bytes()
    }

    /// True where the session can do nothing with the input that it holds before the end of a line comes.
    pub fn awaits_end_of_line(&self) -> bool {
        self.work.is_ready() && self.dialect.awaits_more()
    }

    /// True while the client waits for a disk, or for the server to have room, and can be told so.
    pub fn awaits_work(&self) -> bool {
        self.work.awaits_work()
    }

    /// When [`Fact::Timeout`] is due. It moves with every fact that is progress.
    pub fn deadline(&self) -> Instant {
        let deadline = self.work.deadline(self.wait());
        self.login_deadline().map_or(deadline, |login| login.min(deadline))
    }

    fn login_deadline(&self) -> Option<Instant> {
        let is_due = self.dialect.awaits_login() && !self.work.is_closed();
        is_due.then(|| self.begun + LOGIN_TIMEOUT)
    }

    /// For the log of a session whose connection is gone: the transfer that was under way.
    pub fn unfinished(&self, now: Instant) -> Option<Event> {
        self.work.unfinished(ErrorCode::BrokenOff, now)
    }

    /// What the session makes of what it has.
    pub fn activity(&self, now: Instant) -> Activity {
        let (bytes, since) = self.work.payload();
        let elapsed_ms = now.saturating_duration_since(since).as_millis().max(1);
        let bytes_per_second = u128::from(bytes) * 1000 / elapsed_ms;
        Activity {
            is_working: !self.is_idle(),
            bytes_per_second: bytes_per_second.try_into().unwrap_or(u64::MAX),
            since,
        }
    }

    /// The file that the session moves, or that it has received and that waits for the disk.
    pub fn running(&self) -> Option<Running<'_>> {
        self.work.running()
    }

    fn wait(&self) -> Wait {
        let wait = self.work.wait();
        let has_begun = wait == Wait::Command && self.dialect.held_bytes() > 0;
        if has_begun { Wait::EndOfLine } else { wait }
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if self.work.is_closed() {
            return;
        }
        if self.dialect.held_bytes() == 0 {
            self.work.handle_heard(now);
        }
        self.dialect.push(bytes);
    }

    fn handle_replies_written(&mut self, bytes: usize, now: Instant) {
        let was_full = self.work.is_outbox_full();
        self.work.handle_replies_written(bytes, now);
        if was_full && self.takes_requests() {
            // The rest of a line that was not welcome until now gets its time from now on.
            self.work.handle_heard(now);
        }
    }

    /// Where the end of the control connection takes back what is under way, it does so unless the client has said before
    /// that it would end the session.
    fn handle_end_of_input(&mut self, now: Instant) {
        self.input_ended = true;
        if self.dialect.hears_meanwhile() && !self.dialect.has_said_goodbye() {
            self.work.handle_client_gone(now);
        }
    }

    fn heed_interruptions(&mut self, now: Instant) {
        while self.work.can_be_taken_back() && !self.work.is_outbox_full() {
            match self.dialect.interruption(self.work.running()) {
                Some(Interruption::Abort(text)) => {
                    self.work.take_back(now);
                    self.work.answer(Answer::Said(text));
                }
                Some(Interruption::Told(text)) => self.work.answer(Answer::Said(text)),
                None => return,
            }
        }
    }

    fn handle_crowded_out(&mut self, scarcity: Scarcity, now: Instant) {
        self.dialect.clear();
        if !self.work.is_closed() {
            self.work.give_up(ErrorCode::Busy, scarcity.message(), now);
        }
    }

    fn handle_shutdown(&mut self) {
        if self.ending == Ending::No {
            self.ending = Ending::Stopping;
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.login_deadline().is_some_and(|deadline| now >= deadline) {
            return self.work.give_up(ErrorCode::TimedOut, "no login in time", now);
        }
        let wait = self.wait();
        if now >= self.work.deadline(wait) {
            self.work.time_out(wait, now);
        }
    }

    fn takes_requests(&self) -> bool {
        self.lines_left > 0 && self.is_between_commands()
    }

    fn is_between_commands(&self) -> bool {
        // What interrupts must not be heard as a request while something is owed that it is to end.
        let is_free = !self.dialect.hears_meanwhile() || self.work.owes_nothing();
        is_free && self.work.is_ready() && self.ending == Ending::No && !self.work.is_outbox_full()
    }

    /// Goes on with what has been heard, one thing at a time.
    fn take_requests(&mut self, now: Instant) {
        while self.takes_requests() {
            let held = self.held.take().map(|heard| *heard);
            let heard = held.unwrap_or_else(|| self.hear(now));
            if !self.admits(&heard) {
                self.held = Some(Box::new(heard));
                return;
            }
            match heard {
                Heard::Request(request) => self.work.begin(request, now),
                Heard::Answered(answered) => self.say(answered, now),
                Heard::Nothing => {
                    if self.input_ended {
                        self.ending = Ending::Quiet;
                    }
                    break;
                }
            }
            self.pass_on_outputs(now);
        }
        if self.ending != Ending::No && self.work.is_ready() && self.work.owes_nothing() {
            if self.ending == Ending::Stopping {
                let code = ErrorCode::ShuttingDown;
                self.work.answer(Answer::Ending { code, reason: code.message() });
            }
            self.work.close(now);
            self.pass_on_outputs(now);
        }
    }

    fn hear(&mut self, now: Instant) -> Heard {
        let heard = self.dialect.next();
        if !matches!(heard, Heard::Nothing) {
            self.lines_left -= 1;
            self.work.handle_heard(now);
        }
        heard
    }

    /// A mistake may be told while uploads wait for the disk. Anything else that the dialect answers waits for them.
    fn admits(&self, heard: &Heard) -> bool {
        match heard {
            Heard::Request(request) => self.work.admits(request),
            Heard::Answered(answered) => answered.is_mistake || self.work.owes_nothing(),
            Heard::Nothing => true,
        }
    }

    /// Says what the dialect answers by itself.
    fn say(&mut self, answered: Answered, now: Instant) {
        self.work.log(answered.event);
        self.work.answer(Answer::Said(answered.text));
        if answered.is_last {
            self.ending = Ending::Quiet;
        } else {
            self.work.drop_payload(answered.payload_bytes, now);
        }
    }

    /// Makes actions of what the work has done.
    fn pass_on_outputs(&mut self, now: Instant) {
        while let Some(output) = self.work.poll_output() {
            let action = match output {
                Output::Action(action) => action,
                Output::Answer(answer) => {
                    let text = self.dialect.text_of(answer);
                    self.work.handle_said(text.len(), now);
                    Action::Reply(text)
                }
            };
            self.actions.push_back(action);
        }
    }
}
