//! What becomes of transfers when the data connection ends, at whatever point and by whichever end.

use crate::commands::{Mix, Mixed, bytes};
use crate::model::Pair;
use crate::model::wire::Lane;
use crate::verified::Verified;
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, TICKET_TIMEOUT};

const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;

/// Lets `disturb` happen after each number of steps that the mixed commands take, and `check` what is left
/// when everything has settled.
fn at_every_moment<M: Mix>(chunk: usize, disturb: impl Fn(&mut Pair), check: impl Fn(&M, &Pair)) {
    for steps in 0.. {
        let mut pair = Pair::new();
        pair.chunk = chunk;
        let mixed = M::request_all(&mut pair);
        let reached = pair.run_steps(steps);
        disturb(&mut pair);
        pair.run();
        if pair.dialogue.is_busy() {
            // The ticket was lost on its way.
            assert_eq!(pair.pass_to_deadline(), TICKET_TIMEOUT);
        }
        check(&mixed, &pair);
        assert!(!pair.dialogue.is_busy(), "a request hangs after {steps} steps");
        assert_works(&mut pair);
        if !reached {
            assert!(steps > 30, "only {steps} steps were tried");
            return;
        }
    }
}

/// The session is as good as new.
fn assert_works(pair: &mut Pair) {
    let (up, down) = (pair.upload("after", b"after all"), pair.request("download after"));
    pair.run();
    assert_eq!((pair.number(up), pair.number(down)), (9, 9));
    assert_eq!(pair.client.delivered[&down], b"after all");
}

/// Whatever was answered with `ok` is whole, and nothing else is under any name.
fn assert_nothing_is_false<M: Mix>(mixed: &M, pair: &Pair) {
    let sent = M::possible();
    for (path, content) in &pair.server.store.published {
        assert!(sent.iter().any(|(name, whole)| name.as_bytes() == path && whole == content));
    }
    assert!(pair.server.store.published.len() <= sent.len(), "an upload was published twice");
    mixed.assert_ok_is_true(pair);
}

#[test]
fn an_idle_data_connection_that_the_server_closes_at_any_moment_costs_nothing() {
    for chunk in [1, 7, usize::MAX] {
        let evict = |pair: &mut Pair| {
            pair.server_evicts();
        };
        at_every_moment(chunk, evict, Mixed::assert_all_done);
        at_every_moment(chunk, evict, Verified::assert_all_done);
    }
}

#[test]
fn an_idle_data_connection_that_is_closed_again_and_again_costs_nothing() {
    for every in 1..12 {
        let mut pair = Pair::new();
        pair.chunk = 5;
        let mixed = Mixed::request_all(&mut pair);
        while pair.run_steps(every) {
            pair.server_evicts();
        }
        mixed.assert_all_done(&pair);
        assert!(pair.wire.links.len() > 1);
    }
}

#[test]
fn requests_before_between_and_after_the_news_of_a_closed_data_connection_are_done() {
    for moment in 0..4 {
        let mut pair = Pair::new();
        let first = pair.upload("first", b"1");
        pair.run();
        assert_eq!(pair.number(first), 1);
        let mut ids = Vec::new();
        for step in 0..4 {
            match step {
                0 => _ = pair.server_evicts(),
                1 => _ = pair.client_reads_data(usize::MAX),
                2 => _ = pair.client_writes_data(usize::MAX),
                _ => pair.run(),
            }
            if step == moment {
                ids.push(pair.upload("large", &bytes(EAGER_MAX + 1, 1)));
                ids.push(pair.upload("small", &bytes(9, 2)));
            }
        }
        pair.run();
        assert_eq!(ids.map_numbers(&pair), [EAGER_MAX_BYTES + 1, 9], "asked for at moment {moment}");
        assert!(pair.server.store.content("large") == Some(&bytes(EAGER_MAX + 1, 1)));
        assert_eq!(pair.server.store.content("small"), Some(&bytes(9, 2)[..]));
        assert_eq!(pair.server.store.published.len(), 3);
    }
}

trait Numbers {
    fn map_numbers(&self, pair: &Pair) -> Vec<u64>;
}

impl Numbers for Vec<u64> {
    fn map_numbers(&self, pair: &Pair) -> Vec<u64> {
        self.iter().map(|&id| pair.number(id)).collect()
    }
}

#[test]
fn a_network_that_fails_at_any_moment_breaks_transfers_off_and_nothing_else() {
    for chunk in [3, usize::MAX] {
        at_every_moment(chunk, Pair::network_fails, assert_nothing_is_false::<Mixed>);
        at_every_moment(chunk, Pair::network_fails, assert_nothing_is_false::<Verified>);
    }
}

#[test]
fn a_session_may_have_to_give_way_at_any_moment() {
    for chunk in [3, usize::MAX] {
        at_every_moment(chunk, Pair::server_gives_way, assert_nothing_is_false::<Mixed>);
        at_every_moment(chunk, Pair::server_gives_way, assert_nothing_is_false::<Verified>);
    }
}

#[test]
fn a_client_may_cancel_at_any_moment() {
    for chunk in [3, usize::MAX] {
        let cancel = |pair: &mut Pair| {
            pair.client_cancels();
        };
        at_every_moment(chunk, cancel, assert_nothing_is_false::<Mixed>);
        at_every_moment(chunk, cancel, assert_nothing_is_false::<Verified>);
    }
}

