//! Transfers: what comes of each, at both ends.

use crate::support::{
    Finished, TICKET, names, ok, read, read_until_end, run, run_with, serve, spawn, with_trailer,
};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[test]
fn a_download_arrives_whole_with_an_ordinary_mode() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a.txt digest");
        let mut data = server.open_data();
        server.say("(download) 5 0\n");
        data.write_all(b"hello").unwrap();
        server.say(ok(b"hello"));
        server.expect("exit");
        server.say("ok\n");
    });
    let finished = run(directory.path(), server.address(), &["download a.txt"]);
    let told = "Start downloading..\nfile size: 5\nTotal Received: 5 / 5\nDownload is finished!\n";
    assert_eq!((finished.status, finished.messages.as_str()), (0, told));
    assert_eq!(fs::read(directory.path().join("a.txt")).unwrap(), b"hello");
    let ordinary = directory.path().join("ordinary");
    fs::write(&ordinary, "").unwrap();
    let mode = |name| fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("a.txt"), mode("ordinary"));
    assert_eq!(names(directory.path()), ["a.txt", "ordinary"]);
}

#[test]
fn one_data_connection_serves_transfer_after_transfer() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.txt"), "abc").unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download e digest");
        let mut data = server.open_data();
        server.say(format!("(download) 0 0\n{}", ok(b"")));
        server.expect_upload("upload c.txt 3 digest");
        assert_eq!(read(&mut data, 36), with_trailer(b"abc"));
        server.say(ok(b"abc"));
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download e", "upload c.txt"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.messages.contains("Total Received: 0 / 0\n"), "{finished:?}");
    let upload = "FTP connection established commencing upload\nSent: 3 / 3\nFile upload done...\n";
    assert!(finished.messages.ends_with(upload), "{finished:?}");
}

#[test]
fn a_server_that_vanishes_during_a_download_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "old").unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a.txt digest");
        let mut data = server.open_data();
        server.say("(download) 1000000 0\n");
        data.write_all(&[7; 5000]).unwrap();
    });
    let finished = run(directory.path(), server.address(), &["download a.txt", "ls"]);
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.contains("was lost"), "{finished:?}");
    assert!(!finished.messages.contains("Total Received"), "{finished:?}");
    assert_eq!(fs::read(directory.path().join("a.txt")).unwrap(), b"old");
    assert_eq!(names(directory.path()), ["a.txt"]);
}

#[test]
fn nothing_is_published_before_the_server_has_said_ok() {
    for ending in ["", "err io the server's disk failed\n"] {
        let directory = tempfile::tempdir().unwrap();
        let server = serve(move |mut server| {
            server.greet();
            server.expect("download a.txt digest");
            let mut data = server.open_data();
            server.say("(download) 4 0\n");
            data.write_all(b"four").unwrap();
            server.say(ending);
        });
        let finished = run(directory.path(), server.address(), &["download a.txt"]);
        assert_eq!(finished.status, if ending.is_empty() { 6 } else { 4 }, "{finished:?}");
        assert!(names(directory.path()).is_empty(), "{finished:?}");
    }
}

#[test]
fn a_lost_data_connection_does_not_cost_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a.txt digest");
        let mut data = server.open_data();
        server.say("(download) 1000 0\n");
        data.write_all(&[7; 10]).unwrap();
        drop(data);
        server.say("err io the server's disk failed\n");
        server.expect("exit");
        server.say("ok\n");
    });
    let mut ferry = spawn(directory.path(), server.address(), &[]);
    ferry.stdin.take().unwrap().write_all(b"download a.txt\n").unwrap();
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_eq!(finished.status, 4, "{finished:?}");
    assert!(finished.messages.ends_with("the server's disk failed\n"), "{finished:?}");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn the_server_cannot_choose_what_is_sent_where() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.line();
        server.say("(data) 25 \"HELO x\\nMAIL FROM:<y>\"\n");
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_eq!(finished.status, 6, "{finished:?}");
    drop(server);
    let server = serve(|mut server| {
        server.greet();
        server.line();
        for _ in 0..4 {
            server.open_data();
        }
        server.say(format!("(data) 1 {TICKET}\n"));
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_eq!(finished.status, 6, "{finished:?}");
}

#[test]
fn a_length_beyond_the_disk_is_refused_and_the_session_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say("(download) 18446744073709551615 0\n");
        assert_eq!(data.read(&mut [0; 1]).unwrap_or(0), 0, "the client closes");
        server.say("err broken-off the data connection was closed\n");
        server.expect("exit");
        server.say("ok\n");
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_eq!(finished.status, 5, "{finished:?}");
    assert!(finished.messages.contains("has room for"), "{finished:?}");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn what_went_wrong_here_is_told_whatever_the_server_does_then() {
    // The server vanishes, talks nonsense, or falls silent.
    for ending in [None, Some("what?\n"), Some("")] {
        let directory = tempfile::tempdir().unwrap();
        let server = serve(move |mut server| {
            server.greet();
            server.expect("download a digest");
            let mut data = server.open_data();
            server.say("(download) 18446744073709551615 0\n");
            assert_eq!(data.read(&mut [0; 1]).unwrap_or(0), 0, "the client closes");
            if let Some(ending) = ending {
                server.say(ending);
                server.wait_for_end();
            }
        });
        let finished = run(directory.path(), server.address(), &["download a"]);
        assert_eq!(finished.status, 5, "{ending:?}: {finished:?}");
        assert!(finished.messages.contains("has room for"), "{ending:?}: {finished:?}");
        assert!(names(directory.path()).is_empty());
    }
}

#[test]
fn an_upload_refused_midway_tells_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    fs::File::create(directory.path().join("big")).unwrap().set_len(1 << 30).unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("partial big");
        server.say("err no-partial nothing is kept\n");
        server.expect_upload("upload big 1073741824 digest");
        let mut data = server.open_data();
        server.say("(upload) 0\n");
        data.read_exact(&mut vec![0; 100_000]).unwrap();
        server.say("err no-space no space left on the server: big\n");
        drop(data);
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["upload big"]);
    assert_eq!(finished.status, 4, "{finished:?}");
    assert!(finished.messages.ends_with("no space left on the server: big\n"), "{finished:?}");
    assert!(!finished.messages.contains("Sent:"), "{finished:?}");
}

