//! An upload over FTP that breaks off leaves what was there, whichever way it does; one that is answered with 226 is whole.
#![allow(clippy::unwrap_used)]

use ferry_common::wire::digest::Digest;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ftp::Ftp;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::wait_until;
use std::io::Write;
use std::net::{Shutdown, TcpStream};

/// What the log says of an upload that was not finished.
const BROKEN_OFF: &str = "did not finish uploading file";
const OLD: &[u8] = b"what was there before";
const NEW: Content = Content { seed: 3, size_bytes: 3 << 20 };
/// Of the new file, before the upload breaks off.
const SENT_BYTES: usize = 1 << 20;

/// A server with a file, and a session in an upload over that of which some has been sent.
struct Setting {
    server: Server,
    ftp: Ftp,
    data: TcpStream,
}

impl Setting {
    fn new(command: &str) -> Self {
        let server = Server::start();
        server.put("file", OLD);
        let mut ftp = Ftp::login(server.ftp_address());
        if let Some(declared) = command.strip_prefix("ALLO ") {
            assert_eq!(ftp.command(format!("ALLO {declared}")).code, 200);
        }
        let mut data = ftp.passive();
        assert_eq!(ftp.command("STOR file").code, 150);
        data.write_all(&NEW.bytes()[..SENT_BYTES]).unwrap();
        Self { server, ftp, data }
    }

    /// The session of the upload has gone, and with it whatever it had open.
    fn expect_old_when_all_is_over(&self) {
        self.server.wait_for_log(BROKEN_OFF);
        self.expect_old();
    }

    #[track_caller]
    fn expect_old(&self) {
        assert_eq!(std::fs::read(self.server.path("file")).unwrap(), OLD);
    }

    /// The same upload again, whole, by another session.
    #[track_caller]
    fn expect_whole_again(&self) {
        let mut ftp = Ftp::login(self.server.ftp_address());
        let reply = ftp.upload("STOR file", &NEW.bytes());
        assert_eq!(reply.code, 226, "{reply:?}");
        assert!(std::fs::read(self.server.path("file")).unwrap() == NEW.bytes());
    }
}

#[test]
fn a_whole_upload_is_told_with_its_size_and_digest() {
    let server = Server::start();
    let mut ftp = Ftp::login(server.ftp_address());
    let reply = ftp.upload("STOR new", b"content");
    assert_eq!(reply.code, 226);
    let digest = Digest::of(b"content").to_string();
    assert!(["7 bytes", &digest].iter().all(|part| reply.text().contains(part)), "{reply:?}");
    assert_eq!(std::fs::read(server.path("new")).unwrap(), b"content");
    assert_eq!(ftp.upload("STOR empty", b"").code, 226);
    assert_eq!(std::fs::read(server.path("empty")).unwrap(), b"");
}

#[test]
fn a_client_that_is_killed_changes_nothing() {
    let Setting { server, ftp, data } = Setting::new("");
    // The kernel ends both connections, in this order or the other.
    drop(ftp.into_control());
    drop(data);
    let setting = Setting { ftp: Ftp::login(server.ftp_address()), data: connected(), server };
    setting.expect_old_when_all_is_over();
    setting.expect_whole_again();
}

