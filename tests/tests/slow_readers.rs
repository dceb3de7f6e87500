//! A client that asks for more than it reads costs the server a bounded outbox, at whatever speed it reads.
#![allow(clippy::unwrap_used)]

use ferry_tests::conversation::connect;
use ferry_tests::server::Server;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Read by the faster client before memory is looked at, so that all that grows once has grown...
const FIRST_BYTES: usize = 2 << 20;
/// ...and from there on: a server that keeps what it has sent keeps all of this.
const READ_BYTES: usize = 12 << 20;
/// What the memory may grow by meanwhile: two outboxes, and what a process grows by of itself.
const GROWTH_MAX_BYTES: u64 = 2 << 20;
/// A megabyte in half a second, piece by piece.
const PIECE_BYTES: usize = 16 << 10;
const PIECE_PAUSE: Duration = Duration::from_millis(5);

fn pipelining(server: &Server) -> TcpStream {
    let mut stream = connect(server.control_address());
    stream.write_all(&b"ls\n".repeat(5000)).unwrap();
    stream
}

/// Reads so many bytes at the faster client's speed; after each piece, `meanwhile` has its turn.
fn read_paced(stream: &mut TcpStream, bytes: usize, mut meanwhile: impl FnMut()) {
    let mut piece = vec![0; PIECE_BYTES];
    for _ in 0..bytes / PIECE_BYTES {
        stream.read_exact(&mut piece).unwrap();
        meanwhile();
        std::thread::sleep(PIECE_PAUSE);
    }
}

#[test]
fn a_slow_reader_of_listings_costs_no_more_than_its_outbox() {
    let server = Server::start();
    for number in 0..1500 {
        server.put(format!("{}{number}", "a-long-name-".repeat(16)), "");
    }
    // 2 MB/s, and 1 kB/s.
    let (mut slow, mut slower) = (pipelining(&server), pipelining(&server));
    read_paced(&mut slow, FIRST_BYTES, || {});
    let before_bytes = server.process().resident_bytes();
    let mut most_bytes = before_bytes;
    read_paced(&mut slow, READ_BYTES, || {
        slower.read_exact(&mut [0; 5]).unwrap();
        most_bytes = most_bytes.max(server.process().resident_bytes());
    });
    let growth_bytes = most_bytes - before_bytes;
    assert!(growth_bytes < GROWTH_MAX_BYTES, "grown by {growth_bytes} bytes");
}
