//! Browsers, TLS clients and noise at the two ports: they are sent away, and nothing that they send is done.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::NO_COMMAND_LINES_MAX;
use ferry_tests::conversation::{Conversation, connect, read_to_end};
use ferry_tests::server::Server;
use std::io::Write;
use std::process::{Command, Stdio};

const BODY: &str = "rm precious.txt\nmkdir harm\n";

fn server() -> Server {
    let server = Server::start();
    server.put("precious.txt", "content");
    server
}

/// Everything in the folder is as it was.
#[track_caller]
fn expect_unharmed(server: &Server) {
    // Whatever was to be done is done before this is answered.
    assert_eq!(Conversation::with(server).ask("ls").names(), [b"precious.txt"]);
}

#[test]
fn a_web_page_cannot_remove_a_file_with_curl_as_its_browser() {
    let server = server();
    for method in ["POST", "PUT", "rm", "mv"] {
        let url = format!("http://{}/", server.control_address());
        let arguments = ["-sS", "--http0.9", "--max-time", "20", "-X", method, "--data-binary", BODY, &url];
        // Not every machine has it; what it sends is sent below as well.
        let Ok(output) = Command::new("curl").args(arguments).output() else { return };
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(answer.starts_with("err wrong-protocol "), "{method}: {answer}");
        assert_eq!(answer.lines().count(), 1, "{method}: {answer}");
        expect_unharmed(&server);
    }
}

#[test]
fn whatever_comes_behind_the_first_line_of_another_protocol_is_not_done() {
    let server = server();
    for head in [
        "POST / HTTP/1.1\r\nHost: nas\r\nContent-Length: 26\r\n\r\n",
        "GET / HTTP/1.0\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "host: nas\r\n",
        "\x16\x03\x01\x02\n",
        &"nonsense\n".repeat(NO_COMMAND_LINES_MAX),
    ] {
        let mut session = Conversation::with(&server);
        session.send([head, BODY].concat());
        let mut answers: Vec<_> = std::iter::from_fn(|| session.line()).collect();
        let last = String::from_utf8(answers.pop().unwrap()).unwrap();
        assert!(last.starts_with("err wrong-protocol "), "{head:?}: {last}");
        assert!(answers.iter().all(|line| line.starts_with(b"err unknown-command ")), "{head:?}");
        expect_unharmed(&server);
    }
}

#[test]
fn a_hello_of_tls_is_answered_at_once_though_no_line_of_it_is_complete() {
    let server = server();
    let mut session = Conversation::with(&server);
    session.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(session.answer().code(), ErrorCode::WrongProtocol);
    session.expect_end();
}

#[test]
fn a_data_connection_ends_at_its_first_byte_that_is_none_of_a_ticket() {
    let server = server();
    for line in ["GET / HTTP/1.1\r\n", "P", "\x16\x03\x01", "Host: nas\r\n", "\n", "0000x"] {
        let mut data = connect(server.data_address());
        data.write_all(line.as_bytes()).unwrap();
        // Without the refusal, the end comes when the time for a ticket is over.
        let started = std::time::Instant::now();
        assert_eq!(read_to_end(&mut data), b"", "{line:?}");
        assert!(started.elapsed() < ferry_common::limits::TICKET_LINE_TIMEOUT / 2, "{line:?}");
    }
}

/// A person who mistypes sees one message each, and goes on.
#[test]
fn a_person_may_mistype_many_times() {
    let server = server();
    let mut session = Conversation::with(&server);
    for _ in 0..3 {
        for _ in 1..NO_COMMAND_LINES_MAX {
            assert_eq!(session.ask("sl").code(), ErrorCode::UnknownCommand);
        }
        assert!(session.ask("ls").outcome.is_ok());
    }
}

#[test]
fn a_tls_client_is_sent_away_on_both_ports() {
    let server = server();
    for address in [server.control_address(), server.data_address()] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address.to_string()]);
        openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut client) = openssl.spawn() else { return };
        let status =
            ferry_tests::server::wait_for_exit(&mut client, ferry_common::limits::TICKET_LINE_TIMEOUT / 2);
        assert!(!status.success());
    }
    expect_unharmed(&server);
}
