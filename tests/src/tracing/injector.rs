//! Stops a process at each of its system calls, and there kills it or has the call fail, exactly once, at
//! exactly one call. Counts the calls of all threads together, which `strace` cannot.
//!
//! The process must be a child of the test. While it is traced only the injector may wait for it,
//! and tells how it ended.

use crate::process::Process;
use crate::wait::{WAIT_LIMIT, wait_at_most, wait_until};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A kind of system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    number: u64,
    on: On,
}

/// What a call that is for everything was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Its name says it.
    Itself,
    File,
    Socket,
    /// A pipe, an event counter, or such.
    Other,
}

/// One call of a run: the how manieth of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    pub call: Call,
    pub occurrence: usize,
}

/// What to do to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Only count.
    Watch,
    /// `kill -9` at the call, which is not made any more.
    Kill(Point),
    /// Have the call fail; it is not made.
    Fail(Point, Errno),
}

/// From where on calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Now,
    /// From the next program that the process becomes.
    AtExec,
}

/// A traced process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Injector {
    process: Process,
    state: Arc<Mutex<State>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    aim: Aim,
    counts: BTreeMap<Call, usize>,
    has_begun: bool,
    has_fired: bool,
    status: Option<i32>,
}

impl Injector {
    /// Traces every thread of a running process from now on.
    #[track_caller]
    pub fn attach(process: Process, aim: Aim) -> Self {
        Self::begin(process, aim, Start::Now)
    }

    /// Starts a program, traced from its first call on. The caller has the child for its streams only.
    #[track_caller]
    pub fn launch(command: &Command, aim: Aim) -> (Self, Child) {
        let mut shell = Command::new("sh");
        // It waits for the injector before it becomes the program.
        shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program());
        shell.args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = shell.spawn().expect("a shell can be started");
        let process = Process::new(child.id());
        wait_until("stop of the shell", || process.is_stopped());
        let injector = Self::begin(process, aim, Start::AtExec);
        // Tracing has set it going already; it may even have ended.
        let _ = kill(pid_of(process), Signal::SIGCONT);
        (injector, child)
    }

    #[track_caller]
    fn begin(process: Process, aim: Aim, start: Start) -> Self {
        let has_begun = start == Start::Now;
        let state = State { aim, counts: BTreeMap::new(), has_begun, has_fired: false, status: None };
        let state = Arc::new(Mutex::new(state));
        let (ready, attached) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let _ends_with_this = end;
            let leader = pid_of(process);
            let seized = seize_all(leader);
            Follower { leader, state: shared, failing: HashMap::new(), seized, ready: Some(ready) }.run();
        });
        let injector = Self { process, state, ended, thread: Some(thread) };
        // It may have come to its end at once.
        let is_late = attached.recv_timeout(WAIT_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
        assert!(!is_late, "the process cannot be traced");
        injector
    }

    /// Begins to count anew, with another aim.
    pub fn aim(&self, aim: Aim) {
        let mut state = lock(&self.state);
        state.aim = aim;
        state.counts.clear();
        state.has_fired = false;
    }

    pub fn has_fired(&self) -> bool {
        lock(&self.state).has_fired
    }

    /// How often each kind of call was made.
    pub fn counts(&self) -> BTreeMap<Call, usize> {
        lock(&self.state).counts.clone()
    }

    /// Waits for the end of the process; tells its status, which is `None` after a signal.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let is_over =
            matches!(self.ended.recv_timeout(WAIT_LIMIT), Err(mpsc::RecvTimeoutError::Disconnected));
        assert!(is_over, "the traced process did not end");
        lock(&self.state).status
    }

    /// Kills the process where it still runs, and waits for its end.
    #[track_caller]
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = kill(pid_of(self.process), Signal::SIGKILL);
        self.wait();
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !thread.is_finished() {
            let _ = kill(pid_of(self.process), Signal::SIGKILL);
        }
        // What it panicked with was shown already.
        let _ = wait_at_most(WAIT_LIMIT, || thread.is_finished().then_some(()));
    }
}

/// The thread that traces: the system takes requests from that alone.
struct Follower {
    leader: Pid,
    state: Arc<Mutex<State>>,
    /// Threads within a call that is to fail, and how.
    failing: HashMap<Pid, Errno>,
    /// Threads that have not stopped for the first time yet.
    seized: HashSet<Pid>,
    ready: Option<Sender<()>>,
}

impl Follower {
    fn run(mut self) {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(status) => self.handle(status),
                Err(Errno::EINTR) => {}
                // Nothing is left to be traced.
                Err(_) => return,
            }
        }
    }

    fn handle(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::PtraceSyscall(thread) => {
                // A thread that is gone needs nothing.
                let _ = self.handle_call(thread);
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                if event == libc::PTRACE_EVENT_EXEC {
                    lock(&self.state).has_begun = true;
                }
                self.seized.remove(&thread);
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::Stopped(thread, signal) => {
                let _ = ptrace::syscall(thread, Some(signal));
            }
            WaitStatus::Exited(thread, status) if thread == self.leader => {
                lock(&self.state).status = Some(status);
            }
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => {}
        }
        if self.seized.is_empty()
            && let Some(ready) = self.ready.take()
        {
            // Where the test has failed, the receiver is gone.
            let _ = ready.send(());
        }
    }

    fn handle_call(&mut self, thread: Pid) -> nix::Result<()> {
        let mut registers = ptrace::getregs(thread)?;
        if ptrace::syscall_info(thread)?.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            if let Some(errno) = self.failing.remove(&thread) {
                registers.rax = (-i64::from(errno as i32)).cast_unsigned();
                ptrace::setregs(thread, registers)?;
            }
            return Ok(());
        }
        let call = Call::of(self.leader, registers.orig_rax, registers.rdi);
        let mut state = lock(&self.state);
        if !state.has_begun {
            return Ok(());
        }
        let count = state.counts.entry(call).or_default();
        *count += 1;
        let here = Point { call, occurrence: *count };
        match state.aim {
            Aim::Kill(point) if point == here => {
                state.has_fired = true;
                kill(self.leader, Signal::SIGKILL)?;
            }
            Aim::Fail(point, errno) if point == here => {
                state.has_fired = true;
                // No call has this number, so none is made.
                registers.orig_rax = u64::MAX;
                ptrace::setregs(thread, registers)?;
                self.failing.insert(thread, errno);
            }
            Aim::Watch | Aim::Kill(_) | Aim::Fail(..) => {}
        }
        Ok(())
    }
}

