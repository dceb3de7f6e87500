//! A client of FTP that does what a test tells it, and nothing else: commands go out as they are, replies come back as text.
//! What `try_...` gives as an error is a panic otherwise.

use crate::dial::dial;
use crate::wait::WAIT_LIMIT;
use socket2::SockRef;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

#[derive(Debug)]
pub struct Ftp {
    control: BufReader<TcpStream>,
    /// How long each read and write may take.
    limit: Duration,
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
        Self::try_connect(server, WAIT_LIMIT).expect("the server accepts and greets")
    }

    /// A session that is logged in.
    #[track_caller]
    pub fn login(server: SocketAddr) -> Self {
        Self::try_login(server, WAIT_LIMIT).expect("the server lets everybody in")
    }

    pub fn try_connect(server: SocketAddr, limit: Duration) -> io::Result<Self> {
        let mut ftp = Self { control: BufReader::new(dial(server, limit)?), limit };
        ftp.try_reply()?.expect_code(220)?;
        Ok(ftp)
    }

    pub fn try_login(server: SocketAddr, limit: Duration) -> io::Result<Self> {
        Self::try_login_as(server, limit, "somebody", "something")
    }

    pub fn try_login_as(server: SocketAddr, limit: Duration, user: &str, password: &str) -> io::Result<Self> {
        let mut ftp = Self::try_connect(server, limit)?;
        ftp.try_command(format!("USER {user}"))?.expect_code(331)?;
        ftp.try_command(format!("PASS {password}"))?.expect_code(230)?;
        ftp.try_command("TYPE I")?.expect_code(200)?;
        Ok(ftp)
    }

    #[track_caller]
    pub fn send(&mut self, line: impl AsRef<[u8]>) {
        self.try_send(line).expect("the server takes commands");
    }

    pub fn try_send(&mut self, line: impl AsRef<[u8]>) -> io::Result<()> {
        self.control.get_mut().write_all(&[line.as_ref(), b"\r\n"].concat())
    }

    /// The next reply, whatever it is to.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("the server replies in time")
    }

    /// Nothing more comes, and the connection ends.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.control.read_to_end(&mut rest).expect("the server ends the session");
        assert_eq!(rest, b"");
    }

    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.control.read_until(b'\n', &mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            let code: Option<u16> = line.get(..3).and_then(|code| code.parse().ok());
            let is_last = code.is_some() && line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if let (Some(code), true) = (code, is_last) {
                return Ok(Reply { code, lines });
            }
        }
    }

    #[track_caller]
    pub fn command(&mut self, line: impl AsRef<[u8]>) -> Reply {
        self.try_command(line).expect("the server replies in time")
    }

    pub fn try_command(&mut self, line: impl AsRef<[u8]>) -> io::Result<Reply> {
        self.try_send(line)?;
        self.try_reply()
    }

    /// Has the server open a port, and gives where it is.
    #[track_caller]
    pub fn passive_address(&mut self) -> SocketAddr {
        self.try_passive_address().expect("the server opens a port")
    }

    fn try_passive_address(&mut self) -> io::Result<SocketAddr> {
        let reply = self.try_command("EPSV")?;
        let port = reply.text().split('|').nth(3).and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| reply.unexpected())?;
        let mut address = self.control.get_ref().peer_addr()?;
        address.set_port(port);
        Ok(address)
    }

    /// A data connection to a port that the server has opened.
    #[track_caller]
    pub fn passive(&mut self) -> TcpStream {
        self.try_passive().expect("the port is open")
    }

    fn try_passive(&mut self) -> io::Result<TcpStream> {
        let address = self.try_passive_address()?;
        dial(address, self.limit)
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
        self.try_upload(command, content).expect("the server takes payload")
    }

    pub fn try_upload(&mut self, command: impl AsRef<[u8]>, content: &[u8]) -> io::Result<Reply> {
        let mut data = self.try_passive()?;
        let begun = self.try_command(command)?;
        if begun.code != 150 {
            return Ok(begun);
        }
        // A server that refuses the rest says why.
        let _ = data.write_all(content);
        drop(data);
        self.try_reply()
    }

    /// What a command sends over a data connection, such as `RETR a`, and its last reply.
    #[track_caller]
    pub fn receive(&mut self, command: impl AsRef<[u8]>) -> (Vec<u8>, Reply) {
        self.try_receive(command).expect("the server sends")
    }

    pub fn try_receive(&mut self, command: impl AsRef<[u8]>) -> io::Result<(Vec<u8>, Reply)> {
        let mut data = self.try_passive()?;
        let begun = self.try_command(command)?;
        if begun.code != 150 {
            return Ok((Vec::new(), begun));
        }
        let mut content = Vec::new();
        // Where it is cut off, the reply says so.
        let _ = data.read_to_end(&mut content);
        Ok((content, self.try_reply()?))
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

    fn expect_code(self, code: u16) -> io::Result<()> {
        if self.code == code { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> io::Error {
        io::Error::other(format!("an unexpected reply: {self:?}"))
    }
}
