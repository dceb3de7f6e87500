//! Connections whose waits end: what does not come in time is a result.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connects; each connect, read and write ends after `limit`.
pub(crate) fn dial(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit)?;
    bound(&stream, limit)?;
    Ok(stream)
}

/// Has each read and write of a connection end after `limit`, and small writes leave at once.
pub(crate) fn bound(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)
}
