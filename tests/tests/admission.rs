//! Clients that hold connections without doing anything with them, or more than their share of what there is, keep no
//! others out.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::reply::Reply;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, connect_from};
use ferry_tests::random::Random;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::{wait_for, wait_until};
use rustix::process::Signal;
use std::collections::VecDeque;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Far more than it takes, and far less than waiting for what others hold.
const SOON: Duration = Duration::from_secs(3);

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

/// How a client leaves: with an answer, without a word, by a reset, in the middle of a command or of an upload.
fn leave(mut session: Conversation, random: &mut Random) {
    match random.below(5) {
        0 => {
            session.ask("exit").outcome.unwrap();
            session.expect_end();
        }
        1 => drop(session),
        2 => session.reset(),
        3 => session.send("upload half"),
        _ => {
            let _ = session.announce_upload("file", 2 << 20);
            session.send_data(Content { seed: 1, size_bytes: 2 << 20 }, 0, 1 << 20);
        }
    }
}

/// Every place is taken at each moment by a client that is there, and by no other.
#[test]
fn clients_that_are_refused_and_clients_that_leave_take_no_place_with_them() {
    const PLACES: usize = 6;
    let server = Options::default().arguments(&["--max-sessions", &PLACES.to_string()]).start();
    let mut random = Random::new(8);
    let (mut inside, mut refused) = (Vec::<Conversation>::new(), VecDeque::new());
    for _ in 0..400 {
        if inside.len() == PLACES {
            let mut session = Conversation::with(&server);
            assert_eq!(session.answer().code(), ErrorCode::Busy);
            // Some go at once, and some stay although they were told to go.
            if random.one_in(2) {
                refused.push_back(session);
            }
        } else {
            // The server may still be about to find out that another has left.
            inside.push(wait_for("place", || {
                let mut session = Conversation::with(&server);
                session.try_send("stat .\n").ok()?;
                session.answer().outcome.is_ok().then_some(session)
            }));
        }
        while random.one_in(2) && !inside.is_empty() {
            let index = usize::try_from(random.below(inside.len() as u64)).unwrap();
            leave(inside.swap_remove(index), &mut random);
        }
        if refused.len() > 20 {
            refused.pop_front();
        }
        inside.iter_mut().for_each(|session| drop(session.ask("stat .").outcome.unwrap()));
    }
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
fn lines_without_their_end_cost_a_bounded_amount_of_memory_and_only_while_they_are_there() {
    let server = Server::start();
    expect_to_be_served(&server);
    let before = server.process().resident_bytes();
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
    assert!(bytes < 60 << 20, "{bytes} bytes for 4,000 half lines of 32 KiB");
    drop(held);
    // What stays is what the allocator keeps of short pieces.
    let is_given_back = || server.process().resident_bytes() < before + (14 << 20);
    wait_until("the memory of the lines goes back to the system", is_given_back);
}

#[test]
fn no_session_ends_for_the_commands_that_very_many_have_sent_ahead() {
    const SESSIONS: usize = 2000;
    const AHEAD: usize = 100;
    let server = Server::start();
    let mut crowd: Vec<_> = (0..SESSIONS).map(|_| Conversation::from_host(2, &server)).collect();
    crowd.iter_mut().for_each(|session| drop(session.ask("help").outcome.unwrap()));
    // All of it is there at once.
    server.process().signal(Signal::STOP);
    let line = [b"stat ", &b"x".repeat(150)[..], b"\n"].concat().repeat(AHEAD);
    crowd.iter_mut().for_each(|session| session.send(&line));
    server.process().signal(Signal::CONT);
    for session in &mut crowd {
        for _ in 0..AHEAD {
            assert_eq!(session.answer().code(), ErrorCode::NotFound);
        }
    }
}

#[test]
fn one_address_with_all_sessions_gives_way_to_others_its_longest_idle_first() {
    let server = Options::default().arguments(&["--max-sessions", "8"]).start();
    let mut crowd: Vec<_> = (0..8).map(|_| Conversation::from_host(2, &server)).collect();
    crowd.iter_mut().rev().for_each(|session| drop(session.ask("stat .").outcome.unwrap()));
    assert_eq!(Conversation::from_host(2, &server).answer().code(), ErrorCode::Busy, "it has all there are");
    let mut others = Vec::new();
    for ended in 0..4 {
        let mut other = Conversation::from_host(3, &server);
        other.ask("stat .").outcome.unwrap();
        others.push(other);
        let mut session = crowd.pop().unwrap();
        assert_eq!(session.answer().code(), ErrorCode::Busy, "the {ended}. that was used longest ago");
        session.expect_end();
    }
    assert_eq!(Conversation::from_host(3, &server).answer().code(), ErrorCode::Busy, "both have as much");
    Conversation::from_host(4, &server).ask("stat .").outcome.unwrap();
    crowd.iter_mut().skip(1).for_each(|session| drop(session.ask("stat .").outcome.unwrap()));
}

#[test]
fn sessions_that_have_begun_a_command_and_do_not_go_on_give_way_too() {
    let server = Options::default().arguments(&["--max-sessions", "8"]).start();
    let mut crowd: Vec<_> = (0..8).map(|_| Conversation::from_host(2, &server)).collect();
    for session in &mut crowd {
        session.ask("stat .").outcome.unwrap();
        session.send("half a line");
    }
    let started = Instant::now();
    loop {
        let mut other = Conversation::from_host(3, &server);
        if other.ask("stat .").outcome.is_ok() {
            break;
        }
        assert!(started.elapsed() < SOON);
    }
}

/// A server with few places for data connections, and how many.
fn server_with_few_data_slots() -> (Server, usize) {
    let server = Options::default().arguments(&["--max-sessions", "400"]).open_files(1024).start();
    let line = server.wait_for_log("data connections");
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.iter().position(|&word| word == "data").unwrap();
    let slots = words[place - 1].parse().unwrap();
    assert!((10..200).contains(&slots), "{line}");
    (server, slots)
}

/// Begins an upload that does not go on after its first bytes.
fn begin_trickle(session: &mut Conversation, name: &str) {
    session.send(format!("upload {name} 1000000000\n"));
    let Reply::Data { port, ticket } = session.reply() else { panic!("no data connection for {name}") };
    let data = session.open_data(port, &ticket);
    std::io::Write::write_all(data, b"12345").unwrap();
}

#[test]
fn one_address_with_all_data_connections_gives_way_to_others() {
    let (server, slots) = server_with_few_data_slots();
    server.put("file", "content");
    let mut crowd: Vec<_> = (0..slots).map(|_| Conversation::from_host(2, &server)).collect();
    for (number, session) in crowd.iter_mut().enumerate() {
        begin_trickle(session, &format!("trickle{number}"));
    }
    // More of the same address wait, ahead of the others.
    let mut waiting: Vec<_> = (0..3 * slots).map(|_| Conversation::from_host(2, &server)).collect();
    waiting.iter_mut().for_each(|session| session.send("download file\n"));
    let started = Instant::now();
    for _ in 0..slots / 4 {
        let mut other = Conversation::from_host(3, &server);
        assert_eq!(other.download("file").unwrap(), b"content");
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// A server with a file whose digest takes for ever, `sparse`, and a small one.
fn server_with_sparse_file() -> Server {
    let server = Server::start();
    let sparse = std::fs::File::create(server.path("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    server.put("small", "content");
    server
}

#[test]
fn digests_that_one_address_asks_for_keep_no_other_address_waiting() {
    let server = server_with_sparse_file();
    let mut crowd: Vec<_> = (0..100).map(|_| Conversation::from_host(2, &server)).collect();
    crowd.iter_mut().for_each(|session| session.send("sum sparse\n"));
    let started = Instant::now();
    for _ in 0..5 {
        Conversation::from_host(3, &server).ask("sum small").outcome.unwrap();
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

#[test]
fn digests_for_those_who_have_gone_are_given_up_within_a_round_trip() {
    let server = server_with_sparse_file();
    for _ in 0..4 {
        let mut crowd: Vec<_> = (0..64).map(|_| Conversation::with(&server)).collect();
        crowd.iter_mut().for_each(|session| session.send("sum sparse\n"));
    }
    let started = Instant::now();
    Conversation::with(&server).ask("sum small").outcome.unwrap();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}
