//! The grammar under arbitrary bytes: what is encoded is understood again, and noise is refused in peace.

#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    EAGER_MAX_BYTES, FILE_MAX_BYTES, LINE_MAX_BYTES, NAME_MAX_BYTES, PATH_MAX_BYTES, TICKET_SECRET_BYTES,
    TRAILER_BYTES,
};
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::wire::command::{Command, Conditions, Resume, UploadOptions, Was};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::line::LineDecoder;
use ferry_common::wire::printable;
use ferry_common::wire::reply::Reply;
use ferry_common::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use ferry_common::wire::ticket::Ticket;
use ferry_common::wire::words;
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes of which many mean something to the grammar.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(b" \"\\\n\r\tx0aF/.()-~\0\x1b\x7f\xc2\x9b\xff".to_vec());
    vec(prop_oneof![telling, any::<u8>()], 0..200)
}

/// Lines that are nearly right.
fn near_lines() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "ls",
        "stat",
        "download",
        "upload",
        "sum",
        "partial",
        "df",
        "mkdir",
        "rm",
        "mv",
        "mtime",
        "digest",
        "new",
        "replace",
        "mtime=-1",
        "mtime=1.5",
        "exec=yes",
        "exec",
        "1.000000001",
        "-0.5",
        "resume=1:99aa06d3014798d86001c324468d497f",
        "resume=1:",
        "99aa06d3014798d86001c324468d497f",
        "hello",
        "who",
        "help",
        "exit",
        "ok",
        "err",
        "(ls)",
        "(stat)",
        "(data)",
        "(download)",
        "(upload)",
        "(sum)",
        "(partial)",
        "(who)",
        "(total)",
        "::1",
        "up",
        "idle",
        "\"\"",
        "(df)",
        "(x)",
        "file",
        "dir",
        "0",
        "1",
        "-1",
        "65535",
        "65536",
        "9223372036854775808",
        "18446744073709551616",
        "a/b",
        "..",
        "\"a b\"",
        "\"\\xff\"",
        "\"",
        "not-found",
    ]);
    vec(words, 0..6).prop_map(|words| words.join(" ").into_bytes())
}

fn file_name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no separator", |&byte| byte != b'/' && byte != 0), 1..=NAME_MAX_BYTES)
        .prop_filter("a name of its own", |name| !matches!(name.as_slice(), b"." | b".."))
}

fn remote_path() -> impl Strategy<Value = RemotePath> {
    vec(file_name(), 1..6)
        .prop_map(|names| names.join(&b'/'))
        .prop_filter_map("servable", |text| RemotePath::parse(&text).ok())
}

fn file_time() -> impl Strategy<Value = FileTime> {
    (any::<i64>(), 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| FileTime::new(seconds, nanoseconds))
}

/// The time with the longest text.
fn earliest() -> FileTime {
    FileTime::new(i64::MIN, 1)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<u128>().prop_map(|number| Digest::parse(format!("{number:032x}").as_bytes()).unwrap())
}

fn options() -> impl Strategy<Value = UploadOptions> {
    let resume = (0..=FILE_MAX_BYTES, digest()).prop_map(|(offset, digest)| Resume { offset, digest });
    (
        any::<bool>(),
        any::<bool>(),
        prop::option::of(file_time()),
        any::<Option<bool>>(),
        prop::option::of(resume),
        conditions(),
    )
        .prop_map(|(digest, new, mtime, executable, resume, mut conditions)| {
            // These are contradictions, which are refused.
            if new || conditions.was == Some(Was::Dir) {
                conditions.was = None;
            }
            UploadOptions { digest, new, mtime, executable, resume, conditions }
        })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let file =
        (0..=FILE_MAX_BYTES, file_time()).prop_map(|(size_bytes, mtime)| Was::File { size_bytes, mtime });
    let was = prop::option::of(prop_oneof![file, Just(Was::Link), Just(Was::Dir)]);
    (was, any::<Option<u32>>()).prop_map(|(was, follow)| Conditions { was, follow })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        remote_path().prop_map(|path| Command::Ls { path }),
        Just(Command::Ls { path: RemotePath::root() }),
        remote_path().prop_map(|path| Command::Stat { path }),
        (remote_path(), 0..=FILE_MAX_BYTES, any::<bool>())
            .prop_map(|(path, offset, digest)| Command::Download { path, offset, digest }),
        (remote_path(), 0..=FILE_MAX_BYTES, options()).prop_map(|(path, size, options)| Command::Upload {
            path,
            size,
            options
        }),
        (remote_path(), prop::option::of(0..=FILE_MAX_BYTES))
            .prop_map(|(path, length)| Command::Sum { path, length }),
        remote_path().prop_map(|path| Command::Partial { path }),
        remote_path().prop_map(|path| Command::Df { path }),
        Just(Command::Df { path: RemotePath::root() }),
        (remote_path(), any::<Option<u32>>()).prop_map(|(path, follow)| Command::Mkdir { path, follow }),
        (remote_path(), conditions()).prop_map(|(path, conditions)| Command::Rm { path, conditions }),
        (remote_path(), remote_path(), any::<bool>()).prop_map(|(from, to, replace)| Command::Mv {
            from,
            to,
            replace
        }),
        (remote_path(), file_time()).prop_map(|(path, mtime)| Command::Mtime { path, mtime }),
        any::<Option<u64>>().prop_map(|version| Command::Hello { version }),
        Just(Command::Who),
        Just(Command::Help),
        Just(Command::Exit),
    ]
}

fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap();
    assert!(!line.contains(&b'\n'), "one line");
    line
}

fn assert_harmless(line: &[u8]) {
    let text = str::from_utf8(line).unwrap();
    assert!(printable::of(text).all(|(_, is_shown)| is_shown), "{text:?}");
}

proptest! {
    #[test]
    fn any_words_make_the_round_trip_in_one_printable_line(all in vec(vec(any::<u8>(), 0..80), 0..5)) {
        let mut line = Vec::new();
        for word in &all {
            line.push(b' ');
            words::encode(word, &mut line);
        }
        assert_harmless(&line);
        prop_assert_eq!(words::split(&line), Ok(all));
    }

    #[test]
    fn any_text_makes_the_round_trip(text in any::<String>()) {
        let mut line = Vec::new();
        words::encode(text.as_bytes(), &mut line);
        assert_harmless(&line);
        prop_assert_eq!(words::split(&line), Ok(vec![text.into_bytes()]));
    }

    #[test]
    fn text_for_a_person_is_harmless(text in noise()) {
        assert_harmless(words::escape_text(&text).as_bytes());
        assert_harmless(words::display(&text).as_bytes());
    }

    #[test]
    fn noise_is_refused_in_peace(bytes in prop_oneof![noise(), near_lines()]) {
        _ = words::split(&bytes);
        _ = Ticket::parse(&bytes);
        if let Some(time) = FileTime::parse(&bytes) {
            prop_assert_eq!(FileTime::parse(time.to_string().as_bytes()), Some(time));
        }
        if let Ok(command) = Command::parse(&bytes) {
            prop_assert_eq!(Command::parse(without_ending(&command.encode())), Ok(command));
        }
        match Reply::parse(&bytes) {
            Ok(Reply::Err { message, .. }) => assert_harmless(message.as_bytes()),
            Ok(Reply::Session(SessionEntry { name, .. })) => prop_assert!(!name.contains(&b'/')),
            Ok(Reply::Entry(Entry { name, .. })) => prop_assert!(!name.contains(&b'/') && !name.is_empty()),
            Ok(_) => {}
            Err(error) => assert_harmless(error.to_string().as_bytes()),
        }
    }

    #[test]
    fn an_error_about_noise_is_harmless_and_fits_in_a_line(bytes in prop_oneof![noise(), near_lines()]) {
        if let Err(error) = Command::parse(&bytes) {
            assert_harmless(error.message.as_bytes());
            prop_assert!(error.message.len() < LINE_MAX_BYTES - 100);
            prop_assert!(error.eager_bytes <= EAGER_MAX_BYTES + TRAILER_BYTES as u64);
        }
    }

    #[test]
    fn any_cuts_of_noise_give_the_same_lines(bytes in noise(), cuts in vec(0_usize..200, 0..5)) {
        let mut whole = LineDecoder::default();
        whole.push(&bytes);
        let lines = drain(&mut whole);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = LineDecoder::default();
        let mut again = Vec::new();
        for pair in cuts.windows(2) {
            decoder.push(&bytes[pair[0]..pair[1]]);
            again.extend(drain(&mut decoder));
        }
        prop_assert_eq!(&again, &lines);
        prop_assert_eq!(again.len(), bytes.iter().filter(|&&byte| byte == b'\n').count());
        prop_assert_eq!(decoder.partial_bytes(), whole.partial_bytes());
    }

    #[test]
    fn a_path_names_nothing_that_is_not_served(text in prop_oneof![
        noise(),
        vec(prop::sample::select(vec!["..", ".", "", "a", "...", ".ferry-staging", ".Ferry-Staging", "\0"]), 0..6)
            .prop_map(|parts| parts.join("/").into_bytes()),
    ]) {
        match RemotePath::parse(&text) {
            Ok(path) if path.is_root() => prop_assert_eq!(path.as_bytes(), b"."),
            Ok(path) => {
                for name in path.as_bytes().split(|&byte| byte == b'/') {
                    prop_assert!(!matches!(name, b"" | b"." | b".."), "{}", path);
                    prop_assert!(!name.eq_ignore_ascii_case(HIDDEN_NAME) && name.len() <= NAME_MAX_BYTES);
                }
                prop_assert!(!path.as_bytes().contains(&0));
                prop_assert_eq!(RemotePath::parse(path.as_bytes()), Ok(path), "one spelling");
            }
            Err(code) => prop_assert_eq!(code, ErrorCode::BadPath),
        }
    }

    #[test]
    fn every_path_of_servable_names_is_a_path(names in vec(file_name(), 1..6)) {
        let hidden = names.iter().any(|name| name.eq_ignore_ascii_case(HIDDEN_NAME));
        let parsed = RemotePath::parse(&names.join(&b'/'));
        prop_assert_eq!(parsed.is_ok(), !hidden);
        if let Ok(path) = parsed {
            prop_assert_eq!(path.file_name(), names.last().map(Vec::as_slice));
            prop_assert_eq!(path.as_bytes(), names.join(&b'/'));
        }
    }

    #[test]
    fn any_command_makes_the_round_trip(command in command()) {
        let line = command.encode();
        assert_harmless(without_ending(&line));
        prop_assert_eq!(Command::parse(without_ending(&line)), Ok(command));
    }

    #[test]
    fn any_time_makes_the_round_trip_in_the_order_of_times(one in file_time(), other in file_time()) {
        let text = one.to_string();
        prop_assert_eq!(FileTime::parse(text.as_bytes()), Some(one));
        prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']));
        let in_ns = |time: FileTime| i128::from(time.seconds()) * 1_000_000_000 + i128::from(time.nanoseconds());
        prop_assert_eq!(one.cmp(&other), in_ns(one).cmp(&in_ns(other)));
    }

    #[test]
    fn any_entry_makes_the_round_trip(
        is_dir in any::<bool>(),
        size_bytes in any::<u64>(),
        mtime in file_time(),
        executable in any::<bool>(),
        link in any::<bool>(),
        name in file_name(),
        verb in prop::sample::select(vec!["ls", "stat"]),
    ) {
        let kind = if is_dir { EntryKind::Dir } else { EntryKind::File };
        let executable = executable && !is_dir;
        let entry = Entry { kind, size_bytes, mtime, executable, link, name };
        let line = Reply::entry(verb, &entry);
        assert_harmless(without_ending(&line));
        prop_assert_eq!(Reply::parse(without_ending(&line)), Ok(Reply::Entry(entry)));
    }

    #[test]
    fn any_session_makes_the_round_trip(
        address in any::<std::net::IpAddr>(),
        activity in prop::sample::select(SessionActivity::ALL.to_vec()),
        [moved_bytes, size_bytes, seconds] in any::<[u64; 3]>(),
        [sessions, uploads, downloads, up_bytes_per_second, down_bytes_per_second] in any::<[u64; 5]>(),
        name in file_name(),
    ) {
        let name = if activity == SessionActivity::Idle { Vec::new() } else { name };
        let entry = SessionEntry { address, activity, moved_bytes, size_bytes, seconds, name };
        let line = Reply::session(&entry);
        assert_harmless(without_ending(&line));
        prop_assert_eq!(Reply::parse(without_ending(&line)), Ok(Reply::Session(entry)));
        let totals =
            SessionTotals { sessions, uploads, downloads, up_bytes_per_second, down_bytes_per_second };
        let line = Reply::totals(&totals);
        prop_assert_eq!(Reply::parse(without_ending(&line)), Ok(Reply::Totals(totals)));
    }

    #[test]
    fn any_numbers_make_the_round_trip(
        length in any::<u64>(),
        mtime in file_time(),
        executable in any::<bool>(),
        port in any::<u16>(),
        other in any::<u64>(),
        key in any::<u64>(),
        secret in any::<[u8; TICKET_SECRET_BYTES]>(),
        digest in digest(),
    ) {
        let ticket = Ticket::new(key, secret);
        let text = ticket.to_string();
        prop_assert!(Ticket::parse(text.as_bytes()).unwrap().matches(&ticket));
        let words = vec![length.to_string().into_bytes()];
        for (line, reply) in [
            (Reply::data(port, &ticket), Reply::Data { port, ticket: text.into_bytes() }),
            (
                Reply::download(length, mtime, executable),
                Reply::Download { length, mtime, executable },
            ),
            (Reply::upload(length), Reply::Upload { offset: length }),
            (Reply::space(length, other), Reply::Space { free_bytes: length, total_bytes: other }),
            (Reply::ok_with(length), Reply::Ok { words: words.clone() }),
            (Reply::ok_transfer(length, None), Reply::Ok { words: words.clone() }),
            (
                Reply::ok_transfer(length, Some(digest)),
                Reply::Ok { words: [words, vec![digest.to_string().into_bytes()]].concat() },
            ),
            (Reply::digest("sum", length, digest), Reply::Digest { length, digest }),
            (Reply::digest("partial", length, digest), Reply::Digest { length, digest }),
        ] {
            prop_assert_eq!(Reply::parse(without_ending(&line)), Ok(reply));
        }
    }

    #[test]
    fn any_error_makes_the_round_trip(code in prop::sample::select(ErrorCode::ALL.to_vec()), text in noise()) {
        let message = words::escape_text(&text);
        let line = Reply::err(code, &message);
        let Ok(Reply::Err { code: understood, message: shown }) = Reply::parse(without_ending(&line)) else {
            panic!("not an error");
        };
        // Without a message, the code has one.
        let told = if message.trim().is_empty() { code.message().to_owned() } else { message };
        prop_assert_eq!((understood, shown), (Some(code), told));
    }
}

