//! An upload: its payload into buffers for the disk, or into memory where it is small, and then the line
//! with its digest, if one is to follow.

use super::line::FixedLine;
use super::{Step, clamp, read};
use crate::limits::UPLOAD_WRITES_MAX;
use crate::net::socket::Socket;
use ferry_common::limits::TRAILER_BYTES;
use ferry_common::wire::digest::Digest;
use ferry_session::action::Length;

#[derive(Debug)]
pub(super) struct Receiving {
    /// Of the payload.
    unread: Length,
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
    pub(super) fn new(length: Length, trailer: bool) -> Self {
        Self { unread: length, buffers_under_way: 0, trailer: Trailer::new(trailer) }
    }

    pub(super) fn can_read(&self) -> bool {
        if self.needs_buffer() {
            self.buffers_under_way < UPLOAD_WRITES_MAX
        } else {
            self.trailer.missing_bytes() > 0
        }
    }

    pub(super) fn needs_buffer(&self) -> bool {
        self.unread != Length::Exact(0)
    }

    /// Its trailer included, as far as it is known.
    pub(super) fn unread_bytes(&self) -> u64 {
        match self.unread {
            Length::Exact(bytes) => bytes + self.trailer.missing_bytes() as u64,
            Length::UntilClose => 0,
        }
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
        let wanted = match self.unread {
            Length::Exact(bytes) => clamp(bytes, buffer.len()),
            Length::UntilClose => buffer.len(),
        };
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
        if let Length::Exact(bytes) = &mut self.unread {
            *bytes -= length as u64;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_session::action::End;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    /// A peer, and the socket that it is connected to.
    fn connected() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        // The steps below are to wait for the peer.
        (peer, Socket::new(mio::net::TcpStream::from_std(stream), address))
    }

    #[test]
    fn an_upload_until_close_is_what_comes_before_the_end_and_tells_its_kind() {
        for end in [End::Clean, End::Torn] {
            let (mut peer, mut socket) = connected();
            let mut receiving = Receiving::new(Length::UntilClose, false);
            peer.write_all(&[7; 1000]).unwrap();
            let mut buffer = [0; 600];
            for expected in [600, 400] {
                let step = receiving.step(&mut socket, &mut buffer[..expected]);
                assert!(matches!(step, Step::Filled { length } if length == expected), "{step:?}");
                assert!(receiving.needs_buffer(), "more may come");
                assert_eq!(receiving.unread_bytes(), 0, "nothing is known to come");
            }
            receiving.handle_written(2);
            if end == End::Torn {
                socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
            drop(peer);
            let step = receiving.step(&mut socket, &mut buffer);
            assert!(matches!(step, Step::Ended(found) if found == end), "{step:?} for {end:?}");
        }
    }

    #[test]
    fn what_is_closed_by_a_reset_looks_torn_to_its_peer() {
        for (end, is_reset) in [(End::Clean, false), (End::Torn, true)] {
            let (peer, socket) = connected();
            if is_reset {
                socket.reset_when_closed();
            }
            let address = peer.peer_addr().unwrap();
            drop(socket);
            let mut socket = Socket::new(mio::net::TcpStream::from_std(peer), address);
            let found = read(&mut socket, &mut [0]);
            assert!(matches!(&found, Err(Step::Ended(found)) if *found == end), "{found:?} for {end:?}");
        }
    }
}
