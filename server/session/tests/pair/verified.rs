//! Transfers whose digests are told, and the commands that change names, in one long line of requests.

use crate::commands::{Mix, assert_all_published, bytes};
use crate::model::Pair;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{DISK_TIMEOUT, EAGER_MAX_BYTES};
use ferry_common::wire::command::{Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use ferry_session::fact::Fact;
use std::time::Duration;

pub(crate) const WITH_DIGEST: UploadOptions = UploadOptions { digest: true, ..UploadOptions::NONE };

/// To go on behind so much of a content.
pub(crate) fn resume(content: &[u8], offset: usize) -> UploadOptions {
    let resume = Resume { offset: offset as u64, digest: Digest::of(&content[..offset]) };
    UploadOptions { resume: Some(resume), ..WITH_DIGEST }
}

pub(crate) struct Verified {
    ids: Vec<u64>,
}

impl Mix for Verified {
    fn request_all(pair: &mut Pair) -> Self {
        pair.server.store.make_dir("dir");
        pair.server.store.partials.insert(b"r".to_vec(), bytes(15, 6));
        let ids = vec![
            pair.upload_with("s1", &bytes(30, 2), WITH_DIGEST),
            pair.upload_with("dir", &bytes(20, 3), WITH_DIGEST),
            pair.upload_with("empty", b"", WITH_DIGEST),
            pair.upload("s2", &bytes(10, 4)),
            pair.request("sum s1"),
            pair.upload_with("s1", &bytes(25, 5), UploadOptions { new: true, ..WITH_DIGEST }),
            pair.request("mkdir new"),
            pair.upload_with(
                "new/x",
                &bytes(12, 7),
                UploadOptions { mtime: Some(FileTime::from_seconds(-5)), ..WITH_DIGEST },
            ),
            pair.request("mv new/x s2"),
            pair.request("mv new/x s2 replace"),
            pair.request("download s2 digest"),
            pair.request("rm new"),
            pair.request("partial r"),
            pair.upload_with("r", &bytes(35, 6), resume(&bytes(35, 6), 15)),
            pair.request("download r 5 digest"),
            pair.request("partial r"),
        ];
        Self { ids }
    }

    fn sent() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("s1", bytes(30, 2)),
            ("empty", Vec::new()),
            ("s2", bytes(10, 4)),
            ("new/x", bytes(12, 7)),
            ("r", bytes(35, 6)),
        ]
    }

    fn possible() -> Vec<(&'static str, Vec<u8>)> {
        Self::sent().into_iter().chain([("s1", bytes(25, 5))]).collect()
    }

    fn assert_all_done(&self, pair: &Pair) {
        let id = |place: usize| self.ids[place];
        let refused = [
            (1, ErrorCode::IsDirectory),
            (5, ErrorCode::Exists),
            (8, ErrorCode::Exists),
            (15, ErrorCode::NoPartial),
        ];
        for (place, id) in self.ids.iter().enumerate() {
            match refused.iter().find(|(refused, _)| *refused == place) {
                Some((_, code)) => assert_eq!(pair.refusal(*id), *code, "request {place}"),
                None => _ = pair.number(*id),
            }
        }
        assert_all_published::<Self>(pair);
        self.assert_ok_is_true(pair);
        assert_eq!(pair.client.digests[&id(4)], (30, Digest::of(&bytes(30, 2))));
        assert_eq!(pair.client.digests[&id(12)], (15, Digest::of(&bytes(15, 6))));
        assert_eq!(pair.client.delivered[&id(10)], bytes(12, 7));
        assert_eq!(pair.client.delivered[&id(14)], bytes(35, 6)[5..]);
        assert!(!pair.server.store.nodes.contains_key(&b"new"[..]));
        assert!(!pair.dialogue.is_busy());
    }

    fn assert_ok_is_true(&self, pair: &Pair) {
        let ok = |place: usize| pair.outcome(self.ids[place]).is_ok();
        let sent = Self::sent();
        for (place, (path, content)) in [0, 2, 3, 7, 13].into_iter().zip(&sent) {
            if ok(place) {
                let published = (path.as_bytes().to_vec(), content.clone());
                assert!(pair.server.store.published.contains(&published), "request {place}");
                assert_eq!(pair.digest(self.ids[place]), Some(Digest::of(content)));
            }
        }
        for (place, offset, whole) in [(10, 0, [&sent[2].1, &sent[3].1]), (14, 5, [&sent[4].1, &sent[4].1])] {
            if ok(place) {
                let delivered = &pair.client.delivered[&self.ids[place]];
                let whole = whole.iter().find(|whole| whole[offset..] == **delivered).expect("a whole one");
                assert_eq!(pair.digest(self.ids[place]), Some(Digest::of(whole)));
            }
        }
        assert!(!ok(1) && (!ok(0) || !ok(5)));
    }
}

