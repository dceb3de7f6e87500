//! How long a server is waited for: as long as it keeps its pace, as the user allows, and not after a second Ctrl-C.

use crate::support::{
    Finished, Server, names, read, run_with, serve, serve_every, spawn, spawn_with, wait_until,
};
use ferry_common::wire::digest::Digest;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// More than the sockets hold.
const LARGE_BYTES: usize = 64 << 20;

#[track_caller]
fn expect_out_of_time(finished: &Finished, begun: Instant) {
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.contains("Not done within 2 s (--timeout)"), "{finished:?}");
    let taken = begun.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&taken), "{taken:?}");
}

#[test]
fn a_command_has_the_time_that_the_user_gives_it_whatever_the_server_says_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    for trickle in ["(working)\n", "(", ""] {
        let server = serve(move |mut server| {
            server.greet();
            server.expect("sum a");
            while server.is_connected() {
                server.say(trickle);
            }
        });
        let begun = Instant::now();
        let finished = run_with(directory.path(), server.address(), &["--timeout", "2"], &["sum a"]);
        expect_out_of_time(&finished, begun);
    }
}

#[test]
fn the_time_of_a_command_counts_its_retries_and_ends_a_transfer_that_moves() {
    let directory = tempfile::tempdir().unwrap();
    // Gone for good after the greeting.
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a digest");
    });
    let begun = Instant::now();
    let options = ["--timeout", "2", "--retry-for", "60"];
    expect_out_of_time(&run_with(directory.path(), server.address(), &options, &["download a"]), begun);
    drop(server);
    let server = serve(|mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say(format!("(download) {} 0\n", 1_u64 << 30));
        while data.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let begun = Instant::now();
    expect_out_of_time(&run_with(directory.path(), server.address(), &options, &["download a"]), begun);
    assert_eq!(names(directory.path()), [".a.ferry-part"], "what has come is kept");
}

/// Sends one byte more of a file in each session.
fn give_a_byte(mut server: Server, file: &[u8]) {
    server.greet();
    loop {
        let line = server.line();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["sum", "a", length] => {
                server.say(format!("(sum) {length} {}\nok\n", Digest::of(&file[..length.parse().unwrap()])));
            }
            ["download", "a", "digest"] => return send_byte(&mut server, file, 0),
            ["download", "a", offset, "digest"] => {
                return send_byte(&mut server, file, offset.parse().unwrap());
            }
            // Gone, to come again.
            [..] => return,
        }
    }
}

fn send_byte(server: &mut Server, file: &[u8], offset: usize) {
    let mut data = server.open_data();
    server.say(format!("(download) {} 0\n", file.len() - offset));
    data.write_all(&file[offset..=offset]).unwrap();
}

#[test]
fn a_byte_in_each_attempt_does_not_keep_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve_every(|server| give_a_byte(server, &[7; 1000]));
    let begun = Instant::now();
    let finished = run_with(directory.path(), server.address(), &["--retry-for", "1"], &["download a"]);
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.contains("gave up after 1 s"), "{finished:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn interrupt(ferry: &Child) {
    kill_process(Pid::from_child(ferry), Signal::INT).unwrap();
}

/// Takes the beginning of an upload.
fn take_part(server: &mut Server) -> TcpStream {
    server.greet();
    server.expect("partial b");
    server.say("err no-partial nothing is kept\n");
    server.expect_upload(&format!("upload b {LARGE_BYTES} digest"));
    let mut data = server.open_data();
    server.say("(upload) 0\n");
    read(&mut data, 1000);
    data
}

fn prepare(directory: &Path) {
    fs::write(directory.join("b"), vec![7; LARGE_BYTES]).unwrap();
}

/// A server that does not read is as a link that is slow: what is on its way must not be waited for.
#[test]
fn ctrl_c_in_an_upload_over_a_slow_link_is_answered_at_once() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let (moving, when_moving) = mpsc::channel();
    let server = serve(move |mut server| {
        let data = take_part(&mut server);
        moving.send(()).unwrap();
        // The reset comes past the bytes that nobody reads.
        wait_until(
            || matches!(data.take_error(), Ok(Some(error)) if error.kind() == ErrorKind::ConnectionReset),
        );
        server.say("err broken-off the data connection was closed: b\n");
        server.wait_for_end();
    });
    let ferry = spawn(directory.path(), server.address(), &["upload b"]);
    when_moving.recv().unwrap();
    let begun = Instant::now();
    interrupt(&ferry);
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(finished.status, 130, "{finished:?}");
    assert!(finished.messages.ends_with("Interrupted\n"), "{finished:?}");
}

#[test]
fn a_second_ctrl_c_or_an_end_of_the_program_does_not_wait_for_the_server() {
    for (signals, status) in [(&[Signal::INT, Signal::INT][..], 130), (&[Signal::TERM], -1)] {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let (broken_off, when_broken_off) = mpsc::channel();
        let (moving, when_moving) = mpsc::channel();
        let server = serve(move |mut server| {
            let mut data = take_part(&mut server);
            moving.send(()).unwrap();
            let _ = data.read_to_end(&mut Vec::new());
            broken_off.send(()).unwrap();
            server.wait_for_end();
        });
        let ferry = spawn_with(directory.path(), server.address(), &[], &["upload b"]);
        when_moving.recv().unwrap();
        let mut begun = Instant::now();
        for &signal in signals {
            begun = Instant::now();
            kill_process(Pid::from_child(&ferry), signal).unwrap();
            when_broken_off.recv_timeout(Duration::from_secs(5)).ok();
        }
        let finished = Finished::from(ferry.wait_with_output().unwrap());
        assert_eq!(finished.status, status, "{finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