fn drain(decoder: &mut LineDecoder) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| decoder.next_line().unwrap()).collect()
}

/// A path of the greatest length in which every byte but the slashes needs an escape.
fn longest_path() -> RemotePath {
    let mut text = [vec![b'\xff'; NAME_MAX_BYTES], b"/".to_vec()].concat().repeat(PATH_MAX_BYTES / 256 + 1);
    text.truncate(PATH_MAX_BYTES);
    let path = RemotePath::parse(&text).unwrap();
    assert_eq!(path.as_bytes().len(), PATH_MAX_BYTES);
    path
}

fn all_options() -> UploadOptions {
    let resume = Some(Resume { offset: FILE_MAX_BYTES, digest: Digest::of(b"") });
    let was = Some(Was::File { size_bytes: FILE_MAX_BYTES, mtime: earliest() });
    let conditions = Conditions { was, follow: Some(u32::MAX) };
    let (mtime, executable) = (Some(earliest()), Some(true));
    UploadOptions { digest: true, new: false, mtime, executable, resume, conditions }
}

#[test]
fn the_longest_path_fits_in_a_line_of_either_end() {
    let path = longest_path();
    let commands = [
        Command::Ls { path: path.clone() },
        Command::Stat { path: path.clone() },
        Command::Download { path: path.clone(), offset: FILE_MAX_BYTES, digest: true },
        Command::Upload { path: path.clone(), size: FILE_MAX_BYTES, options: all_options() },
        Command::Sum { path: path.clone(), length: Some(FILE_MAX_BYTES) },
        Command::Mv { from: path.clone(), to: path.clone(), replace: true },
    ];
    let mut lines: Vec<_> = commands.iter().map(Command::encode).collect();
    lines.extend(ErrorCode::ALL.iter().map(|&code| Reply::err(code, format_args!("{code}: {path}"))));
    lines.extend(
        ErrorCode::ALL.iter().map(|&code| Reply::err(code, format_args!("{code}: {path} to {path}"))),
    );
    let mut decoder = LineDecoder::default();
    for line in &lines {
        assert!(line.len() > 4 * (PATH_MAX_BYTES - PATH_MAX_BYTES / 256));
        decoder.push(line);
        assert_eq!(decoder.next_line().unwrap().unwrap(), without_ending(line));
    }
    for (line, command) in lines.iter().zip(commands) {
        assert_eq!(Command::parse(without_ending(line)), Ok(command));
    }
}

