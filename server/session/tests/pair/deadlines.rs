//! Every wait ends: by its deadline, by the end of what the client says, or by the end of the server.

use crate::commands::bytes;
use crate::model::STEPS;
use crate::model::wire::Lane;
use crate::model::{POLICY, Pair};
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    DATA_SLOT_TIMEOUT, DISK_TIMEOUT, EAGER_MAX_BYTES, IDLE_TIMEOUT, LINE_TIMEOUT, OUTBOX_PAUSE_BYTES,
    STALL_WINDOW, STALL_WINDOW_MIN_BYTES, TICKET_TIMEOUT, WORKING_INTERVAL,
};
use ferry_common::wire::digest::Digest;
use ferry_session::action::End;
use ferry_session::fact::Fact;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW_MIN: usize = STALL_WINDOW_MIN_BYTES as usize;

/// A pair with an open data connection and a long file, `long`.
fn attached() -> Pair {
    let mut pair = Pair::new();
    pair.server.store.put("long", &bytes(100 * WINDOW_MIN, 1));
    pair.server.store.make_dir("dir");
    let id = pair.upload("first", b"1");
    pair.run();
    assert_eq!(pair.number(id), 1);
    pair
}

fn raw() -> Pair {
    Pair::raw(POLICY)
}

/// Everything but the server's end of the data connection, which moves `most` bytes.
fn run_but_move(pair: &mut Pair, most: usize) {
    let mut moved = false;
    loop {
        let mut progress = false;
        for step in 0..STEPS {
            let moves = step == 3;
            if !(moves && moved) {
                let done = pair.step(step, if moves { most } else { usize::MAX });
                moved |= moves && done;
                progress |= done;
            }
        }
        if !progress {
            return;
        }
    }
}

/// Seconds until `ended`, when the data connection moves `most` bytes each second.
fn seconds_of_moving(pair: &mut Pair, most: usize, ended: impl Fn(&Pair) -> bool) -> u32 {
    for second in 0..100_000 {
        run_but_move(pair, most);
        if ended(pair) {
            return second;
        }
        pair.now += SECOND;
        pair.session.handle(Fact::Timeout, pair.now);
        pair.perform();
    }
    panic!("no end");
}

fn window_seconds() -> u32 {
    u32::try_from(STALL_WINDOW.as_secs()).unwrap()
}

#[test]
fn nothing_happens_before_the_deadline() {
    let mut pair = raw();
    let almost = IDLE_TIMEOUT - Duration::from_nanos(1);
    pair.pass(almost);
    assert!(!pair.server.closed);
    assert_eq!(pair.say("ls\n"), "ok 0\n");
    pair.pass(almost);
    assert!(!pair.server.closed, "a command begins the time anew");
}

#[test]
fn an_idle_session_ends_and_says_why() {
    let mut pair = Pair::new();
    assert_eq!(pair.pass_to_deadline(), IDLE_TIMEOUT);
    assert!(pair.server.closed);
    let Some(Failure::Refused { code, .. }) = pair.dialogue.closing_reason() else {
        panic!("no closing_reason")
    };
    assert_eq!(*code, Some(ErrorCode::TimedOut));
}

#[test]
fn a_line_that_drips_is_timed_out() {
    let mut pair = raw();
    let mut answer = String::new();
    let mut seconds = 0;
    while answer.is_empty() {
        answer = pair.say("a");
        pair.pass(SECOND);
        seconds += 1;
    }
    assert!(answer.starts_with("err timed-out "), "{answer}");
    assert!(pair.server.closed);
    assert_eq!(Duration::from_secs(seconds - 1), LINE_TIMEOUT);
}

#[test]
fn a_begun_line_has_its_time_after_the_command_before_it() {
    for command in ["ls", "help", "LS"] {
        let mut pair = raw();
        let (begin, rest) = command.split_at(1);
        pair.say(begin);
        pair.pass(LINE_TIMEOUT - SECOND);
        assert!(!pair.say(&format!("{rest}\nl")).is_empty());
        pair.pass(LINE_TIMEOUT - SECOND);
        assert_eq!(pair.say("s\n"), "ok 0\n", "behind {command}");
        pair.pass(LINE_TIMEOUT);
        assert!(!pair.server.closed, "an idle session has more time");
    }
}

