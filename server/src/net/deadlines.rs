//! The one queue of deadlines. Nothing here ticks: the reactor sleeps until the first of them.

use crate::net::slots::Key;
use std::collections::BTreeSet;
use std::time::Instant;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Control(Key),
    Data(Key),
}

/// Each owner keeps the instant that it is queued at, and hands it back to move it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    queue: BTreeSet<(Instant, Timer)>,
}

impl Deadlines {
    /// Moves a timer; `armed` is where its owner remembers it.
    pub(crate) fn arm(&mut self, timer: Timer, armed: &mut Option<Instant>, due: Option<Instant>) {
        if *armed == due {
            return;
        }
        if let Some(before) = *armed {
            self.queue.remove(&(before, timer));
        }
        if let Some(due) = due {
            self.queue.insert((due, timer));
        }
        *armed = due;
    }

    /// When the first timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes out one timer that is due. Its owner is no longer armed.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, timer)| timer)
    }
}
