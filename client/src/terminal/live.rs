//! Lines at the end of standard error that are drawn anew while a command runs, where that is a terminal; nothing elsewhere.
//! Of a command in the background they are not drawn; its status is noted instead.

use crate::limits::{LIVE_DELAY, LIVE_INTERVAL};
use crate::terminal::{console, screen};
use std::io::{self, IsTerminal as _};
use std::time::Instant;

/// See the module's documentation. Dropped, it takes its lines off the screen.
pub(crate) struct Live {
    started: Instant,
    is_terminal: bool,
    drawn_at: Option<Instant>,
}

/// What lines may take of the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// What a terminal shows of a key that sends a signal, such as `^C`.
const ECHO_COLUMNS: usize = 2;

impl Live {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, drawn_at: None }
    }

    /// When the lines are to be drawn next; `None` where they never are.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = match self.drawn_at {
            Some(drawn_at) => drawn_at + LIVE_INTERVAL,
            None => self.started + LIVE_DELAY,
        };
        (self.is_terminal || console::own().is_hidden()).then_some(due)
    }

    /// Draws the lines where that is due, in the room that the terminal has now, or notes the status.
    pub(crate) fn draw(
        &mut self,
        now: Instant,
        status: impl FnOnce() -> String,
        lines: impl FnOnce(Room) -> Vec<String>,
    ) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.drawn_at = Some(now);
        let console = console::own();
        if console.is_hidden() {
            console.set_status(status());
        } else {
            let (columns, rows) = screen::size_of(io::stderr());
            console.draw(&lines(Room::of(columns, rows)));
        }
    }

    /// Takes the lines off the screen; they come back when they are drawn again.
    pub(crate) fn clear(&mut self) {
        console::own().clear();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Room {
    /// Without the last columns: behind the very last one some terminals begin another line, and what is shown of Ctrl-C
    /// would do the same. Without one line for what is above.
    fn of(columns: usize, rows: usize) -> Self {
        Self { columns: columns.saturating_sub(ECHO_COLUMNS + 1).max(1), rows: rows.saturating_sub(1).max(1) }
    }
}
