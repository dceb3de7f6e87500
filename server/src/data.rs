//! A data connection: first the ticket, then the raw bytes of transfer after transfer.
//!
//! Each call of [`Data::step`] does one bounded piece of work and tells what came of it. It knows no
//! session and no disk thread: what must wait for a disk it hands out.

use crate::os_error::code_of;
use crate::readiness::Readiness;
use crate::slots::Key;
use ferry_common::digest::Digest;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{TRAILER_BYTES, UPLOAD_WRITES_MAX, WARM_PROBE_STRIDE_BYTES, WARM_WINDOW_BYTES};
use ferry_common::ticket::Ticket;
use mio::net::TcpStream;
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The ticket and its LF.
const TICKET_LINE_BYTES: usize = Ticket::TEXT_BYTES + 1;

#[derive(Debug)]
pub(crate) struct Data {
    stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) readiness: Readiness,
    /// On the reactor's ready list.
    pub(crate) queued: bool,
    /// Where its deadline is queued.
    pub(crate) armed: Option<Instant>,
    pub(crate) owner: Owner,
    /// In the queue for a buffer.
    pub(crate) starved: bool,
    flow: Flow,
}

/// Whose connection it is.
#[derive(Debug)]
pub(crate) enum Owner {
    /// Nobody's yet: the ticket line, as far as it has come.
    Unknown {
        line: [u8; TICKET_LINE_BYTES],
        filled: usize,
        since: Instant,
    },
    Session(Key),
}

/// What moves over the connection now.
#[derive(Debug)]
enum Flow {
    Idle,
    Sending(Sending),
    Receiving(Receiving),
    /// A small upload, into memory.
    Gathering(Gathering),
    Dropping {
        remaining: u64,
    },
}

#[derive(Debug)]
struct Sending {
    file: Arc<File>,
    offset: u64,
    end: u64,
    /// Up to here the file is known to be in memory.
    warm_until: u64,
    /// A disk thread is bringing more of it in.
    warming: bool,
}

#[derive(Debug)]
struct Receiving {
    /// Of the payload.
    unread_bytes: u64,
    buffers_under_way: usize,
    /// What follows the payload, as far as it has come.
    trailer: Option<TrailerLine>,
}

#[derive(Debug)]
struct Gathering {
    content: Vec<u8>,
    size: usize,
    trailer: Option<TrailerLine>,
}

#[derive(Debug)]
struct TrailerLine {
    line: [u8; TRAILER_BYTES],
    filled: usize,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Step {
    /// The socket, or the disk, must come first; an event or a completion will.
    Blocked,
    /// A ticket line is complete.
    Presented(Option<Ticket>),
    /// Payload left for the peer, or was dropped.
    Moved(u64),
    /// This part of the file must be brought into memory.
    Cold { file: Arc<File>, offset: u64, length: u64 },
    /// So much of the buffer was filled, to be written next.
    Filled { length: usize },
    /// What follows an upload was read.
    Trailer(Option<Digest>),
    /// The file of a download is not what it was, or cannot be read.
    SendFailed(ErrorCode),
    /// The connection is of no more use.
    Lost,
}

impl Data {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, now: Instant) -> Self {
        let owner = Owner::Unknown { line: [0; TICKET_LINE_BYTES], filled: 0, since: now };
        let readiness = Readiness::default();
        Self { stream, peer, readiness, queued: false, armed: None, owner, starved: false, flow: Flow::Idle }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(crate) fn send(&mut self, file: Arc<File>, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        self.flow = Flow::Sending(Sending { file, offset, end, warm_until: offset, warming: false });
    }

    pub(crate) fn receive(&mut self, length: u64, trailer: bool) {
        let trailer = trailer.then_some(TrailerLine::EMPTY);
        self.flow = Flow::Receiving(Receiving { unread_bytes: length, buffers_under_way: 0, trailer });
    }

    /// Reads a small upload into memory, for [`Data::take_content`].
    pub(crate) fn gather(&mut self, length: u64, trailer: bool) {
        let size = clamp(length, usize::MAX);
        let trailer = trailer.then_some(TrailerLine::EMPTY);
        self.flow = Flow::Gathering(Gathering { content: Vec::with_capacity(size), size, trailer });
    }

    /// What was gathered; the transfer is over.
    pub(crate) fn take_content(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.flow, Flow::Idle) {
            Flow::Gathering(gathering) => gathering.content,
            Flow::Idle | Flow::Sending(_) | Flow::Receiving(_) | Flow::Dropping { .. } => Vec::new(),
        }
    }

    pub(crate) fn drop_payload(&mut self, length: u64) {
        self.flow = Flow::Dropping { remaining: length };
    }

    /// The transfer is over, or given up.
    pub(crate) fn rest(&mut self) {
        self.flow = Flow::Idle;
    }

