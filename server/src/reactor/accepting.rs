//! Connections that come: a session or a refusal for each on the control port, and a look for a ticket on each at the data
//! port.

use super::{DATA_BIT, Reactor, token};
use crate::connection::control::Control;
use crate::limits::{ACCEPT_RETRY_TIMEOUT, TURN_STEP_TIME};
use crate::net::acceptor::Purpose;
use crate::net::address::Address;
use crate::net::listener::Accepted;
use crate::net::slots::Key;
use crate::net::socket::Socket;
use ferry_common::error::ErrorCode;
use ferry_session::Session;
use ferry_session::dialect::AnyDialect;
use ferry_session::dialect::ftp::Client;
use ferry_session::fact::{Fact, Scarcity};
use log::Level;
use mio::Interest;
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

impl Reactor {
    pub(super) fn accept(&mut self, now: Instant) {
        for purpose in [Purpose::Control, Purpose::Ftp, Purpose::Data] {
            self.step(TURN_STEP_TIME, |reactor| reactor.accept_one(purpose, now));
        }
    }

    fn accept_one(&mut self, purpose: Purpose, now: Instant) -> bool {
        if purpose != Purpose::Data {
            while let Some(key) = self.sessions.next_cut_off() {
                self.abort(key, now);
            }
        }
        match (self.acceptor.accept(purpose), purpose) {
            (Accepted::Connection(stream, peer), Purpose::Control) => {
                self.begin_session(stream, peer, AnyDialect::ferry(&self.policy), now);
            }
            (Accepted::Connection(stream, peer), Purpose::Ftp) => {
                let dialect =
                    AnyDialect::ftp(self.ftp, Client { address: peer.ip(), seed: self.sessions.seed() });
                self.begin_session(stream, peer, dialect, now);
            }
            (Accepted::Connection(stream, peer), Purpose::Data) => self.begin_data(stream, peer, now),
            (Accepted::Empty, _) => return false,
            (Accepted::Exhausted(error), _) => self.park_accepting(&error, now),
        }
        true
    }

    fn begin_session(&mut self, stream: TcpStream, peer: SocketAddr, dialect: AnyDialect, now: Instant) {
        let has_room = !self.sessions.is_full() || self.make_room_for(Address::from(peer), now);
        let session = if has_room {
            log::debug!("Established Connection with: {peer}");
            Session::new(dialect, self.policy, now)
        } else {
            let sessions = self.sessions.capacity();
            let message = format_args!("Turned away {peer}: {sessions} sessions are open");
            self.peer_log.tell(Level::Warn, peer, now, message);
            Session::turned_away(dialect, self.policy, ErrorCode::Busy, now)
        };
        let key = self.sessions.add(Control::new(Socket::new(stream, peer), session), has_room);
        let Some(control) = self.sessions.get_mut(key) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(control.socket.source(), token(key, 0), interest) {
            log::error!("Cannot watch the connection from {peer}: {error}");
            control.abort();
        }
        self.drive(key, now);
    }

    /// Ends a session of the address that has the most for one from `newcomer`, if that has fewer. True where there is
    /// room then.
    fn make_room_for(&mut self, newcomer: Address, now: Instant) -> bool {
        let Some(key) = self.sessions.next_to_leave(newcomer, now) else { return false };
        self.tell(key, Fact::CrowdedOut(Scarcity::Sessions), now);
        // A session whose peer does not read cannot be told.
        if self.sessions.get(key).is_some_and(|control| control.is_open()) {
            self.abort(key, now);
        }
        !self.sessions.is_full()
    }

    fn begin_data(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let key = self.data.add(Socket::new(stream, peer), now);
        if !self.watch_data(key) {
            return;
        }
        let Some(data) = self.data.get_mut(key) else { return };
        // Most clients send the ticket right behind connecting: a connection whose ticket is there already takes the
        // place of no other.
        data.socket.assume_readable();
        self.serve_data(key, now);
        if let Some(oldest) = self.data.note_unticketed(key, self.rendezvous.tickets_out()) {
            self.data.close(oldest);
        }
        self.data.queue(key);
    }

    /// Has the poll watch a data connection. One that it cannot watch is closed.
    pub(super) fn watch_data(&mut self, key: Key) -> bool {
        let Some(data) = self.data.get_mut(key) else { return false };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.poll.registry().register(data.socket.source(), token(key, DATA_BIT), interest);
        if let Err(error) = &watched {
            log::error!("Cannot watch the data connection of {}: {error}", data.socket.peer());
            self.data.close(key);
        }
        watched.is_ok()
    }

    pub(super) fn park_accepting(&mut self, error: &io::Error, now: Instant) {
        log::error!("Cannot accept connections for the moment: {error}");
        self.acceptor.pause(now + ACCEPT_RETRY_TIMEOUT);
    }
}
