//! What became of a transfer, as one line of JSON for programs.

use crate::mirror::complaints::{Complaint, Complaints};
use crate::mirror::summary::{Direction, Summary};
use crate::terminal::json;
use ferry_common::wire::words;
use serde::Serialize;
use std::time::Duration;

/// The keys are stable.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    direction: &'static str,
    /// Files that were moved, and how much that is.
    files: u64,
    bytes: u64,
    /// Files that were at the other end already.
    same: u64,
    /// Folders that were made.
    folders: u64,
    seconds: f64,
    /// Nothing is left to be done but for what was not moved.
    complete: bool,
    not_moved: Vec<NotMoved<'a>>,
    /// Further ones, for which there was no room.
    #[serde(skip_serializing_if = "is_zero")]
    not_moved_more: u64,
}

#[derive(Debug, Serialize)]
struct NotMoved<'a> {
    /// As Ferry shows it: in quotes and with escapes where that is needed.
    name: &'a str,
    why: &'a str,
}

/// What became of that which only the receiving end had.
#[derive(Serialize)]
struct Removal<'a> {
    removed: u64,
    complete: bool,
    not_removed: Vec<NotMoved<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    not_removed_more: u64,
}

/// What a dry run would do.
#[derive(Serialize)]
struct Would<'a> {
    would: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
}

impl<'a> Report<'a> {
    pub(crate) fn of(summary: &'a Summary, direction: Direction, complete: bool) -> Self {
        let (complaints, not_moved_more) = summary.complaints().kept();
        Self {
            files: summary.moved_files(),
            bytes: summary.bytes,
            same: summary.same_files,
            folders: summary.folders,
            complete,
            not_moved: told(complaints),
            not_moved_more,
            ..Self::of_file(direction, 0, summary.elapsed())
        }
    }

    /// Of one file, all of which was moved.
    pub(crate) fn of_file(direction: Direction, bytes: u64, elapsed: Duration) -> Self {
        let direction = match direction {
            Direction::Down => "down",
            Direction::Up => "up",
        };
        Self {
            direction,
            files: 1,
            bytes,
            same: 0,
            folders: 0,
            seconds: (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            complete: true,
            not_moved: Vec::new(),
            not_moved_more: 0,
        }
    }

    pub(crate) fn line(&self) -> String {
        json::line(self)
    }
}

/// What became of that which only the receiving end had.
pub(crate) fn removal(removed: u64, complete: bool, complaints: &Complaints) -> String {
    let (kept, not_removed_more) = complaints.kept();
    json::line(&Removal { removed, complete, not_removed: told(kept), not_removed_more })
}

fn told(complaints: &[Complaint]) -> Vec<NotMoved<'_>> {
    complaints.iter().map(|Complaint { path, why }| NotMoved { name: path, why }).collect()
}

/// What a dry run would do with a name, for a person or for a program.
pub(crate) fn would(json: bool, verb: &str, name: &[u8]) -> String {
    if !json {
        return format!("{verb} {}", words::display(name));
    }
    json::line(&Would { would: verb, name: &String::from_utf8_lossy(name), name_hex: json::name_hex(name) })
}

/// Serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;

    #[test]
    fn a_report_is_one_line_that_any_program_reads() {
        let mut summary = Summary::default();
        (summary.folders, summary.new_files, summary.changed_files, summary.bytes) = (2, 12, 3, 5);
        summary.complain(b"a \x1b", "no \"space\"".to_owned(), ExitCode::Refused);
        let report = Report { seconds: 0.5, ..Report::of(&summary, Direction::Up, true) };
        let line =
            r#"{"direction":"up","files":15,"bytes":5,"same":0,"folders":2,"seconds":0.5,"complete":true,"#;
        let not_moved = r#""not_moved":[{"name":"\"a \\x1b\"","why":"no \"space\""}]}"#;
        assert_eq!(report.line(), format!("{line}{not_moved}"));
        let report = Report::of_file(Direction::Down, 7, Duration::from_micros(1_234_567));
        let complaints = Complaints::default();
        assert_eq!(removal(3, true, &complaints), r#"{"removed":3,"complete":true,"not_removed":[]}"#);
        assert!(report.line().contains(r#""bytes":7"#) && report.line().contains(r#""seconds":1.235,"#));
    }

    #[test]
    fn a_plan_is_told_to_a_person_or_to_a_program() {
        assert_eq!(would(false, "upload", b"a b"), "upload \"a b\"");
        assert_eq!(
            would(true, "remove", b"a\xff"),
            "{\"would\":\"remove\",\"name\":\"a\u{fffd}\",\"name_hex\":\"61ff\"}"
        );
    }
}
