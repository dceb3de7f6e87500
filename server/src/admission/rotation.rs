//! Connections that wait for their turn, by address: each address has one turn after the other, whatever the number of
//! its connections. It serves none of them.

use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{HashMap, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Rotation {
    lines: HashMap<Address, VecDeque<Key>>,
    /// The addresses that have a line, the next first.
    turns: VecDeque<Address>,
    length: usize,
}

impl Rotation {
    pub(crate) fn push(&mut self, address: Address, key: Key) {
        let line = self.lines.entry(address).or_default();
        if line.is_empty() {
            self.turns.push_back(address);
        }
        line.push_back(key);
        self.length += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Key> {
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

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_at_one_address_is_one_turn_ahead_of_another() {
        let host = |number| Address::V4([127, 0, 0, number]);
        let mut rotation = Rotation::default();
        (0..100).for_each(|number| rotation.push(host(1), Key::from_bits(number)));
        rotation.push(host(2), Key::from_bits(1000));
        rotation.push(host(2), Key::from_bits(1001));
        assert_eq!(rotation.len(), 102);
        let order: Vec<u64> = std::iter::from_fn(|| rotation.pop()).map(Key::to_bits).collect();
        assert_eq!(order[..5], [0, 1000, 1, 1001, 2]);
        assert!(order.len() == 102 && rotation.is_empty() && rotation.lines.is_empty());
    }
}
