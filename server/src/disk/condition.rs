//! A condition variable that costs no system call while no thread waits for it: the standard library's makes one for
//! each notification, and the reactor gives many a job to a thread that is at work already.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, MutexGuard, PoisonError};

/// For one mutex: what a thread waits for is to be changed under the mutex, and told of afterwards.
#[derive(Debug, Default)]
pub(super) struct Condition {
    changed: Condvar,
    /// Changed under the mutex only, whose order is therefore that of these numbers as well.
    waiting: AtomicUsize,
}

impl Condition {
    pub(super) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    pub(super) fn notify_one(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }

    pub(super) fn notify_all(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn no_change_is_missed() {
        const TURNS: u32 = 20_000;
        let (number, changed) = (Mutex::new(0), Condition::default());
        let count = |parity: u32| {
            for turn in (0..TURNS).filter(|turn| turn % 2 == parity) {
                let mut guard = number.lock().unwrap();
                while *guard != turn {
                    guard = changed.wait(guard);
                }
                *guard = turn + 1;
                drop(guard);
                changed.notify_one();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| count(0));
            scope.spawn(|| count(1));
        });
        assert_eq!(*number.lock().unwrap(), TURNS);
        assert_eq!(changed.waiting.load(Ordering::Relaxed), 0);
    }
}
