//! One session with a server: its control connection, its data connection, and the dialogue that says
//! what to do with them. Owns the sockets and their deadlines; leaves files and the terminal to the
//! [`Handler`] of each command. Never takes an address from the server, only a port.

use crate::failure::Failure;
use crate::limits::{
    CANCEL_TIMEOUT, CLOSE_TIMEOUT, CONTROL_BUFFER_BYTES, DATA_CONNECTIONS_PER_COMMAND, HELLO_TIMEOUT,
    REPLY_TIMEOUT, STALL_TIMEOUT, TICKET_MAX_BYTES,
};
use crate::session::connect::{self, Connected, DialError};
use crate::terminal::interrupt::{Interrupts, Slot};
use ferry_common::dialogue::{self, Dialogue, Step, Success};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PROTOCOL_VERSION;
use ferry_common::wire::command::{Command, Verb};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::session_entry::{SessionEntry, SessionTotals};
use rustix::net::RecvFlags;
use socket2::Socket;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a command does with what comes of it.
pub(crate) trait Handler {
    /// One line of a listing or the answer to `stat`. An error gives the whole session up: there is no
    /// way to stop a listing but that.
    fn entry(&mut self, _entry: Entry) -> Result<(), Failure> {
        Ok(())
    }

    /// The answer to `sum` or `partial`: so many bytes have this digest.
    fn digest(&mut self, _length: u64, _digest: Digest) {}

    /// The answer to `df`.
    fn space(&mut self, _free_bytes: u64, _total_bytes: u64) {}

    /// One of the sessions that `who` tells of.
    fn session(&mut self, _entry: &SessionEntry) -> Result<(), Failure> {
        Ok(())
    }

    /// All sessions together.
    fn totals(&mut self, _totals: SessionTotals) {}

    /// Reads exactly `length` bytes from `data`, of a file that has these attributes on the server.
    fn receive(&mut self, _data: &mut dyn Read, _length: u64, _attributes: Attributes) -> Result<(), Broken> {
        Err(Broken::Data(io::ErrorKind::Unsupported.into()))
    }

    /// Writes exactly `length` bytes of the upload to `data`, from `offset` on, and the digest of the whole
    /// file with a LF where `trailer` is set.
    fn transmit(&mut self, _data: &Socket, _offset: u64, _length: u64, _trailer: bool) -> Result<(), Broken> {
        Err(Broken::Data(io::ErrorKind::Unsupported.into()))
    }
}

/// What a file keeps on its way, beside its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) mtime: FileTime,
    pub(crate) executable: bool,
}

/// Why a transfer did not run to its end.
pub(crate) enum Broken {
    /// The data connection ended or stalled: the server will say why.
    Data(io::Error),
    /// This end cannot go on.
    Local(Failure),
}

/// See the module's documentation.
pub(crate) struct Link {
    control: Arc<Socket>,
    data: Option<Arc<Socket>>,
    peer: SocketAddr,
    dialogue: Dialogue,
    interrupts: Arc<Interrupts>,
    buffer: Box<[u8]>,
    is_usable: bool,
}

/// The state of one command.
struct Progress<'a> {
    handler: &'a mut dyn Handler,
    verb: Verb,
    /// Why this end broke the transfer off; it outranks what the server says then.
    stopped: Option<Failure>,
    /// How the data connection ended, where it did so by itself.
    data_error: Option<io::Error>,
    /// When the command is given up as a whole, whatever comes meanwhile.
    deadline: Option<Instant>,
    data_connections: u32,
    /// Something came that only an answer to this command can be.
    is_answered: bool,
}

/// For commands whose answer is their result.
pub(crate) struct Ignore;

impl Handler for Ignore {}

