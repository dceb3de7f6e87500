//! The client's end of a session, pure.
//!
//! Requests go in by [`Dialogue::request`], as many ahead as the caller likes; facts go in by
//! `handle_...`; work comes out of [`Dialogue::poll_step`], all of it to be performed, in order, after
//! each of these calls. Every request ends in exactly one [`Step::Done`], in the order of the requests.

use crate::error::ErrorCode;
use crate::limits::PROTOCOL_VERSION;
use crate::wire::command::{Command, UploadOptions};
use crate::wire::digest::Digest;
use crate::wire::entry::Entry;
use crate::wire::file_time::FileTime;
use crate::wire::line::LineDecoder;
use crate::wire::reply::Reply;
use crate::wire::session_entry::{SessionEntry, SessionTotals};
use std::collections::VecDeque;
use thiserror::Error;

/// Tells the requests of one dialogue apart.
pub type RequestId = u64;

/// Work for the shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes on the control connection.
    Send(Vec<u8>),
    /// Close the data connection, if there is one; what was still to be sent or read on it is void, and its
    /// end is not to be reported any more.
    CloseData,
    /// Open a data connection to this port and first send the ticket and a LF on it. Report its end by
    /// [`Dialogue::handle_data_closed`].
    OpenData { port: u16, ticket: Vec<u8> },
    /// Read exactly this much from the data connection, after what earlier steps asked for; report by
    /// [`Dialogue::handle_received`]. Where `length` is 0, the data connection may be closed already.
    Receive { id: RequestId, length: u64, mtime: FileTime, executable: bool },
    /// Write exactly this much of the upload to the data connection, after what earlier steps asked for:
    /// all of it even if the request ends in an error meanwhile, or the connection is of no more use. Where
    /// `trailer` is set, the digest of the whole file and a LF follow.
    Transmit { id: RequestId, offset: u64, length: u64, trailer: bool },
    /// One line of a listing, or the answer to `stat`.
    Entry { id: RequestId, entry: Entry },
    /// The answer to `sum` or `partial`.
    Digest { id: RequestId, length: u64, digest: Digest },
    /// The server has got so much of the file of an upload; its word for it.
    Received { id: RequestId, bytes: u64 },
    /// The answer to `df`.
    Space { id: RequestId, free_bytes: u64, total_bytes: u64 },
    /// One session of those that `who` tells of.
    Session { id: RequestId, entry: SessionEntry },
    /// What `who` tells of all sessions together.
    Totals { id: RequestId, totals: SessionTotals },
    /// A line for a person: of `help`, `hello`, or of a later version of the protocol.
    Info { id: RequestId, words: Vec<Vec<u8>> },
    /// The request has ended.
    Done { id: RequestId, result: Result<Success, Failure> },
}

/// What a server says behind `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Success {
    /// Entries, bytes or version.
    pub number: Option<u64>,
    /// Of the whole file that was moved.
    pub digest: Option<Digest>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The server said so. `code` is `None` for a code of a later version.
    #[error("{message}")]
    Refused { code: Option<ErrorCode>, message: String },
    #[error("the data connection was lost before the whole file had come")]
    DataLost,
    #[error("the connection to the server was lost")]
    ControlLost,
}

/// The server does not speak this protocol. The connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Violation(String);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Dialogue {
    decoder: LineDecoder,
    /// Every request that has not ended, oldest first. Those with an answer come before those without.
    pending: VecDeque<Pending>,
    next_id: RequestId,
    /// New transfers may use the data connection.
    data_open: bool,
    /// The data connection carries nothing new. It is closed when the downloads that the server has
    /// answered with `ok` are read to their end.
    data_ending: bool,
    /// Port and ticket of the data connection to open when the old one is closed.
    next_data: Option<(u16, Vec<u8>)>,
    closing_reason: Option<Failure>,
    /// The server has told by `hello` that it knows conditions.
    knows_conditions: bool,
    control_closed: bool,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    command: Command,
    /// The final line, while bytes of a download are still to be read.
    answer: Option<Result<Success, Failure>>,
    payload: Payload,
    /// Lines that have come of what was asked for.
    told: u64,
    /// Of a download, once it was announced.
    length: u64,
}

/// How far the payload of a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    None,
    /// A download before its `(download)` line.
    Unannounced,
    Receiving {
        remaining: u64,
    },
    /// The data connection ended before a download was whole.
    Cut,
    /// An upload whose bytes are not to be sent yet; an offset once the server has named one.
    Held {
        go_ahead: Option<u64>,
    },
    /// An upload whose bytes the shell was asked to send.
    Issued,
}

