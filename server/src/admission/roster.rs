//! How many sessions there are, and how many each address has. It knows none of them.

use crate::admission::shares::Shares;
use crate::net::address::Address;

#[derive(Debug)]
pub(crate) struct Roster {
    capacity: u64,
    sessions: u64,
    shares: Shares,
}

impl Roster {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, sessions: 0, shares: Shares::default() }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn is_full(&self) -> bool {
        self.sessions >= self.capacity
    }

    pub(crate) fn enter(&mut self, address: Address) {
        self.sessions += 1;
        self.shares.add(address, 1);
    }

    pub(crate) fn leave(&mut self, address: Address) {
        self.sessions = self.sessions.saturating_sub(1);
        self.shares.remove(address, 1);
    }

    /// The address of which a session must give way to one from `newcomer`.
    pub(crate) fn too_heavy(&self, newcomer: Address) -> Option<Address> {
        if self.is_full() { self.shares.heavier_than(newcomer) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    #[test]
    fn only_where_it_is_full_the_address_with_the_most_gives_way_to_one_with_fewer() {
        let mut roster = Roster::new(3);
        (0..2).for_each(|_| roster.enter(host(1)));
        assert!(!roster.is_full() && roster.too_heavy(host(2)).is_none(), "there is room");
        roster.enter(host(1));
        assert!(roster.is_full());
        assert_eq!((roster.too_heavy(host(2)), roster.too_heavy(host(1))), (Some(host(1)), None));
        roster.leave(host(1));
        roster.enter(host(2));
        assert_eq!(roster.too_heavy(host(2)), None, "both would have as much");
        assert_eq!(roster.too_heavy(host(3)), Some(host(1)));
    }
}
