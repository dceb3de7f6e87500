//! PROTOCOL.md says what the code does: its tables equal the code, both ways.

#![allow(clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "a test begins at some instant")]

use ferry_common::error::ErrorCode;
use ferry_common::limits::*;
use ferry_common::wire::command::Verb;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use ferry_common::wire::ticket::Ticket;
use ferry_session::dialect::AnyDialect;
use ferry_session::fact::Fact;
use ferry_session::{Policy, Session, ShowWho};
use std::time::{Duration, Instant};

const DOCUMENT: &str = include_str!("../../../common/PROTOCOL.md");

const POLICY: Policy =
    Policy { data_port: DATA_PORT, read_only: false, no_overwrite: false, show_who: ShowWho::Counts };

/// The body of the section under `## title`.
fn section(title: &str) -> &'static str {
    let (_, after) = DOCUMENT.split_once(&format!("\n## {title}\n")).unwrap();
    after.split("\n## ").next().unwrap()
}

/// The cells of each row of a section's table, without its head.
fn rows(title: &str) -> Vec<Vec<&'static str>> {
    let lines = section(title).lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn word(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap()
}

#[test]
fn the_table_of_errors_is_that_of_the_code() {
    let documented: Vec<_> = rows("Errors").iter().map(|cells| word(cells[0])).collect();
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(documented, codes);
    for cells in rows("Errors") {
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
    }
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let bytes = |name, value: usize| (name, value as u64, "bytes");
    let seconds = |name, value: Duration| {
        assert_eq!(value.subsec_nanos(), 0);
        (name, value.as_secs(), "seconds")
    };
    let limits = [
        ("CONTROL_PORT", u64::from(CONTROL_PORT), "port"),
        ("DATA_PORT", u64::from(DATA_PORT), "port"),
        ("PROTOCOL_VERSION", PROTOCOL_VERSION, "version"),
        bytes("NAME_MAX_BYTES", NAME_MAX_BYTES),
        bytes("PATH_MAX_BYTES", PATH_MAX_BYTES),
        bytes("LINE_MAX_BYTES", LINE_MAX_BYTES),
        ("NO_COMMAND_LINES_MAX", NO_COMMAND_LINES_MAX as u64, "lines"),
        ("EAGER_MAX_BYTES", EAGER_MAX_BYTES, "bytes"),
        bytes("TRAILER_BYTES", TRAILER_BYTES),
        ("PUBLISHING_MAX", PUBLISHING_MAX as u64, "uploads"),
        ("FILE_MAX_BYTES", FILE_MAX_BYTES, "bytes"),
        bytes("OUTBOX_PAUSE_BYTES", OUTBOX_PAUSE_BYTES),
        seconds("LINE_TIMEOUT", LINE_TIMEOUT),
        seconds("IDLE_TIMEOUT", IDLE_TIMEOUT),
        seconds("STALL_WINDOW", STALL_WINDOW),
        ("STALL_WINDOW_MIN_BYTES", STALL_WINDOW_MIN_BYTES, "bytes"),
        seconds("GIVE_WAY_SILENCE", GIVE_WAY_SILENCE),
        seconds("WORKING_INTERVAL", WORKING_INTERVAL),
        ("RECEIVED_INTERVAL", RECEIVED_INTERVAL.as_millis() as u64, "milliseconds"),
        seconds("TICKET_LINE_TIMEOUT", TICKET_LINE_TIMEOUT),
        seconds("TICKET_TIMEOUT", TICKET_TIMEOUT),
        seconds("DATA_SLOT_TIMEOUT", DATA_SLOT_TIMEOUT),
        seconds("DISK_TIMEOUT", DISK_TIMEOUT),
        seconds("SHUTDOWN_GRACE", SHUTDOWN_GRACE),
        seconds("PARTIAL_MAX_AGE", PARTIAL_MAX_AGE),
        ("PARTIAL_MAX_BYTES", PARTIAL_MAX_BYTES, "bytes"),
    ];
    let documented: Vec<_> =
        rows("Limits").iter().map(|cells| (word(cells[0]), cells[1].parse().unwrap(), cells[2])).collect();
    assert_eq!(documented, limits);
}