#[test]
fn a_cancelled_download_fails_even_if_the_server_has_sent_it_whole() {
    let mut pair = Pair::new();
    pair.server.store.put("a", &bytes(1000, 1));
    let id = pair.request("download a");
    pair.wire.shut_gate_after(Lane::Down, 500);
    while pair.client.delivered.get(&id).is_none_or(|bytes| bytes.len() < 500) {
        pair.run_steps(1);
    }
    pair.client_cancels();
    pair.run();
    assert_eq!(pair.outcome(id), &Err(Failure::DataLost));
    assert_works(&mut pair);
}

#[test]
fn a_download_lost_half_way_is_broken_off() {
    let mut pair = Pair::new();
    pair.chunk = 100;
    pair.server.store.put("a", &bytes(1000, 1));
    let id = pair.request("download a");
    while pair.client.delivered.get(&id).is_none_or(|bytes| bytes.len() < 500) {
        pair.run_steps(1);
    }
    pair.network_fails();
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::BrokenOff);
    assert_works(&mut pair);
}

#[test]
fn an_upload_lost_half_way_leaves_the_old_file() {
    for size in [1000, EAGER_MAX + 1] {
        let mut pair = Pair::new();
        let old = pair.upload("a", b"old");
        pair.run();
        assert_eq!(pair.number(old), 3);
        pair.chunk = size / 2;
        let id = pair.upload("a", &bytes(size, 1));
        let before = pair.wire.read_bytes(Lane::Up);
        while pair.wire.read_bytes(Lane::Up) < before + size / 2 {
            pair.run_steps(1);
        }
        pair.network_fails();
        pair.run();
        assert_eq!(pair.refusal(id), ErrorCode::BrokenOff);
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert_works(&mut pair);
    }
}

#[test]
fn a_file_that_shrinks_is_a_failed_download_and_not_a_short_one() {
    for shrink_to in [0, 1, 999] {
        let mut pair = Pair::new();
        pair.server.store.put("a", &bytes(1000, 1));
        pair.server.store.faults.shrink_to = Some(shrink_to);
        let (fails, works) = (pair.request("download a"), pair.request("download a"));
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::Changed);
        assert_eq!(pair.number(works), 1000);
        assert_eq!(pair.client.delivered[&works], bytes(1000, 1));
        assert_eq!(pair.wire.links.len(), 2, "the broken stream is not used any further");
    }
}

/// The server may be far ahead on the control connection while its last files are still on their way.
#[test]
fn downloads_that_were_sent_whole_survive_the_end_of_their_data_connection() {
    for news_first in [false, true] {
        let mut pair = Pair::new();
        pair.server.store.put("whole", &bytes(1000, 1));
        pair.server.store.put("shrinks", &bytes(2000, 2));
        let whole = [pair.request("download whole"), pair.request("download whole")];
        if news_first {
            pair.wire.shut_gate_after(Lane::Down, 10);
        }
        while pair.wire.links.is_empty() || pair.server.jobs.is_empty() {
            pair.run_steps(1);
        }
        // Both whole files go out, the third is broken off, the fourth and the upload need a new connection.
        pair.server.store.faults.shrink_to = Some(1000);
        let (shrinks, again) = (pair.request("download shrinks"), pair.request("download whole"));
        let up = pair.upload("up", b"12345");
        pair.run();
        assert_eq!(whole.map(|id| pair.number(id)), [1000, 1000]);
        assert_eq!(whole.map(|id| pair.client.delivered[&id].clone()), [bytes(1000, 1), bytes(1000, 1)]);
        assert_eq!(pair.refusal(shrinks), ErrorCode::Changed);
        assert_eq!((pair.number(again), pair.number(up)), (1000, 5));
        assert_eq!(pair.client.delivered[&again], bytes(1000, 1));
    }
}

#[test]
fn a_disk_that_fails_drops_a_small_rest_and_closes_before_a_large_one() {
    let size = 3 * EAGER_MAX;
    for (written, links) in [(1, 2), (2 * EAGER_MAX - 1, 2), (2 * EAGER_MAX, 1), (size - 1, 1), (size, 1)] {
        let mut pair = Pair::new();
        let old = pair.upload("a", b"old");
        pair.run();
        assert_eq!(pair.number(old), 3);
        pair.server.store.faults.write_fails_after = Some(written);
        let (fails, works) = (pair.upload("a", &bytes(size, 1)), pair.upload("b", &bytes(100, 2)));
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::NoSpace, "after {written}");
        assert_eq!(pair.number(works), 100);
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert_eq!(pair.server.store.content("b"), Some(&bytes(100, 2)[..]));
        assert_eq!(pair.wire.links.len(), links, "after {written}");
    }
}

#[test]
fn a_disk_that_fails_in_an_eager_upload_keeps_the_data_connection() {
    for written in [1, 50, 100] {
        let mut pair = Pair::new();
        pair.chunk = 10;
        pair.server.store.faults.write_fails_after = Some(written);
        let (fails, works) = (pair.upload("a", &bytes(100, 1)), pair.upload("b", &bytes(100, 2)));
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::NoSpace);
        assert_eq!(pair.number(works), 100);
        assert_eq!(pair.server.store.content("b"), Some(&bytes(100, 2)[..]));
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn the_end_of_the_data_connection_ends_the_dropping_of_a_refused_upload() {
    let mut pair = Pair::new();
    let first = pair.upload("first", b"1");
    pair.server.store.make_dir("dir");
    pair.run();
    assert_eq!(pair.number(first), 1);
    pair.wire.shut_gate_after(Lane::Up, 500);
    let refused = pair.upload("dir", &bytes(1000, 1));
    while pair.client.done.len() < 2 {
        pair.run_steps(1);
    }
    pair.client_cancels();
    pair.run();
    assert_eq!(pair.refusal(refused), ErrorCode::IsDirectory);
    assert_works(&mut pair);
}
