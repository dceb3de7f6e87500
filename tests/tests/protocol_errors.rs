//! What is no command gets one `err` each, and no other client notices.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::{LINE_MAX_BYTES, NO_COMMAND_LINES_MAX};
use ferry_tests::content::{Content, mix};
use ferry_tests::conversation::Conversation;
use ferry_tests::server::Server;

/// The session works on, and so does the server for others.
#[track_caller]
fn expect_works_on(server: &Server, session: &mut Conversation) {
    assert!(session.ask("hello").outcome.is_ok());
    assert!(Conversation::with(server).ask("hello").outcome.is_ok());
}

#[test]
fn each_line_that_is_no_command_gets_one_err() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    let lines: &[(&[u8], ErrorCode)] = &[
        (b"fetch a.txt", ErrorCode::UnknownCommand),
        (b"LS", ErrorCode::UnknownCommand),
        (b"GET /", ErrorCode::UnknownCommand),
        (b"", ErrorCode::Syntax),
        (b"     ", ErrorCode::Syntax),
        (b"\r", ErrorCode::Syntax),
        (b"ls \"a", ErrorCode::Syntax),
        (b"ls \"a\"b", ErrorCode::Syntax),
        (b"ls a\"b", ErrorCode::Syntax),
        (b"ls a\\b", ErrorCode::Syntax),
        (b"ls \"\\q\"", ErrorCode::Syntax),
        (b"ls \0", ErrorCode::Syntax),
        (b"\0\0\0\0", ErrorCode::Syntax),
        (b"ls \"a\\x00b\"", ErrorCode::BadPath),
        (b"\xff\xfe\xfd", ErrorCode::UnknownCommand),
        (b"download", ErrorCode::Usage),
        (b"download a b c", ErrorCode::Usage),
        (b"ls a b", ErrorCode::Usage),
        (b"exit now", ErrorCode::Usage),
        (b"hello 0", ErrorCode::Version),
        (b"hello world", ErrorCode::Usage),
    ];
    for (line, code) in lines {
        let answer = session.ask(line);
        assert_eq!(answer.code(), *code, "{}", line.escape_ascii());
        assert!(answer.replies.is_empty(), "{}", line.escape_ascii());
    }
    expect_works_on(&server, &mut session);
}

#[test]
fn lines_sent_ahead_are_answered_one_by_one_and_in_order() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.send(b"nonsense\nhello\n\n".repeat(1000));
    for round in 0..1000 {
        assert_eq!(session.answer().code(), ErrorCode::UnknownCommand, "round {round}");
        assert_eq!(session.answer().outcome, Ok(vec!["1".to_owned()]), "round {round}");
        assert_eq!(session.answer().code(), ErrorCode::Syntax, "round {round}");
    }
    expect_works_on(&server, &mut session);
}

#[test]
fn binary_noise_gets_one_err_for_each_line_of_it_and_the_end_after_so_many() {
    let server = Server::start();
    for seed in 0..20 {
        let mut noise = Content::new(mix(seed), 50_000).bytes();
        noise.push(b'\n');
        let lines = noise.iter().filter(|&&byte| byte == b'\n').count();
        let mut session = Conversation::with(&server);
        session.send(&noise);
        assert!(lines > NO_COMMAND_LINES_MAX, "seed {seed}");
        for line in 1..NO_COMMAND_LINES_MAX {
            let answer = session.answer();
            assert!(answer.outcome.is_err(), "seed {seed}, line {line}: {answer:?}");
        }
        assert_eq!(session.answer().code(), ErrorCode::WrongProtocol, "seed {seed}");
        session.expect_end();
    }
    expect_works_on(&server, &mut Conversation::with(&server));
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn the_longest_line_is_a_line() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    assert_eq!(session.ask(vec![b'a'; LINE_MAX_BYTES]).code(), ErrorCode::UnknownCommand);
    expect_works_on(&server, &mut session);
}

#[test]
fn a_line_over_the_limit_gets_one_err_and_the_end() {
    let server = Server::start();
    for line in [vec![b'a'; LINE_MAX_BYTES + 1], vec![b'a'; LINE_MAX_BYTES * 20]] {
        for ending in ["\n", ""] {
            if ending.is_empty() && line.len() == LINE_MAX_BYTES + 1 {
                // Its last byte could still be a CR that is forgiven.
                continue;
            }
            let mut session = Conversation::with(&server);
            // The server need not take all of it.
            let _ = session.try_send([line.as_slice(), ending.as_bytes()].concat());
            assert_eq!(session.answer().code(), ErrorCode::LineTooLong);
            session.expect_end();
        }
    }
    expect_works_on(&server, &mut Conversation::with(&server));
}

#[test]
fn what_was_sent_before_the_end_of_input_is_answered() {
    let server = Server::start();
    server.put("a.txt", "a");
    let mut session = Conversation::with(&server);
    session.send("stat a.txt\nls\nan unfinished li");
    session.end_input();
    assert!(session.answer().outcome.is_ok());
    assert_eq!(session.answer().names(), [b"a.txt"]);
    session.expect_end();
}

#[test]
fn a_peer_that_only_connects_and_leaves_harms_nobody() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    for _ in 0..200 {
        drop(Conversation::with(&server));
    }
    expect_works_on(&server, &mut session);
}
