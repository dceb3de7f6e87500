//! Data connections of FTP sessions: who may come to a port that was opened for one, and where the server connects to.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::conversation::connect_from;
use ferry_tests::ftp::Ftp;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::wait_until;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const FILE: Content = Content { seed: 9, size_bytes: 300_000 };

fn serving() -> Server {
    let server = Server::start();
    server.put("file", FILE.bytes());
    server
}

fn read_all(mut data: TcpStream) -> Vec<u8> {
    let mut content = Vec::new();
    // A connection that is not the session's is closed, or reset.
    let _ = data.read_to_end(&mut content);
    content
}

#[test]
fn strangers_get_nothing_and_do_not_end_the_wait() {
    let server = serving();
    let mut ftp = Ftp::login(server.ftp_address());
    let address = ftp.passive_address();
    // As many as may wait at once, and more.
    for _ in 0..20 {
        assert_eq!(read_all(connect_from(9, address)), b"");
    }
    ftp.send("RETR file");
    assert_eq!(read_all(connect_from(9, address)), b"");
    let data = TcpStream::connect(address).unwrap();
    assert_eq!(ftp.reply().code, 150);
    assert!(read_all(data) == FILE.bytes());
    assert_eq!(ftp.reply().code, 226);
    assert!(TcpStream::connect(address).is_err(), "the port takes one connection");
}

#[test]
fn a_port_serves_the_session_that_it_was_opened_for() {
    let server = serving();
    server.put("other", "other");
    let (mut one, mut other) = (Ftp::login(server.ftp_address()), Ftp::login(server.ftp_address()));
    let (for_one, for_other) = (one.passive_address(), other.passive_address());
    assert_ne!(for_one, for_other);
    // In the opposite order.
    let to_other = TcpStream::connect(for_other).unwrap();
    let to_one = TcpStream::connect(for_one).unwrap();
    assert_eq!(one.command("RETR file").code, 150);
    assert_eq!(other.command("RETR other").code, 150);
    assert!(read_all(to_one) == FILE.bytes());
    assert_eq!(read_all(to_other), b"other");
    assert_eq!((one.reply().code, other.reply().code), (226, 226));
}

#[test]
fn ports_that_nothing_comes_to_cost_nothing_for_long() {
    let server = serving();
    let mut ftp = Ftp::login(server.ftp_address());
    let before = server.process().descriptors();
    for _ in 0..1000 {
        ftp.passive_address();
    }
    assert!(server.process().descriptors() <= before + 1, "each takes the place of the last");
    let address = ftp.passive_address();
    drop(ftp);
    wait_until("the port goes with its session", || TcpStream::connect(address).is_err());
    wait_until("nothing stays", || server.process().descriptors() < before);
}

#[test]
fn a_transfer_without_a_way_for_its_data_is_refused() {
    let server = serving();
    let mut ftp = Ftp::login(server.ftp_address());
    for command in ["RETR file", "STOR new", "LIST", "MLSD", "NLST", "APPE file"] {
        assert_eq!(ftp.command(command).code, 425, "{command}");
    }
    // One way serves one transfer.
    assert!(ftp.receive("RETR file").0 == FILE.bytes());
    assert_eq!(ftp.command("RETR file").code, 425);
}

#[test]
fn the_server_connects_to_the_client_and_to_nobody_else() {
    let server = serving();
    let mut ftp = Ftp::login(server.ftp_address());
    for _ in 0..2 {
        let listener = ftp.active();
        ftp.send("RETR file");
        let (data, _) = listener.accept().unwrap();
        assert_eq!(ftp.reply().code, 150);
        assert!(read_all(data) == FILE.bytes());
        assert_eq!(ftp.reply().code, 226);
    }
    let listener = ftp.active();
    ftp.send("STOR new");
    let (mut data, _) = listener.accept().unwrap();
    assert_eq!(ftp.reply().code, 150);
    data.write_all(b"new").unwrap();
    drop(data);
    assert_eq!(ftp.reply().code, 226);
    assert_eq!(std::fs::read(server.path("new")).unwrap(), b"new");
    // Others, and ports that serve something else.
    for line in [
        "PORT 127,0,0,9,200,1",
        "PORT 10,0,0,1,200,1",
        "PORT 127,0,0,1,0,80",
        "EPRT |1|127.0.0.9|5000|",
        "EPRT |2|::1|5000|",
        "EPRT |1|127.0.0.1|1023|",
        "PORT 127,0,0,1,256,1",
        "PORT 127,0,0,1",
    ] {
        assert!(ftp.command(line).code >= 500, "{line}");
    }
    // Nothing listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(ftp.command(format!("PORT 127,0,0,1,{},{}", free >> 8, free & 255)).code, 200);
    assert_eq!(ftp.command("RETR file").code, 425);
    assert_eq!(ftp.command("NOOP").code, 200);
}

#[test]
fn the_operator_says_which_ports_and_address_and_whether_the_server_connects() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (range, address) = (format!("{free}-{free}"), "192.0.2.7");
    let server = Options::default()
        .arguments(&["--ftp-passive-ports", &range, "--ftp-address", address, "--ftp-no-active"])
        .start();
    server.put("file", FILE.bytes());
    let mut ftp = Ftp::login(server.ftp_address());
    let told = ftp.command("PASV");
    assert!(told.text().contains(&format!("(192,0,2,7,{},{})", free >> 8, free & 255)), "{told:?}");
    assert!(Ftp::login(server.ftp_address()).command("EPSV").code >= 400, "the only port is taken");
    assert_eq!(ftp.passive_address(), SocketAddr::from(([127, 0, 0, 1], free)));
    assert!(ftp.command("PORT 127,0,0,1,200,1").code >= 500);
    for _ in 0..3 {
        assert!(ftp.receive("RETR file").0 == FILE.bytes());
    }
}
