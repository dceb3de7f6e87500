//! `ferry` against servers that do what a test wants, byte by byte: honest, vanishing, broken, hostile.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{Finished, TICKET, names, ok, read, run, run_with, serve, serve_each, spawn, with_trailer};

fn interrupt(ferry: &Child, signal: Signal) {
    kill_process(Pid::from_child(ferry), signal).unwrap();
}

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
fn hostile_names_and_messages_reach_no_terminal_and_no_disk() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("ls");
        server.say("(ls) file 1 0 \"\\x1b]0;owned\\x07\"\n(ls) dir 0 0 \"x y\"\n");
        server.say("(ls) file 1 0 a\u{9b}31m\n(ls) file 1 0 \"a\\nb\"\n(surprise) \"\\x1b[2J\"\nok 4\n");
        server.expect("download a digest");
        server.say(b"err io \x1b[2J\xff\xe2\x80\xae boo\n");
    });
    let finished = run(directory.path(), server.address(), &["ls", "download a"]);
    assert_eq!(finished.status, 4, "{finished:?}");
    let listed = "\"\\x1b]0;owned\\x07\"\n\"a\\nb\"\n\"a\\xc2\\x9b31m\"\n\"x y/\"\n";
    assert_eq!(finished.results, listed);
    assert_eq!(finished.messages, "The server says: \\x1b[2J\\xff\\xe2\\x80\\xae boo\n");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn what_is_no_ferry_server_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let endless = vec![b'a'; 1 << 20];
    for garbage in
        [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"HTTP/1.1 400 Bad\x1b[2J\r\n\r\n", b"", &endless, b"\xff\n"]
    {
        let garbage = garbage.to_vec();
        let server = serve(move |mut server| server.say(garbage));
        let finished = run(directory.path(), server.address(), &["ls"]);
        assert_eq!(finished.status, 3, "{finished:?}");
        assert!(finished.messages.contains("not a Ferry server"), "{finished:?}");
    }
}

#[test]
fn a_full_server_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.line();
        server.say("err busy the server is full; try again later\n");
    });
    let finished = run(directory.path(), server.address(), &["ls"]);
    assert_eq!(finished.status, 3);
    assert!(finished.messages.contains("the server is full; try again later"), "{finished:?}");
}

#[test]
fn garbage_in_a_session_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    for garbage in
        ["(ls) pipe 1 1 a\n", "(stat) file 1 1 ../a\nok\n", "(download) 5 0\n", "ok\nok\n", "what?\n"]
    {
        let server = serve(move |mut server| {
            server.greet();
            server.line();
            server.say(garbage);
            server.wait_for_end();
        });
        let finished = run(directory.path(), server.address(), &["stat a", "stat b"]);
        assert_eq!(finished.status, 6, "{garbage}: {finished:?}");
    }
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
fn a_file_that_shrinks_is_not_uploaded() {
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
        let mut received = Vec::new();
        data.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), 1000);
        server.say("err broken-off the data connection was closed: big\n");
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["upload big"]);
    assert_eq!(finished.status, 5, "{finished:?}");
    assert!(finished.messages.contains("shrank to 1000 bytes"), "{finished:?}");
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
fn piped_commands_run_until_the_first_failure() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("stat a");
        server.say("(stat) file 5 0 a\nok\n");
        server.expect("download b.txt digest");
        server.say("err not-found no such file: b.txt\n");
        server.expect("exit");
        server.say("ok\n");
    });
    let mut ferry = spawn(directory.path(), server.address(), &[]);
    ferry.stdin.take().unwrap().write_all(b"stat a\r\n\ndownload b.txt\nls\n").unwrap();
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_eq!(finished.status, 4, "{finished:?}");
    assert!(finished.results.starts_with("Name: a\nKind: file\nSize: 5 bytes"), "{finished:?}");
    assert_eq!(finished.messages, "No such file found on the server!\n");
}

#[test]
fn an_idle_session_that_the_server_ended_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let (ended, when_ended) = mpsc::channel();
    let server = serve_each(vec![
        Box::new(move |mut server| {
            server.greet();
            server.say("err timed-out no complete command for too long; closing\n");
            drop(server);
            ended.send(()).unwrap();
        }),
        Box::new(|mut server| {
            server.greet();
            server.expect("ls");
            server.say("(ls) file 1 0 b\n(ls) file 1 0 a\nok 2\n");
            server.wait_for_end();
        }),
    ]);
    let mut ferry = spawn(directory.path(), server.address(), &[]);
    when_ended.recv().unwrap();
    ferry.stdin.take().unwrap().write_all(b"ls\n").unwrap();
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_eq!((finished.status, finished.results.as_str()), (0, "a\nb\n"), "{finished:?}");
}

