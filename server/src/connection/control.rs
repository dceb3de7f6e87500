//! A control connection: its socket, the replies that are still to be written, and the session that it
//! carries. It moves bytes between the socket and the session; what the session wants done is the
//! reactor's business.

use crate::admission::input_budget::Held;
use crate::asker::Asker;
use crate::limits::{GIVING_WAY_MIN_AGE, LINGER_MAX_BYTES, LINGER_TIMEOUT};
use crate::net::address::Address;
use crate::net::slots::Key;
use crate::net::socket::{Received, Socket};
use crate::peer_log::moved::Moved;
use crate::seat::Seat;
use ferry_session::Session;
use ferry_session::fact::Fact;
use ferry_session::outbox::Outbox;
use std::io;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) socket: Socket,
    /// On the reactor's ready list.
    pub(crate) queued: bool,
    /// Input that it was last known to hold.
    pub(crate) known_input: Held,
    /// Among the sessions, of which there may be only so many.
    pub(crate) is_counted: bool,
    /// The reactor's turn in which it was served last.
    pub(crate) served_in: u64,
    /// Where its deadline is queued.
    pub(crate) armed: Option<Instant>,
    pub(crate) session: Session,
    pub(crate) seat: Seat,
    /// What the log says at its end.
    pub(crate) moved: Moved,
    outbox: Outbox,
    /// The peer has sent its last byte, and it was read.
    input_ended: bool,
    /// The peer has sent its last byte, read or not, and was told something since: were it gone, that would show.
    end_probed: bool,
    closing: Closing,
}

/// How far a session's end has come: write what is owed, say that no more will come, and read on until
/// the peer has closed too. Closing with unread input would reset the connection, and the reset could
/// overtake the last reply.
#[derive(Debug, Clone, Copy)]
enum Closing {
    Open,
    Flushing,
    Lingering { until: Instant, left_bytes: u64 },
    Closed,
}

impl Control {
    pub(crate) fn new(socket: Socket, session: Session) -> Self {
        Self {
            socket,
            queued: false,
            known_input: Held::default(),
            is_counted: false,
            served_in: 0,
            armed: None,
            session,
            seat: Seat::new(),
            moved: Moved::default(),
            outbox: Outbox::default(),
            input_ended: false,
            end_probed: false,
            closing: Closing::Open,
        }
    }

    /// What a job for the current transfer reports to; `session` is this session's own key.
    pub(crate) fn asker(&self, session: Key) -> Asker {
        Asker { address: self.address(), session, transfer: self.seat.transfer() }
    }

    /// The peer's, for shares.
    pub(crate) fn address(&self) -> Address {
        Address::from(self.socket.peer())
    }

    /// True for a session at `address` that is idle, or has had its time to show what it makes of what it has.
    pub(crate) fn may_give_way(&self, address: Address, now: Instant) -> bool {
        if !self.is_open() || self.address() != address {
            return false;
        }
        let activity = self.session.activity(now);
        !activity.is_working || now >= activity.since + GIVING_WAY_MIN_AGE
    }

