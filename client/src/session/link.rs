//! One session with a server, one command at a time: drives the engine, and holds the server to its pace. Leaves files and
//! the terminal to the [`Handler`] of each command. Never takes an address from the server, only a port.

use crate::engine::{self, Loss, News, Tokens};
use crate::failure::Failure;
use crate::limits::{
    CANCEL_NOTICE_DELAY, CANCEL_TIMEOUT, CLOSE_TIMEOUT, DATA_CONNECT_INTERVAL, HELLO_TIMEOUT, PACE_MIN_BYTES,
    STALL_TIMEOUT, WAIT_NOTICE_DELAY,
};
use crate::session::connect::{self, Connected};
use crate::session::handler::Bridge;
use crate::session::pace::{Awaited, Pace};
use crate::session::waiting::Loop;
use ferry_common::dialogue::{self, Success};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PROTOCOL_VERSION;
use ferry_common::wire::command::{Command, Verb};
use mio::Token;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) use crate::session::handler::{Handler, Ignore};

const TOKENS: Tokens = Tokens { control: Token(0), data: Token(1) };
/// Of the attempts to make a control connection, of which one becomes this session's.
pub(crate) const CONNECT_TOKEN: Token = Token(2);

/// See the module's documentation.
pub(crate) struct Link {
    session: engine::Session,
    peer: SocketAddr,
    is_usable: bool,
}

/// How long a command may take as a whole, and whether a person is told what it waits for.
struct Bounds {
    patience: Option<Duration>,
    is_told: bool,
}

/// The state of one command.
struct Running<'a> {
    bridge: Bridge<'a>,
    verb: Verb,
    pace: Pace,
    /// When the command is given up as a whole, whatever comes meanwhile.
    deadline: Option<Instant>,
    /// Until when the answer is waited for after this end has broken the transfer off.
    cancel_until: Option<Instant>,
    /// Until when the server may say why the data connection was lost.
    explain_until: Option<Instant>,
    /// A person waits for it, and may be told what for.
    is_told: bool,
    /// When to say what is waited for, after a while without a sign of the server; `None` once that was said.
    notice: Option<Duration>,
    /// By when the handler wants to show how far it has come.
    pulse_due: Option<Instant>,
}

impl Link {
    /// Makes sure that a Ferry server is at the other end of the connection.
    ///
    /// Where that takes long, a person is told what is waited for.
    pub(crate) fn open(connected: Connected, net: &mut Loop) -> Result<Self, Failure> {
        let Connected { control, peer } = connected;
        let session = engine::Session::adopt(control, peer, TOKENS, net.registry()).map_err(|error| {
            Failure::CannotConnect(format!(
                "Cannot use the connection to {peer}: {}",
                connect::describe(&error)
            ))
        })?;
        let mut link = Self { session, peer, is_usable: true };
        let hello = Command::Hello { version: Some(PROTOCOL_VERSION) };
        let bounds = Bounds { patience: Some(HELLO_TIMEOUT), is_told: true };
        match link.exchange_within(net, hello, &mut Ignore, bounds) {
            Ok(_) => Ok(link),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            Err(Failure::Refused { message, .. }) => {
                Err(Failure::CannotConnect(format!("The server at {peer} refuses: {message}")))
            }
            Err(Failure::ConnectionLost(reason)) => Err(Failure::CannotConnect(format!(
                "{reason}; what listens there may be stopping just now, or is not a Ferry server"
            ))),
            Err(failure) => Err(Failure::CannotConnect(format!(
                "What answers at {peer} is not a Ferry server, or not well: {failure}"
            ))),
        }
    }

    /// The address that the session is with.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// See [`engine::Session::knows_conditions`].
    pub(crate) fn knows_conditions(&self) -> bool {
        self.session.knows_conditions()
    }

    /// False once nothing more can come of this link. To be let go of then.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// True where the server has closed the session, or said something unasked, since the last command.
    pub(crate) fn is_stale(&self) -> bool {
        self.session.is_stale()
    }

