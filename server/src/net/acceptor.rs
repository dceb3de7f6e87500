//! The listeners of both ports: binding them, and accepting in bounded batches.

use crate::config::Config;
use crate::limits::{KEEPALIVE_IDLE_TIMEOUT, LISTEN_BACKLOG, SOCKET_UNSENT_BYTES};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// Attempts at finding a port that is free on every address.
const ANY_PORT_ATTEMPTS: usize = 32;

/// What a connection to a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Control,
    Data,
}

/// One listening socket. `ready` is latched: it stays set until accepting would block.
#[derive(Debug)]
struct Listener {
    /// `None` once it is closed; its place stays, because its place is its token.
    socket: Option<TcpListener>,
    purpose: Purpose,
    ready: bool,
}

#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// Accepting failed for want of resources; not before this instant again.
    paused_until: Option<Instant>,
    pub(crate) control_port: u16,
    pub(crate) data_port: u16,
}

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub(crate) struct ListenError {
    address: SocketAddr,
    reason: String,
}

/// What came of one attempt to accept.
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// No connection waits, or none is accepted for a while.
    Empty,
    /// A connection waits, but cannot be accepted now: descriptors or memory are short.
    Exhausted(io::Error),
}

impl Acceptor {
    pub(crate) fn bind(config: &Config) -> Result<Self, ListenError> {
        let (control, control_port) = bind_everywhere(&config.listen, config.port)?;
        let (data, data_port) = bind_everywhere(&config.listen, config.data_port)?;
        let listener = |purpose| move |socket| Listener { socket: Some(socket), purpose, ready: false };
        let control = control.into_iter().map(listener(Purpose::Control));
        let listeners = control.chain(data.into_iter().map(listener(Purpose::Data))).collect();
        Ok(Self { listeners, paused_until: None, control_port, data_port })
    }

    /// Registers every listener; the token of each is its place.
    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (place, listener) in self.listeners.iter_mut().enumerate() {
            if let Some(socket) = &mut listener.socket {
                registry.register(socket, Token(place), Interest::READABLE)?;
            }
        }
        Ok(())
    }

    pub(crate) fn handle_ready(&mut self, place: usize) {
        if let Some(listener) = self.listeners.get_mut(place) {
            listener.ready = listener.socket.is_some();
        }
    }

    /// True while [`Acceptor::accept`] may have a connection.
    pub(crate) fn is_ready(&self) -> bool {
        self.paused_until.is_none() && self.listeners.iter().any(|listener| listener.ready)
    }

    /// Accepts nothing until this instant.
    pub(crate) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// When [`Acceptor::end_pause`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.paused_until
    }

    pub(crate) fn end_pause(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }

    pub(crate) fn accept(&mut self, purpose: Purpose) -> Accepted {
        if self.paused_until.is_some() {
            return Accepted::Empty;
        }
        for listener in
            self.listeners.iter_mut().filter(|listener| listener.purpose == purpose && listener.ready)
        {
            while let Some(socket) = &listener.socket {
                match socket.accept() {
                    Ok((stream, peer)) => return Accepted::Connection(stream, peer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.ready = false;
                        break;
                    }
                    Err(error) => match Errno::from_io_error(&error) {
                        // An error of the connection, not of the listener (accept(2) names them): it was gone before
                        // it was accepted, or so was its network. The next may be fine.
                        Some(
                            Errno::CONNABORTED
                            | Errno::INTR
                            | Errno::PROTO
                            | Errno::NETDOWN
                            | Errno::NOPROTOOPT
                            | Errno::HOSTDOWN
                            | Errno::NONET
                            | Errno::HOSTUNREACH
                            | Errno::OPNOTSUPP
                            | Errno::NETUNREACH
                            | Errno::PERM
                            | Errno::TIMEDOUT,
                        ) => {}
                        Some(_) | None => return Accepted::Exhausted(error),
                    },
                }
            }
        }
        Accepted::Empty
    }

    /// Takes no further sessions. Data connections are still welcome, for the transfers under way.
    pub(crate) fn close_control(&mut self) {
        for listener in self.listeners.iter_mut().filter(|listener| listener.purpose == Purpose::Control) {
            listener.socket = None;
            listener.ready = false;
        }
    }
}

/// Listens on `port` of each address; port 0 stands for one that is free on all of them.
fn bind_everywhere(addresses: &[IpAddr], port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    let mut attempts = if port == 0 { ANY_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_all(addresses, port) {
            Err(_) if attempts > 0 => {}
            result => return result,
        }
    }
}

fn bind_all(addresses: &[IpAddr], mut port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    let by_default = addresses.is_empty();
    let mut sockets = Vec::new();
    for &address in if by_default { &everywhere } else { addresses } {
        let address = SocketAddr::new(address, port);
        match bind_one(address) {
            Ok(socket) => {
                port = socket.local_addr().map_or(port, |local| local.port());
                sockets.push(socket);
            }
            // A machine without IPv6 is served on IPv4 alone, unless it was asked for by name.
            Err(error) if by_default && address.is_ipv6() && is_unsupported(&error) => {}
            Err(error) => return Err(ListenError { address, reason: advice(&error, address) }),
        }
    }
    Ok((sockets, port))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port whose old connections still linger can be had again at once.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these three.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE_TIMEOUT))?;
    socket.set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn advice(error: &io::Error, address: SocketAddr) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => format!(
            "port {} is in use; stop the program that has it, or choose another with --port and --data-port",
            address.port()
        ),
        Some(Errno::ACCESS) => format!("port {} needs privileges; choose one above 1023", address.port()),
        Some(Errno::ADDRNOTAVAIL) => "this machine has no such address; see --listen".to_owned(),
        Some(_) | None => error.to_string(),
    }
}
