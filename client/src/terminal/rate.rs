//! How fast something moves now, rather than since its beginning, and since when it does not. Pure.

use crate::limits::{LIVE_RATE_WINDOW, LIVE_SAMPLE_INTERVAL};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Rate {
    /// How much had moved when, over the last seconds.
    samples: VecDeque<(Instant, u64)>,
    moved_bytes: u64,
    moved_at: Instant,
}

impl Rate {
    /// So much had moved before what is measured.
    pub(crate) fn new(now: Instant, moved_bytes: u64) -> Self {
        Self { samples: VecDeque::from([(now, moved_bytes)]), moved_bytes, moved_at: now }
    }

    /// So much has moved by now, in all.
    pub(crate) fn note(&mut self, now: Instant, moved_bytes: u64) {
        if moved_bytes != self.moved_bytes {
            self.moved_bytes = moved_bytes;
            self.moved_at = now;
        }
        let newest = self.samples.back().map_or(now, |&(at, _)| at);
        if now.saturating_duration_since(newest) < LIVE_SAMPLE_INTERVAL {
            return;
        }
        self.samples.push_back((now, moved_bytes));
        // The oldest one is the last of before the window, which is covered as a whole.
        while self.samples.get(1).is_some_and(|&(at, _)| now - at >= LIVE_RATE_WINDOW) {
            self.samples.pop_front();
        }
    }

    pub(crate) fn bytes_per_second(&self) -> u64 {
        let (Some(&(began, from)), Some(&(ended, to))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let seconds = (ended - began).as_secs_f64();
        if seconds > 0.0 { (to.saturating_sub(from) as f64 / seconds) as u64 } else { 0 }
    }

    /// How long nothing has moved.
    pub(crate) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 1_000);
        assert_eq!(rate.bytes_per_second(), 0);
        let step = Duration::from_millis(200);
        // A fast beginning, and then a slow link.
        for number in 1..=100_u32 {
            let moved = if number <= 10 {
                u64::from(number) * 1_000_000
            } else {
                10_000_000 + u64::from(number) * 2_000
            };
            rate.note(start + step * number, 1_000 + moved);
        }
        assert_eq!(rate.bytes_per_second(), 10_000);
        assert!(rate.samples.len() <= 18, "{} samples", rate.samples.len());
    }

    #[test]
    fn silence_begins_with_the_last_byte() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 0);
        let after = |seconds| start + Duration::from_secs(seconds);
        rate.note(after(1), 5);
        rate.note(after(2), 5);
        assert_eq!(rate.silent_for(after(9)), Duration::from_secs(8));
        rate.note(after(9), 6);
        assert_eq!(rate.silent_for(after(9)), Duration::ZERO);
    }
}
