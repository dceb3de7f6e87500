//! What ends a command before its end: Ctrl-C, a signal that ends the program, and the time that the user gives it. Only recorded
//! here, where it wakes the waits of the thread that the command runs on, which decides what it means.

use crate::failure::Failure;
use crate::terminal::signals::Signals;
use mio::Waker;
use signal_hook::consts::SIGINT;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Of one session, which runs one command at a time. Shared with the thread that waits for signals.
pub(crate) struct Interrupts {
    signals: Arc<Signals>,
    state: Mutex<State>,
    /// Told when a signal has come, or what was done aside.
    come: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What came since the command began. Termination outranks Ctrl-C.
    signal: Option<i32>,
    /// How many came since then.
    signals: u32,
    /// How long the command may take.
    time_limit: Option<Duration>,
    /// When that time is over.
    deadline: Option<Instant>,
    /// Of the polls that a signal ends.
    wakers: Vec<Weak<Waker>>,
}

/// While it lives, a command runs.
pub(crate) struct Running(Arc<Interrupts>);

impl Interrupts {
    pub(super) fn new(signals: Arc<Signals>) -> Self {
        Self { signals, state: Mutex::default(), come: Condvar::new() }
    }

    /// Without any signals of the process.
    #[cfg(test)]
    pub(crate) fn alone() -> Arc<Self> {
        Arc::new(Signals::new(crate::terminal::signals::AtRest::Ignore, false)).interrupts()
    }

    pub(crate) fn signals_of_process(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Begins a command; signals of before are forgotten, but for one that ends the program.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        let limit = self.signals.lock().time_limit;
        self.begin_for(limit)
    }

    /// Begins something that has so much time only.
    pub(crate) fn begin_within(self: &Arc<Self>, limit: Duration) -> Running {
        self.begin_for(Some(limit))
    }

    fn begin_for(self: &Arc<Self>, time_limit: Option<Duration>) -> Running {
        let mut signals = self.signals.lock();
        let mut state = self.lock();
        state.signal = signals.ending;
        state.signals = u32::from(signals.ending.is_some());
        state.time_limit = time_limit;
        state.deadline = time_limit.and_then(|limit| Instant::now().checked_add(limit));
        signals.running.push(Arc::clone(self));
        Running(Arc::clone(self))
    }

