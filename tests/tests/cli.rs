//! How `ferryd` starts, says why it cannot, and stops.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_tests::binaries;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, read_to_end};
use ferry_tests::ferry::{Finished, Running};
use ferry_tests::server::{ON_FREE_PORTS, Options, Server};
use ferry_tests::terminal::Terminal;
use ferry_tests::wait::wait_until;
use rustix::process::Signal;
use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A user without any particular rights.
const NOBODY: u32 = 65534;
const BIG: Content = Content { seed: 4, size_bytes: 64 << 20 };
const READ_BYTES: u64 = 1 << 20;

fn ferryd(arguments: &[&str]) -> Finished {
    let mut command = Command::new(binaries::ferryd());
    command.args(["--listen", "127.0.0.1"]).args(arguments);
    Running::start(command, b"").finish()
}

/// One line that says what is wrong, with what, and what to do about it.
#[track_caller]
fn expect_one_clear_line(run: &Finished, about: &str, advice: &str) {
    run.expect_status(1);
    let lines = run.stderr_lines();
    assert_eq!(lines.len(), 1, "{}", run.stderr);
    assert!(lines[0].contains(about), "{about:?} is not in {:?}", lines[0]);
    assert!(lines[0].contains(advice), "{advice:?} is not in {:?}", lines[0]);
    assert_eq!(run.stdout, "");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_port_in_use_is_told_in_one_line() {
    let folder = folder();
    let directory = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = ferryd(&["--port", &port, "--data-port", "0", "--ftp-port", "0", directory]);
    expect_one_clear_line(&run, &port, "--port");
    let run = ferryd(&["--port", "0", "--data-port", &port, directory]);
    expect_one_clear_line(&run, &port, "--data-port");
}

#[test]
fn a_folder_that_is_missing_is_told_in_one_line() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let run = ferryd(&["--port", "0", "--data-port", "0", "--ftp-port", "0", missing.to_str().unwrap()]);
    expect_one_clear_line(&run, missing.to_str().unwrap(), "create it");
}

#[test]
fn a_file_in_place_of_a_folder_is_told_in_one_line() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let run = ferryd(&["--port", "0", "--data-port", "0", "--ftp-port", "0", file.to_str().unwrap()]);
    expect_one_clear_line(&run, file.to_str().unwrap(), "not a folder");
}

/// A run of `ferryd` for a folder, as a user to whom permissions apply.
fn ferryd_as_nobody(home: &Path, arguments: &[&str], folder: &Path) -> Command {
    std::fs::set_permissions(home, Permissions::from_mode(0o755)).unwrap();
    let program = home.join("ferryd");
    if !program.exists() {
        // That user may not look where the original lies. This process must not write the copy itself: whatever
        // another test starts meanwhile would hold it open for writing, and it could not be run.
        assert!(Command::new("cp").arg(binaries::ferryd()).arg(&program).status().unwrap().success());
    }
    let mut command = Command::new(program);
    command.args(ON_FREE_PORTS).args(arguments).arg(folder);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    command
}

#[test]
fn a_folder_that_is_not_readable_is_told_in_one_line() {
    let home = folder();
    let closed = home.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let run = Running::start(ferryd_as_nobody(home.path(), &[], &closed), b"").finish();
    expect_one_clear_line(&run, closed.to_str().unwrap(), "permissions");
}

#[test]
fn a_folder_that_is_not_writable_is_told_in_one_line_and_can_be_served_read_only() {
    let home = folder();
    let shared = home.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, Permissions::from_mode(0o555)).unwrap();
    let run = Running::start(ferryd_as_nobody(home.path(), &[], &shared), b"").finish();
    expect_one_clear_line(&run, shared.to_str().unwrap(), "--read-only");
    let server = Server::of(ferryd_as_nobody(home.path(), &["--read-only"], &shared), &shared);
    assert!(Conversation::with(&server).ask("ls").outcome.is_ok());
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for arguments in [
        &["--port", "65536"][..],
        &["--port", "x"],
        &["--fly"],
        &["--max-sessions", "0"],
        &["--listen", "not-an-address"],
        &["--log-level", "loud"],
        &["one", "two"],
    ] {
        let run = ferryd(arguments);
        run.expect_status(2);
        assert!(!run.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_results() {
    let run = ferryd(&["--help"]);
    run.expect_status(0);
    for flag in [
        "--listen",
        "--port",
        "--data-port",
        "--read-only",
        "--max-sessions",
        "--log-level",
        "--log-file",
        "DIR",
    ] {
        assert!(run.stdout.contains(flag), "{flag} is not in the help");
    }
    assert!(run.stdout.contains("2222") && run.stdout.contains("3333"));
    let run = ferryd(&["--version"]);
    run.expect_status(0);
    assert!(run.stdout.starts_with("ferryd "), "{}", run.stdout);
}

#[test]
fn it_tells_what_happens() {
    let server = Options::default().arguments(&["--log-level", "debug"]).start();
    server.put("a.txt", vec![7; 3552]);
    let mut session = Conversation::with(&server);
    session.ask("ls");
    session.download("a.txt").unwrap();
    session.download("nothing").unwrap_err();
    session.upload("c.txt", b"content").unwrap();
    let address = session.stream().local_addr().unwrap().to_string();
    session.ask("exit");
    for text in [
        &format!("Established Connection with: {address}"),
        "MSG: Received ls command",
        "MSG: Received download command",
        "127.0.0.1 could not download nothing: no such file (not-found)",
        "127.0.0.1 downloaded a.txt  3.6 kB  ",
        "MSG: Received upload command",
        "127.0.0.1 uploaded c.txt  7 B  ",
        "127.0.0.1 left: downloaded 1 file (3.6 kB), uploaded 1 file (7 B)",
    ] {
        server.wait_for_log(text);
    }
}

#[test]
fn the_log_may_go_to_a_file() {
    let home = folder();
    let log = home.path().join("log");
    let served = home.path().join("served");
    std::fs::create_dir(&served).unwrap();
    let mut command = Command::new(binaries::ferryd());
    command.args(ON_FREE_PORTS).args(["--log-file"]);
    command.arg(&log).arg(&served);
    let mut child = command.spawn().unwrap();
    wait_until("log in the file", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("The server is ready to receive"))
    });
    ferry_tests::process::Process::new(child.id()).signal(Signal::TERM);
    assert!(ferry_tests::server::wait_for_exit(&mut child, ferry_tests::wait::WAIT_LIMIT).success());
}

