//! What Ferry keeps for itself in the served folder: no client reaches it, it is made again when it is gone, and
//! neither a size that is only announced nor another server on the same folder does any harm.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use ferry_tests::binaries;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::{ON_FREE_PORTS, Options, Server};
use ferry_tests::session::{Session, path};
use ferry_tests::wait::{wait_for, wait_until};
use std::path::Path;

const HIDDEN: &str = ".ferry-staging";
const LARGE: Content = Content { seed: 12, size_bytes: 4 << 20 };
const PLAIN: UploadOptions = UploadOptions::NONE;

fn session(server: &Server) -> Session {
    Session::with(server.control_address()).unwrap()
}

fn free_bytes(server: &Server) -> u64 {
    let space = rustix::fs::statvfs(server.root()).unwrap();
    space.f_bavail * space.f_frsize
}

/// Sends the first part of a large upload and loses the connection; waits until that is kept.
fn break_off(server: &Server) -> (u64, Digest) {
    let mut broken = session(server);
    broken.begin_first_upload("file", LARGE.size_bytes, PLAIN).unwrap();
    broken.send_data(&Content { size_bytes: 3 << 20, ..LARGE }.bytes());
    broken.close_data();
    wait_for("what is kept", || session(server).partial("file").ok())
}

#[test]
fn what_somebody_removes_is_made_again() {
    let server = Server::start();
    for removed in [HIDDEN.to_owned(), format!("{HIDDEN}/partial")] {
        std::fs::remove_dir_all(server.path(&removed)).unwrap();
        session(&server).upload("small", b"content", PLAIN).unwrap();
        session(&server).upload("file", &LARGE.bytes(), PLAIN).unwrap();
        break_off(&server);
    }
    let of_this_process = server
        .files()
        .into_iter()
        .find(|name| name.matches('/').count() == 2 && name.starts_with(HIDDEN) && !name.contains("partial"));
    std::fs::remove_dir_all(server.path(of_this_process.unwrap())).unwrap();
    session(&server).upload("small", b"content", PLAIN).unwrap();
}

#[test]
fn what_stands_in_the_place_of_the_staging_directory_is_said_of_that_and_not_of_the_clients_file() {
    let server = Server::start();
    std::fs::remove_dir_all(server.path(HIDDEN)).unwrap();
    std::fs::write(server.path(HIDDEN), "in the way").unwrap();
    for (name, content) in [("small", vec![1; 10]), ("file", LARGE.bytes())] {
        let refused = session(&server).upload(name, &content, PLAIN).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::CannotStage);
    }
    server.wait_for_log("is no directory, where Ferry needs a directory of its own");
    assert_eq!(std::fs::read(server.path(HIDDEN)).unwrap(), b"in the way");
    std::fs::remove_file(server.path(HIDDEN)).unwrap();
    session(&server).upload("small", b"content", PLAIN).unwrap();
}

#[test]
fn a_start_says_what_stands_in_the_place_of_the_staging_directory() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/", folder.path().join(HIDDEN)).unwrap();
    let output = std::process::Command::new(binaries::ferryd())
        .args(ON_FREE_PORTS)
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(".ferry-staging is a link") && told.contains("--read-only"), "{told}");
}

#[test]
fn links_into_the_staging_directory_lead_nowhere() {
    let server = Server::start();
    break_off(&server);
    let kept = server.staged_files();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    std::os::unix::fs::symlink(HIDDEN, server.path("hidden")).unwrap();
    std::os::unix::fs::symlink(kept, server.path("kept")).unwrap();
    let inner = kept.replacen(HIDDEN, "hidden", 1);
    let mut session = session(&server);
    let (replies, _) = session.ask(&Command::Ls { path: path(".") }).unwrap();
    assert_eq!(replies.len(), 0, "{replies:?}");
    for name in ["hidden", "kept", "hidden/partial", &inner] {
        let path = path(name);
        for command in [
            Command::Stat { path: path.clone() },
            Command::Sum { path: path.clone(), length: None },
            Command::Ls { path: path.clone() },
            Command::Download { path: path.clone(), offset: 0, digest: false },
        ] {
            assert_eq!(session.ask(&command).unwrap_err().code(), ErrorCode::NotFound, "{command:?}");
        }
    }
    let rm = Command::rm(path(&inner));
    assert_eq!(session.ask(&rm).unwrap_err().code(), ErrorCode::NotFound);
    let refused = session.upload("hidden/partial/new", b"content", PLAIN).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoParent);
    assert_eq!(server.staged_files(), std::slice::from_ref(kept));
}

