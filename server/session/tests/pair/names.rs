//! The commands that change names or tell digests, and the policies that forbid to change anything.

use crate::commands::bytes;
use crate::model::{POLICY, Pair};
use crate::verified::WITH_DIGEST;
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::UploadOptions;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::EntryKind;
use ferry_common::wire::file_time::FileTime;
use ferry_session::Policy;
use ferry_session::action::{Change, Event};

/// Asks for each line in its turn, and gives how each was answered.
fn outcomes<const N: usize>(pair: &mut Pair, lines: [&str; N]) -> [Option<ErrorCode>; N] {
    let ids = lines.map(|line| pair.request(line));
    pair.run();
    ids.map(|id| pair.outcome(id).is_err().then(|| pair.refusal(id)))
}

fn filled(policy: Policy) -> Pair {
    let mut pair = Pair::with_policy(policy);
    pair.server.store.put("a", b"aaa");
    pair.server.store.put("b", b"bbb");
    pair.server.store.make_dir("dir");
    pair.server.store.put("dir/c", b"ccc");
    pair
}

#[test]
fn mkdir_makes_one_directory_where_there_is_nothing() {
    let mut pair = filled(POLICY);
    let codes = outcomes(
        &mut pair,
        ["mkdir new", "mkdir new/sub", "mkdir new", "mkdir a", "mkdir no/sub", "mkdir .", "stat new/sub"],
    );
    let exists = Some(ErrorCode::Exists);
    assert_eq!(codes, [None, None, exists, exists, Some(ErrorCode::NoParent), exists, None]);
    assert_eq!(pair.client.entries[&6][0].kind, EntryKind::Dir);
}

#[test]
fn rm_removes_a_file_or_an_empty_directory() {
    let mut pair = filled(POLICY);
    let codes = outcomes(&mut pair, ["rm a", "rm a", "rm dir", "rm dir/c", "rm dir", "rm .", "stat b"]);
    let [gone, full, root] = [ErrorCode::NotFound, ErrorCode::NotEmpty, ErrorCode::BadPath].map(Some);
    assert_eq!(codes, [None, gone, full, None, None, root, None]);
    assert_eq!(pair.server.store.nodes.len(), 1);
}

#[test]
fn mv_renames_and_replaces_only_when_told_to() {
    let mut pair = filled(POLICY);
    let lines = ["mv a b", "mv a dir", "mv a dir/a", "mv a x", "mv dir/a x", "mv x b replace", "mv dir d2"];
    let codes = outcomes(&mut pair, lines);
    let [exists, gone] = [ErrorCode::Exists, ErrorCode::NotFound].map(Some);
    assert_eq!(codes, [exists, exists, None, gone, None, None, None]);
    assert_eq!(pair.server.store.content("b"), Some(&b"aaa"[..]));
    assert_eq!(pair.server.store.content("d2/c"), Some(&b"ccc"[..]));
    let lines = ["mv b d2 replace", "mv d2 b replace", "mv b no/b", "mv . x", "mv b .", "mv d2 d2/e"];
    let codes = outcomes(&mut pair, lines);
    let [is_dir, not_dir] = [ErrorCode::IsDirectory, ErrorCode::NotDirectory].map(Some);
    let [no_parent, bad] = [ErrorCode::NoParent, ErrorCode::BadPath].map(Some);
    assert_eq!(codes, [is_dir, not_dir, no_parent, bad, bad, bad]);
    assert_eq!(pair.server.store.content("b"), Some(&b"aaa"[..]), "a refusal changes nothing");
}

#[test]
fn mtime_sets_the_time_of_a_file_and_of_a_directory() {
    let mut pair = filled(POLICY);
    let lines =
        ["mtime a -0.25", "mtime dir 1000000000.000000001", "mtime no 1", "mtime . 7", "stat a", "stat dir"];
    let codes = outcomes(&mut pair, lines);
    assert_eq!(codes, [None, None, Some(ErrorCode::NotFound), None, None, None]);
    let mtime = |id: u64| pair.client.entries[&id][0].mtime;
    assert_eq!((mtime(4), mtime(5)), (FileTime::new(-1, 750_000_000), FileTime::new(1_000_000_000, 1)));
    assert_eq!(pair.server.store.content("a"), Some(&b"aaa"[..]));
}

#[test]
fn a_refused_mv_names_both() {
    let mut pair = Pair::raw(POLICY);
    pair.server.store.put("a", b"");
    pair.server.store.put("b c", b"");
    assert_eq!(pair.say("mv a \"b c\"\n"), "err exists this name is taken already: a to \"b c\"\n");
    assert_eq!(
        pair.say("mv a my other file\n").lines().next(),
        Some("err usage usage: mv FROM TO [replace]; a name with spaces goes in double quotes")
    );
}

