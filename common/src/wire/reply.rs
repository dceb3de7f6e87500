//! The replies of a server: lines `(command) ...`, then one line `ok ...` or `err CODE MESSAGE`.

use crate::error::ErrorCode;
use crate::wire::command::parse_number;
use crate::wire::digest::Digest;
use crate::wire::entry::{Entry, EntryKind};
use crate::wire::file_time::FileTime;
use crate::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use crate::wire::words;
use std::fmt::Display;

/// One line of a server, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `(ls)` or `(stat)`: one file or directory.
    Entry(Entry),
    /// `(data)`: present this ticket on a new connection to this port.
    Data {
        port: u16,
        ticket: Vec<u8>,
    },
    /// `(download)`: this many bytes follow on the data connection.
    Download {
        length: u64,
        mtime: FileTime,
        executable: bool,
    },
    /// `(upload)`: send the file from this offset on.
    Upload {
        offset: u64,
    },
    /// `(received)`: so many bytes of the file have come.
    Received {
        bytes: u64,
    },
    /// `(sum)` or `(partial)`: so many bytes have this digest.
    Digest {
        length: u64,
        digest: Digest,
    },
    /// `(df)`: what uploads may take of a file system, and all that it has.
    Space {
        free_bytes: u64,
        total_bytes: u64,
    },
    /// `(who)`: one session.
    Session(SessionEntry),
    /// `(total)`: all sessions together.
    Totals(SessionTotals),
    /// Any other `(word) ...` line: for a person, or of a later version.
    Info {
        verb: Vec<u8>,
        words: Vec<Vec<u8>>,
    },
    Ok {
        words: Vec<Vec<u8>>,
    },
    /// `code` is `None` for a code that this version does not know.
    Err {
        code: Option<ErrorCode>,
        message: String,
    },
}

/// A line that no server of this protocol sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server sent a line that is no reply: {0}")]
pub struct NotAReply(String);

impl Reply {
    /// Understands a line without its ending.
    pub fn parse(line: &[u8]) -> Result<Self, NotAReply> {
        parse_reply(line).ok_or_else(|| {
            NotAReply(words::escape_text(&line[..line.len().min(crate::limits::ECHO_MAX_BYTES)]))
        })
    }

    /// `(working)`: the answer takes longer.
    pub fn working() -> Vec<u8> {
        b"(working)\n".to_vec()
    }

    /// `(verb)` and an entry.
    pub fn entry(verb: &str, entry: &Entry) -> Vec<u8> {
        let mut line =
            format!("({verb}) {} {} {} ", entry.kind.word(), entry.size_bytes, entry.mtime).into_bytes();
        words::encode(&entry.name, &mut line);
        if entry.executable {
            line.extend_from_slice(b" exec");
        }
        if entry.link {
            line.extend_from_slice(b" link");
        }
        line.push(b'\n');
        line
    }

    pub fn data(port: u16, ticket: impl Display) -> Vec<u8> {
        format!("(data) {port} {ticket}\n").into_bytes()
    }

    pub fn download(length: u64, mtime: FileTime, executable: bool) -> Vec<u8> {
        let exec = if executable { " exec" } else { "" };
        format!("(download) {length} {mtime}{exec}\n").into_bytes()
    }

    pub fn upload(offset: u64) -> Vec<u8> {
        format!("(upload) {offset}\n").into_bytes()
    }

    pub fn received(bytes: u64) -> Vec<u8> {
        format!("(received) {bytes}\n").into_bytes()
    }

    /// `(verb)`, a number of bytes, and their digest.
    pub fn digest(verb: &str, length: u64, digest: Digest) -> Vec<u8> {
        format!("({verb}) {length} {digest}\n").into_bytes()
    }

    pub fn space(free_bytes: u64, total_bytes: u64) -> Vec<u8> {
        format!("(df) {free_bytes} {total_bytes}\n").into_bytes()
    }

    /// `(who)` and a session.
    pub fn session(entry: &SessionEntry) -> Vec<u8> {
        let SessionEntry { address, activity, moved_bytes, size_bytes, seconds, name } = entry;
        let activity = activity.word();
        let mut line =
            format!("(who) {address} {activity} {moved_bytes} {size_bytes} {seconds} ").into_bytes();
        words::encode(name, &mut line);
        line.push(b'\n');
        line
    }

    pub fn totals(totals: &SessionTotals) -> Vec<u8> {
        let SessionTotals { sessions, uploads, downloads, up_bytes_per_second, down_bytes_per_second } =
            totals;
        let rates = format_args!("{up_bytes_per_second} {down_bytes_per_second}");
        format!("(total) {sessions} {uploads} {downloads} {rates}\n").into_bytes()
    }

