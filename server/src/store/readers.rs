//! Files that threads of this process are reading right now: their pages may be on their way from the disk and count
//! as present before they are there. Makes no call.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Entries of files that are read no more are removed when there are so many, or twice as many as were left.
const PRUNE_MIN: usize = 64;

/// By device and inode.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    files: HashMap<(u64, u64), Weak<Reading>>,
    /// How many were left when entries were last removed.
    left: usize,
}

/// Held for as long as a file is being read.
#[derive(Debug)]
pub(crate) struct Reading;

impl Readers {
    /// A thread is about to read this file, until it drops what it gets.
    pub(crate) fn begin(&mut self, file: (u64, u64)) -> Arc<Reading> {
        if let Some(reading) = self.files.get(&file).and_then(Weak::upgrade) {
            return reading;
        }
        if self.files.len() >= PRUNE_MIN.max(2 * self.left) {
            self.files.retain(|_, reading| reading.strong_count() > 0);
            self.left = self.files.len();
        }
        let reading = Arc::new(Reading);
        self.files.insert(file, Arc::downgrade(&reading));
        reading
    }

    pub(crate) fn has(&self, file: (u64, u64)) -> bool {
        self.files.get(&file).is_some_and(|reading| reading.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_being_read_until_the_last_reader_is_done() {
        let mut readers = Readers::default();
        let (first, second) = (readers.begin((1, 1)), readers.begin((1, 1)));
        drop(first);
        assert!(readers.has((1, 1)));
        assert!(!readers.has((1, 2)));
        drop(second);
        assert!(!readers.has((1, 1)));
    }

    #[test]
    fn what_is_not_read_any_more_is_forgotten() {
        let mut readers = Readers::default();
        let kept: Vec<_> = (0..100).map(|number| readers.begin((1, number))).collect();
        (0..10_000).for_each(|number| drop(readers.begin((2, number))));
        assert!(readers.files.len() <= 2 * kept.len() + 1);
        assert!((0..100).all(|number| readers.has((1, number))));
    }
}
