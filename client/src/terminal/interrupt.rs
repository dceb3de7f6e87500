//! What ends a command before its end: Ctrl-C, a signal that ends the program, and the time that the user gives it. A thread
//! waits for signals; it only records them and wakes the waits of the main thread, which decides what they mean.
//!
//! Never ends the program while a command runs, so that no temporary file is left behind.

use crate::failure::Failure;
use crate::terminal::settings::Settings;
use mio::Waker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What Ctrl-C means while no command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtRest {
    /// The prompt has its own way with it.
    Ignore,
    Exit,
}

/// Shared between the main thread and the one that waits for signals.
#[derive(Debug)]
pub(crate) struct Interrupts {
    at_rest: AtRest,
    state: Mutex<State>,
    /// Told when a signal has come, or what was done aside.
    come: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// What came since the command began. Termination outranks Ctrl-C.
    signal: Option<i32>,
    /// How many came since then.
    signals: u32,
    /// How long a command may take.
    time_limit: Option<Duration>,
    /// When that time is over for the command that runs.
    deadline: Option<Instant>,
    /// Of the polls that a signal ends.
    wakers: Vec<Weak<Waker>>,
    /// Of before the prompt, while there is one.
    terminal: Option<Settings>,
}

/// While it lives, a command runs.
pub(crate) struct Running<'a>(&'a Interrupts);

/// While it lives, a signal that ends the program puts the terminal back first.
pub(crate) struct Prompting<'a>(&'a Interrupts);

impl Interrupts {
    /// Takes charge of the signals of this process, but for those that its parent had it ignore.
    pub(crate) fn install(at_rest: AtRest) -> io::Result<Arc<Self>> {
        let interrupts = Arc::new(Self::new(at_rest));
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
        let mut signals = Signals::new(wanted)?;
        let shared = Arc::clone(&interrupts);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in &mut signals {
                shared.handle(signal);
            }
        })?;
        Ok(interrupts)
    }

    fn new(at_rest: AtRest) -> Self {
        Self { at_rest, state: Mutex::default(), come: Condvar::new() }
    }

    /// Gives each command that begins from now on so much time.
    pub(crate) fn limit_time(&self, limit: Option<Duration>) {
        self.lock().time_limit = limit;
    }

    /// Begins a command; signals of before are forgotten.
    pub(crate) fn begin(&self) -> Running<'_> {
        let mut state = self.lock();
        state.running = true;
        state.signal = None;
        state.signals = 0;
        state.deadline = state.time_limit.and_then(|limit| Instant::now().checked_add(limit));
        Running(self)
    }

    /// To be called before the prompt changes the terminal.
    pub(crate) fn prompt(&self) -> Prompting<'_> {
        self.lock().terminal = Settings::current();
        Prompting(self)
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
            // Taking the lock here prevents a lost wake-up: the waiter holds it from its check until it blocks.
            drop(shared.lock());
            shared.come.notify_all();
        });
        if let Err(error) = spawned {
            return Ok(Err(error));
        }
        let mut state = self.lock();
        loop {
            if let Ok(done) = receiver.try_recv() {
                return Ok(done);
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

    fn handle(&self, signal: i32) {
        let mut state = self.lock();
        if !state.running {
            match (signal, self.at_rest) {
                (SIGINT, AtRest::Ignore) => return,
                (SIGINT, AtRest::Exit) => {
                    std::process::exit(crate::exit_code::ExitCode::Interrupted.number().into())
                }
                (_, AtRest::Ignore | AtRest::Exit) => {
                    if let Some(terminal) = &state.terminal {
                        terminal.restore();
                    }
                    // The call cannot fail for the signals named above.
                    let _ = emulate_default_handler(signal);
                    return;
                }
            }
        }
        if signal != SIGINT || state.signal.is_none() {
            state.signal = Some(signal);
        }
        state.signals = state.signals.saturating_add(1);
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

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = false;
        state.deadline = None;
    }
}

impl Drop for Prompting<'_> {
    fn drop(&mut self) {
        self.0.lock().terminal = None;
    }
}

/// True where this process was started to survive the signal (`nohup`, `&` in a script).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};

    fn interrupts() -> Interrupts {
        Interrupts::new(AtRest::Ignore)
    }

    #[test]
    fn a_signal_wakes_a_poll_and_each_is_counted() {
        let interrupts = interrupts();
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
        interrupts.wake(&waker);
        let _running = interrupts.begin();
        for count in 1..=2 {
            thread::scope(|scope| {
                scope.spawn(|| interrupts.handle(SIGINT));
                let mut events = Events::with_capacity(1);
                poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
                assert!(!events.is_empty());
            });
            assert_eq!((interrupts.signal(), interrupts.signals()), (Some(SIGINT), count));
        }
        assert!(!interrupts.is_terminating());
        interrupts.handle(SIGTERM);
        interrupts.handle(SIGINT);
        assert!(interrupts.is_terminating(), "termination outranks Ctrl-C");
    }

    #[test]
    fn a_signal_ends_a_sleep() {
        let interrupts = interrupts();
        let _running = interrupts.begin();
        assert!(interrupts.sleep(Duration::from_millis(1)).is_ok());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| interrupts.sleep(Duration::from_secs(60)));
            interrupts.handle(SIGINT);
            assert!(matches!(sleeper.join().unwrap(), Err(Failure::Interrupted)));
        });
    }

    #[test]
    fn a_signal_ends_the_wait_for_what_is_done_aside() {
        let interrupts = Arc::new(interrupts());
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
            interrupts.handle(SIGINT);
            assert!(matches!(waiter.join().unwrap(), Err(Failure::Interrupted)));
        });
        drop(release);
    }

    #[test]
    fn a_command_has_so_much_time_and_the_next_one_as_much_again() {
        let interrupts = Arc::new(interrupts());
        interrupts.limit_time(Some(Duration::from_millis(20)));
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
        let interrupts = interrupts();
        let running = interrupts.begin();
        interrupts.handle(SIGTERM);
        interrupts.handle(SIGINT);
        assert_eq!(interrupts.signal(), Some(SIGTERM));
        assert!(interrupts.check().is_err());
        drop(running);
        let _running = interrupts.begin();
        assert!(interrupts.check().is_ok());
        assert_eq!((interrupts.signal(), interrupts.signals()), (None, 0));
    }
}