#[test]
fn commands_with_digests_sent_ahead_are_all_done_in_their_order() {
    let mut pair = Pair::new();
    let mixed = Verified::request_all(&mut pair);
    pair.run();
    mixed.assert_all_done(&pair);
    assert_eq!(pair.wire.links.len(), 1);
}

#[test]
fn the_digest_of_a_download_is_that_of_the_whole_file_and_told_only_if_asked_for() {
    let mut pair = Pair::new();
    pair.server.store.put("a", &bytes(1000, 1));
    pair.server.store.put("empty", b"");
    for (line, length, content) in [
        ("download a digest", 1000, bytes(1000, 1)),
        ("download a 0 digest", 1000, bytes(1000, 1)),
        ("download a 999 digest", 1, bytes(1000, 1)),
        ("download a 1000 digest", 0, bytes(1000, 1)),
        ("download empty digest", 0, Vec::new()),
    ] {
        let id = pair.request(line);
        pair.run();
        assert_eq!((pair.number(id), pair.digest(id)), (length, Some(Digest::of(&content))), "{line}");
    }
    let plain = pair.request("download a");
    pair.run();
    assert_eq!(pair.digest(plain), None);
}

#[test]
fn a_download_whose_file_was_changed_meanwhile_fails_although_all_of_it_has_come() {
    for line in ["download a", "download a digest", "download a 1000", "download a 1000 digest"] {
        let mut pair = Pair::new();
        pair.server.store.put("a", &bytes(1000, 1));
        pair.server.store.faults.changed = Some(ErrorCode::Changed);
        let (fails, works) = (pair.request(line), pair.request(line));
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::Changed);
        pair.number(works);
        let up = pair.upload("b", b"12");
        pair.run();
        assert_eq!(pair.number(up), 2);
    }
}

/// All bytes were sent: whether their connection is still there does not matter to the check.
#[test]
fn the_data_connection_may_end_while_a_download_is_checked() {
    for changed in [None, Some(ErrorCode::Changed)] {
        for disturb in [Pair::server_evicts, Pair::client_cancels] {
            let mut pair = Pair::new();
            pair.server.store.put("a", &bytes(1000, 1));
            pair.server.store.faults.changed = changed;
            let id = pair.request("download a digest");
            while pair.client.delivered.get(&id).is_none_or(|bytes| bytes.len() < 1000) {
                pair.server.disk_stalls = pair.server.link.is_some();
                assert!(pair.run_steps(1));
            }
            assert_eq!(pair.server.jobs.len(), 1, "the check is under way");
            assert!(disturb(&mut pair));
            pair.server.disk_stalls = false;
            pair.run();
            match changed {
                None => assert_eq!(pair.digest(id), Some(Digest::of(&bytes(1000, 1)))),
                Some(code) => assert_eq!(pair.refusal(id), code),
            }
            let again = pair.request("download a digest");
            pair.run();
            assert_eq!(pair.number(again), 1000);
        }
    }
}

#[test]
fn a_check_may_take_long_as_long_as_it_goes_on() {
    let mut pair = Pair::new();
    pair.server.store.put("a", &bytes(1000, 1));
    let id = pair.request("download a digest");
    while pair.client.delivered.get(&id).is_none_or(|bytes| bytes.len() < 1000) {
        pair.server.disk_stalls = pair.server.link.is_some();
        assert!(pair.run_steps(1));
    }
    for _ in 0..20 {
        pair.pass(DISK_TIMEOUT - Duration::from_secs(1));
        pair.session.handle(Fact::DiskProgress, pair.now);
    }
    assert!(!pair.server.closed);
    assert_eq!(pair.pass_to_deadline(), DISK_TIMEOUT, "and no longer");
    assert_eq!(pair.refusal(id), ErrorCode::Io);
    assert!(pair.server.closed);
}

#[test]
fn an_upload_is_told_the_digest_of_what_is_stored_whether_it_sent_one_or_not() {
    let mut pair = Pair::new();
    for size in [0, 1, EAGER_MAX_BYTES as usize, EAGER_MAX_BYTES as usize + 1] {
        for options in [UploadOptions::default(), WITH_DIGEST] {
            let id = pair.upload_with("a", &bytes(size, 1), options);
            let (sum, down) = (pair.request("sum a"), pair.request("download a digest"));
            pair.run();
            let digest = Digest::of(&bytes(size, 1));
            assert_eq!((pair.number(id), pair.digest(id)), (size as u64, Some(digest)));
            assert_eq!(pair.client.digests[&sum], (size as u64, digest));
            assert_eq!(pair.digest(down), Some(digest));
        }
    }
}
