//! FTP sessions beside the others: the port, the start, listings, and what is heard while a transfer runs.
#![allow(clippy::unwrap_used)]

use ferry_tests::binaries;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ftp::Ftp;
use ferry_tests::server::{Options, Server};
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

/// More than the buffers of a connection take.
const LARGE: Content = Content { seed: 4, size_bytes: 64 << 20 };

#[test]
fn a_port_that_was_asked_for_must_be_had_and_ftp_can_be_left_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut ferryd = Command::new(binaries::ferryd());
    ferryd.args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--ftp-port", &port]);
    let output = ferryd.arg(folder.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains(&format!("port {port} is in use")) && told.contains("--ftp-port"), "{told}");

    let server = Options::default().arguments(&["--no-ftp"]).start();
    assert!(!server.log().iter().any(|line| line.contains("FTP")), "{:?}", server.log());
}

#[test]
fn a_session_is_greeted_logged_in_and_answered() {
    let server = Server::start();
    std::fs::create_dir_all(server.path("sub/inner")).unwrap();
    server.put("sub/a file", "content");
    let mut ftp = Ftp::connect(server.ftp_address());
    assert_eq!(ftp.command("RETR sub/a file").code, 530);
    assert_eq!(ftp.command("USER anonymous").code, 331);
    assert_eq!(ftp.command("PASS me@").code, 230);
    assert_eq!(ftp.command("TYPE I").code, 200);
    assert!(ftp.command("PWD").text().starts_with("257 \"/\""));
    assert_eq!(ftp.command("CWD sub").code, 250);
    assert!(ftp.command("PWD").text().starts_with("257 \"/sub\""));
    assert_eq!(ftp.command("CWD a file").code, 550);
    assert_eq!(ftp.command("SIZE a file").text(), "213 7");
    assert_eq!(ftp.receive("RETR a file").0, b"content");
    assert_eq!(ftp.receive("RETR /sub/a file").0, b"content");
    assert_eq!(ftp.receive("RETR ../sub/a file").0, b"content");
    assert_eq!(ftp.receive("RETR ../../../sub/a file").0, b"content");
    assert_eq!(ftp.command("MKD new \"quoted\"").code, 257);
    assert!(server.path("sub/new \"quoted\"").is_dir());
    assert_eq!(ftp.command("DELE inner").code, 550);
    assert_eq!(ftp.command("RMD a file").code, 550);
    assert_eq!(ftp.command("RMD inner").code, 250);
    assert_eq!(ftp.command("RNFR a file").code, 350);
    assert_eq!(ftp.command("RNTO /moved").code, 250);
    assert_eq!(ftp.command("DELE /moved").code, 250);
    assert_eq!(ftp.command("DELE /moved").code, 550);
    assert_eq!(ftp.command("QUIT").code, 221);
    ftp.expect_end();
}

#[test]
fn a_download_goes_on_where_it_is_asked_to() {
    let server = Server::start();
    server.put("file", Content::new(1, 100_000).bytes());
    let mut ftp = Ftp::login(server.ftp_address());
    for offset in [0, 1, 99_999, 100_000] {
        assert_eq!(ftp.command(format!("REST {offset}")).code, 350);
        let (bytes, reply) = ftp.receive("RETR file");
        assert!(bytes == Content::new(1, 100_000).bytes()[offset..], "{offset}");
        assert_eq!(reply.code, 226);
    }
    assert_eq!(ftp.command("REST 100001").code, 350);
    assert!(ftp.receive("RETR file").1.code >= 500);
    // It was for that one transfer.
    assert_eq!(ftp.receive("RETR file").0.len(), 100_000);
}

#[test]
fn a_listing_of_very_many_names_is_whole_and_costs_the_server_little_memory() {
    const NAMES: usize = 60_000;
    let server = Server::start();
    std::fs::create_dir(server.path("many")).unwrap();
    for number in 0..NAMES {
        File::create(server.path(format!("many/name-{number}"))).unwrap();
    }
    server.put("line\nbreak", "");
    let mut ftp = Ftp::login(server.ftp_address());
    let before_bytes = server.process().resident_bytes();
    for command in ["MLSD many", "LIST many", "NLST many"] {
        let (text, reply) = ftp.receive(command);
        assert_eq!(reply.code, 226);
        let text = String::from_utf8(text).unwrap();
        let mut names: Vec<&str> =
            text.split_terminator("\r\n").map(|line| line.rsplit([' ', '/']).next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES, "{command}");
    }
    let grown_bytes = server.process().peak_resident_bytes().saturating_sub(before_bytes);
    assert!(grown_bytes < 4 << 20, "grown by {grown_bytes} bytes");
    let (text, reply) = ftp.receive("NLST");
    assert_eq!(text, b"many\r\n");
    assert!(reply.text().contains("left out") && reply.text().contains(": 1."), "{reply:?}");
}

#[test]
fn what_comes_while_a_transfer_runs_waits_but_for_questions_and_an_abort() {
    let server = Server::start();
    server.put("large", LARGE.bytes());
    let mut ftp = Ftp::login(server.ftp_address());
    let mut data = ftp.passive();
    assert_eq!(ftp.command("RETR large").code, 150);
    ftp.send("NOOP");
    assert!([211, 213].contains(&ftp.command("STAT").code), "told in the middle");
    let mut content = Vec::new();
    data.read_to_end(&mut content).unwrap();
    assert!(content == LARGE.bytes());
    assert_eq!(ftp.reply().code, 226);
    assert_eq!(ftp.reply().code, 200, "the NOOP had to wait");

    let mut data = ftp.passive();
    assert_eq!(ftp.command("RETR large").code, 150);
    ftp.interrupt("ABOR");
    assert_eq!(ftp.reply().code, 426);
    assert_eq!(ftp.reply().code, 226);
    content.clear();
    let ended = data.read_to_end(&mut content);
    assert!(ended.is_err() && content.len() < LARGE.bytes().len(), "it does not look whole");
    assert!(ftp.receive("RETR large").0 == LARGE.bytes());
}

#[test]
fn what_never_ends_its_line_is_held_within_bounds() {
    let server = Server::start();
    let mut ftp = Ftp::login(server.ftp_address());
    ftp.send("x".repeat(100_000));
    assert_eq!(ftp.reply().code, 500);
    ftp.expect_end();
    let mut ftp = Ftp::connect(server.ftp_address());
    ftp.send("y".repeat(10_000));
    assert_eq!(ftp.reply().code, 500);
    ftp.expect_end();
    // Others do not notice.
    assert_eq!(Ftp::login(server.ftp_address()).command("NOOP").code, 200);
    assert!(Conversation::with(&server).ask("ls\n").outcome.is_ok());
}
