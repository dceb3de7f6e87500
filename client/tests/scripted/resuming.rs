//! Things that go wrong in the middle of a transfer: lost links, servers and clients that were killed, files
//! that change, bytes that are not what they were.

use crate::support::{
    Finished, Script, Server, names, ok, ok_rest, read, read_until_end, run, run_with, serve, serve_at,
    serve_each, spawn_with, wait_for_message, wait_until, wait_until_asleep, with_trailer,
};
use ferry_common::wire::digest::Digest;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const PART: &str = ".a.ferry-part";

/// Bytes of which no two parts are alike.
fn content(length: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
        .take(length)
        .collect()
}

/// Announces a download and sends this much of it.
fn send_part(server: &mut Server, announced: usize, part: &[u8]) {
    let mut data = server.open_data();
    server.say(format!("(download) {announced} 0\n"));
    data.write_all(part).unwrap();
}

/// Answers a download of the rest of `file`.
fn send_rest(server: &mut Server, file: &[u8], offset: usize) {
    let mut data = server.open_data();
    server.say(format!("(download) {} 0\n", file.len() - offset));
    data.write_all(&file[offset..]).unwrap();
    server.say(ok_rest(file, offset));
    server.wait_for_end();
}

fn sum(file: &[u8], length: usize) -> String {
    format!("(sum) {length} {}\nok\n", Digest::of(&file[..length]))
}

/// Sends half of `file` and is gone.
fn vanish_halfway(file: Vec<u8>) -> Script {
    Box::new(move |mut server| {
        server.greet();
        server.expect("download a digest");
        send_part(&mut server, file.len(), &file[..file.len() / 2]);
    })
}

/// Goes on with the second half.
fn resume_halfway(file: Vec<u8>) -> Script {
    Box::new(move |mut server| {
        let half = file.len() / 2;
        server.greet();
        server.expect(&format!("sum a {half}"));
        server.say(sum(&file, half));
        server.expect(&format!("download a {half} digest"));
        send_rest(&mut server, &file, half);
    })
}

fn assert_downloaded(directory: &Path, finished: &Finished, file: &[u8]) {
    assert_eq!(finished.status, 0, "{finished:?}");
    let total = format!("Total Received: {0} / {0}\nDownload is finished!\n", file.len());
    assert!(finished.messages.ends_with(&total), "{finished:?}");
    assert!(fs::read(directory.join("a")).unwrap() == file);
    assert_eq!(names(directory), ["a"]);
}

#[test]
fn a_download_that_arrives_damaged_is_tried_again_and_then_given_up() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "old").unwrap();
    let server = serve(|mut server| {
        server.greet();
        let mut data = None;
        for _ in 0..3 {
            server.expect("download a digest");
            let data = data.get_or_insert_with(|| server.open_data());
            server.say("(download) 4 0\n");
            data.write_all(b"foul").unwrap();
            server.say(ok(b"four"));
        }
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_eq!(finished.status, 7, "{finished:?}");
    assert_eq!(finished.messages.matches("Trying again").count(), 2, "{finished:?}");
    assert!(finished.messages.ends_with("nothing was saved as a\n"), "{finished:?}");
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"old");
    assert_eq!(names(directory.path()), ["a"]);
}

#[test]
fn a_file_that_changed_while_it_was_sent_is_fetched_again_from_the_start() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(2 * MIB));
    let sent = file.clone();
    let server = serve(move |mut server| {
        server.greet();
        server.expect("download a digest");
        send_part(&mut server, sent.len(), &sent[MIB..]);
        server.say("err changed the file changed while it was being sent; try again: a\n");
        server.expect("download a digest");
        send_rest(&mut server, &sent, 0);
    });
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert!(finished.messages.contains("Trying again from the start\n"), "{finished:?}");
    assert_downloaded(directory.path(), &finished, &file);
}

#[test]
fn a_lost_link_is_made_again_and_the_download_goes_on() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let server = serve_each(vec![vanish_halfway(file.clone()), resume_halfway(file.clone())]);
    let finished = run_with(directory.path(), server.address(), &["--retry-for", "20"], &["download a"]);
    for told in ["was lost. Trying to go on for up to 20 s", " again\nResuming at byte 1572864\n"] {
        assert!(finished.messages.contains(told), "{finished:?}");
    }
    assert_downloaded(directory.path(), &finished, &file);
}

