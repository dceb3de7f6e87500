//! The signals of this process. A thread waits for them and passes them on: Ctrl-C to the command in the foreground, what ends
//! the program to all commands that run. Ctrl-Z puts a transfer into the background, and stops the program as a whole
//! at other times.
//!
//! Never ends the program while a command runs, so that no temporary file is left behind.

use crate::exit_code::ExitCode;
use crate::terminal::interrupt::Interrupts;
use crate::terminal::job_control;
use crate::terminal::settings::Settings;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals as Iterator;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// What Ctrl-C means while no command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtRest {
    /// The prompt has its own way with it.
    Ignore,
    Exit,
}

/// See the module's documentation.
pub(crate) struct Signals {
    at_rest: AtRest,
    /// Where Ctrl-Z can stop the program at all: there is a shell that can have it go on.
    can_stop: bool,
    /// Read by the handler of Ctrl-Z: it is to stop the program.
    stops: Arc<AtomicBool>,
    state: Mutex<State>,
    /// Told when a command, or the prompt, has ended.
    quiet: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// How long a command may take.
    pub(super) time_limit: Option<Duration>,
    /// What ends the program. Commands that begin after it are to end at once.
    pub(super) ending: Option<i32>,
    /// Of the commands that run, in the foreground or not.
    pub(super) running: Vec<Arc<Interrupts>>,
    /// Of the command that Ctrl-C is for.
    front: Weak<Interrupts>,
    /// What Ctrl-Z does while a transfer is in the foreground.
    suspend: Option<Suspend>,
    is_prompting: bool,
    /// Of before the prompt, while there is one.
    terminal: Option<Settings>,
}

type Suspend = Box<dyn Fn() + Send>;

/// While it lives, a signal that ends the program puts the terminal back first.
pub(crate) struct Prompting<'a>(&'a Signals);

/// While it lives, Ctrl-C and Ctrl-Z are for one transfer.
pub(crate) struct InFront<'a> {
    signals: &'a Signals,
    before: Weak<Interrupts>,
}

impl Signals {
    /// Takes charge of the signals of this process, but for those that its parent had it ignore.
    pub(crate) fn install(at_rest: AtRest) -> io::Result<Arc<Self>> {
        let ending = [SIGINT, SIGTERM, SIGHUP];
        let mut wanted: Vec<i32> = ending.into_iter().filter(|&signal| !is_ignored(signal)).collect();
        let takes_suspension = at_rest == AtRest::Ignore && !is_ignored(SIGTSTP);
        let signals = Arc::new(Self::new(at_rest, takes_suspension && !job_control::is_orphaned()));
        if takes_suspension {
            // Within the handler: the program that sends the signal goes on only after this one was stopped.
            signal_hook::flag::register_conditional_default(SIGTSTP, Arc::clone(&signals.stops))?;
            wanted.push(SIGTSTP);
        }
        let mut come = Iterator::new(wanted)?;
        let shared = Arc::clone(&signals);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in &mut come {
                shared.handle(signal);
            }
        })?;
        Ok(signals)
    }

    pub(super) fn new(at_rest: AtRest, can_stop: bool) -> Self {
        let stops = Arc::new(AtomicBool::new(can_stop));
        Self { at_rest, can_stop, stops, state: Mutex::default(), quiet: Condvar::new() }
    }

    /// Gives each command that begins from now on so much time.
    pub(crate) fn limit_time(&self, limit: Option<Duration>) {
        self.lock().time_limit = limit;
    }

    /// Of a session whose commands are in the foreground from now on.
    pub(crate) fn interrupts(self: &Arc<Self>) -> Arc<Interrupts> {
        let interrupts = Arc::new(Interrupts::new(Arc::clone(self)));
        self.set_front(&interrupts);
        interrupts
    }

    /// From now on Ctrl-C is for the commands that have these.
    pub(crate) fn set_front(&self, interrupts: &Arc<Interrupts>) {
        self.lock().front = Arc::downgrade(interrupts);
    }

    /// Has Ctrl-C interrupt a transfer, and Ctrl-Z call `suspend`.
    pub(crate) fn bring_to_front(
        &self,
        interrupts: &Arc<Interrupts>,
        suspend: impl Fn() + Send + 'static,
    ) -> InFront<'_> {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.front, Arc::downgrade(interrupts));
        state.suspend = Some(Box::new(suspend));
        self.note_purpose(&state);
        InFront { signals: self, before }
    }

    /// To be called before the prompt changes the terminal. `None` where the program is to end instead.
    pub(crate) fn prompt(&self) -> Option<Prompting<'_>> {
        let mut state = self.lock();
        if state.ending.is_some() {
            return None;
        }
        state.is_prompting = true;
        state.terminal = Settings::current();
        self.note_purpose(&state);
        Some(Prompting(self))
    }

    /// The signal that the program is to end by.
    pub(crate) fn ending(&self) -> Option<i32> {
        self.lock().ending
    }

    /// What Ctrl-Z is for has changed.
    fn note_purpose(&self, state: &State) {
        let is_for_program = state.suspend.is_none() || state.is_prompting;
        self.stops.store(self.can_stop && is_for_program, Ordering::SeqCst);
    }

    fn handle(&self, signal: i32) {
        let state = self.lock();
        match signal {
            SIGINT => self.interrupt(&state),
            SIGTSTP => {
                if let Some(suspend) = state.suspend.as_ref().filter(|_| !state.is_prompting) {
                    suspend();
                }
            }
            _ => self.end(signal, state),
        }
    }

    fn interrupt(&self, state: &State) {
        let front = state.front.upgrade();
        match front.filter(|front| state.running.iter().any(|running| Arc::ptr_eq(running, front))) {
            Some(front) => front.take(SIGINT),
            None if self.at_rest == AtRest::Ignore => {}
            None => std::process::exit(ExitCode::Interrupted.number().into()),
        }
    }

    /// Where a command is in the foreground, its end is that of the program.
    fn end(&self, signal: i32, mut state: MutexGuard<'_, State>) {
        state.ending = Some(signal);
        state.running.iter().for_each(|running| running.take(signal));
        while state.is_prompting && !state.running.is_empty() {
            state = self.quiet.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.running.is_empty() {
            return;
        }
        if let Some(terminal) = &state.terminal {
            terminal.restore();
        }
        // The call cannot fail for the signals named above.
        let _ = emulate_default_handler(signal);
    }

    pub(super) fn note_end(&self, interrupts: &Arc<Interrupts>) {
        self.lock().running.retain(|running| !Arc::ptr_eq(running, interrupts));
        self.quiet.notify_all();
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Prompting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_prompting = false;
        state.terminal = None;
        self.0.note_purpose(&state);
        self.0.quiet.notify_all();
    }
}

