//! Tickets: each names a session and a secret that only its client was told, and is good once. How many are out tells how
//! many data connections may be on their way.

use crate::net::slots::Key;
use ferry_common::limits::TICKET_SECRET_BYTES;
use ferry_common::wire::ticket::Ticket;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    out: u64,
}

impl Tickets {
    /// A ticket for the data connection of a session; [`Tickets::end`] is to follow.
    pub(crate) fn issue(&mut self, session: Key) -> Result<Ticket, Errno> {
        let mut secret = [0; TICKET_SECRET_BYTES];
        getrandom(&mut secret, GetRandomFlags::empty())?;
        self.out += 1;
        Ok(Ticket::new(session.to_bits(), secret))
    }

    /// A ticket is redeemed, or void.
    pub(crate) fn end(&mut self) {
        self.out -= 1;
    }

    /// Tickets that are neither redeemed nor void.
    pub(crate) fn out(&self) -> u64 {
        self.out
    }

    /// The session that a ticket names. Whether the ticket is that session's is for the session to tell.
    pub(crate) fn session_of(ticket: &Ticket) -> Key {
        Key::from_bits(ticket.session_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_of_one_session_differ_and_name_it() {
        let session = Key::from_bits(7);
        let mut tickets = Tickets::default();
        let [first, second] = [tickets.issue(session).unwrap(), tickets.issue(session).unwrap()];
        assert!(first.matches(&first) && !first.matches(&second));
        assert_eq!([&first, &second].map(Tickets::session_of), [session, session]);
        assert_eq!(tickets.out(), 2);
        tickets.end();
        assert_eq!(tickets.out(), 1);
    }
}
