//! The control connections that can go on, in the order of their turns. It serves none of them.

use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{HashMap, VecDeque};

/// Connections that have just become ready have their turn before those that had one and have more to do, so that a
/// single command is not behind everybody's pipeline. But one turn in [`FRESH_TURNS`] is that of a connection with
/// more to do. Within both, addresses take turns.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    fresh: Rotation,
    continuing: Rotation,
    /// Turns of fresh connections since one with more to do had its own.
    fresh_turns: usize,
}

const FRESH_TURNS: usize = 4;

/// Connections by address; each address has one turn after the other.
#[derive(Debug, Default)]
struct Rotation {
    lines: HashMap<Address, VecDeque<Key>>,
    /// The addresses that have a line, the next first.
    turns: VecDeque<Address>,
    length: usize,
}

impl ReadyList {
    pub(super) fn push_fresh(&mut self, address: Address, key: Key) {
        self.fresh.push(address, key);
    }

    pub(super) fn push_continuing(&mut self, address: Address, key: Key) {
        self.continuing.push(address, key);
    }

    pub(super) fn pop(&mut self) -> Option<Key> {
        let is_due = self.fresh_turns >= FRESH_TURNS || self.fresh.length == 0;
        if is_due && let Some(key) = self.continuing.pop() {
            self.fresh_turns = 0;
            return Some(key);
        }
        self.fresh_turns += 1;
        self.fresh.pop()
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.length + self.continuing.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Rotation {
    fn push(&mut self, address: Address, key: Key) {
        let line = self.lines.entry(address).or_default();
        if line.is_empty() {
            self.turns.push_back(address);
        }
        line.push_back(key);
        self.length += 1;
    }

    fn pop(&mut self) -> Option<Key> {
        let address = self.turns.pop_front()?;
        let line = self.lines.get_mut(&address)?;
        let key = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        self.length -= usize::from(key.is_some());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    fn order(ready: &mut ReadyList) -> Vec<u64> {
        std::iter::from_fn(|| ready.pop()).map(Key::to_bits).collect()
    }

    #[test]
    fn the_newly_ready_are_before_those_with_more_to_do_and_none_is_left_out() {
        let mut ready = ReadyList::default();
        (0..10).for_each(|number| ready.push_continuing(host(1), Key::from_bits(number)));
        (100..110).for_each(|number| ready.push_fresh(host(1), Key::from_bits(number)));
        let order = order(&mut ready);
        assert_eq!(order[..10], [100, 101, 102, 103, 0, 104, 105, 106, 107, 1]);
        assert_eq!(order.len(), 20);
        assert!(ready.is_empty());
    }

    #[test]
    fn a_crowd_at_one_address_is_one_turn_ahead_of_another() {
        let mut ready = ReadyList::default();
        (0..100).for_each(|number| ready.push_fresh(host(1), Key::from_bits(number)));
        ready.push_fresh(host(2), Key::from_bits(1000));
        ready.push_fresh(host(2), Key::from_bits(1001));
        assert_eq!(order(&mut ready)[..5], [0, 1000, 1, 1001, 2]);
    }
}
