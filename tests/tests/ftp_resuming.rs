//! An upload over FTP goes on with what has come of itself, never with the file that it is to replace; what is added to a
//! file is added as a whole, and not while it is on record that an upload to its name broke off.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ftp::{Ftp, Reply};
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::wait_until;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

const OLD: &[u8] = b"what was there before";
const NEW: Content = Content { seed: 5, size_bytes: 300_000 };
/// Of the new file, before the upload breaks off.
const SENT_BYTES: usize = 100_000;

fn served() -> (Server, Ftp) {
    let server = Server::start();
    server.put("file", OLD);
    let ftp = Ftp::login(server.ftp_address());
    (server, ftp)
}

#[track_caller]
fn expect(server: &Server, content: &[u8]) {
    assert!(fs::read(server.path("file")).unwrap() == content);
}

/// Begins, and sends some.
#[track_caller]
fn begin(ftp: &mut Ftp, command: &str, content: &[u8]) -> TcpStream {
    let mut data = ftp.passive();
    assert_eq!(ftp.command(command).code, 150);
    data.write_all(content).unwrap();
    data
}

/// An upload of which so much has come breaks off.
#[track_caller]
fn break_off(server: &Server, ftp: &mut Ftp, command: &str, sent: &[u8]) {
    let data = begin(ftp, command, sent);
    let has_come = || {
        let sizes = server.staged_files().into_iter().map(|name| fs::metadata(server.path(name)));
        sizes.flatten().any(|file| file.len() >= sent.len() as u64)
    };
    wait_until("arrival of the upload", has_come);
    Ftp::reset(data);
    assert_eq!(ftp.reply().code, 426);
}

/// Sends this from an offset on.
#[track_caller]
fn restart(ftp: &mut Ftp, offset: usize, rest: &[u8]) -> Reply {
    assert_eq!(ftp.command(format!("REST {offset}")).code, 350);
    ftp.upload("STOR file", rest)
}

fn sent() -> Vec<u8> {
    NEW.bytes()[..SENT_BYTES].to_vec()
}

