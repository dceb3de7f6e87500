//! How a data connection finds its session: places for so many, a ticket or a port for each session that has one, and the
//! session's seat, where its part of these books is. It touches no connection.

pub(crate) mod passive;
mod tickets;

use crate::admission::data_slots::DataSlots;
use crate::admission::giving_way::GivingWay;
use crate::config::PortRange;
use crate::net::address::Address;
use crate::net::slots::Key;
use crate::seat::{DataLink, Seat};
use ferry_common::wire::ticket::Ticket;
use ferry_session::action::Way;
use passive::PassivePorts;
use rustix::io::Errno;
use std::time::Instant;
use tickets::Tickets;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    tickets: Tickets,
    /// Where sessions are connected to without a ticket.
    pub(crate) passive: PassivePorts,
    slots: DataSlots,
    giving_way: GivingWay,
}

/// What is to be done next so that sessions which wait have places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This session has its turn: [`Rendezvous::admit`].
    Admit(Key),
    /// This session's idle data connection is to be given up.
    Evict(Key),
    /// A transfer of this address is to give way to one of another.
    GiveWay(Address),
    Nothing,
}

impl Rendezvous {
    pub(crate) fn new(places: u64, passive_ports: Option<PortRange>) -> Self {
        Self {
            tickets: Tickets::default(),
            passive: PassivePorts::new(passive_ports),
            slots: DataSlots::new(places),
            giving_way: GivingWay::default(),
        }
    }

    /// The session wants a data connection.
    pub(crate) fn request(&mut self, seat: &mut Seat, way: Way, address: Address, session: Key) {
        let stamp = if matches!(seat.data, DataLink::Spent) {
            // The session gives its place back and is the first to have one.
            self.slots.release(address);
            self.slots.request_first(address, session)
        } else {
            self.slots.request(address, session)
        };
        seat.data = DataLink::Waiting { stamp, way };
    }

    pub(crate) fn next(&mut self) -> Next {
        if let Some(session) = self.slots.next_admitted() {
            Next::Admit(session)
        } else if let Some(session) = self.slots.take_evicted() {
            Next::Evict(session)
        } else if let Some(heaviest) = self.slots.too_heavy() {
            Next::GiveWay(heaviest)
        } else {
            self.giving_way.settle();
            Next::Nothing
        }
    }

    /// Which transfers are to give way, as they were found when it was last looked for them.
    pub(crate) fn giving_way(&mut self) -> &mut GivingWay {
        &mut self.giving_way
    }

