//! A data connection: first the ticket, then the raw bytes of transfer after transfer.
//!
//! Each call of [`Data::step`] does one bounded piece of work and tells what came of it. It knows no
//! session and no disk thread: what must wait for a disk it hands out.

mod line;
mod receiving;
mod sending;
pub(crate) mod slow_files;

use crate::disk::read_buffers::{ReadBuffer, ReadBuffers};
use crate::net::address::Address;
use crate::net::slots::Key;
use crate::net::socket::{Received, Socket};
use crate::store::digest_cache::FileIdentity;
use crate::store::held_file::HeldFile;
use crate::store::readers::{Readers, Reading};
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use ferry_session::action::{End, Length};
use line::FixedLine;
use receiving::{Gathering, Receiving};
use sending::Sending;
use slow_files::SlowFiles;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// The ticket and its LF.
const TICKET_LINE_BYTES: usize = Ticket::TEXT_BYTES + 1;

#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) socket: Socket,
    /// On the reactor's ready list.
    pub(crate) queued: bool,
    /// Where its deadline is queued.
    pub(crate) armed: Option<Instant>,
    pub(crate) owner: Owner,
    /// In the queue for a buffer.
    pub(crate) starved: bool,
    /// On the reactor's list of downloads whose buffers the peer does not take.
    pub(crate) is_holder: bool,
    /// The kernel has bytes of small downloads that are to be pushed.
    waits_for_push: bool,
    flow: Flow,
}

/// The session that the connection belongs to.
#[derive(Debug)]
pub(crate) enum Owner {
    /// No session's yet.
    Unknown {
        ticket: FixedLine<TICKET_LINE_BYTES>,
    },
    Session(Key),
}

/// What moves over the connection now.
#[derive(Debug)]
enum Flow {
    Idle {
        /// Payload of the next upload has come already. It is not read before its command, and so the
        /// peer's end behind it cannot be seen.
        hides_end: bool,
    },
    Sending(Sending),
    Receiving(Receiving),
    Gathering(Gathering),
    Dropping {
        remaining: u64,
    },
    /// Part of a listing, of which so much is sent.
    Telling {
        text: Vec<u8>,
        sent: usize,
    },
    /// The connection is being made, by this end.
    Reaching,
}

/// What a step may make use of.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) budget_bytes: u64,
    /// What is read goes here.
    pub(crate) buffer: &'a mut [u8],
    pub(crate) read_buffers: &'a ReadBuffers,
    pub(crate) slow_files: &'a mut SlowFiles,
    pub(crate) readers: &'a mut Readers,
    pub(crate) now: Instant,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Step {
    /// The socket, or the disk, must come first; an event or a completion will.
    Blocked,
    /// The connection is made.
    Connected,
    /// A ticket line is complete.
    Presented(Option<Ticket>),
    /// Payload left for the peer, or was dropped.
    Moved(u64),
    /// This part of the file must be brought into memory.
    Cold { file: Arc<HeldFile>, part: Range<u64>, reading: Arc<Reading> },
    /// A part of the file must be read into the buffer.
    Read { file: Arc<HeldFile>, offset: u64, buffer: ReadBuffer, reading: Arc<Reading> },
    /// There is no buffer for a file on this device.
    Starved { device: u64 },
    /// So much of the buffer was filled, to be written next.
    Filled { length: usize },
    /// What follows an upload was read.
    Trailer(Option<Digest>),
    /// The file of a download is not what it was, or cannot be read.
    SendFailed(ErrorCode),
    /// The connection has ended, and everything that it brought was told before.
    Ended(End),
}

impl Data {
    pub(crate) fn new(socket: Socket) -> Self {
        let owner = Owner::Unknown { ticket: FixedLine::EMPTY };
        Self {
            socket,
            queued: false,
            armed: None,
            owner,
            starved: false,
            is_holder: false,
            waits_for_push: false,
            flow: Flow::IDLE,
        }
    }

    /// A connection that is this session's already, or is being made for it.
    pub(crate) fn owned(socket: Socket, session: Key, is_being_made: bool) -> Self {
        let flow = if is_being_made { Flow::Reaching } else { Flow::IDLE };
        Self { owner: Owner::Session(session), flow, ..Self::new(socket) }
    }

    pub(crate) fn is_being_made(&self) -> bool {
        matches!(self.flow, Flow::Reaching)
    }

