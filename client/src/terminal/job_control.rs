//! Where this process stands in the job control of a shell.
//!
//! In a container a parent, session or process group can be outside of what the process sees. The kernel numbers all of
//! those 0, which nix hands on and rustix takes for a fault of the kernel.

use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid, tcgetpgrp};
use std::io;

const OUTSIDE: Pid = Pid::from_raw(0);

/// True where no shell of this terminal waits for the program: the kernel does not have Ctrl-Z stop it then, as nothing
/// would have it go on.
pub(super) fn is_orphaned() -> bool {
    let (own_session, own_group) = (getsid(None), getpgrp());
    let mut parent = Some(getppid()).filter(|&parent| parent != OUTSIDE);
    while let Some(pid) = parent {
        if own_session.is_err() || getsid(Some(pid)) != own_session {
            return true;
        }
        if getpgid(Some(pid)) != Ok(own_group) {
            return false;
        }
        parent = parent_of(pid);
    }
    true
}

/// Whether the process may change the settings of the terminal at standard input: another one that tries is stopped.
pub(super) fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(Pid::from_raw(parent.trim().parse().ok()?)).filter(|&parent| parent != OUTSIDE)
}