    /// True when [`Data::step`] would do something.
    pub(crate) fn has_work(&self) -> bool {
        match &self.flow {
            Flow::Idle => match self.owner {
                Owner::Unknown { .. } => self.readiness.readable,
                Owner::Session(_) => self.readiness.read_closed || self.readiness.write_closed,
            },
            Flow::Sending(sending) => self.readiness.writable && !sending.warming,
            Flow::Receiving(receiving) => self.readiness.readable && receiving.can_read() && !self.starved,
            Flow::Gathering(gathering) => self.readiness.readable && gathering.wants_more(),
            Flow::Dropping { .. } => self.readiness.readable,
        }
    }

    /// True when the next step needs a buffer to read an upload into.
    pub(crate) fn needs_buffer(&self) -> bool {
        matches!(&self.flow, Flow::Receiving(receiving) if receiving.unread_bytes > 0)
    }

    /// True when the peer has sent what is not read yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.stream.peek(&mut [0]).is_ok_and(|count| count > 0)
    }

    /// Bytes of the running upload that have not been read, its trailer included.
    pub(crate) fn unread_bytes(&self) -> u64 {
        match &self.flow {
            Flow::Receiving(receiving) => receiving.unread_bytes + receiving.unread_trailer() as u64,
            Flow::Idle | Flow::Sending(_) | Flow::Gathering(_) | Flow::Dropping { .. } => 0,
        }
    }

    /// A disk thread has brought in what was cold.
    pub(crate) fn handle_warmed(&mut self) {
        if let Flow::Sending(sending) = &mut self.flow {
            sending.warming = false;
            sending.warm_until = sending.window_end();
        }
    }

    /// A disk thread has written so many buffers.
    pub(crate) fn handle_written(&mut self, buffers: usize) {
        if let Flow::Receiving(receiving) = &mut self.flow {
            receiving.buffers_under_way = receiving.buffers_under_way.saturating_sub(buffers);
        }
    }

    /// Does one piece of work of at most `budget_bytes`, reading into `buffer` where it reads.
    pub(crate) fn step(&mut self, budget_bytes: u64, buffer: &mut [u8]) -> Step {
        match &mut self.flow {
            Flow::Idle => match &mut self.owner {
                Owner::Unknown { line, filled, .. } => {
                    read_ticket(&mut self.stream, &mut self.readiness, line, filled)
                }
                Owner::Session(_) => look_for_end(&self.stream, &mut self.readiness),
            },
            Flow::Sending(sending) => {
                let step = sending.step(&self.stream, &mut self.readiness, budget_bytes);
                if sending.offset >= sending.end {
                    self.flow = Flow::Idle;
                }
                step
            }
            Flow::Receiving(receiving) => receiving.step(&mut self.stream, &mut self.readiness, buffer),
            Flow::Gathering(gathering) => gathering.step(&mut self.stream, &mut self.readiness, buffer),
            Flow::Dropping { remaining } => {
                let wanted = clamp(*remaining, buffer.len());
                match read(&mut self.stream, &mut self.readiness, &mut buffer[..wanted]) {
                    Ok(count) => {
                        *remaining -= count as u64;
                        if *remaining == 0 {
                            self.flow = Flow::Idle;
                        }
                        Step::Moved(count as u64)
                    }
                    Err(step) => step,
                }
            }
        }
    }
}

impl Sending {
    fn step(&mut self, stream: &TcpStream, readiness: &mut Readiness, budget_bytes: u64) -> Step {
        if self.offset >= self.end {
            return Step::Blocked;
        }
        if self.offset >= self.warm_until {
            match is_in_memory(&self.file, self.offset, self.window_end()) {
                Ok(true) => self.warm_until = self.window_end(),
                Ok(false) => {
                    self.warming = true;
                    let length = self.window_end() - self.offset;
                    return Step::Cold { file: Arc::clone(&self.file), offset: self.offset, length };
                }
                Err(code) => return Step::SendFailed(code),
            }
        }
        let length = (self.warm_until - self.offset).min(budget_bytes);
        let mut offset = self.offset;
        match rustix::fs::sendfile(stream, &*self.file, Some(&mut offset), clamp(length, usize::MAX)) {
            // Bytes are owed, but the file has no more.
            Ok(0) => Step::SendFailed(ErrorCode::Changed),
            Ok(count) => {
                self.offset += count as u64;
                Step::Moved(count as u64)
            }
            Err(Errno::AGAIN) => {
                readiness.writable = false;
                Step::Blocked
            }
            Err(Errno::INTR) => Step::Moved(0),
            Err(Errno::IO | Errno::NOMEM | Errno::OVERFLOW) => Step::SendFailed(ErrorCode::Io),
            Err(_) => Step::Lost,
        }
    }

    /// Windows lie at multiples of their size, so that a resumed download warms no page twice.
    fn window_end(&self) -> u64 {
        ((self.offset / WARM_WINDOW_BYTES + 1) * WARM_WINDOW_BYTES).min(self.end)
    }
}

