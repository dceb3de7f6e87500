//! The two streams that a person or a script sees: results on standard output, messages on standard
//! error. Never panics when they are closed; never passes a control character of the server on. What a transfer in
//! the background says does not come there, but to its [`console`].

use crate::failure::Failure;
use crate::limits::{MESSAGE_MAX_CHARS, RESULTS_BUFFER_BYTES};
use crate::terminal::console;
use rustix::termios;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::os::fd::AsFd;

/// Of a terminal that does not tell, and of files.
const ORDINARY_COLUMNS: usize = 80;
const ORDINARY_ROWS: usize = 24;

/// A line for the person at the terminal. Text of others in it must have been escaped.
pub(crate) fn message(text: &str) {
    console::own().tell(&clip(text));
}

/// A line about the course of a transfer, as it is documented. What matters of it in the background is told by
/// [`conclude`].
pub(crate) fn step(text: &str) {
    console::own().tell_in_front(&clip(text));
}

/// What a transfer has come to: these lines, or so much of them for one in the background.
pub(crate) fn conclude(lines: &[String], in_short: String) {
    console::own().conclude(lines, in_short);
}

/// A line that says how a transfer goes, and tells nothing more once that has ended.
pub(crate) fn course(text: &str) {
    console::own().tell_course(&clip(text));
}

/// A line for a person at a terminal: elsewhere scripts see what is documented, and nothing else.
pub(crate) fn notice(text: &str) {
    if io::stderr().is_terminal() {
        course(text);
    }
}

pub(crate) fn failure(failure: &Failure) {
    if !failure.is_silent() {
        message(&failure.to_string());
    }
}

/// The columns and rows of the terminal that shows the results; `None` where they go elsewhere.
pub(crate) fn size() -> Option<(usize, usize)> {
    io::stdout().is_terminal().then(|| size_of(io::stdout()))
}

/// The columns and rows of a terminal, or what is ordinary where it does not tell.
pub(crate) fn size_of(terminal: impl AsFd) -> (usize, usize) {
    let size = termios::tcgetwinsize(terminal);
    let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or = |told: u16, ordinary| if told == 0 { ordinary } else { usize::from(told) };
    (or(columns, ORDINARY_COLUMNS), or(rows, ORDINARY_ROWS))
}

/// Empties the terminal, and what was rolled out of it.
pub(crate) fn clear() -> Result<(), Failure> {
    if size().is_none() {
        return Ok(());
    }
    let mut stdout = io::stdout();
    stdout.write_all(b"\x1b[H\x1b[2J\x1b[3J").and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// What text is to be laid out for.
pub(crate) fn columns() -> usize {
    size().map_or(ORDINARY_COLUMNS, |(columns, _)| columns)
}

/// Lines of results, buffered: call [`Results::finish`].
pub(crate) struct Results(Vec<u8>);

impl Results {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
        if self.0.len() < RESULTS_BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        io::stdout().flush().map_err(Failure::Output)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        console::own().put(&mem::take(&mut self.0)).map_err(Failure::Output)
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        // What was found before a failure, which is told.
        let _ = self.flush();
    }
}

/// A server may send long messages, and each byte of a name may have become an escape of four characters. The
/// middle goes: names stand there, and the reason behind them.
fn clip(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= MESSAGE_MAX_CHARS {
        return text.to_owned();
    }
    let kept = MESSAGE_MAX_CHARS / 2;
    let (head, tail) = (&characters[..kept], &characters[characters.len() - kept..]);
    format!("{}...{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_clipped_between_characters_and_keep_their_end() {
        assert_eq!(clip("short"), "short");
        let half = "ü".repeat(MESSAGE_MAX_CHARS / 2);
        assert_eq!(clip(&format!("{half}and so on{half}")), format!("{half}...{half}"));
    }
}