    /// Runs one command. `patience` bounds it as a whole, and nothing is said meanwhile; without it, the server is held
    /// to its pace.
    pub(crate) fn exchange(
        &mut self,
        net: &mut Loop,
        command: Command,
        handler: &mut dyn Handler,
        patience: Option<Duration>,
    ) -> Result<Success, Failure> {
        self.exchange_within(net, command, handler, Bounds { patience, is_told: patience.is_none() })
    }

    fn exchange_within(
        &mut self,
        net: &mut Loop,
        command: Command,
        handler: &mut dyn Handler,
        Bounds { patience, is_told }: Bounds,
    ) -> Result<Success, Failure> {
        let mut running = Running {
            bridge: Bridge::new(handler),
            verb: command.verb(),
            pace: Pace::new(&command),
            deadline: patience.map(|patience| Instant::now() + patience),
            cancel_until: None,
            explain_until: None,
            is_told,
            notice: is_told.then_some(WAIT_NOTICE_DELAY),
            pulse_due: None,
        };
        let result = match net.interrupts().check() {
            Ok(()) => {
                self.session.request(command);
                self.run(net, &mut running)
            }
            Err(failure) => Err(self.give_up(failure)),
        };
        // What is still owed for a command that is over would be taken for the next one's.
        self.is_usable &= !self.session.is_busy();
        if self.session.is_moving() {
            // The rest of a refused file. The next transfer does better with a new connection than behind that.
            self.session.drop_data();
        }
        match (result, running.bridge.stopped) {
            (Err(_), _) if net.interrupts().signal().is_some() => Err(Failure::Interrupted),
            // What went wrong first is the reason, whatever the server did then.
            (Err(_), Some(stopped)) => Err(stopped),
            (result, _) => result,
        }
    }

    fn run(&mut self, net: &mut Loop, running: &mut Running<'_>) -> Result<Success, Failure> {
        loop {
            if self.session.wants_connect() {
                self.session.retry_connect(net.registry());
            }
            self.take_turn(net, running);
            while let Some(news) = self.session.poll_news() {
                if let Some(success) = self.hear(news, net, running)? {
                    return Ok(success);
                }
            }
            if self.obey_signals(net, running)? || self.judge(net, running)? {
                // The transfer was broken off, of which the engine may make something at once.
                continue;
            }
            let timeout = if self.session.has_work() { Duration::ZERO } else { self.timeout(net, running) };
            let begun = Instant::now();
            for event in net.wait(timeout)? {
                self.session.latch(event);
            }
            running.pace.note_waited(begun.elapsed());
        }
    }

    fn take_turn(&mut self, net: &mut Loop, running: &mut Running<'_>) {
        let mut turn = net.turn();
        self.session.turn(&mut turn, &mut running.bridge);
        running.pace.note_moved(turn.received_bytes + turn.sent_bytes);
        running.pulse_due =
            self.session.unsent_bytes().and_then(|unsent| running.bridge.handler.pulse(unsent));
    }

    /// Takes in what has happened. Gives the answer, where it is that.
    fn hear(
        &mut self,
        news: News,
        net: &mut Loop,
        running: &mut Running<'_>,
    ) -> Result<Option<Success>, Failure> {
        match news {
            News::Entry { entry, .. } => {
                running.bridge.is_answered = true;
                running.pace.note_moved(entry.name.len() as u64);
                running.bridge.handler.entry(entry).map_err(|failure| self.give_up(failure))?;
            }
            News::Digest { length, digest, .. } => {
                running.bridge.is_answered = true;
                running.bridge.handler.digest(length, digest);
            }
            News::Received { bytes, .. } => running.bridge.handler.received(bytes),
            News::Space { free_bytes, total_bytes, .. } => {
                running.bridge.is_answered = true;
                running.bridge.handler.space(free_bytes, total_bytes);
            }
            News::Session { entry, .. } => {
                running.bridge.is_answered = true;
                running.pace.note_moved(entry.name.len() as u64);
                running.bridge.handler.session(&entry).map_err(|failure| self.give_up(failure))?;
            }
            News::Totals { totals, .. } => {
                running.bridge.is_answered = true;
                running.bridge.handler.totals(totals);
            }
            // Facts for a person at a bare terminal, of a later version, or that long work goes on.
            News::Info { .. } => running.pace.note_working(),
            News::DataLost { loss: Loss::Connect(error), .. } => {
                return Err(self.data_unreachable(&error, net, running));
            }
            News::DataLost { loss: Loss::Ended | Loss::Excess, .. } => {
                running.explain_until = Some(Instant::now() + STALL_TIMEOUT);
            }
            News::Violation(what) => return Err(self.violation(&what)),
            News::Done { result, .. } => return self.conclude(result, net, running).map(Some),
            // The request ends by itself.
            News::ControlLost { .. } | News::DataClosed => {}
            // The control connection stood before.
            News::Connected | News::ConnectFailed(_) => {}
        }
        Ok(None)
    }

