//! Lines at the end of standard error that are drawn anew while a command runs, where that is a terminal; nothing elsewhere.

use crate::limits::{LIVE_DELAY, LIVE_INTERVAL};
use crate::terminal::layout::width;
use crate::terminal::screen;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

/// See the module's documentation. Dropped, it takes its lines off the screen.
pub(crate) struct Live {
    started: Instant,
    is_terminal: bool,
    drawn_at: Option<Instant>,
    /// The widths of the lines on the screen; the cursor is behind the last of them.
    drawn: Vec<usize>,
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
        Self { started: Instant::now(), is_terminal, drawn_at: None, drawn: Vec::new() }
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
        let (columns, rows) = screen::size_of(io::stderr());
        let lines = lines(Room::of(columns, rows));
        write(&(erasure(&self.drawn, columns) + &lines.join("\n")));
        self.drawn = lines.iter().map(|line| width(line)).collect();
    }

    /// Says something above the lines, which come back when they are drawn again.
    pub(crate) fn tell(&mut self, text: &str) {
        self.clear();
        screen::notice(text);
    }

    /// Takes the lines off the screen; they come back when they are drawn again.
    pub(crate) fn clear(&mut self) {
        if !self.drawn.is_empty() {
            write(&erasure(&self.drawn, screen::size_of(io::stderr()).0));
            self.drawn.clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Room {
    /// Without the last column, behind which some terminals begin another line, and one line for what is above.
    fn of(columns: usize, rows: usize) -> Self {
        Self { columns: columns.saturating_sub(1).max(1), rows: rows.saturating_sub(1).max(1) }
    }
}

/// All at once, so that nothing flickers. Where standard error is gone, there is nothing to see.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// What takes lines of these widths off a terminal of so many columns. One that has become narrower since they were drawn has
/// broken them into several.
fn erasure(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
    match rows {
        0 => String::new(),
        1 => "\r\x1b[J".to_owned(),
        _ => format!("\r\x1b[{}A\x1b[J", rows - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_erased_also_where_the_terminal_has_broken_its_lines() {
        assert_eq!(erasure(&[], 80), "");
        assert_eq!(erasure(&[0], 80), "\r\x1b[J");
        assert_eq!(erasure(&[79, 79, 20], 80), "\r\x1b[2A\x1b[J");
        assert_eq!(erasure(&[79, 79, 20], 40), "\r\x1b[4A\x1b[J");
    }
}