impl Dialogue {
    /// Puts a command behind those already asked for.
    pub fn request(&mut self, command: Command) -> RequestId {
        let id = self.next_id;
        self.next_id += 1;
        if self.control_closed {
            self.steps.push_back(Step::Done { id, result: Err(Failure::ControlLost) });
            return id;
        }
        let payload = match &command {
            Command::Download { .. } => Payload::Unannounced,
            Command::Upload { .. } => Payload::Held { go_ahead: None },
            Command::Ls { .. }
            | Command::Stat { .. }
            | Command::Sum { .. }
            | Command::Partial { .. }
            | Command::Df { .. }
            | Command::Mkdir { .. }
            | Command::Rm { .. }
            | Command::Mv { .. }
            | Command::Mtime { .. }
            | Command::Hello { .. }
            | Command::Who
            | Command::Help
            | Command::Exit => Payload::None,
        };
        self.steps.push_back(Step::Send(command.encode()));
        self.pending.push_back(Pending { id, command, answer: None, payload, told: 0, length: 0 });
        self.settle();
        id
    }

    /// The next piece of work. Call until it gives `None` after every request and fact.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// True where the server understands the [conditions](crate::wire::command::Conditions) of commands, as far as it has
    /// told. Of an older one they are not asked.
    pub fn knows_conditions(&self) -> bool {
        self.knows_conditions
    }

    /// True while a request has not ended.
    pub fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Why the server is about to close the session, where it has said so while no request was pending.
    pub fn closing_reason(&self) -> Option<&Failure> {
        self.closing_reason.as_ref()
    }

    /// Bytes came over the control connection.
    pub fn handle_control(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.decoder.push(bytes);
        while let Some(line) = self.decoder.next_line().map_err(|error| Violation(error.to_string()))? {
            let reply = Reply::parse(&line).map_err(|error| Violation(error.to_string()))?;
            self.handle_reply(reply)?;
            self.settle();
        }
        Ok(())
    }

    /// The control connection ended: so does every request, even a download whose `ok` has come. A caller
    /// that wants those whole reads them to their end first.
    pub fn handle_control_closed(&mut self) {
        self.control_closed = true;
        self.steps.push_back(Step::CloseData);
        self.data_open = false;
        self.data_ending = false;
        self.next_data = None;
        for pending in self.pending.drain(..) {
            let result = match pending.answer {
                Some(Err(failure)) => Err(failure),
                Some(Ok(_)) | None => Err(Failure::ControlLost),
            };
            self.steps.push_back(Step::Done { id: pending.id, result });
        }
    }

    /// Payload of the oldest download that is not whole was read.
    pub fn handle_received(&mut self, bytes: u64) {
        let mut left = bytes;
        for pending in &mut self.pending {
            if let Payload::Receiving { remaining } = &mut pending.payload {
                let taken = left.min(*remaining);
                *remaining -= taken;
                left -= taken;
            }
        }
        self.settle();
    }

    /// The data connection ended, by the server, by the network, or because this end broke off a
    /// transfer. To be reported when everything that had come over it is read: a server may close it right
    /// behind the last byte of a download.
    pub fn handle_data_closed(&mut self) {
        self.data_open = false;
        self.cut_downloads();
        self.settle();
    }

