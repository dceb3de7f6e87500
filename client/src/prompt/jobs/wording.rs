//! What is said of transfers in the background. Pure.

use crate::failure::Failure;
use crate::terminal::console::Story;
use crate::terminal::layout::{shortened, width};

/// Between the parts of a line.
const GAP: &str = "  ";
const TITLE_COLUMNS_MIN: usize = 12;

/// `[1] download big.iso  41 %  112 MB/s  26 s left`, in so many columns. Of what it says of its state, the end goes first.
pub(crate) fn line(number: usize, title: &str, state: &str, columns: usize) -> String {
    let head = format!("[{number}] ");
    let room = columns.saturating_sub(width(&head));
    let title_columns = width(title).min(TITLE_COLUMNS_MIN.max(room / 2));
    let state_room = room.saturating_sub(title_columns + GAP.len());
    let mut parts = state.split(GAP);
    let mut shown = shortened(parts.next().unwrap_or_default(), state_room.max(1));
    for part in parts {
        if width(&shown) + GAP.len() + width(part) <= state_room {
            shown = shown + GAP + part;
        }
    }
    let title_room = room.saturating_sub(width(&shown) + GAP.len());
    format!("{head}{}{GAP}{shown}", shortened(title, title_room.max(1)))
}

pub(crate) fn begins(number: usize, title: &str) -> String {
    format!("[{number}] {title}")
}

/// It has ended before.
pub(crate) fn over(number: usize, outcome: &str) -> String {
    format!("[{number}] {outcome}")
}

pub(crate) fn suspended(number: usize, title: &str) -> String {
    format!("[{number}] {title} goes on in the background (jobs, wait {number}, cancel {number})")
}

pub(crate) fn question(number: usize, title: &str) -> String {
    format!("[{number}] waits for an answer (wait {number}): {title}")
}

/// `done`, or why not.
pub(crate) fn outcome(result: &Result<(), Failure>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(Failure::Interrupted) => "stopped".to_owned(),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// `[1] done: download big.iso, 8.4 MB in 7.2 s (1.2 MB/s)`, and below that what it had to say.
pub(crate) fn end(number: usize, title: &str, result: &Result<(), Failure>, story: &Story) -> String {
    let in_short = story.conclusion.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
    let mut text = match result {
        Ok(()) => format!("[{number}] done: {title}{in_short}"),
        Err(Failure::Interrupted) => format!("[{number}] stopped: {title}{in_short}"),
        Err(failure) => format!("[{number}] failed: {title}: {failure}"),
    };
    for line in &story.lines {
        text = text + "\n    " + line;
    }
    text
}

/// Before leaving.
pub(crate) fn leaving(moving: usize) -> String {
    match moving {
        1 => "A transfer still runs. Wait for it, leave and stop it, or stay? [w/l/S] ".to_owned(),
        _ => format!("{moving} transfers still run. Wait for them, leave and stop them, or stay? [w/l/S] "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_keeps_what_matters() {
        let state = "41 %  112 MB/s  26 s left";
        assert_eq!(line(1, "download big.iso", state, 80), "[1] download big.iso  41 %  112 MB/s  26 s left");
        assert_eq!(line(1, "download big.iso", state, 40), "[1] download big.iso  41 %  112 MB/s");
        assert_eq!(line(12, "sync /home/me/Pictures Photos", state, 30), "[12] sync /hom…es Photos  41 %");
        for columns in 20..100 {
            for state in [state, "failed: The connection to 192.168.1.20:2222 was lost", "done"] {
                for title in ["get a", "download \"a name that is rather long for a title.pdf\""] {
                    let line = line(3, title, state, columns);
                    assert!(width(&line) <= columns, "{line:?} in {columns} columns");
                }
            }
        }
    }

    #[test]
    fn leaving_is_asked_about_in_words_for_one_and_for_more() {
        assert!(leaving(1).starts_with("A transfer still runs. Wait for it, leave and stop it, "));
        assert!(leaving(3).starts_with("3 transfers still run. Wait for them, leave and stop them, "));
    }

    #[test]
    fn an_end_is_one_line_and_what_there_was_to_say() {
        let story = |conclusion: &str, lines: &[&str]| Story {
            conclusion: Some(conclusion.to_owned()).filter(|text| !text.is_empty()),
            lines: lines.iter().map(ToString::to_string).collect(),
        };
        let done = story("8.4 MB in 7.2 s (1.2 MB/s)", &[]);
        assert_eq!(end(1, "get a", &Ok(()), &done), "[1] done: get a, 8.4 MB in 7.2 s (1.2 MB/s)");
        assert_eq!(
            end(2, "get a", &Err(Failure::Interrupted), &story("", &["a: no"])),
            "[2] stopped: get a\n    a: no"
        );
        let failed = Err(Failure::Local("no room".to_owned()));
        assert_eq!(end(3, "get a", &failed, &Story::default()), "[3] failed: get a: no room");
        assert_eq!(outcome(&failed), "failed: no room");
    }
}
