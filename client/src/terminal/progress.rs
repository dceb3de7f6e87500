//! How far a command has come, as one line of text: the most important first, and as much as there is room for. Pure.

use crate::limits::{LIVE_BAR_COLUMNS_MAX, LIVE_BAR_COLUMNS_MIN, LIVE_SILENCE};
use crate::terminal::layout::{grouped, seconds, shortened, size, width};
use std::time::Duration;

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) what: What,
    pub(crate) moved_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) going: Going,
}

/// What is moved.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A file of this name, which is fit to be shown.
    File(String),
    /// So many files, of those that are known of.
    Files { done: u64, planned: u64 },
}

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    At {
        bytes_per_second: u64,
    },
    /// Nothing has moved for this time.
    Silent(Duration),
    /// Everything has moved, and the other end has not confirmed that.
    Ending,
    CutOff,
}

impl Going {
    /// Silence tells more than a rate that goes down.
    pub(crate) fn at(bytes_per_second: u64, silence: Duration) -> Self {
        if silence >= LIVE_SILENCE { Self::Silent(silence) } else { Self::At { bytes_per_second } }
    }
}

impl Progress {
    /// As it stands behind the command in a list: without the name of a file, and without a bar.
    pub(crate) fn status(&self) -> String {
        self.parts().join("  ").trim_start().to_owned()
    }

    /// What there is to tell, the most important first.
    fn parts(&self) -> Vec<String> {
        let percent = format!("{:3} %", percent_unconfirmed(self.moved_bytes, self.total_bytes));
        let amount = format!("{} of {}", size(self.moved_bytes), size(self.total_bytes));
        let count = match &self.what {
            What::File(_) => None,
            What::Files { done, planned } => {
                Some(format!("{} of {} files", grouped(*done), grouped(*planned)))
            }
        };
        let mut parts = vec![percent];
        match self.going {
            Going::At { bytes_per_second } => {
                parts.extend(count);
                parts.push(format!("{}/s", size(bytes_per_second)));
                let left_bytes = self.total_bytes.saturating_sub(self.moved_bytes);
                if let Some(left) = left_bytes.checked_div(bytes_per_second) {
                    parts.push(format!("{} left", seconds(Duration::from_secs(left))));
                }
            }
            Going::Silent(time) => {
                parts.push(format!("no data for {}", seconds(time)));
                parts.extend(count);
            }
            Going::Ending => parts.push("waiting for the server".to_owned()),
            Going::CutOff => parts.push("connection lost, trying again; Ctrl-C stops".to_owned()),
        }
        parts.push(amount);
        parts
    }

    pub(crate) fn line(&self, columns: usize) -> String {
        let head = match &self.what {
            What::File(name) => Some(name),
            What::Files { .. } => None,
        };
        let room = head.map_or(columns, |name| columns.saturating_sub(width(name).min(columns / 3) + 1));
        let mut parts = fit(self.parts(), room);
        let taken = parts.iter().map(|part| width(part) + GAP).sum::<usize>().saturating_sub(GAP);
        let left = match head {
            // What the rest leaves is the name's.
            Some(name) => columns.saturating_sub(taken + 1 + width(name)),
            None => columns - taken.min(columns),
        };
        if left >= LIVE_BAR_COLUMNS_MIN + GAP {
            parts.insert(parts.len().min(1), self.bar((left - GAP).min(LIVE_BAR_COLUMNS_MAX)));
        }
        let line = parts.join("  ");
        match head {
            Some(name) => {
                let name = shortened(name, columns.saturating_sub(width(&line) + 1));
                format!("{name} {line}")
            }
            None => line,
        }
    }

    fn bar(&self, columns: usize) -> String {
        let full = percent_unconfirmed(self.moved_bytes, self.total_bytes) as usize * columns / 100;
        "█".repeat(full) + &"░".repeat(columns - full)
    }
}

/// Between two parts.
const GAP: usize = 2;

