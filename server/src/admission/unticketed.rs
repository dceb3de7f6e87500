//! Data connections that have not presented a ticket yet. There is always room for one more: the oldest of the address
//! that has the most gives way. A ticket that is out brings a place for its connection with it. It closes none itself.

use crate::admission::shares::Shares;
use crate::limits::UNTICKETED_MAX;
use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{HashMap, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Unticketed {
    /// Oldest first.
    lines: HashMap<Address, VecDeque<Key>>,
    shares: Shares,
    length: u64,
}

impl Unticketed {
    /// Takes a connection in; gives the one that is to be closed for it, if there are too many.
    pub(crate) fn push(&mut self, address: Address, key: Key, tickets_out: u64) -> Option<Key> {
        self.lines.entry(address).or_default().push_back(key);
        self.shares.add(address, 1);
        self.length += 1;
        if self.length <= UNTICKETED_MAX + tickets_out {
            return None;
        }
        let heaviest = self.shares.heaviest()?;
        let oldest = *self.lines.get(&heaviest)?.front()?;
        self.remove(heaviest, oldest);
        Some(oldest)
    }

    /// A connection has presented its ticket, or is closed.
    pub(crate) fn remove(&mut self, address: Address, key: Key) {
        let Some(line) = self.lines.get_mut(&address) else { return };
        let Some(index) = line.iter().position(|&other| other == key) else { return };
        line.remove(index);
        if line.is_empty() {
            self.lines.remove(&address);
        }
        self.shares.remove(address, 1);
        self.length -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    fn key_of_ticket() -> Key {
        Key::from_bits(2_000_000)
    }

    #[test]
    fn a_crowd_at_one_address_gives_way_and_its_oldest_first() {
        let mut unticketed = Unticketed::default();
        let good = Key::from_bits(1_000_000);
        assert_eq!(unticketed.push(host(2), good, 0), None);
        let crowd = |number| Key::from_bits(number);
        for number in 1..UNTICKETED_MAX {
            assert_eq!(unticketed.push(host(1), crowd(number), 0), None);
        }
        for number in 0..10 * UNTICKETED_MAX {
            let gone = unticketed.push(host(1), crowd(UNTICKETED_MAX + number), 0);
            assert_eq!(gone, Some(crowd(number + 1)));
        }
        unticketed.remove(host(2), good);
        assert_eq!(unticketed.push(host(3), good, 0), None, "there is room again");
        unticketed.remove(host(9), good);
        assert_eq!(unticketed.length, UNTICKETED_MAX);
        assert_eq!(unticketed.push(host(4), key_of_ticket(), 1), None, "a ticket brings its own place");
    }
}
