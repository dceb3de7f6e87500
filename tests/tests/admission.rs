//! Those who hold connections without doing anything with them keep nobody out.
#![allow(clippy::unwrap_used)]

use ferry_tests::conversation::Conversation;
use ferry_tests::server::{Options, Server};
use std::collections::VecDeque;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Far more than it takes, and far less than waiting for what others hold.
const SOON: Duration = Duration::from_secs(3);

/// A connection from another address of this machine.
fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[track_caller]
fn expect_to_be_served(server: &Server) {
    let started = Instant::now();
    Conversation::with(server).ask("stat .").outcome.unwrap();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[test]
fn sessions_that_have_ended_but_are_not_closed_keep_nobody_out() {
    let server = Options::default().arguments(&["--max-sessions", "4"]).start();
    let mut lingering = Vec::new();
    for _ in 0..300 {
        let mut session = Conversation::with(&server);
        session.ask("exit").outcome.unwrap();
        lingering.push(session);
    }
    expect_to_be_served(&server);
}

#[test]
fn those_who_were_turned_away_keep_nobody_out() {
    let server = Options::default().arguments(&["--max-sessions", "4"]).start();
    let mut held: Vec<_> = (0..4).map(|_| Conversation::with(&server)).collect();
    held.iter_mut().for_each(|session| session.ask("stat .").outcome.map(drop).unwrap());
    let refused: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(server.control_address()).unwrap();
            let mut told = [0; 9];
            stream.read_exact(&mut told).unwrap();
            assert_eq!(&told, b"err busy ");
            stream
        })
        .collect();
    let mut leaving = held.pop().unwrap();
    leaving.ask("exit").outcome.unwrap();
    leaving.expect_end();
    expect_to_be_served(&server);
    drop(refused);
}

#[test]
fn data_connections_without_a_ticket_hold_up_no_transfer() {
    let server = Server::start();
    server.put("file", "content");
    let mut held: VecDeque<TcpStream> =
        (0..600_u32).map(|number| connect_from(2 + (number % 2) as u8, server.data_address())).collect();
    for _ in 0..20 {
        // Renewed as they are closed.
        for number in 0..20 {
            if let Some(oldest) = held.pop_front() {
                let _ = oldest.shutdown(Shutdown::Both);
            }
            held.push_back(connect_from(2 + number % 2, server.data_address()));
        }
        let started = Instant::now();
        assert_eq!(Conversation::with(&server).download("file").unwrap(), b"content");
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    }
}

#[test]
fn lines_without_their_end_cost_a_bounded_amount_of_memory() {
    let server = Server::start();
    let half = vec![b'x'; 32 * 1024];
    let mut held = Vec::new();
    for _ in 0..4000 {
        let mut stream = connect_from(2, server.control_address());
        // One that has given way already takes no more.
        let _ = std::io::Write::write_all(&mut stream, &half);
        held.push(stream);
    }
    expect_to_be_served(&server);
    let bytes = server.process().peak_resident_bytes();
    assert!(bytes < 120 << 20, "{bytes} bytes for 4,000 half lines of 32 KiB");
}
