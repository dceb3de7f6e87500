//! A data connection without a good ticket is closed, and running transfers do not notice.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::{TICKET_LINE_TIMEOUT, TICKET_TIMEOUT};
use ferry_common::wire::reply::Reply;
use ferry_common::wire::ticket::Ticket;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, connect, read_to_end};
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::WAIT_LIMIT;
use std::io::Write;
use std::time::Instant;

const BIG: Content = Content { seed: 7, size_bytes: 48 << 20 };
const READ_BYTES: u64 = 1 << 20;

#[track_caller]
fn expect_unharmed(mut session: Conversation) {
    session.expect_data(BIG, READ_BYTES, BIG.size_bytes);
    assert_eq!(session.answer().outcome, Ok(vec![BIG.size_bytes.to_string()]));
    assert_eq!(session.download("big").unwrap().len() as u64, BIG.size_bytes);
}

/// Begins a download of `small` up to its ticket.
#[track_caller]
fn ticket_of(session: &mut Conversation) -> (u16, Vec<u8>) {
    session.send("download small\n");
    match session.reply() {
        Reply::Data { port, ticket } => (port, ticket),
        other @ (Reply::Entry(_)
        | Reply::Download { .. }
        | Reply::Upload { .. }
        | Reply::Received { .. }
        | Reply::Digest { .. }
        | Reply::Space { .. }
        | Reply::Session(_)
        | Reply::Totals(_)
        | Reply::Info { .. }
        | Reply::Ok { .. }
        | Reply::Err { .. }) => panic!("{other:?}"),
    }
}

/// Presents a line on a new data connection: it is closed without a byte.
#[track_caller]
fn expect_turned_away(server: &Server, line: &[u8]) {
    let mut data = connect(server.data_address());
    // The server may have closed before all is sent.
    let _ = data.write_all(line);
    assert_eq!(read_to_end(&mut data), b"", "{}", line.escape_ascii());
}

#[test]
fn a_wrong_ticket_is_turned_away_at_once() {
    let server = Server::start();
    let running = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let nobodys = "0".repeat(Ticket::TEXT_BYTES);
    for line in [
        format!("{nobodys}\n"),
        format!("{}\n", "f".repeat(Ticket::TEXT_BYTES)),
        format!("{nobodys}0\n"),
        format!("{nobodys}\r\n"),
        "GET / HTTP/1.1\r\nHost: ferry.example.com\r\nUser-Agent: curl\r\n\r\n".to_owned(),
        "x".repeat(100_000),
        "\0\u{1b}\u{7f}\n".repeat(100),
    ] {
        let began = Instant::now();
        expect_turned_away(&server, line.as_bytes());
        assert!(began.elapsed() < TICKET_LINE_TIMEOUT / 2, "{line:?} was not turned away at once");
    }
    expect_unharmed(running);
}

#[test]
fn less_than_a_ticket_is_turned_away_when_its_time_is_up() {
    let server = Server::start();
    let running = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let began = Instant::now();
    let beginnings = ["", "0123", "short\n", "\n", "ls\n"];
    let mut all: Vec<_> = beginnings.iter().map(|_| connect(server.data_address())).collect();
    for (data, beginning) in all.iter_mut().zip(beginnings) {
        data.write_all(beginning.as_bytes()).unwrap();
    }
    for (data, beginning) in all.iter_mut().zip(beginnings) {
        assert_eq!(read_to_end(data), b"", "{beginning:?}");
        let took = began.elapsed();
        assert!(took < TICKET_LINE_TIMEOUT + WAIT_LIMIT / 2, "{beginning:?} was turned away after {took:?}");
        let is_complete = beginning.ends_with('\n');
        assert!(
            is_complete || took > TICKET_LINE_TIMEOUT / 2,
            "the rest of {beginning:?} had no time to come"
        );
    }
    expect_unharmed(running);
}

/// A client may be slow to present its ticket: it comes in pieces, and the first bytes may be its only ones
/// for a while.
#[test]
fn a_ticket_may_come_in_pieces() {
    let server = Server::start();
    server.put("small", "small");
    let mut session = Conversation::with(&server);
    let (port, ticket) = ticket_of(&mut session);
    let mut data = connect((server.data_address().ip(), port).into());
    for byte in [ticket.as_slice(), b"\n"].concat() {
        data.write_all(&[byte]).unwrap();
    }
    session.data = Some(data);
    assert_eq!(session.begin_download(), Ok(5));
    session.expect_data_bytes(b"small");
    assert!(session.answer().outcome.is_ok());
}

#[test]
fn a_ticket_works_once() {
    let server = Server::start();
    server.put("small", "small");
    let running = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let mut session = Conversation::with(&server);
    let (port, ticket) = ticket_of(&mut session);
    session.open_data(port, &ticket);
    assert_eq!(session.begin_download(), Ok(5));
    expect_turned_away(&server, &[ticket.as_slice(), b"\n"].concat());
    session.expect_data_bytes(b"small");
    assert!(session.answer().outcome.is_ok());
    expect_turned_away(&server, &[ticket.as_slice(), b"\n"].concat());
    // The connection that it did open still serves.
    assert_eq!(session.download("small").unwrap(), b"small");
    expect_unharmed(running);
}

#[test]
fn a_ticket_of_an_ended_session_is_turned_away() {
    let server = Options::default().arguments(&["--log-level", "debug"]).start();
    server.put("small", "small");
    let mut session = Conversation::with(&server);
    let (_, ticket) = ticket_of(&mut session);
    session.reset();
    server.wait_for_log("Closed connection with");
    expect_turned_away(&server, &[ticket.as_slice(), b"\n"].concat());
}

/// The key of one session with the secret of another opens neither.
#[test]
fn a_ticket_of_another_session_is_turned_away() {
    let server = Server::start();
    server.put("small", "small");
    let running = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let (mut one, mut other) = (Conversation::with(&server), Conversation::with(&server));
    let (port, ticket_of_one) = ticket_of(&mut one);
    let (_, ticket_of_other) = ticket_of(&mut other);
    assert_ne!(ticket_of_one, ticket_of_other);
    let mixed = [&ticket_of_one[..16], &ticket_of_other[16..], b"\n"].concat();
    expect_turned_away(&server, &mixed);
    for (mut session, ticket) in [(one, ticket_of_one), (other, ticket_of_other)] {
        session.open_data(port, &ticket);
        assert_eq!(session.begin_download(), Ok(5));
        session.expect_data_bytes(b"small");
        assert!(session.answer().outcome.is_ok());
    }
    expect_unharmed(running);
}

#[test]
fn an_expired_ticket_is_turned_away_and_the_session_goes_on() {
    let server = Server::start();
    server.put("small", "small");
    let running = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let mut session = Conversation::with(&server);
    let began = Instant::now();
    let (_, ticket) = ticket_of(&mut session);
    assert_eq!(session.answer().code(), ErrorCode::TimedOut);
    assert!(began.elapsed() >= TICKET_TIMEOUT.mul_f32(0.9));
    expect_turned_away(&server, &[ticket.as_slice(), b"\n"].concat());
    assert_eq!(session.download("small").unwrap(), b"small");
    expect_unharmed(running);
}