#[test]
fn a_server_that_is_away_for_a_while_is_waited_for() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let server = serve_each(vec![vanish_halfway(file.clone())]);
    let address = server.address();
    let mut ferry = spawn_with(directory.path(), address, &[], &["download a"]);
    drop(server);
    wait_for_message(&mut ferry, "Trying to go on");
    let _server = serve_at(address, vec![resume_halfway(file.clone())]);
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_downloaded(directory.path(), &finished, &file);
}

#[test]
fn a_server_that_stays_away_is_given_up_and_the_next_run_goes_on() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let server = serve_each(vec![vanish_halfway(file.clone())]);
    let begun = Instant::now();
    let finished = run_with(directory.path(), server.address(), &["--retry-for", "1"], &["download a"]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(finished.status, 6, "{finished:?}");
    assert!(finished.messages.contains(PART), "{finished:?}");
    assert!(finished.messages.contains("gave up after 1 s"), "{finished:?}");
    assert_eq!(names(directory.path()), [PART]);
    let server = serve_each(vec![resume_halfway(file.clone())]);
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_downloaded(directory.path(), &finished, &file);
}

#[test]
fn a_killed_client_leaves_what_the_next_run_goes_on_from() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let (sent, part_path) = (file.clone(), directory.path().join(PART));
    let half = file.len() / 2;
    let (halfway, when_halfway) = mpsc::channel();
    let server = serve(move |mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say(format!("(download) {} 0\n", sent.len()));
        data.write_all(&sent[..half]).unwrap();
        wait_until(|| fs::metadata(&part_path).is_ok_and(|metadata| metadata.len() >= half as u64));
        halfway.send(()).unwrap();
        server.wait_for_end();
    });
    let ferry = spawn_with(directory.path(), server.address(), &[], &["download a"]);
    when_halfway.recv().unwrap();
    kill_process(Pid::from_child(&ferry), Signal::KILL).unwrap();
    ferry.wait_with_output().unwrap();
    assert_eq!(names(directory.path()), [PART]);
    let server = serve_each(vec![resume_halfway(file.clone())]);
    let finished = run(directory.path(), server.address(), &["download a"]);
    assert_downloaded(directory.path(), &finished, &file);
}

#[test]
fn nothing_is_built_upon_what_the_server_does_not_have() {
    let file = content(3 * MIB);
    // What an earlier run left, and what the server says to that.
    let other = content(100).split_off(1);
    let longer = content(4 * MIB);
    for (kept, answer) in [
        (&other, format!("(sum) 99 {}\nok\n", Digest::of(&file[..99]))),
        (&longer, "err bad-offset the offset is beyond the end of the file: a\n".to_owned()),
        (&other, format!("(sum) 98 {}\nok\n", Digest::of(&other))),
    ] {
        let (directory, sent) = (tempfile::tempdir().unwrap(), file.clone());
        fs::write(directory.path().join(PART), kept).unwrap();
        let question = format!("sum a {}", kept.len());
        let server = serve(move |mut server| {
            server.greet();
            server.expect(&question);
            server.say(answer);
            server.expect("download a digest");
            send_rest(&mut server, &sent, 0);
        });
        let finished = run(directory.path(), server.address(), &["download a"]);
        assert!(finished.messages.contains("starting over\n"), "{finished:?}");
        assert_downloaded(directory.path(), &finished, &file);
    }
}

/// The beginning was compared, so what follows must belong to it, even where no verification was asked for.
#[test]
fn a_kept_beginning_of_a_file_that_was_replaced_since_is_not_completed() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let half = file.len() / 2;
    fs::write(directory.path().join(PART), &file[..half]).unwrap();
    let replaced = [&[!file[0]], &file[1..]].concat();
    let sent = replaced.clone();
    let server = serve(move |mut server| {
        server.greet();
        server.expect(&format!("sum a {half}"));
        server.say(sum(&file, half));
        server.expect(&format!("download a {half} digest"));
        let mut data = server.open_data();
        server.say(format!("(download) {} 0\n", sent.len() - half));
        data.write_all(&sent[half..]).unwrap();
        server.say(ok_rest(&sent, half));
        server.expect("download a");
        server.say(format!("(download) {} 0\n", sent.len()));
        data.write_all(&sent).unwrap();
        server.say(format!("ok {}\n", sent.len()));
        server.wait_for_end();
    });
    let finished = run_with(directory.path(), server.address(), &["--no-verify"], &["download a"]);
    assert_eq!(finished.messages.matches("Trying again from the start\n").count(), 1, "{finished:?}");
    assert_downloaded(directory.path(), &finished, &replaced);
}

