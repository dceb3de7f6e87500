//! Whose turn it is where there is not enough for all: places for data connections, open files, memory for input; and what is
//! due by the clock.

use super::Reactor;
use crate::admission::file_queue::FileTurn;
use crate::limits::{GIVING_WAY_MAX, TURN_STEP_TIME};
use crate::net::slots::Key;
use crate::rendezvous::{Next, Rendezvous};
use ferry_session::action::{End, Way};
use ferry_session::fact::{Fact, Scarcity};
use std::time::Instant;

impl Reactor {
    pub(super) fn fire_deadlines(&mut self, now: Instant) {
        self.acceptor.end_pause(now);
        self.files.fire_deadlines(now);
        self.peer_log.tell_left_out(now);
        self.step(TURN_STEP_TIME, |reactor| {
            if let Some(key) = reactor.sessions.next_due(now) {
                reactor.handle_session_timeout(key, now);
            } else if let Some(key) = reactor.data.next_due(now) {
                reactor.handle_data_timeout(key, now);
            } else if let Some(session) = reactor.rendezvous.passive.next_due(now) {
                reactor.lose_data(session, now);
            } else {
                return false;
            }
            true
        });
    }

    fn handle_session_timeout(&mut self, key: Key, now: Instant) {
        match self.sessions.get(key) {
            Some(control) if control.is_open() => self.tell(key, Fact::Timeout, now),
            Some(_) => self.abort(key, now),
            None => {}
        }
    }

    /// Ends sessions that hold lines without their end where all hold too much input.
    pub(super) fn bound_input(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.sessions.most_input() else { return false };
            reactor.tell(key, Fact::CrowdedOut(Scarcity::Memory), now);
            true
        });
    }

    /// Gives tickets to those next in line. Where all places are taken, idle data connections make room, and then
    /// transfers of addresses that have more than their share.
    pub(super) fn admit_data(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| match reactor.rendezvous.next() {
            Next::Admit(session) => {
                reactor.admit_data_of(session, now);
                true
            }
            Next::Evict(session) => {
                reactor.evict_data(session, now);
                true
            }
            Next::GiveWay(heaviest) => {
                let giving_way = reactor.rendezvous.giving_way();
                let Some(key) = reactor.sessions.next_transfer_to_end(heaviest, giving_way, now) else {
                    return false;
                };
                reactor.tell(key, Fact::GiveWay, now);
                true
            }
            Next::Nothing => false,
        });
    }

    /// Gives a session whose turn it is a place for its data connection, and has that come about.
    fn admit_data_of(&mut self, session: Key, now: Instant) {
        let Some(control) = self.sessions.get_mut(session) else { return };
        let address = control.address();
        let Some(way) = self.rendezvous.admit(&mut control.seat, address) else { return };
        let fact = match way {
            Way::Ticket => match self.rendezvous.issue(&mut control.seat, session) {
                Ok(ticket) => Fact::Ticket(ticket),
                Err(errno) => {
                    log::error!("The system gives no random numbers: {errno}");
                    Fact::Unreachable
                }
            },
            Way::Passive => self.open_port(session, now),
            Way::Active { port } => self.begin_to_connect(session, port),
        };
        if matches!(fact, Fact::Unreachable) {
            self.detach_data(session);
        }
        self.tell(session, fact, now);
    }

    /// Takes an idle data connection away, unless an upload has begun on it: closing with unread bytes
    /// would reset it, and the reset could overtake the end of an earlier download. The command of that
    /// upload must come soon, though.
    fn evict_data(&mut self, session: Key, now: Instant) {
        let Some(control) = self.sessions.get_mut(session) else { return };
        let Some(key) = Rendezvous::begin_evicting(&mut control.seat) else { return };
        let Some(data) = self.data.get_mut(key) else { return };
        if data.has_unread() {
            self.data.await_command(key, now);
        } else {
            self.end_data(key, End::Clean, now);
        }
    }

    /// Lets sessions that waited to open a file do so, as far as there is room, and tells those that have waited too long.
    pub(super) fn admit_files(&mut self, now: Instant) {
        self.have_files_give_way(now);
        self.step(TURN_STEP_TIME, |reactor| reactor.admit_file(now) || reactor.give_up_file(now));
    }

    fn admit_file(&mut self, now: Instant) -> bool {
        let Some((key, file_turn, action)) = self.file_queue.next_admitted() else { return false };
        let Some(control) = self.sessions.get_mut(key) else {
            debug_assert!(false, "a session that has gone has left the queue");
            return true;
        };
        control.seat.file_turn = file_turn;
        // The time of the disk begins only now.
        control.session.handle(Fact::DiskProgress, now);
        let fact = self.perform_now(key, action, now);
        self.note(key, fact, now);
        self.drive(key, now);
        true
    }

    fn give_up_file(&mut self, now: Instant) -> bool {
        let Some(key) = self.file_queue.next_expired(now) else { return false };
        if let Some(control) = self.sessions.get_mut(key) {
            control.seat.file_turn = FileTurn::NotQueued;
            self.tell(key, Fact::NoRoom, now);
        }
        true
    }

    /// Ends commands of an address that has more files open ahead of its data connections than one whose sessions wait to
    /// open theirs.
    fn have_files_give_way(&mut self, now: Instant) {
        let mut left = GIVING_WAY_MAX;
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.file_queue.to_give_way().filter(|_| left > 0) else { return false };
            left -= 1;
            reactor.tell(key, Fact::GiveWay, now);
            true
        });
    }
}
