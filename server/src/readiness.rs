//! What an edge-triggered poll has said about a socket, latched until a call proves it wrong.

use mio::event::Event;

/// A bit is set by an event and cleared only by `WouldBlock`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has sent its last byte; some may still be unread.
    pub(crate) read_closed: bool,
    /// Nothing that is written will arrive.
    pub(crate) write_closed: bool,
}

impl Readiness {
    pub(crate) fn latch(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed();
        self.writable |= event.is_writable();
        self.read_closed |= event.is_read_closed();
        self.write_closed |= event.is_write_closed() || event.is_error();
    }
}
