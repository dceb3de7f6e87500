//! What is kept of an upload that broke off, and how it is gone on with.

use crate::commands::bytes;
use crate::model::wire::Lane;
use crate::model::{POLICY, Pair};
use crate::verified::{WITH_DIGEST, resume};
use ferry_common::dialogue::RequestId;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    DISK_TIMEOUT, EAGER_MAX_BYTES, GIVE_WAY_SILENCE, STALL_WINDOW, TICKET_TIMEOUT, TRAILER_BYTES,
};
use ferry_common::wire::command::{Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use ferry_session::Policy;
use ferry_session::fact::Fact;
use std::time::Duration;

const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;
const SIZE: usize = EAGER_MAX + 1000;

/// A pair with a data connection, of which the server has kept so much of `a`.
fn with_kept(length: usize) -> Pair {
    let mut pair = Pair::new();
    let first = pair.upload("first", b"1");
    pair.run();
    assert_eq!(pair.number(first), 1);
    pair.server.store.partials.insert(b"a".to_vec(), bytes(SIZE, 1)[..length].to_vec());
    pair
}

/// Breaks off an upload of `a` when the server has so many bytes of what the client sends.
fn break_off(pair: &mut Pair, options: UploadOptions, came: usize) {
    let id = pair.upload_with("a", &bytes(SIZE, 1), options);
    let before = pair.wire.read_bytes(Lane::Up);
    let came = came + if pair.client.link.is_none() { Ticket::TEXT_BYTES + 1 } else { 0 };
    pair.wire.shut_gate_after(Lane::Up, came);
    while pair.wire.read_bytes(Lane::Up) < before + came || !pair.uploads_are_under_way() {
        assert!(pair.run_steps(1));
    }
    pair.network_fails();
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::BrokenOff);
}

#[test]
fn an_upload_that_broke_off_is_gone_on_with_from_where_it_was() {
    for came in [1, 5000, SIZE - 1, SIZE] {
        let mut pair = with_kept(0);
        break_off(&mut pair, WITH_DIGEST, came);
        let partial = pair.request("partial a");
        pair.run();
        assert_eq!(pair.client.digests[&partial], (came as u64, Digest::of(&bytes(SIZE, 1)[..came])));
        let id = pair.upload_with("a", &bytes(SIZE, 1), resume(&bytes(SIZE, 1), came));
        pair.run();
        assert_eq!((pair.number(id), pair.digest(id)), (SIZE as u64, Some(Digest::of(&bytes(SIZE, 1)))));
        assert!(pair.server.store.content("a") == Some(&bytes(SIZE, 1)));
        let gone = pair.request("partial a");
        pair.run();
        assert_eq!(pair.refusal(gone), ErrorCode::NoPartial);
    }
}

#[test]
fn an_upload_may_break_off_again_and_again() {
    let mut pair = with_kept(0);
    break_off(&mut pair, WITH_DIGEST, 1000);
    for round in 1..10 {
        break_off(&mut pair, resume(&bytes(SIZE, 1), round * 1000), 1000);
    }
    let id = pair.upload_with("a", &bytes(SIZE, 1), resume(&bytes(SIZE, 1), 10_000));
    pair.run();
    assert_eq!(pair.number(id), SIZE as u64);
    assert!(pair.server.store.content("a") == Some(&bytes(SIZE, 1)));
}

#[test]
fn only_what_is_missing_is_sent() {
    for digest in [false, true] {
        for offset in [0, 1, 5000, SIZE - 1, SIZE] {
            let mut pair = with_kept(SIZE);
            let before = pair.wire.read_bytes(Lane::Up);
            let options = UploadOptions { digest, ..resume(&bytes(SIZE, 1), offset) };
            let (id, behind) = (pair.upload_with("a", &bytes(SIZE, 1), options), pair.upload("b", b"12"));
            pair.run();
            assert_eq!((pair.number(id), pair.number(behind)), (SIZE as u64, 2), "from {offset} on");
            assert_eq!(pair.digest(id), Some(Digest::of(&bytes(SIZE, 1))));
            assert!(pair.server.store.content("a") == Some(&bytes(SIZE, 1)));
            let trailer = if digest { TRAILER_BYTES } else { 0 };
            assert_eq!(pair.wire.read_bytes(Lane::Up) - before, SIZE - offset + trailer + 2);
        }
    }
}

