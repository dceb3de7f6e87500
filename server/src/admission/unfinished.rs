//! What all sessions together hold of input that is not worked on yet: lines without their end above all. When it is too
//! much, the session that holds most of it, of the address that does, gives way. It ends none itself.

use crate::admission::shares::Shares;
use crate::net::address::Address;
use crate::net::slots::Key;
use ferry_common::limits::UNFINISHED_TOTAL_BYTES;
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// The sessions of each address that hold something, by how much that is.
    holders: HashMap<Address, BTreeSet<(usize, Key)>>,
    bytes: Shares,
    total_bytes: usize,
}

impl Unfinished {
    /// A session holds `bytes` now; `known_bytes` is where the caller remembers it.
    pub(crate) fn update(&mut self, address: Address, key: Key, known_bytes: &mut usize, bytes: usize) {
        if *known_bytes == bytes {
            return;
        }
        let sessions = self.holders.entry(address).or_default();
        sessions.remove(&(*known_bytes, key));
        if bytes > 0 {
            sessions.insert((bytes, key));
        } else if sessions.is_empty() {
            self.holders.remove(&address);
        }
        self.bytes.remove(address, *known_bytes as u64);
        self.bytes.add(address, bytes as u64);
        self.total_bytes = self.total_bytes - *known_bytes + bytes;
        *known_bytes = bytes;
    }

    /// The session that must give way, if one must.
    pub(crate) fn to_end(&self) -> Option<Key> {
        if self.total_bytes <= UNFINISHED_TOTAL_BYTES {
            return None;
        }
        let heaviest = self.bytes.heaviest()?;
        self.holders.get(&heaviest)?.last().map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    #[test]
    fn the_most_of_the_address_with_the_most_gives_way() {
        let mut unfinished = Unfinished::default();
        let part = UNFINISHED_TOTAL_BYTES / 10;
        let mut known = [0; 12];
        for (number, known) in known.iter_mut().enumerate().take(10) {
            unfinished.update(host(1), Key::from_bits(number as u64), known, part - 1 + number / 9);
        }
        assert_eq!(unfinished.to_end(), None);
        unfinished.update(host(2), Key::from_bits(10), &mut known[10], 2 * part);
        assert_eq!(unfinished.to_end(), Some(Key::from_bits(9)), "not the one of the other address");
        unfinished.update(host(1), Key::from_bits(9), &mut known[9], 0);
        unfinished.update(host(1), Key::from_bits(8), &mut known[8], 0);
        assert_eq!(unfinished.to_end(), None);
        for (number, known) in known.iter_mut().enumerate() {
            let address = if number == 10 { host(2) } else { host(1) };
            unfinished.update(address, Key::from_bits(number as u64), known, 0);
        }
        assert!(unfinished.holders.is_empty() && unfinished.bytes.heaviest().is_none());
        assert_eq!(unfinished.total_bytes, 0);
    }
}
