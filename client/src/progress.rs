//! How far a transfer has come: a live bar where standard error is a terminal, and one last line.
//! Never shows a transfer as complete before [`Meter::finish`].

use crate::limits::{BAR_DELAY, BAR_TICK};
use crate::screen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Instant;

/// Follows one transfer. Dropped before its end, it takes the bar off the screen.
pub(crate) struct Meter {
    total_bytes: u64,
    moved_bytes: u64,
    started: Instant,
    is_terminal: bool,
    bar: Option<ProgressBar>,
}

impl Meter {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            moved_bytes: 0,
            started: Instant::now(),
            is_terminal: io::stderr().is_terminal(),
            bar: None,
        }
    }

    /// The transfer begins, or begins again, at this offset.
    pub(crate) fn rewind(&mut self, offset: u64) {
        self.moved_bytes = offset;
        self.show();
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes).min(self.total_bytes);
        self.show();
    }

    /// The receiving end has confirmed the whole: `Sent: 5 / 5`.
    pub(crate) fn finish(mut self, label: &str) {
        self.clear();
        screen::message(&final_line(label, self.total_bytes));
    }

    fn show(&mut self) {
        if !self.is_terminal || self.started.elapsed() < BAR_DELAY {
            return;
        }
        let (total, started) = (self.total_bytes, self.started);
        let bar = self.bar.get_or_insert_with(|| new_bar(total, started));
        bar.set_position(self.moved_bytes);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}

fn final_line(label: &str, total_bytes: u64) -> String {
    format!("{label}: {total_bytes} / {total_bytes}")
}

fn new_bar(total_bytes: u64, started: Instant) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{wide_bar} {percent_unconfirmed} of {total_bytes}  {bytes_per_sec}  {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .with_key("percent_unconfirmed", |state: &ProgressState, out: &mut dyn fmt::Write| {
        // The bar has no way to hear about it where its line cannot be formatted.
        let _ = write!(out, "{} %", percent_unconfirmed(state.pos(), state.len().unwrap_or(0)));
    });
    let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_elapsed(started.elapsed());
    bar.enable_steady_tick(BAR_TICK);
    bar
}

/// Rounded down, and never 100.
fn percent_unconfirmed(moved_bytes: u64, total_bytes: u64) -> u64 {
    let percent = u128::from(moved_bytes) * 100 / u128::from(total_bytes.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX).min(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_safe_at_their_edges() {
        assert_eq!(percent_unconfirmed(0, 0), 0);
        assert_eq!(percent_unconfirmed(1, 2), 50);
        assert_eq!(percent_unconfirmed(2, 2), 99);
        assert_eq!(percent_unconfirmed(u64::MAX, u64::MAX), 99);
        assert_eq!(percent_unconfirmed(u64::MAX, 0), 99);
    }

    #[test]
    fn the_last_line_is_the_documented_one() {
        assert_eq!(final_line("Sent", 271_296), "Sent: 271296 / 271296");
    }
}
