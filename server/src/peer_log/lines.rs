//! What the log says of an event of a session: one line that begins with the peer's address. Names are written as words of
//! the protocol, which a terminal may be given.

use crate::figures::{Rate, Size, Time};
use ferry_common::error::ErrorCode;
use ferry_session::action::{BrokenOff, Change, Direction, Event, Length};
use log::Level;
use std::fmt;
use std::net::IpAddr;

/// How important an event is to an operator.
pub(super) fn level(event: &Event) -> Level {
    match event {
        Event::Received { .. } => Level::Debug,
        // One for each folder of a tree that is uploaded.
        Event::Changed(Change::Mtime { .. }) => Level::Debug,
        Event::NotUnderstood { .. } | Event::Changed(_) | Event::Finished { .. } => Level::Info,
        Event::Refused { command, code, .. } => level_of_refusal(command, *code),
        Event::BrokenOff(_) => Level::Warn,
    }
}

fn level_of_refusal(command: &str, code: ErrorCode) -> Level {
    let is_question = matches!(command, "stat" | "sum" | "partial");
    if code == ErrorCode::NoPartial || code == ErrorCode::NotFound && is_question {
        // An answer, and the usual one before a first upload.
        Level::Debug
    } else if needs_operator(code) {
        Level::Warn
    } else {
        Level::Info
    }
}

/// True where the server, not the request, is at fault.
fn needs_operator(code: ErrorCode) -> bool {
    [ErrorCode::Io, ErrorCode::NoSpace, ErrorCode::CannotStage, ErrorCode::Busy].contains(&code)
}

/// An event of a session of the peer at this address.
pub(super) struct Line<'a> {
    pub(super) peer: IpAddr,
    pub(super) event: &'a Event,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        match self.event {
            Event::Received { command } => write!(formatter, "MSG: Received {command} command from {peer}"),
            Event::NotUnderstood { code } => {
                write!(formatter, "{peer} sent a line that was refused: {} ({})", code.message(), code.word())
            }
            Event::Refused { command, code, path } => {
                let doing = infinitive(command);
                write!(formatter, "{peer} could not {doing} {path}: {} ({})", code.message(), code.word())
            }
            Event::Changed(Change::Mkdir { path, .. }) => {
                write!(formatter, "{peer} made the directory {path}")
            }
            Event::Changed(Change::Rm { path, .. }) => write!(formatter, "{peer} removed {path}"),
            Event::Changed(Change::Mv { from, to, .. }) => {
                write!(formatter, "{peer} renamed {from} to {to}")
            }
            Event::Changed(Change::Mtime { path, mtime }) => {
                write!(formatter, "{peer} set the time of {path} to {mtime}")
            }
            Event::Changed(Change::Chmod { path, executable }) => {
                write!(formatter, "{peer} made {path} {}executable", if *executable { "" } else { "not " })
            }
            Event::Finished { direction, path, offset, length, elapsed } => {
                let (elapsed, bytes) = (*elapsed, *length);
                let done = match direction {
                    Direction::Download => "downloaded",
                    Direction::Upload => "uploaded",
                };
                write!(formatter, "{peer} {done} {path}  {}", Size(offset.saturating_add(bytes)))?;
                if *offset > 0 {
                    write!(formatter, ", of it {} now", Size(bytes))?;
                }
                write!(formatter, "  {}{}", Time(elapsed), Rate { bytes, elapsed })
            }
            Event::BrokenOff(broken_off) => write_broken_off(formatter, peer, broken_off),
        }
    }
}

fn write_broken_off(formatter: &mut fmt::Formatter<'_>, peer: IpAddr, broken_off: &BrokenOff) -> fmt::Result {
    let BrokenOff { direction, path, offset, moved, length, elapsed, code } = broken_off;
    let doing = match direction {
        Direction::Download => "downloading",
        Direction::Upload => "uploading",
    };
    write!(formatter, "{peer} did not finish {doing} {path}  {}", Size(offset.saturating_add(*moved)))?;
    if let Length::Exact(length) = length {
        write!(formatter, " of {}", Size(offset.saturating_add(*length)))?;
    }
    write!(formatter, "  {}: {} ({})", Time(*elapsed), reason(*code), code.word())
}