/// While the server did not listen, the client could not complete its line.
#[test]
fn the_rest_of_a_line_has_its_time_when_it_is_welcome_again() {
    let mut pair = raw();
    for number in 0..1000 {
        pair.server.store.put(&format!("a rather long name, number {number:08}"), b"");
    }
    // As many as are answered before the outbox is full, so that the listing begins and is what fills it.
    let helps = (OUTBOX_PAUSE_BYTES - 1) / raw().say("help\n").len();
    pair.client.reads_nothing = true;
    pair.say(&("help\n".repeat(helps) + "ls\nl"));
    assert!(pair.server.outbox.len() > OUTBOX_PAUSE_BYTES + WINDOW_MIN && pair.server.jobs.is_empty());
    for _ in 0..2 {
        assert!(!pair.session.wants_input());
        pair.client.reads_nothing = false;
        pair.server_writes(WINDOW_MIN);
        pair.client.reads_nothing = true;
        pair.now += STALL_WINDOW;
        pair.session.handle(Fact::Timeout, pair.now);
        pair.perform();
    }
    pair.client.reads_nothing = false;
    pair.pass(Duration::ZERO);
    assert!(pair.say("").ends_with("\nok 1000\n"));
    pair.pass(LINE_TIMEOUT - SECOND);
    assert!(pair.say("s\n").ends_with("\nok 1000\n"));
}

#[test]
fn a_disk_that_does_not_answer_ends_the_session() {
    for (line, jobs_before) in
        [("ls", 0), ("stat long", 0), ("download long", 0), ("upload a 5", 0), ("upload a 0", 1)]
    {
        let mut pair = attached();
        let id = pair.request(line);
        pair.server_reads(usize::MAX);
        for _ in 0..jobs_before {
            pair.server_disk();
        }
        pair.server.disk_stalls = true;
        pair.run();
        assert_eq!(pair.pass_to_deadline(), DISK_TIMEOUT, "{line}");
        assert_eq!(pair.refusal(id), ErrorCode::Io, "{line}");
        assert!(pair.server.closed && !pair.server.aborted, "{line}");
        let published = pair.server.store.published.len();
        pair.server.disk_stalls = false;
        pair.run();
        assert_eq!(pair.server.store.published.len(), published);
    }
}

#[test]
fn who_gets_no_data_connection_in_time_is_told_that_the_server_is_busy() {
    for line in ["download long", "upload a 0"] {
        let mut pair = Pair::new();
        pair.server.store.put("long", b"1");
        let id = pair.request(line);
        pair.server_reads(usize::MAX);
        pair.server_disk();
        pair.server.disk_stalls = true;
        pair.run();
        assert_eq!(pair.pass_to_deadline(), DATA_SLOT_TIMEOUT);
        assert_eq!(pair.refusal(id), ErrorCode::Busy);
        assert!(pair.server.jobs.is_empty(), "the wish is withdrawn");
        pair.server.disk_stalls = false;
        let again = pair.request(line);
        pair.run();
        pair.number(again);
    }
}

#[test]
fn a_ticket_that_is_not_redeemed_in_time_is_void_and_the_session_goes_on() {
    let mut pair = raw();
    pair.server.store.put("a", b"hello");
    let offered = pair.say("download a\n");
    let ticket = offered.strip_prefix("(data) 3333 ").unwrap().trim_end().to_owned();
    assert_eq!(pair.pass_to_deadline(), TICKET_TIMEOUT);
    assert!(pair.say("").starts_with("err timed-out "));
    let late = pair.open_link(ticket.as_bytes());
    assert!(pair.say("download a\n").starts_with("(data) 3333 "));
    assert!(pair.wire.down_at_end(late));
}

