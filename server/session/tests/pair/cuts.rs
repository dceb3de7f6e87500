//! Where the network cuts a stream into reads does not matter.

use crate::commands::{Mix, Mixed, bytes};
use crate::model::Pair;
use crate::model::wire::Lane;
use crate::verified::Verified;
use ferry_common::limits::EAGER_MAX_BYTES;

#[test]
fn every_cut_of_every_stream_gives_the_same_outcome() {
    every_cut::<Mixed>();
}

#[test]
fn every_cut_of_every_stream_with_digests_gives_the_same_outcome() {
    every_cut::<Verified>();
}

fn every_cut<M: Mix>() {
    let mut uncut = Pair::new();
    M::request_all(&mut uncut);
    uncut.run();
    for lane in Lane::ALL {
        let length = uncut.wire.read_bytes(lane);
        assert!(length > 40, "{lane:?} carries {length}");
        for cut in 0..=length {
            let mut pair = Pair::new();
            let mixed = M::request_all(&mut pair);
            pair.run_with_cut(lane, cut);
            mixed.assert_all_done(&pair);
            assert_eq!(pair.wire.read_bytes(lane), length, "{lane:?} cut after {cut}");
            assert_eq!(pair.wire.links.len(), 1);
        }
    }
}

#[test]
fn any_size_of_reads_and_writes_gives_the_same_outcome() {
    any_size::<Mixed>();
    any_size::<Verified>();
}

fn any_size<M: Mix>() {
    for chunk in [1, 2, 3, 7, 13, 64, 500] {
        let mut pair = Pair::new();
        pair.chunk = chunk;
        let mixed = M::request_all(&mut pair);
        pair.run();
        mixed.assert_all_done(&pair);
    }
}

#[test]
fn two_cuts_at_once_give_the_same_outcome() {
    two_cuts::<Mixed>();
    two_cuts::<Verified>();
}

fn two_cuts<M: Mix>() {
    for first in (0..400).step_by(7) {
        for (lane, second) in [(Lane::Up, first / 2), (Lane::Down, first / 8), (Lane::Replies, first)] {
            let mut pair = Pair::new();
            let mixed = M::request_all(&mut pair);
            pair.wire.shut_gate_after(Lane::Commands, first);
            pair.run_with_cut(lane, second);
            mixed.assert_all_done(&pair);
        }
    }
}

#[test]
fn a_large_upload_may_be_cut_anywhere() {
    let size = usize::try_from(EAGER_MAX_BYTES).unwrap() + 1;
    for cut in [0, 1, 48, 49, 50, 4096, size / 2, size + 48, size + 49, size + 50, size + 51] {
        let mut pair = Pair::new();
        let (large, small) = (pair.upload("large", &bytes(size, 1)), pair.upload("small", b"12"));
        pair.run_with_cut(Lane::Up, cut);
        assert_eq!((pair.number(large), pair.number(small)), (size as u64, 2));
        assert!(pair.server.store.content("large") == Some(&bytes(size, 1)));
        assert_eq!(pair.server.store.content("small"), Some(&b"12"[..]));
    }
}
