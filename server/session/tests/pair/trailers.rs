//! The digest that follows an upload: nothing is stored that does not match it, and it is never taken for
//! payload nor payload for it.

use crate::commands::bytes;
use crate::model::Pair;
use crate::model::wire::Lane;
use crate::verified::WITH_DIGEST;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, STALL_WINDOW, TRAILER_BYTES};
use ferry_common::wire::digest::Digest;

const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;
const SIZES: [usize; 6] = [0, 1, 100, EAGER_MAX - 1, EAGER_MAX, EAGER_MAX + 1];

fn with_old_file() -> Pair {
    let mut pair = Pair::new();
    let old = pair.upload("a", b"old");
    pair.run();
    assert_eq!(pair.number(old), 3);
    pair
}

fn assert_works(pair: &mut Pair) {
    let (up, down) = (pair.upload_with("after", b"after", WITH_DIGEST), pair.request("download after"));
    pair.run();
    assert_eq!((pair.number(up), pair.number(down)), (5, 5));
    assert_eq!(pair.client.delivered[&down], b"after");
}

#[test]
fn an_upload_with_the_right_digest_is_stored() {
    for size in SIZES {
        let mut pair = with_old_file();
        let content = bytes(size, 1);
        let id = pair.upload_with("a", &content, WITH_DIGEST);
        let behind = pair.upload("b", b"behind");
        pair.run();
        assert_eq!(pair.digest(id), Some(Digest::of(&content)));
        assert!(pair.server.store.content("a") == Some(&content));
        assert_eq!(pair.number(behind), 6);
        assert_eq!(pair.server.store.content("b"), Some(&b"behind"[..]));
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn an_upload_with_the_digest_of_something_else_is_refused_and_leaves_the_old_file() {
    for size in SIZES {
        let mut pair = with_old_file();
        pair.client.false_trailer = Some(format!("{}\n", Digest::of(b"something else")).into_bytes());
        let id = pair.upload_with("a", &bytes(size, 1), WITH_DIGEST);
        let partial = pair.request("partial a");
        pair.run();
        pair.client.false_trailer = None;
        assert_eq!(pair.refusal(id), ErrorCode::Mismatch, "{size}");
        assert_eq!(pair.refusal(partial), ErrorCode::NoPartial, "what is wrong is not gone on with");
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert_works(&mut pair);
        assert_eq!(pair.wire.links.len(), 1, "the stream is in step");
    }
}

#[test]
fn what_is_no_digest_ends_the_data_connection_and_leaves_the_old_file() {
    let digest = Digest::of(&bytes(100, 1)).to_string();
    for trailer in [
        "x".repeat(TRAILER_BYTES),
        digest.to_uppercase() + "\n",
        digest.clone() + " ",
        format!(" {}\n", &digest[1..]),
        "\n".repeat(TRAILER_BYTES),
    ] {
        for size in [0, 100, EAGER_MAX + 1] {
            let mut pair = with_old_file();
            pair.client.false_trailer = Some(trailer.clone().into_bytes());
            let id = pair.upload_with("a", &bytes(size, 1), WITH_DIGEST);
            pair.run();
            assert_eq!(pair.refusal(id), ErrorCode::Mismatch, "{trailer:?}");
            assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
            assert!(pair.server.store.partials.is_empty());
            pair.client.false_trailer = None;
            assert_works(&mut pair);
            assert_eq!(pair.wire.links.len(), 2);
        }
    }
}

#[test]
fn a_trailer_may_be_cut_anywhere() {
    let sizes = [0, 10, EAGER_MAX + 1];
    for (size, cut) in sizes.iter().flat_map(|&size| (0..=TRAILER_BYTES).map(move |cut| (size, cut))) {
        let mut pair = with_old_file();
        let ids = [pair.upload_with("a", &bytes(size, 1), WITH_DIGEST), pair.upload("b", b"behind")];
        pair.run_with_cut(Lane::Up, size + cut);
        assert_eq!(ids.map(|id| pair.number(id)), [size as u64, 6]);
        assert!(pair.server.store.content("a") == Some(&bytes(size, 1)));
    }
}

#[test]
fn an_upload_that_ends_within_its_trailer_is_broken_off_and_only_a_large_one_is_kept() {
    for (size, kept) in [(0, false), (100, false), (EAGER_MAX, false), (EAGER_MAX + 1, true)] {
        for came in [0, 1, TRAILER_BYTES - 1] {
            let mut pair = with_old_file();
            let id = pair.upload_with("a", &bytes(size, 1), WITH_DIGEST);
            let before = pair.wire.read_bytes(Lane::Up);
            pair.wire.shut_gate_after(Lane::Up, size + came);
            while pair.wire.read_bytes(Lane::Up) < before + size + came || !pair.uploads_are_under_way() {
                assert!(pair.run_steps(1));
            }
            pair.network_fails();
            pair.run();
            assert_eq!(pair.refusal(id), ErrorCode::BrokenOff, "{size} and {came}");
            assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
            assert_eq!(pair.server.store.partials.get(&b"a"[..]).map(Vec::len), kept.then_some(size));
            assert_works(&mut pair);
        }
    }
}

#[test]
fn a_trailer_that_does_not_come_is_timed_out() {
    for size in [0, 100, EAGER_MAX + 1] {
        let mut pair = with_old_file();
        pair.client.false_trailer = Some(b"99aa".to_vec());
        let id = pair.upload_with("a", &bytes(size, 1), WITH_DIGEST);
        pair.run();
        // The window in which the bytes came has seen enough.
        while pair.dialogue.is_busy() {
            assert!(pair.pass_to_deadline() <= STALL_WINDOW);
        }
        assert_eq!(pair.refusal(id), ErrorCode::TimedOut);
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        pair.client.false_trailer = None;
        assert_works(&mut pair);
    }
}

#[test]
fn a_refused_upload_takes_its_trailer_with_it() {
    for size in [0, 1, 100, EAGER_MAX] {
        let mut pair = with_old_file();
        pair.server.store.make_dir("dir");
        let refused =
            [".", "dir", "no/where"].map(|path| pair.upload_with(path, &bytes(size, 1), WITH_DIGEST));
        assert_works(&mut pair);
        let codes = [ErrorCode::IsDirectory, ErrorCode::IsDirectory, ErrorCode::NoParent];
        assert_eq!(refused.map(|id| pair.refusal(id)), codes);
        assert_eq!(pair.wire.links.len(), 1);
    }
}

#[test]
fn a_disk_that_fails_takes_the_trailer_with_the_small_rest() {
    let size = 3 * EAGER_MAX;
    for (size, written, links) in
        [(100, 1, 1), (100, 100, 1), (size, 2 * EAGER_MAX - 1, 2), (size, 2 * EAGER_MAX, 1), (size, size, 1)]
    {
        let mut pair = with_old_file();
        pair.server.store.faults.write_fails_after = Some(written);
        let id = pair.upload_with("a", &bytes(size, 1), WITH_DIGEST);
        assert_works(&mut pair);
        assert_eq!(pair.refusal(id), ErrorCode::NoSpace, "after {written}");
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert!(pair.server.store.partials.is_empty(), "there is no room for it");
        assert_eq!(pair.wire.links.len(), links, "after {written}");
    }
}
