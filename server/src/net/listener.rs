//! How a port is listened on, and what came of an attempt to accept.

use crate::limits::{KEEPALIVE_IDLE_TIMEOUT, SOCKET_UNSENT_BYTES};
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;

/// What came of one attempt to accept.
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// No connection waits, or none is accepted for a while.
    Empty,
    /// A connection waits, but cannot be accepted now: descriptors or memory are short.
    Exhausted(io::Error),
}

/// Has a socket listen on an address.
pub(crate) fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port whose old connections still linger can be had again at once.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Begins to connect from one address to another; whether that succeeds shows when the stream can be written to.
pub(crate) fn begin_to_connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = stream_socket(to)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// With the options that connections have; those that are accepted inherit them from their listener.
fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE_TIMEOUT))?;
    socket.set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts one connection. Gives [`Accepted::Empty`] only where the next one will be told of by an event.
pub(crate) fn accept(listener: &TcpListener) -> Accepted {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => return Accepted::Connection(stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::Empty,
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