#[test]
fn a_size_that_is_only_announced_takes_nothing_from_others() {
    let server = Server::start();
    let free = free_bytes(&server);
    let mut announcing = Conversation::with(&server);
    announcing.announce_upload("announced", free / 10 * 9).unwrap();
    let mut other = session(&server);
    other.begin_first_upload("other", free / 2, PLAIN).unwrap();
    other.close_data();
    assert!(free_bytes(&server) > free / 10 * 9, "space is set aside for bytes that have not come");
}

#[test]
fn uploads_leave_free_what_the_operator_wants() {
    let keep = u64::MAX.to_string();
    let server = Options::default().arguments(&["--keep-free", &keep]).start();
    for content in [vec![1; 10], LARGE.bytes()] {
        let refused = session(&server).upload("file", &content, PLAIN).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::NoSpace);
    }
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn a_resume_with_a_wrong_digest_leaves_what_was_kept() {
    let server = Server::start();
    let (offset, digest) = break_off(&server);
    let resume = |digest| UploadOptions { resume: Some(Resume { offset, digest }), ..PLAIN };
    for _ in 0..3 {
        let refused = session(&server).upload("file", &LARGE.bytes(), resume(Digest::of(b"another")));
        assert_eq!(refused.unwrap_err().code(), ErrorCode::NoPartial);
    }
    assert_eq!(wait_for("what is kept", || session(&server).partial("file").ok()), (offset, digest));
    session(&server).upload("file", &LARGE.bytes(), resume(digest)).unwrap();
    assert!(std::fs::read(server.path("file")).unwrap() == LARGE.bytes());
}

#[test]
fn a_kept_upload_is_as_old_as_its_breaking_off_whatever_its_time() {
    let server = Options::default().arguments(&["--partial-age", "1000"]).start();
    let mut broken = session(&server);
    let options = UploadOptions { mtime: Some(FileTime::from_seconds(1000)), ..PLAIN };
    broken.begin_first_upload("file", LARGE.size_bytes, options).unwrap();
    broken.send_data(&Content { size_bytes: 3 << 20, ..LARGE }.bytes());
    broken.close_data();
    wait_for("what is kept", || session(&server).partial("file").ok());
    let kept = server.staged_files();
    let file = std::fs::File::options().write(true).open(server.path(&kept[0])).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    // The next one that is kept has all of them looked through.
    let mut second = session(&server);
    second.begin_first_upload("second", LARGE.size_bytes, PLAIN).unwrap();
    second.send_data(&Content { size_bytes: 3 << 20, ..LARGE }.bytes());
    second.close_data();
    wait_for("what is kept", || session(&server).partial("second").ok());
    session(&server).partial("file").unwrap();
}

#[test]
fn a_second_server_on_the_folder_leaves_the_uploads_of_the_first_alone() {
    let first = Server::start();
    let mut running = Conversation::with(&first);
    running.announce_upload("file", LARGE.size_bytes).unwrap();
    running.send_data(LARGE, 0, 3 << 20);
    wait_until("arrival of the upload", || !first.staged_files().is_empty());
    let second = Options::default().root(first.root()).start();
    assert_eq!(session(&second).partial("file").unwrap_err().code(), ErrorCode::NoPartial);
    running.send_data(LARGE, 3 << 20, LARGE.size_bytes);
    running.answer().outcome.unwrap();
    assert!(std::fs::read(first.path("file")).unwrap() == LARGE.bytes());
    drop(second);
    session(&first).upload("small", b"content", PLAIN).unwrap();
}

#[test]
fn the_last_of_several_servers_takes_the_staging_directory_away() {
    let folder = tempfile::tempdir().unwrap();
    let of = |folder: &Path| Options::default().root(folder).start();
    let (mut first, mut second) = (of(folder.path()), of(folder.path()));
    for server in [&mut first, &mut second] {
        assert!(folder.path().join(HIDDEN).exists());
        server.process().signal(rustix::process::Signal::TERM);
        server.wait_for_exit();
    }
    assert!(!folder.path().join(HIDDEN).exists());
}