    /// `(verb)` and words that need no quoting.
    pub fn info(verb: &str, words: impl Display) -> Vec<u8> {
        format!("({verb}) {words}\n").into_bytes()
    }

    pub fn ok() -> Vec<u8> {
        b"ok\n".to_vec()
    }

    pub fn ok_with(number: u64) -> Vec<u8> {
        format!("ok {number}\n").into_bytes()
    }

    /// The end of a transfer: how much was moved, and the digest of the whole file.
    pub fn ok_transfer(length: u64, digest: Option<Digest>) -> Vec<u8> {
        match digest {
            Some(digest) => format!("ok {length} {digest}\n").into_bytes(),
            None => Self::ok_with(length),
        }
    }

    /// `message` must be printable text; what a peer wrote goes through [`words::display`] first.
    pub fn err(code: ErrorCode, message: impl Display) -> Vec<u8> {
        format!("err {} {message}\n", code.word()).into_bytes()
    }
}

fn parse_reply(line: &[u8]) -> Option<Reply> {
    if let Some(rest) = line.strip_prefix(b"err ") {
        let (word, message) = match rest.iter().position(|&byte| byte == b' ') {
            Some(space) => (&rest[..space], &rest[space + 1..]),
            None => (rest, &b""[..]),
        };
        let code = ErrorCode::from_word(word);
        return Some(Reply::Err { code, message: message_of(code, word, message) });
    }
    let mut words = words::split(line).ok()?;
    if words.is_empty() {
        return None;
    }
    let first = words.remove(0);
    if first == b"ok" {
        return Some(Reply::Ok { words });
    }
    let verb = first.strip_prefix(b"(")?.strip_suffix(b")")?;
    match (verb, words.as_slice()) {
        (b"ls" | b"stat", [kind, size, mtime, name, more @ ..]) if is_name(name) => {
            let kind = match kind.as_slice() {
                b"file" => EntryKind::File,
                b"dir" => EntryKind::Dir,
                _ => return None,
            };
            let (size_bytes, mtime) = (parse_number(size)?, FileTime::parse(mtime)?);
            let executable = kind == EntryKind::File && has(more, b"exec");
            let (link, name) = (has(more, b"link"), name.clone());
            Some(Reply::Entry(Entry { kind, size_bytes, mtime, executable, link, name }))
        }
        (b"data", [port, ticket, ..]) if !ticket.is_empty() && ticket.iter().all(u8::is_ascii_graphic) => {
            Some(Reply::Data { port: u16::try_from(parse_number(port)?).ok()?, ticket: ticket.clone() })
        }
        (b"download", [length, mtime, more @ ..]) => {
            let (length, mtime) = (parse_number(length)?, FileTime::parse(mtime)?);
            Some(Reply::Download { length, mtime, executable: has(more, b"exec") })
        }
        (b"upload", [offset, ..]) => Some(Reply::Upload { offset: parse_number(offset)? }),
        (b"received", [bytes, ..]) => Some(Reply::Received { bytes: parse_number(bytes)? }),
        (b"sum" | b"partial", [length, digest, ..]) => {
            Some(Reply::Digest { length: parse_number(length)?, digest: Digest::parse(digest)? })
        }
        (b"df", [free, total, ..]) => {
            Some(Reply::Space { free_bytes: parse_number(free)?, total_bytes: parse_number(total)? })
        }
        (b"who", [address, activity, moved, size, seconds, name, ..]) => {
            session_of(address, activity, [moved, size, seconds], name)
        }
        (b"total", [sessions, uploads, downloads, up, down, ..]) => Some(Reply::Totals(SessionTotals {
            sessions: parse_number(sessions)?,
            uploads: parse_number(uploads)?,
            downloads: parse_number(downloads)?,
            up_bytes_per_second: parse_number(up)?,
            down_bytes_per_second: parse_number(down)?,
        })),
        (
            b"ls" | b"stat" | b"data" | b"download" | b"upload" | b"received" | b"sum" | b"partial" | b"df"
            | b"who" | b"total",
            _,
        ) => None,
        (verb, _) => Some(Reply::Info { verb: verb.to_vec(), words }),
    }
}

/// One session of those that `who` tells of.
fn session_of(address: &[u8], activity: &[u8], numbers: [&[u8]; 3], name: &[u8]) -> Option<Reply> {
    let activity = SessionActivity::from_word(activity)?;
    let is_told = activity == SessionActivity::Idle && name.is_empty() || is_name(name);
    let [moved, size, seconds] = numbers;
    is_told.then_some(Reply::Session(SessionEntry {
        address: std::str::from_utf8(address).ok()?.parse().ok()?,
        activity,
        moved_bytes: parse_number(moved)?,
        size_bytes: parse_number(size)?,
        seconds: parse_number(seconds)?,
        name: name.to_vec(),
    }))
}