    /// The first Ctrl-C in a transfer ends that and keeps the session; everything else ends both. True where the
    /// transfer was broken off just now.
    fn obey_signals(&mut self, net: &Loop, running: &mut Running<'_>) -> Result<bool, Failure> {
        let interrupts = net.interrupts();
        if interrupts.signals() == 0 || self.is_cancelling_for_first(net, running) {
            return Ok(false);
        }
        let keeps_session = interrupts.signals() == 1
            && !interrupts.is_terminating()
            && running.bridge.stopped.is_none()
            && self.session.is_moving()
            && !self.session.is_connecting_data();
        if keeps_session {
            self.break_off(Failure::Interrupted, running);
            return Ok(true);
        }
        self.session.abort_data();
        Err(self.give_up(Failure::Interrupted))
    }

    fn is_cancelling_for_first(&self, net: &Loop, running: &Running<'_>) -> bool {
        matches!(running.bridge.stopped, Some(Failure::Interrupted))
            && net.interrupts().signals() == 1
            && !net.interrupts().is_terminating()
    }

    /// Closes the data connection hard, which tells the server. What the kernel still has of it is of no use.
    fn break_off(&mut self, failure: Failure, running: &mut Running<'_>) {
        running.bridge.stop(failure);
        self.session.abort_data();
    }

    /// Gives up what takes too long, and says what is waited for. True where the transfer was broken off just now.
    fn judge(&mut self, net: &Loop, running: &mut Running<'_>) -> Result<bool, Failure> {
        let now = Instant::now();
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if net.interrupts().signals() == 0
            && let Err(failure) = net.interrupts().check()
        {
            self.session.abort_data();
            return Err(self.give_up(failure));
        }
        if running.bridge.stopped.is_some() && running.cancel_until.is_none() {
            running.cancel_until = Some(now + CANCEL_TIMEOUT);
            running.pace.restart();
            running.notice = running.is_told.then_some(CANCEL_NOTICE_DELAY);
        }
        if self.session.has_data() {
            // Another one was made in place of the one that was lost.
            running.explain_until = None;
        }
        if is_over(running.deadline) || is_over(running.cancel_until) || is_over(running.explain_until) {
            return Err(self.no_answer());
        }
        running.pace.expect(self.awaited(), self.session.owed_bytes());
        if running.notice.take_if(|delay| *delay <= running.pace.silent_for()).is_some() {
            let text = self.waiting_text(running);
            running.bridge.handler.tell(&text);
        }
        if !running.pace.left().is_zero() {
            return Ok(false);
        }
        match running.pace.awaited() {
            Awaited::Answer => Err(self.no_answer()),
            Awaited::DataConnection => Err(self.unreachable_for(&io::ErrorKind::TimedOut.into())),
            Awaited::Payload => {
                let seconds = STALL_TIMEOUT.as_secs();
                let reason = format!("Less than {PACE_MIN_BYTES} bytes moved in {seconds} s");
                self.break_off(Failure::ConnectionLost(reason), running);
                Ok(true)
            }
        }
    }

    fn awaited(&self) -> Awaited {
        if self.session.is_connecting_data() {
            Awaited::DataConnection
        } else if self.session.is_moving() {
            Awaited::Payload
        } else {
            Awaited::Answer
        }
    }