    /// The session that the connection belongs to, once it has presented its ticket.
    pub(crate) fn session(&self) -> Option<Key> {
        match self.owner {
            Owner::Unknown { .. } => None,
            Owner::Session(session) => Some(session),
        }
    }

    /// The peer's, for shares.
    pub(crate) fn address(&self) -> Address {
        Address::from(self.socket.peer())
    }

    pub(crate) fn send(&mut self, file: Arc<HeldFile>, identity: FileIdentity, offset: u64, length: u64) {
        self.flow = Flow::Sending(Sending::new(file, identity, offset, length));
    }

    /// Sends as much of a small download as the socket takes at once; nothing where something else moves. They leave
    /// together with those that follow within the same turn.
    pub(crate) fn send_small(&mut self, bytes: &[u8]) -> usize {
        let is_idle = matches!(self.flow, Flow::Idle { .. }) && !self.socket.is_write_closed();
        if bytes.is_empty() || !is_idle || !self.socket.is_writable() {
            return 0;
        }
        // What is wrong with the connection shows as well where the rest is sent.
        let sent = self.socket.write_ahead(bytes).unwrap_or(0);
        self.waits_for_push |= sent > 0;
        sent
    }

    /// Sends part of a listing.
    pub(crate) fn send_text(&mut self, text: Vec<u8>) {
        self.flow = Flow::Telling { text, sent: 0 };
    }

    pub(crate) fn receive(&mut self, length: Length, trailer: bool) {
        self.flow = Flow::Receiving(Receiving::new(length, trailer));
    }

    /// Reads a small upload into memory, for [`Data::take_content`].
    pub(crate) fn gather(&mut self, length: u64, trailer: bool) {
        self.flow = Flow::Gathering(Gathering::new(length, trailer));
    }