/// Of the words behind those that a line always has, of which a later version may have more.
fn has(more: &[Vec<u8>], wanted: &[u8]) -> bool {
    more.iter().any(|word| word == wanted)
}

/// What a person is told of an `err` line: never nothing, and the word of a code that this version does not know.
fn message_of(code: Option<ErrorCode>, word: &[u8], message: &[u8]) -> String {
    let text = words::escape_text(message);
    match code {
        Some(code) if text.trim().is_empty() => code.message().to_owned(),
        Some(_) => text,
        None if text.trim().is_empty() => format!("an error without a reason ({})", words::escape_text(word)),
        None => format!("{text} ({})", words::escape_text(word)),
    }
}

/// True for the name of one thing, here: used as a path, it leads nowhere else.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[u8]) -> Reply {
        Reply::parse(line.strip_suffix(b"\n").unwrap()).unwrap()
    }

    #[test]
    fn what_is_encoded_is_understood() {
        let entry = Entry {
            kind: EntryKind::File,
            size_bytes: 3552,
            mtime: FileTime::new(-1, 5),
            executable: true,
            link: false,
            name: b"a b\n\xff".to_vec(),
        };
        assert_eq!(parse(&Reply::entry("ls", &entry)), Reply::Entry(entry));
        assert_eq!(parse(&Reply::data(3333, "5b1e")), Reply::Data { port: 3333, ticket: b"5b1e".to_vec() });
        let mtime = FileTime::from_seconds(i64::MIN);
        assert_eq!(
            parse(&Reply::download(5, mtime, true)),
            Reply::Download { length: 5, mtime, executable: true }
        );
        let digest = Digest::of(b"abc");
        assert_eq!(parse(&Reply::digest("sum", 3, digest)), Reply::Digest { length: 3, digest });
        let space = Reply::Space { free_bytes: 5, total_bytes: u64::MAX };
        assert_eq!(parse(&Reply::space(5, u64::MAX)), space);
        assert_eq!(parse(&Reply::upload(7)), Reply::Upload { offset: 7 });
        assert_eq!(parse(&Reply::ok_with(2)), Reply::Ok { words: vec![b"2".to_vec()] });
        assert_eq!(parse(&Reply::ok()), Reply::Ok { words: vec![] });
        for &code in ErrorCode::ALL {
            let message = code.message().to_owned();
            assert_eq!(parse(&Reply::err(code, code)), Reply::Err { code: Some(code), message });
        }
    }

    #[test]
    fn later_versions_are_not_a_violation() {
        assert!(matches!(parse(b"(weather) fine\n"), Reply::Info { .. }));
        let entry = parse(b"(ls) file 5 1.5 a exec\n");
        assert_eq!(parse(b"(ls) file 5 1.5 a novel exec=5 exec\n"), entry);
        assert_eq!(parse(b"(upload) 5 novel\n"), Reply::Upload { offset: 5 });
        assert!(matches!(parse(b"err novel something new\n"), Reply::Err { code: None, .. }));
    }

    #[test]
    fn an_error_says_something_whatever_the_server_left_out() {
        for (line, told) in [
            (&b"err busy\n"[..], ErrorCode::Busy.message()),
            (b"err busy \n", ErrorCode::Busy.message()),
            (b"err busy come back later\n", "come back later"),
            (b"err novel something new\n", "something new (novel)"),
            (b"err novel\n", "an error without a reason (novel)"),
            (b"err n\x1bvel\n", "an error without a reason (n\\x1bvel)"),
        ] {
            let Reply::Err { message, .. } = parse(line) else { panic!() };
            assert_eq!(message, told);
        }
    }

    #[test]
    fn noise_is() {
        for line in [
            &b""[..],
            b"hello",
            b"(ls",
            b"(ls) file",
            b"(ls) pipe 1 1 a",
            b"(data) 65536 x",
            b"(upload) -1",
            b"(df) 5",
            b"(who) ::1 up 1 2 3 \"\"",
            b"(who) host up 1 2 3 a",
            b"(who) ::1 up 1 2 3 a/b",
            b"(total) 1",
        ] {
            assert!(Reply::parse(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_hostile_message_is_made_harmless() {
        let Reply::Err { message, .. } = Reply::parse(b"err io \x1b]0;owned\x07").unwrap() else { panic!() };
        assert_eq!(message, "\\x1b]0;owned\\x07");
    }
}
