//! SIGINT and SIGTERM as bytes on a socket, so that the reactor sees them like anything else.

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};

#[derive(Debug)]
pub(crate) struct Signals {
    receiver: UnixStream,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = std::os::unix::net::UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        receiver.set_nonblocking(true)?;
        Ok(Self { receiver: UnixStream::from_std(receiver) })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.receiver, token, Interest::READABLE)
    }

    /// How many signals came since the last call.
    pub(crate) fn take(&mut self) -> usize {
        let mut bytes = [0; 16];
        let mut count = 0;
        while let Ok(read @ 1..) = self.receiver.read(&mut bytes) {
            count += read;
        }
        count
    }
}