#[test]
fn an_upload_is_not_gone_on_with_behind_bytes_that_differ() {
    let other = Resume { offset: 100, digest: Digest::of(b"something else") };
    let options = UploadOptions { resume: Some(other), ..WITH_DIGEST };
    for (kept, options) in [
        (SIZE, options),
        (99, resume(&bytes(SIZE, 1), 100)),
        (0, resume(&bytes(SIZE, 1), 1)),
        (SIZE, resume(&bytes(SIZE, 2), 100)),
    ] {
        let mut pair = with_kept(kept);
        let before = pair.wire.read_bytes(Lane::Up);
        let id = pair.upload_with("a", &bytes(SIZE, 1), options);
        pair.run();
        assert_eq!(pair.refusal(id), ErrorCode::NoPartial);
        assert_eq!(pair.wire.read_bytes(Lane::Up), before, "nothing is sent");
        let again = pair.upload_with("a", &bytes(SIZE, 1), WITH_DIGEST);
        pair.run();
        assert_eq!(pair.number(again), SIZE as u64);
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn nothing_can_be_gone_on_with_where_nothing_is_kept() {
    for size in [0, 1000, SIZE] {
        let mut pair = Pair::new();
        let id = pair.upload_with("a", &bytes(size, 1), resume(&bytes(size, 1), 0));
        pair.run();
        assert_eq!(pair.refusal(id), ErrorCode::NoPartial);
    }
}

/// What is kept may be longer than what another client wants to send.
#[test]
fn an_offset_beyond_the_size_is_refused() {
    for size in [0, 100, SIZE - 1] {
        let mut pair = with_kept(SIZE);
        let digest = Digest::of(&bytes(SIZE, 1)[..size + 1]);
        let resume = Some(Resume { offset: size as u64 + 1, digest });
        let options = UploadOptions { resume, ..WITH_DIGEST };
        let (id, behind) = (pair.upload_with("a", &bytes(size, 1), options), pair.upload("b", b"12"));
        pair.run();
        assert_eq!(pair.refusal(id), ErrorCode::BadOffset);
        assert_eq!(pair.number(behind), 2);
        assert_eq!(pair.server.store.content("a"), None);
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn a_resumed_upload_is_refused_like_any_other_and_what_is_kept_stays() {
    let options = resume(&bytes(SIZE, 1), 100);
    for (policy, new, code) in [
        (Policy { read_only: true, ..POLICY }, false, ErrorCode::ReadOnly),
        (Policy { no_overwrite: true, ..POLICY }, false, ErrorCode::Exists),
        (POLICY, true, ErrorCode::Exists),
    ] {
        let mut pair = Pair::with_policy(policy);
        pair.server.store.put("a", b"old");
        pair.server.store.partials.insert(b"a".to_vec(), bytes(SIZE, 1)[..200].to_vec());
        let id = pair.upload_with("a", &bytes(SIZE, 1), UploadOptions { new, ..options });
        pair.run();
        assert_eq!(pair.refusal(id), code);
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert_eq!(pair.server.store.partials[&b"a"[..]].len(), 200);
    }
}

#[test]
fn a_small_upload_that_broke_off_is_not_kept() {
    let mut pair = with_kept(0);
    pair.server.store.partials.clear();
    let id = pair.upload("a", &bytes(1000, 1));
    pair.wire.shut_gate_after(Lane::Up, 500);
    while !pair.uploads_are_under_way() {
        assert!(pair.run_steps(1));
    }
    pair.client_cancels();
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::BrokenOff);
    assert!(pair.server.store.partials.is_empty());
}

#[test]
fn a_resumed_upload_whose_whole_does_not_match_is_refused_and_not_kept() {
    let mut pair = with_kept(5000);
    pair.client.false_trailer = Some(format!("{}\n", Digest::of(b"something else")).into_bytes());
    let id = pair.upload_with("a", &bytes(SIZE, 1), resume(&bytes(SIZE, 1), 5000));
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::Mismatch);
    assert!(pair.server.store.partials.is_empty());
    assert_eq!(pair.server.store.content("a"), None);
}

/// Nothing is to be sent, so the server does not see that its data connection is gone.
#[test]
fn a_resumed_upload_that_lacks_nothing_survives_the_end_of_its_data_connection() {
    let mut pair = with_kept(SIZE);
    let options = UploadOptions { digest: false, ..resume(&bytes(SIZE, 1), SIZE) };
    let id = pair.upload_with("a", &bytes(SIZE, 1), options);
    while pair.server.publications.is_empty() {
        pair.server_reads(usize::MAX);
        pair.server_disk();
    }
    pair.client_cancels();
    pair.run();
    assert_eq!(pair.number(id), SIZE as u64);
}

/// Without a data connection in time, what was kept before is kept still.
#[test]
fn a_resumed_upload_without_a_data_connection_keeps_what_was_kept() {
    let mut pair = Pair::new();
    pair.server.store.partials.insert(b"a".to_vec(), bytes(SIZE, 1)[..200].to_vec());
    let id = pair.upload_with("a", &bytes(SIZE, 1), resume(&bytes(SIZE, 1), 150));
    while !matches!(pair.server.jobs.front(), Some(crate::model::server::Job::Ticket)) {
        assert!(pair.run_steps(1));
    }
    pair.server.disk_stalls = true;
    pair.pass_to_deadline();
    assert_eq!(pair.refusal(id), ErrorCode::Busy);
    assert_eq!(pair.server.store.partials[&b"a"[..]].len(), 150);
}

#[test]
fn a_session_that_ends_keeps_what_came() {
    let mut pair = with_kept(0);
    pair.upload("a", &bytes(SIZE, 1));
    pair.wire.shut_gate_after(Lane::Up, 70_000);
    while pair.wire.read_bytes(Lane::Up) < 70_000 {
        assert!(pair.run_steps(1));
    }
    pair.wire.commands_ended = true;
    pair.network_fails();
    pair.run();
    assert!(pair.server.closed);
    let kept = &pair.server.store.partials[&b"a"[..]];
    assert!(*kept == bytes(SIZE, 1)[..kept.len()] && kept.len() > 60_000);
}

/// An upload of `a` of which the server has got so much, and a command behind it.
fn under_way(came: usize) -> (Pair, RequestId, RequestId) {
    let mut pair = with_kept(0);
    let id = pair.upload_with("a", &bytes(SIZE, 1), WITH_DIGEST);
    let behind = pair.request("ls");
    let before = pair.wire.read_bytes(Lane::Up);
    pair.wire.shut_gate_after(Lane::Up, came);
    while pair.wire.read_bytes(Lane::Up) < before + came || !pair.uploads_are_under_way() {
        assert!(pair.run_steps(1));
    }
    (pair, id, behind)
}

fn seek_elsewhere(pair: &mut Pair, after: Duration) {
    pair.now += after;
    pair.session.handle(Fact::SoughtElsewhere, pair.now);
    pair.perform();
}

#[test]
fn a_silent_upload_gives_way_to_who_asks_for_it() {
    let almost = GIVE_WAY_SILENCE - Duration::from_nanos(1);
    let (mut pair, id, behind) = under_way(5000);
    seek_elsewhere(&mut pair, almost);
    assert!(pair.uploads_are_under_way());
    seek_elsewhere(&mut pair, Duration::from_nanos(1));
    assert_eq!(pair.server.store.partials[b"a".as_slice()], bytes(SIZE, 1)[..5000]);
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::TimedOut);
    assert_eq!(pair.number(behind), 1, "the session goes on");
}

#[test]
fn an_upload_that_moves_gives_way_to_nobody() {
    let (mut pair, id, _) = under_way(5000);
    for came in 5000..5010 {
        pair.now += GIVE_WAY_SILENCE;
        let before = pair.wire.read_bytes(Lane::Up);
        pair.wire.shut_gate_after(Lane::Up, 1);
        while pair.wire.read_bytes(Lane::Up) == before {
            assert!(pair.run_steps(1), "after {came} bytes");
        }
        seek_elsewhere(&mut pair, Duration::ZERO);
    }
    pair.run();
    assert_eq!(pair.number(id), SIZE as u64);
}

/// Its ticket is out, but no connection comes with it: what it has taken up again is free for the next session.
#[test]
fn an_upload_whose_ticket_nobody_redeems_gives_way() {
    let mut pair = Pair::raw(POLICY);
    pair.server.store.partials.insert(b"a".to_vec(), bytes(SIZE, 1)[..5000].to_vec());
    let digest = Digest::of(&bytes(SIZE, 1)[..5000]);
    let offer = pair.say(&format!("upload a {SIZE} resume=5000:{digest}\n"));
    assert!(offer.starts_with("(data) "), "{offer}");
    assert!(pair.server.store.partials.is_empty());
    assert!(GIVE_WAY_SILENCE < TICKET_TIMEOUT);
    seek_elsewhere(&mut pair, GIVE_WAY_SILENCE);
    assert_eq!(pair.server.store.partials.len(), 1);
    assert!(pair.say("").starts_with("err timed-out "));
}

/// Only an upload can be kept.
#[test]
fn a_silent_download_gives_way_to_nobody() {
    let mut pair = Pair::raw(POLICY);
    pair.server.store.put("a", &bytes(SIZE, 1));
    assert!(pair.say("download a\n").starts_with("(data) "));
    seek_elsewhere(&mut pair, GIVE_WAY_SILENCE);
    assert_eq!(pair.say(""), "");
}

/// What has come is not written yet: it is the disk that is silent, and not the client.
#[test]
fn an_upload_that_waits_for_the_disk_is_not_taken_for_silent() {
    let (mut pair, id, _) = under_way(5000);
    pair.session.handle(Fact::Arrived { bytes: 1000 }, pair.now);
    seek_elsewhere(&mut pair, DISK_TIMEOUT - Duration::from_nanos(1));
    pair.session.handle(Fact::Timeout, pair.now);
    pair.perform();
    assert!(pair.uploads_are_under_way());
    // The payload is written at last, and the client has its time again.
    pair.session.handle(Fact::Moved { bytes: 1000 }, pair.now);
    assert_eq!(pair.session.deadline(), pair.now + STALL_WINDOW);

    pair.session.handle(Fact::Arrived { bytes: 1000 }, pair.now);
    assert_eq!(pair.pass_to_deadline(), DISK_TIMEOUT);
    assert!(pair.server.closed);
    assert!(pair.outcome(id).is_err());
    assert_eq!(pair.server.store.partials[b"a".as_slice()], bytes(SIZE, 1)[..5000]);
}
