//! Which requests of an odd file system are answered, when, and with which error. Owns the requests that are
//! held back; never touches a file.

use super::passthrough::errno;
use crate::wait::WAIT_LIMIT;
use fuser::Errno;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often the callers of stalled requests are looked at, to see whether they are being killed.
const DYING_INTERVAL: Duration = Duration::from_millis(20);
/// Bit of SIGKILL in the masks of `/proc/PID/status`.
const KILL_BIT: u64 = 1 << 8;
/// `PF_EXITING` in the flags of `/proc/PID/stat`.
const EXITING_FLAG: u64 = 0x4;

/// A kind of request, as the kernel sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Every kind: a daemon that answers nothing.
    All,
    Lookup,
    Getattr,
    Setattr,
    Readlink,
    Mknod,
    Mkdir,
    Unlink,
    Rmdir,
    Symlink,
    Rename,
    Link,
    Open,
    Create,
    Read,
    Write,
    Flush,
    Release,
    Fsync,
    Opendir,
    Readdir,
    Releasedir,
    Fsyncdir,
    Statfs,
    Getxattr,
    Setxattr,
    Listxattr,
    Removexattr,
    /// Locks by `flock`, where they reach the daemon at all.
    Setlk,
    Fallocate,
}

/// One more than the last of [`Call`].
const CALLS: usize = Call::Fallocate as usize + 1;

/// What is done once it is decided whether the request is served or refused.
pub(super) type Finish = Box<dyn FnOnce(Result<(), Errno>) + Send>;

#[derive(Debug, Clone, Copy)]
enum Rule {
    Stall,
    Delay(Duration),
    Fail(Errno),
}

struct Parked {
    /// The thread that waits for the answer.
    caller: u32,
    finish: Finish,
}

#[derive(Default)]
struct State {
    /// The latest rule for a call comes last.
    rules: Vec<(Call, Rule)>,
    parked: Vec<Parked>,
    delayed: usize,
    is_closed: bool,
}

pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    counts: [AtomicU64; CALLS],
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Serves, refuses, delays or parks a request.
    pub(super) fn pass(self: &Arc<Self>, call: Call, caller: u32, finish: Finish) {
        self.counts[call as usize].fetch_add(1, Ordering::SeqCst);
        let mut state = self.lock();
        match state.rule_for(call) {
            None => {
                drop(state);
                finish(Ok(()));
            }
            Some(Rule::Fail(errno)) => {
                drop(state);
                finish(Err(errno));
            }
            Some(Rule::Stall) => {
                state.parked.push(Parked { caller, finish });
                self.changed.notify_all();
            }
            Some(Rule::Delay(time)) => {
                state.delayed += 1;
                drop(state);
                let gate = Arc::clone(self);
                std::thread::spawn(move || gate.finish_after(time, finish));
            }
        }
    }

    pub(super) fn stall(&self, call: Call) {
        self.set(call, Some(Rule::Stall));
    }

    pub(super) fn delay(&self, call: Call, time: Duration) {
        self.set(call, (!time.is_zero()).then_some(Rule::Delay(time)));
    }

    pub(super) fn fail(&self, call: Call, error: Option<rustix::io::Errno>) {
        self.set(call, error.map(|error| Rule::Fail(errno(error))));
    }

    /// Ends every stall and serves what was stalled.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.rules.retain(|(_, rule)| !matches!(rule, Rule::Stall));
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        parked.into_iter().for_each(|parked| (parked.finish)(Ok(())));
        self.changed.notify_all();
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().parked.len()
    }

    #[track_caller]
    pub(super) fn wait_until_waiting(&self, count: usize) {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), WAIT_LIMIT, |state| state.parked.len() < count)
            .expect("no holder of the lock panics");
        let waiting = state.parked.len();
        drop(state);
        assert!(waiting >= count, "{waiting} of {count} requests are stalled after {WAIT_LIMIT:?}");
    }

    pub(super) fn count(&self, call: Call) -> u64 {
        if call == Call::All {
            return self.counts.iter().map(|count| count.load(Ordering::SeqCst)).sum();
        }
        self.counts[call as usize].load(Ordering::SeqCst)
    }

    /// Serves everything from now on without delay, and waits for what was delayed.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.rules.clear();
        drop(state);
        self.changed.notify_all();
        self.release();
        drop(self.changed.wait_timeout_while(self.lock(), WAIT_LIMIT, |state| state.delayed > 0));
    }

    /// Answers the stalled requests of threads that are being killed with EINTR, until the gate is closed: a
    /// killed process would otherwise wait for the answer, and the test for the process.
    pub(super) fn interrupt_the_dying(&self) {
        let mut state = self.lock();
        while !state.is_closed {
            let (dying, living) = std::mem::take(&mut state.parked)
                .into_iter()
                .partition(|parked: &Parked| is_dying(parked.caller));
            state.parked = living;
            drop(state);
            let dying: Vec<Parked> = dying;
            dying.into_iter().for_each(|parked| (parked.finish)(Err(Errno::EINTR)));
            state = self.lock();
            state = if state.parked.is_empty() {
                let is_idle = |state: &mut State| state.parked.is_empty() && !state.is_closed;
                self.changed.wait_while(state, is_idle).expect("no holder of the lock panics")
            } else {
                self.changed.wait_timeout(state, DYING_INTERVAL).expect("no holder of the lock panics").0
            };
        }
    }

    fn finish_after(&self, time: Duration, finish: Finish) {
        let due = Instant::now() + time;
        let mut state = self.lock();
        while !state.is_closed && Instant::now() < due {
            let left = due.saturating_duration_since(Instant::now());
            (state, _) = self.changed.wait_timeout(state, left).expect("no holder of the lock panics");
        }
        drop(state);
        finish(Ok(()));
        self.lock().delayed -= 1;
        self.changed.notify_all();
    }

    fn set(&self, call: Call, rule: Option<Rule>) {
        let mut state = self.lock();
        state.rules.retain(|(other, _)| *other != call);
        state.rules.extend(rule.map(|rule| (call, rule)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }
}

impl State {
    fn rule_for(&self, call: Call) -> Option<Rule> {
        let matching = self.rules.iter().rev().find(|(other, _)| *other == call || *other == Call::All);
        matching.map(|(_, rule)| *rule)
    }
}

/// The thread has a SIGKILL pending, or is past it, or is gone. The kernel itself, which has no number, never
/// is.
fn is_dying(thread: u32) -> bool {
    if thread == 0 {
        return false;
    }
    let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { return true };
    let is_killed = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")))
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & KILL_BIT != 0);
    is_killed || is_exiting(thread)
}

fn is_exiting(thread: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{thread}/stat")) else { return true };
    // The second field is the name, in parentheses, and may hold anything; the flags are the ninth.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let flags = fields.split_whitespace().nth(6).and_then(|flags| flags.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & EXITING_FLAG != 0)
}
