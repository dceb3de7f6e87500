//! The folders at both ends, before and after.

use crate::attempt::{Attempt, Ended};
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::wire::digest::Digest;
use ferry_tests::content::Content;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::{WAIT_LIMIT, wait_for};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub(crate) const NAME: &str = "a.txt";
pub(crate) const HIDDEN: &str = ".ferry-staging";
pub(crate) const SMALL: Content = Content { seed: 1, size_bytes: 1000 };
pub(crate) const OLD: Content = Content { seed: 2, size_bytes: 700 };
pub(crate) const LARGE: Content = Content { seed: 3, size_bytes: 3 << 20 };
/// Sent of an upload that is then broken off.
pub(crate) const SENT_BYTES: u64 = 2 << 20;

pub(crate) fn template<T>(prepare: impl FnOnce(&Path) -> T) -> (TempDir, T) {
    let folder = tempfile::tempdir().unwrap();
    let result = prepare(folder.path());
    (folder, result)
}

pub(crate) fn copy_of(template: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(template, folder.path());
    folder
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Has a server keep about that much of the beginning of [`LARGE`]; tells how much it is.
pub(crate) fn keep_beginning(folder: &Path) -> u64 {
    let server = Options::default().root(folder).start();
    let mut attempt = Attempt::with(server.control_address(), WAIT_LIMIT).unwrap();
    let ended = attempt.upload_beginning(NAME, LARGE, SENT_BYTES);
    assert!(matches!(ended, Ended::Refused(_)), "{ended:?}");
    wait_for("kept upload", || attempt.kept(NAME)).offset
}

/// The served folder has the old content, none, or the new under the name, and nothing else.
#[track_caller]
pub(crate) fn expect_one_of(folder: &Path, old: Option<&[u8]>, new: &[u8], must_be_new: bool, context: &str) {
    let found = fs::read(folder.join(NAME)).ok();
    let (is_new, is_old) = (found.as_deref() == Some(new), found.as_deref() == old);
    assert!(is_new || (is_old && !must_be_new), "{context}: a wrong file, or `ok` is not kept");
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        assert!(name == NAME || name == HIDDEN, "{context}: {name:?} is left over");
    }
}

/// The next try does as a client does: it asks what is kept, goes on with that, and has the file in the end.
#[track_caller]
pub(crate) fn complete(server: &Server, content: &[u8], context: &str) {
    let mut attempt = Attempt::with(server.control_address(), WAIT_LIMIT).unwrap();
    let mut kept_bytes = 0;
    if content.len() as u64 > EAGER_MAX_BYTES
        && let Some(kept) = attempt.kept(NAME)
    {
        kept_bytes = kept.offset;
        let beginning = &content[..usize::try_from(kept_bytes).unwrap()];
        assert_eq!(kept.digest, Digest::of(beginning), "{context}: what is kept is no beginning of the file");
    }
    assert_eq!(attempt.upload(NAME, content, kept_bytes), Ended::Ok, "{context}");
    assert!(fs::read(server.path(NAME)).unwrap() == content, "{context}");
    assert_eq!(server.staged_files(), Vec::<String>::new(), "{context}");
    assert_eq!(attempt.download(NAME, content), Ended::Ok, "{context}");
}
