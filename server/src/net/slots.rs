//! A slab whose keys are never mistaken: each carries the generation of what it was made for, so that an
//! event, a completion or a ticket that comes late finds nothing rather than a newer connection.

use crate::limits::SLOTS_KEPT;
use slab::Slab;

/// Names one inhabitant of [`Slots`] for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    generation: u32,
    index: u32,
}

impl Key {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Any number is a key, though perhaps of nothing that is there.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let low = bits & u64::from(u32::MAX);
        Self {
            generation: u32::try_from(bits >> 32).unwrap_or(0),
            index: u32::try_from(low).unwrap_or(u32::MAX),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(u32, T)>,
    /// Never 0, so that small tokens are free for other uses.
    next_generation: u32,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slab: Slab::new(), next_generation: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let index = u32::try_from(self.slab.vacant_key()).unwrap_or(u32::MAX);
        let key = Key { generation: self.next_generation, index };
        self.slab.insert((key.generation, value));
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(1);
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.index as usize).filter(|slot| slot.0 == key.generation).map(|slot| &slot.1)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.get_mut(key.index as usize).filter(|slot| slot.0 == key.generation).map(|slot| &mut slot.1)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let (_, value) = self.slab.remove(key.index as usize);
        let (length, capacity) = (self.slab.len(), self.slab.capacity());
        // A crowd that has gone leaves its memory to the system, as far as the last place that is taken.
        if capacity > SLOTS_KEPT && length <= capacity / 4 {
            self.slab.shrink_to_fit();
        }
        Some(value)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab.iter().map(|(index, (generation, value))| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            (Key { generation: *generation, index }, value)
        })
    }

    /// Past every place that is taken.
    pub(crate) fn places(&self) -> u64 {
        self.slab.capacity() as u64
    }

    /// What is at a place now, whatever was there before.
    pub(crate) fn at(&self, place: u64) -> Option<&T> {
        usize::try_from(place).ok().and_then(|place| self.slab.get(place)).map(|slot| &slot.1)
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.entries().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_though_its_place_is_taken_again() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(second.index, first.index);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
    }

    #[test]
    fn a_crowd_that_has_gone_leaves_no_memory_taken_and_no_key_in_doubt() {
        let mut slots = Slots::new();
        let keys: Vec<Key> = (0..8 * SLOTS_KEPT).map(|number| slots.insert(number)).collect();
        let (stayers, leavers) = keys.split_at(3);
        for key in leavers {
            assert!(slots.remove(*key).is_some());
        }
        assert!(slots.slab.capacity() <= SLOTS_KEPT, "{} places", slots.slab.capacity());
        let newcomers: Vec<Key> = (0..8 * SLOTS_KEPT).map(|number| slots.insert(number)).collect();
        assert!(leavers.iter().all(|key| slots.get(*key).is_none()));
        assert!(stayers.iter().zip(0..).all(|(key, number)| slots.get(*key) == Some(&number)));
        assert!(newcomers.iter().zip(0..).all(|(key, number)| slots.get(*key) == Some(&number)));
    }

    #[test]
    fn keys_survive_being_numbers() {
        let mut slots = Slots::new();
        let key = slots.insert(());
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(slots.get(Key::from_bits(u64::MAX)), None);
    }
}