    /// When to look again for a transfer that gives way.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.giving_way.due()
    }

    /// Gives a place to a session whose turn it is, and tells in which way its data connection is to come about; `None` where
    /// the session does not want one any more. [`Rendezvous::issue`], [`Rendezvous::expect`] or [`Rendezvous::reach`] is to
    /// follow, or [`Rendezvous::detach`].
    pub(crate) fn admit(&mut self, seat: &mut Seat, address: Address) -> Option<Way> {
        let DataLink::Waiting { way, .. } = seat.data else { return None };
        self.slots.take(address);
        // The place is the session's whatever comes of it.
        seat.data = DataLink::Spent;
        Some(way)
    }

    /// Gives a ticket to a session that has a place.
    pub(crate) fn issue(&mut self, seat: &mut Seat, session: Key) -> Result<Ticket, Errno> {
        let ticket = self.tickets.issue(session)?;
        seat.data = DataLink::Ticketed(ticket.clone());
        Ok(ticket)
    }

    /// A port is open for the connection of a session that has a place.
    pub(crate) fn expect(seat: &mut Seat, port: Key) {
        seat.data = DataLink::Expected(port);
    }

    /// A connection to the client of a session that has a place is being made.
    pub(crate) fn reach(seat: &mut Seat, data: Key) {
        seat.data = DataLink::Reaching(data);
    }

    /// The session that a ticket is for, if it is one at all.
    pub(crate) fn session_of(ticket: &Ticket) -> Key {
        Tickets::session_of(ticket)
    }

    /// So many clients are to come with a ticket.
    pub(crate) fn tickets_out(&self) -> u64 {
        self.tickets.out()
    }

    /// Ties a data connection to the session whose ticket it presents. A ticket is good once. False where this is not
    /// the session's.
    pub(crate) fn attach(&mut self, seat: &mut Seat, data: Key, presented: &Ticket) -> bool {
        let is_right = matches!(&seat.data, DataLink::Ticketed(ticket) if ticket.matches(presented));
        if is_right {
            seat.data = DataLink::Attached { key: data, idle_stamp: None };
            self.tickets.end();
        }
        is_right
    }

    /// The connection has come to the port that was open for it, or was made. False where it was given up meanwhile.
    pub(crate) fn attach_expected(seat: &mut Seat, data: Key) -> bool {
        let is_due = match seat.data {
            DataLink::Expected(_) => true,
            DataLink::Reaching(key) => key == data,
            DataLink::None
            | DataLink::Waiting { .. }
            | DataLink::Ticketed(_)
            | DataLink::Attached { .. }
            | DataLink::Spent => false,
        };
        if is_due {
            seat.data = DataLink::Attached { key: data, idle_stamp: None };
        }
        is_due
    }

    /// Takes the session's data connection, ticket, port or wish for one away; the connection is to be closed. A place is kept
    /// for the file that the session may still have open, or just opens, until [`Rendezvous::release_spent`].
    pub(crate) fn detach(&mut self, seat: &mut Seat, address: Address) -> Option<Key> {
        match std::mem::replace(&mut seat.data, DataLink::Spent) {
            DataLink::None => {
                seat.data = DataLink::None;
                None
            }
            DataLink::Waiting { stamp, .. } => {
                seat.data = DataLink::None;
                self.slots.withdraw(address, stamp);
                None
            }
            DataLink::Ticketed(_) => {
                self.tickets.end();
                None
            }
            DataLink::Expected(port) => {
                self.passive.close(port);
                None
            }
            DataLink::Reaching(key) => Some(key),
            DataLink::Spent => None,
            DataLink::Attached { key, idle_stamp } => {
                if let Some(stamp) = idle_stamp {
                    self.slots.mark_busy(stamp);
                }
                Some(key)
            }
        }
    }

    /// The session's data connection may be given up while the session `is_idle`.
    pub(crate) fn note_idle(&mut self, seat: &mut Seat, session: Key, is_idle: bool) {
        let DataLink::Attached { idle_stamp, .. } = &mut seat.data else { return };
        match *idle_stamp {
            None if is_idle => *idle_stamp = Some(self.slots.mark_idle(session)),
            Some(stamp) if !is_idle => {
                self.slots.mark_busy(stamp);
                *idle_stamp = None;
            }
            None | Some(_) => {}
        }
    }

    /// The session was found to be idle the longest: gives its data connection.
    pub(crate) fn begin_evicting(seat: &mut Seat) -> Option<Key> {
        let DataLink::Attached { key, idle_stamp } = &mut seat.data else { return None };
        *idle_stamp = None;
        Some(*key)
    }

    /// Gives up a place that was kept for a file, which is closed now.
    pub(crate) fn release_spent(&mut self, seat: &mut Seat, address: Address) {
        if matches!(seat.data, DataLink::Spent) {
            seat.data = DataLink::None;
            self.slots.release(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const PLACES: u64 = 3;
    const SESSIONS: u64 = 8;

    fn address(session: u64) -> Address {
        Address::V4([127, 0, 0, u8::try_from(session % 3).unwrap()])
    }

    /// What a step does: ask for a data connection, come with the ticket, become idle or busy, lose the connection, close
    /// the file.
    fn apply(rendezvous: &mut Rendezvous, seats: &mut [Seat], session: u64, what: u8) {
        let (key, address) = (Key::from_bits(session), address(session));
        let seat = &mut seats[usize::try_from(session).unwrap()];
        match what {
            0 if matches!(seat.data, DataLink::None | DataLink::Spent) => {
                rendezvous.request(seat, Way::Ticket, address, key);
            }
            1 => {
                if let DataLink::Ticketed(ticket) = &seat.data {
                    let ticket = ticket.clone();
                    assert_eq!(Rendezvous::session_of(&ticket), key);
                    assert!(rendezvous.attach(seat, Key::from_bits(100 + session), &ticket));
                    assert!(!rendezvous.attach(seat, Key::from_bits(200), &ticket), "a ticket is good once");
                }
            }
            2 | 3 => rendezvous.note_idle(seat, key, what == 2),
            4 => {
                let attached = seat.data.attached();
                assert_eq!(rendezvous.detach(seat, address), attached);
            }
            _ => rendezvous.release_spent(seat, address),
        }
    }

    /// Gives sessions that wait their places, as the reactor does.
    fn admit(rendezvous: &mut Rendezvous, seats: &mut [Seat]) {
        for _ in 0..100 {
            match rendezvous.next() {
                Next::Admit(key) => {
                    let session = key.to_bits();
                    let seat = &mut seats[usize::try_from(session).unwrap()];
                    assert_eq!(rendezvous.admit(seat, address(session)), Some(Way::Ticket));
                    rendezvous.issue(seat, key).unwrap();
                }
                Next::Evict(key) => {
                    let session = key.to_bits();
                    let seat = &mut seats[usize::try_from(session).unwrap()];
                    assert!(Rendezvous::begin_evicting(seat).is_some());
                    rendezvous.detach(seat, address(session));
                    rendezvous.release_spent(seat, address(session));
                }
                Next::GiveWay(_) | Next::Nothing => return,
            }
        }
        panic!("there is no end to what is next");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn places_and_tickets_are_counted_right_whatever_sessions_do(
            steps in vec((0..SESSIONS, 0..6_u8), 0..200),
        ) {
            let mut rendezvous = Rendezvous::new(PLACES, None);
            let mut seats: Vec<Seat> = (0..SESSIONS).map(|_| Seat::new()).collect();
            for (session, what) in steps {
                apply(&mut rendezvous, &mut seats, session, what);
                admit(&mut rendezvous, &mut seats);
                let places = seats.iter().filter(|seat| seat.data.has_place()).count() as u64;
                prop_assert!(places <= PLACES);
                let out = seats.iter().filter(|seat| matches!(seat.data, DataLink::Ticketed(_))).count() as u64;
                prop_assert_eq!(rendezvous.tickets_out(), out);
                let has_waiting = seats.iter().any(|seat| matches!(seat.data, DataLink::Waiting { .. }));
                prop_assert!(!has_waiting || places == PLACES, "a session waits while there is a place");
                let has_idle = seats.iter().any(|seat| matches!(seat.data, DataLink::Attached { idle_stamp: Some(_), .. }));
                prop_assert!(!(has_waiting && has_idle), "a session waits for a place that lies idle");
            }
            // Everything is given back.
            for session in 0..SESSIONS {
                apply(&mut rendezvous, &mut seats, session, 4);
                apply(&mut rendezvous, &mut seats, session, 5);
            }
            prop_assert_eq!(rendezvous.tickets_out(), 0);
            for session in 0..PLACES {
                apply(&mut rendezvous, &mut seats, session, 0);
            }
            admit(&mut rendezvous, &mut seats);
            prop_assert_eq!(rendezvous.tickets_out(), PLACES, "all places are free again");
        }
    }
}
