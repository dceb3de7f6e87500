//! What the system tells of a running process, and the signals to send it. Reads `/proc` only.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A process by its number. Its owner keeps it from being reaped while this is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    pub fn pid(self) -> u32 {
        self.pid
    }

    pub fn signal(self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process number");
        kill_process(pid, signal).expect("the process can be signalled");
    }

    /// How many descriptors it has open.
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd")).expect("the process runs").count()
    }

    /// What its descriptors are open on, such as `/srv/a.txt` or `socket:[4711]`.
    pub fn descriptor_targets(self) -> Vec<String> {
        let entries = fs::read_dir(self.path("fd")).expect("the process runs");
        entries
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect()
    }

    /// Resident memory now.
    pub fn resident_bytes(self) -> u64 {
        let status = fs::read_to_string(self.path("status")).expect("the process runs");
        field(&status, "VmRSS:") * 1024
    }

    /// Resident memory at its highest.
    pub fn peak_resident_bytes(self) -> u64 {
        let status = fs::read_to_string(self.path("status")).expect("the process runs");
        field(&status, "VmHWM:") * 1024
    }

    /// How often its threads went to sleep, and how often they were interrupted: the sum over all threads
    /// does not change while no thread runs.
    pub fn context_switches(self) -> u64 {
        let threads = fs::read_dir(self.path("task")).expect("the process runs");
        threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
            .map(|status| {
                field(&status, "\nvoluntary_ctxt_switches:") + field(&status, "\nnonvoluntary_ctxt_switches:")
            })
            .sum()
    }

    /// It was told to stop, and has.
    pub fn is_stopped(self) -> bool {
        let status = fs::read_to_string(self.path("status")).expect("the process runs");
        status.contains("\nState:\tT")
    }

    /// No thread of it runs, or wants to.
    pub fn is_asleep(self) -> bool {
        let threads = fs::read_dir(self.path("task")).expect("the process runs");
        let mut states =
            threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
        states.all(|status| status.contains("\nState:\tS"))
    }

    /// Processor time that it has used, in clock ticks.
    pub fn processor_ticks(self) -> u64 {
        let stat = fs::read_to_string(self.path("stat")).expect("the process runs");
        // The second field is the name, in parentheses, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let (user, system) = (fields[11], fields[12]);
        user.parse::<u64>().expect("a number") + system.parse::<u64>().expect("a number")
    }

    /// How long its first thread has run, and how long it has waited for a processor while it could have run.
    pub fn run_and_wait_times(self) -> (Duration, Duration) {
        let schedule = fs::read_to_string(self.path("schedstat")).expect("the process runs");
        let mut times =
            schedule.split_whitespace().map(|time| Duration::from_nanos(time.parse().unwrap_or(0)));
        (times.next().unwrap_or_default(), times.next().unwrap_or_default())
    }

    fn path(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.pid).into()
    }
}

fn field(status: &str, name: &str) -> u64 {
    let (_, rest) = status.split_once(name).unwrap_or_else(|| panic!("no {name} in the status"));
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
