//! Deadlines of one kind of connection. Nothing here ticks: the reactor sleeps until the first of them.

use crate::net::slots::Key;
use std::collections::BTreeSet;
use std::time::Instant;

/// Each connection keeps the instant that it is queued at, and hands it back to move it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    queue: BTreeSet<(Instant, Key)>,
}

impl Deadlines {
    /// Moves the deadline of a connection; `armed` is where the connection remembers it.
    pub(crate) fn arm(&mut self, key: Key, armed: &mut Option<Instant>, due: Option<Instant>) {
        if *armed == due {
            return;
        }
        if let Some(before) = *armed {
            self.queue.remove(&(before, key));
        }
        if let Some(due) = due {
            self.queue.insert((due, key));
        }
        *armed = due;
    }

    /// When the first deadline comes.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes out a connection whose deadline has come. It is no longer armed, which the caller notes.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_connection_has_one_deadline_and_the_first_comes_first() {
        let now = Instant::now();
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        let [first, second] = [1, 2].map(Key::from_bits);
        let (mut deadlines, mut armed, mut other) = (Deadlines::default(), None, None);
        assert!(deadlines.next().is_none() && deadlines.pop_due(now).is_none());
        deadlines.arm(first, &mut armed, after(1));
        deadlines.arm(second, &mut other, after(2));
        deadlines.arm(first, &mut armed, after(3));
        assert_eq!((armed, deadlines.next()), (after(3), after(2)), "the later instant has taken its place");
        assert_eq!(deadlines.pop_due(now), None);
        assert_eq!(deadlines.pop_due(now + Duration::from_secs(9)), Some(second));
        deadlines.arm(first, &mut armed, None);
        assert_eq!((armed, deadlines.next()), (None, None));
    }
}
