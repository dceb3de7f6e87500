//! Lines at the end of standard error that are drawn anew while a command runs, where that is a terminal; nothing elsewhere.

use crate::limits::{LIVE_DELAY, LIVE_INTERVAL};
use crate::terminal::screen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _};
use std::time::Instant;

/// See the module's documentation. Dropped, it takes its lines off the screen.
pub(crate) struct Live {
    started: Instant,
    is_terminal: bool,
    bar: Option<ProgressBar>,
    drawn_at: Option<Instant>,
}

/// What lines may take of the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Live {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, bar: None, drawn_at: None }
    }

    /// When the lines are to be drawn next; `None` where they never are.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = match self.drawn_at {
            Some(drawn_at) => drawn_at + LIVE_INTERVAL,
            None => self.started + LIVE_DELAY,
        };
        self.is_terminal.then_some(due)
    }

    /// Draws the lines where that is due, in the room that the terminal has now.
    pub(crate) fn draw(&mut self, now: Instant, lines: impl FnOnce(Room) -> Vec<String>) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.drawn_at = Some(now);
        let text = lines(Room::now()).join("\n");
        let bar = self.bar.get_or_insert_with(new_bar);
        bar.set_message(text);
        bar.tick();
    }

    /// Says something above the lines.
    pub(crate) fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| screen::notice(text)),
            None => screen::notice(text),
        }
    }

    /// Takes the lines off the screen; they come back when they are drawn again.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Room {
    /// Without the last column, behind which some terminals begin another line, and the line of the prompt.
    fn now() -> Self {
        let (columns, rows) = screen::size_of(io::stderr());
        Self { columns: columns.saturating_sub(1).max(1), rows: rows.saturating_sub(1).max(1) }
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
