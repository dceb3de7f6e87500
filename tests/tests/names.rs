//! Every file name that Linux allows makes the round trip, through the protocol and through the client, and
//! none reaches a terminal as it is if it could do harm there.
#![allow(clippy::unwrap_used)]

use ferry_common::limits::NAME_MAX_BYTES;
use ferry_common::wire::{printable, words};
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::Server;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"a.txt"[..],
        b"with space",
        b" leading and trailing ",
        b"  ",
        b"quote\"quote",
        b"'single'",
        b"back\\slash",
        b"\\x41",
        b"new\nline",
        b"carriage\rreturn\r",
        b"tab\tbed",
        b"\x1b[2J\x1b]0;owned\x07",
        b"\xc2\x9b31m",
        b"not \xff utf-8 \xfe",
        b"\xe2\x82",
        b"-rf",
        b"--help",
        b".hidden",
        b"...",
        b"$HOME",
        b"ok",
        b"err io broken",
        b"(ls) file 1 1 x",
        b"ls",
        b"#comment",
        b"semi;colon",
    ]
    .map(<[u8]>::to_vec)
    .into();
    names.extend(
        ["grüße", "日本語.txt", "🦀", "a\u{202e}txt.exe", "\u{feff}bom"].map(|name| name.as_bytes().to_vec()),
    );
    names.push(vec![b'x'; NAME_MAX_BYTES]);
    names.push(vec![0xff; NAME_MAX_BYTES]);
    names.push(vec![b'\n'; NAME_MAX_BYTES]);
    let single = (1..=u8::MAX).filter(|byte| !matches!(byte, b'/' | b'.')).map(|byte| vec![byte]);
    names.extend(single);
    names
}

/// These are all the names, each once.
#[track_caller]
fn expect_all(listed: &[Vec<u8>]) {
    let sorted = |names: &[Vec<u8>]| {
        let mut shown: Vec<String> = names.iter().map(|name| name.escape_ascii().to_string()).collect();
        shown.sort();
        shown
    };
    assert_eq!(sorted(listed), sorted(&names()));
}

fn local(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

#[test]
fn every_name_makes_the_round_trip_through_the_protocol() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    for name in names() {
        session.upload(&name, &name).unwrap();
        assert_eq!(std::fs::read(server.path(local(&name))).unwrap(), name, "{}", name.escape_ascii());
        assert_eq!(session.download(&name).unwrap(), name, "{}", name.escape_ascii());
    }
    expect_all(&session.ask("ls").names());
}

#[test]
fn every_name_makes_the_round_trip_through_the_client() {
    let server = Server::start();
    let (here, there) = (Ferry::new(), Ferry::new());
    let (mut uploads, mut downloads) = (String::new(), String::new());
    for name in names() {
        here.put(local(&name), &name);
        // In quotes a word is neither an option nor a pattern nor a comment.
        let word = words::display(&name);
        let word = if word.starts_with('"') { word } else { format!("\"{word}\"") };
        uploads += &format!("upload {word}\n");
        downloads += &format!("download {word}\n");
    }
    here.run_piped(server.control_address(), uploads).expect_status(0);
    there.run_piped(server.control_address(), downloads).expect_status(0);
    for name in names() {
        assert_eq!(there.read(local(&name)), name, "{}", name.escape_ascii());
    }
    assert_eq!(there.files().len(), names().len());
}

#[test]
fn a_listing_of_hostile_names_is_harmless_and_can_be_typed_back() {
    let server = Server::start();
    names().iter().for_each(|name| server.put(local(name), name));
    let ferry = Ferry::new();
    let run = ferry.run(server.control_address(), &["ls"]);
    run.expect_status(0);
    assert!(printable::are_lines(&run.stdout));
    let listed: Vec<Vec<u8>> = run
        .stdout_lines()
        .iter()
        .map(|line| match words::split(line.as_bytes()).unwrap().as_slice() {
            [name] => name.clone(),
            other => panic!("{line} is {} words", other.len()),
        })
        .collect();
    expect_all(&listed);
}

#[test]
fn hostile_names_do_not_reach_the_log_as_they_are() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    for name in [&b"\x1b[2J"[..], b"a\nb", b"\xff\xfe", "a\u{202e}b".as_bytes()] {
        session.upload(name, b"content").unwrap();
        session.download(name).unwrap();
        std::fs::remove_file(server.path(local(name))).unwrap();
        session.download(name).unwrap_err();
    }
    session.upload("the-last", b"").unwrap();
    server.wait_for_log("the-last");
    for line in server.log() {
        assert!(printable::are_lines(&line), "{line:?}");
    }
}

#[test]
fn a_name_longer_than_linux_allows_is_refused() {
    let server = Server::start();
    let before = server.files();
    let mut session = Conversation::with(&server);
    let name = "x".repeat(NAME_MAX_BYTES + 1);
    for line in [format!("upload {name} 0"), format!("download {name}"), format!("stat {name}")] {
        assert_eq!(session.ask(line).code().word(), "bad-path");
    }
    assert_eq!(server.files(), before);
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let byte = (1..=u8::MAX).prop_filter("a separator", |byte| *byte != b'/');
    proptest::collection::vec(byte, 1..=NAME_MAX_BYTES)
        .prop_filter("a directory", |name| !matches!(name.as_slice(), b"." | b".." | b".ferry-staging"))
}

#[test]
fn any_name_makes_the_round_trip() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let session = RefCell::new(&mut session);
    let result = TestRunner::new(config).run(&any_name(), |name| {
        let session = &mut *session.borrow_mut();
        session.upload(&name, &name).unwrap();
        prop_assert_eq!(session.ask("ls").names(), vec![name.clone()]);
        prop_assert_eq!(session.download(&name).unwrap(), name.clone());
        std::fs::remove_file(server.path(local(&name))).unwrap();
        Ok(())
    });
    result.unwrap();
}
