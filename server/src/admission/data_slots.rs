//! Admission to the data connections: a session gets a ticket only when there are descriptors for its
//! connection and its file, so that a ticket once given is always good. The others wait in order.

use crate::net::slots::Key;
use std::collections::BTreeMap;

/// There is room before it for those who are put first.
const FIRST_STAMP: u64 = 1 << 62;

/// Counts the places; does not know what is done with them.
#[derive(Debug)]
pub(crate) struct DataSlots {
    free: u64,
    waiting: BTreeMap<u64, Key>,
    /// Sessions whose data connection lies idle, least recently used first.
    idle: BTreeMap<u64, Key>,
    next_stamp: u64,
}

impl DataSlots {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { free: capacity, waiting: BTreeMap::new(), idle: BTreeMap::new(), next_stamp: FIRST_STAMP }
    }

    /// Queues a session for a place; the stamp is to be handed back if it does not want one any more.
    pub(crate) fn request(&mut self, session: Key) -> u64 {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.waiting.insert(stamp, session);
        stamp
    }

    /// As [`DataSlots::request`], before all others.
    pub(crate) fn request_first(&mut self, session: Key) -> u64 {
        let first = self.waiting.first_key_value().map_or(self.next_stamp, |(stamp, _)| *stamp);
        let stamp = first - 1;
        self.waiting.insert(stamp, session);
        stamp
    }

    pub(crate) fn withdraw(&mut self, stamp: u64) {
        self.waiting.remove(&stamp);
    }

    /// The session next in line, if there is a place; the caller takes it by [`DataSlots::take`].
    pub(crate) fn next_admitted(&mut self) -> Option<Key> {
        if self.free == 0 { None } else { self.waiting.pop_first().map(|(_, session)| session) }
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

    /// The session that must give up its idle data connection so that another may have one.
    pub(crate) fn to_evict(&self) -> Option<Key> {
        if self.free > 0 || self.waiting.is_empty() {
            return None;
        }
        self.idle.first_key_value().map(|(_, session)| *session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    #[test]
    fn admits_in_order_and_no_more_than_there_is_room_for() {
        let mut slots = DataSlots::new(1);
        slots.request(key(1));
        slots.request(key(2));
        assert_eq!(slots.next_admitted(), Some(key(1)));
        slots.take();
        assert_eq!(slots.next_admitted(), None);
        slots.release();
        assert_eq!(slots.next_admitted(), Some(key(2)));
    }

    #[test]
    fn evicts_the_longest_idle_and_only_for_somebody() {
        let mut slots = DataSlots::new(2);
        slots.take();
        slots.take();
        let first = slots.mark_idle(key(1));
        slots.mark_idle(key(2));
        assert_eq!(slots.to_evict(), None);
        slots.request(key(3));
        assert_eq!(slots.to_evict(), Some(key(1)));
        slots.mark_busy(first);
        assert_eq!(slots.to_evict(), Some(key(2)));
    }
}
