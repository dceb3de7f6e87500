//! The server's end of one session, pure.
//!
//! The shell feeds facts (`handle_...`) and performs the work that comes out of [`Session::poll_action`],
//! all of it, after each fact. One command is worked on at a time; the commands behind it wait in the
//! decoder and in the socket, so a client may send as many ahead as it likes. The session counts the
//! payload of transfers but never sees it. It never fails on facts that come late: what no longer
//! matters to its phase is ignored.

mod phase;

use crate::action::{Action, Direction, Event, ListingPart, Opened};
use crate::command::{Command, Verb};
use crate::entry::Entry;
use crate::error::ErrorCode;
use crate::limits::{
    DATA_SLOT_TIMEOUT, DISK_TIMEOUT, EAGER_MAX_BYTES, IDLE_TIMEOUT, LINE_MAX_BYTES, LINE_TIMEOUT,
    OUTBOX_PAUSE_BYTES, PROTOCOL_VERSION, TICKET_TIMEOUT,
};
use crate::line::LineDecoder;
use crate::pace::Pace;
use crate::path::RemotePath;
use crate::reply::Reply;
use crate::ticket::Ticket;
use phase::{Listing, Phase, Transfer};
use std::collections::VecDeque;
use std::time::Instant;

/// What the server's operator decided for all sessions.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Where data connections are accepted.
    pub data_port: u16,
    /// No upload is accepted.
    pub read_only: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    decoder: LineDecoder,
    phase: Phase,
    /// When the phase, or the newest step in it, began.
    since: Instant,
    pace: Pace,
    data_attached: bool,
    /// The client has said its last; what it said is still answered.
    input_ended: bool,
    /// The server takes no further command.
    stopping: bool,
    /// Replies handed out and not yet reported as written.
    unwritten_bytes: usize,
    actions: VecDeque<Action>,
}

