//! A client that asks for more than it reads costs the server a bounded outbox, at whatever speed it reads, and a download
//! that is read slowly costs it nothing.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::Server;
use ferry_tests::wait::WAIT_LIMIT;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far more than a download takes beside others that read little.
const SOON: Duration = Duration::from_secs(5);
const CLIENTS: usize = 8;
/// Read by each client before memory is looked at, so that all that grows once has grown...
const FIRST_BYTES: usize = 1 << 20;
/// ...and from there on: a server that keeps what it has sent keeps most of this.
const READ_BYTES: usize = 4 << 20;
/// What the memory may grow by meanwhile: the outboxes, and what a process grows by of itself.
const GROWTH_MAX_BYTES: u64 = 3 << 20;
/// More than a megabyte a second, piece by piece.
const PIECE_BYTES: usize = 4 << 10;
const PIECE_PAUSE: Duration = Duration::from_millis(2);

const RECEIVE_BUFFER_BYTES: usize = 4 << 10;
/// Least, usual and largest size of the system's send buffers, so small that the outbox is never empty.
const SEND_BUFFERS: &str = "4096 16384 32768";

/// A client that asks for far more than it will read.
fn pipelining(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    socket.connect(&server.control_address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
    stream.write_all(&b"ls\n".repeat(5000)).unwrap();
    stream
}

/// Has each client read so many bytes; after each piece, `meanwhile` has its turn.
fn read_paced(clients: &mut [TcpStream], bytes: usize, mut meanwhile: impl FnMut()) {
    let mut piece = vec![0; PIECE_BYTES];
    for _ in 0..bytes / PIECE_BYTES {
        for client in &mut *clients {
            client.read_exact(&mut piece).unwrap();
        }
        meanwhile();
        std::thread::sleep(PIECE_PAUSE);
    }
}

#[test]
fn slow_readers_of_listings_cost_no_more_than_their_outboxes() {
    let server = Server::start();
    for number in 0..1500 {
        server.put(format!("{}{number}", "a-long-name-".repeat(16)), "");
    }
    let mut slower = pipelining(&server);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| pipelining(&server)).collect();
    read_paced(&mut clients, FIRST_BYTES, || {});
    let before_bytes = server.process().resident_bytes();
    let mut most_bytes = before_bytes;
    read_paced(&mut clients, READ_BYTES, || {
        // About a kilobyte a second.
        slower.read_exact(&mut [0; 4]).unwrap();
        most_bytes = most_bytes.max(server.process().resident_bytes());
    });
    let growth_bytes = most_bytes - before_bytes;
    assert!(growth_bytes < GROWTH_MAX_BYTES, "grown by {growth_bytes} bytes");
}

/// Each of them reads a little now and then, and has far more to read than the sockets hold.
#[test]
fn slow_readers_of_downloads_cost_little_and_hold_up_no_other_client() {
    const READERS: usize = 100;
    const OTHERS: usize = 20;
    let content = Content { seed: 5, size_bytes: 32 << 20 };
    let server = Server::start();
    server.put("big", content.bytes());
    let slow = || {
        let mut session = Conversation::with(&server);
        assert_eq!(session.ask_for_download("big"), Ok(content.size_bytes));
        session
    };
    let mut slow: Vec<_> = (0..READERS).map(|_| slow()).collect();
    let before_bytes = server.process().resident_bytes();
    let mut read_bytes = 0;
    for _ in 0..OTHERS {
        slow.iter_mut().for_each(|session| session.expect_data(content, read_bytes, read_bytes + 1000));
        read_bytes += 1000;
        let started = Instant::now();
        let length = Conversation::with(&server).download_to("big", 0, |_, _| {}).unwrap();
        assert_eq!(length, content.size_bytes);
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    }
    let growth_bytes = server.process().resident_bytes().saturating_sub(before_bytes);
    assert!(growth_bytes < GROWTH_MAX_BYTES, "grown by {growth_bytes} bytes");
    // They have lost nothing by it.
    slow[0].expect_data(content, read_bytes, content.size_bytes);
    slow[0].answer().outcome.unwrap();
}

/// The same with small send buffers, as the system gives them to connections that are no loopback, in a network
/// of its own where that can be set.
#[test]
#[ignore = "needs root; tests/checks runs it"]
fn slow_readers_of_listings_cost_no_more_than_their_outboxes_behind_small_send_buffers() {
    let this = std::env::current_exe().unwrap();
    let script = "ip link set lo up && echo $0 > /proc/sys/net/ipv4/tcp_wmem && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, SEND_BUFFERS]).arg(this);
    command.args(["--exact", "slow_readers_of_listings_cost_no_more_than_their_outboxes"]);
    assert!(command.status().unwrap().success());
}