#[test]
fn a_file_that_shrinks_is_uploaded_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("big");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let server = serve(move |mut server| {
        server.greet();
        server.expect("partial big");
        server.say("err no-partial nothing is kept\n");
        server.expect_upload("upload big 1073741824 digest");
        let mut data = server.open_data();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
        server.say("(upload) 0\n");
        assert!(read_until_end(&mut data).len() <= 1000);
        server.say("err broken-off the data connection was closed: big\n");
        server.expect_upload("upload big 1000 digest");
        let mut data = server.open_data();
        assert_eq!(read(&mut data, 1033), with_trailer(&[0; 1000]));
        server.say(ok(&[0; 1000]));
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["upload big"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(
        finished.messages.contains("big shrank from 1073741824 to 1000 bytes while it was being sent"),
        "{finished:?}"
    );
}

#[test]
fn an_upload_goes_again_when_the_server_has_closed_the_data_connection() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c"), "abc").unwrap();
    let server = serve(|mut server| {
        server.greet();
        for _ in 0..2 {
            server.expect_upload("upload c 3 digest");
            let mut data = server.open_data();
            assert_eq!(read(&mut data, 36), with_trailer(b"abc"));
            drop(data);
            server.say(ok(b"abc"));
        }
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["upload c", "upload c"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert_eq!(finished.messages.matches("Sent: 3 / 3\n").count(), 2, "{finished:?}");
}

#[test]
fn without_verification_no_digest_is_asked_for_or_sent() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c"), "abc").unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a");
        let mut data = server.open_data();
        server.say("(download) 4 1600000000\n");
        data.write_all(b"four").unwrap();
        server.say("ok 4\n");
        server.expect("upload c 3 exec=no");
        assert_eq!(read(&mut data, 3), b"abc");
        server.say(ok(b"abc"));
        server.expect("exit");
        server.say("ok\n");
        assert_eq!(data.read(&mut [0; 1]).unwrap(), 0);
    });
    let options = ["--no-verify", "--no-times"];
    let finished = run_with(directory.path(), server.address(), &options, &["download a", "upload c"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    let modified = fs::metadata(directory.path().join("a")).unwrap().modified().unwrap();
    assert!(modified.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn a_digest_that_does_not_come_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say("(download) 4 0\n");
        data.write_all(b"four").unwrap();
        server.say("ok 4\n");
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_download_keeps_its_time() {
    let earliest = "-9223372036854775808";
    for (mtime, nanoseconds, kept) in
        [("1600000000", 0, true), ("1600000000.123", 123_000_000, true), (earliest, 0, false)]
    {
        let directory = tempfile::tempdir().unwrap();
        let server = serve(move |mut server| {
            server.greet();
            server.expect("download a digest");
            server.say(format!("(download) 0 {mtime}\n{}", ok(b"")));
            server.wait_for_end();
        });
        let finished = run(directory.path(), server.address(), &["download a"]);
        assert_eq!(finished.status, 0, "{finished:?}");
        let modified = fs::metadata(directory.path().join("a")).unwrap().modified().unwrap();
        let expected = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, nanoseconds);
        assert!(!kept || modified == expected, "{mtime}: {modified:?}");
    }
}

#[test]
fn nothing_is_overwritten_where_that_is_not_wanted() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "old").unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect_upload("upload a 3 digest new");
        server.say("err exists this name is taken already: a\n");
        server.wait_for_end();
    });
    let options = ["--no-overwrite"];
    let finished = run_with(directory.path(), server.address(), &options, &["upload a"]);
    assert_eq!(
        (finished.status, finished.messages.as_str()),
        (4, "The server says: this name is taken already: a\n")
    );
    // The client need not even ask; if the name is taken meanwhile, the client notices at the end.
    let (path, appears) = (directory.path().join("b"), directory.path().join("b"));
    let server = serve(move |mut server| {
        server.greet();
        server.expect("download b digest");
        fs::write(&appears, "new here").unwrap();
        server.say(format!("(download) 0 0\n{}", ok(b"")));
        server.wait_for_end();
    });
    let finished = run_with(directory.path(), server.address(), &options, &["download b"]);
    assert_eq!(finished.status, 5, "{finished:?}");
    drop(server);
    let server = serve(|mut server| {
        server.greet();
        server.expect("exit");
        server.say("ok\n");
    });
    let finished = run_with(directory.path(), server.address(), &options, &["download a"]);
    assert_eq!(
        (finished.status, finished.messages.as_str()),
        (5, "a exists locally already; it is left alone\n")
    );
    assert_eq!(fs::read(path).unwrap(), b"new here");
    assert_eq!(names(directory.path()), ["a", "b"]);
}