    fn waiting_text(&self, running: &Running<'_>) -> String {
        let (peer, seconds) = (self.peer, WAIT_NOTICE_DELAY.as_secs());
        if running.bridge.stopped.is_some() {
            return format!("Stopped; waiting for {peer} to say so. Ctrl-C ends the session at once");
        }
        match running.pace.awaited() {
            Awaited::Payload => {
                format!("No data has moved for {seconds} s; waiting for {peer}. Ctrl-C stops")
            }
            Awaited::DataConnection => format!("Waiting for {peer} to take a data connection; Ctrl-C stops"),
            Awaited::Answer => format!("Waiting for {peer} to answer; Ctrl-C stops"),
        }
    }

    /// How long to wait for the network, if nothing happens there.
    fn timeout(&self, net: &Loop, running: &Running<'_>) -> Duration {
        let notice = running.notice.map(|delay| delay.saturating_sub(running.pace.silent_for()));
        let retry = self.session.wants_connect().then_some(DATA_CONNECT_INTERVAL);
        let now = Instant::now();
        let dues = [running.deadline, running.cancel_until, running.explain_until, running.pulse_due];
        let dues = dues.into_iter().chain([net.interrupts().deadline()]).flatten();
        let spans = dues.map(|due| due.saturating_duration_since(now));
        spans.chain(notice).chain(retry).fold(running.pace.left(), Duration::min)
    }

    fn conclude(
        &mut self,
        result: Result<Success, dialogue::Failure>,
        net: &mut Loop,
        running: &mut Running<'_>,
    ) -> Result<Success, Failure> {
        let failure = match (result, running.bridge.stopped.take()) {
            (Ok(success), None) => return Ok(success),
            (Err(dialogue::Failure::ControlLost), None) => self.lost(),
            (Err(dialogue::Failure::ControlLost), Some(stopped)) => self.give_up(stopped),
            (Ok(_) | Err(_), Some(stopped)) => stopped,
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::BrokenOff), .. }), None)
            | (Err(dialogue::Failure::DataLost), None) => Failure::ConnectionLost(
                "The data connection was lost in the middle of the transfer".to_owned(),
            ),
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::TimedOut), .. }), None)
                if !running.bridge.is_answered && self.ends_now(net, running)? =>
            {
                // Said for no command, just before this one came.
                self.give_up(Failure::SessionEnded(format!("{} had ended the session", self.peer)))
            }
            (Err(dialogue::Failure::Refused { code: code @ Some(ErrorCode::UnknownCommand), .. }), None) => {
                let (peer, verb) = (self.peer, running.verb.word());
                let message = format!("The server at {peer} is an older one, which does not know {verb}");
                Failure::Refused { code, message }
            }
            (Err(dialogue::Failure::Refused { code, message }), None) => {
                Failure::Refused { code, message: format!("The server says: {message}") }
            }
        };
        Err(failure)
    }

    /// Looks whether the server closes, or has closed, the connection.
    fn ends_now(&mut self, net: &mut Loop, running: &mut Running<'_>) -> Result<bool, Failure> {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while self.session.is_usable() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            for event in net.wait(left)? {
                self.session.latch(event);
            }
            self.session.turn(&mut net.turn(), &mut running.bridge);
        }
        Ok(true)
    }

    fn data_unreachable(&mut self, error: &io::Error, net: &mut Loop, running: &mut Running<'_>) -> Failure {
        match self.ends_now(net, running) {
            Ok(true) => self.lost(),
            Ok(false) => self.unreachable_for(error),
            Err(failure) => self.give_up(failure),
        }
    }

    fn unreachable_for(&mut self, error: &io::Error) -> Failure {
        let address = self.session.data_address().unwrap_or(self.peer);
        let reason = connect::describe(error);
        self.give_up(Failure::DataUnreachable(format!(
            "Cannot connect to {address}, where the server awaits file data: {reason}; \
             is this port open in its firewall?"
        )))
    }

    fn lost(&mut self) -> Failure {
        self.give_up(Failure::ConnectionLost(format!("The connection to {} was lost", self.peer)))
    }

    fn no_answer(&mut self) -> Failure {
        self.give_up(Failure::ConnectionLost(format!("{} does not answer", self.peer)))
    }

    fn violation(&mut self, what: &str) -> Failure {
        self.give_up(Failure::Violation(format!("{} breaks the protocol: {what}", self.peer)))
    }

    fn give_up(&mut self, failure: Failure) -> Failure {
        self.is_usable = false;
        failure
    }
}
