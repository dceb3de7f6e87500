//! Other protocols on the control port: they get one error and the end, and nothing in them is done.

use crate::model::{POLICY, Pair};
use ferry_common::limits::NO_COMMAND_LINES_MAX;
use ferry_session::Session;
use ferry_session::action::Action;
use ferry_session::dialect::AnyDialect;
use ferry_session::fact::Fact;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Instant;

/// A raw client and a server that has something to lose.
fn raw() -> Pair {
    let mut pair = Pair::raw(POLICY);
    pair.server.store.put("precious", b"content");
    pair
}

#[track_caller]
fn expect_end(pair: &mut Pair, input: &str) {
    let answer = pair.say(input);
    assert!(answer.starts_with("err wrong-protocol "), "{input:?}: {answer:?}");
    assert_eq!(answer.lines().count(), 1, "{input:?}: {answer:?}");
    assert!(pair.server.closed, "{input:?}");
    assert_eq!(pair.server.store.content("precious"), Some(&b"content"[..]), "{input:?}");
}

#[test]
fn a_request_of_a_browser_ends_the_session_and_its_body_is_not_done() {
    for head in [
        "POST / HTTP/1.1\r\nHost: nas:2222\r\n\r\n",
        "GET /precious HTTP/1.0\n",
        "rm precious HTTP/1.1\n",
        "Host: nas:2222\n",
        "content-length: 12\r\n",
        "Origin: http://evil.example\n",
        "\x16\x03\x01\x02\n",
    ] {
        expect_end(&mut raw(), &format!("{head}rm precious\nmkdir harm\nhelp\n"));
    }
}

#[test]
fn a_request_behind_commands_ends_the_session_as_well() {
    let mut pair = raw();
    let answer = pair.say("stat precious\nPOST / HTTP/1.1\nrm precious\n");
    let lines: Vec<_> = answer.lines().collect();
    assert_eq!(lines[1], "ok");
    assert!(lines.len() == 3 && lines[2].starts_with("err wrong-protocol "), "{answer}");
    assert!(pair.server.store.content("precious").is_some() && pair.server.closed);
}

#[test]
fn a_hello_of_tls_ends_the_session_before_its_first_line_is_complete() {
    let mut pair = raw();
    pair.chunk = 1;
    expect_end(&mut pair, "\x16\x03\x01\x02\0");
}

#[test]
fn so_many_lines_in_a_row_that_are_no_command_end_the_session() {
    let lines = NO_COMMAND_LINES_MAX - 1;
    let mut pair = raw();
    // What has a verb of ours, or is a command, begins the count anew.
    for line in ["stat\n", "stat missing\n", "rm ../x\n"] {
        let answer = pair.say(&("nonsense\n".repeat(lines) + line));
        assert_eq!(answer.lines().count(), lines + 1, "{line}");
    }
    let answer = pair.say(&("\n".repeat(lines) + "nonsense\nrm precious\n"));
    assert_eq!(answer.lines().count(), lines + 1);
    assert!(answer.lines().last().unwrap().starts_with("err wrong-protocol "), "{answer}");
    assert!(pair.server.closed && pair.server.store.content("precious").is_some());
}

#[test]
fn a_name_that_looks_like_the_version_of_http_can_be_used() {
    let mut pair = Pair::new();
    pair.server.store.put("a", b"content");
    pair.server.store.make_dir("HTTP");
    let id = pair.request("mv a \"HTTP/1.1\"");
    pair.run();
    assert!(pair.outcome(id).is_ok());
    assert_eq!(pair.server.store.content("HTTP/1.1"), Some(&b"content"[..]));
}

/// A request line with any method, any target and any version.
fn request_line() -> impl Strategy<Value = String> {
    let method =
        prop_oneof!["GET|POST|PUT|DELETE|OPTIONS", "rm|mv|mkdir|upload", "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}"];
    (method, "[ -~]{0,40}[!-~]", "HTTP/(0\\.9|1\\.0|1\\.1|2|3|[0-9]{1,3}\\.[0-9])", "\r?\n")
        .prop_map(|(method, target, version, end)| format!("{method} {target} {version}{end}"))
}

proptest! {
    /// Whatever follows, and however the network cuts it.
    #[test]
    fn nothing_behind_an_http_request_line_changes_the_folder(
        head in request_line(),
        body in vec(prop_oneof![
            Just("rm precious\n"), Just("mkdir harm\n"), Just("mv a b replace\n"), Just("upload a 5\n"),
            Just("download a\n"), Just("ls\n"), Just("exit\n"), Just("\r\n"), Just("noise"), Just("Host: a\r\n"),
        ], 0..40),
        cuts in vec(0..2000_usize, 0..6),
    ) {
        let now = Instant::now();
        let mut session = Session::new(AnyDialect::ferry(&POLICY), POLICY, now);
        let input = (head + &body.concat()).into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % input.len()).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let mut replies = 0;
        for piece in cuts.windows(2) {
            session.handle(Fact::Input(&input[piece[0]..piece[1]]), now);
            while let Some(action) = session.poll_action() {
                if let Action::Reply(lines) = action {
                    prop_assert!(lines.starts_with(b"err wrong-protocol "));
                    replies += 1;
                } else {
                    prop_assert!(matches!(action, Action::Log(_) | Action::Close), "{:?}", action);
                }
            }
        }
        prop_assert_eq!(replies, 1);
        prop_assert!(!session.wants_input());
    }
}