/// A connection that is of no importance.
fn connected() -> TcpStream {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

#[test]
fn the_end_of_the_control_connection_takes_the_upload_back() {
    let setting = Setting::new("");
    setting.ftp.end_input();
    setting.data.shutdown(Shutdown::Write).unwrap();
    setting.expect_old_when_all_is_over();
    setting.expect_whole_again();
}

/// Both ends come at the same moment, and the server hears of that of the data first.
#[test]
fn the_end_of_the_control_connection_right_behind_that_of_the_data_takes_the_upload_back() {
    for _ in 0..20 {
        let Setting { server, ftp, data } = Setting::new("");
        data.shutdown(Shutdown::Write).unwrap();
        drop(ftp.into_control());
        wait_until("something comes of it", || {
            server.log().iter().any(|line| line.contains(BROKEN_OFF) || line.contains("uploaded file"))
        });
        let content = std::fs::read(server.path("file")).unwrap();
        assert!(content == OLD || content == NEW.bytes()[..SENT_BYTES], "neither old nor as sent");
    }
}

#[test]
fn a_reset_of_the_data_connection_changes_nothing() {
    let Setting { server, mut ftp, data } = Setting::new("");
    Ftp::reset(data);
    assert_eq!(ftp.reply().code, 426);
    let setting = Setting { server, ftp, data: connected() };
    setting.expect_old();
    setting.expect_whole_again();
}

/// What FTP cannot tell: a client that gives up early ends the data connection as one that is done.
#[test]
fn an_end_of_the_data_connection_alone_is_the_end_of_the_file() {
    let Setting { server, mut ftp, data } = Setting::new("");
    drop(data);
    assert_eq!(ftp.reply().code, 226);
    assert!(std::fs::read(server.path("file")).unwrap() == NEW.bytes()[..SENT_BYTES]);
}

#[test]
fn an_end_before_the_declared_length_changes_nothing() {
    let Setting { server, mut ftp, data } = Setting::new(&format!("ALLO {}", NEW.size_bytes));
    drop(data);
    assert_eq!(ftp.reply().code, 426);
    let setting = Setting { server, ftp, data: connected() };
    setting.expect_old();
    setting.expect_whole_again();
}

#[test]
fn an_abort_changes_nothing_on_whichever_side_of_the_end_it_comes() {
    for out_of_band in [false, true] {
        let Setting { server, mut ftp, data } = Setting::new("");
        if out_of_band {
            ftp.interrupt("ABOR");
        } else {
            ftp.send("ABOR");
        }
        assert_eq!(ftp.reply().code, 426);
        assert_eq!(ftp.reply().code, 226);
        drop(data);
        // The session is as good as before.
        assert_eq!(ftp.command("NOOP").code, 200);
        let setting = Setting { server, ftp, data: connected() };
        setting.expect_old();
        setting.expect_whole_again();
    }
    // The end of the data is known to the server before, or with it.
    let Setting { server, mut ftp, data } = Setting::new("");
    data.shutdown(Shutdown::Write).unwrap();
    ftp.send("ABOR");
    let first = ftp.reply();
    let content = std::fs::read(server.path("file")).unwrap();
    match first.code {
        426 => assert_eq!(content, OLD),
        226 => assert!(content == NEW.bytes()[..SENT_BYTES]),
        _ => panic!("{first:?}"),
    }
    assert!([225, 226].contains(&ftp.reply().code));
}

#[test]
fn a_client_that_says_goodbye_in_the_middle_gets_its_upload() {
    let Setting { server, mut ftp, mut data } = Setting::new("");
    ftp.send("QUIT");
    ftp.end_input();
    data.write_all(&NEW.bytes()[SENT_BYTES..]).unwrap();
    drop(data);
    assert_eq!(ftp.reply().code, 150);
    assert_eq!(ftp.reply().code, 226);
    ftp.expect_end();
    assert!(std::fs::read(server.path("file")).unwrap() == NEW.bytes());
}

/// `STOU` makes a name of its own, and takes no other file's, whichever server has made that.
#[test]
fn a_unique_name_is_one_after_a_restart_as_well() {
    let first = Server::start();
    let mut names = Vec::new();
    for server in [&first, &Options::default().root(first.root()).start()] {
        for _ in 0..2 {
            let mut ftp = Ftp::login(server.ftp_address());
            assert_eq!(ftp.upload("STOU", b"new").code, 226);
        }
        names.push(
            std::fs::read_dir(first.root()).unwrap().flatten().filter(|entry| entry.path().is_file()).count(),
        );
    }
    assert_eq!(names, [2, 4]);
}

#[test]
fn uploads_by_both_protocols_to_one_name_replace_each_other_whole() {
    let server = Server::start();
    let mut ftp = Ftp::login(server.ftp_address());
    let mut ferry = Conversation::with(&server);
    for round in 0..10 {
        let (by_ftp, by_ferry) = (Content::new(round, 100_000), Content::new(100 + round, 50_000));
        let mut data = ftp.passive();
        assert_eq!(ftp.command("STOR same").code, 150);
        data.write_all(&by_ftp.bytes()[..70_000]).unwrap();
        ferry.upload("same", &by_ferry.bytes()).unwrap();
        assert!(ferry.download("same").unwrap() == by_ferry.bytes());
        data.write_all(&by_ftp.bytes()[70_000..]).unwrap();
        drop(data);
        assert_eq!(ftp.reply().code, 226);
        assert!(ferry.download("same").unwrap() == by_ftp.bytes());
        assert!(ftp.receive("RETR same").0 == by_ftp.bytes());
    }
}

#[test]
fn an_operator_who_lets_nothing_be_changed_or_replaced_means_ftp_as_well() {
    let server = Options::default().arguments(&["--read-only"]).start();
    server.put("file", OLD);
    let mut ftp = Ftp::login(server.ftp_address());
    for command in ["STOR new", "STOR file", "APPE file"] {
        assert!(ftp.upload(command, b"new").code >= 500, "{command}");
    }
    for command in ["DELE file", "MKD new", "RMD file", "MFMT 20200101000000 file", "SITE CHMOD 755 file"] {
        assert!(ftp.command(command).code >= 500, "{command}");
    }
    assert_eq!(ftp.receive("RETR file").0, OLD);
    let server = Options::default().arguments(&["--no-overwrite"]).start();
    server.put("file", OLD);
    let mut ftp = Ftp::login(server.ftp_address());
    assert!(ftp.upload("STOR file", b"new").code >= 500);
    assert_eq!(ftp.upload("STOR new", b"new").code, 226);
    assert_eq!(ftp.command("RNFR new").code, 350);
    assert!(ftp.command("RNTO file").code >= 500);
    assert_eq!(std::fs::read(server.path("file")).unwrap(), OLD);
}

#[test]
fn no_descriptor_stays_behind_whatever_comes_of_a_transfer() {
    let server = Server::start();
    let mut ftp = Ftp::login(server.ftp_address());
    ftp.upload("STOR file", OLD);
    let before = server.process().descriptors();
    for _ in 0..100 {
        assert_eq!(ftp.upload("STOR file", OLD).code, 226);
        assert_eq!(ftp.receive("RETR file").0, OLD);
        assert_eq!(ftp.receive("NLST").0, b"file\r\n");
        assert_eq!(ftp.receive("RETR missing").1.code, 550);
    }
    wait_until("descriptors are given back", || server.process().descriptors() <= before);
    assert_eq!(ftp.command("QUIT").code, 221);
    ftp.expect_end();
}
