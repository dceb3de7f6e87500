//! What a dialogue makes of a server's lines, good and bad, seen without a shell.

use ferry_common::dialogue::{Dialogue, Failure, Step, Success};
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::Digest;

const TWO_DOWNLOADS: &str = "(data) 3333 abc\n(download) 5 0\nok 5\n(download) 5 0\n";

/// All five bytes are there already.
const RESUMED: &str = "upload a 5 resume=5:99aa06d3014798d86001c324468d497f";

/// A dialogue that has asked for this and got these lines, and the steps that came of it.
fn after(requests: &[&str], lines: &str) -> (Dialogue, Vec<Step>) {
    let mut dialogue = Dialogue::default();
    for line in requests {
        dialogue.request(Command::parse(line.as_bytes()).unwrap());
    }
    dialogue.handle_control(lines.as_bytes()).unwrap();
    let steps = steps(&mut dialogue);
    (dialogue, steps)
}

fn steps(dialogue: &mut Dialogue) -> Vec<Step> {
    std::iter::from_fn(|| dialogue.poll_step()).collect()
}

fn done(id: u64, number: u64) -> Step {
    Step::Done { id, result: Ok(Success { number: Some(number), digest: None }) }
}

#[test]
fn bytes_of_several_downloads_may_be_reported_at_once() {
    let (mut dialogue, _) = after(&["download a", "download b"], &(TWO_DOWNLOADS.to_owned() + "ok 5\n"));
    dialogue.handle_received(9);
    assert_eq!(steps(&mut dialogue), [done(0, 5)]);
    dialogue.handle_received(1);
    assert_eq!(steps(&mut dialogue), [done(1, 5)]);
}

#[test]
fn a_broken_stream_is_closed_when_what_came_before_it_is_read() {
    let (mut dialogue, first) =
        after(&["download a", "download b"], &(TWO_DOWNLOADS.to_owned() + "err changed it changed\n"));
    assert!(!first.iter().any(|step| matches!(step, Step::Done { .. })));
    dialogue.handle_received(4);
    assert_eq!(steps(&mut dialogue), []);
    dialogue.handle_received(1);
    let code = Some(ErrorCode::Changed);
    let changed = Failure::Refused { code, message: "it changed".to_owned() };
    assert_eq!(
        steps(&mut dialogue),
        [Step::CloseData, done(0, 5), Step::Done { id: 1, result: Err(changed) }]
    );
}

#[test]
fn a_broken_stream_carries_nothing_new() {
    let lines = "(data) 3333 abc\n(download) 5 0\nerr changed it changed\n";
    let (mut dialogue, _) = after(&["download a"], lines);
    dialogue.request(Command::parse(b"upload b 5").unwrap());
    assert!(!steps(&mut dialogue).iter().any(|step| matches!(step, Step::Transmit { .. })));
}

#[test]
fn a_ticket_is_not_redeemed_when_its_command_has_ended() {
    let waits = "(data) 3333 abc\n(download) 5 0\nok 5\n(data) 3333 def\n";
    for (end, redeemed) in [("", true), ("err timed-out no progress for too long\n", false)] {
        let (mut dialogue, _) = after(&["download a", "download b"], &(waits.to_owned() + end));
        dialogue.handle_received(5);
        let opens = steps(&mut dialogue).contains(&Step::OpenData { port: 3333, ticket: b"def".to_vec() });
        assert_eq!(opens, redeemed);
    }
}

#[test]
fn a_request_after_the_end_ends_at_once() {
    let (mut dialogue, _) = after(&["ls"], "");
    dialogue.handle_control_closed();
    let late = dialogue.request(Command::Help);
    let lost = |id| Step::Done { id, result: Err(Failure::ControlLost) };
    assert_eq!(steps(&mut dialogue), [Step::CloseData, lost(0), lost(late)]);
    assert!(!dialogue.is_busy());
}

/// What a dialogue makes of these lines after these requests.
fn lines_are_a_violation(requests: &[&str], lines: &str) -> bool {
    let mut dialogue = Dialogue::default();
    for line in requests {
        dialogue.request(Command::parse(line.as_bytes()).unwrap());
    }
    dialogue.handle_control(lines.as_bytes()).is_err()
}