impl Session {
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            decoder: LineDecoder::default(),
            phase: Phase::Ready,
            since: now,
            pace: Pace::new(now),
            data_attached: false,
            input_ended: false,
            stopping: false,
            unwritten_bytes: 0,
            actions: VecDeque::new(),
        }
    }

    /// A session that is only told why it cannot be.
    pub fn turned_away(policy: Policy, code: ErrorCode, now: Instant) -> Self {
        let mut session = Self::new(policy, now);
        session.close_with(code, code.message(), now);
        session
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
        self.takes_commands() && !self.input_ended
    }

    /// True between commands, with nothing read or owed. A data connection can be given up then.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Ready) && self.unwritten_bytes == 0 && self.decoder.partial_bytes() == 0
    }

    /// When [`Session::handle_timeout`] is due. It moves with every fact that is progress.
    pub fn deadline(&self) -> Instant {
        if self.is_paced() {
            return self.pace.deadline();
        }
        match &self.phase {
            Phase::Ready if self.decoder.partial_bytes() > 0 => self.since + LINE_TIMEOUT,
            Phase::Ready => self.since + IDLE_TIMEOUT,
            Phase::Listing(_)
            | Phase::Looking { .. }
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Publishing(_) => self.since + DISK_TIMEOUT,
            Phase::Connecting { ticket_issued: false, .. } => self.since + DATA_SLOT_TIMEOUT,
            Phase::Connecting { ticket_issued: true, .. } => self.since + TICKET_TIMEOUT,
            Phase::Moving(_) | Phase::Dropping { .. } | Phase::Closed => self.pace.deadline(),
        }
    }

    /// Bytes came over the control connection.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if matches!(self.phase, Phase::Ready) && self.decoder.partial_bytes() == 0 {
            self.since = now;
        }
        self.decoder.push(bytes);
        self.take_commands(now);
    }

    /// The client will send no further command. Those that it sent are still answered; a line without
    /// its ending is not one of them.
    pub fn handle_end_of_input(&mut self, now: Instant) {
        self.input_ended = true;
        self.take_commands(now);
    }

    /// The server is about to stop: the running command is the last that is done. The client is told.
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.take_commands(now);
    }

    /// The control connection took `bytes` of the replies.
    pub fn handle_replies_written(&mut self, bytes: usize, now: Instant) {
        let was_full = self.unwritten_bytes >= OUTBOX_PAUSE_BYTES;
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
        self.pace.progress(bytes as u64);
        if was_full && self.takes_commands() {
            // The rest of a line that was not welcome until now gets its time from now on.
            self.since = now;
        }
        self.resume_listing(now);
        self.take_commands(now);
    }

    pub fn handle_listing(&mut self, part: Result<ListingPart, ErrorCode>, now: Instant) {
        let Phase::Listing(listing) = &mut self.phase else { return };
        match part {
            Err(code) => {
                let path = listing.path.clone();
                self.refuse(Verb::Ls, path, code, now);
            }
            Ok(part) => {
                listing.entries += part.entries;
                listing.paused_at = part.next;
                let finished = part.next.is_none().then_some(listing.entries);
                if !part.lines.is_empty() {
                    self.reply(part.lines, now);
                }
                match finished {
                    Some(entries) => self.finish(Reply::ok_with(entries), now),
                    None => self.resume_listing(now),
                }
            }
        }
        self.take_commands(now);
    }

    pub fn handle_stat(&mut self, entry: Result<Entry, ErrorCode>, now: Instant) {
        let Phase::Looking { path } = &self.phase else { return };
        match entry {
            Ok(entry) => {
                self.reply(Reply::entry(Verb::Stat.word(), &entry), now);
                self.finish(Reply::ok(), now);
            }
            Err(code) => {
                let path = path.clone();
                self.refuse(Verb::Stat, path, code, now);
            }
        }
        self.take_commands(now);
    }

    pub fn handle_opened(&mut self, opened: Result<Opened, ErrorCode>, now: Instant) {
        let Phase::Opening { path, offset } = &self.phase else { return };
        let (path, offset) = (path.clone(), *offset);
        let remaining = opened.and_then(|opened| {
            let length = opened.size_bytes.checked_sub(offset).ok_or(ErrorCode::BadOffset)?;
            Ok((length, opened.mtime_s))
        });
        match remaining {
            Ok((length, mtime_s)) => {
                let direction = Direction::Download;
                self.connect(
                    Transfer { direction, path, offset, length, mtime_s, moved: 0, started: now },
                    now,
                );
            }
            Err(code) => {
                self.actions.push_back(Action::Discard);
                self.refuse(Verb::Download, path, code, now);
            }
        }
        self.take_commands(now);
    }

    pub fn handle_staged(&mut self, staged: Result<(), ErrorCode>, now: Instant) {
        let Phase::Staging { path, size } = &self.phase else { return };
        let (path, length) = (path.clone(), *size);
        match staged {
            Ok(()) => {
                let (direction, started) = (Direction::Upload, now);
                let transfer = Transfer { direction, path, offset: 0, length, mtime_s: 0, moved: 0, started };
                self.connect(transfer, now);
            }
            Err(code) => self.refuse_upload(path, length, code, now),
        }
        self.take_commands(now);
    }

    pub fn handle_ticket(&mut self, ticket: &Ticket, now: Instant) {
        let Phase::Connecting { ticket_issued, .. } = &mut self.phase else { return };
        *ticket_issued = true;
        self.since = now;
        self.reply(Reply::data(self.policy.data_port, ticket), now);
    }

    /// A data connection presented the ticket.
    pub fn handle_data_attached(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Connecting { ticket_issued: true, .. })
            && let Some(transfer) = self.phase.take_transfer()
        {
            self.data_attached = true;
            self.begin_moving(transfer, now);
        }
        self.take_commands(now);
    }

    /// The data connection ended, by the peer or by the network.
    pub fn handle_data_lost(&mut self, now: Instant) {
        self.data_attached = false;
        if matches!(self.phase, Phase::Moving(_)) {
            self.break_off(ErrorCode::BrokenOff, now);
        } else if matches!(self.phase, Phase::Dropping { .. }) {
            self.enter(Phase::Ready, now);
        }
        self.take_commands(now);
    }

    /// Payload moved: to the socket of a download, into the staged file of an upload, or away.
    pub fn handle_moved(&mut self, bytes: u64, now: Instant) {
        self.pace.progress(bytes);
        if let Phase::Moving(transfer) = &mut self.phase {
            transfer.moved += bytes;
            self.finish_if_moved(now);
        } else if let Phase::Dropping { remaining } = &mut self.phase {
            *remaining = remaining.saturating_sub(bytes);
            if *remaining == 0 {
                self.enter(Phase::Ready, now);
            }
        }
        self.take_commands(now);
    }

    /// The file of a download shrank or could not be read.
    pub fn handle_send_failed(&mut self, code: ErrorCode, now: Instant) {
        if let Phase::Moving(Transfer { direction: Direction::Download, .. }) = self.phase {
            self.close_data();
            self.break_off(code, now);
        }
        self.take_commands(now);
    }

    /// The staged file could not be written; `unread_bytes` of the upload are still to come from the peer.
    pub fn handle_receive_failed(&mut self, code: ErrorCode, unread_bytes: u64, now: Instant) {
        if let Phase::Moving(Transfer { direction: Direction::Upload, .. }) = self.phase {
            let droppable = unread_bytes <= EAGER_MAX_BYTES;
            if !droppable {
                self.close_data();
            }
            self.break_off(code, now);
            if droppable {
                self.drop_payload(unread_bytes, now);
            }
        }
        self.take_commands(now);
    }

    pub fn handle_published(&mut self, published: Result<(), ErrorCode>, now: Instant) {
        if matches!(self.phase, Phase::Publishing(_))
            && let Some(transfer) = self.phase.take_transfer()
        {
            match published {
                Ok(()) => self.finish_transfer(transfer, now),
                Err(code) => {
                    self.actions.push_back(Action::Discard);
                    self.refuse(Verb::Upload, transfer.path, code, now);
                }
            }
        }
        self.take_commands(now);
    }

    /// To be called when [`Session::deadline`] has come; does nothing before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline() {
            return;
        }
        if self.is_paced() && self.pace.suffices() {
            self.pace = Pace::new(now);
            return;
        }
        match &self.phase {
            Phase::Closed | Phase::Listing(Listing { paused_at: Some(_), .. }) => self.abort(),
            Phase::Ready if self.unwritten_bytes > 0 => self.abort(),
            Phase::Ready => self.close_with(ErrorCode::TimedOut, "no complete command for too long", now),
            Phase::Listing(_)
            | Phase::Looking { .. }
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Publishing(_) => {
                // The job cannot be called back, so neither can what it holds: the session ends with it.
                self.close_with(ErrorCode::Io, "the server's disk does not answer", now);
            }
            Phase::Connecting { ticket_issued, .. } => {
                let code = if *ticket_issued { ErrorCode::TimedOut } else { ErrorCode::Busy };
                self.actions.push_back(Action::CancelData);
                self.break_off(code, now);
            }
            Phase::Moving(_) => {
                self.close_data();
                self.break_off(ErrorCode::TimedOut, now);
            }
            Phase::Dropping { .. } => {
                self.close_data();
                self.enter(Phase::Ready, now);
            }
        }
        self.take_commands(now);
    }

    fn is_paced(&self) -> bool {
        self.phase.is_paced(self.unwritten_bytes)
    }

    fn takes_commands(&self) -> bool {
        matches!(self.phase, Phase::Ready) && !self.stopping && self.unwritten_bytes < OUTBOX_PAUSE_BYTES
    }

    /// Goes on with the lines at hand, one command at a time. Every fact ends here, since any may have
    /// finished a command.
    fn take_commands(&mut self, now: Instant) {
        while self.takes_commands() {
            match self.decoder.next_line() {
                Ok(Some(line)) => {
                    self.since = now;
                    self.take_line(&line, now);
                }
                Ok(None) if self.input_ended => self.close(now),
                Ok(None) => return,
                Err(_) => {
                    self.log_refusal(None, ErrorCode::LineTooLong, None);
                    let message = format!("a line has at most {LINE_MAX_BYTES} bytes");
                    self.close_with(ErrorCode::LineTooLong, &message, now);
                }
            }
        }
        if self.stopping && matches!(self.phase, Phase::Ready) {
            self.close_with(ErrorCode::ShuttingDown, ErrorCode::ShuttingDown.message(), now);
        }
    }

    fn take_line(&mut self, line: &[u8], now: Instant) {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => {
                self.log_refusal(None, error.code, None);
                self.reply(Reply::err(error.code, error.message), now);
                return self.drop_payload(error.eager_bytes, now);
            }
        };
        self.actions.push_back(Action::Log(Event::Received { verb: command.verb() }));
        match command {
            Command::Ls { path } => {
                self.enter(Phase::Listing(Listing { path: path.clone(), entries: 0, paused_at: None }), now);
                self.actions.push_back(Action::List { path, cursor: 0 });
            }
            Command::Stat { path } => {
                self.enter(Phase::Looking { path: path.clone() }, now);
                self.actions.push_back(Action::Stat { path });
            }
            Command::Download { path, offset } => {
                self.enter(Phase::Opening { path: path.clone(), offset }, now);
                self.actions.push_back(Action::Open { path });
            }
            Command::Upload { path, size } => self.take_upload(path, size, now),
            Command::Hello { version } => self.say_hello(version, now),
            Command::Help => {
                for &verb in Verb::ALL {
                    let line =
                        Reply::info(Verb::Help.word(), format_args!("{} - {}", verb.usage(), verb.summary()));
                    self.reply(line, now);
                }
                self.reply(Reply::ok(), now);
            }
            Command::Exit => {
                self.reply(Reply::ok(), now);
                self.close(now);
            }
        }
    }

    fn take_upload(&mut self, path: RemotePath, size: u64, now: Instant) {
        if self.policy.read_only {
            self.refuse_upload(path, size, ErrorCode::ReadOnly, now);
        } else if path.is_root() {
            self.refuse_upload(path, size, ErrorCode::IsDirectory, now);
        } else {
            self.enter(Phase::Staging { path: path.clone(), size }, now);
            self.actions.push_back(Action::Stage { path, size });
        }
    }

    /// The version in force is the highest that both ends speak.
    fn say_hello(&mut self, version: Option<u64>, now: Instant) {
        if version == Some(0) {
            self.log_refusal(Some(Verb::Hello), ErrorCode::Version, None);
            return self.reply(Reply::err(ErrorCode::Version, ErrorCode::Version), now);
        }
        let yes_no = if self.policy.read_only { "yes" } else { "no" };
        for (key, value) in [
            ("line-max", LINE_MAX_BYTES.to_string()),
            ("eager-max", EAGER_MAX_BYTES.to_string()),
            ("read-only", yes_no.to_owned()),
        ] {
            self.reply(Reply::info(Verb::Hello.word(), format_args!("{key} {value}")), now);
        }
        self.reply(Reply::ok_with(version.unwrap_or(PROTOCOL_VERSION).min(PROTOCOL_VERSION)), now);
    }

    /// Has a data connection, or asks for one.
    fn connect(&mut self, transfer: Transfer, now: Instant) {
        if self.data_attached {
            self.begin_moving(transfer, now);
        } else {
            self.enter(Phase::Connecting { transfer, ticket_issued: false }, now);
            self.actions.push_back(Action::RequestData);
        }
    }

    fn begin_moving(&mut self, transfer: Transfer, now: Instant) {
        let Transfer { direction, offset, length, mtime_s, .. } = transfer;
        match direction {
            Direction::Download => {
                self.reply(Reply::download(length, mtime_s), now);
                if length > 0 {
                    self.actions.push_back(Action::Send { offset, length });
                }
            }
            Direction::Upload => {
                if length > EAGER_MAX_BYTES {
                    self.reply(Reply::upload(offset), now);
                }
                if length > 0 {
                    self.actions.push_back(Action::Receive { length });
                }
            }
        }
        self.enter(Phase::Moving(transfer), now);
        // An empty file has moved already.
        self.finish_if_moved(now);
    }

    fn finish_if_moved(&mut self, now: Instant) {
        if matches!(&self.phase, Phase::Moving(transfer) if transfer.moved >= transfer.length)
            && let Some(transfer) = self.phase.take_transfer()
        {
            match transfer.direction {
                Direction::Download => {
                    self.actions.push_back(Action::Discard);
                    self.finish_transfer(transfer, now);
                }
                Direction::Upload => {
                    self.enter(Phase::Publishing(transfer), now);
                    self.actions.push_back(Action::Publish);
                }
            }
        }
    }

    fn finish_transfer(&mut self, transfer: Transfer, now: Instant) {
        let Transfer { direction, path, length, started, .. } = transfer;
        let elapsed = now.saturating_duration_since(started);
        self.actions.push_back(Action::Log(Event::Finished { direction, path, length, elapsed }));
        self.finish(Reply::ok_with(length), now);
    }

    /// Ends a transfer that cannot go on, and answers its command.
    fn break_off(&mut self, code: ErrorCode, now: Instant) {
        let Some(transfer) = self.phase.take_transfer() else { return };
        self.actions.push_back(Action::Discard);
        self.reply(Reply::err(code, format_args!("{code}: {}", transfer.path)), now);
        let Transfer { direction, path, moved, length, .. } = transfer;
        self.actions.push_back(Action::Log(Event::BrokenOff { direction, path, moved, length, code }));
        self.enter(Phase::Ready, now);
    }

    /// Refuses an upload; where its bytes may be on their way, they are read and dropped.
    fn refuse_upload(&mut self, path: RemotePath, size: u64, code: ErrorCode, now: Instant) {
        self.refuse(Verb::Upload, path, code, now);
        if size <= EAGER_MAX_BYTES {
            self.drop_payload(size, now);
        }
    }

    fn drop_payload(&mut self, length: u64, now: Instant) {
        if self.data_attached && length > 0 {
            self.enter(Phase::Dropping { remaining: length }, now);
            self.actions.push_back(Action::Drop { length });
        }
    }

    fn refuse(&mut self, verb: Verb, path: RemotePath, code: ErrorCode, now: Instant) {
        self.reply(Reply::err(code, format_args!("{code}: {path}")), now);
        self.log_refusal(Some(verb), code, Some(path));
        self.enter(Phase::Ready, now);
    }

    fn log_refusal(&mut self, verb: Option<Verb>, code: ErrorCode, path: Option<RemotePath>) {
        self.actions.push_back(Action::Log(Event::Refused { verb, code, path }));
    }

    fn finish(&mut self, reply: Vec<u8>, now: Instant) {
        self.reply(reply, now);
        self.enter(Phase::Ready, now);
    }

    fn reply(&mut self, lines: Vec<u8>, now: Instant) {
        if self.unwritten_bytes == 0 {
            self.pace = Pace::new(now);
        }
        self.unwritten_bytes += lines.len();
        self.actions.push_back(Action::Reply(lines));
    }

    fn resume_listing(&mut self, now: Instant) {
        if self.unwritten_bytes < OUTBOX_PAUSE_BYTES
            && let Phase::Listing(listing) = &mut self.phase
            && let Some(cursor) = listing.paused_at.take()
        {
            let path = listing.path.clone();
            self.since = now;
            self.actions.push_back(Action::List { path, cursor });
        }
    }

    fn close_with(&mut self, code: ErrorCode, message: &str, now: Instant) {
        self.reply(Reply::err(code, format_args!("{message}; closing")), now);
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
        self.data_attached = false;
        self.actions.push_back(Action::CloseData);
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
        self.pace = Pace::new(now);
    }
}
