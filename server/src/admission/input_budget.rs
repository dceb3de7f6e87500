//! What all sessions together hold of input that is not worked on yet. When it is much, less is read at a time; when it is
//! too much, the session that holds most of a line without its end, of the address that does, gives way. One that has
//! whole commands at hand works them off and never has to. It ends none itself.

use crate::admission::shares::Shares;
use crate::limits::{CONTROL_READ_BYTES, CONTROL_SCARCE_READ_BYTES, INPUT_SCARCE_BYTES, INPUT_TOTAL_BYTES};
use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(crate) struct InputBudget {
    total_bytes: usize,
    /// The sessions of each address that hold a line without its end, by how much of it.
    holders: HashMap<Address, BTreeSet<(usize, Key)>>,
    bytes: Shares,
}

/// The input that a session holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: usize,
    /// Nothing can be done with it before the end of a line comes.
    pub(crate) awaits_end_of_line: bool,
}

impl Held {
    fn half_line_bytes(self) -> usize {
        if self.awaits_end_of_line { self.bytes } else { 0 }
    }
}

impl InputBudget {
    /// A session holds so much now; `known` is where the caller remembers it.
    pub(crate) fn update(&mut self, address: Address, key: Key, known: &mut Held, held: Held) {
        let before = std::mem::replace(known, held);
        self.total_bytes = self.total_bytes - before.bytes + held.bytes;
        let (before, now) = (before.half_line_bytes(), held.half_line_bytes());
        if before == now {
            return;
        }
        let sessions = self.holders.entry(address).or_default();
        sessions.remove(&(before, key));
        if now > 0 {
            sessions.insert((now, key));
        } else if sessions.is_empty() {
            self.holders.remove(&address);
        }
        self.bytes.remove(address, before as u64);
        self.bytes.add(address, now as u64);
    }

    /// How much one read may take.
    pub(crate) fn read_bytes(&self) -> usize {
        if self.total_bytes < INPUT_SCARCE_BYTES { CONTROL_READ_BYTES } else { CONTROL_SCARCE_READ_BYTES }
    }

    /// The session that must give way, if one must.
    pub(crate) fn to_end(&self) -> Option<Key> {
        if self.total_bytes <= INPUT_TOTAL_BYTES {
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

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    fn half_line(bytes: usize) -> Held {
        Held { bytes, awaits_end_of_line: true }
    }

    #[test]
    fn the_longest_line_of_the_address_with_the_most_gives_way() {
        let mut budget = InputBudget::default();
        let part = INPUT_TOTAL_BYTES / 10;
        let mut known = [Held::default(); 12];
        for (number, known) in known.iter_mut().enumerate().take(10) {
            budget.update(host(1), key(number as u64), known, half_line(part - 1 + number / 9));
        }
        assert_eq!(budget.to_end(), None);
        budget.update(host(2), key(10), &mut known[10], half_line(2 * part));
        assert_eq!(budget.to_end(), Some(key(9)), "not the one of the other address");
        budget.update(host(1), key(9), &mut known[9], Held::default());
        budget.update(host(1), key(8), &mut known[8], Held::default());
        assert_eq!(budget.to_end(), None);
        for (number, known) in known.iter_mut().enumerate() {
            let address = if number == 10 { host(2) } else { host(1) };
            budget.update(address, key(number as u64), known, Held::default());
        }
        assert!(budget.holders.is_empty() && budget.bytes.heaviest().is_none());
        assert_eq!(budget.total_bytes, 0);
    }

    #[test]
    fn commands_at_hand_are_read_in_smaller_pieces_and_end_nobody() {
        let mut budget = InputBudget::default();
        assert_eq!(budget.read_bytes(), CONTROL_READ_BYTES);
        let (mut commands, mut line) = (Held::default(), Held::default());
        let whole = Held { bytes: 2 * INPUT_TOTAL_BYTES, awaits_end_of_line: false };
        budget.update(host(1), key(1), &mut commands, whole);
        assert_eq!(budget.read_bytes(), CONTROL_SCARCE_READ_BYTES);
        assert_eq!(budget.to_end(), None);
        budget.update(host(2), key(2), &mut line, half_line(1));
        assert_eq!(budget.to_end(), Some(key(2)));
        budget.update(host(1), key(1), &mut commands, half_line(INPUT_SCARCE_BYTES));
        assert_eq!(budget.to_end(), None);
        assert_eq!(budget.read_bytes(), CONTROL_SCARCE_READ_BYTES);
    }
}
