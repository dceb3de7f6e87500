//! The settings of the terminal, which the prompt changes to read key by key. They must not stay changed,
//! whatever ends the program.

use crate::terminal::job_control;
use rustix::termios::{self, OptionalActions, QueueSelector, Termios};
use std::io::{self, Write};

/// Line editors have the terminal mark what is pasted; this ends that, and the line of the prompt.
const LEAVE_PROMPT: &str = "\x1b[?2004l\n";

/// The settings of the terminal at standard input.
#[derive(Debug)]
pub(crate) struct Settings(Termios);

impl Settings {
    /// As they are now; `None` where there is no terminal.
    pub(crate) fn current() -> Option<Self> {
        termios::tcgetattr(io::stdin()).ok().map(Self)
    }

    /// Puts the terminal back, where something has changed it since. An error says that it is gone.
    pub(crate) fn restore(&self) {
        let is_changed = Self::current().is_some_and(|current| current.0.local_modes != self.0.local_modes);
        // A process in the background that tries that is stopped instead of ended.
        if is_changed && job_control::is_in_foreground() {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
            let _ = io::stdout().write_all(LEAVE_PROMPT.as_bytes());
        }
    }
}

/// Drops what was typed and is not read yet. Where there is no terminal, there is nothing to drop.
pub(crate) fn drop_typed_ahead() {
    let _ = termios::tcflush(io::stdin(), QueueSelector::IFlush);
}
