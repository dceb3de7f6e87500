//! SIGINT, SIGTERM and SIGHUP as bytes on sockets, so that the reactor sees them like anything else.

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Debug)]
pub(crate) struct Signals {
    stops: UnixStream,
    hangups: UnixStream,
}

/// How many signals of each kind came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) stops: usize,
    pub(crate) hangups: usize,
}

impl Signals {
    /// A second signal to stop ends the process with `interrupted` right in its handler, whatever blocks the rest.
    pub(crate) fn new(interrupted: i32) -> io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, interrupted, Arc::clone(&is_stopping))?;
            signal_hook::flag::register(signal, Arc::clone(&is_stopping))?;
        }
        Ok(Self { stops: bytes_for(&[SIGINT, SIGTERM])?, hangups: bytes_for(&[SIGHUP])? })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stops, token, Interest::READABLE)?;
        registry.register(&mut self.hangups, token, Interest::READABLE)
    }

    /// What came since the last call.
    pub(crate) fn take(&mut self) -> Taken {
        Taken { stops: count(&mut self.stops), hangups: count(&mut self.hangups) }
    }
}

/// A socket on which a byte comes for each signal.
fn bytes_for(signals: &[i32]) -> io::Result<UnixStream> {
    let (sender, receiver) = std::os::unix::net::UnixStream::pair()?;
    for &signal in signals {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    receiver.set_nonblocking(true)?;
    Ok(UnixStream::from_std(receiver))
}

fn count(receiver: &mut UnixStream) -> usize {
    let mut bytes = [0; 16];
    let mut count = 0;
    while let Ok(read @ 1..) = receiver.read(&mut bytes) {
        count += read;
    }
    count
}