/// As many of the parts as fit; the first are the most important.
fn fit(parts: Vec<String>, columns: usize) -> Vec<String> {
    let mut taken = 0;
    let mut fitting = Vec::new();
    for part in parts {
        let gap = if fitting.is_empty() { 0 } else { GAP };
        if taken + gap + width(&part) <= columns {
            taken += gap + width(&part);
            fitting.push(part);
        }
    }
    fitting
}

/// A file that moves, in a line of its own.
pub(crate) fn file_line(name: &str, moved_bytes: u64, total_bytes: u64, columns: usize) -> String {
    const PERCENT_COLUMNS: usize = 5;
    let room = columns.saturating_sub(PERCENT_COLUMNS + 4);
    let name = shortened(name, room);
    let gap = " ".repeat(room.saturating_sub(width(&name)) + 2);
    format!("  {name}{gap}{:3} %", percent_unconfirmed(moved_bytes, total_bytes))
}

/// Rounded down, and never 100.
fn percent_unconfirmed(moved_bytes: u64, total_bytes: u64) -> u64 {
    let percent = u128::from(moved_bytes) * 100 / u128::from(total_bytes.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX).min(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(what: What, going: Going) -> Progress {
        Progress { what, moved_bytes: 500_000_000, total_bytes: 894_000_000, going }
    }

    fn tree() -> What {
        What::Files { done: 461, planned: 1894 }
    }

    #[test]
    fn a_line_tells_the_most_important_first_and_fits() {
        let files = progress(tree(), Going::At { bytes_per_second: 100_000_000 });
        assert_eq!(
            files.line(79),
            " 55 %  ███████░░░░░░░  461 of 1,894 files  100 MB/s  3 s left  500 MB of 894 MB"
        );
        assert_eq!(files.line(39), " 55 %  461 of 1,894 files  100 MB/s");
        assert_eq!(files.line(10), " 55 %");
        let file = progress(What::File("movie.mkv".to_owned()), Going::At { bytes_per_second: 964_000 });
        assert_eq!(
            file.line(79),
            "movie.mkv  55 %  █████████░░░░░░░░  964 kB/s  6 min 48 s left  500 MB of 894 MB"
        );
        assert_eq!(file.line(39), "movie.mkv  55 %  ██████░░░░░░  964 kB/s");
    }

    #[test]
    fn no_line_is_wider_than_its_terminal() {
        let goings = [
            Going::At { bytes_per_second: u64::MAX },
            Going::At { bytes_per_second: 0 },
            Going::Silent(Duration::from_secs(12)),
            Going::Ending,
            Going::CutOff,
        ];
        for going in goings {
            for columns in 8..120 {
                let names = ["a", "日本語のファイル名.txt", &"long ".repeat(50)];
                let files = names.map(|name| What::File(name.to_owned()));
                for what in files.into_iter().chain([tree()]) {
                    let line = progress(what.clone(), going).line(columns);
                    assert!(width(&line) <= columns, "{line:?} in {columns} columns");
                }
                for name in names {
                    let line = file_line(name, 1, 2, columns.max(12));
                    assert_eq!(width(&line), columns.max(12), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn a_line_says_why_nothing_moves() {
        let going = Going::at(1000, Duration::from_secs(12));
        assert_eq!(progress(tree(), going).line(45), " 55 %  no data for 12 s  461 of 1,894 files");
        assert_eq!(Going::at(1000, Duration::from_secs(1)), Going::At { bytes_per_second: 1000 });
        assert!(
            progress(tree(), Going::CutOff)
                .line(60)
                .starts_with(" 55 %  connection lost, trying again; Ctrl-C")
        );
    }

    #[test]
    fn percentages_are_safe_at_their_edges() {
        assert_eq!(percent_unconfirmed(0, 0), 0);
        assert_eq!(percent_unconfirmed(1, 2), 50);
        assert_eq!(percent_unconfirmed(2, 2), 99);
        assert_eq!(percent_unconfirmed(u64::MAX, u64::MAX), 99);
        assert_eq!(percent_unconfirmed(u64::MAX, 0), 99);
    }
}
