//! One non-blocking connection with its latched readiness. Knows nothing of the protocol.
//!
//! Readiness is edge-triggered: a latched bit is cleared only by `WouldBlock`. An event that was meant for
//! an earlier connection of the same token sets a bit too early, which costs one call that would block.

use crate::limits::{
    ACKNOWLEDGE_TIMEOUT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, NOT_SENT_MAX_BYTES,
};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::RecvFlags;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    connected: bool,
    readable: bool,
    writable: bool,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, connected: false, readable: false, writable: false })
    }

    /// Has its events come with another token.
    pub(crate) fn rename(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// True once the connection stands.
    pub(crate) fn finish_connect(&mut self) -> io::Result<bool> {
        if self.connected || !self.writable {
            return Ok(self.connected);
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.connected = true;
                configure(&self.stream)?;
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => self.writable = false,
            Err(error) => return Err(error),
        }
        Ok(self.connected)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn can_read(&self) -> bool {
        self.connected && self.readable
    }

    pub(crate) fn can_write(&self) -> bool {
        self.connected && self.writable
    }

    /// `None` when there is nothing yet, `Some(0)` at the end of the stream.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        while self.can_read() {
            match self.stream.read(into) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// How much was taken; `None` when there is no room.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        while self.can_write() {
            match self.stream.write(bytes) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Asks the kernel whether anything, or the end, has come that was not read, whatever is latched.
    pub(crate) fn has_input(&self) -> bool {
        match rustix::net::recv(&self.stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok(_) => true,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Has the connection end with a reset when it is dropped: what is still in the kernel is of no more use.
    pub(crate) fn abort(self) {
        // Where it cannot be set, the peer learns of the end behind those bytes.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// True for what passes by itself: all ports or descriptors are in use for the moment.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::WouldBlock)
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // A ticket or a command must not wait for the acknowledgement of what went before.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGE_TIMEOUT))?;
    // What is handed to the kernel can neither be taken back nor be counted as moved.
    socket.set_tcp_notsent_lowat(NOT_SENT_MAX_BYTES)
}