#[test]
fn a_transfer_that_drips_is_timed_out() {
    for upload in [false, true] {
        let mut pair = attached();
        let id = if upload { pair.upload("up", &bytes(10_000, 1)) } else { pair.request("download long") };
        let seconds = seconds_of_moving(&mut pair, 1, |pair| !pair.dialogue.is_busy());
        assert_eq!(seconds, window_seconds());
        assert_eq!(pair.refusal(id), ErrorCode::TimedOut);
        assert_eq!(pair.server.link, None, "the stream is broken");
        let again = pair.request("download long");
        pair.run();
        pair.number(again);
    }
}

#[test]
fn a_transfer_that_moves_enough_is_never_timed_out() {
    for upload in [false, true] {
        let mut pair = attached();
        let content = bytes(100 * WINDOW_MIN, 1);
        let id = if upload { pair.upload("up", &content) } else { pair.request("download long") };
        let most = WINDOW_MIN / STALL_WINDOW.as_secs() as usize + 1;
        let seconds = seconds_of_moving(&mut pair, most, |pair| !pair.dialogue.is_busy());
        assert_eq!(pair.number(id), content.len() as u64);
        assert!(seconds > 90 * window_seconds());
    }
}

#[test]
fn the_dropping_of_a_refused_upload_is_timed_out_where_it_drips_and_only_there() {
    for (most, completes) in [(1, false), (WINDOW_MIN / STALL_WINDOW.as_secs() as usize + 1, true)] {
        let mut pair = attached();
        let id = pair.upload("dir", &bytes(EAGER_MAX_BYTES as usize, 1));
        let behind = pair.request("stat dir");
        let seconds = seconds_of_moving(&mut pair, most, |pair| !pair.dialogue.is_busy());
        assert_eq!(pair.refusal(id), ErrorCode::IsDirectory);
        pair.number(behind);
        assert_eq!(pair.server.link.is_some(), completes);
        assert_eq!(seconds > window_seconds(), completes, "after {seconds} s");
    }
}

#[test]
fn who_stops_in_the_middle_of_a_transfer_is_timed_out() {
    let mut pair = attached();
    let content = bytes(3 * EAGER_MAX_BYTES as usize, 1);
    let id = pair.upload("up", &content);
    pair.chunk = EAGER_MAX_BYTES as usize;
    while pair.wire.read_bytes(Lane::Up) < content.len() / 2 {
        pair.run_steps(1);
    }
    pair.now += STALL_WINDOW;
    pair.session.handle(Fact::Timeout, pair.now);
    pair.perform();
    assert!(pair.server.link.is_some(), "this window has seen enough");
    pair.now += STALL_WINDOW;
    pair.session.handle(Fact::Timeout, pair.now);
    pair.perform();
    assert!(pair.server.link.is_none());
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::TimedOut);
    assert_eq!(pair.server.store.content("up"), None);
}

/// Seconds until the server gives up on a client that takes so many bytes of its replies each second.
fn seconds_of_reading(pair: &mut Pair, most: usize) -> u32 {
    for second in 0..100_000 {
        if pair.server.closed || pair.server.outbox.is_empty() {
            return second;
        }
        pair.client.reads_nothing = false;
        pair.server_writes(most);
        pair.client.reads_nothing = true;
        pair.now += SECOND;
        pair.session.handle(Fact::Timeout, pair.now);
        pair.perform();
        pair.run();
    }
    panic!("no end");
}

#[test]
fn who_reads_its_replies_drop_by_drop_is_cut_off_in_every_state() {
    let names = 3000;
    for lines in ["ls\n".to_owned(), "help\n".repeat(10), "help\nexit\n".to_owned(), "help\n".repeat(1000)] {
        for (most, completes) in [(1, false), (WINDOW_MIN / STALL_WINDOW.as_secs() as usize + 1, true)] {
            let mut pair = raw();
            for number in 0..names {
                pair.server.store.put(&format!("a long name, number {number:08}"), b"");
            }
            pair.client.reads_nothing = true;
            pair.say(&lines);
            let seconds = seconds_of_reading(&mut pair, most);
            assert_eq!(pair.server.aborted, !completes, "{most} bytes a second of {lines:.9?}");
            assert!(completes || seconds == window_seconds(), "{lines:.9?} after {seconds} s");
        }
    }
}

