//! The server's log: bounded whatever peers do, opened again after a rotation, and never in the way of the end.
#![allow(clippy::unwrap_used)]

use ferry_tests::binaries;
use ferry_tests::conversation::{Conversation, read_to_end};
use ferry_tests::process::Process;
use ferry_tests::server::{ON_FREE_PORTS, Options, Server, wait_for_exit};
use ferry_tests::wait::{WAIT_LIMIT, wait_until};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// A server whose log is read no more, and the port that it listens on.
fn server_with_a_full_log(folder: &std::path::Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(binaries::ferryd())
        .args(ON_FREE_PORTS)
        .args(["--log-level", "debug"])
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
        .args(ON_FREE_PORTS)
        .args(["--log-file"])
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
        session.send("download missing\n".repeat(50));
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

/// What the log has at its usual level of a peer, without the time of day. How long something took, and how fast that was, is
/// left open.
fn told_of_peers(server: &Server) -> Vec<String> {
    let is_time = |figure: &str| figure.ends_with(" ms") || figure.ends_with(" s");
    let masked = |text: &str| {
        let (figures, reason) = text.split_once(": ").unwrap_or((text, ""));
        let figures: Vec<&str> = figures
            .split("  ")
            .filter(|figure| !figure.ends_with("/s"))
            .map(|figure| if is_time(figure) { "TIME" } else { figure })
            .collect();
        format!("{}{}{reason}", figures.join("  "), if reason.is_empty() { "" } else { ": " })
    };
    let lines = server.log();
    let lines = lines.iter().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, text)| text.contains("127.0.0.1")).map(|(_, text)| masked(text)).collect()
}

#[test]
fn each_finished_thing_is_one_line_in_true_words() {
    let server = Server::start();
    server.put("my film", vec![7; 1_500_000]);
    let mut session = Conversation::with(&server);
    session.download("my film").unwrap();
    session.download("nothing").unwrap_err();
    session.ask("partial large").outcome.unwrap_err();
    session.ask("stat large").outcome.unwrap_err();
    session.upload("c.txt", b"content").unwrap();
    for change in ["mkdir d", "mv c.txt d/c.txt", "rm d/c.txt"] {
        session.ask(change).outcome.unwrap();
    }
    session.ask("mkdir d").outcome.unwrap_err();
    session.ask("frobnicate").outcome.unwrap_err();
    session.ask("exit").outcome.unwrap();
    session.expect_end();
    drop(session);
    server.wait_for_log("left");
    assert_eq!(
        told_of_peers(&server),
        [
            "[INFO] 127.0.0.1 downloaded \"my film\"  1.5 MB  TIME",
            "[INFO] 127.0.0.1 could not download nothing: no such file (not-found)",
            "[INFO] 127.0.0.1 uploaded c.txt  7 B  TIME",
            "[INFO] 127.0.0.1 made the directory d",
            "[INFO] 127.0.0.1 renamed c.txt to d/c.txt",
            "[INFO] 127.0.0.1 removed d/c.txt",
            "[INFO] 127.0.0.1 could not make the directory d: this name is taken already (exists)",
            "[INFO] 127.0.0.1 sent a line that was refused: unknown command; try help (unknown-command)",
            "[INFO] 127.0.0.1 left: downloaded 1 file (1.5 MB), uploaded 1 file (7 B)",
        ]
    );
}

#[test]
fn a_transfer_that_is_cut_is_one_line_however_it_is_cut() {
    const SIZE_BYTES: u64 = 5_000_000;
    let server = Server::start();
    let mut closed = Conversation::with(&server);
    closed.announce_upload("closed", SIZE_BYTES).unwrap();
    closed.data.take();
    closed.answer().outcome.unwrap_err();
    let mut gone = Conversation::with(&server);
    gone.send(format!("upload gone {SIZE_BYTES}\n"));
    gone.reply();
    gone.reset();
    server.wait_for_log("uploading gone");
    let of = |name: &str, reason: &str| {
        format!("[WARN] 127.0.0.1 did not finish uploading {name}  0 B of 5.0 MB  TIME: {reason}")
    };
    let reason = "the connection was closed (broken-off)";
    assert_eq!(told_of_peers(&server), [of("closed", reason), of("gone", reason)]);
}

#[test]
fn transfers_that_the_end_of_the_server_cuts_are_told() {
    let mut server = Server::start();
    server.put("large", vec![7; 64 << 20]);
    let mut session = Conversation::with(&server);
    session.send("download large\n");
    session.begin_download().unwrap();
    server.process().signal(Signal::TERM);
    // Nothing is read, so nothing can finish.
    assert_eq!(server.wait_for_exit().code(), Some(0));
    server.wait_for_log("127.0.0.1 did not finish downloading large");
    read_to_end(session.data.as_mut().unwrap());
}

#[test]
fn a_refusal_says_what_was_refused_and_why() {
    let server = Options::default().arguments(&["--read-only"]).start();
    let mut session = Conversation::with(&server);
    session.upload("a", b"content").unwrap_err();
    server.wait_for_log("could not");
    assert_eq!(
        told_of_peers(&server),
        ["[INFO] 127.0.0.1 could not upload a: the server lets nothing be changed here (read-only)"]
    );
}
