//! An upload that cannot be is refused with the right code, and changes nothing on the disk.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};

#[test]
fn wrong_sizes_are_refused() {
    let server = Server::start();
    server.put("x", "old");
    let before = server.files();
    let mut session = Conversation::with(&server);
    for line in [
        "upload x -1",
        "upload x +1",
        "upload x 18446744073709551616",
        "upload x 9223372036854775808",
        "upload x 99999999999999999999999999",
        "upload x abc",
        "upload x 1.5",
        "upload x 0x10",
        "upload x \"\"",
        "upload x",
        "upload",
        "upload x 1 1",
    ] {
        let answer = session.ask(line);
        assert_eq!(answer.code(), ErrorCode::Usage, "{line}");
        assert!(answer.replies.is_empty(), "{line}");
    }
    assert_eq!(server.files(), before);
    assert_eq!(std::fs::read(server.path("x")).unwrap(), b"old");
    session.upload("x", b"new").unwrap();
    assert_eq!(std::fs::read(server.path("x")).unwrap(), b"new");
}

#[test]
fn names_that_cannot_become_a_file_are_refused() {
    let server = Server::start();
    std::fs::create_dir(server.path("dir")).unwrap();
    server.put("dir/kept", "kept");
    server.put("file", "kept");
    let before = server.files();
    let mut session = Conversation::with(&server);
    for size in [0, 3, EAGER_MAX_BYTES + 1] {
        for (name, code) in [
            ("dir", ErrorCode::IsDirectory),
            (".", ErrorCode::IsDirectory),
            ("missing/x", ErrorCode::NoParent),
            ("dir/missing/x", ErrorCode::NoParent),
            ("file/x", ErrorCode::NotDirectory),
        ] {
            let answer = session.ask(format!("upload {name} {size}"));
            assert_eq!(answer.code(), code, "{name} of {size}");
            assert!(answer.replies.is_empty(), "{name} of {size}: nothing may move");
        }
    }
    assert_eq!(server.files(), before);
    assert_eq!(std::fs::read(server.path("dir/kept")).unwrap(), b"kept");
}

#[test]
fn a_read_only_server_takes_none_and_serves_the_rest() {
    let server = Options::default().arguments(&["--read-only"]).start();
    server.put("x", "old");
    let before = server.files();
    assert_eq!(before, ["x"], "a read-only server leaves the folder as it is");
    let mut session = Conversation::with(&server);
    for size in [0, 3, EAGER_MAX_BYTES + 1] {
        for name in ["x", "new"] {
            assert_eq!(session.ask(format!("upload {name} {size}")).code(), ErrorCode::ReadOnly);
        }
    }
    assert_eq!(server.files(), before);
    assert_eq!(session.download("x").unwrap(), b"old");

    let ferry = Ferry::new();
    ferry.put("new", "new");
    ferry.run(server.control_address(), &["upload new"]).expect_status(4);
    assert_eq!(server.files(), before);
}

/// The bytes of a refused upload may be on their way already; they must not be taken for another file's.
#[test]
fn the_bytes_of_a_refused_upload_are_dropped() {
    let server = Server::start();
    std::fs::create_dir(server.path("dir")).unwrap();
    let mut session = Conversation::with(&server);
    session.upload("first", b"1").unwrap();
    let refused = Content::new(1, EAGER_MAX_BYTES);
    let small = Content::new(2, 1000);
    for name in ["dir", "missing/x", "../x"] {
        session.send(format!("upload {name} {}\nupload kept 1000\n", refused.size_bytes));
        session.send_data(refused, 0, refused.size_bytes);
        session.send_data(small, 0, small.size_bytes);
        assert!(session.answer().outcome.is_err(), "{name}");
        assert_eq!(session.answer().outcome.unwrap().first().unwrap(), "1000", "{name}");
        assert_eq!(std::fs::read(server.path("kept")).unwrap(), small.bytes(), "{name}");
        std::fs::remove_file(server.path("kept")).unwrap();
    }
}
