//! The system calls of a running process, by `strace`. For the checks that are run apart from the tests,
//! since `strace` is not everywhere.

use crate::process::Process;
use crate::tracing::story::Story;
use crate::wait::WAIT_LIMIT;
use rustix::process::Signal;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;

/// An attached `strace`; it lets the process go when it is finished or dropped.
#[derive(Debug)]
pub struct Trace {
    strace: Child,
    output: NamedTempFile,
}

const UNFINISHED: &str = "<unfinished ...>";

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    /// Everything behind the name: arguments and, where it is known, the result.
    pub rest: String,
}

impl Trace {
    /// Traces every thread of a process from now on.
    #[track_caller]
    pub fn attach(process: Process) -> Self {
        Self::attach_with(process, &["-s", "64"])
    }

    /// The same, to be finished by [`Trace::story`].
    #[track_caller]
    pub fn attach_for_story(process: Process) -> Self {
        // Whole lines of replies, and the paths of descriptors.
        Self::attach_with(process, &["-y", "-s", "1000000"])
    }

    #[track_caller]
    fn attach_with(process: Process, arguments: &[&str]) -> Self {
        let output = NamedTempFile::new().expect("a temporary file");
        let mut strace = Command::new("strace")
            .args(arguments)
            .args(["-f", "-o"])
            .arg(output.path())
            .args(["-p", &process.pid().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace can be started");
        let mut first = String::new();
        let stderr = strace.stderr.take().expect("standard error is piped");
        let mut stderr = BufReader::new(stderr);
        stderr.read_line(&mut first).expect("strace speaks");
        assert!(first.contains("attached"), "strace says: {first}");
        // `strace` must never wait for its output to be read.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { strace, output }
    }

    /// Lets the process go and gives the calls that it made, in the order in which they began.
    #[track_caller]
    pub fn finish(self) -> Vec<Call> {
        calls_of(&self.text())
    }

    /// Lets the process go and tells what it wrote, flushed, renamed and answered.
    #[track_caller]
    pub fn story(self) -> Story {
        Story::parse(&self.text())
    }

    #[track_caller]
    fn text(mut self) -> String {
        Process::new(self.strace.id()).signal(Signal::INT);
        crate::server::wait_for_exit(&mut self.strace, WAIT_LIMIT);
        let text = std::fs::read(self.output.path()).expect("strace wrote its output");
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The calls that began while the trace ran. The first that is shown of a thread is the one that it waited
/// in when the trace began; where attaching has interrupted that, it is begun once more.
fn calls_of(text: &str) -> Vec<Call> {
    let mut known = HashSet::new();
    let mut awaited: HashMap<u32, String> = HashMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        if let Some((thread, rest)) = resumed(line) {
            // The arguments that the system fills in show only when a call ends.
            let begun = calls.iter_mut().rfind(|call| call.thread == thread);
            if let Some(call) = begun.filter(|call| call.rest.ends_with(UNFINISHED)) {
                call.rest.truncate(call.rest.len() - UNFINISHED.len());
                call.rest.push_str(rest);
            }
        } else if let Some(call) = Call::parse(line) {
            let is_waiting = call.rest.ends_with(UNFINISHED);
            // What it waits for is the first argument; the others may have changed before.
            let object = call.rest.split(',').next().unwrap_or_default().to_owned();
            if known.insert(call.thread) && is_waiting {
                awaited.insert(call.thread, object);
            } else if awaited.remove(&call.thread).is_none_or(|first| !is_waiting || first != object) {
                calls.push(call);
            }
        }
    }
    calls
}

/// The second half of a call that was interrupted by another thread's: `4711 <... close resumed>) = 0`.
fn resumed(line: &str) -> Option<(u32, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (_, rest) = rest.trim_start().strip_prefix("<... ")?.split_once(" resumed>")?;
    Some((thread.parse().ok()?, rest))
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It has ended already where it was finished.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

impl Call {
    /// Reads a line such as `4711 close(5) = 0`. Ends of calls that began earlier, calls that began before
    /// the trace, signals and exits are not calls.
    fn parse(line: &str) -> Option<Self> {
        let (thread, rest) = line.split_once(' ')?;
        let (name, rest) = rest.trim_start().split_once('(')?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || rest.contains("<detached ...>") {
            return None;
        }
        Some(Self { thread: thread.parse().ok()?, name: name.to_owned(), rest: rest.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_waits_since_before_is_no_call() {
        let text = "1 epoll_wait(3,  <unfinished ...>\n2 close(1) = 0\n1 close(2 <unfinished ...>\n";
        let names: Vec<u32> = calls_of(text).iter().map(|call| call.thread).collect();
        assert_eq!(names, [2, 1]);
    }

    #[test]
    fn a_wait_that_attaching_has_interrupted_is_no_call_but_the_next_is() {
        let once = "1 futex(7 <unfinished ...>\n1 <... futex resumed>) = 0\n1 futex(7 <unfinished ...>\n";
        assert_eq!(calls_of(once), []);
        let twice = format!("{once}1 <... futex resumed>) = 0\n1 futex(7 <unfinished ...>\n");
        assert_eq!(calls_of(&twice).len(), 1);
    }

    #[test]
    fn the_halves_of_a_call_are_put_together() {
        let text = "1 close(1) = 0\n1 preadv2(9,  <unfinished ...>\n2 close(2) = 0\n1 <... preadv2 resumed>[], RWF_NOWAIT) = 1\n";
        let calls = calls_of(text);
        assert_eq!(calls.len(), 3);
        assert_eq!(calls[1].rest, "9,  [], RWF_NOWAIT) = 1");
    }

    #[test]
    fn reads_what_strace_writes() {
        let call = Call::parse("4711  close(5)                = 0").unwrap();
        assert_eq!((call.thread, call.name.as_str()), (4711, "close"));
        assert!(Call::parse("1 epoll_wait(3,  <unfinished ...>").is_some());
        for line in [
            "1 <... epoll_wait resumed>[], 1024, -1) = 0",
            "1 epoll_wait(3,  <detached ...>",
            "1 --- SIGINT {si_signo=SIGINT} ---",
            "1 +++ exited with 0 +++",
            "",
        ] {
            assert_eq!(Call::parse(line), None, "{line}");
        }
    }
}
