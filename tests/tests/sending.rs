//! How downloads leave the server: what a slow reader costs, and which files cannot be sent.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_server::limits::SOCKET_UNSENT_BYTES;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::wait_until;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

/// More than any socket holds.
const BIG: Content = Content { seed: 7, size_bytes: 64 << 20 };
/// Commands in the time of which the server has filled a socket as far as it does.
const ROUND_TRIPS: usize = 200;
/// Looks in a row that find a socket's queue unchanged, after which nothing is on its way.
const QUIET_LOOKS: usize = 20;

#[test]
fn a_reader_that_stops_pins_little_memory_of_the_system() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, 1 << 20);
    let mut other = Conversation::with(&server);
    for _ in 0..ROUND_TRIPS {
        other.ask("ls").outcome.unwrap();
    }
    let data = session.data.as_ref().unwrap();
    let (mut queued, mut looks) = (0, 0);
    // What the peer's system has and has not acknowledged yet counts as well; it is on its way, and comes to an end.
    wait_until("end of what is on its way", || {
        let before = queued;
        queued = queued_bytes(data.peer_addr().unwrap(), data.local_addr().unwrap());
        looks = if queued == before { looks + 1 } else { 0 };
        looks == QUIET_LOOKS
    });
    // What was sent and not acknowledged yet, one segment above the bound, and what one call adds to that.
    let most = 4 * u64::from(SOCKET_UNSENT_BYTES);
    assert!(queued > 0 && queued <= most, "{queued} bytes wait in the system");
}

/// What the system holds of a connection until its peer has it, as `/proc/net/tcp` tells.
fn queued_bytes(local: SocketAddr, remote: SocketAddr) -> u64 {
    let text = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("the tests use IPv4"),
    };
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_it = |line: &&str| line.contains(&format!("{} {}", text(local), text(remote)));
    let mut fields = connections.lines().find(of_it).expect("the connection").split_whitespace();
    let queue = fields.nth(4).and_then(|queues| queues.split(':').next()).unwrap();
    u64::from_str_radix(queue, 16).unwrap()
}

#[test]
fn a_file_that_says_that_it_is_empty_and_is_not_is_refused() {
    let server = Options::default().root(Path::new("/proc/self")).arguments(&["--read-only"]).start();
    let mut session = Conversation::with(&server);
    assert_eq!(session.download("status").unwrap_err().code, Some(ErrorCode::UnknownSize));
    assert_eq!(session.ask("sum status").code(), ErrorCode::UnknownSize);
    let ferry = Ferry::new();
    let run = ferry.run(server.control_address(), &["download status"]);
    run.expect_status(4);
    assert!(run.stderr.contains("size of this file is not known"), "{}", run.stderr);
    assert!(ferry.files().is_empty());
}

#[test]
fn an_empty_file_is_sent_as_one() {
    let server = Server::start();
    server.put("empty", "");
    let mut session = Conversation::with(&server);
    assert_eq!(session.download("empty"), Ok(Vec::new()));
    let data = session.data.as_mut().unwrap();
    data.set_nonblocking(true).unwrap();
    assert!(data.read(&mut [0]).is_err(), "nothing came");
}
