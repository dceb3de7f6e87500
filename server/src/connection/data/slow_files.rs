//! Files whose pages were not in memory when they were sent, although they had seemed to be: for a while they go
//! through buffers, where disk threads do the waiting. Never touches a file.

use crate::limits::{SLOW_FILE_TIME, SLOW_FILES_MAX, SLOW_SEND_TIME, STALLED_SEND_TIME};
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct SlowFiles {
    /// Until when, by device and inode.
    until: HashMap<(u64, u64), Instant>,
    /// Counting costs a system call in each turn, so this is done only for a while after something was slow.
    counting_until: Option<Instant>,
    waits: Waits,
}

/// How often the reactor's thread has given up the processor by itself. A thread that lost it to others was slow,
/// but has waited for nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Waits(i64);

impl SlowFiles {
    /// To be called before files are sent in a turn: what the thread waited for until then was no file.
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        match self.counting_until {
            Some(until) if until > now => self.waits = Waits::so_far(),
            Some(_) | None => self.counting_until = None,
        }
    }

    /// Sending this file took that long.
    pub(crate) fn handle_sent(&mut self, file: (u64, u64), took: Duration, now: Instant) {
        if took < SLOW_SEND_TIME {
            return;
        }
        let waits = Waits::so_far();
        let has_waited = std::mem::replace(&mut self.waits, waits) != waits;
        let was_counting = self.counting_until.replace(now + SLOW_FILE_TIME).is_some();
        // Slower than any pause that other threads cause is slow enough without a count.
        if was_counting && has_waited || took >= STALLED_SEND_TIME {
            self.add(file, now);
        }
    }

    pub(crate) fn has(&self, file: (u64, u64), now: Instant) -> bool {
        !self.until.is_empty() && self.until.get(&file).is_some_and(|until| *until > now)
    }

    fn add(&mut self, file: (u64, u64), now: Instant) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= SLOW_FILES_MAX
            && let Some(&first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(file, _)| file)
        {
            self.until.remove(&first);
        }
        self.until.insert(file, now + SLOW_FILE_TIME);
    }
}

impl Waits {
    fn so_far() -> Self {
        // The call cannot fail for the calling thread.
        Self(getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waited_is_slow() {
        let (mut files, now) = (SlowFiles::default(), Instant::now());
        // The first time it is not known what the thread did before.
        files.handle_sent((1, 1), SLOW_SEND_TIME, now);
        assert!(!files.has((1, 1), now));
        files.begin_turn(now);
        std::thread::sleep(Duration::from_millis(1));
        files.handle_sent((1, 1), SLOW_SEND_TIME / 2, now);
        assert!(!files.has((1, 1), now), "not for long");
        files.handle_sent((1, 1), SLOW_SEND_TIME, now);
        assert!(files.has((1, 1), now));
        files.handle_sent((1, 2), SLOW_SEND_TIME, now);
        assert!(!files.has((1, 2), now), "the processor was busy with others");
        files.handle_sent((1, 3), STALLED_SEND_TIME, now);
        assert!(files.has((1, 3), now), "whatever it was, it was too long");
    }

    #[test]
    fn a_slow_file_is_slow_for_a_while_and_their_number_is_bounded() {
        let (mut files, now) = (SlowFiles::default(), Instant::now());
        files.add((1, 1), now);
        assert!(files.has((1, 1), now));
        assert!(!files.has((1, 2), now));
        assert!(!files.has((1, 1), now + SLOW_FILE_TIME));
        for number in 0..SLOW_FILES_MAX as u64 {
            files.add((2, number), now + Duration::from_millis(number + 1));
        }
        assert_eq!(files.until.len(), SLOW_FILES_MAX);
        assert!(!files.has((1, 1), now), "the oldest gives way");
    }
}