#[test]
fn sum_tells_the_digest_of_a_file_or_of_its_beginning() {
    let mut pair = Pair::new();
    let content = bytes(5000, 1);
    pair.server.store.put("a", &content);
    pair.server.store.make_dir("dir");
    for length in [0, 1, 4999, 5000] {
        let id = pair.request(&format!("sum a {length}"));
        pair.run();
        assert_eq!(pair.client.digests[&id], (length as u64, Digest::of(&content[..length])));
    }
    let whole = pair.request("sum a");
    let codes = outcomes(&mut pair, ["sum a 5001", "sum b", "sum dir"]);
    assert_eq!(codes, [ErrorCode::BadOffset, ErrorCode::NotFound, ErrorCode::IsDirectory].map(Some));
    assert_eq!(pair.client.digests[&whole], (5000, Digest::of(&content)));
}

#[test]
fn partial_tells_what_is_kept_and_its_digest() {
    let mut pair = Pair::new();
    pair.server.store.partials.insert(b"a".to_vec(), bytes(5000, 1));
    pair.server.store.put("b", b"whole");
    let kept = pair.request("partial a");
    let codes = outcomes(&mut pair, ["partial b", "partial c", "ls"]);
    assert_eq!(pair.client.digests[&kept], (5000, Digest::of(&bytes(5000, 1))));
    assert_eq!(codes, [Some(ErrorCode::NoPartial), Some(ErrorCode::NoPartial), None]);
    assert_eq!(pair.number(3), 1, "what is kept is not listed");
}

#[test]
fn a_read_only_server_refuses_every_change_without_asking_its_disk() {
    let mut pair = filled(Policy { read_only: true, ..POLICY });
    pair.server.disk_stalls = true;
    let refused =
        ["mkdir x", "rm a", "mv a x", "mv a b replace", "mtime a 1", "upload x 3", "upload x 2000000 digest"];
    assert_eq!(outcomes(&mut pair, refused), [Some(ErrorCode::ReadOnly); 7]);
    pair.server.disk_stalls = false;
    assert_eq!(outcomes(&mut pair, ["sum a", "download a digest", "stat dir", "ls"]), [None; 4]);
    assert_eq!(pair.server.store.nodes.len(), 4);
}

#[test]
fn a_server_that_replaces_nothing_takes_what_is_new() {
    let mut pair = filled(Policy { no_overwrite: true, ..POLICY });
    let old = pair.upload("a", b"new content");
    let fresh = pair.upload_with("x", b"first", WITH_DIGEST);
    let second = pair.upload_with("x", b"second", WITH_DIGEST);
    let codes = outcomes(&mut pair, ["mv a b replace", "mv a y", "mkdir z", "rm b", "mtime y 1"]);
    assert_eq!(codes, [Some(ErrorCode::Exists), None, None, None, None]);
    assert_eq!([old, second].map(|id| pair.refusal(id)), [ErrorCode::Exists; 2]);
    assert_eq!(pair.number(fresh), 5);
    assert_eq!(pair.server.store.content("x"), Some(&b"first"[..]));
    assert_eq!(pair.server.store.content("y"), Some(&b"aaa"[..]));
}

/// Two uploads of one name may both find it free before the first has it.
#[test]
fn of_two_uploads_that_are_to_replace_nothing_one_is_stored() {
    let mut pair = Pair::new();
    pair.server.commits_stall = true;
    let new = UploadOptions { new: true, ..WITH_DIGEST };
    let ids = [b"one", b"two"].map(|content| pair.upload_with("x", content, new));
    pair.run();
    assert_eq!(pair.server.publications.len(), 2);
    pair.server.commits_stall = false;
    pair.run();
    assert_eq!((pair.number(ids[0]), pair.refusal(ids[1])), (3, ErrorCode::Exists));
    assert_eq!(pair.server.store.content("x"), Some(&b"one"[..]));
}

#[test]
fn an_upload_gets_the_time_that_it_asks_for() {
    let mut pair = Pair::new();
    for mtime in [FileTime::new(-5, 1), FileTime::default(), FileTime::from_seconds(i64::MAX)] {
        pair.upload_with("a", b"a", UploadOptions { mtime: Some(mtime), ..UploadOptions::default() });
        let id = pair.request("stat a");
        pair.run();
        assert_eq!(pair.client.entries[&id][0].mtime, mtime);
    }
}

#[test]
fn changes_are_in_the_log() {
    let mut pair = filled(POLICY);
    outcomes(&mut pair, ["mkdir x", "mv a y", "rm b", "stat y", "mtime y -1.5"]);
    let mut done = Vec::new();
    for event in &pair.server.events {
        if let Event::Changed(change) = event {
            done.push(match change {
                Change::Mkdir { path, .. } => format!("mkdir {path}"),
                Change::Rm { path, .. } => format!("rm {path}"),
                Change::Mv { from, to, .. } => format!("mv {from} {to}"),
                Change::Mtime { path, mtime } => format!("mtime {path} {mtime}"),
                Change::Chmod { path, .. } => format!("chmod {path}"),
            });
        }
    }
    assert_eq!(done, ["mkdir x", "mv a y", "rm b", "mtime y -1.5"]);
}
