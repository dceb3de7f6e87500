//! Signals: Ctrl-C stops what is running, termination also ends the program. A thread waits for them and
//! shuts down the socket that the main thread may be blocked in, so no call has to poll for anything.
//!
//! Never ends the program while a command runs, so that no temporary file is left behind.

use crate::terminal::settings::Settings;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use socket2::Socket;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// What Ctrl-C means while no command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtRest {
    /// The prompt has its own way with it.
    Ignore,
    Exit,
}

/// The two kinds of sockets that a command may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Control,
    /// Only while payload moves: shutting it down breaks off a transfer and keeps the session.
    Data,
}

/// The command was interrupted before it came to use the socket.
#[derive(Debug)]
pub(crate) struct Interrupted;

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
    control: Option<Arc<Socket>>,
    data: Option<Arc<Socket>>,
    /// Of before the prompt, while there is one.
    terminal: Option<Settings>,
}

/// While it lives, a command runs.
pub(crate) struct Running<'a>(&'a Interrupts);

/// While it lives, a signal that ends the program puts the terminal back first.
pub(crate) struct Prompting<'a>(&'a Interrupts);

/// While it lives, a signal shuts the socket down.
pub(crate) struct Watch<'a> {
    interrupts: &'a Interrupts,
    slot: Slot,
}

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

    /// Begins a command; signals of before are forgotten.
    pub(crate) fn begin(&self) -> Running<'_> {
        let mut state = self.lock();
        state.running = true;
        state.signal = None;
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

    /// Has a signal shut `socket` down as long as the result lives.
    pub(crate) fn watch(&self, slot: Slot, socket: &Arc<Socket>) -> Result<Watch<'_>, Interrupted> {
        let mut state = self.lock();
        if state.signal.is_some() {
            return Err(Interrupted);
        }
        *state.socket(slot) = Some(Arc::clone(socket));
        Ok(Watch { interrupts: self, slot })
    }

    /// Waits, but no longer than until a signal comes.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Interrupted> {
        let waited = self.come.wait_timeout_while(self.lock(), duration, |state| state.signal.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.signal.is_some() { Err(Interrupted) } else { Ok(()) }
    }

    /// Has a thread do what no signal can end, and waits for it, but no longer than until a signal comes. What
    /// is not waited for any more ends by itself, or with the program.
    pub(crate) fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<Result<T, Interrupted>> {
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::clone(self);
        thread::Builder::new().name("aside".to_owned()).spawn(move || {
            // The transfer that wanted it may be over.
            let _ = sender.send(work());
            // Taking the lock here prevents a lost wake-up: the waiter holds it from its check until it blocks.
            drop(shared.lock());
            shared.come.notify_all();
        })?;
        let mut done = None;
        let waited = self.come.wait_while(self.lock(), |state| {
            done = receiver.try_recv().ok();
            done.is_none() && state.signal.is_none()
        });
        drop(waited);
        done.map_or(Ok(Err(Interrupted)), |done| done.map(Ok))
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
        self.come.notify_all();
        let data = state.data.take();
        let keeps_session = signal == SIGINT && data.is_some();
        let control = if keeps_session { None } else { state.control.take() };
        for socket in data.into_iter().chain(control) {
            // An error says that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn socket(&mut self, slot: Slot) -> &mut Option<Arc<Socket>> {
        match slot {
            Slot::Control => &mut self.control,
            Slot::Data => &mut self.data,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running = false;
    }
}

impl Drop for Prompting<'_> {
    fn drop(&mut self) {
        self.0.lock().terminal = None;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.interrupts.lock().socket(self.slot) = None;
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
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    fn connected() -> (Arc<Socket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Arc::new(Socket::from(client)), listener.accept().unwrap().0)
    }

    fn interrupts() -> Interrupts {
        Interrupts::new(AtRest::Ignore)
    }

    #[test]
    fn ctrl_c_wakes_a_blocked_read_of_the_data_and_keeps_the_control() {
        let interrupts = interrupts();
        let ((control, mut control_peer), (data, _data_peer)) = (connected(), connected());
        let _running = interrupts.begin();
        let _control = interrupts.watch(Slot::Control, &control).ok().unwrap();
        let _data = interrupts.watch(Slot::Data, &data).ok().unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| (&*data).read(&mut [0; 8]).unwrap());
            interrupts.handle(SIGINT);
            assert_eq!(reader.join().unwrap(), 0);
        });
        assert_eq!(interrupts.signal(), Some(SIGINT));
        control_peer.set_nonblocking(true).unwrap();
        assert!(control_peer.read(&mut [0]).is_err(), "the control connection is still open");
        interrupts.handle(SIGINT);
        control_peer.set_nonblocking(false).unwrap();
        assert_eq!(control_peer.read(&mut [0]).unwrap(), 0, "the second Ctrl-C gives it up");
    }

    #[test]
    fn a_signal_ends_a_sleep() {
        let interrupts = interrupts();
        let _running = interrupts.begin();
        assert!(interrupts.sleep(Duration::from_millis(1)).is_ok());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| interrupts.sleep(Duration::from_secs(60)));
            interrupts.handle(SIGINT);
            assert!(sleeper.join().unwrap().is_err());
        });
    }

    #[test]
    fn a_signal_ends_the_wait_for_what_is_done_aside() {
        let interrupts = Arc::new(interrupts());
        let _running = interrupts.begin();
        assert_eq!(interrupts.aside(|| Ok(7)).unwrap().ok(), Some(7));
        assert!(interrupts.aside(|| Err::<(), _>(io::ErrorKind::NotFound.into())).is_err());
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
            assert!(waiter.join().unwrap().unwrap().is_err());
        });
        drop(release);
    }

    #[test]
    fn nothing_is_watched_after_an_interrupt_until_the_next_command() {
        let interrupts = interrupts();
        let (control, _peer) = connected();
        let running = interrupts.begin();
        interrupts.handle(SIGTERM);
        interrupts.handle(SIGINT);
        assert_eq!(interrupts.signal(), Some(SIGTERM));
        assert!(interrupts.watch(Slot::Control, &control).is_err());
        drop(running);
        let _running = interrupts.begin();
        assert!(interrupts.watch(Slot::Control, &control).is_ok());
        assert_eq!(interrupts.signal(), None);
    }
}
