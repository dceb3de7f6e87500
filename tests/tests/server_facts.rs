//! What a server tells of itself: its room.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::reply::Reply;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use rustix::fs::StatVfs;

/// Free and total bytes of the file system that the folder is on.
fn room(server: &Server) -> (u64, u64) {
    let StatVfs { f_bavail, f_blocks, f_frsize, .. } = rustix::fs::statvfs(server.root()).unwrap();
    (f_bavail * f_frsize, f_blocks * f_frsize)
}

fn told_room(server: &Server, command: &str) -> (u64, u64) {
    let answer = Conversation::with(server).ask(command);
    assert_eq!(answer.outcome, Ok(vec![]));
    let [Reply::Space { free_bytes, total_bytes }] = answer.replies[..] else { panic!("{answer:?}") };
    (free_bytes, total_bytes)
}

#[test]
fn df_tells_what_uploads_may_take_and_all_there_is() {
    let (free_bytes, total_bytes) = room(&Server::start());
    for keep_free_bytes in [0, free_bytes / 2, u64::MAX] {
        let server = Options::default().arguments(&["--keep-free", &keep_free_bytes.to_string()]).start();
        server.put("a.txt", "a");
        let expected = free_bytes.saturating_sub(keep_free_bytes);
        for command in ["df", "df .", "df a.txt"] {
            let told = told_room(&server, command);
            assert_eq!(told.1, total_bytes);
            // Others write to the same disk.
            assert!(told.0.abs_diff(expected) < free_bytes / 4, "{told:?} with {keep_free_bytes}");
        }
        let refused = Conversation::with(&server).ask("df nothing");
        assert_eq!(refused.code(), ErrorCode::NotFound);
    }
    let read_only = Options::default().arguments(&["--read-only"]).start();
    assert_eq!(told_room(&read_only, "df").1, total_bytes);
}

#[test]
fn df_is_told_in_plain_words() {
    let server = Server::start();
    let run = Ferry::new().run(server.control_address(), &["df"]);
    run.expect_status(0);
    let (_, total_bytes) = room(&server);
    let [free, total] = run.stdout_lines()[..] else { panic!("{run:?}") };
    assert!(free.starts_with("Free: ") && free.contains(" bytes ("), "{free}");
    assert!(total.starts_with(&format!("Total: {total_bytes} bytes (")), "{total}");
}
