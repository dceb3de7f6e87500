//! Servers that say what is not so. An `ok` is worth what the client knows to be true.

use crate::support::{Finished, Server, names, ok, read, run, run_with, serve};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// More than the sockets hold, so that a server which takes a part of it has not got the rest.
const LARGE_BYTES: usize = 64 << 20;

#[track_caller]
fn expect_violation(finished: &Finished) {
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.contains("breaks the protocol"), "{finished:?}");
}

#[test]
fn an_upload_of_which_not_all_was_sent_is_not_done_whatever_the_server_says() {
    for options in [&["--retry-for", "0"][..], &["--retry-for", "0", "--no-verify"]] {
        let directory = tempfile::tempdir().unwrap();
        let content = vec![b'x'; LARGE_BYTES];
        fs::write(directory.path().join("big"), &content).unwrap();
        let server = serve(move |mut server| {
            server.greet();
            server.line();
            server.say("err no-partial nothing of this upload is kept\n");
            server.line();
            let mut data = server.open_data();
            server.say("(upload) 0\n");
            read(&mut data, 1000);
            drop(data);
            server.say(ok(&content));
            server.wait_for_end();
        });
        let finished = run_with(directory.path(), server.address(), options, &["upload big"]);
        expect_violation(&finished);
        assert!(!finished.messages.contains("File upload done"), "{finished:?}");
    }
}

/// Greets, and answers one command with this script.
fn answered(directory: &Path, command: &str, script: impl FnOnce(&mut Server) + Send + 'static) -> Finished {
    let server = serve(move |mut server| {
        server.greet();
        server.line();
        script(&mut server);
        server.wait_for_end();
    });
    run(directory, server.address(), &[command])
}

#[test]
fn an_ok_that_is_for_something_else_is_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c"), "abc").unwrap();
    let here = directory.path();
    for number in ["3", "1", "", "x"] {
        let listed = answered(here, "ls", move |server| {
            server.say(format!("(ls) file 1 0 a\n(ls) file 1 0 b\nok {number}\n"));
        });
        expect_violation(&listed);
    }
    for number in ["4", "6", ""] {
        let downloaded = answered(here, "download a", move |server| {
            let mut data = server.open_data();
            server.say("(download) 5 0\n");
            data.write_all(b"hello").unwrap();
            server.say(ok(b"hello").replace(" 5 ", &format!(" {number} ")));
        });
        expect_violation(&downloaded);
        let uploaded = answered(here, "upload c", move |server| {
            let mut data = server.open_data();
            read(&mut data, 36);
            server.say(ok(b"abc").replace(" 3 ", &format!(" {number} ")));
        });
        expect_violation(&uploaded);
    }
    expect_violation(&answered(here, "stat c", |server| server.say("ok\n")));
    expect_violation(&answered(here, "sum c", |server| server.say("ok\n")));
    assert_eq!(names(here), ["c"], "nothing came of any of them");
}

#[test]
fn a_version_that_was_not_offered_is_no_ferry_server() {
    for version in ["0", "2", ""] {
        let directory = tempfile::tempdir().unwrap();
        let server = serve(move |mut server| {
            server.expect("hello 1");
            server.say(format!("ok {version}\n"));
            server.wait_for_end();
        });
        let finished = run(directory.path(), server.address(), &["ls"]);
        assert_eq!(finished.status, 3, "{finished:?}");
    }
}

#[test]
fn a_data_connection_on_which_too_much_came_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a");
        let mut data = server.open_data();
        server.say("(download) 4 0\n");
        // One byte more than was announced.
        data.write_all(b"fourX").unwrap();
        server.say("ok 4\n");
        server.expect("download b");
        // Closed with the surplus byte unread, which resets it.
        let ended = data.read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
        let mut data = server.open_data();
        server.say("(download) 4 0\n");
        data.write_all(b"more").unwrap();
        server.say("ok 4\n");
        server.wait_for_end();
    });
    let commands = ["download a", "download b"];
    let finished = run_with(directory.path(), server.address(), &["--no-verify"], &commands);
    assert_eq!(finished.status, 0, "{finished:?}");
    let content = |name| fs::read(directory.path().join(name)).unwrap();
    assert_eq!((content("a"), content("b")), (b"four".to_vec(), b"more".to_vec()));
}
