//! Data connections without a ticket: a port that is open for one connection, or a connection that is made to the client.

use super::{PASSIVE_BIT, Reactor, token};
use crate::limits::TURN_STEP_TIME;
use crate::net::listener;
use crate::net::slots::Key;
use crate::net::socket::Socket;
use crate::rendezvous::Rendezvous;
use crate::rendezvous::passive::Arrival;
use ferry_session::fact::Fact;
use log::Level;
use mio::Interest;
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

impl Reactor {
    /// Opens a port for the data connection of a session.
    pub(super) fn open_port(&mut self, session: Key, now: Instant) -> Fact<'static> {
        match self.try_open_port(session, now) {
            Ok(address) => Fact::Listening(address),
            Err(error) => {
                if let Some(control) = self.sessions.get(session) {
                    let peer = control.socket.peer();
                    let message = format_args!("Cannot open a port for a data connection of {peer}: {error}");
                    self.peer_log.tell(Level::Warn, peer, now, message);
                }
                Fact::Unreachable
            }
        }
    }

    fn try_open_port(&mut self, session: Key, now: Instant) -> io::Result<SocketAddr> {
        let control = self.sessions.get_mut(session).ok_or(io::ErrorKind::NotFound)?;
        let (local, peer) = (control.socket.local()?, control.socket.peer().ip());
        let passive = &mut self.rendezvous.passive;
        let (key, address) = passive.open(local, peer, session, now)?;
        // From now on the session's end closes the port.
        Rendezvous::expect(&mut control.seat, key);
        let source = passive.source(key).ok_or(io::ErrorKind::NotFound)?;
        self.poll.registry().register(source, token(key, PASSIVE_BIT), Interest::READABLE)?;
        Ok(address)
    }

    /// Begins to connect to the client of a session.
    pub(super) fn begin_to_connect(&mut self, session: Key, port: u16) -> Fact<'static> {
        let Some(control) = self.sessions.get_mut(session) else { return Fact::Unreachable };
        let mut to = control.socket.peer();
        to.set_port(port);
        let begun = control.socket.local().and_then(|mut from| {
            from.set_port(0);
            listener::begin_to_connect(from, to)
        });
        let Ok(stream) = begun else { return Fact::Unreachable };
        let Some(key) = self.take_in(stream, to, session, true) else { return Fact::Unreachable };
        if let Some(control) = self.sessions.get_mut(session) {
            Rendezvous::reach(&mut control.seat, key);
        }
        Fact::Connecting
    }

    /// Takes in a connection that is a session's; one that `is_being_made` is to tell first what comes of that.
    fn take_in(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        session: Key,
        is_being_made: bool,
    ) -> Option<Key> {
        let key = self.data.add_owned(Socket::new(stream, peer), session, is_being_made);
        self.watch_data(key).then_some(key)
    }

    /// Accepts what waits at the ports that are open for one connection each.
    pub(super) fn accept_expected(&mut self, now: Instant) {
        if self.acceptor.is_paused() {
            return;
        }
        self.step(TURN_STEP_TIME, |reactor| {
            match reactor.rendezvous.passive.accept() {
                None => return false,
                Some(Arrival::Nothing) => {}
                Some(Arrival::Stranger(peer)) => {
                    let message = format_args!(
                        "Closed a data connection from {peer}: the port is open for another address"
                    );
                    reactor.peer_log.tell(Level::Warn, peer, now, message);
                }
                Some(Arrival::Connection { session, stream, peer }) => {
                    match reactor.take_in(stream, peer, session, false) {
                        Some(key) => reactor.attach_expected(key, session, now),
                        None => reactor.lose_data(session, now),
                    }
                }
                Some(Arrival::Exhausted(error)) => {
                    reactor.park_accepting(&error, now);
                    return false;
                }
            }
            true
        });
    }

    /// The connection that the session expects is there.
    pub(super) fn attach_expected(&mut self, key: Key, session: Key, now: Instant) {
        let control = self.sessions.get_mut(session);
        if control.is_some_and(|control| Rendezvous::attach_expected(&mut control.seat, key)) {
            self.tell(session, Fact::DataAttached, now);
        } else {
            self.data.close(key);
        }
    }

    /// The session's data connection will not come about.
    pub(super) fn lose_data(&mut self, session: Key, now: Instant) {
        self.detach_data(session);
        self.tell(session, Fact::Unreachable, now);
    }
}
