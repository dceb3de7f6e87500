//! The server's log: bounded whatever peers do, opened again after a rotation, and never in the way of the end.
#![allow(clippy::unwrap_used)]

use ferry_tests::binaries;
use ferry_tests::conversation::Conversation;
use ferry_tests::process::Process;
use ferry_tests::server::{Options, Server, wait_for_exit};
use ferry_tests::wait::{WAIT_LIMIT, wait_until};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// A server whose log is read no more, and the port that it listens on.
fn server_with_a_full_log(folder: &std::path::Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(binaries::ferryd())
        .args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--log-level", "debug"])
        .arg(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut port = None;
    loop {
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        if let Some((_, number)) = line.split_once(" Server Port: ") {
            port = number.trim().parse().ok();
        }
        if line.contains("ready to receive") {
            break;
        }
    }
    let address = ("127.0.0.1", port.unwrap());
    // Each has two lines; the pipe holds 64 KiB.
    for _ in 0..2000 {
        drop(TcpStream::connect(address).unwrap());
    }
    (child, log)
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_the_server_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _log) = server_with_a_full_log(folder.path());
    let started = Instant::now();
    Process::new(child.id()).signal(Signal::TERM);
    assert_eq!(wait_for_exit(&mut child, WAIT_LIMIT).code(), Some(0));
    assert!(started.elapsed() < WAIT_LIMIT);
}

#[test]
fn a_second_signal_ends_the_server_at_once_whatever_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _log) = server_with_a_full_log(folder.path());
    let process = Process::new(child.id());
    // A session that keeps the server waiting for its transfer is not needed: the first may have ended it already.
    process.signal(Signal::TERM);
    process.signal(Signal::TERM);
    let status = wait_for_exit(&mut child, WAIT_LIMIT);
    assert!(matches!(status.code(), Some(0 | 130)), "{status:?}");
}

#[test]
fn sighup_opens_the_log_file_again() {
    let place = tempfile::tempdir().unwrap();
    let (log, rotated) = (place.path().join("log"), place.path().join("log.1"));
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(binaries::ferryd())
        .args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--log-file"])
        .args([&log, folder.path()])
        .spawn()
        .unwrap();
    let has = |path: &std::path::Path, text: &str| {
        std::fs::read_to_string(path).is_ok_and(|content| content.contains(text))
    };
    wait_until("start", || has(&log, "ready to receive"));
    std::fs::rename(&log, &rotated).unwrap();
    Process::new(child.id()).signal(Signal::HUP);
    wait_until("the new file", || log.exists());
    Process::new(child.id()).signal(Signal::TERM);
    assert_eq!(wait_for_exit(&mut child, WAIT_LIMIT).code(), Some(0));
    assert!(has(&log, "Stopping") && has(&log, "Stopped"));
    assert!(has(&rotated, "ready to receive") && !has(&rotated, "Stopping"));
}

#[test]
fn sighup_without_a_log_file_stops_in_good_order() {
    let mut server = Server::start();
    server.process().signal(Signal::HUP);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    server.wait_for_log("Stopped");
}

#[test]
fn what_peers_do_makes_so_many_lines_and_the_rest_is_counted() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    for _ in 0..200 {
        session.send("stat missing\n".repeat(50));
        for _ in 0..50 {
            session.answer().outcome.unwrap_err();
        }
    }
    server.wait_for_log("lines about 127.0.0.1: too many at once");
    let lines = server.log().len();
    assert!(lines < 5000, "{lines} lines for 10,000 refusals");
}

#[test]
fn connections_are_not_in_the_log_at_its_usual_level() {
    let server = Server::start();
    Conversation::with(&server).ask("help").outcome.unwrap();
    let chatty = Options::default().arguments(&["--log-level", "debug"]).start();
    Conversation::with(&chatty).ask("help").outcome.unwrap();
    chatty.wait_for_log("Established Connection with");
    assert!(!server.log().iter().any(|line| line.contains("Connection with")));
}