#[test]
fn more_sessions_than_allowed_are_told_so() {
    let server = Options::default().arguments(&["--max-sessions", "2"]).start();
    let (mut one, mut two) = (Conversation::with(&server), Conversation::with(&server));
    assert!(one.ask("hello").outcome.is_ok());
    assert!(two.ask("hello").outcome.is_ok());
    let mut three = Conversation::with(&server);
    assert_eq!(three.answer().code().word(), "busy");
    three.expect_end();
    drop(one);
    wait_until("room", || {
        let mut session = Conversation::with(&server);
        // A client that is turned away may find the connection closed already.
        session.try_send("hello\n").is_ok() && session.answer().outcome.is_ok()
    });
    assert!(two.ask("hello").outcome.is_ok());
}

#[test]
fn a_signal_ends_an_idle_server_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let mut sessions: Vec<Conversation> = (0..5).map(|_| Conversation::with(&server)).collect();
        sessions.iter_mut().for_each(|session| assert!(session.ask("hello").outcome.is_ok()));
        let began = Instant::now();
        server.process().signal(signal);
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
        for session in &mut sessions {
            expect_farewell(session);
        }
    }
}

/// A session that the server ends by itself is told why.
#[track_caller]
fn expect_farewell(session: &mut Conversation) {
    assert_eq!(session.answer().code(), ErrorCode::ShuttingDown);
    session.expect_end();
}

#[test]
fn a_server_that_was_asked_to_end_leaves_nothing_of_its_own_in_the_folder() {
    for _ in 0..5 {
        let mut server = Server::start();
        let mut session = Conversation::with(&server);
        session.upload("kept", b"content").unwrap();
        session.download("kept").unwrap();
        session.announce_upload("unfinished", 100).unwrap();
        server.process().signal(Signal::TERM);
        drop(session);
        assert_eq!(server.wait_for_exit().code(), Some(0));
        assert_eq!(server.files(), ["kept"]);
    }
}

#[test]
fn running_transfers_finish_before_the_server_ends() {
    let mut server = Server::start();
    let mut download = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let mut upload = Conversation::with(&server);
    upload.announce_upload("new", BIG.size_bytes).unwrap();
    upload.send_data(BIG, 0, READ_BYTES);
    server.process().signal(Signal::TERM);
    wait_until("end of accepting", || TcpStream::connect(server.control_address()).is_err());
    assert!(!server.has_exited());
    upload.send_data(BIG, READ_BYTES, BIG.size_bytes);
    assert_eq!(upload.answer().outcome.unwrap()[0], BIG.size_bytes.to_string());
    expect_farewell(&mut upload);
    download.expect_data(BIG, READ_BYTES, BIG.size_bytes);
    assert_eq!(download.answer().outcome, Ok(vec![BIG.size_bytes.to_string()]));
    expect_farewell(&mut download);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    assert_eq!(server.staged_files(), Vec::<String>::new());
    assert!(std::fs::read(server.path("new")).unwrap() == BIG.bytes());
}

#[test]
fn a_transfer_that_does_not_finish_in_time_is_cut_off() {
    let mut server = Server::start();
    let mut download = Conversation::in_a_download(&server, BIG, READ_BYTES);
    server.process().signal(Signal::TERM);
    // Nothing is read, so nothing can finish.
    assert_eq!(server.wait_for_exit().code(), Some(0));
    let rest = read_to_end(download.data.as_mut().unwrap());
    assert!((rest.len() as u64) < BIG.size_bytes - READ_BYTES);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start();
    let mut upload = Conversation::with(&server);
    server.put("file", "old");
    upload.announce_upload("file", BIG.size_bytes).unwrap();
    upload.send_data(BIG, 0, READ_BYTES);
    server.process().signal(Signal::TERM);
    wait_until("end of accepting", || TcpStream::connect(server.control_address()).is_err());
    assert!(!server.has_exited());
    let began = Instant::now();
    server.process().signal(Signal::TERM);
    server.wait_for_exit();
    assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    assert_eq!(std::fs::read(server.path("file")).unwrap(), b"old");
}

/// What is wrong with the arguments repeats them.
#[test]
fn no_argument_reaches_the_terminal_as_what_a_terminal_obeys() {
    for (program, arguments) in [
        (binaries::ferry(), ["-c", "downlod a\x1b]0;x\x07"]),
        (binaries::ferry(), ["--retry-for", "\x1b[31m"]),
        (binaries::ferryd(), ["--port", "\x1b]0;x\x07"]),
    ] {
        let mut command = Command::new(program);
        command.args(arguments);
        let mut terminal = Terminal::run(command);
        assert_eq!(terminal.wait_for_exit(), 2);
        let output = terminal.output();
        assert!(output.starts_with(b"error: "), "{}", output.escape_ascii());
        let is_harmless = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\r' | b'\n');
        assert!(output.iter().all(is_harmless), "{}", output.escape_ascii());
    }
}
