//! The queue of one kind of jobs, and the threads' way of waiting for it. It knows since when its threads
//! have answered nothing, and starts nothing itself.

use super::condition::Condition;
use super::fair_queue::{FairQueue, Pushed};
use crate::asker::Asker;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A [`FairQueue`] that threads can wait for.
#[derive(Debug)]
pub(super) struct Turns<T> {
    state: Mutex<State<T>>,
    changed: Condition,
}

#[derive(Debug)]
struct State<T> {
    queue: FairQueue<T>,
    /// Jobs that threads have taken and not finished.
    running: usize,
    /// When a job was last finished, or begun while none was running.
    answered: Instant,
    is_closed: bool,
}

impl<T> Turns<T> {
    pub(super) fn new(bound: usize) -> Self {
        let state =
            State { queue: FairQueue::new(bound), running: 0, answered: Instant::now(), is_closed: false };
        Self { state: Mutex::new(state), changed: Condition::default() }
    }

    pub(super) fn push(&self, asker: Asker, item: T) -> Pushed<T> {
        let pushed = self.lock().queue.push(asker, item);
        self.changed.notify_one();
        pushed
    }

    /// Queues what cannot be refused: whatever the bound, since something else bounds it.
    pub(super) fn put(&self, asker: Asker, item: T) {
        self.lock().queue.put(asker, item);
        self.changed.notify_one();
    }

    /// Gives a job back of which a part is done, for its next turn; as [`Turns::finish`].
    pub(super) fn put_back(&self, asker: Asker, item: T) {
        self.lock().queue.put(asker, item);
        self.finish();
        self.changed.notify_one();
    }

    /// Waits for the next job, which is to be followed by [`Turns::finish`]. `None` when the queue is closed and
    /// empty.
    pub(super) fn take(&self) -> Option<(Asker, T)> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.queue.pop() {
                if state.running == 0 {
                    state.answered = Instant::now();
                }
                state.running += 1;
                return Some(item);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state);
        }
    }

    /// A job that was taken is done.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        state.answered = Instant::now();
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// True while nothing is queued or running.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.running == 0 && state.queue.is_empty()
    }

    /// True where jobs have been running, and none of them was finished, for `limit`.
    pub(super) fn is_silent(&self, limit: Duration, now: Instant) -> bool {
        let state = self.lock();
        state.running > 0 && now.saturating_duration_since(state.answered) >= limit
    }

    /// When [`Turns::is_silent`] will be true if nothing is finished, as long as jobs are queued.
    pub(super) fn silent_at(&self, limit: Duration) -> Option<Instant> {
        let state = self.lock();
        (state.running > 0 && !state.queue.is_empty()).then(|| state.answered + limit)
    }

    /// As [`FairQueue::cancel`].
    pub(super) fn cancel(&self, asker: &Asker, is_void: impl FnMut(&Asker, &T) -> bool) -> Vec<(Asker, T)> {
        self.lock().queue.cancel(asker, is_void)
    }

    /// Takes everything that is queued.
    pub(super) fn take_all(&self) -> Vec<(Asker, T)> {
        self.lock().queue.drain()
    }

    /// Lets the threads finish what is queued, and end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is left half done where a panic could come.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn threads_that_wait_get_each_job_once_and_all_end_when_it_is_closed() {
        const JOBS: usize = 1000;
        let turns = Turns::new(JOBS);
        let mut taken: Vec<usize> = std::thread::scope(|scope| {
            let work = || {
                let mut taken = Vec::new();
                while let Some((_, job)) = turns.take() {
                    taken.push(job);
                    turns.finish();
                }
                taken
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            for job in 0..JOBS {
                assert!(matches!(turns.push(Asker::server(), job), Pushed::Queued));
            }
            turns.close();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert_eq!(taken, (0..JOBS).collect::<Vec<_>>());
        assert!(turns.is_idle());
    }

    #[test]
    fn threads_are_silent_only_while_a_job_runs_and_nothing_is_finished() {
        let turns = Turns::new(10);
        let later = |turns: &Turns<u8>| turns.is_silent(LIMIT, Instant::now() + LIMIT);
        turns.put(Asker::server(), 1);
        turns.put(Asker::server(), 2);
        assert!(!later(&turns), "no thread has begun");
        turns.take().unwrap();
        assert!(later(&turns) && !turns.is_silent(LIMIT, Instant::now()));
        assert!(turns.silent_at(LIMIT).is_some(), "another job waits behind it");
        turns.put_back(Asker::server(), 1);
        assert!(!later(&turns), "a part of it is done");
        assert_eq!(turns.take_all().len(), 2);
        assert!(turns.is_idle() && turns.silent_at(LIMIT).is_none());
    }
}
