//! What a command could not do, file by file, and why: told at its end.

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::limits::{TREE_COMPLAINTS_MAX, TREE_COMPLAINTS_SHOWN};
use crate::terminal::layout::grouped;
use ferry_common::wire::words;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    kept: Vec<Complaint>,
    left_out: u64,
    status: Option<ExitCode>,
}

/// Something that was not done.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// Fit to be shown.
    pub(crate) path: String,
    pub(crate) why: String,
}

impl Complaints {
    /// Something has failed; the first such decides the exit status.
    pub(crate) fn complain(&mut self, path: &[u8], why: String, status: ExitCode) {
        self.status.get_or_insert(status);
        self.note(path, why);
    }

    /// Something is left as it is, which is no failure.
    pub(crate) fn note(&mut self, path: &[u8], why: String) {
        if self.kept.len() < TREE_COMPLAINTS_MAX {
            self.kept.push(Complaint { path: words::display(path), why });
        } else {
            self.left_out += 1;
        }
    }

    /// Those that are kept, and how many more there are.
    pub(crate) fn kept(&self) -> (&[Complaint], u64) {
        (&self.kept, self.left_out)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> u64 {
        self.kept.len() as u64 + self.left_out
    }

    /// The failure of the command, where anything has failed.
    pub(crate) fn result(&self) -> Result<(), Failure> {
        match self.status {
            None => Ok(()),
            Some(status) => Err(Failure::Incomplete { status, not_moved: self.count() }),
        }
    }

    /// As [`Complaints::lines`], of what was done with all else.
    pub(crate) fn lines_of_done(&self, done: &str) -> Vec<String> {
        self.lines(&format!("{} not {done}", if self.count() == 1 { "was" } else { "were" }))
    }

    /// A line that tells how many there are, and one for each, but for some of too many.
    pub(crate) fn lines(&self, not_done: &str) -> Vec<String> {
        if self.count() == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!("{} {not_done}:", grouped(self.count()))];
        let shown = self.kept.iter().take(TREE_COMPLAINTS_SHOWN);
        lines.extend(shown.map(|Complaint { path, why }| format!("  {path}: {why}")));
        let rest = self.count().saturating_sub(TREE_COMPLAINTS_SHOWN as u64);
        if rest > 0 {
            lines.push(format!("  and {} more", grouped(rest)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_bound_to_what_is_kept_and_shown() {
        let mut complaints = Complaints::default();
        for at in 0..TREE_COMPLAINTS_MAX + 5 {
            complaints.complain(format!("{at}").as_bytes(), "no".to_owned(), ExitCode::Local);
        }
        assert_eq!(complaints.kept.len(), TREE_COMPLAINTS_MAX);
        let lines = complaints.lines("were not sent");
        assert_eq!(lines.len(), TREE_COMPLAINTS_SHOWN + 2);
        assert_eq!(lines[0], "1,005 were not sent:");
        assert_eq!(lines.last().unwrap(), "  and 985 more");
    }

    #[test]
    fn the_first_failure_decides_and_a_note_is_none() {
        let mut complaints = Complaints::default();
        complaints.note(b"link", "it is a symbolic link".to_owned());
        assert!(complaints.result().is_ok());
        complaints.complain(b"a", "no".to_owned(), ExitCode::Refused);
        complaints.complain(b"b", "no".to_owned(), ExitCode::Local);
        assert_eq!(complaints.result().unwrap_err().exit_code(), ExitCode::Refused);
    }
}