/// Has all threads stop, and those traced that they will start.
fn seize_all(leader: Pid) -> HashSet<Pid> {
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    let mut seized = HashSet::new();
    loop {
        let tasks = fs::read_dir(format!("/proc/{leader}/task")).expect("the process runs");
        let names = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
        let new: Vec<Pid> = names.map(Pid::from_raw).filter(|thread| !seized.contains(thread)).collect();
        if new.is_empty() {
            return seized;
        }
        for thread in new {
            ptrace::seize(thread, options).expect("the process may be traced");
            ptrace::interrupt(thread).expect("a traced thread can be stopped");
            seized.insert(thread);
        }
    }
}

fn pid_of(process: Process) -> Pid {
    Pid::from_raw(i32::try_from(process.pid()).expect("a process number"))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the injector does not panic")
}

impl Call {
    fn of(process: Pid, number: u64, descriptor: u64) -> Self {
        let is_for_everything = [libc::SYS_read, libc::SYS_write].contains(&number.cast_signed());
        let on = if is_for_everything { On::of(process, descriptor) } else { On::Itself };
        Self { number, on }
    }

    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(number, _)| number.cast_unsigned() == self.number);
        found.map_or("another call", |&(_, name)| name)
    }

    pub fn on(self) -> On {
        self.on
    }
}

impl On {
    fn of(process: Pid, descriptor: u64) -> Self {
        let Ok(target) = fs::read_link(format!("/proc/{process}/fd/{descriptor}")) else {
            return Self::Other;
        };
        match target.to_string_lossy() {
            target if target.starts_with("socket:") => Self::Socket,
            target if target.starts_with('/') => Self::File,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.on) {
            ("another call", _) => write!(formatter, "call {}", self.number),
            (name, On::Itself) => write!(formatter, "{name}"),
            (name, On::File) => write!(formatter, "{name} of a file"),
            (name, On::Socket) => write!(formatter, "{name} of a socket"),
            (name, On::Other) => write!(formatter, "{name} of something else"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} number {}", self.call, self.occurrence)
    }
}

/// The same on every architecture but alpha; libc does not name it.
const SYS_CACHESTAT: i64 = 451;

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        &[$((nix::libc::$name, stringify!($name).split_at(4).1),)* (SYS_CACHESTAT, "cachestat")]
    };
}

const NAMES: &[(i64, &str)] = names![
    SYS_read,
    SYS_write,
    SYS_open,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_mmap,
    SYS_mprotect,
    SYS_munmap,
    SYS_brk,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_ioctl,
    SYS_pread64,
    SYS_pwrite64,
    SYS_writev,
    SYS_access,
    SYS_sched_yield,
    SYS_mremap,
    SYS_madvise,
    SYS_socket,
    SYS_connect,
    SYS_sendto,
    SYS_recvfrom,
    SYS_shutdown,
    SYS_bind,
    SYS_listen,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_clone,
    SYS_execve,
    SYS_exit,
    SYS_fcntl,
    SYS_flock,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_getcwd,
    SYS_rename,
    SYS_link,
    SYS_unlink,
    SYS_fchmod,
    SYS_fchown,
    SYS_fgetxattr,
    SYS_lgetxattr,
    SYS_flistxattr,
    SYS_fsetxattr,
    SYS_fremovexattr,
    SYS_getegid,
    SYS_umask,
    SYS_sigaltstack,
    SYS_statfs,
    SYS_fstatfs,
    SYS_prctl,
    SYS_arch_prctl,
    SYS_gettid,
    SYS_futex,
    SYS_sched_getaffinity,
    SYS_getdents64,
    SYS_set_tid_address,
    SYS_exit_group,
    SYS_epoll_ctl,
    SYS_epoll_wait,
    SYS_openat,
    SYS_mkdirat,
    SYS_newfstatat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_linkat,
    SYS_faccessat,
    SYS_ppoll,
    SYS_set_robust_list,
    SYS_utimensat,
    SYS_fallocate,
    SYS_accept4,
    SYS_eventfd2,
    SYS_epoll_create1,
    SYS_pipe2,
    SYS_prlimit64,
    SYS_syncfs,
    SYS_renameat2,
    SYS_getrandom,
    SYS_getrusage,
    SYS_statx,
    SYS_preadv2,
    SYS_rseq,
    SYS_clone3,
    SYS_openat2,
    SYS_faccessat2,
    SYS_sendfile,
    SYS_poll,
    SYS_fadvise64,
    SYS_fchmodat,
    SYS_geteuid,
    SYS_socketpair,
    SYS_restart_syscall,
    SYS_clock_nanosleep,
    SYS_sysinfo,
    SYS_uname,
    SYS_sendmmsg,
    SYS_readlink,
    SYS_copy_file_range,
];