#[test]
fn a_server_that_breaks_the_rules_is_found_out() {
    for (requests, lines) in [
        (&[][..], "ok\n"),
        (&[], "(help) x\n"),
        (&["ls"], "hello\n"),
        (&["ls"], "(data) 3333 abc\n"),
        (&["ls"], "(download) 1 1\n"),
        (&["stat a"], "(upload) 0\n"),
        (&["download a"], "ok 5\n"),
        (&["download a"], "(ls) file 1 1 a\n"),
        (&["download a"], "(data) 3333 abc\n(download) 5 0\n(download) 5 0\n"),
        (&["download a"], "(data) 3333 abc\n(download) 5 0\n(data) 3333 abc\n"),
        (&["upload a 5"], "ok 5\n"),
        (&["upload a 5"], "(data) 3333 abc\n(upload) 6\n"),
        (&["upload a 2000000"], "(data) 3333 abc\nok 2000000\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 2000001\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 0\n(upload) 0\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(received) 0\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 0\n(received) 2000001\n"),
        (&["download a"], "(received) 1\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 0\n(data) 3333 abc\n"),
        (&["upload a 0 digest"], "ok 0\n"),
        (&[RESUMED], "ok 5\n"),
        (&[RESUMED], "(data) 3333 abc\n(upload) 0\n"),
        (&[RESUMED], "(data) 3333 abc\n(upload) 4\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 5\n"),
        (&["sum a"], "(partial) 5 abc\n"),
        (&["ls"], "(sum) 5 99aa06d3014798d86001c324468d497f\n"),
        (&["mkdir a"], "(data) 3333 abc\n"),
    ] {
        assert!(lines_are_a_violation(requests, lines), "{lines:?}");
    }
    for (requests, lines) in [
        (&["ls"][..], "(weather) fine\n(ls) file 1 1 a\nok 1 and more\n"),
        (&["ls"], "err novel something of a later version\n"),
        (&["download a"], "(data) 3333 abc\n(download) 5 0\nok 5\n"),
        (&["upload a 0"], "ok 0\n"),
        (&[RESUMED], "(upload) 5\nok 5\n"),
        (&[RESUMED], "err no-partial nothing is kept\n"),
        (&["upload a 0"], "ok 0 99aa06d3014798d86001c324468d497f and more\n"),
        (&["sum a"], "(sum) 5 99aa06d3014798d86001c324468d497f\nok\n"),
        (&["upload a 2000000"], "(data) 3333 abc\n(upload) 0\nok 2000000\n"),
    ] {
        assert!(!lines_are_a_violation(requests, lines), "{lines:?}");
    }
}

#[test]
fn why_a_server_closes_is_known_without_a_request() {
    let mut dialogue = Dialogue::default();
    dialogue.handle_control(b"err busy the server is full; try again later\n").unwrap();
    let Some(Failure::Refused { code, .. }) = dialogue.closing_reason() else { panic!("no closing_reason") };
    assert_eq!(*code, Some(ErrorCode::Busy));
}

#[test]
fn a_digest_behind_ok_is_told_and_any_other_word_is_not_taken_for_one() {
    for (word, digest) in [("99aa06d3014798d86001c324468d497f", Some(Digest::of(b""))), ("novel", None)] {
        let (_, steps) = after(&["ls"], &format!("ok 0 {word}\n"));
        let success = Success { number: Some(0), digest };
        assert_eq!(steps.last(), Some(&Step::Done { id: 0, result: Ok(success) }));
    }
}

/// The digest is of the whole file, whatever part of it is sent.
#[test]
fn the_bytes_of_a_resumed_upload_begin_at_its_offset() {
    let line = RESUMED.replace("a 5", "a 9 digest");
    let (_, steps) = after(&[&line, "upload b 3"], "(data) 3333 abc\n(upload) 5\n");
    let transmits: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Transmit { .. })).collect();
    assert_eq!(transmits.len(), 2);
    assert_eq!(transmits[0], &Step::Transmit { id: 0, offset: 5, length: 4, trailer: true });
    assert_eq!(transmits[1], &Step::Transmit { id: 1, offset: 0, length: 3, trailer: false });
}

/// A word in another answer, or of a server that knows more kinds of them, is no such promise.
#[test]
fn conditions_are_known_where_the_server_has_said_so() {
    for (line, reply, are_known) in [
        ("hello 1", "(hello) read-only no\n(hello) conditions yes\nok 1\n", true),
        ("hello 1", "(hello) read-only no\nok 1\n", false),
        ("hello 1", "(hello) conditions no\nok 1\n", false),
        ("help", "(help) conditions yes\nok\n", false),
    ] {
        assert_eq!(after(&[line], reply).0.knows_conditions(), are_known, "{reply}");
    }
}
