//! Admission to the data connections: a session gets a ticket only when there are descriptors for its
//! connection and its file, so that a ticket once given is always good. The others wait, each for the turn of its
//! address. It counts the places; it does not know what is done with them.

use crate::admission::lines::Lines;
use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::BTreeMap;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DataSlots {
    free: u64,
    waiting: Lines<Key>,
    /// Sessions whose data connection lies idle, least recently used first.
    idle: BTreeMap<u64, Key>,
    next_stamp: u64,
}

impl DataSlots {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { free: capacity, waiting: Lines::new(), idle: BTreeMap::new(), next_stamp: 0 }
    }

    /// Queues a session for a place; the stamp is to be handed back if it does not want one any more.
    pub(crate) fn request(&mut self, address: Address, session: Key) -> u64 {
        self.waiting.push_last(address, session)
    }

    /// As [`DataSlots::request`], before all others of its address.
    pub(crate) fn request_first(&mut self, address: Address, session: Key) -> u64 {
        self.waiting.push_first(address, session)
    }

    pub(crate) fn withdraw(&mut self, address: Address, stamp: u64) {
        self.waiting.remove(address, stamp);
    }

    /// The session whose turn it is, if there is a place; the caller takes it by [`DataSlots::take`].
    pub(crate) fn next_admitted(&mut self) -> Option<Key> {
        if self.free == 0 {
            return None;
        }
        self.waiting.pop().map(|(_, _, session)| session)
    }

    pub(crate) fn take(&mut self, address: Address) {
        self.free = self.free.saturating_sub(1);
        self.waiting.take(address);
    }

    pub(crate) fn release(&mut self, address: Address) {
        self.free += 1;
        self.waiting.release(address);
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

    /// The address that must give up a place for another which has fewer and waits.
    pub(crate) fn too_heavy(&self) -> Option<Address> {
        if self.free > 0 { None } else { self.waiting.heavier_than_next() }
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
        slots.take(host(1));
        assert_eq!(slots.next_admitted(), None);
        slots.release(host(1));
        assert_eq!(slots.next_admitted(), Some(key(2)));
    }

    #[test]
    fn an_address_with_more_gives_way_only_where_another_waits() {
        let mut slots = DataSlots::new(3);
        (0..3).for_each(|_| slots.take(host(1)));
        slots.request(host(1), key(1));
        assert_eq!(slots.too_heavy(), None, "it waits for itself");
        slots.request(host(2), key(2));
        assert_eq!(slots.too_heavy(), Some(host(1)));
        slots.release(host(1));
        assert_eq!(slots.too_heavy(), None, "there is a place already");
        assert_eq!(slots.next_admitted(), Some(key(2)));
        slots.take(host(2));
        assert_eq!(slots.too_heavy(), None);
    }

    #[test]
    fn evicts_the_longest_idle_only_for_somebody_and_each_once() {
        let mut slots = DataSlots::new(2);
        slots.take(host(1));
        slots.take(host(1));
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