/// Every name in capitals that the text uses is in the table, so that no stale name stays behind.
#[test]
fn every_limit_that_the_text_names_is_in_the_table() {
    let names: Vec<_> = rows("Limits").iter().map(|cells| word(cells[0])).collect();
    let words = DOCUMENT.split(|character: char| !character.is_ascii_uppercase() && character != '_');
    for name in words.filter(|word| word.contains('_')) {
        assert!(names.contains(&name), "{name}");
    }
    for name in names {
        assert!(DOCUMENT.matches(name).count() > 1 || name.ends_with("_PORT") || name == "PROTOCOL_VERSION");
    }
}

#[test]
fn every_verb_has_a_section_under_its_usage() {
    let documented: Vec<_> =
        section("Commands").lines().filter_map(|line| line.strip_prefix("### ")).map(word).collect();
    let usages: Vec<_> = Verb::ALL.iter().map(|verb| verb.usage()).collect();
    assert_eq!(documented, usages);
}

#[test]
fn a_section_tells_the_digest_that_is_computed() {
    for (text, bytes) in [("of no bytes", &b""[..]), ("of the three bytes `abc`", b"abc")] {
        assert!(DOCUMENT.contains(&format!("{text} is `{}`", Digest::of(bytes))), "{text}");
    }
    assert_eq!(TRAILER_BYTES, Digest::TEXT_BYTES + 1);
    assert!(DOCUMENT.contains(&format!("{} lower-case hexadecimal digits", Digest::TEXT_BYTES)));
}

/// The levels of durability, and what may happen to a transfer: each is told of, with all that follows.
#[test]
fn the_tables_of_durability_and_of_events_are_complete() {
    let durability = rows("Durability");
    let levels: Vec<_> = durability.iter().map(|cells| cells[0]).collect();
    assert_eq!(levels, ["`full` (default)", "`data`", "`none`"]);
    let events = rows("What an accident leaves");
    for event in [
        "link cut",
        "client killed",
        "server killed",
        "power cut",
        "disk full",
        "disk error",
        "changed while sent",
    ] {
        let told = events.iter().filter(|cells| cells[0].starts_with(event)).count();
        assert!(told >= 1, "{event}");
    }
    for cells in durability.iter().chain(&events) {
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
    }
}

/// The indented lines of the sample sessions, without their remarks.
fn sample_lines() -> Vec<&'static str> {
    let indented = section("Two sessions by `nc`").lines().filter_map(|line| line.strip_prefix("    "));
    indented.map(|line| line.split(" # ").next().unwrap().trim_end()).collect()
}

#[test]
fn the_sample_sessions_show_lines_of_the_protocol() {
    let mut replies = 0;
    for line in sample_lines() {
        if line.starts_with("> ") || line.starts_with("printf ") {
            continue;
        }
        assert!(Reply::parse(line.as_bytes()).is_ok(), "{line}");
        replies += 1;
    }
    assert!(replies > 15);
}

/// What a session without files can answer, it answers as the samples show.
#[test]
fn the_sample_sessions_show_what_a_server_answers() {
    for command in ["help", "download my notes.txt", "exit"] {
        let lines = sample_lines();
        let begin = lines.iter().position(|line| line.strip_prefix("> ") == Some(command)).unwrap() + 1;
        let shown = lines[begin..].iter().take_while(|line| !line.starts_with('>'));
        let shown: Vec<_> = shown.map(|line| format!("{line}\n")).collect();
        let now = Instant::now();
        let mut session = Session::new(AnyDialect::ferry(&POLICY), POLICY, now);
        session.handle(Fact::Input(format!("{command}\n").as_bytes()), now);
        let mut text = String::new();
        while let Some(action) = session.poll_action() {
            if let ferry_session::action::Action::Reply(reply) = action {
                text.push_str(&String::from_utf8(reply).unwrap());
            }
        }
        let answered: Vec<&str> = text.split_inclusive('\n').collect();
        assert!(!answered.is_empty() && answered == shown[..answered.len()], "{command}: {shown:?}");
    }
}

#[test]
fn tickets_have_the_length_that_is_promised() {
    assert!(DOCUMENT.contains(&format!("{} hexadecimal digits", Ticket::TEXT_BYTES)));
    for line in sample_lines().iter().filter(|line| line.starts_with("(data) ")) {
        assert!(Ticket::parse(line.rsplit(' ').next().unwrap().as_bytes()).is_some(), "{line}");
    }
}
