//! How much of something each address has, and which address has the most. It decides nothing.

use crate::net::address::Address;
use std::collections::{BTreeSet, HashMap};

/// Addresses that have nothing cost nothing.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    amounts: HashMap<Address, u64>,
    loads: BTreeSet<(u64, Address)>,
}

impl Shares {
    pub(crate) fn add(&mut self, address: Address, amount: u64) {
        self.set(address, self.of(address).saturating_add(amount));
    }

    pub(crate) fn remove(&mut self, address: Address, amount: u64) {
        self.set(address, self.of(address).saturating_sub(amount));
    }

    pub(crate) fn of(&self, address: Address) -> u64 {
        self.amounts.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn heaviest(&self) -> Option<Address> {
        self.loads.last().map(|&(_, address)| address)
    }

    /// The address that has the most, where it would have at least as much as `address` after giving one to that.
    pub(crate) fn heavier_than(&self, address: Address) -> Option<Address> {
        let &(most, heaviest) = self.loads.last()?;
        (most > self.of(address) + 1).then_some(heaviest)
    }

    fn set(&mut self, address: Address, amount: u64) {
        let before =
            if amount == 0 { self.amounts.remove(&address) } else { self.amounts.insert(address, amount) };
        if let Some(before) = before {
            self.loads.remove(&(before, address));
        }
        if amount > 0 {
            self.loads.insert((amount, address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    #[test]
    fn one_that_has_at_least_two_more_is_heavier() {
        let mut shares = Shares::default();
        assert_eq!(shares.heavier_than(host(1)), None);
        shares.add(host(1), 3);
        shares.add(host(2), 1);
        assert_eq!(shares.heaviest(), Some(host(1)));
        assert_eq!(shares.heavier_than(host(1)), None);
        assert_eq!(shares.heavier_than(host(2)), Some(host(1)));
        assert_eq!(shares.heavier_than(host(3)), Some(host(1)));
        shares.remove(host(1), 1);
        assert_eq!(shares.heavier_than(host(2)), None, "an exchange would only turn it round");
        shares.remove(host(1), 2);
        shares.remove(host(2), 1);
        assert!(shares.amounts.is_empty() && shares.loads.is_empty());
    }
}
