//! How far a transfer has come: a live bar where standard error is a terminal, and one last line.
//! Never shows a transfer as complete before [`Meter::finish`].

use crate::limits::{BAR_DELAY, BAR_TICK};
use crate::terminal::screen;
use indicatif::{
    BinaryBytes, FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use std::fmt;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Follows one transfer. Dropped before its end, it takes the bar off the screen.
pub(crate) struct Meter {
    total_bytes: u64,
    moved_bytes: u64,
    /// Where and when it began, for its rate.
    begun_at_bytes: u64,
    started: Instant,
    is_terminal: bool,
    bar: Option<ProgressBar>,
}

impl Meter {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            moved_bytes: 0,
            begun_at_bytes: 0,
            started: Instant::now(),
            is_terminal: io::stderr().is_terminal(),
            bar: None,
        }
    }

    /// The transfer begins, or begins again, at this offset.
    pub(crate) fn rewind(&mut self, offset: u64) {
        self.clear();
        self.moved_bytes = offset;
        self.begun_at_bytes = offset;
        self.started = Instant::now();
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.reach(self.moved_bytes.saturating_add(bytes));
    }

    /// So much of the whole has moved.
    pub(crate) fn reach(&mut self, bytes: u64) {
        self.moved_bytes = bytes.min(self.total_bytes);
        self.show();
    }

    /// Shows the bar when it is time, whether anything moves or not. Tells by when to call again.
    pub(crate) fn pulse(&mut self) -> Option<Instant> {
        self.show();
        (self.is_terminal && self.bar.is_none()).then(|| self.started + BAR_DELAY)
    }

    /// Says something above the bar.
    pub(crate) fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| screen::notice(text)),
            None => screen::notice(text),
        }
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
        let (total, moved, begun_at) = (self.total_bytes, self.moved_bytes, self.begun_at_bytes);
        let started = self.started;
        let bar = self.bar.get_or_insert_with(|| new_bar(total, moved, begun_at, started));
        bar.set_position(moved);
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

fn new_bar(total_bytes: u64, moved_bytes: u64, begun_at_bytes: u64, started: Instant) -> ProgressBar {
    // The rate since the beginning: the bar comes late, so its own estimate would begin with a leap.
    let rate = move |state: &ProgressState| {
        state.pos().saturating_sub(begun_at_bytes) as f64 / started.elapsed().as_secs_f64().max(0.001)
    };
    let style = ProgressStyle::with_template(
        "{wide_bar} {percent_unconfirmed} of {total_bytes}  {rate}  {time_left} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .with_key("percent_unconfirmed", |state: &ProgressState, out: &mut dyn fmt::Write| {
        // The bar has no way to hear about it where its line cannot be formatted.
        let _ = write!(out, "{} %", percent_unconfirmed(state.pos(), state.len().unwrap_or(0)));
    })
    .with_key("rate", move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{}/s", BinaryBytes(rate(state) as u64));
    })
    .with_key("time_left", move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let left_bytes = total_bytes.saturating_sub(state.pos()) as f64;
        let left = Duration::try_from_secs_f64(left_bytes / rate(state).max(1.0)).unwrap_or(Duration::MAX);
        let _ = write!(out, "{}", FormattedDuration(Duration::from_secs(left.as_secs())));
    });
    let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_position(moved_bytes)
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
