//! Follows the transfer of one file: a live line while it moves, and one last line. Never shows a transfer as complete
//! before [`Meter::finish`].

use crate::terminal::layout::amount_in;
use crate::terminal::live::Live;
use crate::terminal::progress::{Going, Progress, What};
use crate::terminal::rate::Rate;
use crate::terminal::screen;
use std::time::Instant;

/// See the module's documentation. Dropped before the end of the transfer, it takes the line off the screen.
pub(crate) struct Meter {
    /// Of the file, fit to be shown.
    name: String,
    total_bytes: u64,
    moved_bytes: u64,
    /// How much of it was there when it began.
    begun_at_bytes: u64,
    started: Instant,
    rate: Rate,
    live: Live,
}

impl Meter {
    /// A transfer that begins with so many bytes at the other end already.
    pub(crate) fn new(name: String, total_bytes: u64, moved_bytes: u64) -> Self {
        let started = Instant::now();
        let rate = Rate::new(started, moved_bytes);
        let begun_at_bytes = moved_bytes;
        Self { name, total_bytes, moved_bytes, begun_at_bytes, started, rate, live: Live::new() }
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.reach(self.moved_bytes.saturating_add(bytes));
    }

    /// So much of the whole has moved.
    pub(crate) fn reach(&mut self, bytes: u64) {
        self.moved_bytes = bytes.min(self.total_bytes);
    }

    /// Shows how it goes when it is time, whether anything moves or not. Tells by when to call again.
    pub(crate) fn pulse(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.rate.note(now, self.moved_bytes);
        let going = if self.moved_bytes == self.total_bytes {
            Going::Ending
        } else {
            Going::at(self.rate.bytes_per_second(), self.rate.silent_for(now))
        };
        let progress = || Progress {
            what: What::File(self.name.clone()),
            moved_bytes: self.moved_bytes,
            total_bytes: self.total_bytes,
            going,
        };
        self.live.draw(now, || progress().status(), |room| vec![progress().line(room.columns)]);
        self.live.due()
    }

    /// The receiving end has confirmed the whole: `Sent: 5 / 5`.
    pub(crate) fn finish(mut self, label: &str) {
        self.live.clear();
        let bytes = self.total_bytes.saturating_sub(self.begun_at_bytes);
        let in_short = amount_in(bytes, self.started.elapsed());
        screen::conclude(&[final_line(label, self.total_bytes)], in_short);
    }
}

fn final_line(label: &str, total_bytes: u64) -> String {
    format!("{label}: {total_bytes} / {total_bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_documented_one() {
        assert_eq!(final_line("Sent", 271_296), "Sent: 271296 / 271296");
    }
}