#[test]
fn the_longest_name_fits_in_a_line_of_a_listing() {
    let name = vec![b'\xff'; NAME_MAX_BYTES];
    let entry = Entry {
        kind: EntryKind::File,
        size_bytes: u64::MAX,
        mtime: earliest(),
        executable: true,
        link: true,
        name,
    };
    let line = Reply::entry("stat", &entry);
    assert!(line.len() <= LINE_MAX_BYTES);
    assert_eq!(Reply::parse(without_ending(&line)), Ok(Reply::Entry(entry)));
}

#[test]
fn an_entry_whose_name_leads_elsewhere_is_no_entry() {
    for name in ["\"\"", "..", "a/b", "/", "../a", "\"a\\x00b\""] {
        assert!(Reply::parse(format!("(ls) file 1 1 {name}").as_bytes()).is_err(), "{name}");
    }
    for name in [".", "...", ".hidden", "\"a b\""] {
        assert!(Reply::parse(format!("(stat) dir 0 1 {name}").as_bytes()).is_ok(), "{name}");
    }
}

#[test]
fn a_ticket_that_would_not_stay_in_its_line_is_none() {
    for ticket in ["\"\"", "\"a\\nb\"", "\"a b\"", "\"\\x00\"", "\"\\xff\""] {
        assert!(Reply::parse(format!("(data) 3333 {ticket}").as_bytes()).is_err(), "{ticket}");
    }
    assert!(Reply::parse(b"(data) 3333 5b1e").is_ok());
}
