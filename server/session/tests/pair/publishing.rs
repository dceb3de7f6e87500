//! Small uploads are received while others wait for the disk; clients see no difference but the time it takes.

use crate::commands::bytes;
use crate::model::{POLICY, Pair};
use crate::verified::{WITH_DIGEST, resume};
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    DATA_SLOT_TIMEOUT, DISK_TIMEOUT, EAGER_MAX_BYTES, IDLE_TIMEOUT, LINE_MAX_BYTES, OUTBOX_PAUSE_BYTES,
    PUBLISHING_MAX, STALL_WINDOW,
};
use ferry_common::wire::digest::Digest;
use ferry_session::fact::Fact;
use std::time::Duration;

const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;
const SECOND: Duration = Duration::from_secs(1);

/// A pair with a data connection, whose disk gives no names until it is told to.
fn stalled() -> Pair {
    let mut pair = Pair::new();
    pair.server.store.make_dir("dir");
    let first = pair.upload("first", b"1");
    pair.run();
    assert_eq!(pair.number(first), 1);
    pair.server.commits_stall = true;
    pair
}

fn release(pair: &mut Pair) {
    pair.server.commits_stall = false;
    pair.run();
}

#[test]
fn uploads_are_received_while_those_before_them_wait_for_the_disk() {
    let mut pair = stalled();
    let ids: Vec<_> = (0..50).map(|salt| pair.upload("a", &bytes(1000 + usize::from(salt), salt))).collect();
    pair.run();
    assert_eq!(pair.server.publications.len(), 50);
    assert_eq!(pair.client.done.len(), 1, "and none is confirmed");
    assert_eq!(pair.server.store.content("a"), None);
    assert!(!pair.session.is_idle());
    release(&mut pair);
    for (salt, id) in (0..50).zip(ids) {
        assert_eq!(pair.digest(id), Some(Digest::of(&bytes(1000 + usize::from(salt), salt))));
    }
    assert_eq!(pair.server.store.content("a"), Some(&bytes(1049, 49)[..]), "the last one stays");
    assert!(pair.session.is_idle());
}

