//! The uploads that wait to be published, and the exchange of batches between the two threads that do it. It
//! moves requests and batches, and looks into neither.

use super::condition::Condition;
use super::fair_queue::{FairQueue, Pushed};
use super::publishing::{Commit, Request};
use crate::asker::Asker;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Flushes {
    state: Mutex<State>,
    for_batcher: Condition,
    for_committer: Condition,
}

#[derive(Debug)]
struct State {
    requests: FairQueue<Request>,
    /// On its way from the batcher to the committer.
    batch: Option<Vec<Commit>>,
    /// The committer has nothing to do.
    is_awaited: bool,
    /// Requests that are not answered.
    unanswered: usize,
    /// When requests were last answered, or the first of them came.
    answered: Instant,
    is_closed: bool,
    /// The batcher has ended.
    is_over: bool,
}

/// What the batcher is to do next.
#[derive(Debug)]
pub(super) enum Next {
    Add(Asker, Request),
    /// The committer waits for the batch.
    HandOver,
    /// No more requests can come.
    End,
}

impl Flushes {
    pub(super) fn new(bound: usize) -> Self {
        let state = State {
            requests: FairQueue::new(bound),
            batch: None,
            is_awaited: false,
            unanswered: 0,
            answered: Instant::now(),
            is_closed: false,
            is_over: false,
        };
        Self {
            state: Mutex::new(state),
            for_batcher: Condition::default(),
            for_committer: Condition::default(),
        }
    }

    pub(super) fn push(&self, asker: Asker, request: Request) -> Pushed<Request> {
        let mut state = self.lock();
        if state.unanswered == 0 {
            // No flush has waited until now.
            state.answered = Instant::now();
        }
        let pushed = state.requests.push(asker, request);
        if matches!(pushed, Pushed::Queued) {
            state.unanswered += 1;
        }
        drop(state);
        self.for_batcher.notify_one();
        pushed
    }

    /// A request that is there already.
    pub(super) fn try_next(&self) -> Option<(Asker, Request)> {
        self.lock().requests.pop()
    }

    /// Waits for a request, or, where `has_batch`, for the committer to have nothing to do.
    pub(super) fn next(&self, has_batch: bool) -> Next {
        let mut state = self.lock();
        loop {
            if let Some((asker, request)) = state.requests.pop() {
                return Next::Add(asker, request);
            }
            if state.is_closed {
                return Next::End;
            }
            if has_batch && state.is_awaited && state.batch.is_none() {
                return Next::HandOver;
            }
            state = self.for_batcher.wait(state);
        }
    }

    /// Waits until the committer takes the batch.
    pub(super) fn hand_over(&self, batch: Vec<Commit>) {
        let mut state = self.lock();
        while state.batch.is_some() || !state.is_awaited {
            state = self.for_batcher.wait(state);
        }
        state.batch = Some(batch);
        drop(state);
        self.for_committer.notify_one();
    }

    /// The next batch for the committer; `None` when the batcher has ended.
    pub(super) fn next_batch(&self) -> Option<Vec<Commit>> {
        let mut state = self.lock();
        state.is_awaited = true;
        self.for_batcher.notify_one();
        loop {
            if let Some(batch) = state.batch.take() {
                state.is_awaited = false;
                return Some(batch);
            }
            if state.is_over {
                return None;
            }
            state = self.for_committer.wait(state);
        }
    }

    /// The batcher has ended.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.for_committer.notify_one();
    }

    /// So many requests are answered.
    pub(super) fn finish(&self, count: usize) {
        let mut state = self.lock();
        state.unanswered = state.unanswered.saturating_sub(count);
        state.answered = Instant::now();
    }

    /// True while no request waits for its answer.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().unanswered == 0
    }

    /// True where there are requests, and nothing came of any of them for `limit`.
    pub(super) fn is_silent(&self, limit: Duration, now: Instant) -> bool {
        let state = self.lock();
        state.unanswered > 0 && now.saturating_duration_since(state.answered) >= limit
    }

    /// Lets the threads finish what is there, and end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.for_batcher.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a panic could come.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::publishing::Upload;
    use super::*;
    use crate::store::tests::cleared;
    use ferry_common::wire::command::Conditions;
    use ferry_session::action::Publication;

    const LIMIT: Duration = Duration::from_secs(60);

    fn request(id: u64) -> Request {
        let (expected, mtime, executable, new, alone) = (None, None, None, false, false);
        let (path, conditions, consent) = (cleared("file"), Conditions::NONE, None);
        let publication =
            Publication { id, path, expected, mtime, executable, new, conditions, alone, consent };
        Request { upload: Upload::Small { content: Vec::new() }, publication }
    }

    #[test]
    fn a_batch_is_handed_over_when_the_committer_waits_and_requests_have_come_before() {
        let flushes = Flushes::new(10);
        assert!(matches!(flushes.push(Asker::server(), request(1)), Pushed::Queued));
        std::thread::scope(|scope| {
            let committer = scope.spawn(|| flushes.next_batch().map(|batch| batch.len()));
            assert!(
                matches!(flushes.next(true), Next::Add(_, Request { publication, .. }) if publication.id == 1)
            );
            assert!(matches!(flushes.next(true), Next::HandOver), "the committer waits");
            flushes.hand_over(Vec::new());
            assert_eq!(committer.join().unwrap(), Some(0));
        });
        flushes.close();
        assert!(matches!(flushes.next(true), Next::End));
        flushes.end();
        assert!(flushes.next_batch().is_none());
    }

    #[test]
    fn requests_are_unanswered_until_they_are_finished() {
        let flushes = Flushes::new(1);
        let later = || Instant::now() + LIMIT;
        assert!(flushes.is_idle() && !flushes.is_silent(LIMIT, later()));
        flushes.push(Asker::server(), request(1));
        assert!(matches!(flushes.push(Asker::server(), request(2)), Pushed::Refused(..)));
        assert!(!flushes.is_idle() && flushes.is_silent(LIMIT, later()), "the refused one is not waited for");
        assert!(flushes.try_next().is_some() && !flushes.is_idle(), "it is taken, not answered");
        flushes.finish(1);
        assert!(flushes.is_idle() && !flushes.is_silent(LIMIT, later()));
    }
}