impl Link {
    /// Makes sure that a Ferry server is at the other end of the connection.
    pub(crate) fn open(connected: Connected, interrupts: &Arc<Interrupts>) -> Result<Self, Failure> {
        let mut link = Self {
            control: connected.socket,
            data: None,
            peer: connected.peer,
            dialogue: Dialogue::default(),
            interrupts: Arc::clone(interrupts),
            buffer: vec![0; CONTROL_BUFFER_BYTES].into_boxed_slice(),
            is_usable: true,
        };
        let hello = Command::Hello { version: Some(PROTOCOL_VERSION) };
        match link.exchange(hello, &mut Ignore, Some(HELLO_TIMEOUT)) {
            Ok(_) => Ok(link),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            Err(Failure::Refused { message, .. }) => {
                Err(Failure::CannotConnect(format!("The server at {} refuses: {message}", link.peer)))
            }
            Err(Failure::ConnectionLost(reason)) => Err(Failure::CannotConnect(format!(
                "{reason}; what listens there may be stopping just now, or is not a Ferry server"
            ))),
            Err(failure) => Err(Failure::CannotConnect(format!(
                "What answers at {} is not a Ferry server, or not well: {failure}",
                link.peer
            ))),
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// False once nothing more can come of this link. To be let go of then.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// True where the server has closed the session, or said something unasked, since the last command.
    pub(crate) fn is_stale(&self) -> bool {
        let (flags, mut byte) = (RecvFlags::PEEK | RecvFlags::DONTWAIT, [0_u8; 1]);
        match rustix::net::recv(&*self.control, &mut byte, flags) {
            Ok(_) => true,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
    }

    /// Runs one command. `patience` bounds it as a whole; without it, each step has its own bound.
    pub(crate) fn exchange(
        &mut self,
        command: Command,
        handler: &mut dyn Handler,
        patience: Option<Duration>,
    ) -> Result<Success, Failure> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut progress = Progress {
            handler,
            verb: command.verb(),
            stopped: None,
            data_error: None,
            deadline,
            data_connections: 0,
            is_answered: false,
        };
        let interrupts = Arc::clone(&self.interrupts);
        let control = Arc::clone(&self.control);
        let result = match interrupts.watch(Slot::Control, &control) {
            Ok(_watch) => self.run(command, &mut progress),
            Err(_) => Err(self.give_up(Failure::Interrupted)),
        };
        match (result, progress.stopped) {
            (Err(_), _) if interrupts.signal().is_some() => Err(Failure::Interrupted),
            // What went wrong first is the reason, whatever the server did then.
            (Err(_), Some(stopped)) => Err(stopped),
            (result, _) => result,
        }
    }

    fn run(&mut self, command: Command, progress: &mut Progress<'_>) -> Result<Success, Failure> {
        self.drop_odd_data();
        self.dialogue.request(command);
        loop {
            while let Some(step) = self.dialogue.poll_step() {
                if let Step::Done { result, .. } = step {
                    return self.conclude(result, progress);
                }
                self.perform(step, progress)?;
            }
            self.read_control(progress.deadline)?;
        }
    }

    /// Between commands nothing comes over the data connection: a byte that does would be taken for the first of the next
    /// file.
    fn drop_odd_data(&mut self) {
        let Some(data) = &self.data else { return };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let is_odd = match rustix::net::recv(&**data, &mut [0_u8; 1], flags) {
            Ok(_) => true,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        };
        if is_odd {
            self.data = None;
            self.dialogue.handle_data_closed();
        }
    }

    fn perform(&mut self, step: Step, progress: &mut Progress<'_>) -> Result<(), Failure> {
        match step {
            Step::Send(bytes) => {
                if (&*self.control).write_all(&bytes).is_err() {
                    self.dialogue.handle_control_closed();
                }
            }
            Step::CloseData => self.data = None,
            Step::OpenData { port, ticket } => self.open_data(port, &ticket, progress)?,
            Step::Receive { length, mtime, executable, .. } => {
                let attributes = Attributes { mtime, executable };
                progress.is_answered = true;
                let received = if length == 0 {
                    // There may be no data connection any more, nor need there be one.
                    progress.handler.receive(&mut io::empty(), 0, attributes)
                } else {
                    self.move_payload(|mut data| progress.handler.receive(&mut data, length, attributes))
                };
                match received {
                    Ok(()) => self.dialogue.handle_received(length),
                    Err(broken) => self.break_off(broken, progress),
                }
            }
            Step::Transmit { offset, length, trailer, .. } => {
                let moved =
                    self.move_payload(|data| progress.handler.transmit(data, offset, length, trailer));
                match moved {
                    // On a new data connection, where an earlier one was lost.
                    Ok(()) => progress.data_error = None,
                    Err(broken) => self.break_off(broken, progress),
                }
            }
            Step::Entry { entry, .. } => {
                progress.is_answered = true;
                progress.handler.entry(entry).map_err(|failure| self.give_up(failure))?;
            }
            Step::Digest { length, digest, .. } => {
                progress.is_answered = true;
                progress.handler.digest(length, digest);
            }
            Step::Space { free_bytes, total_bytes, .. } => {
                progress.is_answered = true;
                progress.handler.space(free_bytes, total_bytes);
            }
            Step::Session { entry, .. } => {
                progress.is_answered = true;
                progress.handler.session(&entry).map_err(|failure| self.give_up(failure))?;
            }
            Step::Totals { totals, .. } => {
                progress.is_answered = true;
                progress.handler.totals(totals);
            }
            // Facts for a person at a bare terminal, or of a later version.
            Step::Info { .. } | Step::Done { .. } => {}
        }
        Ok(())
    }

    fn move_payload(&self, transfer: impl FnOnce(&Socket) -> Result<(), Broken>) -> Result<(), Broken> {
        let Some(data) = &self.data else { return Err(Broken::Data(io::ErrorKind::NotConnected.into())) };
        let _watch =
            self.interrupts.watch(Slot::Data, data).map_err(|_| Broken::Local(Failure::Interrupted))?;
        transfer(data)
    }

    /// Closes the data connection, which tells the server, and sees to it that its answer is not waited
    /// for too long.
    fn break_off(&mut self, broken: Broken, progress: &mut Progress<'_>) {
        self.data = None;
        self.dialogue.handle_data_closed();
        let patience = match broken {
            _ if self.interrupts.signal().is_some() => {
                progress.stopped = Some(Failure::Interrupted);
                CANCEL_TIMEOUT
            }
            Broken::Local(failure) => {
                progress.stopped = Some(failure);
                CANCEL_TIMEOUT
            }
            Broken::Data(error) => {
                progress.data_error = Some(error);
                STALL_TIMEOUT
            }
        };
        progress.deadline = Some(Instant::now() + patience);
    }

    fn open_data(&mut self, port: u16, ticket: &[u8], progress: &mut Progress<'_>) -> Result<(), Failure> {
        progress.data_connections += 1;
        // What goes to that port is the server's choice, so that must not be much.
        let is_short = ticket.len() <= TICKET_MAX_BYTES;
        if !is_short || progress.data_connections > DATA_CONNECTIONS_PER_COMMAND {
            return Err(self.violation("it asked for an improper data connection"));
        }
        let mut address = self.peer;
        address.set_port(port);
        let socket = match connect::dial(address, Slot::Data, &self.interrupts) {
            Ok(socket) => socket,
            Err(DialError::Interrupted) => return Err(self.give_up(Failure::Interrupted)),
            Err(DialError::Io(error)) => {
                if self.has_ended() {
                    return Err(self.lost());
                }
                let reason = connect::describe(&error);
                return Err(self.give_up(Failure::DataUnreachable(format!(
                    "Cannot connect to {address}, where the server awaits file data: {reason}; \
                     is this port open in its firewall?"
                ))));
            }
        };
        let mut line = ticket.to_vec();
        line.push(b'\n');
        if let Err(error) = (&*socket).write_all(&line) {
            self.break_off(Broken::Data(error), progress);
        } else if progress.stopped.is_some() {
            // Presented and closed at once, so that the server need not wait for it to time out.
            self.dialogue.handle_data_closed();
        } else {
            self.data = Some(socket);
        }
        Ok(())
    }

    fn read_control(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        let timeout = match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()).min(REPLY_TIMEOUT),
            None => REPLY_TIMEOUT,
        };
        if timeout.is_zero() {
            return Err(self.no_answer());
        }
        // A timeout of less than a microsecond would mean none at all.
        let timeout = timeout.max(Duration::from_millis(1));
        let read = self
            .control
            .set_read_timeout(Some(timeout))
            .and_then(|()| (&*self.control).read(&mut self.buffer));
        match read {
            Ok(0) => self.dialogue.handle_control_closed(),
            Ok(length) => {
                if let Err(violation) = self.dialogue.handle_control(&self.buffer[..length]) {
                    return Err(self.violation(&violation.to_string()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(self.no_answer());
            }
            Err(_) => self.dialogue.handle_control_closed(),
        }
        Ok(())
    }

    fn conclude(
        &mut self,
        result: Result<Success, dialogue::Failure>,
        progress: &mut Progress<'_>,
    ) -> Result<Success, Failure> {
        let failure = match (result, progress.stopped.take()) {
            (Ok(success), None) => match progress.data_error.take() {
                None => return Ok(success),
                // Whatever it has, it is not the whole file.
                Some(_) => self.violation("it says ok to a file of which it took only a part"),
            },
            (Err(dialogue::Failure::ControlLost), None) => self.lost(),
            (Err(dialogue::Failure::ControlLost), Some(stopped)) => self.give_up(stopped),
            (Ok(_) | Err(_), Some(stopped)) => stopped,
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::BrokenOff), .. }), None)
            | (Err(dialogue::Failure::DataLost), None) => Failure::ConnectionLost(
                "The data connection was lost in the middle of the transfer".to_owned(),
            ),
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::TimedOut), .. }), None)
                if !progress.is_answered && self.has_ended() =>
            {
                // Said for no command, just before this one came.
                self.give_up(Failure::SessionEnded(format!("{} had ended the session", self.peer)))
            }
            (Err(dialogue::Failure::Refused { code: code @ Some(ErrorCode::UnknownCommand), .. }), None) => {
                let (peer, verb) = (self.peer, progress.verb.word());
                let message = format!("The server at {peer} is an older one, which does not know {verb}");
                Failure::Refused { code, message }
            }
            (Err(dialogue::Failure::Refused { code, message }), None) => {
                Failure::Refused { code, message: format!("The server says: {message}") }
            }
        };
        Err(failure)
    }

    /// Looks whether the server closes, or has closed, the connection. Everything it said is read already.
    fn has_ended(&self) -> bool {
        if self.control.set_read_timeout(Some(CLOSE_TIMEOUT)).is_err() {
            return true;
        }
        match rustix::net::recv(&*self.control, &mut [0_u8; 1], RecvFlags::PEEK) {
            Ok((_, length)) => length == 0,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
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