/// Why a transfer has ended. Either connection may have been closed.
fn reason(code: ErrorCode) -> &'static str {
    if code == ErrorCode::BrokenOff { "the connection was closed" } else { code.message() }
}

/// What a command is to do, in a word of its own.
fn infinitive(command: &str) -> &str {
    match command {
        "ls" => "list",
        "sum" => "have the digest of",
        "partial" => "resume",
        "mkdir" => "make the directory",
        "rm" => "remove",
        "mv" => "rename",
        "mtime" => "set the time of",
        "chmod" => "set the mode of",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::path::RemotePath;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    fn line(event: &Event) -> String {
        Line { peer: Ipv4Addr::LOCALHOST.into(), event }.to_string()
    }

    fn finished(direction: Direction, offset: u64, length: u64, ms: u64) -> Event {
        let elapsed = Duration::from_millis(ms);
        Event::Finished { direction, path: path("big file.iso"), offset, length, elapsed }
    }

    #[test]
    fn a_finished_transfer_is_told_with_its_figures() {
        for (event, expected) in [
            (
                finished(Direction::Download, 0, 41_943_040, 20_400),
                "127.0.0.1 downloaded \"big file.iso\"  41.9 MB  20.4 s  2.1 MB/s",
            ),
            (finished(Direction::Upload, 0, 12, 3), "127.0.0.1 uploaded \"big file.iso\"  12 B  3 ms"),
            (
                finished(Direction::Upload, 30_000_000, 10_000_000, 5000),
                "127.0.0.1 uploaded \"big file.iso\"  40.0 MB, of it 10.0 MB now  5.0 s  2.0 MB/s",
            ),
        ] {
            assert_eq!(line(&event), expected);
            assert_eq!(level(&event), Level::Info);
        }
    }

    #[test]
    fn a_transfer_that_has_not_finished_is_told_with_how_far_it_came() {
        let broken_off = |length| {
            Event::BrokenOff(Box::new(BrokenOff {
                direction: Direction::Upload,
                path: path("a"),
                offset: 1_000_000,
                moved: 500_000,
                length,
                elapsed: Duration::from_millis(3100),
                code: ErrorCode::BrokenOff,
            }))
        };
        let told = "127.0.0.1 did not finish uploading a  1.5 MB of 3.0 MB  3.1 s: \
                    the connection was closed (broken-off)";
        assert_eq!(line(&broken_off(Length::Exact(2_000_000))), told);
        assert_eq!(line(&broken_off(Length::UntilClose)), told.replace(" of 3.0 MB", ""));
        assert_eq!(level(&broken_off(Length::UntilClose)), Level::Warn);
    }

    #[test]
    fn a_refusal_is_as_important_as_what_it_says() {
        for (command, code, expected) in [
            ("partial", ErrorCode::NoPartial, Level::Debug),
            ("stat", ErrorCode::NotFound, Level::Debug),
            ("download", ErrorCode::NotFound, Level::Info),
            ("upload", ErrorCode::ReadOnly, Level::Info),
            ("upload", ErrorCode::NoSpace, Level::Warn),
            ("ls", ErrorCode::Io, Level::Warn),
        ] {
            assert_eq!(
                level(&Event::Refused { command, code, path: path("a") }),
                expected,
                "{command} {code}"
            );
        }
        let refused = Event::Refused { command: "ls", code: ErrorCode::NotFound, path: path("a\u{1b}") };
        assert_eq!(line(&refused), "127.0.0.1 could not list \"a\\x1b\": no such file (not-found)");
    }
}
