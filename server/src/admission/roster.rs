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
