//! Follows the transfer of one file: a live line while it moves, and one last line. Never shows a transfer as complete
//! before [`Meter::finish`].

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
    rate: Rate,
    live: Live,
}

impl Meter {
    /// A transfer that begins with so many bytes at the other end already.
    pub(crate) fn new(name: String, total_bytes: u64, moved_bytes: u64) -> Self {
        let rate = Rate::new(Instant::now(), moved_bytes);
        Self { name, total_bytes, moved_bytes, rate, live: Live::new() }
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
        let Self { name, total_bytes, moved_bytes, rate, live } = self;
        rate.note(now, *moved_bytes);
        live.draw(now, |room| {
            let going = if moved_bytes == total_bytes {
                Going::Ending
            } else {
                Going::at(rate.bytes_per_second(), rate.silent_for(now))
            };
            let (moved_bytes, total_bytes) = (*moved_bytes, *total_bytes);
            let progress = Progress { what: What::File(name.clone()), moved_bytes, total_bytes, going };
            vec![progress.line(room.columns)]
        });
        live.due()
    }

    /// Says something above the line, which comes back with the next pulse.
    pub(crate) fn tell(&mut self, text: &str) {
        self.live.tell(text);
    }

    /// The receiving end has confirmed the whole: `Sent: 5 / 5`.
    pub(crate) fn finish(mut self, label: &str) {
        self.live.clear();
        screen::message(&final_line(label, self.total_bytes));
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
