//! Sessions: how they begin and end, what a hostile server may not do, and what signals do.

use crate::support::{Finished, names, run, run_with, serve, serve_each, spawn, wait_until_asleep};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn interrupt(ferry: &Child, signal: Signal) {
    kill_process(Pid::from_child(ferry), signal).unwrap();
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
fn an_older_server_is_told_as_such_by_name_of_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(|mut server| {
        server.greet();
        server.expect("df");
        server.say("err unknown-command no such command; try help\n");
    });
    let finished = run(directory.path(), server.address(), &["df"]);
    assert_eq!(finished.status, 4, "{finished:?}");
    assert!(finished.messages.ends_with("is an older one, which does not know df\n"), "{finished:?}");
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
    wait_until_asleep(&ferry);
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
        wait_until_asleep(&ferry);
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
    let finished = run(directory.path(), nobody, &["ls", "mv my own file.txt"]);
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
        finished.messages.ends_with("has ended the session; connecting again\nRemoved a\n"),
        "{finished:?}"
    );
}

#[test]
fn arguments_that_a_terminal_would_obey_are_shown_as_escapes() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for arguments in
        [["-c", "downlod a\u{1b}]0;x\u{7}"], ["--retry-for", "\u{1b}[31m"], ["--no\u{9b}31m", "x"]]
    {
        // That nothing of it is raw is looked at for every run.
        let finished = run_with(directory.path(), nowhere, &arguments, &[]);
        assert_eq!(finished.status, 2, "{finished:?}");
        assert!(finished.messages.starts_with("error: "), "{finished:?}");
    }
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
    assert!(finished.messages.ends_with("whether it was done tells: stat /b\n"), "{finished:?}");
}