/// Hashing takes a while, in which nothing else would be seen.
#[test]
fn a_long_comparison_is_told_before() {
    const LENGTH: u64 = 256 << 20;
    let (directory, other) = (tempfile::tempdir().unwrap(), Digest::of(b"other"));
    for name in [PART, "b"] {
        fs::File::create(directory.path().join(name)).unwrap().set_len(LENGTH).unwrap();
    }
    let server = serve(move |mut server| {
        server.greet();
        server.expect(&format!("sum a {LENGTH}"));
        server.say(format!("(sum) {LENGTH} {other}\nok\n"));
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say("(download) 4 0\n");
        data.write_all(b"four").unwrap();
        server.say(ok(b"four"));
        server.expect("partial b");
        server.say(format!("(partial) {LENGTH} {other}\nok\n"));
        server.expect_upload(&format!("upload b {LENGTH} digest"));
        server.say("err no-space no space left on the server: b\n");
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["download a", "upload b"]);
    let told = finished.messages.matches("Comparing the first 268435456 bytes with the server's\n").count();
    assert_eq!((finished.status, told), (4, 2), "{finished:?}");
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"four");
}

#[test]
fn two_downloads_to_one_name_do_not_meet() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let sent = file.clone();
    let (begun, when_begun) = mpsc::channel();
    let (second_done, when_second_done) = mpsc::channel();
    let first = serve(move |mut server| {
        server.greet();
        server.expect("download a digest");
        let mut data = server.open_data();
        server.say(format!("(download) {} 0\n", sent.len()));
        data.write_all(&sent[..100]).unwrap();
        begun.send(()).unwrap();
        when_second_done.recv().unwrap();
        data.write_all(&sent[100..]).unwrap();
        server.say(ok(&sent));
        server.wait_for_end();
    });
    let ferry = spawn_with(directory.path(), first.address(), &[], &["download a"]);
    when_begun.recv().unwrap();
    wait_until(|| directory.path().join(PART).exists());
    let second = serve(|mut server| {
        server.greet();
        server.expect("download a digest");
        send_rest(&mut server, b"another", 0);
    });
    let finished = run(directory.path(), second.address(), &["download a"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"another");
    second_done.send(()).unwrap();
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert_eq!(finished.status, 5, "{finished:?}");
    assert!(finished.messages.contains("a changed here meanwhile; it is left alone"), "{finished:?}");
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"another");
    assert!(fs::read(directory.path().join(PART)).unwrap() == file, "what has come is kept");
}

#[test]
fn ctrl_c_ends_the_waiting_at_once_and_keeps_what_has_come() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let server = serve_each(vec![vanish_halfway(file)]);
    let mut ferry = spawn_with(directory.path(), server.address(), &[], &["download a", "ls"]);
    drop(server);
    wait_for_message(&mut ferry, "Trying to go on");
    wait_until_asleep(&ferry);
    let begun = Instant::now();
    kill_process(Pid::from_child(&ferry), Signal::INT).unwrap();
    let finished = Finished::from(ferry.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert_eq!(finished.status, 130, "{finished:?}");
    assert!(finished.messages.ends_with("goes on from there\nInterrupted\n"), "{finished:?}");
    assert_eq!(names(directory.path()), [PART]);
}

/// Writes the file of an upload, and tells the option by which it keeps its time.
fn prepare_upload(directory: &Path, file: &[u8]) -> String {
    fs::write(directory.join("b"), file).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(directory.join("b")).unwrap().set_modified(time).unwrap();
    format!("upload b {} digest mtime=1700000000 exec=no", file.len())
}

fn resume(file: &[u8], offset: usize) -> String {
    format!("resume={offset}:{}", Digest::of(&file[..offset]))
}

fn say_kept(server: &mut Server, kept: &[u8]) {
    server.expect("partial b");
    server.say(format!("(partial) {} {}\nok\n", kept.len(), Digest::of(kept)));
}

