//! Files whose pages were not in memory when they were sent, although they had seemed to be: for a while they go
//! through buffers, where disk threads do the waiting. Never touches a file.

use ferry_common::limits::{SLOW_FILE_TIME, SLOW_FILES_MAX, SLOW_SEND_TIME};
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct SlowFiles {
    /// Until when, by device and inode.
    until: HashMap<(u64, u64), Instant>,
    waits: Waits,
}

/// How often the reactor's thread has given up the processor by itself. A thread that lost it to others was slow,
/// but has waited for nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Waits(i64);

impl SlowFiles {
    /// To be called before files are sent in a turn: what the thread waited for until then was no file.
    pub(crate) fn begin_turn(&mut self) {
        self.waits = Waits::so_far();
    }

    /// Sending this file took that long.
    pub(crate) fn handle_sent(&mut self, file: (u64, u64), took: Duration, now: Instant) {
        if took >= SLOW_SEND_TIME {
            let waits = Waits::so_far();
            if std::mem::replace(&mut self.waits, waits) != waits {
                self.add(file, now);
            }
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
        // It cannot fail for the calling thread.
        Self(getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waited_is_slow() {
        let (mut files, now) = (SlowFiles::default(), Instant::now());
        files.begin_turn();
        std::thread::sleep(Duration::from_millis(1));
        files.handle_sent((1, 1), SLOW_SEND_TIME / 2, now);
        assert!(!files.has((1, 1), now), "not for long");
        files.handle_sent((1, 1), SLOW_SEND_TIME, now);
        assert!(files.has((1, 1), now));
        files.handle_sent((1, 2), SLOW_SEND_TIME, now);
        assert!(!files.has((1, 2), now), "the processor was busy with others");
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
