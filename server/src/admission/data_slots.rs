//! Admission to the data connections: a session gets a ticket only when there are descriptors for its
//! connection and its file, so that a ticket once given is always good. The others wait; addresses take turns, and the
//! sessions of one address come in their order.

use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// There is room before it for those who are put first.
const FIRST_STAMP: u64 = 1 << 62;

/// Counts the places; does not know what is done with them.
#[derive(Debug)]
pub(crate) struct DataSlots {
    free: u64,
    waiting: HashMap<Address, BTreeMap<u64, Key>>,
    /// The addresses that have somebody waiting, the next first.
    turns: VecDeque<Address>,
    /// Sessions whose data connection lies idle, least recently used first.
    idle: BTreeMap<u64, Key>,
    next_stamp: u64,
}

impl DataSlots {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            free: capacity,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            idle: BTreeMap::new(),
            next_stamp: FIRST_STAMP,
        }
    }

    /// Queues a session for a place; the stamp is to be handed back if it does not want one any more.
    pub(crate) fn request(&mut self, address: Address, session: Key) -> u64 {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.queue(address, stamp, session);
        stamp
    }

    /// As [`DataSlots::request`], before all others of its address.
    pub(crate) fn request_first(&mut self, address: Address, session: Key) -> u64 {
        let first = self.waiting.get(&address).and_then(BTreeMap::first_key_value);
        let stamp = first.map_or(self.next_stamp, |(stamp, _)| *stamp) - 1;
        self.queue(address, stamp, session);
        stamp
    }

    pub(crate) fn withdraw(&mut self, address: Address, stamp: u64) {
        if let Some(line) = self.waiting.get_mut(&address) {
            line.remove(&stamp);
            if line.is_empty() {
                self.waiting.remove(&address);
                self.turns.retain(|&other| other != address);
            }
        }
    }

    /// The session whose turn it is, if there is a place; the caller takes it by [`DataSlots::take`].
    pub(crate) fn next_admitted(&mut self) -> Option<Key> {
        if self.free == 0 {
            return None;
        }
        let address = self.turns.pop_front()?;
        let line = self.waiting.get_mut(&address)?;
        let (_, session) = line.pop_first()?;
        if line.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        Some(session)
    }

    pub(crate) fn take(&mut self) {
        self.free = self.free.saturating_sub(1);
    }

    pub(crate) fn release(&mut self) {
        self.free += 1;
    }

    /// A data connection lies idle; the stamp is to be handed back when it no longer does.
    pub(crate) fn mark_idle(&mut self, session: Key) -> u64 {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.idle.insert(stamp, session);
        stamp
    }

    pub(crate) fn mark_busy(&mut self, stamp: u64) {
        self.idle.remove(&stamp);
    }

    /// The session that must give up its idle data connection so that another may have one. It is idle no longer as far
    /// as this knows, so that asking again gives another one, and at last none.
    pub(crate) fn take_evicted(&mut self) -> Option<Key> {
        if self.free > 0 || self.waiting.is_empty() {
            return None;
        }
        self.idle.pop_first().map(|(_, session)| session)
    }

    fn queue(&mut self, address: Address, stamp: u64, session: Key) {
        let line = self.waiting.entry(address).or_default();
        if line.is_empty() {
            self.turns.push_back(address);
        }
        line.insert(stamp, session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    #[test]
    fn admits_in_order_and_no_more_than_there_is_room_for() {
        let mut slots = DataSlots::new(1);
        slots.request(host(1), key(1));
        slots.request(host(1), key(2));
        assert_eq!(slots.next_admitted(), Some(key(1)));
        slots.take();
        assert_eq!(slots.next_admitted(), None);
        slots.release();
        assert_eq!(slots.next_admitted(), Some(key(2)));
    }

    #[test]
    fn a_crowd_at_one_address_is_one_turn_ahead_of_another() {
        let mut slots = DataSlots::new(10);
        let stamps: Vec<u64> = (0..5).map(|number| slots.request(host(1), key(number))).collect();
        slots.request(host(2), key(100));
        slots.withdraw(host(1), stamps[0]);
        slots.request_first(host(1), key(50));
        let order: Vec<Key> = std::iter::from_fn(|| slots.next_admitted()).collect();
        assert_eq!(order, [50, 100, 1, 2, 3, 4].map(key));
        assert!(slots.waiting.is_empty() && slots.turns.is_empty());
    }

    #[test]
    fn evicts_the_longest_idle_only_for_somebody_and_each_once() {
        let mut slots = DataSlots::new(2);
        slots.take();
        slots.take();
        slots.mark_idle(key(1));
        let second = slots.mark_idle(key(2));
        slots.mark_idle(key(3));
        assert_eq!(slots.take_evicted(), None);
        slots.request(host(1), key(4));
        assert_eq!(slots.take_evicted(), Some(key(1)));
        slots.mark_busy(second);
        assert_eq!(slots.take_evicted(), Some(key(3)));
        assert_eq!(slots.take_evicted(), None);
    }
}
