//! Commands that no dialogue would send.

use crate::model::{POLICY, Pair};
use ferry_common::limits::{
    EAGER_MAX_BYTES, FILE_MAX_BYTES, LINE_MAX_BYTES, RECEIVED_INTERVAL, TRAILER_BYTES,
};
use ferry_common::wire::digest::Digest;
use std::time::Duration;

/// The answer to an upload of `good`.
fn ok_good() -> String {
    format!("ok 4 {}\n", Digest::of(b"good"))
}

fn raw() -> Pair {
    Pair::raw(POLICY)
}

/// A raw client with a data connection, on which one file has come.
fn attached() -> (Pair, usize) {
    let mut pair = raw();
    pair.server.store.put("a", b"hello");
    let offered = pair.say("download a\n");
    let ticket = offered.strip_prefix("(data) 3333 ").unwrap().trim_end().to_owned();
    let link = pair.open_link(ticket.as_bytes());
    assert_eq!(pair.say(""), "(download) 5 1764000000\nok 5\n");
    assert_eq!(pair.wire.read_down(link, 9), b"hello");
    (pair, link)
}

#[test]
fn each_line_that_is_no_command_gets_one_error_and_the_session_goes_on() {
    let mut pair = raw();
    for (line, reply) in [
        ("\n", "err syntax "),
        ("   \n", "err syntax "),
        ("\0\0\n", "err syntax "),
        ("ls \"a\n", "err syntax "),
        ("\x16\n", "err syntax "),
        ("LS\n", "err unknown-command "),
        ("GET /\r\n", "err unknown-command "),
        ("upload x\n", "err usage "),
        ("upload x -1\n", "err usage "),
        ("upload x abc\n", "err usage "),
        ("upload x 18446744073709551616\n", "err usage "),
        ("upload x 9223372036854775808\n", "err usage "),
        ("download my file.txt\n", "err usage "),
        ("download x digest 5\n", "err usage "),
        ("upload x 5 digest digest\n", "err usage "),
        ("upload x 5 resume=1\n", "err usage "),
        ("upload x 5 resume=1:99AA06D3014798D86001C324468D497F\n", "err usage "),
        ("upload x 5 resume=6:99aa06d3014798d86001c324468d497f\n", "err bad-offset "),
        ("sum\n", "err usage "),
        ("sum x -1\n", "err usage "),
        ("mkdir\n", "err usage "),
        ("mkdir .ferry-staging\n", "err bad-path "),
        ("rm a b\n", "err usage "),
        ("rm ../a\n", "err bad-path "),
        ("mv a\n", "err usage "),
        ("mv a b over\n", "err usage "),
        ("mv a .ferry-staging/partial/x\n", "err bad-path "),
        ("hello one\n", "err usage "),
        ("download ../../etc/passwd\n", "err bad-path "),
        ("download /etc/passwd\n", "err bad-path "),
        ("ls .ferry-staging\n", "err bad-path "),
        ("stat .FERRY-Staging/x\n", "err bad-path "),
        ("download \"a\\x00b\"\n", "err bad-path "),
    ] {
        let answer = pair.say(line);
        assert!(answer.starts_with(reply) && answer.ends_with('\n'), "{line:?}: {answer:?}");
        assert_eq!(answer.lines().count(), 1, "{line:?}: {answer:?}");
    }
    assert_eq!(pair.say("exit\n"), "ok\n");
}

#[test]
fn a_line_over_the_limit_gets_one_error_and_the_session_closes() {
    let mut pair = raw();
    let answer = pair.say(&format!("ls\n{}\nls\n", "a".repeat(LINE_MAX_BYTES + 1)));
    assert!(answer.starts_with("ok 0\nerr line-too-long "), "{answer}");
    assert_eq!(answer.lines().count(), 2);
    assert!(pair.server.closed);
}

#[test]
fn the_longest_line_is_still_a_command() {
    let mut pair = raw();
    let answer = pair.say(&format!("ls{}\n", " ".repeat(LINE_MAX_BYTES - 2)));
    assert_eq!(answer, "ok 0\n");
}

#[test]
fn the_bytes_of_an_eager_upload_with_a_bad_name_are_dropped() {
    let (mut pair, link) = attached();
    for name in ["../x", "/x", ".ferry-staging/x", "\"a\\x00b\"", "\"\""] {
        for size in [1, 5, EAGER_MAX_BYTES] {
            pair.wire.write_up(link, &vec![b'x'; usize::try_from(size).unwrap()]);
            let answer = pair.say(&format!("upload {name} {size}\n"));
            assert!(answer.starts_with("err bad-path "), "{name}: {answer}");
        }
    }
    pair.wire.write_up(link, b"good");
    assert_eq!(pair.say("upload c 4\n"), ok_good());
    assert_eq!(pair.server.store.content("c"), Some(&b"good"[..]));
}