    /// True when the connection can go on, or its end is to be noticed.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_work() || self.socket.is_write_closed()
    }

    /// True when there is work that the latched readiness allows.
    fn has_work(&self) -> bool {
        match self.closing {
            Closing::Open => {
                self.session.is_paused() || self.can_read() || self.can_write() || self.must_probe_end()
            }
            Closing::Flushing => self.can_write(),
            Closing::Lingering { .. } => self.socket.is_readable(),
            Closing::Closed => false,
        }
    }

    /// The input that the session holds.
    pub(crate) fn held_input(&self) -> Held {
        if self.is_open() {
            let Self { session, .. } = self;
            Held { bytes: session.held_input_bytes(), awaits_end_of_line: session.awaits_end_of_line() }
        } else {
            Held::default()
        }
    }

    /// True when the session wants input and there may be some.
    fn can_read(&self) -> bool {
        self.socket.is_readable() && !self.input_ended && self.session.wants_input()
    }

    /// True while the session works for a peer that may have gone.
    fn must_probe_end(&self) -> bool {
        self.socket.is_read_closed() && !self.end_probed && self.session.awaits_work()
    }

    /// True until the session has ended; what comes after is only politeness.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.closing, Closing::Open | Closing::Flushing)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.closing, Closing::Closed)
    }

    /// When something must happen on this connection.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.closing {
            Closing::Open | Closing::Flushing => Some(self.session.deadline()),
            Closing::Lingering { until, .. } => Some(until),
            Closing::Closed => None,
        }
    }

    /// One read into `scratch`.
    fn read(&mut self, scratch: &mut [u8]) -> Received {
        let received = self.socket.read(scratch);
        self.input_ended |= received == Received::End;
        received
    }

    /// Queues lines to be written. A session that says more than the outbox may hold ends.
    pub(crate) fn append_reply(&mut self, lines: &[u8]) {
        if let Err(error) = self.outbox.push(lines) {
            debug_assert!(false, "the session answers ahead of its bound: {error}");
            log::error!("Cut off {}: {error}", self.socket.peer());
            self.abort();
        }
    }

    /// Writes what the socket takes and tells how much that was.
    pub(crate) fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while self.can_write() {
            let count = self.socket.write(self.outbox.front())?;
            self.outbox.consume(count);
            written += count;
        }
        Ok(written)
    }

    /// The session has ended: what is in the outbox is the last.
    pub(crate) fn begin_close(&mut self) {
        if matches!(self.closing, Closing::Open) {
            self.closing = Closing::Flushing;
        }
    }

    /// Once everything is written, says so to the peer and waits for it to close as well.
    pub(crate) fn continue_close(&mut self, now: Instant) {
        if matches!(self.closing, Closing::Flushing) && self.outbox.is_empty() {
            self.closing = match self.socket.shutdown_write() {
                Ok(()) if !self.input_ended => {
                    Closing::Lingering { until: now + LINGER_TIMEOUT, left_bytes: LINGER_MAX_BYTES }
                }
                Ok(()) | Err(_) => Closing::Closed,
            };
        }
    }

    /// Has the session look at some lines, reading once where it has none.
    pub(crate) fn take_turn(&mut self, scratch: &mut [u8], lines: usize, now: Instant) {
        if !self.is_open() {
            return self.linger(scratch);
        }
        if self.socket.is_write_closed() {
            return self.abort();
        }
        if self.must_probe_end() {
            self.end_probed = true;
            return self.session.handle(Fact::EndInSight, now);
        }
        if self.session.is_paused() {
            return self.session.handle(Fact::Turn { lines }, now);
        }
        if !self.can_read() {
            return;
        }
        let received = self.read(scratch);
        self.session.handle(Fact::Turn { lines }, now);
        match received {
            Received::Bytes(count) => self.session.handle(Fact::Input(&scratch[..count]), now),
            Received::End => self.session.handle(Fact::EndOfInput, now),
            Received::Blocked => {}
            Received::Failed => self.abort(),
        }
    }

    /// Reads as long as the session wants input and there is some. Whether there is, no event may have told yet.
    pub(crate) fn hear_all(&mut self, scratch: &mut [u8], now: Instant) {
        while self.is_open() && !self.input_ended && self.session.wants_input() {
            match self.read(scratch) {
                Received::Bytes(count) => self.session.handle(Fact::Input(&scratch[..count]), now),
                Received::End => self.session.handle(Fact::EndOfInput, now),
                Received::Blocked => return,
                Received::Failed => return self.abort(),
            }
        }
    }

    /// Reads away some of what the peer still sends: both ends have said their last, but closing before would reset
    /// the connection under the last replies.
    fn linger(&mut self, scratch: &mut [u8]) {
        let Closing::Lingering { until, left_bytes } = self.closing else { return };
        match self.read(scratch) {
            Received::Blocked => {}
            Received::Bytes(count) if (count as u64) < left_bytes => {
                self.closing = Closing::Lingering { until, left_bytes: left_bytes - count as u64 };
            }
            Received::Bytes(_) | Received::End | Received::Failed => self.abort(),
        }
    }

    /// Ends the connection without ceremony.
    pub(crate) fn abort(&mut self) {
        self.closing = Closing::Closed;
    }

    fn can_write(&self) -> bool {
        self.socket.is_writable() && !self.outbox.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle session is to cost about a kilobyte; the rest of it is the system's.
    #[test]
    fn an_idle_control_connection_is_small() {
        assert!(size_of::<Control>() <= 1024, "{} bytes", size_of::<Control>());
    }
}