    fn handle_reply(&mut self, reply: Reply) -> Result<(), Violation> {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.answer.is_none()) else {
            return self.take_closing_reason(reply);
        };
        let id = pending.id;
        self.knows_conditions |= tells_of_conditions(&reply, &pending.command);
        let reply = match told_by(reply, &pending.command, id) {
            Ok(step) => {
                pending.told += u64::from(!matches!(step, Step::Totals { .. } | Step::Info { .. }));
                self.steps.push_back(step);
                return Ok(());
            }
            Err(reply) => reply,
        };
        match (reply, &pending.command) {
            (Reply::Data { port, ticket }, Command::Download { .. } | Command::Upload { .. })
                if pending.may_begin() =>
            {
                self.data_open = false;
                self.data_ending = true;
                self.next_data = Some((port, ticket));
            }
            (Reply::Download { length, mtime, executable }, Command::Download { .. })
                if (self.data_open || length == 0) && pending.payload == Payload::Unannounced =>
            {
                pending.payload = Payload::Receiving { remaining: length };
                pending.length = length;
                self.steps.push_back(Step::Receive { id, length, mtime, executable });
            }
            (Reply::Download { length, .. }, Command::Download { .. })
                if pending.payload == Payload::Unannounced =>
            {
                pending.length = length;
                // The connection broke just before the announcement of what it was to carry.
                pending.payload = Payload::Cut;
            }
            (Reply::Upload { offset }, Command::Upload { size, options, .. })
                if offset <= *size
                    && fits(options, offset)
                    && pending.payload == (Payload::Held { go_ahead: None }) =>
            {
                pending.payload = Payload::Held { go_ahead: Some(offset) };
            }
            (Reply::Received { bytes }, Command::Upload { size, .. })
                if bytes <= *size && pending.payload == Payload::Issued =>
            {
                self.steps.push_back(Step::Received { id, bytes });
            }
            (Reply::Ok { words }, _) if pending.may_have_ended() => {
                let success = success_of(&words);
                pending.check(&success)?;
                pending.answer = Some(Ok(success));
            }
            (Reply::Err { code, message }, _) => self.refuse(Failure::Refused { code, message }),
            (
                Reply::Entry(_)
                | Reply::Data { .. }
                | Reply::Download { .. }
                | Reply::Upload { .. }
                | Reply::Received { .. }
                | Reply::Digest { .. }
                | Reply::Space { .. }
                | Reply::Session(_)
                | Reply::Totals(_)
                | Reply::Info { .. }
                | Reply::Ok { .. },
                _,
            ) => return Err(Violation("the server sent a reply that does not fit the command".to_owned())),
        }
        Ok(())
    }

    /// A reply to no command: only an `err`, which says why the server closes the session.
    fn take_closing_reason(&mut self, reply: Reply) -> Result<(), Violation> {
        match reply {
            Reply::Err { code, message } => {
                self.closing_reason = Some(Failure::Refused { code, message });
                Ok(())
            }
            Reply::Entry(_)
            | Reply::Data { .. }
            | Reply::Download { .. }
            | Reply::Upload { .. }
            | Reply::Received { .. }
            | Reply::Digest { .. }
            | Reply::Space { .. }
            | Reply::Session(_)
            | Reply::Totals(_)
            | Reply::Info { .. }
            | Reply::Ok { .. } => Err(Violation("the server sent a reply to no command".to_owned())),
        }
    }

    fn refuse(&mut self, failure: Failure) {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.answer.is_none()) else { return };
        pending.answer = Some(Err(failure));
        if matches!(pending.payload, Payload::Receiving { remaining } if remaining > 0) {
            pending.payload = Payload::Cut;
            self.data_open = false;
            self.data_ending = true;
        }
        // A ticket that was not redeemed is void when its command has ended.
        self.next_data = None;
    }

    /// Does what has become possible: closes the old data connection, ends requests, opens the next data
    /// connection, and sends what may be sent on it.
    fn settle(&mut self) {
        if self.data_ending && !self.is_draining() {
            self.data_ending = false;
            self.steps.push_back(Step::CloseData);
        }
        self.finish_requests();
        if !self.data_ending
            && let Some((port, ticket)) = self.next_data.take()
        {
            self.open_data(port, ticket);
        }
        self.issue_uploads();
    }

    /// True while the data connection still has to bring bytes that the server has sent.
    fn is_draining(&self) -> bool {
        self.pending
            .iter()
            .any(|pending| matches!(pending.payload, Payload::Receiving { remaining } if remaining > 0))
    }

    fn cut_downloads(&mut self) {
        for pending in &mut self.pending {
            if matches!(pending.payload, Payload::Receiving { remaining } if remaining > 0) {
                pending.payload = Payload::Cut;
            }
        }
    }

    /// Every byte that was on its way on an older connection is void: uploads without an answer begin
    /// again on the new one.
    fn open_data(&mut self, port: u16, ticket: Vec<u8>) {
        self.steps.push_back(Step::OpenData { port, ticket });
        self.data_open = true;
        for pending in &mut self.pending {
            if pending.answer.is_none() && pending.payload == Payload::Issued {
                pending.payload = Payload::Held { go_ahead: None };
            }
        }
    }

    /// Asks the shell for the bytes of the uploads whose turn it is. They go out in the order of the
    /// commands, so an upload that must wait for its go-ahead holds back those behind it.
    fn issue_uploads(&mut self) {
        if !self.data_open {
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| pending.answer.is_none()) {
            let (Command::Upload { size, options, .. }, Payload::Held { go_ahead }) =
                (&pending.command, pending.payload)
            else {
                continue;
            };
            let offset = match go_ahead {
                Some(offset) => offset,
                None if options.is_eager(*size) => 0,
                None => return,
            };
            pending.payload = Payload::Issued;
            let (id, length, trailer) = (pending.id, *size - offset, options.digest);
            self.steps.push_back(Step::Transmit { id, offset, length, trailer });
        }
    }

    fn finish_requests(&mut self) {
        while let Some(Pending { answer: Some(answer), payload, .. }) = self.pending.front() {
            let result = match (answer, payload) {
                (Ok(_), Payload::Receiving { remaining }) if *remaining > 0 => return,
                (Ok(_), Payload::Cut) => Err(Failure::DataLost),
                (
                    answer,
                    Payload::None
                    | Payload::Unannounced
                    | Payload::Receiving { .. }
                    | Payload::Cut
                    | Payload::Held { .. }
                    | Payload::Issued,
                ) => answer.clone(),
            };
            if let Some(pending) = self.pending.pop_front() {
                self.steps.push_back(Step::Done { id: pending.id, result });
            }
        }
    }
}