#[test]
fn the_end_of_the_input_ends_the_session_when_all_is_answered() {
    let mut pair = Pair::new();
    pair.server.store.put("a", &bytes(1000, 1));
    let ids = [pair.request("download a"), pair.upload("b", b"12345"), pair.request("ls")];
    pair.wire.commands_ended = true;
    pair.run();
    assert_eq!(ids.map(|id| pair.number(id)), [1000, 5, 2]);
    assert!(pair.server.closed && !pair.server.aborted);
}

#[test]
fn a_line_without_its_ending_is_no_command() {
    let mut pair = raw();
    pair.wire.commands_ended = true;
    assert_eq!(pair.say("ls\nupload a 0\nls"), "ok 0\n(data) 3333 ".to_owned() + &ticket_text() + "\n");
    pair.pass_to_deadline();
    assert!(pair.server.closed);
    assert_eq!(pair.say("").lines().count(), 1, "the upload is refused, and `ls` was never said");
}

fn ticket_text() -> String {
    format!("{:016x}{}", 7, "01".repeat(16))
}

#[test]
fn a_shutdown_ends_an_idle_session_at_once() {
    let mut pair = attached();
    pair.shut_down();
    pair.run();
    assert!(pair.server.closed);
    let Some(Failure::Refused { code, .. }) = pair.dialogue.closing_reason() else {
        panic!("no closing_reason")
    };
    assert_eq!(*code, Some(ErrorCode::ShuttingDown));
}

#[test]
fn a_shutdown_lets_the_running_command_be_the_last() {
    for line in ["download long", "upload up 300", "ls", "upload dir 300"] {
        let mut pair = attached();
        pair.chunk = 64;
        let id = match line {
            "upload up 300" => pair.upload("up", &bytes(300, 1)),
            "upload dir 300" => pair.upload("dir", &bytes(300, 1)),
            _ => pair.request(line),
        };
        let late = [pair.request("ls"), pair.request("ls")];
        while pair.session.wants_input() {
            pair.run_steps(1);
        }
        pair.shut_down();
        assert!(!pair.server.closed, "{line}");
        pair.run();
        assert!(pair.server.closed, "{line}");
        if line == "upload dir 300" {
            assert_eq!(pair.refusal(id), ErrorCode::IsDirectory);
        } else {
            pair.number(id);
        }
        assert_eq!(pair.refusal(late[0]), ErrorCode::ShuttingDown);
        assert_eq!(pair.outcome(late[1]), &Err(Failure::ControlLost));
    }
}

#[test]
fn facts_that_come_after_the_end_are_ignored() {
    let mut pair = attached();
    let id = pair.request("download long");
    pair.chunk = 10;
    while pair.client.delivered.get(&id).is_none_or(Vec::is_empty) {
        pair.run_steps(1);
    }
    pair.now += STALL_WINDOW;
    pair.session.handle(Fact::Timeout, pair.now);
    pair.shut_down();
    let now = pair.now;
    let session = &mut pair.session;
    session.handle(Fact::Input(b"ls\n"), now);
    session.handle(Fact::EndOfInput, now);
    session.handle(Fact::Moved { bytes: 10 }, now);
    session.handle(Fact::SendFailed(ErrorCode::Io), now);
    session.handle(Fact::ReceiveFailed { code: ErrorCode::Io, unread_bytes: 5 }, now);
    session.handle(Fact::DataAttached, now);
    session.handle(Fact::DataEnded(End::Torn), now);
    session.handle(Fact::Published { id: 0, result: Ok(Digest::of(b"")) }, now);
    session.handle(Fact::Staged(Ok(0)), now);
    session.handle(Fact::Trailer(None), now);
    session.handle(Fact::Checked(Err(ErrorCode::Changed)), now);
    session.handle(Fact::DiskProgress, now);
    session.handle(Fact::NoRoom, now);
    session.handle(Fact::Opened(Err(ErrorCode::Io)), now);
    session.handle(Fact::Listed(Err(ErrorCode::Io)), now);
    session.handle(Fact::Found(Err(ErrorCode::Io)), now);
    session.handle(Fact::Changed(Err(ErrorCode::Io)), now);
    session.handle(Fact::RepliesWritten(1), now);
    assert_eq!(session.poll_action(), None);
}