/// Takes an upload from `offset` on.
fn take_rest(server: &mut Server, file: &[u8], offset: usize) {
    let mut data = server.open_data();
    server.say(format!("(upload) {offset}\n"));
    let rest = with_trailer(file).split_off(offset);
    assert!(read(&mut data, rest.len()) == rest);
    server.say(ok(file));
    server.wait_for_end();
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let command = prepare_upload(directory.path(), &file);
    for offset in [1, MIB, file.len()] {
        let (command, file) = (command.clone(), file.clone());
        let server = serve(move |mut server| {
            server.greet();
            say_kept(&mut server, &file[..offset]);
            server.expect(&format!("{command} {}", resume(&file, offset)));
            take_rest(&mut server, &file, offset);
        });
        let finished = run(directory.path(), server.address(), &["upload b"]);
        assert_eq!(finished.status, 0, "{finished:?}");
        assert!(finished.messages.contains(&format!("Resuming at byte {offset}\n")), "{finished:?}");
        assert!(
            finished.messages.ends_with("Sent: 3145728 / 3145728\nFile upload done...\n"),
            "{finished:?}"
        );
    }
}

#[test]
fn an_upload_starts_over_where_the_server_has_something_else() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let command = prepare_upload(directory.path(), &file);
    for kept in [content(100).split_off(1), content(4 * MIB)] {
        let (command, file) = (command.clone(), file.clone());
        let server = serve(move |mut server| {
            server.greet();
            say_kept(&mut server, &kept);
            server.expect(&command);
            take_rest(&mut server, &file, 0);
        });
        let finished = run(directory.path(), server.address(), &["upload b"]);
        assert_eq!(finished.status, 0, "{finished:?}");
        assert!(finished.messages.contains("starting over\n"), "{finished:?}");
    }
    // And where it has forgotten meanwhile what it had.
    let server = serve(move |mut server| {
        server.greet();
        say_kept(&mut server, &file[..100]);
        server.expect(&format!("{command} {}", resume(&file, 100)));
        server.say("err no-partial nothing of this upload is kept that could be resumed: b\n");
        server.expect(&command);
        take_rest(&mut server, &file, 0);
    });
    let finished = run(directory.path(), server.address(), &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.messages.contains("starting over\n"), "{finished:?}");
}

/// Has nothing of an upload, and is gone after the first MiB of it.
fn vanish_after_a_mib(command: String, file: Vec<u8>) -> Script {
    Box::new(move |mut server| {
        server.greet();
        server.expect("partial b");
        server.say("err no-partial nothing is kept\n");
        server.expect(&command);
        let mut data = server.open_data();
        server.say("(upload) 0\n");
        assert!(read(&mut data, MIB) == file[..MIB]);
    })
}

#[test]
fn an_upload_survives_a_restarted_server() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let command = prepare_upload(directory.path(), &file);
    let server = serve_each(vec![
        vanish_after_a_mib(command.clone(), file.clone()),
        Box::new(move |mut server| {
            server.greet();
            say_kept(&mut server, &file[..MIB]);
            server.expect(&format!("{command} {}", resume(&file, MIB)));
            take_rest(&mut server, &file, MIB);
        }),
    ]);
    let finished = run_with(directory.path(), server.address(), &["--retry-for", "20"], &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert_eq!(finished.messages.matches("commencing upload").count(), 1, "{finished:?}");
}

