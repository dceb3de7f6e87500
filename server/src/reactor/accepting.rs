//! The reactor's work for connections that come: a session or a refusal for each on the control port, and a look for a
//! ticket on each at the data port.

use super::{Reactor, control_token, data_token};
use crate::connection::control::Control;
use crate::connection::data::{Data, Owner};
use crate::limits::{ACCEPT_RETRY_TIMEOUT, REFUSALS_MAX, TURN_STEP_TIME};
use crate::net::acceptor::{Accepted, Purpose};
use crate::net::address::Address;
use crate::net::deadlines::Timer;
use crate::net::socket::Socket;
use ferry_common::error::ErrorCode;
use ferry_common::limits::TICKET_LINE_TIMEOUT;
use ferry_session::Session;
use ferry_session::dialect::AnyDialect;
use log::Level;
use mio::Interest;
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

impl Reactor {
    pub(super) fn accept(&mut self, now: Instant) {
        for purpose in [Purpose::Control, Purpose::Data] {
            self.step(TURN_STEP_TIME, |reactor| reactor.accept_one(purpose, now));
        }
    }

    fn accept_one(&mut self, purpose: Purpose, now: Instant) -> bool {
        if purpose == Purpose::Control {
            self.make_room_among_leaving(now);
        }
        match (self.acceptor.accept(purpose), purpose) {
            (Accepted::Connection(stream, peer), Purpose::Control) => self.begin_session(stream, peer, now),
            (Accepted::Connection(stream, peer), Purpose::Data) => self.begin_data(stream, peer, now),
            (Accepted::Empty, _) => return false,
            (Accepted::Exhausted(error), _) => self.park_accepting(&error, now),
        }
        true
    }

    fn begin_session(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let address = Address::from(peer);
        let is_full = self.roster.is_full() && !self.have_session_give_way(address, now);
        let session = if is_full {
            let sessions = self.roster.capacity();
            let message = format_args!("Turned away {peer}: {sessions} sessions are open");
            self.peer_log.tell(Level::Warn, peer, now, message);
            Session::turned_away(AnyDialect::ferry(&self.policy), self.policy, ErrorCode::Busy, now)
        } else {
            log::debug!("Established Connection with: {peer}");
            Session::new(AnyDialect::ferry(&self.policy), self.policy, now)
        };
        let key = self.controls.insert(Control::new(Socket::new(stream, peer), session));
        let Some(control) = self.controls.get_mut(key) else { return };
        if is_full {
            self.leaving.push_back(key);
        } else {
            control.is_counted = true;
            self.roster.enter(address);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) =
            self.poll.registry().register(control.socket.source(), control_token(key), interest)
        {
            log::error!("Cannot watch the connection from {peer}: {error}");
            control.abort();
        }
        self.drive(key, now);
    }

    fn begin_data(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let key = self.datas.insert(Data::new(Socket::new(stream, peer)));
        let Some(data) = self.datas.get_mut(key) else { return };
        let due = Some(now + TICKET_LINE_TIMEOUT);
        self.deadlines.arm(Timer::Data(key), &mut data.armed, due);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(data.socket.source(), data_token(key), interest) {
            log::error!("Cannot watch the data connection from {peer}: {error}");
            return self.close_data(key);
        }
        // Most clients send the ticket right behind connecting: a connection whose ticket is there already takes the
        // place of none.
        data.socket.assume_readable();
        self.serve_data(key, now);
        if let Some(data) = self.datas.get_mut(key)
            && matches!(data.owner, Owner::Unknown { .. })
            && let Some(oldest) = self.unticketed.push(Address::from(peer), key, self.tickets.out())
        {
            self.close_data(oldest);
        }
        self.queue_data(key);
    }

    fn park_accepting(&mut self, error: &io::Error, now: Instant) {
        log::error!("Cannot accept connections for the moment: {error}");
        self.acceptor.pause(now + ACCEPT_RETRY_TIMEOUT);
    }

    /// Cuts off the connections that have been told their last for the longest, where all descriptors for sessions are
    /// taken: they must keep no new client waiting.
    fn make_room_among_leaving(&mut self, now: Instant) {
        if self.leaving.len() > 2 * self.controls.len() + 64 {
            let Self { leaving, controls, .. } = self;
            leaving.retain(|key| controls.get(*key).is_some());
        }
        while self.controls.len() as u64 >= self.roster.capacity() + REFUSALS_MAX {
            let Some(key) = self.leaving.pop_front() else { return };
            if let Some(control) = self.controls.get_mut(key) {
                control.abort();
                self.drive(key, now);
            }
        }
    }
}