#[test]
fn an_upload_goes_on_with_what_has_come_of_it() {
    let (server, mut ftp) = served();
    assert_eq!(restart(&mut ftp, OLD.len(), b"tail").code, 554, "nothing but the published file is there");
    break_off(&server, &mut ftp, "STOR file", &sent());
    assert_eq!(restart(&mut ftp, SENT_BYTES + 1, b"tail").code, 554, "so much has not come");
    expect(&server, OLD);
    // As some clients do that ask for the size of the file. What they send then is not always what would follow that.
    assert_eq!(restart(&mut ftp, OLD.len(), &NEW.bytes()[OLD.len()..]).code, 554);
    expect(&server, OLD);
    assert_eq!(restart(&mut ftp, SENT_BYTES, &NEW.bytes()[SENT_BYTES..]).code, 226);
    expect(&server, &NEW.bytes());
    assert_eq!(restart(&mut ftp, 1, b"tail").code, 554, "it is used up");
    expect(&server, &NEW.bytes());
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn what_has_come_outlives_a_killed_server_and_tells_that_it_broke_off() {
    let (mut server, mut ftp) = served();
    let data = begin(&mut ftp, "STOR file", &sent());
    let is_there = || {
        let sizes = server.staged_files().into_iter().map(|name| fs::metadata(server.path(name)));
        sizes.flatten().any(|file| file.len() >= SENT_BYTES as u64)
    };
    wait_until("arrival of the upload", is_there);
    server.kill();
    drop(data);
    let again = Options::default().root(server.root()).start();
    let mut ftp = Ftp::login(again.ftp_address());
    assert_eq!(ftp.upload("APPE file", b"tail").code, 550);
    expect(&again, OLD);
    assert_eq!(restart(&mut ftp, SENT_BYTES, &NEW.bytes()[SENT_BYTES..]).code, 226);
    expect(&again, &NEW.bytes());
    assert_eq!(ftp.upload("APPE file", b"tail").code, 226);
}

#[test]
fn nothing_is_added_to_a_file_behind_an_upload_that_broke_off() {
    let (mut server, mut ftp) = served();
    break_off(&server, &mut ftp, "STOR file", b"");
    let refused = ftp.upload("APPE file", b"tail");
    assert_eq!(refused.code, 550, "{refused:?}");
    server.kill();
    let again = Options::default().root(server.root()).start();
    let mut ftp = Ftp::login(again.ftp_address());
    assert_eq!(ftp.upload("APPE file", b"tail").code, 550, "also after a restart");
    expect(&again, OLD);
    assert_eq!(ftp.upload("STOR file", b"whole ").code, 226);
    assert_eq!(ftp.upload("APPE file", b"and more").code, 226);
    expect(&again, b"whole and more");

    let mut ferry = Conversation::with(&again);
    let mut round = |make_up: &mut dyn FnMut(&mut Ftp)| {
        break_off(&again, &mut ftp, "STOR file", b"some");
        assert_eq!(ftp.upload("APPE file", b"tail").code, 550);
        make_up(&mut ftp);
        assert_eq!(ftp.upload("APPE file", b"tail").code, 226);
        assert_eq!(again.staged_files(), Vec::<String>::new());
    };
    round(&mut |ftp| assert_eq!(ftp.command("DELE file").code, 250));
    expect(&again, b"tail");
    round(&mut |ftp| {
        again.put("other", "other ");
        assert_eq!(ftp.command("RNFR other").code, 350);
        assert_eq!(ftp.command("RNTO file").code, 250);
    });
    expect(&again, b"other tail");
    round(&mut |_| ferry.upload("file", b"by Ferry ").unwrap());
    expect(&again, b"by Ferry tail");
}

#[test]
fn what_is_added_to_a_file_is_added_as_a_whole_or_not_at_all() {
    let (server, mut ftp) = served();
    for (command, size) in [("APPE file", OLD.len()), ("APPE new", 0)] {
        let mut data = begin(&mut ftp, command, b" and then");
        data.write_all(&sent()).unwrap();
        expect(&server, OLD);
        drop(data);
        assert_eq!(ftp.reply().code, 226);
        let name = command.split(' ').nth(1).unwrap();
        let expected = [&OLD[..size], b" and then", &sent()].concat();
        assert!(fs::read(server.path(name)).unwrap() == expected, "{command}");
        server.put("file", OLD);
    }
    break_off(&server, &mut ftp, "APPE file", &sent());
    expect(&server, OLD);
    wait_until("nothing is kept of what is there", || server.staged_files().is_empty());
    assert_eq!(restart(&mut ftp, OLD.len(), b"tail").code, 554);
    assert_eq!(ftp.upload("APPE file", b" for good").code, 226);
    expect(&server, &[OLD, b" for good"].concat());
}

#[test]
fn nothing_is_added_while_another_upload_to_the_name_is_under_way() {
    let (server, mut ftp) = served();
    let mut other = Ftp::login(server.ftp_address());
    for command in ["STOR file", "APPE file"] {
        let data = begin(&mut ftp, command, b"first");
        assert_eq!(other.upload("APPE file", b"second").code, 550, "{command}");
        drop(data);
        assert_eq!(ftp.reply().code, 226);
    }
    assert_eq!(other.upload("APPE file", b"second").code, 226);
    expect(&server, b"firstfirstsecond");
    // The program that has replaced the file knows nothing of what is added.
    let data = begin(&mut ftp, "APPE file", b"lost");
    fs::write(server.path("beside"), "by another program").unwrap();
    fs::rename(server.path("beside"), server.path("file")).unwrap();
    drop(data);
    assert_eq!(ftp.reply().code, 451);
    expect(&server, b"by another program");
    wait_until("nothing of it is kept", || server.staged_files().is_empty());
}

#[test]
fn a_client_that_goes_while_its_file_is_copied_leaves_nothing() {
    let (server, _) = served();
    fs::File::create(server.path("large")).unwrap().set_len(512 << 20).unwrap();
    let before = server.process().descriptors();
    for _ in 0..3 {
        let mut ftp = Ftp::login(server.ftp_address());
        let data = ftp.passive();
        ftp.send("APPE large");
        wait_until("the copy begins", || !server.staged_files().is_empty());
        drop(ftp.into_control());
        drop(data);
        wait_until("nothing is left of it", || server.staged_files().is_empty());
    }
    assert_eq!(server.path("large").metadata().unwrap().len(), 512 << 20);
    wait_until("descriptors are given back", || server.process().descriptors() <= before);
}

#[test]
fn a_client_makes_files_executable() {
    let (server, mut ftp) = served();
    let mode = || server.path("file").metadata().unwrap().mode() & 0o111;
    for (command, expected) in [("SITE CHMOD 755 file", 0o111), ("SITE CHMOD 644 file", 0)] {
        assert_eq!(ftp.command(command).code, 200);
        assert_eq!(mode(), expected);
    }
    assert_eq!(ftp.command("SITE CHMOD 755 missing").code, 550);
}
