//! Ports that are open for one data connection each: of one session, from one address, for a short time. A connection from
//! elsewhere is closed, and the wait goes on.

use crate::config::PortRange;
use crate::limits::{PASSIVE_ATTEMPTS_MAX, PASSIVE_BACKLOG, PASSIVE_TIMEOUT};
use crate::net::deadlines::Deadlines;
use crate::net::listener::{self, Accepted};
use crate::net::slots::{Key, Slots};
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct PassivePorts {
    range: Option<PortRange>,
    open: Slots<PassivePort>,
    /// Those at which a connection may wait.
    ready: VecDeque<Key>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct PassivePort {
    listener: TcpListener,
    session: Key,
    /// The only address that may connect.
    peer: IpAddr,
    is_queued: bool,
    armed: Option<Instant>,
}

/// What came of looking at a port.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// This is the session's connection, and the port is closed.
    Connection {
        session: Key,
        stream: TcpStream,
        peer: SocketAddr,
    },
    /// One from elsewhere was closed.
    Stranger(SocketAddr),
    /// There is none.
    Nothing,
    Exhausted(io::Error),
}

impl PassivePorts {
    pub(crate) fn new(range: Option<PortRange>) -> Self {
        Self { range, open: Slots::new(), ready: VecDeque::new(), deadlines: Deadlines::default() }
    }

    /// Opens a port of this address for a connection from `peer`. Gives its key and where it is.
    pub(crate) fn open(
        &mut self,
        local: SocketAddr,
        peer: IpAddr,
        session: Key,
        now: Instant,
    ) -> io::Result<(Key, SocketAddr)> {
        let listener = self.listen(local)?;
        let address = listener.local_addr()?;
        let key = self.open.insert(PassivePort { listener, session, peer, is_queued: false, armed: None });
        if let Some(port) = self.open.get_mut(key) {
            self.deadlines.arm(key, &mut port.armed, Some(now + PASSIVE_TIMEOUT));
        }
        Ok((key, address))
    }

    /// For the poll to watch.
    pub(crate) fn source(&mut self, key: Key) -> Option<&mut TcpListener> {
        self.open.get_mut(key).map(|port| &mut port.listener)
    }

    pub(crate) fn close(&mut self, key: Key) {
        if let Some(mut port) = self.open.remove(key) {
            self.deadlines.arm(key, &mut port.armed, None);
        }
    }

    /// A connection may wait at this port.
    pub(crate) fn handle_ready(&mut self, key: Key) {
        if let Some(port) = self.open.get_mut(key)
            && !port.is_queued
        {
            port.is_queued = true;
            self.ready.push_back(key);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Accepts one connection at the next port at which one may wait; `None` where there is no such port.
    pub(crate) fn accept(&mut self) -> Option<Arrival> {
        let key = self.ready.pop_front()?;
        let Some(port) = self.open.get_mut(key) else { return Some(Arrival::Nothing) };
        match listener::accept(&port.listener) {
            Accepted::Connection(stream, peer) if peer.ip() == port.peer => {
                let session = port.session;
                self.close(key);
                Some(Arrival::Connection { session, stream, peer })
            }
            Accepted::Connection(_, stranger) => {
                self.ready.push_back(key);
                Some(Arrival::Stranger(stranger))
            }
            Accepted::Empty => {
                port.is_queued = false;
                Some(Arrival::Nothing)
            }
            Accepted::Exhausted(error) => {
                self.ready.push_back(key);
                Some(Arrival::Exhausted(error))
            }
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The session of the next port that has waited too long; the port is closed.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Key> {
        let key = self.deadlines.pop_due(now)?;
        let mut port = self.open.remove(key)?;
        port.armed = None;
        Some(port.session)
    }

    fn listen(&self, local: SocketAddr) -> io::Result<TcpListener> {
        let with_port = |port| {
            let mut address = local;
            address.set_port(port);
            address
        };
        let Some(PortRange { from, to }) = self.range else {
            return listener::listen(with_port(0), PASSIVE_BACKLOG);
        };
        let count = u32::from(to - from) + 1;
        // A port that can be foreseen could be connected to by another behind the same address.
        let mut bits = [0; 4];
        getrandom(&mut bits, GetRandomFlags::empty())?;
        let start = u32::from_be_bytes(bits) % count;
        let mut result = Err(io::Error::from(Errno::ADDRINUSE));
        for step in 0..count.min(PASSIVE_ATTEMPTS_MAX.into()) {
            let port = u32::from(from) + (start + step) % count;
            result = listener::listen(with_port(u16::try_from(port).unwrap_or(to)), PASSIVE_BACKLOG);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpStream as Blocking};

    const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    const SESSION: u64 = 7;

    fn accept(ports: &mut PassivePorts, key: Key) -> Option<Arrival> {
        ports.handle_ready(key);
        ports.accept()
    }

    #[test]
    fn one_connection_of_the_right_address_comes_in_and_strangers_do_not_end_the_wait() {
        let mut ports = PassivePorts::new(None);
        let peer = IpAddr::from([127, 0, 0, 2]);
        let (key, address) = ports.open(LOCAL, peer, Key::from_bits(SESSION), Instant::now()).unwrap();
        let mut stranger = Blocking::connect(address).unwrap();
        assert!(matches!(accept(&mut ports, key), Some(Arrival::Stranger(_))));
        assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0, "closed");
        let from = SocketAddr::new(peer, 0);
        let rightful = listener::begin_to_connect(from, address).unwrap();
        let Some(Arrival::Connection { session, peer: came_from, .. }) = accept(&mut ports, key) else {
            panic!("it is not let in");
        };
        assert_eq!((session, came_from.ip()), (Key::from_bits(SESSION), peer));
        drop(rightful);
        assert!(Blocking::connect(address).is_err(), "the port is closed");
        assert!(ports.due().is_none());
    }

    #[test]
    fn a_range_is_used_up_and_no_other_port_is_taken() {
        let free = listener::listen(LOCAL, 1).unwrap().local_addr().unwrap().port();
        let mut ports = PassivePorts::new(Some(PortRange { from: free, to: free }));
        let mut open = || ports.open(LOCAL, LOCAL.ip(), Key::from_bits(SESSION), Instant::now());
        let (key, address) = open().unwrap();
        assert_eq!(address.port(), free);
        assert!(open().is_err());
        ports.close(key);
        assert_eq!(
            ports.open(LOCAL, LOCAL.ip(), Key::from_bits(SESSION), Instant::now()).unwrap().1.port(),
            free
        );
    }

    #[test]
    fn a_port_closes_when_nothing_has_come_in_time() {
        let (mut ports, now) = (PassivePorts::new(None), Instant::now());
        let (key, address) = ports.open(LOCAL, LOCAL.ip(), Key::from_bits(SESSION), now).unwrap();
        assert_eq!(ports.next_due(now), None);
        assert_eq!(ports.next_due(now + PASSIVE_TIMEOUT), Some(Key::from_bits(SESSION)));
        assert!(ports.source(key).is_none() && Blocking::connect(address).is_err());
    }
}
