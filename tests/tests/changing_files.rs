//! A file that changes while it is downloaded: exactly the announced bytes of the opened file, or a failure
//! that is reported; never a hang.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, read_to_end};
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::server::Server;
use ferry_tests::wait::wait_until;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// More than the sockets between two processes hold, so that the server is in the middle of it.
const BIG: Content = Content { seed: 5, size_bytes: 64 << 20 };
const OTHER: Content = Content { seed: 6, size_bytes: 64 << 20 };
const READ_BYTES: u64 = 1 << 20;

#[track_caller]
fn expect_whole(mut session: Conversation) -> Conversation {
    session.expect_data(BIG, READ_BYTES, BIG.size_bytes);
    assert_eq!(session.answer().outcome, Ok(vec![BIG.size_bytes.to_string()]));
    session
}

/// Every announced byte comes, and then the news that they are not those of one state of the file.
#[track_caller]
fn expect_changed(mut session: Conversation) -> Conversation {
    session.expect_data(BIG, READ_BYTES, BIG.size_bytes);
    assert_eq!(session.answer().code(), ErrorCode::Changed);
    session.data = None;
    session
}

#[test]
fn a_file_that_shrinks_is_a_reported_failure() {
    for left_bytes in [0, READ_BYTES / 2, BIG.size_bytes / 2, BIG.size_bytes - 1] {
        let server = Server::start();
        let mut session = Conversation::in_a_download(&server, BIG, READ_BYTES);
        OpenOptions::new().write(true).open(server.path("big")).unwrap().set_len(left_bytes).unwrap();
        let rest = read_to_end(session.data.as_mut().unwrap());
        assert!((rest.len() as u64) < BIG.size_bytes - READ_BYTES, "all of {left_bytes} bytes came");
        assert_eq!(session.answer().code(), ErrorCode::Changed, "shrunk to {left_bytes}");
        session.data = None;
        assert_eq!(session.download("big").unwrap(), &BIG.bytes()[..left_bytes as usize]);
    }
}

#[test]
fn a_file_that_grows_is_sent_as_announced() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let mut file = OpenOptions::new().append(true).open(server.path("big")).unwrap();
    file.write_all(&[0x55; 1 << 20]).unwrap();
    let mut session = expect_whole(session);
    assert_eq!(session.download("big").unwrap().len() as u64, BIG.size_bytes + (1 << 20));
}

#[test]
fn a_file_that_is_written_into_without_a_digest_to_tell_is_reported() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let file = OpenOptions::new().write(true).open(server.path("big")).unwrap();
    file.write_all_at(&BIG.bytes()[..1], 0).unwrap();
    expect_changed(session);
}

#[test]
fn a_digest_decides_what_times_cannot() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    let mut session = Conversation::with(&server);
    session.send(b"download big 0 digest\n");
    assert_eq!(session.begin_download(), Ok(BIG.size_bytes));
    session.expect_data(BIG, 0, READ_BYTES);
    File::open(server.path("big")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    session.expect_data(BIG, READ_BYTES, BIG.size_bytes);
    let digest = Digest::of(&BIG.bytes()).to_string();
    assert_eq!(session.answer().outcome, Ok(vec![BIG.size_bytes.to_string(), digest]));
}

/// Changes a file all the time until what is done meanwhile is done.
fn while_changing<T>(mut change: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                change();
                // Every clock of a file system has moved on.
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let result = work();
        is_done.store(true, Ordering::SeqCst);
        result
    })
}

#[test]
fn the_client_downloads_a_log_that_grows_all_the_time() {
    let server = Server::start();
    server.put("log", BIG.bytes());
    let mut log = OpenOptions::new().append(true).open(server.path("log")).unwrap();
    let ferry = Ferry::new();
    for arguments in [&["-c", "download log"][..], &["--no-verify", "-c", "download log"]] {
        let mut command = ferry.command(server.control_address());
        command.args(arguments);
        let grow = || log.write_all(&[b'.'; 4096]).unwrap();
        let run = while_changing(grow, || Running::start(command, b"").finish());
        run.expect_status(0);
        assert!(!run.stderr.contains("changed"), "{}", run.stderr);
        let (whole, came) = (std::fs::read(server.path("log")).unwrap(), ferry.read("log"));
        assert!(came.len() as u64 >= BIG.size_bytes && whole.starts_with(&came), "{arguments:?}");
    }
}