    /// The signal that came while the command ran.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.lock().signal
    }

    /// How many signals came while the command ran: the first Ctrl-C asks it to stop, the second not to wait for that.
    pub(crate) fn signals(&self) -> u32 {
        self.lock().signals
    }

    /// True where the program is to end, so that nothing is worth waiting for.
    pub(crate) fn is_terminating(&self) -> bool {
        self.signal().is_some_and(|signal| signal != SIGINT)
    }

    /// When the time of the command is over, where it has any bound.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    /// Fails where the command is to end before its end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.lock().check()
    }

    /// Has each signal wake a poll, as long as its waker lives.
    pub(crate) fn wake(&self, waker: &Arc<Waker>) {
        let mut state = self.lock();
        state.wakers.retain(|waker| waker.strong_count() > 0);
        state.wakers.push(Arc::downgrade(waker));
    }

    /// Waits, but no longer than until the command is to end.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        let state = self.lock();
        let left = state.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let duration = left.map_or(duration, |left| left.min(duration));
        let waited = self.come.wait_timeout_while(state, duration, |state| state.signal.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.check()
    }

    /// Has a thread do what nothing can end, and waits for it, but no longer than until the command is to end. What
    /// is not waited for any more ends by itself, or with the program.
    pub(crate) fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<io::Result<T>, Failure> {
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name("aside".to_owned()).spawn(move || {
            // The command that wanted it may be over.
            let _ = sender.send(work());
            shared.wake_waits();
        });
        match spawned {
            Ok(_) => self.receive(&receiver),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Waits for something from another thread, which calls [`Interrupts::wake_waits`] behind it, but no longer than until the
    /// command is to end.
    pub(crate) fn receive<T>(&self, receiver: &Receiver<T>) -> Result<T, Failure> {
        let mut state = self.lock();
        loop {
            if let Ok(come) = receiver.try_recv() {
                return Ok(come);
            }
            state.check()?;
            state = match state.deadline {
                None => self.come.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.come.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Has all that waits for the command look around.
    pub(crate) fn wake_waits(&self) {
        // Under the lock, which prevents a lost wake-up: what waits holds it from its check until it blocks.
        self.wake_all(&self.lock());
    }

    /// Records a signal, as if it had come from outside.
    pub(crate) fn take(&self, signal: i32) {
        let mut state = self.lock();
        if signal != SIGINT || state.signal.is_none() {
            state.signal = Some(signal);
        }
        state.signals = state.signals.saturating_add(1);
        self.wake_all(&state);
    }

    fn wake_all(&self, state: &State) {
        self.come.notify_all();
        for waker in state.wakers.iter().filter_map(Weak::upgrade) {
            // A poll that cannot be woken looks at the next of its deadlines.
            let _ = waker.wake();
        }
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), Failure> {
        if self.signal.is_some() {
            return Err(Failure::Interrupted);
        }
        match (self.deadline, self.time_limit) {
            (Some(deadline), Some(limit)) if deadline <= Instant::now() => {
                Err(Failure::ConnectionLost(format!("Not done within {} s (--timeout)", limit.as_secs())))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().deadline = None;
        self.0.signals.note_end(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use signal_hook::consts::SIGTERM;

    #[test]
    fn a_signal_wakes_a_poll_and_each_is_counted() {
        let interrupts = Interrupts::alone();
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
        interrupts.wake(&waker);
        let _running = interrupts.begin();
        for count in 1..=2 {
            thread::scope(|scope| {
                scope.spawn(|| interrupts.take(SIGINT));
                let mut events = Events::with_capacity(1);
                poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
                assert!(!events.is_empty());
            });
            assert_eq!((interrupts.signal(), interrupts.signals()), (Some(SIGINT), count));
        }
        assert!(!interrupts.is_terminating());
        interrupts.take(SIGTERM);
        interrupts.take(SIGINT);
        assert!(interrupts.is_terminating(), "termination outranks Ctrl-C");
    }

    #[test]
    fn a_signal_ends_a_sleep() {
        let interrupts = Interrupts::alone();
        let _running = interrupts.begin();
        assert!(interrupts.sleep(Duration::from_millis(1)).is_ok());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| interrupts.sleep(Duration::from_secs(60)));
            interrupts.take(SIGINT);
            assert!(matches!(sleeper.join().unwrap(), Err(Failure::Interrupted)));
        });
    }

    #[test]
    fn a_signal_ends_the_wait_for_what_is_done_aside() {
        let interrupts = Interrupts::alone();
        let _running = interrupts.begin();
        assert_eq!(interrupts.aside(|| Ok(7)).unwrap().ok(), Some(7));
        assert!(interrupts.aside(|| Err::<(), _>(io::ErrorKind::NotFound.into())).unwrap().is_err());
        let (release, held) = mpsc::channel::<()>();
        let (begun, when_begun) = mpsc::channel();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                interrupts.aside(move || {
                    begun.send(()).unwrap();
                    Ok(held.recv())
                })
            });
            when_begun.recv().unwrap();
            interrupts.take(SIGINT);
            assert!(matches!(waiter.join().unwrap(), Err(Failure::Interrupted)));
        });
        drop(release);
    }

    #[test]
    fn a_command_has_so_much_time_and_the_next_one_as_much_again() {
        let interrupts = Interrupts::alone();
        interrupts.signals.limit_time(Some(Duration::from_millis(20)));
        for _ in 0..2 {
            let _running = interrupts.begin();
            let waited = interrupts.sleep(Duration::from_secs(60));
            assert!(matches!(waited, Err(Failure::ConnectionLost(_))), "{waited:?}");
            let (_release, held) = mpsc::channel::<()>();
            let done = interrupts.aside(move || Ok(held.recv()));
            assert!(matches!(done, Err(Failure::ConnectionLost(_))), "{done:?}");
        }
        assert!(interrupts.check().is_ok(), "between commands there is no hurry");
    }

    #[test]
    fn a_command_that_was_interrupted_stays_so_until_the_next_one() {
        let interrupts = Interrupts::alone();
        let running = interrupts.begin();
        interrupts.take(SIGTERM);
        interrupts.take(SIGINT);
        assert_eq!(interrupts.signal(), Some(SIGTERM));
        assert!(interrupts.check().is_err());
        drop(running);
        let _running = interrupts.begin();
        assert!(interrupts.check().is_ok());
        assert_eq!((interrupts.signal(), interrupts.signals()), (None, 0));
    }
}
