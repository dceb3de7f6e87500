//! Makes TCP connections that do not hang: bounded, interruptible, with keepalive. Never speaks on them.

use crate::failure::{self, Failure};
use crate::limits::{
    ACKNOWLEDGE_TIMEOUT, CONNECT_TIMEOUT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, SEND_TIMEOUT,
    STALL_TIMEOUT,
};
use crate::terminal::interrupt::{Interrupted, Interrupts, Slot};
use ferry_common::wire::words;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// The server as the user named it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
}

/// A control connection and the server's address.
pub(crate) struct Connected {
    pub(crate) socket: Arc<Socket>,
    pub(crate) peer: SocketAddr,
}

/// Why there is no connection to an address.
pub(crate) enum DialError {
    Interrupted,
    Io(io::Error),
}

impl Target {
    /// `host` may be an IPv6 address in brackets.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.to_owned(), port }
    }

    /// Tries every address of the host, in the order of the resolver.
    pub(crate) fn connect(&self, interrupts: &Arc<Interrupts>) -> Result<Connected, Failure> {
        let mut failures = Vec::new();
        for peer in self.resolve(interrupts)? {
            match dial(peer, Slot::Control, interrupts) {
                Ok(socket) => {
                    socket.set_write_timeout(Some(SEND_TIMEOUT)).map_err(|error| self.failure(&error))?;
                    return Ok(Connected { socket, peer });
                }
                Err(DialError::Interrupted) => return Err(Failure::Interrupted),
                Err(DialError::Io(error)) => failures.push(error),
            }
        }
        Err(match failures.first() {
            Some(error) => self.failure(error),
            None => Failure::CannotConnect(format!("The host of {self} has no address")),
        })
    }

    /// The resolver may wait long for a name server that is gone, and nothing can end that.
    fn resolve(&self, interrupts: &Arc<Interrupts>) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let (host, port) = (self.host.clone(), self.port);
        match interrupts.aside(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())) {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(Interrupted)) => Err(Failure::Interrupted),
            Err(error) => Err(Failure::CannotConnect(format!(
                "Cannot find the host {}: {}",
                words::display(self.host.as_bytes()),
                describe(&error)
            ))),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let hint = if error.kind() == io::ErrorKind::ConnectionRefused {
            "; is the server running there, and on this port?"
        } else if error.kind() == io::ErrorKind::TimedOut {
            "; is the host up, and the port open in its firewall?"
        } else {
            ""
        };
        Failure::CannotConnect(format!("Cannot connect to {self}: {}{hint}", describe(error)))
    }
}

/// `host:port`, safe to show.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = words::escape_text(self.host.as_bytes());
        if host.contains(':') {
            write!(formatter, "[{host}]:{}", self.port)
        } else {
            write!(formatter, "{host}:{}", self.port)
        }
    }
}

/// Connects to one address. A signal ends the wait as it would end a read.
pub(crate) fn dial(peer: SocketAddr, slot: Slot, interrupts: &Interrupts) -> Result<Arc<Socket>, DialError> {
    let socket =
        Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP)).map_err(DialError::Io)?;
    let socket = Arc::new(socket);
    let _watch = interrupts.watch(slot, &socket).map_err(|_| DialError::Interrupted)?;
    let connected = socket.connect_timeout(&peer.into(), CONNECT_TIMEOUT).and_then(|()| configure(&socket));
    match connected {
        Ok(()) => Ok(socket),
        Err(_) if interrupts.signal().is_some() => Err(DialError::Interrupted),
        Err(error) => Err(DialError::Io(error)),
    }
}

/// An error of a connection in words; the system's text for a timeout of ours is none.
pub(crate) fn describe(error: &io::Error) -> String {
    if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
        "no answer in time".to_owned()
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        "it was closed".to_owned()
    } else {
        failure::describe(error)
    }
}

fn configure(socket: &Socket) -> io::Result<()> {
    // A ticket or a command must not wait for the acknowledgement of what went before.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGE_TIMEOUT))?;
    socket.set_read_timeout(Some(STALL_TIMEOUT))?;
    socket.set_write_timeout(Some(STALL_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_shows_as_it_is_written() {
        assert_eq!(Target::new("nas.local", 2222).to_string(), "nas.local:2222");
        assert_eq!(Target::new("[::1]", 2222).to_string(), "[::1]:2222");
        assert_eq!(Target::new("::1", 2222).to_string(), "[::1]:2222");
        assert_eq!(Target::new("a\x1b[2J", 1).to_string(), "a\\x1b[2J:1");
    }
}