#[test]
fn ctrl_c_breaks_off_a_transfer_and_hears_the_server_out() {
    let directory = tempfile::tempdir().unwrap();
    let (moving, when_moving) = mpsc::channel();
    let server = serve(move |mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say("(download) 1000000 0\n");
        data.write_all(&[7; 1000]).unwrap();
        moving.send(()).unwrap();
        assert_eq!(data.read(&mut [0; 1]).unwrap_or(0), 0, "the client closes");
        server.say("err broken-off the data connection was closed\n");
        server.wait_for_end();
    });
    let ferry = spawn(directory.path(), server.address(), &["download a", "ls"]);
    when_moving.recv().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&ferry, Signal::INT);
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_eq!(finished.status, 130, "{finished:?}");
    assert!(finished.messages.ends_with("Interrupted\n"), "{finished:?}");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn signals_end_every_wait_at_once_and_leave_no_file() {
    // Where the server falls silent, the signal, and the status: 130, or death by the signal itself.
    for (stage, signal, status) in [
        ("hello", Signal::INT, 130),
        ("ls", Signal::INT, 130),
        ("download", Signal::TERM, -1),
        ("ok", Signal::INT, 130),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (silent, when_silent) = mpsc::channel();
        let server = serve(move |mut server| {
            if stage != "hello" {
                server.greet();
                server.line();
            }
            let data = matches!(stage, "download" | "ok").then(|| {
                let mut data = server.open_data();
                server.say("(download) 4 0\n");
                data.write_all(if stage == "ok" { b"four" } else { b"fo" }).unwrap();
                data
            });
            silent.send(()).unwrap();
            server.wait_for_end();
            drop(data);
        });
        let command = if matches!(stage, "download" | "ok") { "download a" } else { "ls" };
        let ferry = spawn(directory.path(), server.address(), &[command]);
        when_silent.recv().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        interrupt(&ferry, signal);
        let finished = Finished::from(ferry.wait_with_output().unwrap());
        assert_eq!(finished.status, status, "{stage}: {finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{stage}");
        assert!(names(directory.path()).is_empty(), "{stage}");
    }
}

#[test]
fn wrong_usage_is_found_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = "127.0.0.1:1".parse().unwrap();
    let finished = run(directory.path(), nobody, &["ls", "download my own file.txt"]);
    assert_eq!(finished.status, 2);
    assert!(finished.messages.contains("double quotes"), "{finished:?}");
    assert_eq!(run(directory.path(), nobody, &["ls"]).status, 3);
}

#[test]
fn a_long_listing_is_shown_in_bounded_memory() {
    const ENTRIES: usize = 300_000;
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.line();
        for at in 0..ENTRIES / 100 {
            let part: String =
                (0..100).map(|next| format!("(ls) file 1 0 name-{:0200}\n", at * 100 + next)).collect();
            server.say(part);
        }
        server.say(format!("ok {ENTRIES}\n"));
        server.wait_for_end();
    });
    let mut ferry = spawn(directory.path(), server.address(), &["ls"]);
    let (mut results, mut lines, mut buffer) = (ferry.stdout.take().unwrap(), 0, vec![0; 1 << 16]);
    let mut peak_kib = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", ferry.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak.unwrap_or(peak_kib);
        match results.read(&mut buffer).unwrap() {
            0 => break,
            read => lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count(),
        }
    }
    assert_eq!((ferry.wait().unwrap().code(), lines), (Some(0), ENTRIES));
    assert!((1..32 * 1024).contains(&peak_kib), "{peak_kib} KiB");
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
        server.expect("upload c 3");
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
    for (mtime, kept) in [("1600000000", true), ("-9223372036854775808", false)] {
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
        let expected = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
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
    // It need not even ask; and if the name is taken meanwhile, it notices at the end.
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

#[test]
fn names_and_digests_have_their_commands() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        for (command, answer) in [
            ("mkdir \"my dir\"", "ok\n"),
            ("mv a \"my dir/a\"", "ok\n"),
            ("mv b c replace", "ok\n"),
            ("sum c", "(sum) 3 06b05ab6733a618578af5f94892f3950\nok\n"),
            ("rm \"my dir\"", "err not-empty the directory is not empty: \"my dir\"\n"),
        ] {
            server.expect(command);
            server.say(answer);
        }
        server.wait_for_end();
    });
    let commands = ["mkdir \"my dir\"", "mv a \"my dir/\"", "mv -f b c", "sum c", "rm \"my dir/\""];
    let finished = run(directory.path(), server.address(), &commands);
    assert_eq!(finished.status, 4, "{finished:?}");
    assert_eq!(finished.results, "06b05ab6733a618578af5f94892f3950  c\n");
    let told = "Made the directory \"my dir\"\nMoved a to \"my dir/a\"\nMoved b to c\n\
                The server says: the directory is not empty: \"my dir\"\n";
    assert_eq!(finished.messages, told);
}

#[test]
fn a_command_that_crosses_the_end_of_an_idle_session_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve_each(vec![
        Box::new(|mut server| {
            server.greet();
            server.expect("rm a");
            server.say("err timed-out no complete command for too long; closing\n");
        }),
        Box::new(|mut server| {
            server.greet();
            server.expect("rm a");
            server.say("ok\n");
            server.wait_for_end();
        }),
    ]);
    let finished = run(directory.path(), server.address(), &["rm a"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(
        finished.messages.ends_with("had ended the idle session; connecting again\nRemoved a\n"),
        "{finished:?}"
    );
}

#[test]
fn a_change_whose_answer_was_lost_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("mv a b");
    });
    let options = ["--retry-for", "20"];
    let finished = run_with(directory.path(), server.address(), &options, &["mv a b"]);
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.ends_with("whether it was done tells: stat b\n"), "{finished:?}");
}