impl Pending {
    /// True while nothing of the payload was announced, so that it may be asked for on a new data
    /// connection.
    fn may_begin(&self) -> bool {
        match (&self.command, self.payload) {
            (_, Payload::Unannounced | Payload::Held { go_ahead: None }) => true,
            (Command::Upload { size, options, .. }, Payload::Issued) => options.is_eager(*size),
            (
                _,
                Payload::None
                | Payload::Receiving { .. }
                | Payload::Cut
                | Payload::Held { go_ahead: Some(_) }
                | Payload::Issued,
            ) => false,
        }
    }

    /// True where `ok` can be meant: not before a download was announced or an upload was sent.
    fn may_have_ended(&self) -> bool {
        match self.payload {
            Payload::None | Payload::Receiving { .. } | Payload::Cut | Payload::Issued => true,
            Payload::Held { go_ahead } => self.sends_nothing(go_ahead),
            Payload::Unannounced => false,
        }
    }

    /// An `ok` says how much it is for. Where that is not what this end knows, the two ends do not mean the same.
    fn check(&self, success: &Success) -> Result<(), Violation> {
        let (is_right, meant) = match &self.command {
            Command::Ls { .. } => (success.number == Some(self.told), format!("{} entries", self.told)),
            Command::Who => (success.number == Some(self.told), format!("{} sessions", self.told)),
            Command::Stat { .. } => (self.told == 1, "one entry".to_owned()),
            Command::Sum { .. } | Command::Partial { .. } => (self.told == 1, "one digest".to_owned()),
            Command::Df { .. } => (self.told == 1, "one file system".to_owned()),
            Command::Download { .. } => {
                (success.number == Some(self.length), format!("{} bytes", self.length))
            }
            Command::Upload { size, .. } => (success.number == Some(*size), format!("{size} bytes")),
            Command::Hello { version } => {
                let most = version.unwrap_or(PROTOCOL_VERSION);
                let is_right = success.number.is_some_and(|version| (1..=most).contains(&version));
                (is_right, format!("a version from 1 to {most}"))
            }
            Command::Mkdir { .. }
            | Command::Rm { .. }
            | Command::Mv { .. }
            | Command::Mtime { .. }
            | Command::Help
            | Command::Exit => {
                return Ok(());
            }
        };
        if is_right {
            Ok(())
        } else {
            Err(Violation(format!("the server said an ok that is not for {meant}")))
        }
    }

    /// True for an upload that may be complete without a byte on the data connection.
    fn sends_nothing(&self, go_ahead: Option<u64>) -> bool {
        let Command::Upload { size, options, .. } = &self.command else { return false };
        let offset = go_ahead.or(options.is_eager(*size).then_some(0));
        offset == Some(*size) && !options.digest
    }
}

/// The server says, where it was greeted, that it knows conditions.
fn tells_of_conditions(reply: &Reply, command: &Command) -> bool {
    let (Reply::Info { words, .. }, Command::Hello { .. }) = (reply, command) else { return false };
    words.iter().map(Vec::as_slice).eq([&b"conditions"[..], b"yes"])
}

/// What a reply tells of what the command asks about; the reply itself where it says something else.
fn told_by(reply: Reply, command: &Command, id: RequestId) -> Result<Step, Reply> {
    Ok(match (reply, command) {
        (Reply::Entry(entry), Command::Ls { .. } | Command::Stat { .. }) => Step::Entry { id, entry },
        (Reply::Digest { length, digest }, Command::Sum { .. } | Command::Partial { .. }) => {
            Step::Digest { id, length, digest }
        }
        (Reply::Space { free_bytes, total_bytes }, Command::Df { .. }) => {
            Step::Space { id, free_bytes, total_bytes }
        }
        (Reply::Session(entry), Command::Who) => Step::Session { id, entry },
        (Reply::Totals(totals), Command::Who) => Step::Totals { id, totals },
        (Reply::Info { words, .. }, _) => Step::Info { id, words },
        (reply, _) => return Err(reply),
    })
}

fn success_of(words: &[Vec<u8>]) -> Success {
    Success {
        number: words.first().and_then(|word| crate::wire::command::parse_number(word)),
        digest: words.get(1).and_then(|word| Digest::parse(word)),
    }
}

/// True where a go-ahead is for what was asked: from the start, or from where an earlier upload broke off.
fn fits(options: &UploadOptions, offset: u64) -> bool {
    offset == options.resume.map_or(0, |resume| resume.offset)
}