impl Drop for InFront<'_> {
    fn drop(&mut self) {
        let mut state = self.signals.lock();
        state.front = self.before.clone();
        state.suspend = None;
        self.signals.note_purpose(&state);
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
    use std::sync::mpsc;

    #[test]
    fn control_c_is_for_the_command_in_front_and_the_end_for_all() {
        let signals = Arc::new(Signals::new(AtRest::Ignore, false));
        let (job, prompt) = (signals.interrupts(), signals.interrupts());
        let (of_job, of_prompt) = (job.begin(), prompt.begin());
        signals.handle(SIGINT);
        assert_eq!((job.signal(), prompt.signal()), (None, Some(SIGINT)));
        let (sender, suspended) = mpsc::channel();
        let in_front = signals.bring_to_front(&job, move || sender.send(()).unwrap());
        signals.handle(SIGINT);
        signals.handle(SIGTSTP);
        assert_eq!(job.signal(), Some(SIGINT));
        suspended.try_recv().unwrap();
        drop(in_front);
        signals.handle(SIGTSTP);
        assert!(suspended.try_recv().is_err());
        // Only what runs in the foreground ends the program.
        signals.handle(SIGTERM);
        assert!(job.is_terminating() && prompt.is_terminating());
        assert_eq!(signals.ending(), Some(SIGTERM));
        drop((of_job, of_prompt));
        let _late = prompt.begin();
        assert!(prompt.check().is_err(), "nothing is begun any more");
        assert!(signals.prompt().is_none());
    }

    #[test]
    fn control_z_stops_the_program_unless_a_transfer_is_in_front() {
        let signals = Arc::new(Signals::new(AtRest::Ignore, true));
        let stops = || signals.stops.load(Ordering::SeqCst);
        assert!(stops());
        let in_front = signals.bring_to_front(&signals.interrupts(), || {});
        assert!(!stops());
        let prompting = signals.prompt().unwrap();
        assert!(stops(), "while the transfer asks");
        drop(prompting);
        assert!(!stops());
        drop(in_front);
        assert!(stops());
        let signals = Signals::new(AtRest::Ignore, false);
        drop(signals.prompt());
        assert!(!signals.stops.load(Ordering::SeqCst), "nothing could have it go on");
    }
}
