//! What became of a tree, in words: how much was moved, and what was not and why.

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::mirror::complaints::Complaints;
use crate::terminal::layout::{amount_in, grouped, size};
use crate::terminal::screen;
use ferry_common::wire::words;
use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Summary {
    started: Instant,
    pub(crate) folders: u64,
    /// Files that only the sending end had.
    pub(crate) new_files: u64,
    /// Files that have replaced others.
    pub(crate) changed_files: u64,
    pub(crate) same_files: u64,
    pub(crate) bytes: u64,
    /// Files that went on from what an earlier run has left, and how much that was.
    pub(crate) resumed_files: u64,
    pub(crate) found_bytes: u64,
    complaints: Complaints,
    /// Files that belong to this user now, and belonged to others.
    pub(crate) changed_owners: Tally,
    /// Sentences about what was moved.
    remarks: Vec<String>,
}

/// Names of which one thing is to be told: how many, and the first.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: u64,
    first: Option<String>,
}

/// Which way files went, for the words of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Down,
    Up,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            folders: 0,
            new_files: 0,
            changed_files: 0,
            same_files: 0,
            bytes: 0,
            resumed_files: 0,
            found_bytes: 0,
            complaints: Complaints::default(),
            changed_owners: Tally::default(),
            remarks: Vec::new(),
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, name: &[u8]) {
        self.count += 1;
        self.first.get_or_insert_with(|| words::display(name));
    }

    /// `one` is said of a single name, `many` of their number.
    pub(crate) fn sentence(&self, one: &str, many: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(match self.count {
            1 => format!("{first} {one}"),
            count => format!("{} {many}, such as {first}", grouped(count)),
        })
    }
}

impl Summary {
    /// Something could not be moved; the first such decides the exit status.
    pub(crate) fn complain(&mut self, path: &[u8], why: String, status: ExitCode) {
        self.complaints.complain(path, why, status);
    }

    /// Something is not moved, which is no failure.
    pub(crate) fn note(&mut self, path: &[u8], why: String) {
        self.complaints.note(path, why);
    }

    /// What was moved is not quite what it was. One sentence for each kind of thing, however many there are.
    pub(crate) fn remark(&mut self, sentence: Option<String>) {
        self.remarks.extend(sentence);
    }

    /// What was not moved.
    pub(crate) fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn moved_files(&self) -> u64 {
        self.new_files + self.changed_files
    }

    /// Tells all of it, and the failure of the command where anything failed.
    pub(crate) fn tell(
        &self,
        direction: Direction,
        is_verified: bool,
        is_complete: bool,
    ) -> Result<(), Failure> {
        let elapsed = self.started.elapsed();
        let (moved, beside) = self.lines(direction, is_verified, is_complete, elapsed);
        screen::conclude(&moved, moved.join(", "));
        beside.iter().for_each(|line| screen::message(line));
        self.complaints.result()
    }

    /// A dry run: what would be done, and the failure of the command where anything would fail.
    pub(crate) fn tell_plan(&self) -> Result<(), Failure> {
        screen::message(&format!("{}; nothing was moved (-n)", self.counts()));
        self.complaints.lines("would not be moved").iter().for_each(|line| screen::message(line));
        self.complaints.result()
    }

    fn counts(&self) -> String {
        let mut parts = vec![format!("{} new", grouped(self.new_files))];
        if self.changed_files > 0 {
            parts.push(format!("{} changed", grouped(self.changed_files)));
        }
        if self.same_files > 0 {
            parts.push(format!("{} the same", grouped(self.same_files)));
        }
        parts.join(", ")
    }

    /// Of what was moved, and of what there is to say beside that.
    fn lines(
        &self,
        direction: Direction,
        is_verified: bool,
        is_complete: bool,
        elapsed: Duration,
    ) -> (Vec<String>, Vec<String>) {
        let done = match direction {
            Direction::Down => "received",
            Direction::Up => "sent",
        };
        let files = self.moved_files();
        let mut first = format!("{} {} {done}", grouped(files), if files == 1 { "file" } else { "files" });
        if self.folders > 0 {
            let noun = if self.folders == 1 { "folder" } else { "folders" };
            first.push_str(&format!(", {} {noun} made", grouped(self.folders)));
        }
        first.push_str(&format!(" ({})", self.counts()));
        let mut second = amount_in(self.bytes, elapsed);
        if is_verified && files > 0 {
            second.push_str(", all verified");
        }
        if !is_complete {
            second.push_str("; not complete: the same command goes on from here");
        }
        let mut lines = vec![first];
        if files > 0 || !is_complete {
            lines.push(second);
        }
        let mut beside = Vec::new();
        if self.resumed_files > 0 {
            let noun = if self.resumed_files == 1 { "file" } else { "files" };
            let (files, bytes) = (grouped(self.resumed_files), size(self.found_bytes));
            beside.push(format!("{bytes} of {files} {noun} were here already, from a run that broke off"));
        }
        beside.extend(self.changed_owners.sentence(
            "belonged to another user, and belongs to you now",
            "files belonged to other users, and belong to you now",
        ));
        beside.extend(self.remarks.iter().cloned());
        beside.extend(self.complaints.lines_of_done(done));
        (lines, beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_what_was_moved_and_what_was_not() {
        let mut summary = Summary { folders: 2, new_files: 12, changed_files: 3, ..Summary::default() };
        summary.same_files = 1189;
        summary.bytes = 84_200_000;
        summary.remark(Some("a could not have its time: denied".to_owned()));
        summary.note(b"link", "it is a symbolic link".to_owned());
        summary.complain(b"a b", "no space left".to_owned(), ExitCode::Refused);
        summary.complain(b"c", "cannot be read".to_owned(), ExitCode::Local);
        let (moved, beside) = summary.lines(Direction::Up, true, true, Duration::from_millis(1300));
        assert_eq!(
            [moved, beside].concat(),
            [
                "15 files sent, 2 folders made (12 new, 3 changed, 1,189 the same)",
                "84.2 MB in 1.3 s (64.8 MB/s), all verified",
                "a could not have its time: denied",
                "3 were not sent:",
                "  link: it is a symbolic link",
                "  \"a b\": no space left",
                "  c: cannot be read",
            ]
        );
    }

    #[test]
    fn what_is_to_be_told_of_many_names_is_one_sentence() {
        let mut summary = Summary::default();
        let told = |summary: &Summary| summary.lines(Direction::Down, true, true, Duration::ZERO).1;
        assert_eq!(told(&summary), Vec::<String>::new());
        summary.changed_owners.add(b"a b");
        assert_eq!(told(&summary), ["\"a b\" belonged to another user, and belongs to you now"]);
        summary.changed_owners.add(b"c");
        summary.resumed_files = 1;
        summary.found_bytes = 100_000_000;
        assert_eq!(
            told(&summary),
            [
                "100 MB of 1 file were here already, from a run that broke off",
                "2 files belonged to other users, and belong to you now, such as \"a b\"",
            ]
        );
    }
}
