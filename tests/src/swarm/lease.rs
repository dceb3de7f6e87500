//! Things of which there are few, lent to clients in the order in which they asked.

use std::collections::VecDeque;

/// A pool of `T`s. `Key` names a client that waits.
#[derive(Debug)]
pub(crate) struct Pool<T, Key> {
    free: Vec<T>,
    waiting: VecDeque<Key>,
}

impl<T, Key> Pool<T, Key> {
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self { free: items.into_iter().collect(), waiting: VecDeque::new() }
    }

    /// A thing now, or a place in the queue: then [`Pool::give_back`] hands it over.
    pub(crate) fn take_or_wait(&mut self, key: Key) -> Option<T> {
        let item = self.free.pop();
        if item.is_none() {
            self.waiting.push_back(key);
        }
        item
    }

    /// Returns a thing; the client that waits longest is to have it.
    pub(crate) fn give_back(&mut self, item: T) -> Option<(Key, T)> {
        match self.waiting.pop_front() {
            Some(key) => Some((key, item)),
            None => {
                self.free.push(item);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let mut pool = Pool::new(["x"]);
        assert_eq!(pool.take_or_wait(1), Some("x"));
        assert_eq!(pool.take_or_wait(2), None);
        assert_eq!(pool.take_or_wait(3), None);
        assert_eq!(pool.give_back("x"), Some((2, "x")));
        assert_eq!(pool.give_back("x"), Some((3, "x")));
        assert_eq!(pool.give_back("x"), None);
        assert_eq!(pool.take_or_wait(4), Some("x"));
    }
}
