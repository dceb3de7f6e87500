//! Where the lines of a command go. In the foreground that is the terminal, where they come above what is drawn anew at its end.
//! In the background a command never writes there: its lines are held, as many as there is room for, until it is brought
//! back or has ended.
//!
//! A thread has a console as it has a standard output; the one of the main thread is always in the foreground.

use crate::limits::CONSOLE_HELD_LINES_MAX;
use crate::terminal::drawn::Drawn;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module's documentation. Shared between the thread of a command and the main thread.
#[derive(Default)]
pub(crate) struct Console(Mutex<State>);

#[derive(Default)]
struct State {
    is_hidden: bool,
    /// What is drawn anew at the end of the terminal.
    live: Drawn,
    held: VecDeque<String>,
    /// Lines of before those, which there was no room for.
    left_out: u64,
    /// How it goes, in a few words.
    status: Option<String>,
    /// What it has come to, in a few words.
    conclusion: Option<String>,
}

/// What a command in the background has to tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    pub(crate) conclusion: Option<String>,
    pub(crate) lines: Vec<String>,
}

thread_local! {
    static OWN: RefCell<Arc<Console>> = RefCell::default();
}

/// Gives this thread another console.
pub(crate) fn adopt(console: Arc<Console>) {
    OWN.with(|own| own.replace(console));
}

/// The console of this thread.
pub(crate) fn own() -> Arc<Console> {
    OWN.with(|own| Arc::clone(&own.borrow()))
}

impl Console {
    /// Shows a line as the person's, or holds it.
    pub(crate) fn tell(&self, line: &str) {
        let mut state = self.lock();
        if state.is_hidden {
            state.hold(line);
        } else {
            state.write(line);
        }
    }

    /// Shows a line, where the command is in the foreground.
    pub(crate) fn tell_in_front(&self, line: &str) {
        let mut state = self.lock();
        if !state.is_hidden {
            state.write(line);
        }
    }

    /// Shows a line that says how a command goes; in the background it is its status until the next one.
    pub(crate) fn tell_course(&self, line: &str) {
        let mut state = self.lock();
        if state.is_hidden {
            state.status = Some(line.to_owned());
        } else {
            state.write(line);
        }
    }

    /// Shows what a command has come to; in the background in other words.
    pub(crate) fn conclude(&self, lines: &[String], in_short: String) {
        let mut state = self.lock();
        if state.is_hidden {
            state.conclusion = Some(in_short);
        } else {
            lines.iter().for_each(|line| state.write(line));
        }
    }

    /// Writes whole lines of results to standard output, or holds them.
    pub(crate) fn put(&self, text: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if !state.is_hidden {
            state.live.erase();
            return io::stdout().write_all(text);
        }
        String::from_utf8_lossy(text).lines().for_each(|line| state.hold(line));
        Ok(())
    }

    /// Draws lines at the end of the terminal in place of those of before, where the command is in the foreground.
    pub(crate) fn draw(&self, lines: &[String]) {
        let mut state = self.lock();
        if !state.is_hidden {
            state.live.replace(lines);
        }
    }

    /// What is drawn, or noted, is over.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Notes how the command goes.
    pub(crate) fn set_status(&self, status: String) {
        self.lock().status = Some(status);
    }

    /// How the command goes, or else what it has said last.
    pub(crate) fn status(&self) -> Option<String> {
        let state = self.lock();
        state.status.as_ref().or(state.held.back()).cloned()
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.lock().is_hidden
    }

    /// Puts the command into the background: the terminal is free from now on.
    pub(crate) fn hide(&self) {
        let mut state = self.lock();
        state.clear();
        state.is_hidden = true;
    }

    /// Brings the command back, and shows what was held.
    pub(crate) fn reveal(&self) {
        let mut state = self.lock();
        state.is_hidden = false;
        state.take_lines().iter().for_each(|line| state.write(line));
    }

    /// What there is to tell of a command that has ended in the background.
    pub(crate) fn take_story(&self) -> Story {
        let mut state = self.lock();
        Story { conclusion: state.conclusion.take(), lines: state.take_lines() }
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is drawn makes way until it is drawn again.
    fn write(&mut self, line: &str) {
        self.live.erase();
        // Where standard error is gone, the failure cannot be told.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    fn hold(&mut self, line: &str) {
        if self.held.len() == CONSOLE_HELD_LINES_MAX {
            self.held.pop_front();
            self.left_out += 1;
        }
        self.held.push_back(line.to_owned());
    }

    fn take_lines(&mut self) -> Vec<String> {
        let left_out = std::mem::take(&mut self.left_out);
        let before = (left_out > 0).then(|| format!("({left_out} lines before these are left out)"));
        before.into_iter().chain(self.held.drain(..)).collect()
    }

    fn clear(&mut self) {
        self.status = None;
        self.live.erase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_background_lines_are_held_up_to_a_bound() {
        let console = Console::default();
        console.hide();
        for number in 0..CONSOLE_HELD_LINES_MAX + 2 {
            console.tell(&format!("line {number}"));
        }
        console.tell_course("half of it");
        assert_eq!(console.status().unwrap(), "half of it");
        console.conclude(&["all of it, at length".to_owned()], "all of it".to_owned());
        let story = console.take_story();
        assert_eq!(story.conclusion.unwrap(), "all of it");
        assert_eq!(story.lines[..2], ["(2 lines before these are left out)", "line 2"]);
        assert_eq!(story.lines.len(), CONSOLE_HELD_LINES_MAX + 1);
        assert_eq!(console.take_story(), Story::default());
    }

    #[test]
    fn results_are_held_line_by_line() {
        let console = Console::default();
        console.hide();
        console.put(b"a\nb \xff\n").unwrap();
        assert_eq!(console.take_story().lines, ["a", "b \u{fffd}"]);
        assert_eq!(console.status(), None);
    }
}
