//! Whatever comes at once is served over many turns of the reactor, so that nothing else waits for all of it. Run by
//! `tests/checks`, which sees to `strace`.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::reply::Reply;
use ferry_tests::conversation::{Conversation, connect};
use ferry_tests::server::{Options, Server};
use ferry_tests::swarm::raise_descriptor_limit;
use ferry_tests::tracing::recorder::{Call, Trace};
use ferry_tests::wait::wait_until;
use rustix::process::Signal;
use std::net::TcpStream;

const CROWD: usize = 600;
/// Many times what a step has time for while each call is traced, and far less than all.
const MOST_IN_A_TURN: usize = CROWD / 10;

/// Sees to it that all of `crowd` is there before the server looks, and tells the calls that it makes then until `end`.
fn trace_from_rest(server: &Server, crowd: impl FnOnce(), end: impl FnOnce()) -> Vec<Call> {
    server.process().signal(Signal::STOP);
    wait_until("the server has stopped", || server.process().is_stopped());
    crowd();
    let trace = Trace::attach(server.process());
    server.process().signal(Signal::CONT);
    end();
    trace.finish()
}

/// How often the reactor makes this call between two polls, at most; and in all.
fn count_by_turn(server: &Server, calls: &[Call], name: &str) -> (usize, usize) {
    let reactor = server.process().pid();
    let calls: Vec<&str> =
        calls.iter().filter(|call| call.thread == reactor).map(|call| call.name.as_str()).collect();
    let turns = calls.split(|&call| call == "epoll_wait");
    let most = turns.map(|turn| turn.iter().filter(|&&call| call == name).count()).max().unwrap();
    (most, calls.iter().filter(|&&call| call == name).count())
}

#[track_caller]
fn expect_many_turns(server: &Server, calls: &[Call], name: &str) {
    let (most, all) = count_by_turn(server, calls, name);
    println!("{all} times {name}, {most} at most in a turn");
    assert!(all >= CROWD, "{name} was called {all} times");
    assert!(most <= MOST_IN_A_TURN, "{name} was called {most} times in one turn");
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn commands_that_come_at_once_are_answered_over_many_turns() {
    raise_descriptor_limit().unwrap();
    let server = Server::start();
    let mut sessions: Vec<Conversation> = (0..CROWD).map(|_| Conversation::with(&server)).collect();
    sessions.iter_mut().for_each(|session| session.ask("hello").outcome.map(drop).unwrap());
    let mut sending: Vec<TcpStream> =
        sessions.iter().map(|session| session.stream().try_clone().unwrap()).collect();
    let calls = trace_from_rest(
        &server,
        || sending.iter_mut().for_each(|stream| std::io::Write::write_all(stream, b"hello\n").unwrap()),
        || sessions.iter_mut().for_each(|session| session.answer().outcome.map(drop).unwrap()),
    );
    expect_many_turns(&server, &calls, "sendto");
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn connections_that_come_at_once_are_accepted_over_many_turns() {
    raise_descriptor_limit().unwrap();
    for is_data in [false, true] {
        let server = Server::start();
        let address = if is_data { server.data_address() } else { server.control_address() };
        let mut connections = Vec::new();
        let calls = trace_from_rest(
            &server,
            || connections.extend((0..CROWD).map(|_| connect(address))),
            // Behind all others in either line.
            || {
                let mut session = Conversation::with(&server);
                session.upload("empty", b"").unwrap();
            },
        );
        expect_many_turns(&server, &calls, "accept4");
    }
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn sessions_that_waited_to_open_a_file_are_let_in_over_many_turns() {
    raise_descriptor_limit().unwrap();
    let server = Options::default().arguments(&["--max-sessions", "980"]).open_files(1500).start();
    server.put("large", vec![0; 64 << 20]);
    // More than there are places for data connections and files: the last of them are in line, and wait.
    let mut holders: Vec<Conversation> = (0..200).map(|_| Conversation::with(&server)).collect();
    holders.iter_mut().for_each(|session| session.send("download large\n"));
    let Reply::Data { port, ticket } = holders[0].reply() else { panic!("no data connection") };
    holders[0].open_data(port, &ticket);
    let mut crowd: Vec<Conversation> = (0..CROWD).map(|_| Conversation::with(&server)).collect();
    crowd.iter_mut().for_each(|session| session.send("download nothing\n"));
    let mut last = Conversation::with(&server);
    last.ask("hello").outcome.unwrap();
    let trace = Trace::attach(server.process());
    drop(holders);
    crowd.iter_mut().for_each(|session| assert_eq!(session.answer().code(), ErrorCode::NotFound));
    expect_many_turns(&server, &trace.finish(), "sendto");
}
