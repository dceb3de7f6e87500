//! The client's end of a session, pure.
//!
//! Requests go in by [`Dialogue::request`], as many ahead as the caller likes; facts go in by
//! `handle_...`; work comes out of [`Dialogue::poll_step`], all of it to be performed, in order, after
//! each of these calls. Every request ends in exactly one [`Step::Done`], in the order of the requests.

use crate::command::Command;
use crate::entry::Entry;
use crate::error::ErrorCode;
use crate::limits::EAGER_MAX_BYTES;
use crate::line::LineDecoder;
use crate::reply::Reply;
use std::collections::VecDeque;
use thiserror::Error;

/// Tells the requests of one dialogue apart.
pub type RequestId = u64;

/// Work for the shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes on the control connection.
    Send(Vec<u8>),
    /// Close the data connection, if there is one; what was still to be sent or read on it is void.
    CloseData,
    /// Open a data connection to this port and first send the ticket and a LF on it. Report its end by
    /// [`Dialogue::handle_data_closed`].
    OpenData { port: u16, ticket: Vec<u8> },
    /// Read exactly this much from the data connection, after what earlier steps asked for; report by
    /// [`Dialogue::handle_received`].
    Receive { id: RequestId, length: u64, mtime_s: i64 },
    /// Write exactly this much of the upload to the data connection, after what earlier steps asked for:
    /// all of it even if the request ends in an error meanwhile, or the connection is of no more use.
    Transmit { id: RequestId, offset: u64, length: u64 },
    /// One line of a listing, or the answer to `stat`.
    Entry { id: RequestId, entry: Entry },
    /// A line for a person: of `help`, `hello`, or of a later version of the protocol.
    Info { id: RequestId, words: Vec<Vec<u8>> },
    /// The request has ended. `Ok` has the number that the server gave: entries, bytes or version.
    Done { id: RequestId, result: Result<Option<u64>, Failure> },
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
    data_open: bool,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    command: Command,
    /// The final line, while bytes of a download are still to be read.
    answer: Option<Result<Option<u64>, Failure>>,
    payload: Payload,
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
        let payload = match &command {
            Command::Download { .. } => Payload::Unannounced,
            Command::Upload { .. } => Payload::Held { go_ahead: None },
            Command::Ls { .. }
            | Command::Stat { .. }
            | Command::Hello { .. }
            | Command::Help
            | Command::Exit => Payload::None,
        };
        self.steps.push_back(Step::Send(command.encode()));
        self.pending.push_back(Pending { id, command, answer: None, payload });
        self.issue_uploads();
        id
    }

    /// The next piece of work. Call until it gives `None` after every request and fact.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// True while a request has not ended.
    pub fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes came over the control connection.
    pub fn handle_control(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.decoder.push(bytes);
        while let Some(line) = self.decoder.next_line().map_err(|error| Violation(error.to_string()))? {
            let reply = Reply::parse(&line).map_err(|error| Violation(error.to_string()))?;
            self.handle_reply(reply)?;
            self.issue_uploads();
        }
        Ok(())
    }

    /// The control connection ended: so does every request.
    pub fn handle_control_closed(&mut self) {
        self.steps.push_back(Step::CloseData);
        self.data_open = false;
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
        self.finish_requests();
    }

    /// The data connection ended, by the server, by the network, or because this end broke off a
    /// transfer.
    pub fn handle_data_closed(&mut self) {
        self.data_open = false;
        for pending in &mut self.pending {
            if matches!(pending.payload, Payload::Receiving { remaining } if remaining > 0) {
                pending.payload = Payload::Cut;
            }
        }
        self.finish_requests();
    }

    fn handle_reply(&mut self, reply: Reply) -> Result<(), Violation> {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.answer.is_none()) else {
            return Err(Violation("the server sent a reply to no command".to_owned()));
        };
        let id = pending.id;
        match (reply, &pending.command) {
            (Reply::Entry(entry), Command::Ls { .. } | Command::Stat { .. }) => {
                self.steps.push_back(Step::Entry { id, entry });
            }
            (Reply::Info { words, .. }, _) => self.steps.push_back(Step::Info { id, words }),
            (Reply::Data { port, ticket }, Command::Download { .. } | Command::Upload { .. }) => {
                self.open_data(port, ticket);
            }
            (Reply::Download { length, mtime_s }, Command::Download { .. })
                if self.data_open && pending.payload == Payload::Unannounced =>
            {
                pending.payload = Payload::Receiving { remaining: length };
                self.steps.push_back(Step::Receive { id, length, mtime_s });
            }
            (Reply::Download { .. }, Command::Download { .. }) if pending.payload == Payload::Unannounced => {
                // The connection broke just before the announcement of what it was to carry.
                pending.payload = Payload::Cut;
            }
            (Reply::Upload { offset }, Command::Upload { size, .. })
                if offset <= *size && pending.payload == (Payload::Held { go_ahead: None }) =>
            {
                pending.payload = Payload::Held { go_ahead: Some(offset) };
            }
            (Reply::Ok { words }, _) if pending.payload != Payload::Unannounced => {
                pending.answer = Some(Ok(number_of(&words)));
            }
            (Reply::Err { code, message }, _) => self.refuse(Failure::Refused { code, message }),
            (
                Reply::Entry(_)
                | Reply::Data { .. }
                | Reply::Download { .. }
                | Reply::Upload { .. }
                | Reply::Ok { .. },
                _,
            ) => return Err(Violation("the server sent a reply that does not fit the command".to_owned())),
        }
        self.finish_requests();
        Ok(())
    }

    /// Every byte that was on its way on an older connection is void: uploads without an answer begin
    /// again on the new one.
    fn open_data(&mut self, port: u16, ticket: Vec<u8>) {
        self.steps.push_back(Step::CloseData);
        self.handle_data_closed();
        self.steps.push_back(Step::OpenData { port, ticket });
        self.data_open = true;
        for pending in &mut self.pending {
            if pending.answer.is_none() && pending.payload == Payload::Issued {
                pending.payload = Payload::Held { go_ahead: None };
            }
        }
    }

    fn refuse(&mut self, failure: Failure) {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.answer.is_none()) else { return };
        pending.answer = Some(Err(failure));
        let stream_broken = matches!(pending.payload, Payload::Receiving { remaining } if remaining > 0);
        if stream_broken {
            self.steps.push_back(Step::CloseData);
            self.data_open = false;
        }
    }

    /// Asks the shell for the bytes of the uploads whose turn it is. They go out in the order of the
    /// commands, so an upload that must wait for its go-ahead holds back those behind it.
    fn issue_uploads(&mut self) {
        if !self.data_open {
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| pending.answer.is_none()) {
            let (Command::Upload { size, .. }, Payload::Held { go_ahead }) =
                (&pending.command, pending.payload)
            else {
                continue;
            };
            let offset = match go_ahead {
                Some(offset) => offset,
                None if *size <= EAGER_MAX_BYTES => 0,
                None => return,
            };
            pending.payload = Payload::Issued;
            self.steps.push_back(Step::Transmit { id: pending.id, offset, length: *size - offset });
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

/// The number that follows `ok`, where there is one.
fn number_of(words: &[Vec<u8>]) -> Option<u64> {
    words.first().and_then(|word| crate::command::parse_number(word))
}