#[test]
fn the_client_downloads_a_file_whose_times_flap() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    let file = File::open(server.path("big")).unwrap();
    let mut seconds = 0;
    let flap = || {
        seconds += 1;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let ferry = Ferry::new();
    let run = while_changing(flap, || ferry.run(server.control_address(), &["download big"]));
    run.expect_status(0);
    assert!(!run.stderr.contains("changed"), "{}", run.stderr);
    assert_eq!(ferry.read("big"), BIG.bytes());
}

/// A digest that was remembered is not told of a file that has changed.
#[test]
fn no_digest_outlives_what_it_is_of() {
    let server = Server::start();
    let ferry = Ferry::new();
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    server.put("big", BIG.bytes());
    File::open(server.path("big")).unwrap().set_modified(long_ago).unwrap();
    ferry.run(server.control_address(), &["download big"]).expect_status(0);
    server.put("big", OTHER.bytes());
    File::open(server.path("big")).unwrap().set_modified(long_ago).unwrap();
    let run = ferry.run(server.control_address(), &["download big"]);
    run.expect_status(0);
    assert_eq!(ferry.read("big"), OTHER.bytes());
    assert!(!run.stderr.contains("Trying again"), "{}", run.stderr);
}

#[test]
fn a_file_that_is_replaced_is_sent_as_opened() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    server.put("new", OTHER.bytes());
    std::fs::rename(server.path("new"), server.path("big")).unwrap();
    let mut session = expect_whole(session);
    assert_eq!(session.download("big").unwrap(), OTHER.bytes());
}

#[test]
fn a_file_that_is_replaced_by_an_upload_is_sent_as_opened() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    Conversation::with(&server).upload_content("big", OTHER).unwrap();
    let mut session = expect_whole(session);
    assert_eq!(session.download("big").unwrap(), OTHER.bytes());
}

#[test]
fn a_file_that_is_removed_is_sent_as_opened() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    std::fs::remove_file(server.path("big")).unwrap();
    let mut session = expect_whole(session);
    assert_eq!(session.download("big").unwrap_err().code, Some(ErrorCode::NotFound));
}

#[test]
fn a_folder_that_changes_while_it_is_listed_is_listed_to_its_end() {
    let server = Server::start();
    for number in 0..3000 {
        server.put(format!("kept-{number}"), "");
    }
    let mut session = Conversation::with(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..3000 {
                server.put(format!("new-{number}"), "");
                std::fs::remove_file(server.path(format!("new-{number}"))).unwrap();
            }
        });
        for _ in 0..10 {
            let names = session.ask("ls").names();
            let kept = names.iter().filter(|name| name.starts_with(b"kept-")).count();
            assert_eq!(kept, 3000);
        }
    });
}

#[test]
fn the_client_tries_a_download_again_that_shrank() {
    let server = Server::start();
    let huge = File::create(server.path("huge")).unwrap();
    huge.set_len(4 << 30).unwrap();
    let ferry = Ferry::new();
    let mut command = ferry.command(server.control_address());
    command.args(["-c", "download huge"]);
    let running = Running::start(command, b"");
    wait_until("beginning of the download", || {
        let names = ferry.files();
        names.iter().filter_map(|name| ferry.path(name).metadata().ok()).any(|file| file.len() > 0)
    });
    huge.set_len(1).unwrap();
    let run = running.finish();
    // It says so, and tries again with what the file is now.
    run.expect_status(0);
    assert!(run.stderr.contains("changed"), "{}", run.stderr);
    assert_eq!(ferry.files(), ["huge"]);
    assert_eq!(ferry.read("huge"), [0]);
}