impl Receiving {
    fn can_read(&self) -> bool {
        if self.unread_bytes > 0 {
            self.buffers_under_way < UPLOAD_WRITES_MAX
        } else {
            self.unread_trailer() > 0
        }
    }

    fn unread_trailer(&self) -> usize {
        self.trailer.as_ref().map_or(0, |trailer| TRAILER_BYTES - trailer.filled)
    }

    fn step(&mut self, stream: &mut TcpStream, readiness: &mut Readiness, buffer: &mut [u8]) -> Step {
        if !self.can_read() {
            return Step::Blocked;
        }
        if let (0, Some(trailer)) = (self.unread_bytes, &mut self.trailer) {
            return trailer.step(stream, readiness);
        }
        let wanted = clamp(self.unread_bytes, buffer.len());
        let mut length = 0;
        // What one write brings to the file should be as much as there is.
        while length < wanted {
            match read(stream, readiness, &mut buffer[length..wanted]) {
                Ok(count) => length += count,
                Err(Step::Blocked) if length > 0 => break,
                Err(step) => return step,
            }
        }
        self.unread_bytes -= length as u64;
        self.buffers_under_way += 1;
        Step::Filled { length }
    }
}

impl Gathering {
    fn wants_more(&self) -> bool {
        self.content.len() < self.size || self.trailer.as_ref().is_some_and(|trailer| !trailer.is_whole())
    }

    fn step(&mut self, stream: &mut TcpStream, readiness: &mut Readiness, buffer: &mut [u8]) -> Step {
        let missing = self.size - self.content.len();
        if missing == 0 {
            return match &mut self.trailer {
                Some(trailer) if !trailer.is_whole() => trailer.step(stream, readiness),
                Some(_) | None => Step::Blocked,
            };
        }
        let wanted = missing.min(buffer.len());
        match read(stream, readiness, &mut buffer[..wanted]) {
            Ok(count) => {
                self.content.extend_from_slice(&buffer[..count]);
                Step::Moved(count as u64)
            }
            Err(step) => step,
        }
    }
}

impl TrailerLine {
    const EMPTY: Self = Self { line: [0; TRAILER_BYTES], filled: 0 };

    fn is_whole(&self) -> bool {
        self.filled == TRAILER_BYTES
    }

    fn step(&mut self, stream: &mut TcpStream, readiness: &mut Readiness) -> Step {
        match read(stream, readiness, &mut self.line[self.filled..]) {
            Ok(count) => self.filled += count,
            Err(step) => return step,
        }
        if self.filled < TRAILER_BYTES {
            return Step::Moved(0);
        }
        Step::Trailer(self.line.strip_suffix(b"\n").and_then(Digest::parse))
    }
}

/// Reads no byte beyond the ticket line: what follows it is payload.
fn read_ticket(
    stream: &mut TcpStream,
    readiness: &mut Readiness,
    line: &mut [u8; TICKET_LINE_BYTES],
    filled: &mut usize,
) -> Step {
    match read(stream, readiness, &mut line[*filled..]) {
        Ok(count) => *filled += count,
        Err(step) => return step,
    }
    if *filled < TICKET_LINE_BYTES {
        return Step::Moved(0);
    }
    Step::Presented(line.strip_suffix(b"\n").and_then(Ticket::parse))
}

/// Between transfers nothing is read, since it may be an upload whose command has not come yet. Only
/// whether the peer has closed is looked for.
fn look_for_end(stream: &TcpStream, readiness: &mut Readiness) -> Step {
    if readiness.write_closed {
        return Step::Lost;
    }
    readiness.read_closed = false;
    match stream.peek(&mut [0]) {
        Ok(0) => Step::Lost,
        // Payload of the next upload; its end is found by reading it.
        Ok(_) => Step::Blocked,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Blocked,
        Err(_) => Step::Lost,
    }
}

/// One read of at least a byte, or why not.
fn read(stream: &mut TcpStream, readiness: &mut Readiness, buffer: &mut [u8]) -> Result<usize, Step> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(Step::Lost),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                readiness.readable = false;
                return Err(Step::Blocked);
            }
            Err(_) => return Err(Step::Lost),
        }
    }
}

/// Probes single bytes of `start..end` without waiting for a disk. Pages are read and dropped in runs far
/// longer than the stride, so a hit is as good as certain; a page that is missing all the same costs one
/// wait for the disk.
fn is_in_memory(file: &File, start: u64, end: u64) -> Result<bool, ErrorCode> {
    let mut at = start;
    loop {
        let mut byte = [0];
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(ErrorCode::Changed),
            Ok(_) => {}
            // The file system cannot tell, or it would have to read.
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => return Ok(false),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(code_of(errno)),
        }
        if at + 1 >= end {
            return Ok(true);
        }
        at = (at + WARM_PROBE_STRIDE_BYTES).min(end - 1);
    }
}

fn clamp(length: u64, most: usize) -> usize {
    usize::try_from(length).unwrap_or(most).min(most)
}
