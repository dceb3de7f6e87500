//! A client of FTP that does what a test tells it, and nothing else: commands go out as they are, replies come back as text.

use crate::dial::dial;
use crate::wait::WAIT_LIMIT;
use socket2::SockRef;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

#[derive(Debug)]
pub struct Ftp {
    control: BufReader<TcpStream>,
}

/// One reply, which may have several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// All of its lines, without their ends.
    pub lines: Vec<String>,
}

impl Ftp {
    /// Connects, and is greeted.
    #[track_caller]
    pub fn connect(server: SocketAddr) -> Self {
        let mut ftp = Self::of(dial(server, WAIT_LIMIT).expect("the server accepts"));
        assert_eq!(ftp.reply().code, 220);
        ftp
    }

    /// A session that is logged in.
    #[track_caller]
    pub fn login(server: SocketAddr) -> Self {
        let mut ftp = Self::connect(server);
        assert_eq!(ftp.command("USER somebody").code, 331);
        assert_eq!(ftp.command("PASS something").code, 230);
        assert_eq!(ftp.command("TYPE I").code, 200);
        ftp
    }

    /// Over a connection that is there; nothing is read of it yet.
    pub fn of(control: TcpStream) -> Self {
        Self { control: BufReader::new(control) }
    }

    #[track_caller]
    pub fn send(&mut self, line: impl AsRef<[u8]>) {
        self.control
            .get_mut()
            .write_all(&[line.as_ref(), b"\r\n"].concat())
            .expect("the server takes commands");
    }

    /// The next reply, whatever it is to.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("the server replies in time")
    }

    /// As [`Ftp::reply`]; `None` where the session has ended.
    pub fn try_reply(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.control.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            let code: Option<u16> = line.get(..3).and_then(|code| code.parse().ok());
            let is_last = code.is_some() && line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if let (Some(code), true) = (code, is_last) {
                return Some(Reply { code, lines });
            }
        }
    }

    #[track_caller]
    pub fn command(&mut self, line: impl AsRef<[u8]>) -> Reply {
        self.send(line);
        self.reply()
    }

    /// Has the server open a port, and gives where it is.
    #[track_caller]
    pub fn passive_address(&mut self) -> SocketAddr {
        let reply = self.command("EPSV");
        let port = reply.text().split('|').nth(3).and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {reply:?}"));
        let mut address = self.control.get_ref().peer_addr().expect("a connection");
        address.set_port(port);
        address
    }

    /// A data connection to a port that the server has opened.
    #[track_caller]
    pub fn passive(&mut self) -> TcpStream {
        let address = self.passive_address();
        dial(address, WAIT_LIMIT).expect("the port is open")
    }

    /// Has the server connect to this end for the next transfer.
    #[track_caller]
    pub fn active(&mut self) -> TcpListener {
        let local = self.control.get_ref().local_addr().expect("a connection");
        let listener = TcpListener::bind((local.ip(), 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let family = if local.is_ipv4() { 1 } else { 2 };
        let reply = self.command(format!("EPRT |{family}|{}|{port}|", local.ip()));
        assert_eq!(reply.code, 200, "{reply:?}");
        listener
    }

    /// Uploads by this command, such as `STOR a`; gives the last reply.
    #[track_caller]
    pub fn upload(&mut self, command: impl AsRef<[u8]>, content: &[u8]) -> Reply {
        let mut data = self.passive();
        let begun = self.command(command);
        if begun.code != 150 {
            return begun;
        }
        data.write_all(content).expect("the server takes payload");
        drop(data);
        self.reply()
    }

    /// What a command sends over a data connection, such as `RETR a`, and its last reply.
    #[track_caller]
    pub fn receive(&mut self, command: impl AsRef<[u8]>) -> (Vec<u8>, Reply) {
        let mut data = self.passive();
        let begun = self.command(command);
        if begun.code != 150 {
            return (Vec::new(), begun);
        }
        let mut content = Vec::new();
        data.read_to_end(&mut content).expect("the data connection ends");
        (content, self.reply())
    }

    /// Sends a command out of band, as clients do to interrupt a transfer.
    #[track_caller]
    pub fn interrupt(&mut self, line: &str) {
        let stream = self.control.get_mut();
        stream.write_all(b"\xff\xf4\xff").expect("the server takes commands");
        SockRef::from(&*stream).send_out_of_band(b"\xf2").expect("the server takes urgent data");
        self.send(line);
    }

    /// Ends this side of the control connection.
    pub fn end_input(&self) {
        let _ = self.control.get_ref().shutdown(Shutdown::Write);
    }

    /// Has the end of a connection look as if its machine had lost it.
    pub fn reset(stream: TcpStream) {
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        drop(stream);
    }

    /// As a client that is killed ends: everything at once.
    pub fn into_control(self) -> TcpStream {
        self.control.into_inner()
    }
}

impl Reply {
    /// Its last line.
    pub fn text(&self) -> &str {
        self.lines.last().map_or("", String::as_str)
    }
}
