//! The turns of data connections: payload moves within the budgets, a ticket finds its session, and the end of a connection
//! is told.

use super::Reactor;
use crate::connection::data::Step;
use crate::connection::data_connections::Served;
use crate::disk::Job;
use crate::limits::{TURN_CONNECTION_BYTES, TURN_PAYLOAD_BESIDE_COMMANDS_TIME, TURN_PAYLOAD_TIME};
use crate::net::slots::Key;
use crate::rendezvous::Rendezvous;
use crate::seat::Filled;
use ferry_common::wire::ticket::Ticket;
use ferry_session::action::End;
use ferry_session::fact::Fact;
use log::Level;
use std::fmt::Arguments;
use std::time::Instant;

impl Reactor {
    /// Serves data connections in turn until all have been, or the budget of the turn is spent. While commands wait, which
    /// have their time however few data connections there are, these go on for all of theirs.
    pub(super) fn serve_data_connections(&mut self, now: Instant) {
        if self.data.ready() == 0 {
            return;
        }
        self.data.begin_turn(now);
        let (time, served_most) = if self.sessions.has_ready() {
            (TURN_PAYLOAD_BESIDE_COMMANDS_TIME, usize::MAX)
        } else {
            // No more than there are now: the poll must be asked whether a command has come.
            (TURN_PAYLOAD_TIME, self.data.ready())
        };
        let mut served = 0;
        self.step(time, |reactor| {
            if served == served_most {
                return false;
            }
            served += 1;
            let Some(key) = reactor.data.next_ready() else { return false };
            reactor.serve_data(key, now);
            reactor.data.queue(key);
            true
        });
    }

    /// Moves payload of one connection within its budget.
    pub(super) fn serve_data(&mut self, key: Key, now: Instant) {
        let mut left_bytes = TURN_CONNECTION_BYTES;
        while left_bytes > 0 {
            let moved_bytes = match self.data.serve(key, left_bytes, self.files.readers(), now) {
                Served::Nothing => return,
                Served::Filled(filled) => self.write(key, filled, now),
                Served::Step(Step::Moved(bytes)) => {
                    if bytes > 0 {
                        self.report(key, Fact::Moved { bytes }, now);
                    }
                    bytes
                }
                Served::Step(step) => {
                    self.handle_step(key, step, now);
                    0
                }
            };
            left_bytes = left_bytes.saturating_sub(moved_bytes);
        }
    }

    fn handle_step(&mut self, key: Key, step: Step, now: Instant) {
        match step {
            Step::Presented(ticket) => self.attach(key, ticket.as_ref(), now),
            Step::Connected => {
                if let Some(session) = self.data.session_of(key) {
                    self.attach_expected(key, session, now);
                }
            }
            Step::Cold { file, part, reading } => self.submit_for(key, Job::Warm { file, part, reading }),
            Step::Read { file, offset, buffer, reading } => {
                self.submit_for(key, Job::Read { file, offset, buffer, reading });
            }
            Step::Trailer(digest) => self.report(key, Fact::Trailer(digest), now),
            Step::SendFailed(code) => self.report(key, Fact::SendFailed(code), now),
            Step::Ended(end) => self.end_data(key, end, now),
            // These are seen to where the connection is served.
            Step::Blocked | Step::Starved { .. } | Step::Filled { .. } | Step::Moved(_) => {}
        }
    }

    /// Hands part of an upload to a disk thread; tells how much it is.
    fn write(&mut self, key: Key, filled: Filled, now: Instant) -> u64 {
        let bytes = filled.1 as u64;
        let session = self.data.session_of(key);
        let Some((session, control)) = session.and_then(|key| Some((key, self.sessions.get_mut(key)?)))
        else {
            self.data.take_back(filled.0);
            return bytes;
        };
        let asker = control.asker(session);
        match self.files.write(asker, &mut control.seat, filled) {
            Ok(()) => control.session.handle(Fact::Arrived { bytes }, now),
            Err((buffer, _)) => self.data.take_back(buffer),
        }
        bytes
    }

    /// Submits a job for the download on a data connection.
    fn submit_for(&mut self, key: Key, job: Job) {
        if let Some(session) = self.data.session_of(key)
            && let Some(control) = self.sessions.get(session)
        {
            self.files.submit_reading(control.asker(session), job);
        }
    }

    /// Tells the session that a data connection belongs to what came of it.
    fn report(&mut self, key: Key, fact: Fact<'_>, now: Instant) {
        if let Some(session) = self.data.session_of(key) {
            self.tell(session, fact, now);
        }
    }

    /// Ties a data connection to the session whose ticket it presents.
    fn attach(&mut self, key: Key, presented: Option<&Ticket>, now: Instant) {
        let session = presented.map(Rendezvous::session_of);
        if let Some(session) = session
            && let Some(control) = self.sessions.get_mut(session)
            && presented.is_some_and(|ticket| self.rendezvous.attach(&mut control.seat, key, ticket))
        {
            self.data.attach(key, session);
            return self.tell(session, Fact::DataAttached, now);
        }
        self.tell_of(key, Level::Warn, format_args!("its ticket is not valid"), now);
        self.data.close(key);
    }

    /// A data connection has ended, or is given up.
    pub(super) fn end_data(&mut self, key: Key, end: End, now: Instant) {
        match self.data.session_of(key) {
            None => self.data.close(key),
            Some(session) if self.data.is_being_made(key) => self.lose_data(session, now),
            Some(session) => {
                if end == End::Clean {
                    self.hear_control_first(session, now);
                }
                // What was heard may have ended it already.
                if self.data.session_of(key).is_some() {
                    self.detach_data(session);
                    self.tell(session, Fact::DataEnded(end), now);
                }
            }
        }
    }

    /// What a data connection was to do in time is not done, or is.
    pub(super) fn handle_data_timeout(&mut self, key: Key, now: Instant) {
        let Some(data) = self.data.get_mut(key) else { return };
        let has_unread = data.has_unread();
        match data.session() {
            None => {
                self.tell_of(key, Level::Info, format_args!("no ticket in time"), now);
                self.data.close(key);
            }
            Some(session) => {
                let is_idle = self.sessions.get(session).is_some_and(|control| control.session.is_idle());
                if is_idle && has_unread {
                    self.tell_of(key, Level::Info, format_args!("no command in time"), now);
                    self.end_data(key, End::Torn, now);
                }
            }
        }
    }

    /// Says why a data connection is closed.
    fn tell_of(&mut self, key: Key, level: Level, reason: Arguments<'_>, now: Instant) {
        if let Some(data) = self.data.get_mut(key) {
            let peer = data.socket.peer();
            let message = format_args!("Closed a data connection from {peer}: {reason}");
            self.peer_log.tell(level, peer, now, message);
        }
    }
}