#[test]
fn an_upload_of_which_nothing_was_kept_starts_over_and_says_so() {
    let (directory, file) = (tempfile::tempdir().unwrap(), content(3 * MIB));
    let command = prepare_upload(directory.path(), &file);
    let server = serve_each(vec![
        vanish_after_a_mib(command.clone(), file.clone()),
        Box::new(move |mut server| {
            server.greet();
            server.expect("partial b");
            server.say("err no-partial nothing is kept\n");
            server.expect(&command);
            take_rest(&mut server, &file, 0);
        }),
    ]);
    let finished = run_with(directory.path(), server.address(), &["--retry-for", "20"], &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert_eq!(finished.messages.matches("kept nothing of the upload; starting over\n").count(), 1);
}

#[test]
fn an_upload_that_arrives_damaged_is_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let command = prepare_upload(directory.path(), b"abc");
    let again = command.clone();
    let server = serve(move |mut server| {
        server.greet();
        server.expect(&command);
        let mut data = server.open_data();
        assert_eq!(read(&mut data, 36), with_trailer(b"abc"));
        server.say("err mismatch the digest does not match; send the file again: b\n");
        server.expect(&command);
        assert_eq!(read(&mut data, 36), with_trailer(b"abc"));
        server.say(ok(b"abc"));
        server.wait_for_end();
    });
    assert_eq!(run(directory.path(), server.address(), &["upload b"]).status, 0);
    // A server that stores something else, and says so, is not believed.
    let server = serve(move |mut server| {
        server.greet();
        let mut data = None;
        for _ in 0..3 {
            server.expect(&again);
            let data = data.get_or_insert_with(|| server.open_data());
            read(data, 36);
            server.say(ok(b"abd"));
        }
        server.wait_for_end();
    });
    let finished = run(directory.path(), server.address(), &["upload b"]);
    assert_eq!(finished.status, 7, "{finished:?}");
    assert!(!finished.messages.contains("Sent:"), "{finished:?}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_sent_again() {
    // More than the sockets hold.
    const SIZE: usize = 64 * MIB;
    let directory = tempfile::tempdir().unwrap();
    let command = prepare_upload(directory.path(), &vec![7; SIZE]);
    let path = directory.path().join("b");
    let server = serve(move |mut server| {
        server.greet();
        server.expect("partial b");
        server.say("err no-partial nothing is kept\n");
        server.expect(&command);
        let mut data = server.open_data();
        server.say("(upload) 0\n");
        read(&mut data, 100);
        fs::File::options().write(true).open(&path).unwrap().write_all(b"x").unwrap();
        assert!(read_until_end(&mut data).len() <= SIZE - 100, "no digest is sent");
        server.say("err broken-off the data connection was closed: b\n");
        server.expect("partial b");
        server.say("err no-partial nothing is kept\n");
        server.expect_upload(&format!("upload b {SIZE} digest"));
        take_rest(&mut server, &fs::read(&path).unwrap(), 0);
    });
    let finished = run(directory.path(), server.address(), &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.messages.contains("b changed while it was being sent. Trying again"), "{finished:?}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_without_a_digest_is_not_completed() {
    // More than the sockets hold.
    const SIZE: usize = 64 * MIB;
    let directory = tempfile::tempdir().unwrap();
    prepare_upload(directory.path(), &vec![7; SIZE]);
    let path = directory.path().join("b");
    let server = serve(move |mut server| {
        server.greet();
        server.expect("partial b");
        server.say("err no-partial nothing is kept\n");
        server.expect(&format!("upload b {SIZE} mtime=1700000000 exec=no"));
        let mut data = server.open_data();
        server.say("(upload) 0\n");
        read(&mut data, 100);
        fs::File::options().write(true).open(&path).unwrap().write_all(b"x").unwrap();
        assert!(100 + read_until_end(&mut data).len() < SIZE, "a server stores what comes whole");
        server.say("err broken-off the data connection was closed: b\n");
        server.expect("partial b");
        server.say("err no-partial nothing is kept\n");
        server.expect_upload(&format!("upload b {SIZE}"));
        let (mut data, file) = (server.open_data(), fs::read(&path).unwrap());
        server.say("(upload) 0\n");
        assert!(read(&mut data, SIZE) == file);
        server.say(ok(&file));
        server.wait_for_end();
    });
    let finished = run_with(directory.path(), server.address(), &["--no-verify"], &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.messages.contains("b changed while it was being sent. Trying again"), "{finished:?}");
}

#[test]
fn an_upload_whose_confirmation_was_lost_is_recognised() {
    let directory = tempfile::tempdir().unwrap();
    prepare_upload(directory.path(), b"abc");
    let command = "upload b 3 digest new mtime=1700000000 exec=no";
    let server = serve_each(vec![
        Box::new(move |mut server| {
            server.greet();
            server.expect(command);
            read(&mut server.open_data(), 36);
        }),
        Box::new(move |mut server| {
            server.greet();
            server.expect(command);
            server.say("err exists this name is taken already: b\n");
            server.expect("sum b");
            server.say(sum(b"abc", 3));
            server.wait_for_end();
        }),
    ]);
    let options = ["--no-overwrite", "--retry-for", "20"];
    let finished = run_with(directory.path(), server.address(), &options, &["upload b"]);
    assert_eq!(finished.status, 0, "{finished:?}");
}
