//! An upload: its payload into buffers for the disk, or into memory where it is small, and then the line
//! with its digest, if one is to follow.

use super::line::FixedLine;
use super::{Step, clamp, read};
use crate::limits::UPLOAD_WRITES_MAX;
use crate::net::socket::Socket;
use ferry_common::limits::TRAILER_BYTES;
use ferry_common::wire::digest::Digest;

#[derive(Debug)]
pub(super) struct Receiving {
    /// Of the payload.
    unread_bytes: u64,
    buffers_under_way: usize,
    trailer: Trailer,
}

/// A small upload, into memory.
#[derive(Debug)]
pub(super) struct Gathering {
    content: Vec<u8>,
    size: usize,
    trailer: Trailer,
}

/// What follows the payload, as far as it has come.
#[derive(Debug)]
struct Trailer(Option<FixedLine<TRAILER_BYTES>>);

impl Receiving {
    pub(super) fn new(length: u64, trailer: bool) -> Self {
        Self { unread_bytes: length, buffers_under_way: 0, trailer: Trailer::new(trailer) }
    }

    pub(super) fn can_read(&self) -> bool {
        if self.needs_buffer() {
            self.buffers_under_way < UPLOAD_WRITES_MAX
        } else {
            self.trailer.missing_bytes() > 0
        }
    }

    pub(super) fn needs_buffer(&self) -> bool {
        self.unread_bytes > 0
    }

    /// Its trailer included.
    pub(super) fn unread_bytes(&self) -> u64 {
        self.unread_bytes + self.trailer.missing_bytes() as u64
    }

    /// A disk thread has written so many buffers.
    pub(super) fn handle_written(&mut self, buffers: usize) {
        self.buffers_under_way = self.buffers_under_way.saturating_sub(buffers);
    }

    pub(super) fn step(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Step {
        if !self.can_read() {
            return Step::Blocked;
        }
        if !self.needs_buffer() {
            return self.trailer.step(socket);
        }
        let wanted = clamp(self.unread_bytes, buffer.len());
        let mut length = 0;
        // What one write brings to the file should be as much as there is.
        while length < wanted {
            match read(socket, &mut buffer[length..wanted]) {
                Ok(count) => length += count,
                // What came before the end counts; the next step meets the end again.
                Err(_) if length > 0 => break,
                Err(step) => return step,
            }
        }
        self.unread_bytes -= length as u64;
        self.buffers_under_way += 1;
        Step::Filled { length }
    }
}

impl Gathering {
    pub(super) fn new(length: u64, trailer: bool) -> Self {
        let size = clamp(length, usize::MAX);
        Self { content: Vec::with_capacity(size), size, trailer: Trailer::new(trailer) }
    }

    pub(super) fn wants_more(&self) -> bool {
        self.content.len() < self.size || self.trailer.missing_bytes() > 0
    }

    pub(super) fn into_content(self) -> Vec<u8> {
        self.content
    }

    pub(super) fn step(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Step {
        let missing = self.size - self.content.len();
        if missing == 0 {
            return self.trailer.step(socket);
        }
        let wanted = missing.min(buffer.len());
        match read(socket, &mut buffer[..wanted]) {
            Ok(count) => {
                self.content.extend_from_slice(&buffer[..count]);
                Step::Moved(count as u64)
            }
            Err(step) => step,
        }
    }
}

impl Trailer {
    fn new(is_expected: bool) -> Self {
        Self(is_expected.then_some(FixedLine::EMPTY))
    }

    fn missing_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, FixedLine::missing_bytes)
    }

    fn step(&mut self, socket: &mut Socket) -> Step {
        match &mut self.0 {
            Some(line) if line.missing_bytes() > 0 => {
                line.step(socket, |text| Step::Trailer(text.and_then(Digest::parse)))
            }
            Some(_) | None => Step::Blocked,
        }
    }
}
