//! A thousand clients at once, each verifying each byte; and that the load generator sees what goes wrong.
#![allow(clippy::unwrap_used)]

use ferry_server::limits::FILES_AHEAD_MAX;
use ferry_tests::binaries;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::{Options, Server, wait_for_exit};
use ferry_tests::wait::wait_until;
use socket2::SockRef;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn swarm_command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::swarm());
    command.args(arguments).arg("127.0.0.1").arg(server.control_port().to_string());
    command
}

fn swarm(server: &Server, arguments: &[&str]) -> Output {
    swarm_command(server, arguments).args(["--timeout", "120"]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn expect_success(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("failures    none"), "{}", text(&output.stdout));
}

/// The counts of successes and failures of one kind of operation.
fn counts(output: &Output, kind: &str) -> (u64, u64) {
    let report = text(&output.stdout);
    let line = report.lines().find(|line| line.starts_with(&format!("{kind} "))).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[1].parse().unwrap(), words[2].parse().unwrap())
}

#[test]
fn a_thousand_clients_at_once_have_no_failure() {
    let server = Server::start();
    let baseline = server.process().descriptors();
    let output = swarm(&server, &["--clients", "1000", "--mix", "ls,download,upload", "--large-every", "50"]);
    expect_success(&output);
    assert!(text(&output.stdout).contains("1000 of 1000 at once"), "{}", text(&output.stdout));
    for kind in ["ls", "download", "upload", "read-back"] {
        assert_eq!(counts(&output, kind), (1000, 0), "{kind}");
    }
    wait_until("return of the descriptors", || server.process().descriptors() <= baseline + 2);
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

/// The number behind these words in what the server says at its start.
fn announced(server: &Server, before: &str, after: &str) -> usize {
    let line = server.wait_for_log("Room for ");
    let (_, rest) = line.split_once(before).unwrap();
    rest.split_once(after).unwrap().0.parse().unwrap()
}

/// Sessions that wait for a data connection have nothing else open, but for a few.
#[test]
fn a_crowd_in_line_leaves_room_for_others() {
    let server = Options::default().open_files(800).start();
    server.put("a", "a");
    let baseline = server.process().descriptors();
    let sessions = announced(&server, "Room for ", " sessions") - 1;
    let places = announced(&server, " sessions and ", " data connections");
    let ahead = FILES_AHEAD_MAX;
    assert!(sessions > 2 * (places + ahead), "{sessions} sessions, {places} places");
    let crowd: Vec<TcpStream> = (0..sessions)
        .map(|number| {
            let mut stream = TcpStream::connect(server.control_address()).unwrap();
            let command = if number % 2 == 0 { "download a\n" } else { "upload b 2000000\n" };
            stream.write_all(command.as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut other = Conversation::with(&server);
    assert!(other.ask("stat a").outcome.is_ok());
    let open = server.process().descriptors() - baseline;
    assert!(open <= sessions + 1 + places + ahead, "{open} descriptors for {sessions} sessions");
    // When the crowd has gone for good, there is room at once.
    for stream in crowd {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(other.download("a").unwrap(), b"a");
}

#[test]
fn commands_sent_ahead_have_no_failure() {
    let server = Server::start();
    let arguments = ["--clients", "200", "--rounds", "3", "--mix", "upload", "--ahead", "--large-every", "7"];
    let output = swarm(&server, &arguments);
    expect_success(&output);
    assert_eq!(counts(&output, "upload"), (600, 0));
    assert_eq!(counts(&output, "read-back"), (600, 0));
}

#[test]
fn idle_sessions_are_held_until_the_end_of_standard_input() {
    let server = Server::start();
    let mut command = swarm_command(&server, &["--clients", "1000", "--hold-idle", "600"]);
    let mut swarm = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(swarm.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "1000 sessions idle\n");
    assert!(server.process().descriptors() >= 1000);
    assert!(Conversation::with(&server).ask("ls").outcome.is_ok());
    drop(swarm.stdin.take());
    assert!(wait_for_exit(&mut swarm, Duration::from_secs(60)).success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("failures    none"), "{rest}");
}

#[test]
fn a_refusal_is_a_failure_of_the_run() {
    let server = Options::default().arguments(&["--read-only"]).start();
    let output = swarm(&server, &["--clients", "5", "--mix", "ls,upload"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("refused: read-only"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("ls without the shared file"), "{}", text(&output.stdout));
    assert_eq!(counts(&output, "upload"), (0, 5));
}

/// The shared file changes on the server's disk while all clients download it.
#[test]
fn one_wrong_byte_is_a_failure_of_the_run() {
    let server = Server::start();
    let (path, done) = (server.path("swarm-9-shared.bin"), AtomicBool::new(false));
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok(mut bytes) = std::fs::read(&path)
                    && bytes.len() == 5000
                {
                    bytes[4321] ^= 1;
                    std::fs::write(server.path("changed"), bytes).unwrap();
                    std::fs::rename(server.path("changed"), &path).unwrap();
                    return;
                }
                std::thread::yield_now();
            }
        });
        let arguments =
            ["--clients", "20", "--rounds", "100", "--mix", "download", "--size", "5000", "--seed", "9"];
        let output = swarm(&server, &arguments);
        done.store(true, Ordering::Relaxed);
        output
    });
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("mismatch"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("wrong byte at 4321"), "{}", text(&output.stdout));
}

#[test]
fn a_server_that_vanishes_is_a_failure_of_the_run() {
    let mut server = Server::start();
    let mut command = swarm_command(&server, &["--clients", "50", "--rounds", "1000000", "--timeout", "60"]);
    let swarm = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("uploads", || server.files().iter().filter(|name| name.starts_with("swarm-")).count() > 5);
    server.kill();
    let output = swarm.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("control connection lost"), "{}", text(&output.stdout));
}

#[test]
fn no_server_is_a_failure_at_once() {
    let server = Server::start();
    let command = swarm_command(&server, &["--clients", "5"]).stderr(Stdio::piped()).output();
    assert!(command.unwrap().status.success());
    let mut command = swarm_command(&server, &["--clients", "5"]);
    drop(server);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
}
