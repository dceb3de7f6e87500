//! A bounded queue that takes turns: round robin over the addresses that have something queued, and over the
//! sessions of an address; what one session has queued leaves in its order. It never blocks.

use crate::asker::Asker;
use crate::net::address::Address;
use crate::net::slots::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    bound: usize,
    length: usize,
    lines: HashMap<Address, AddressLine<T>>,
    /// Whose turn is next, by the number of the turn.
    turns: BTreeMap<u64, Address>,
    /// How much each address has queued, for the one that has the most.
    loads: BTreeSet<(usize, Address)>,
    next_turn: u64,
}

#[derive(Debug)]
struct AddressLine<T> {
    turn: u64,
    length: usize,
    sessions: HashMap<Key, SessionLine<T>>,
    turns: BTreeMap<u64, Key>,
}

#[derive(Debug)]
struct SessionLine<T> {
    turn: u64,
    items: VecDeque<(Asker, T)>,
}

/// What came of queueing something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<T> {
    Queued,
    /// Queued in place of the newest item of the address that had the most.
    Displaced(Asker, T),
    /// The queue is full, and no address has more of it than this one.
    Refused(Asker, T),
}

impl<T> FairQueue<T> {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bound,
            length: 0,
            lines: HashMap::new(),
            turns: BTreeMap::new(),
            loads: BTreeSet::new(),
            next_turn: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Queues an item. When the queue is full, an address with less in it than another takes a place of that
    /// other one: one address alone may use the whole queue, but only as long as no other address wants it.
    pub(super) fn push(&mut self, asker: Asker, item: T) -> Pushed<T> {
        if self.length < self.bound {
            self.put(asker, item);
            return Pushed::Queued;
        }
        let own_length = self.lines.get(&asker.address).map_or(0, |line| line.length);
        match self.loads.last() {
            Some(&(most, heaviest)) if most > own_length + 1 => {
                let displaced = self.take_newest(heaviest);
                self.put(asker, item);
                displaced.map_or(Pushed::Queued, |(asker, item)| Pushed::Displaced(asker, item))
            }
            Some(_) | None => Pushed::Refused(asker, item),
        }
    }

    /// Queues an item whatever the bound, for what was taken from the queue before.
    pub(super) fn put(&mut self, asker: Asker, item: T) {
        let (turn, session_turn) = (self.next_turn, self.next_turn + 1);
        self.next_turn += 2;
        let line = self.lines.entry(asker.address).or_insert_with(|| {
            self.turns.insert(turn, asker.address);
            AddressLine { turn, length: 0, sessions: HashMap::new(), turns: BTreeMap::new() }
        });
        let session = line.sessions.entry(asker.session).or_insert_with(|| {
            line.turns.insert(session_turn, asker.session);
            SessionLine { turn: session_turn, items: VecDeque::new() }
        });
        session.items.push_back((asker, item));
        self.loads.remove(&(line.length, asker.address));
        line.length += 1;
        self.loads.insert((line.length, asker.address));
        self.length += 1;
    }

