//! Which sessions of an address are to give way, those that make the least of what they have first. It remembers a few
//! that were found by looking through all, so that not every newcomer costs such a look. It ends none itself.

use crate::limits::{GIVING_WAY_MAX, GIVING_WAY_MIN_AGE, GIVING_WAY_RETRY_TIME};
use crate::net::slots::Key;
use ferry_session::Activity;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct GivingWay {
    /// The next is the last.
    found: Vec<Key>,
    found_at: Option<Instant>,
    /// There was none at the last look; the next is not before this.
    retry_at: Option<Instant>,
}

impl GivingWay {
    /// The next of those that were found lately. What it does may have changed since.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        self.found_at.filter(|&found_at| now < found_at + GIVING_WAY_MIN_AGE)?;
        self.found.pop()
    }

    pub(crate) fn may_look(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// Takes in what a look has found; keeps the least active.
    pub(crate) fn refill(&mut self, now: Instant, candidates: impl Iterator<Item = (Activity, Key)>) {
        let mut least = BinaryHeap::new();
        for candidate in candidates {
            least.push(candidate);
            if least.len() > GIVING_WAY_MAX {
                least.pop();
            }
        }
        self.found_at = Some(now);
        self.retry_at = least.is_empty().then(|| now + GIVING_WAY_RETRY_TIME);
        self.found = least.into_sorted_vec().into_iter().rev().map(|(_, key)| key).collect();
    }

    /// No session has to give way any more.
    pub(crate) fn settle(&mut self) {
        self.retry_at = None;
    }

    /// When to look again, while a session has to give way and none was found.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_active_are_first_and_a_look_in_vain_is_not_repeated_at_once() {
        let now = Instant::now();
        let activity = |bytes_per_second| Activity { is_working: true, bytes_per_second, since: now };
        let mut giving_way = GivingWay::default();
        let crowd = (0..10 * GIVING_WAY_MAX as u64).rev().map(|rate| (activity(rate), Key::from_bits(rate)));
        giving_way.refill(now, crowd);
        let found: Vec<Key> = std::iter::from_fn(|| giving_way.pop(now)).collect();
        assert_eq!(found, (0..GIVING_WAY_MAX as u64).map(Key::from_bits).collect::<Vec<_>>());
        giving_way.refill(now, std::iter::once((activity(1), Key::from_bits(1))));
        assert_eq!(giving_way.pop(now + GIVING_WAY_MIN_AGE), None, "much may have changed");
        assert!(giving_way.may_look(now) && giving_way.due().is_none());
        giving_way.refill(now, std::iter::empty());
        assert!(!giving_way.may_look(now) && giving_way.may_look(now + GIVING_WAY_RETRY_TIME));
        giving_way.settle();
        assert_eq!(giving_way.due(), None);
    }
}
