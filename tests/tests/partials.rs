//! What is kept of uploads that broke off: a client sees it only by asking for it, it outlives the server, and it
//! goes in time.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::GIVE_WAY_SILENCE;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use ferry_tests::content::Content;
use ferry_tests::server::{Options, Server};
use ferry_tests::session::{Session, path};
use ferry_tests::wait::{wait_for, wait_until};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const LARGE: Content = Content { seed: 11, size_bytes: 4 << 20 };
const SENT_BYTES: u64 = 3 << 20;
/// Of an upload that comes in pieces.
const PIECE_BYTES: usize = 32 * 1024;
const PLAIN: UploadOptions = UploadOptions::NONE;

fn session(server: &Server) -> Session {
    Session::with(server.control_address()).unwrap()
}

/// Sends the first part of a large upload and leaves the session as it is.
fn begin(server: &Server) -> Session {
    let mut session = session(server);
    session.begin_first_upload("file", LARGE.size_bytes, PLAIN).unwrap();
    session.send_data(&Content { size_bytes: SENT_BYTES, ..LARGE }.bytes());
    session
}

/// So much is in the staged file.
fn wait_for_arrival(server: &Server, bytes: u64) {
    wait_until("arrival of the upload", || {
        let sizes = server.staged_files().into_iter().map(|name| std::fs::metadata(server.path(name)));
        sizes.flatten().any(|file| file.len() >= bytes)
    });
}

/// What is kept of the upload, once it is.
#[track_caller]
fn kept(server: &Server) -> (u64, Digest) {
    let mut session = session(server);
    let (length, digest) = wait_for("what is kept", || session.partial("file").ok());
    let prefix = Content { size_bytes: length, ..LARGE };
    assert!(length <= SENT_BYTES, "more than was sent: {length}");
    assert_eq!(digest, Digest::of(&prefix.bytes()), "not what was sent");
    (length, digest)
}

/// The rest of the upload, and its end.
#[track_caller]
fn complete(server: &Server) {
    let (offset, digest) = kept(server);
    let options = UploadOptions { digest: true, resume: Some(Resume { offset, digest }), ..PLAIN };
    session(server).upload("file", &LARGE.bytes(), options).unwrap();
    assert!(std::fs::read(server.path("file")).unwrap() == LARGE.bytes());
    assert_eq!(session(server).partial("file").unwrap_err().code(), ErrorCode::NoPartial);
}

#[test]
fn what_is_kept_is_invisible() {
    let server = Server::start();
    begin(&server).close_data();
    kept(&server);
    let (replies, _) = session(&server).ask(&Command::Ls { path: path(".") }).unwrap();
    assert_eq!(replies, Vec::<Reply>::new());
    assert_eq!(
        session(&server).ask(&Command::Stat { path: path("file") }).unwrap_err().code(),
        ErrorCode::NotFound
    );
    complete(&server);
}

#[test]
fn what_is_kept_survives_a_killed_server() {
    let mut server = Server::start();
    let session = begin(&server);
    wait_for_arrival(&server, SENT_BYTES);
    server.kill();
    drop(session);
    let again = Options::default().root(server.root()).start();
    assert!(!server.path("file").exists());
    assert_eq!(kept(&again).0, SENT_BYTES);
    complete(&again);
}

#[test]
fn what_is_kept_survives_a_server_that_stops_in_order() {
    let mut server = Server::start();
    begin(&server).close_data();
    let before = kept(&server);
    server.process().signal(Signal::TERM);
    assert!(server.wait_for_exit().success());
    let again = Options::default().root(server.root()).start();
    assert_eq!(kept(&again), before);
    complete(&again);
}

/// A second signal does not wait for the transfers under way.
#[test]
fn what_has_come_survives_a_server_that_is_stopped_at_once() {
    let mut server = Server::start();
    let session = begin(&server);
    wait_for_arrival(&server, SENT_BYTES);
    server.process().signal(Signal::TERM);
    server.wait_for_log("Stopping");
    server.process().signal(Signal::TERM);
    server.wait_for_exit();
    drop(session);
    let again = Options::default().root(server.root()).start();
    assert_eq!(kept(&again).0, SENT_BYTES);
    complete(&again);
}

/// A dead link tells the server nothing. A client that comes back on another does not begin anew for that.
#[test]
fn a_silent_upload_gives_way_to_a_client_that_asks_for_it() {
    let server = Server::start();
    let mut silent = begin(&server);
    wait_for_arrival(&server, SENT_BYTES);
    assert_eq!(kept(&server).0, SENT_BYTES);
    assert_eq!(silent.finish_upload().unwrap_err().code(), ErrorCode::TimedOut);
    assert!(silent.ask(&Command::Ls { path: path(".") }).is_ok(), "the session goes on");
    complete(&server);
}

