//! A connected socket, and what an edge-triggered poll has said about it, latched until a call proves it
//! wrong.

use mio::event::{Event, Source};
use mio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::SockRef;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// A bit is set by an event and cleared only by `WouldBlock`.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    readable: bool,
    writable: bool,
    /// The peer has sent its last byte; some may still be unread.
    read_closed: bool,
    /// Nothing that is written will arrive.
    write_closed: bool,
    /// The connection was reset, or has failed otherwise. The kernel says so once: what is read afterwards looks like the
    /// proper end of the stream.
    has_failed: bool,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(usize),
    End,
    Blocked,
    Failed,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            readable: false,
            writable: false,
            read_closed: false,
            write_closed: false,
            has_failed: false,
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This machine's own address of it.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// What came of connecting, once there is something to tell.
    pub(crate) fn connected(&mut self) -> io::Result<()> {
        let result = self.stream.take_error().and_then(|error| error.map_or(Ok(()), Err));
        self.note_failure(result)
    }

    /// For the poll to watch.
    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.stream
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed();
        self.writable |= event.is_writable();
        self.read_closed |= event.is_read_closed();
        self.write_closed |= event.is_write_closed() || event.is_error();
        self.has_failed |= event.is_error();
    }

    /// There may be bytes already, though no event has told of any.
    pub(crate) fn assume_readable(&mut self) {
        self.readable = true;
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    pub(crate) fn is_write_closed(&self) -> bool {
        self.write_closed
    }

    /// One read into `buffer`, which must not be empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        let received = received(|| self.stream.read(buffer));
        self.unlatch(received)
    }

    /// As [`Socket::read`], but what it finds stays unread.
    pub(crate) fn peek(&mut self) -> Received {
        let received = received(|| self.stream.peek(&mut [0]));
        self.unlatch(received)
    }

    /// Writes what the socket takes of `bytes`; 0 where it takes none for now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Ok(0);
                }
                result => return self.note_failure(result),
            }
        }
    }

    /// As [`Socket::write`], but what is little may wait in the kernel for more, until [`Socket::push`]: so that many small
    /// files share what it costs to send something.
    pub(crate) fn write_ahead(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(&self.stream, bytes, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.writable = false;
                    return Ok(0);
                }
                result => return self.note_failure(result.map_err(io::Error::from)),
            }
        }
    }

    /// Sends what waits for more.
    pub(crate) fn push(&self) {
        // The option is set already, and to set it again does that. Where it fails, the kernel sends a moment later.
        let _ = self.stream.set_nodelay(true);
    }

    /// Sends a part of a file from the page cache, and moves `offset` behind it.
    pub(crate) fn send_file(&mut self, file: &File, offset: &mut u64, length: usize) -> Result<usize, Errno> {
        let result = rustix::fs::sendfile(&self.stream, file, Some(offset), length);
        match result {
            Err(Errno::AGAIN) => self.writable = false,
            // Others are about the file, or come to nothing.
            Err(Errno::PIPE | Errno::CONNRESET) => self.has_failed = true,
            Ok(_) | Err(_) => {}
        }
        result
    }

    /// From now on, closing drops what is not sent yet and tells the peer so, by a reset.
    pub(crate) fn reset_when_closed(&self) {
        // Setting the option fails only for what is not a connected socket.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Says to the peer that no more will come.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn note_failure<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.has_failed |= result.is_err();
        result
    }

    fn unlatch(&mut self, received: Received) -> Received {
        self.has_failed |= received == Received::Failed;
        if received == Received::End && self.has_failed {
            return Received::Failed;
        }
        if received == Received::Blocked {
            // After the peer's last byte no event comes any more: what is there must be asked for again.
            self.readable = self.read_closed;
        }
        received
    }
}

fn received(mut call: impl FnMut() -> io::Result<usize>) -> Received {
    loop {
        match call() {
            Ok(0) => return Received::End,
            Ok(count) => return Received::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Blocked,
            Err(_) => return Received::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as Blocking};

    /// A socket whose peer has sent this and then ended the connection, properly or not.
    fn ended(sent: &[u8], is_reset: bool) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = Blocking::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        peer.write_all(sent).unwrap();
        if is_reset {
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(peer);
        stream.set_nonblocking(true).unwrap();
        Socket::new(TcpStream::from_std(stream), address)
    }

    #[test]
    fn a_reset_never_looks_like_a_proper_end() {
        let mut buffer = [0; 10];
        for (is_reset, end) in [(false, Received::End), (true, Received::Failed)] {
            let mut socket = ended(b"abc", is_reset);
            if socket.read(&mut buffer) != Received::Bytes(3) {
                assert!(is_reset, "a reset may take what was not read yet with it");
            }
            for _ in 0..3 {
                assert_eq!(socket.read(&mut buffer), end);
                assert_eq!(socket.peek(), end);
            }
        }
    }

    #[test]
    fn a_failure_that_another_call_was_told_of_is_one_for_the_reads_as_well() {
        let mut socket = ended(b"", true);
        assert!(socket.write(b"x").is_err());
        assert_eq!(socket.read(&mut [0; 10]), Received::Failed);
        let mut socket = ended(b"", true);
        assert!(socket.connected().is_err());
        assert_eq!(socket.read(&mut [0; 10]), Received::Failed);
    }
}
