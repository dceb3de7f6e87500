//! Where the network cuts a stream into reads does not matter.

use crate::commands::{Mixed, bytes};
use crate::model::Pair;
use crate::model::wire::Lane;
use ferry_common::limits::EAGER_MAX_BYTES;

#[test]
fn every_cut_of_every_stream_gives_the_same_outcome() {
    let mut uncut = Pair::new();
    Mixed::request_all(&mut uncut);
    uncut.run();
    for lane in Lane::ALL {
        let length = uncut.wire.read_bytes(lane);
        assert!(length > 50, "{lane:?} carries {length}");
        for cut in 0..=length {
            let mut pair = Pair::new();
            let mixed = Mixed::request_all(&mut pair);
            pair.run_with_cut(lane, cut);
            mixed.assert_all_done(&pair);
            assert_eq!(pair.wire.read_bytes(lane), length, "{lane:?} cut after {cut}");
            assert_eq!(pair.wire.links.len(), 1);
        }
    }
}

#[test]
fn any_size_of_reads_and_writes_gives_the_same_outcome() {
    for chunk in [1, 2, 3, 7, 13, 64, 500] {
        let mut pair = Pair::new();
        pair.chunk = chunk;
        let mixed = Mixed::request_all(&mut pair);
        pair.run();
        mixed.assert_all_done(&pair);
    }
}

#[test]
fn two_cuts_at_once_give_the_same_outcome() {
    for first in (0..400).step_by(7) {
        for (lane, second) in [(Lane::Up, first / 2), (Lane::Down, first / 8), (Lane::Replies, first)] {
            let mut pair = Pair::new();
            let mixed = Mixed::request_all(&mut pair);
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