#[test]
fn an_upload_that_goes_on_gives_way_to_nobody() {
    let server = Server::start();
    let mut moving = session(&server);
    moving.begin_first_upload("file", LARGE.size_bytes, PLAIN).unwrap();
    let bytes = LARGE.bytes();
    let is_answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let answer = session(&server).partial("file");
            is_answered.store(true, Ordering::SeqCst);
            answer
        });
        let mut pieces = bytes.chunks(PIECE_BYTES);
        // Something comes all the time until then.
        while !is_answered.load(Ordering::SeqCst) {
            let due = Instant::now() + GIVE_WAY_SILENCE / 20;
            moving.send_data(pieces.next().expect("an answer before the end"));
            wait_until("time of the next piece", || Instant::now() >= due);
        }
        assert_eq!(asking.join().unwrap().unwrap_err().code(), ErrorCode::NoPartial);
        pieces.for_each(|piece| moving.send_data(piece));
    });
    moving.finish_upload().unwrap();
    assert!(std::fs::read(server.path("file")).unwrap() == bytes);
}

/// The server may still be busy with what came over the link that a client has lost when that client is back.
#[test]
fn who_asks_for_an_upload_just_before_it_breaks_off_gets_what_is_kept() {
    let server = Options::default().arguments(&["--log-level", "debug"]).start();
    let mut broken = begin(&server);
    wait_for_arrival(&server, SENT_BYTES);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| session(&server).partial("file"));
        server.wait_for_log("Received partial command");
        broken.close_data();
        assert_eq!(asking.join().unwrap().unwrap().0, SENT_BYTES);
    });
    assert_eq!(broken.finish_upload().unwrap_err().code(), ErrorCode::BrokenOff);
    complete(&server);
}

#[test]
fn a_digest_of_other_bytes_resumes_nothing() {
    let server = Server::start();
    begin(&server).close_data();
    let (offset, _) = kept(&server);
    let resume = Some(Resume { offset, digest: Digest::of(b"other") });
    let mut session = session(&server);
    let failure = session.upload("file", &LARGE.bytes(), UploadOptions { resume, ..PLAIN }).unwrap_err();
    assert_eq!(failure.code(), ErrorCode::NoPartial);
    assert!(!server.path("file").exists());
    session.upload("file", &LARGE.bytes(), PLAIN).unwrap();
    assert!(std::fs::read(server.path("file")).unwrap() == LARGE.bytes());
}

/// Only the digest was still to come: all the rest is not sent again for it.
#[test]
fn an_upload_that_lacks_only_its_digest_is_kept_whole() {
    let server = Server::start();
    let mut broken = session(&server);
    let options = UploadOptions { digest: true, ..PLAIN };
    broken.begin_first_upload("file", LARGE.size_bytes, options).unwrap();
    broken.send_data(&LARGE.bytes());
    broken.send_data(b"0123");
    wait_for_arrival(&server, LARGE.size_bytes);
    broken.close_data();
    assert_eq!(broken.finish_upload().unwrap_err().code(), ErrorCode::BrokenOff);
    let mut session = session(&server);
    let (offset, digest) = wait_for("what is kept", || session.partial("file").ok());
    assert_eq!((offset, digest), (LARGE.size_bytes, Digest::of(&LARGE.bytes())));
    let resume = Some(Resume { offset, digest });
    session.upload("file", &LARGE.bytes(), UploadOptions { resume, ..options }).unwrap();
    assert!(std::fs::read(server.path("file")).unwrap() == LARGE.bytes());
}

#[test]
fn what_is_kept_goes_when_it_is_old() {
    let server = Options::default().arguments(&["--partial-age", "1"]).start();
    let mut broken = begin(&server);
    broken.close_data();
    assert_eq!(broken.finish_upload().unwrap_err().code(), ErrorCode::BrokenOff);
    expect_nothing_kept(&server);
}

#[test]
fn a_server_with_no_room_for_it_keeps_nothing() {
    let server = Options::default().arguments(&["--partial-bytes", "0"]).start();
    let mut broken = begin(&server);
    broken.close_data();
    assert_eq!(broken.finish_upload().unwrap_err().code(), ErrorCode::BrokenOff);
    expect_nothing_kept(&server);
}

/// Waits until the server says that it keeps nothing, and sees that it is true.
#[track_caller]
fn expect_nothing_kept(server: &Server) {
    let mut session = session(server);
    wait_until("end of what was kept", || {
        session.partial("file").is_err_and(|refusal| refusal.code() == ErrorCode::NoPartial)
    });
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn a_small_upload_that_broke_off_is_not_kept() {
    let server = Server::start();
    let mut broken = session(&server);
    broken.begin_first_upload("file", 1000, PLAIN).unwrap();
    broken.send_data(&[1; 999]);
    broken.close_data();
    assert_eq!(broken.finish_upload().unwrap_err().code(), ErrorCode::BrokenOff);
    wait_until("end of the staged file", || server.staged_files().is_empty());
    assert_eq!(session(&server).partial("file").unwrap_err().code(), ErrorCode::NoPartial);
}
