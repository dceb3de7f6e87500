//! The display of a command that moves many files: what is done, how fast, what is left. One line where standard error is a
//! terminal, cut to its width; nothing elsewhere.

use crate::limits::{BAR_DELAY, BOARD_INTERVAL, BOARD_RATE_WINDOW, BOARD_SILENCE};
use crate::mirror::pool::Moved;
use crate::mirror::summary::{duration, grouped};
use crate::terminal::layout::size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

/// See the module's documentation.
pub(crate) struct Board {
    started: Instant,
    is_terminal: bool,
    bar: Option<ProgressBar>,
    drawn_at: Option<Instant>,
    planned_files: u64,
    planned_bytes: u64,
    done_files: u64,
    /// How much had moved when, over the last seconds.
    samples: VecDeque<(Instant, u64)>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            is_terminal: io::stderr().is_terminal(),
            bar: None,
            drawn_at: None,
            planned_files: 0,
            planned_bytes: 0,
            done_files: 0,
            samples: VecDeque::new(),
        }
    }

    /// One more file is to be moved.
    pub(crate) fn plan(&mut self, bytes: u64) {
        self.planned_files += 1;
        self.planned_bytes = self.planned_bytes.saturating_add(bytes);
    }

    /// One of them is at the other end.
    pub(crate) fn finish_file(&mut self) {
        self.done_files += 1;
    }

    pub(crate) fn show(&mut self, moved: Moved) {
        let now = Instant::now();
        let is_due = self.drawn_at.is_none_or(|drawn_at| now - drawn_at >= BOARD_INTERVAL);
        if !self.is_terminal || !is_due || now - self.started < BAR_DELAY {
            return;
        }
        self.drawn_at = Some(now);
        self.samples.push_back((now, moved.bytes));
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|&(at, _)| now - at > BOARD_RATE_WINDOW)
        {
            self.samples.pop_front();
        }
        let width = terminal_width();
        let line = self.line(moved, now, width);
        let bar = self.bar.get_or_insert_with(new_bar);
        bar.set_message(line);
        bar.tick();
    }

    /// Takes the display off the screen.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Of the last seconds, in bytes per second.
    fn rate(&self) -> u64 {
        let (Some(&(began, from)), Some(&(ended, to))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let seconds = (ended - began).as_secs_f64();
        if seconds > 0.0 { (to.saturating_sub(from) as f64 / seconds) as u64 } else { 0 }
    }

    fn line(&self, moved: Moved, now: Instant, width: usize) -> String {
        let percent =
            (moved.bytes.min(self.planned_bytes) * 100).checked_div(self.planned_bytes).unwrap_or(0);
        let silent = now.saturating_duration_since(moved.silent_since);
        let mut parts = vec![
            format!("{percent:3} %"),
            format!("{} of {} files", grouped(self.done_files), grouped(self.planned_files)),
        ];
        if moved.is_cut_off {
            parts.push("connection lost, trying again; Ctrl-C stops".to_owned());
        } else if silent >= BOARD_SILENCE {
            parts.push(format!("no data for {}", duration(Duration::from_secs(silent.as_secs()))));
        } else {
            let rate = self.rate();
            parts.push(format!("{}/s", size(rate)));
            let left = self.planned_bytes.saturating_sub(moved.bytes);
            if let Some(seconds) = left.checked_div(rate) {
                parts.push(format!("{} left", duration(Duration::from_secs(seconds))));
            }
            parts.push(format!("{} of {}", size(moved.bytes), size(self.planned_bytes)));
        }
        fit(&parts, width)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.clear();
    }
}

/// As many of the parts as fit; the first are the most important.
fn fit(parts: &[String], width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let room = width.saturating_sub(line.len());
        if line.is_empty() {
            line.extend(part.chars().take(room));
        } else if part.len() + 2 <= room {
            line.push_str("  ");
            line.push_str(part);
        }
    }
    line
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr())
        .map_or(80, |size| usize::from(size.ws_col).saturating_sub(1).max(1))
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> (Board, Instant) {
        let mut board = Board::new();
        for _ in 0..894 {
            board.plan(1_000_000);
        }
        board.done_files = 461;
        let now = Instant::now();
        board.samples.extend([(now - Duration::from_secs(2), 300_000_000), (now, 500_000_000)]);
        (board, now)
    }

    #[test]
    fn a_line_tells_the_most_important_first_and_fits() {
        let (board, now) = board();
        let moved = Moved { bytes: 500_000_000, silent_since: now, is_cut_off: false };
        assert_eq!(
            board.line(moved, now, 79),
            " 55 %  461 of 894 files  100 MB/s  3.0 s left  500 MB of 894 MB"
        );
        assert_eq!(board.line(moved, now, 40), " 55 %  461 of 894 files  100 MB/s");
        assert_eq!(board.line(moved, now, 10), " 55 %");
    }

    #[test]
    fn a_line_says_why_nothing_moves() {
        let (board, now) = board();
        let silent_since = now - Duration::from_secs(12);
        let moved = Moved { bytes: 0, silent_since, is_cut_off: false };
        assert_eq!(board.line(moved, now, 79), "  0 %  461 of 894 files  no data for 12.0 s");
        let moved = Moved { is_cut_off: true, ..moved };
        assert!(board.line(moved, now, 79).ends_with("connection lost, trying again; Ctrl-C stops"));
    }
}