#[test]
fn who_waits_for_long_work_hears_of_it_now_and_then() {
    let mut pair = raw();
    pair.server.store.put("a", b"1");
    pair.server.disk_stalls = true;
    assert_eq!(pair.say("sum a\n"), "");
    let progress_after = |pair: &mut Pair, time: Duration| {
        pair.now += time;
        pair.session.handle(Fact::DiskProgress, pair.now);
        pair.perform();
        pair.say("")
    };
    for _ in 0..20 {
        assert_eq!(progress_after(&mut pair, WORKING_INTERVAL - SECOND), "");
        assert_eq!(progress_after(&mut pair, SECOND), "(working)\n");
    }
    pair.server.disk_stalls = false;
    assert!(pair.say("").starts_with("(sum) 1 "));
}

#[test]
fn a_client_that_has_said_its_last_is_told_at_once_that_its_command_is_worked_on() {
    for (line, told) in [
        ("", ""),
        ("sum a\n", "(working)\n"),
        ("ls\n", "(working)\n"),
        ("partial a\n", "(working)\n"),
        ("download a\n", "(working)\n"),
        ("upload b 1\n", "(working)\n"),
    ] {
        let mut pair = raw();
        pair.server.store.put("a", b"1");
        pair.server.disk_stalls = true;
        assert_eq!(pair.say(line), "");
        pair.session.handle(Fact::EndInSight, pair.now);
        pair.perform();
        assert_eq!(pair.say(""), told, "{line}");
    }
}

#[test]
fn whoever_must_give_way_is_told_and_goes_on_and_what_it_sent_is_kept() {
    let mut pair = attached();
    pair.server.store.put("a", b"1");
    pair.server.disk_stalls = true;
    for line in ["sum a", "partial a", "stat a", "ls", "download a"] {
        let id = pair.request(line);
        pair.run();
        pair.server_gives_way();
        pair.run();
        assert_eq!(pair.refusal(id), ErrorCode::Busy, "{line}");
        assert_eq!(pair.client.link, None, "{line}");
    }
    pair.server.disk_stalls = false;
    let size = EAGER_MAX_BYTES as usize + 1000;
    let large = pair.upload("large", &bytes(size, 1));
    while !pair.uploads_are_under_way() {
        assert!(pair.run_steps(1));
    }
    pair.chunk = 1000;
    pair.run_steps(40);
    pair.server_gives_way();
    pair.chunk = usize::MAX;
    let again = pair.request("partial large");
    pair.run();
    assert_eq!(pair.refusal(large), ErrorCode::Busy);
    assert!(pair.client.digests[&again].0 > 0);
}

#[test]
fn what_may_be_done_already_does_not_give_way() {
    let mut pair = attached();
    pair.server.store.put("a", b"1");
    pair.server.disk_stalls = true;
    let id = pair.request("rm a");
    pair.run();
    pair.server_gives_way();
    pair.server.disk_stalls = false;
    pair.run();
    assert_eq!(pair.number(id), 0);
    assert_eq!(pair.server.store.content("a"), None);
}

#[test]
fn whoever_finds_no_room_for_a_file_is_told_and_goes_on() {
    let mut pair = raw();
    pair.server.store.put("a", b"1");
    pair.server.disk_stalls = true;
    let kept = Digest::of(b"");
    for line in
        ["sum a", "partial a", "download a", "upload b 2000000", &format!("upload b 9 resume=0:{kept}")]
    {
        assert_eq!(pair.say(&format!("{line}\n")), "");
        pair.server.jobs.clear();
        pair.session.handle(Fact::NoRoom, pair.now);
        pair.perform();
        assert!(pair.say("").starts_with("err busy "), "{line}");
    }
    pair.server.disk_stalls = false;
    assert_eq!(pair.say("stat a\n").lines().last(), Some("ok"));
}