#[test]
fn answers_keep_the_order_of_the_commands_however_the_disk_goes_about_it() {
    for order in [[0, 0, 0, 0], [3, 2, 1, 0], [1, 2, 0, 0], [2, 0, 0, 0]] {
        let mut pair = stalled();
        for number in 0..4_u8 {
            pair.upload(&format!("a{number}"), &bytes(10, number));
            pair.upload_with("dir", &bytes(20, 0), WITH_DIGEST);
        }
        pair.run();
        assert_eq!((pair.server.publications.len(), pair.client.done.len()), (4, 1));
        let mut waiting = vec![0, 1, 2, 3];
        for place in order {
            pair.server.commits_stall = false;
            assert!(pair.commit_at(place));
            pair.server.commits_stall = true;
            waiting.remove(place);
            pair.run();
            let first_waiting = waiting.first().map_or(4, |first| *first);
            assert_eq!(pair.client.done.len(), 1 + 2 * first_waiting, "{order:?}: {waiting:?}");
        }
        for number in 0..4 {
            assert_eq!(pair.number(1 + 2 * number), 10);
            assert_eq!(pair.refusal(2 + 2 * number), ErrorCode::IsDirectory);
        }
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn an_upload_that_cannot_be_published_is_refused_in_its_turn() {
    let mut pair = stalled();
    pair.server.store.faults.publish = Some(ErrorCode::NoSpace);
    let ids = ["a", "b", "c"].map(|path| pair.upload(path, b"123"));
    pair.run();
    release(&mut pair);
    assert_eq!(pair.refusal(ids[0]), ErrorCode::NoSpace);
    assert_eq!((pair.number(ids[1]), pair.number(ids[2])), (3, 3));
    assert_eq!(pair.server.store.content("a"), None);
}

/// A client that has sent an upload ahead finds it there.
#[test]
fn any_other_command_waits_until_the_uploads_before_it_are_published() {
    for line in [
        "ls",
        "stat a",
        "sum a",
        "download a",
        "partial a",
        "mkdir d",
        "rm a",
        "mv a b",
        "hello",
        "help",
        "exit",
    ] {
        let mut pair = stalled();
        let (up, other) = (pair.upload("a", b"12345"), pair.request(line));
        let behind = (line != "exit").then(|| pair.upload("behind", b"1"));
        pair.run();
        assert_eq!((pair.server.publications.len(), pair.server.jobs.len()), (1, 0), "{line}");
        assert_eq!(pair.client.done.len(), 1, "{line}");
        assert!(!pair.session.wants_input());
        release(&mut pair);
        assert_eq!(pair.number(up), 5);
        match line {
            "partial a" => assert_eq!(pair.refusal(other), ErrorCode::NoPartial),
            "download a" => assert_eq!(pair.client.delivered[&other], b"12345"),
            "sum a" => assert_eq!(pair.client.digests[&other], (5, Digest::of(b"12345"))),
            "ls" => assert_eq!(pair.number(other), 3),
            _ => _ = pair.number(other),
        }
        assert!(behind.is_none_or(|behind| pair.number(behind) == 1));
    }
}

#[test]
fn an_upload_that_needs_a_go_ahead_waits_until_those_before_it_are_published() {
    let large = bytes(EAGER_MAX + 1, 2);
    for resumed in [false, true] {
        let mut pair = stalled();
        pair.server.store.partials.insert(b"large".to_vec(), large[..5000].to_vec());
        let options = if resumed { resume(&large, 5000) } else { WITH_DIGEST };
        let (small, id) = (pair.upload("a", b"1"), pair.upload_with("large", &large, options));
        pair.run();
        pair.pass(STALL_WINDOW + DATA_SLOT_TIMEOUT);
        assert_eq!((pair.server.publications.len(), pair.server.jobs.len()), (1, 0));
        assert!(!pair.uploads_are_under_way());
        release(&mut pair);
        assert_eq!((pair.number(small), pair.number(id)), (1, large.len() as u64));
        assert!(pair.server.store.content("large") == Some(&large));
    }
}

#[test]
fn nothing_is_received_beside_a_large_upload_that_waits_for_the_disk() {
    let mut pair = stalled();
    let large = pair.upload("large", &bytes(EAGER_MAX + 1, 2));
    let small = pair.upload("a", b"1");
    pair.run();
    assert_eq!(pair.server.publications.len(), 1);
    assert!(pair.server.publications[0].0.alone);
    release(&mut pair);
    assert_eq!((pair.number(large), pair.number(small)), (EAGER_MAX_BYTES + 1, 1));
}

#[test]
fn only_so_many_uploads_wait_for_the_disk_at_a_time() {
    let mut pair = stalled();
    let ids: Vec<_> = (0..3 * PUBLISHING_MAX).map(|_| pair.upload("a", b"123")).collect();
    pair.run();
    assert_eq!(pair.server.publications.len(), PUBLISHING_MAX);
    assert!(!pair.session.wants_input());
    pair.server.commits_stall = false;
    pair.commit_at(0);
    pair.server.commits_stall = true;
    pair.run();
    assert_eq!(pair.server.publications.len(), PUBLISHING_MAX, "one goes, one comes");
    release(&mut pair);
    assert!(ids.into_iter().all(|id| pair.number(id) == 3));
    assert_eq!(pair.server.most_publications, PUBLISHING_MAX);
}

/// The model checks the bound of what waits to be read at every step.
#[test]
fn the_answers_to_uploads_that_wait_for_the_disk_have_their_room() {
    for fails in [false, true] {
        let mut pair = stalled();
        let name = String::from_utf8(vec![b'\x01'; 255]).unwrap();
        if fails {
            pair.client.false_trailer = Some(format!("{}\n", Digest::of(b"something else")).into_bytes());
        }
        let ids: Vec<_> = (0..300).map(|_| pair.upload_with(&name, b"123", WITH_DIGEST)).collect();
        pair.run();
        let waiting = pair.server.publications.len();
        assert!(waiting > 10 && waiting * name.len() * 4 <= OUTBOX_PAUSE_BYTES, "{waiting} wait");
        pair.client.reads_nothing = true;
        release(&mut pair);
        pair.client.reads_nothing = false;
        pair.run();
        for id in ids {
            assert_eq!(pair.outcome(id).is_err(), fails);
        }
    }
}

#[test]
fn refusals_that_wait_for_the_disk_are_bounded_as_well() {
    let mut pair = stalled();
    let path = format!("missing/{}", String::from_utf8(vec![b'\x01'; 255]).unwrap());
    let first = pair.upload("a", b"1");
    let ids: Vec<_> = (0..500).map(|_| pair.upload(&path, b"")).collect();
    pair.run();
    assert!(!pair.session.wants_input(), "nothing more is taken");
    pair.client.reads_nothing = true;
    release(&mut pair);
    assert!(pair.server.outbox.len() >= OUTBOX_PAUSE_BYTES, "all of it was to be said");
    pair.client.reads_nothing = false;
    pair.run();
    assert_eq!(pair.number(first), 1);
    assert!(ids.into_iter().all(|id| pair.refusal(id) == ErrorCode::NoParent));
}

#[test]
fn who_could_not_read_while_the_disk_was_slow_is_not_cut_off_for_it() {
    for reads_at_first in [false, true] {
        let mut pair = stalled();
        let ids = [pair.upload("a", b"1"), pair.upload("missing/b", b"2"), pair.upload("c", b"3")];
        pair.run();
        pair.pass(2 * STALL_WINDOW);
        pair.client.reads_nothing = !reads_at_first;
        pair.server.commits_stall = false;
        pair.commit_at(0);
        pair.server.commits_stall = true;
        pair.pass(2 * STALL_WINDOW);
        pair.client.reads_nothing = true;
        release(&mut pair);
        pair.session.handle(Fact::Timeout, pair.now);
        pair.perform();
        assert!(!pair.server.closed);
        pair.pass(STALL_WINDOW - SECOND);
        assert!(!pair.server.closed);
        pair.client.reads_nothing = false;
        pair.run();
        assert_eq!((pair.number(ids[0]), pair.number(ids[2])), (1, 1));
        assert_eq!(pair.refusal(ids[1]), ErrorCode::NoParent);
    }
}

#[test]
fn who_does_not_read_is_cut_off_when_the_disk_has_answered() {
    let mut pair = stalled();
    pair.upload("a", b"1");
    pair.run();
    pair.client.reads_nothing = true;
    release(&mut pair);
    assert_eq!(pair.pass_to_deadline(), STALL_WINDOW);
    assert!(pair.server.aborted);
}

/// The line that offers a new data connection stands behind the answers to the uploads before it.
#[test]
fn a_new_data_connection_is_offered_when_the_uploads_before_it_are_answered() {
    for evicted in [false, true] {
        let mut pair = stalled();
        let a = pair.upload("a", b"1");
        pair.run();
        if evicted {
            pair.server_evicts()
        } else {
            pair.client_cancels()
        };
        pair.run();
        let b = pair.upload("b", b"22");
        pair.run();
        assert!(pair.server.jobs.is_empty(), "no ticket is asked for");
        pair.pass(DISK_TIMEOUT - SECOND);
        release(&mut pair);
        assert_eq!((pair.number(a), pair.number(b)), (1, 2));
        assert_eq!(pair.wire.links.len(), 2);
    }
}

#[test]
fn exit_and_the_end_of_the_input_and_a_line_too_long_come_after_the_uploads_before_them() {
    for end in ["exit", "end", "long"] {
        let mut pair = stalled();
        let ids = [pair.upload("a", b"1"), pair.upload("b", b"22")];
        match end {
            "exit" => pair.wire.write_commands(b"exit\n"),
            "long" => pair.wire.write_commands(&vec![b'x'; LINE_MAX_BYTES + 2]),
            _ => pair.wire.commands_ended = true,
        }
        pair.client.raw = Some(String::new());
        pair.run();
        assert!(!pair.server.closed && pair.server.outbox.is_empty(), "{end}");
        release(&mut pair);
        assert!(pair.server.closed && !pair.server.aborted, "{end}");
        let text = pair.client.raw.take().unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        match end {
            "exit" => assert_eq!(lines, ["ok", "ok", "ok"]),
            "long" => assert!(lines == ["ok", "ok", "err"] && text.contains("line-too-long"), "{text}"),
            _ => assert_eq!(lines, ["ok", "ok"]),
        }
        assert_eq!(pair.server.store.published.len(), 1 + ids.len());
    }
}

#[test]
fn a_shutdown_waits_for_the_uploads_that_wait_for_the_disk_and_for_nothing_behind_them() {
    for behind in ["ls", "upload late 1"] {
        let mut pair = stalled();
        let ids = [pair.upload("a", b"1"), pair.upload("b", b"22")];
        pair.run();
        pair.shut_down();
        let late = pair.request(behind);
        pair.run();
        assert!(!pair.server.closed);
        release(&mut pair);
        assert!(pair.server.closed && !pair.server.aborted);
        assert_eq!(ids.map(|id| pair.number(id)), [1, 2]);
        assert_eq!(pair.refusal(late), ErrorCode::ShuttingDown);
    }
}

#[test]
fn a_disk_that_never_publishes_ends_the_session() {
    for behind in [None, Some("ls")] {
        let mut pair = stalled();
        let ids = [pair.upload("a", b"1"), pair.upload("b", b"22")];
        let held = behind.map(|line| pair.request(line));
        pair.run();
        assert_eq!(pair.pass_to_deadline(), DISK_TIMEOUT);
        assert!(pair.server.closed && !pair.server.aborted);
        assert_eq!(pair.refusal(ids[0]), ErrorCode::Io);
        assert_eq!(pair.outcome(ids[1]), &Err(Failure::ControlLost));
        assert!(held.is_none_or(|id| pair.outcome(id) == &Err(Failure::ControlLost)));
        let waiting: Vec<_> =
            pair.server.publications.iter().map(|(publication, _)| publication.id).collect();
        for id in waiting {
            pair.session.handle(Fact::Published { id, result: Ok(Digest::of(b"")) }, pair.now);
        }
        assert_eq!(pair.session.poll_action(), None, "it is too late");
    }
}

#[test]
fn a_disk_that_goes_on_has_its_time() {
    let mut pair = stalled();
    let large = pair.upload("large", &bytes(EAGER_MAX + 1, 2));
    pair.run();
    for _ in 0..30 {
        pair.pass(DISK_TIMEOUT - SECOND);
        pair.session.handle(Fact::DiskProgress, pair.now);
    }
    release(&mut pair);
    assert_eq!(pair.number(large), EAGER_MAX_BYTES + 1);
}

#[test]
fn progress_of_a_disk_that_nobody_waits_for_does_not_keep_a_session() {
    let mut pair = Pair::raw(POLICY);
    pair.pass(IDLE_TIMEOUT - SECOND);
    pair.session.handle(Fact::DiskProgress, pair.now);
    assert_eq!(pair.pass_to_deadline(), SECOND);
    assert!(pair.server.closed);
}

#[test]
fn the_end_of_the_data_connection_costs_nothing_that_has_come() {
    let mut pair = stalled();
    let ids = [pair.upload("a", b"1"), pair.upload("b", b"22")];
    pair.run();
    pair.network_fails();
    pair.run();
    release(&mut pair);
    assert_eq!(ids.map(|id| pair.number(id)), [1, 2]);
}

#[test]
fn an_upload_that_drips_is_timed_out_whatever_is_published_meanwhile() {
    let mut pair = stalled();
    for number in 0..40 {
        pair.upload(&format!("a{number}"), b"1");
    }
    pair.run();
    pair.wire.shut_gate_after(crate::model::wire::Lane::Up, 5);
    let drips = pair.upload("drips", &bytes(1000, 1));
    while !pair.uploads_are_under_way() {
        assert!(pair.run_steps(1));
    }
    let begun = pair.now;
    for _ in 0..40 {
        pair.server.commits_stall = false;
        pair.commit_at(0);
        pair.server.commits_stall = true;
        while pair.server_writes(usize::MAX) || pair.client_reads(usize::MAX) {}
        pair.now += SECOND;
        pair.session.handle(Fact::Timeout, pair.now);
        pair.perform();
        if !pair.uploads_are_under_way() {
            break;
        }
    }
    assert_eq!(pair.now - begun, STALL_WINDOW);
    pair.wire.open_gates();
    release(&mut pair);
    assert_eq!(pair.refusal(drips), ErrorCode::TimedOut);
}
