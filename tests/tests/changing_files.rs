//! A file that changes while it is downloaded: exactly the announced bytes of the opened file, or a failure
//! that is reported; never a hang.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, read_to_end};
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::server::Server;
use ferry_tests::wait::wait_until;
use std::fs::{File, OpenOptions};
use std::io::Write;

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
fn a_file_that_grows_is_sent_as_announced_and_then_reported() {
    let server = Server::start();
    let session = Conversation::in_a_download(&server, BIG, READ_BYTES);
    let mut file = OpenOptions::new().append(true).open(server.path("big")).unwrap();
    file.write_all(&[0x55; 1 << 20]).unwrap();
    let mut session = expect_changed(session);
    assert_eq!(session.download("big").unwrap().len() as u64, BIG.size_bytes + (1 << 20));
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
