//! Sessions that wait for something of which there is not enough, by address. Next comes the session that waits longest
//! at the address that has the least of it; addresses that have as much as each other take turns. It counts what each
//! address has, and does not know what that is.

use crate::admission::shares::Shares;
use crate::net::address::Address;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// There are stamps left before it for sessions that are put first.
const FIRST_STAMP: u64 = 1 << 62;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    lines: HashMap<Address, Line<T>>,
    /// How much the address of each line has, and the number of its turn.
    turns: BTreeSet<(u64, u64, Address)>,
    held: Shares,
    next_turn: u64,
    next_stamp: u64,
}

#[derive(Debug)]
struct Line<T> {
    turn: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Lines<T> {
    pub(crate) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            turns: BTreeSet::new(),
            held: Shares::default(),
            next_turn: 0,
            next_stamp: FIRST_STAMP,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Puts something last in the line of its address; the stamp says where it is.
    pub(crate) fn push_last(&mut self, address: Address, item: T) -> u64 {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.push(address, stamp, item);
        stamp
    }

    /// As [`Lines::push_last`], before all others of its address.
    pub(crate) fn push_first(&mut self, address: Address, item: T) -> u64 {
        let first = self.lines.get(&address).and_then(|line| line.waiting.first_key_value());
        let stamp = first.map_or(self.next_stamp, |(stamp, _)| *stamp) - 1;
        self.push(address, stamp, item);
        stamp
    }

    pub(crate) fn remove(&mut self, address: Address, stamp: u64) -> Option<T> {
        let line = self.lines.get_mut(&address)?;
        let item = line.waiting.remove(&stamp);
        if line.waiting.is_empty() {
            self.turns.remove(&(self.held.of(address), line.turn, address));
            self.lines.remove(&address);
        }
        item
    }

    /// Takes out what is next.
    pub(crate) fn pop(&mut self) -> Option<(Address, u64, T)> {
        let (held, _, address) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&address)?;
        let (stamp, item) = line.waiting.pop_first()?;
        if line.waiting.is_empty() {
            self.lines.remove(&address);
        } else {
            line.turn = self.next_turn;
            self.turns.insert((held, line.turn, address));
            self.next_turn += 1;
        }
        Some((address, stamp, item))
    }

    /// The address has one more of what is waited for.
    pub(crate) fn take(&mut self, address: Address) {
        self.change_held(address, |held| held.add(address, 1));
    }

    /// The address has one less.
    pub(crate) fn release(&mut self, address: Address) {
        self.change_held(address, |held| held.remove(address, 1));
    }

    /// The address that has too much beside the one that is next.
    pub(crate) fn heavier_than_next(&self) -> Option<Address> {
        let &(_, _, next) = self.turns.first()?;
        self.held.heavier_than(next)
    }

    fn push(&mut self, address: Address, stamp: u64, item: T) {
        let line = self.lines.entry(address).or_insert_with(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert((self.held.of(address), turn, address));
            Line { turn, waiting: BTreeMap::new() }
        });
        line.waiting.insert(stamp, item);
    }

    fn change_held(&mut self, address: Address, change: impl FnOnce(&mut Shares)) {
        let before = self.held.of(address);
        change(&mut self.held);
        if let Some(line) = self.lines.get(&address) {
            self.turns.remove(&(before, line.turn, address));
            self.turns.insert((self.held.of(address), line.turn, address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    fn order<T>(lines: &mut Lines<T>) -> Vec<T> {
        std::iter::from_fn(|| lines.pop().map(|(_, _, item)| item)).collect()
    }

    #[test]
    fn a_crowd_at_one_address_is_one_turn_ahead_of_another() {
        let mut lines = Lines::new();
        let stamps: Vec<u64> = (0..5).map(|number| lines.push_last(host(1), number)).collect();
        lines.push_last(host(2), 100);
        assert_eq!(lines.remove(host(1), stamps[0]), Some(0));
        lines.push_first(host(1), 50);
        assert_eq!(order(&mut lines), [50, 100, 1, 2, 3, 4]);
        assert!(lines.is_empty() && lines.turns.is_empty());
    }

    #[test]
    fn the_address_that_has_least_is_next_whatever_its_turn() {
        let mut lines = Lines::new();
        lines.push_last(host(1), 1);
        lines.push_last(host(2), 2);
        lines.push_last(host(3), 3);
        lines.take(host(1));
        lines.take(host(1));
        lines.take(host(2));
        assert_eq!(lines.heavier_than_next(), Some(host(1)));
        assert_eq!(order(&mut lines), [3, 2, 1]);
        assert_eq!(lines.heavier_than_next(), None, "nobody waits");
        lines.push_last(host(1), 1);
        assert_eq!(lines.heavier_than_next(), None, "it has the most itself");
        lines.release(host(1));
        lines.release(host(1));
        lines.release(host(2));
        assert_eq!(lines.turns.len(), 1);
    }
}