    /// The next item by turns.
    pub(super) fn pop(&mut self) -> Option<(Asker, T)> {
        let (_, address) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&address)?;
        let (_, key) = line.turns.pop_first()?;
        let session = line.sessions.get_mut(&key)?;
        let item = session.items.pop_front();
        // Both go behind those that wait.
        (line.turn, session.turn) = (self.next_turn, self.next_turn + 1);
        self.next_turn += 2;
        line.turns.insert(session.turn, key);
        self.turns.insert(line.turn, address);
        self.shrink(address, key, 1);
        item
    }

    /// Removes the items of a session for which `is_void` holds.
    pub(super) fn cancel(
        &mut self,
        asker: &Asker,
        mut is_void: impl FnMut(&Asker, &T) -> bool,
    ) -> Vec<(Asker, T)> {
        let line = self.lines.get_mut(&asker.address);
        let Some(session) = line.and_then(|line| line.sessions.get_mut(&asker.session)) else {
            return Vec::new();
        };
        let items = std::mem::take(&mut session.items);
        let (void, kept): (Vec<_>, VecDeque<_>) = {
            let (void, kept): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|(asker, item)| is_void(asker, item));
            (void, kept.into())
        };
        session.items = kept;
        self.shrink(asker.address, asker.session, void.len());
        void
    }

    /// Takes everything, in the order of the turns.
    pub(super) fn drain(&mut self) -> Vec<(Asker, T)> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    fn take_newest(&mut self, address: Address) -> Option<(Asker, T)> {
        let line = self.lines.get_mut(&address)?;
        let (_, &key) = line.turns.last_key_value()?;
        let item = line.sessions.get_mut(&key)?.items.pop_back();
        self.shrink(address, key, 1);
        item
    }

    /// Brings the books in line with `count` items that a session has less.
    fn shrink(&mut self, address: Address, key: Key, count: usize) {
        let Some(line) = self.lines.get_mut(&address) else { return };
        self.length -= count;
        self.loads.remove(&(line.length, address));
        line.length -= count;
        if let Some(session) = line.sessions.get(&key)
            && session.items.is_empty()
        {
            line.turns.remove(&session.turn);
            line.sessions.remove(&key);
        }
        if line.length == 0 {
            self.turns.remove(&line.turn);
            self.lines.remove(&address);
        } else {
            self.loads.insert((line.length, address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asker(address: u8, session: u64) -> Asker {
        let session = Key::from_bits(u64::from(address) << 32 | session);
        Asker { address: Address::V4([127, 0, 0, address]), session, ..Asker::server() }
    }

    fn popped<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        queue.drain().into_iter().map(|(_, item)| item).collect()
    }

    #[test]
    fn addresses_take_turns_then_their_sessions_and_one_session_keeps_its_order() {
        let mut queue = FairQueue::new(100);
        for item in ["1a", "1b", "1c"] {
            assert_eq!(queue.push(asker(1, 1), item), Pushed::Queued);
        }
        queue.push(asker(1, 2), "1x");
        queue.push(asker(2, 1), "2a");
        queue.push(asker(2, 1), "2b");
        queue.push(asker(3, 1), "3a");
        assert_eq!(popped(&mut queue), ["1a", "2a", "3a", "1x", "2b", "1b", "1c"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_address_may_fill_the_queue_and_gives_way_to_others() {
        let mut queue = FairQueue::new(4);
        for number in 0..4 {
            assert_eq!(queue.push(asker(1, number), number), Pushed::Queued);
        }
        assert_eq!(queue.push(asker(1, 9), 9), Pushed::Refused(asker(1, 9), 9));
        assert_eq!(queue.push(asker(2, 1), 20), Pushed::Displaced(asker(1, 3), 3));
        assert_eq!(queue.push(asker(2, 2), 21), Pushed::Displaced(asker(1, 2), 2));
        assert_eq!(queue.push(asker(2, 3), 22), Pushed::Refused(asker(2, 3), 22), "it has its half");
        assert_eq!(queue.push(asker(3, 1), 30), Pushed::Displaced(asker(2, 2), 21));
        assert_eq!(popped(&mut queue), [0, 20, 30, 1]);
    }

    #[test]
    fn what_a_session_that_has_gone_had_queued_is_given_back() {
        let mut queue = FairQueue::new(100);
        for item in [1, 2, 3] {
            queue.push(asker(1, 1), item);
        }
        queue.push(asker(1, 2), 4);
        let void = queue.cancel(&asker(1, 1), |_, item| *item != 2);
        assert_eq!(void, [(asker(1, 1), 1), (asker(1, 1), 3)]);
        assert!(queue.cancel(&asker(7, 7), |_, _| true).is_empty());
        assert_eq!(popped(&mut queue), [2, 4]);
        assert!(queue.cancel(&asker(1, 1), |_, _| true).is_empty());
    }

    proptest! {
        /// Whatever is done: nothing is lost, nothing appears twice, the bound holds, and no address that has
        /// something queued waits for more than one item of each other address.
        #[test]
        fn nothing_is_lost_and_nobody_is_passed_over(
            steps in prop::collection::vec((0_u8..10, 0_u8..4, 0_u64..3), 1..200),
        ) {
            let mut queue = FairQueue::new(20);
            let mut inside = BTreeMap::new();
            let mut passed = HashMap::<Address, HashMap<Address, usize>>::new();
            for (number, (what, address, session)) in steps.into_iter().enumerate() {
                let from = asker(address, session);
                match what {
                    0..6 => match queue.push(from, number) {
                        Pushed::Queued => _ = inside.insert(number, from),
                        Pushed::Displaced(victim, item) => {
                            prop_assert_eq!(inside.remove(&item), Some(victim));
                            inside.insert(number, from);
                        }
                        Pushed::Refused(..) => prop_assert_eq!(inside.len(), 20),
                    },
                    6..9 => {
                        let Some((from, item)) = queue.pop() else {
                            prop_assert!(inside.is_empty());
                            continue;
                        };
                        prop_assert_eq!(inside.remove(&item), Some(from));
                        passed.remove(&from.address);
                        let waiting: BTreeSet<Address> = inside.values().map(|from| from.address).collect();
                        for address in waiting.into_iter().filter(|address| *address != from.address) {
                            let count = passed.entry(address).or_default().entry(from.address).or_default();
                            *count += 1;
                            prop_assert!(*count <= 1, "{:?} was passed over", address);
                        }
                    }
                    _ => {
                        for (from, item) in queue.cancel(&from, |_, _| true) {
                            prop_assert_eq!(inside.remove(&item), Some(from));
                        }
                    }
                }
                let waits = |address: &Address| inside.values().any(|from| from.address == *address);
                passed.retain(|address, _| waits(address));
                prop_assert_eq!(queue.length, inside.len());
                prop_assert_eq!(queue.is_empty(), inside.is_empty());
            }
            let left = queue.drain().len();
            prop_assert_eq!(left, inside.len());
            prop_assert!(queue.lines.is_empty() && queue.turns.is_empty() && queue.loads.is_empty());
        }
    }
}