#[test]
fn the_trailer_of_an_eager_upload_with_a_bad_name_is_dropped_with_its_bytes() {
    let (mut pair, link) = attached();
    for size in [0, 1, EAGER_MAX_BYTES] {
        pair.wire.write_up(link, &vec![b'x'; usize::try_from(size).unwrap() + TRAILER_BYTES]);
        assert!(pair.say(&format!("upload ../x {size} digest\n")).starts_with("err bad-path "));
    }
    for line in
        ["upload ../x 5 digest resume=0:99aa06d3014798d86001c324468d497f\n", "upload c 4 digest old\n"]
    {
        assert!(pair.say(line).starts_with("err "), "and of what is no eager upload, nothing");
    }
    pair.wire.write_up(link, b"good");
    assert_eq!(pair.say("upload c 4\n"), ok_good());
}

#[test]
fn a_refused_upload_beyond_the_eager_limit_has_no_bytes_to_drop() {
    let (mut pair, link) = attached();
    for size in [EAGER_MAX_BYTES + 1, FILE_MAX_BYTES] {
        assert!(pair.say(&format!("upload ../x {size}\n")).starts_with("err bad-path "));
        assert!(pair.say(&format!("upload . {size}\n")).starts_with("err is-directory "));
    }
    pair.wire.write_up(link, b"good");
    assert_eq!(pair.say("upload c 4\n"), ok_good());
    assert_eq!(pair.server.store.content("c"), Some(&b"good"[..]));
}

#[test]
fn a_line_that_is_no_upload_drops_nothing() {
    let (mut pair, link) = attached();
    pair.wire.write_up(link, b"good");
    assert!(pair.say("upload c 4 5\n").starts_with("err usage "));
    assert_eq!(pair.say("upload c 4\n"), ok_good());
    assert_eq!(pair.server.store.content("c"), Some(&b"good"[..]));
}

#[test]
fn only_the_right_ticket_attaches_and_only_once() {
    let mut pair = raw();
    pair.server.store.put("a", b"hello");
    let offered = pair.say("download a\n");
    let ticket = offered.strip_prefix("(data) 3333 ").unwrap().trim_end().to_owned();
    for wrong in
        [ticket.replace('7', "8"), ticket[1..].to_owned(), String::new(), ticket.to_uppercase() + "0"]
    {
        let link = pair.open_link(wrong.as_bytes());
        assert_eq!(pair.say(""), "", "{wrong}");
        assert!(pair.wire.down_at_end(link), "{wrong}");
    }
    let right = pair.open_link(ticket.as_bytes());
    let again = pair.open_link(ticket.as_bytes());
    assert_eq!(pair.say(""), "(download) 5 1764000000\nok 5\n");
    assert!(pair.wire.down_at_end(again) && !pair.wire.links[right].server_gone);
    assert_eq!(pair.wire.read_down(right, 9), b"hello");
}

#[test]
fn the_sender_of_a_large_upload_hears_now_and_then_how_much_has_come() {
    let (mut pair, link) = attached();
    let size = EAGER_MAX_BYTES + 1;
    assert_eq!(pair.say(&format!("upload b {size}\n")), "(upload) 0\n");
    let send = |pair: &mut Pair, bytes: u64, time: Duration| {
        pair.now += time;
        pair.wire.write_up(link, &vec![b'x'; usize::try_from(bytes).unwrap()]);
        pair.say("")
    };
    let moment = Duration::from_millis(1);
    assert_eq!(send(&mut pair, 1000, RECEIVED_INTERVAL - moment), "");
    assert_eq!(send(&mut pair, 500, moment), "(received) 1500\n");
    assert_eq!(send(&mut pair, 500, moment), "");
    assert_eq!(send(&mut pair, 1, RECEIVED_INTERVAL), "(received) 2001\n");
    let end = send(&mut pair, size - 2001, moment);
    assert!(end.starts_with(&format!("ok {size} ")), "{end}");
    // A small one is sent without a word, and is not told of.
    assert_eq!(pair.say(&format!("upload c {EAGER_MAX_BYTES}\n")), "");
    assert_eq!(send(&mut pair, EAGER_MAX_BYTES - 1, RECEIVED_INTERVAL), "");
    assert!(send(&mut pair, 1, RECEIVED_INTERVAL).starts_with("ok "));
}