    /// What was gathered; the transfer is over.
    pub(crate) fn take_content(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.flow, Flow::IDLE) {
            Flow::Gathering(gathering) => gathering.into_content(),
            Flow::Idle { .. }
            | Flow::Sending(_)
            | Flow::Receiving(_)
            | Flow::Dropping { .. }
            | Flow::Telling { .. }
            | Flow::Reaching => Vec::new(),
        }
    }

    pub(crate) fn drop_payload(&mut self, length: u64) {
        self.flow = Flow::Dropping { remaining: length };
    }

    /// The transfer is over, or given up.
    pub(crate) fn rest(&mut self) {
        self.flow = Flow::IDLE;
    }

    /// True when [`Data::step`] would do something.
    pub(crate) fn has_work(&self) -> bool {
        let socket = &self.socket;
        self.waits_for_push
            || match &self.flow {
                Flow::Idle { hides_end } => match self.owner {
                    Owner::Unknown { .. } => socket.is_readable(),
                    Owner::Session(_) => socket.is_write_closed() || socket.is_read_closed() && !hides_end,
                },
                Flow::Sending(sending) => socket.is_writable() && !sending.is_waiting() && !self.starved,
                Flow::Receiving(receiving) => socket.is_readable() && receiving.can_read() && !self.starved,
                Flow::Gathering(gathering) => socket.is_readable() && gathering.wants_more(),
                Flow::Dropping { .. } => socket.is_readable(),
                Flow::Telling { .. } | Flow::Reaching => socket.is_writable(),
            }
    }

    /// True when the next step needs a buffer to read an upload into.
    pub(crate) fn needs_buffer(&self) -> bool {
        matches!(&self.flow, Flow::Receiving(receiving) if receiving.needs_buffer())
    }

    /// True when the peer has sent what is not read yet.
    pub(crate) fn has_unread(&mut self) -> bool {
        matches!(self.socket.peek(), Received::Bytes(_))
    }

    /// Bytes of the running upload that have not been read, its trailer included.
    pub(crate) fn unread_bytes(&self) -> u64 {
        match &self.flow {
            Flow::Receiving(receiving) => receiving.unread_bytes(),
            Flow::Idle { .. }
            | Flow::Sending(_)
            | Flow::Gathering(_)
            | Flow::Dropping { .. }
            | Flow::Telling { .. }
            | Flow::Reaching => 0,
        }
    }

    /// A disk thread has brought in what was cold.
    pub(crate) fn handle_warmed(&mut self) {
        if let Flow::Sending(sending) = &mut self.flow {
            sending.handle_warmed();
        }
    }

    /// A disk thread has read this part of the file.
    pub(crate) fn handle_read(&mut self, offset: u64, buffer: ReadBuffer) {
        if let Flow::Sending(sending) = &mut self.flow {
            sending.handle_read(offset, buffer);
        }
    }

    /// True where the peer does not take what is in buffers for it.
    pub(crate) fn holds_back_buffers(&self) -> bool {
        !self.socket.is_writable() && matches!(&self.flow, Flow::Sending(sending) if sending.holds_pieces())
    }

    /// Leaves the buffers of a download to others; their parts will be read again.
    pub(crate) fn give_up_buffers(&mut self) {
        if let Flow::Sending(sending) = &mut self.flow {
            sending.give_up_pieces();
        }
    }

    /// A disk thread has written so many buffers.
    pub(crate) fn handle_written(&mut self, buffers: usize) {
        if let Flow::Receiving(receiving) = &mut self.flow {
            receiving.handle_written(buffers);
        }
    }

    /// Does one piece of work within the budget.
    pub(crate) fn step(&mut self, turn: &mut Turn<'_>) -> Step {
        if std::mem::take(&mut self.waits_for_push) {
            self.socket.push();
            return Step::Moved(0);
        }
        let socket = &mut self.socket;
        let Turn { buffer, .. } = turn;
        match &mut self.flow {
            Flow::Idle { hides_end } => match &mut self.owner {
                Owner::Unknown { ticket, .. } => {
                    let step = ticket.step(socket, |text| Step::Presented(text.and_then(Ticket::parse)));
                    // Another protocol is told so at once: HTTP would send on, TLS would wait for an answer.
                    let is_foreign = matches!(step, Step::Moved(_)) && !Ticket::may_begin(ticket.filled());
                    if is_foreign { Step::Presented(None) } else { step }
                }
                Owner::Session(_) => look_for_end(socket, hides_end),
            },
            Flow::Sending(sending) => {
                let step = sending.step(socket, turn);
                if sending.is_done() {
                    self.flow = Flow::IDLE;
                }
                step
            }
            Flow::Reaching => {
                if socket.connected().is_err() {
                    return Step::Ended(End::Torn);
                }
                self.flow = Flow::IDLE;
                Step::Connected
            }
            Flow::Telling { text, sent } => match socket.write(&text[*sent..]) {
                Ok(0) => Step::Blocked,
                Ok(count) => {
                    *sent += count;
                    if *sent == text.len() {
                        self.flow = Flow::IDLE;
                    }
                    Step::Moved(count as u64)
                }
                Err(_) => Step::Ended(End::Torn),
            },
            Flow::Receiving(receiving) => receiving.step(socket, buffer),
            Flow::Gathering(gathering) => gathering.step(socket, buffer),
            Flow::Dropping { remaining } => {
                let wanted = clamp(*remaining, buffer.len());
                match read(socket, &mut buffer[..wanted]) {
                    Ok(count) => {
                        *remaining -= count as u64;
                        if *remaining == 0 {
                            self.flow = Flow::IDLE;
                        }
                        Step::Moved(count as u64)
                    }
                    Err(step) => step,
                }
            }
        }
    }
}

impl Flow {
    const IDLE: Self = Self::Idle { hides_end: false };
}

/// Between transfers nothing is read, since it may be an upload whose command has not come yet. Only
/// whether the peer has closed is looked for.
fn look_for_end(socket: &mut Socket, hides_end: &mut bool) -> Step {
    if socket.is_write_closed() {
        return Step::Ended(End::Torn);
    }
    match socket.peek() {
        Received::Bytes(_) => {
            *hides_end = true;
            Step::Blocked
        }
        Received::Blocked => Step::Blocked,
        Received::End => Step::Ended(End::Clean),
        Received::Failed => Step::Ended(End::Torn),
    }
}

/// One read of at least a byte, or why not.
fn read(socket: &mut Socket, buffer: &mut [u8]) -> Result<usize, Step> {
    match socket.read(buffer) {
        Received::Bytes(count) => Ok(count),
        Received::Blocked => Err(Step::Blocked),
        Received::End => Err(Step::Ended(End::Clean)),
        Received::Failed => Err(Step::Ended(End::Torn)),
    }
}

fn clamp(length: u64, most: usize) -> usize {
    usize::try_from(length).unwrap_or(most).min(most)
}
