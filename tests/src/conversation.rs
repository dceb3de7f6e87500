//! A session as a person with `nc` has it: lines out, lines in. That a connection is lost, or that the server is silent,
//! is a failed test; `transfer` moves files over it.

use crate::dial::{bound, dial};
use crate::server::Server;
use crate::session::{Attempt, Failure, Refusal, Session};
use crate::wait::WAIT_LIMIT;
use ferry_common::error::ErrorCode;
use ferry_common::wire::reply::Reply;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Conversation {
    session: Session,
}

/// What a server answers to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The lines before the last.
    pub replies: Vec<Reply>,
    /// The last line: the words after `ok`, or the code and the message after `err`.
    pub outcome: Result<Vec<String>, Refusal>,
}

impl Conversation {
    #[track_caller]
    pub fn with(server: &Server) -> Self {
        Self::over(connect(server.control_address()), server)
    }

    /// From 127.0.0.`host`: another peer, as far as its address tells.
    #[track_caller]
    pub fn from_host(host: u8, server: &Server) -> Self {
        Self::over(connect_from(host, server.control_address()), server)
    }

    fn over(stream: TcpStream, server: &Server) -> Self {
        Self { session: Session::over_stream(stream, server.control_address()) }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.session.send_raw(bytes.as_ref()).expect("the server takes what is sent");
    }

    /// Sends bytes that the server may no longer take.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.session.send_raw(bytes.as_ref())
    }

    /// Ends this end's half of the connection.
    #[track_caller]
    pub fn end_input(&mut self) {
        self.stream().shutdown(std::net::Shutdown::Write).expect("an open connection");
    }

    /// Ends all connections as the crash of a host does: the other end is told nothing but that.
    pub fn reset(self) {
        self.session.reset();
    }

    /// The next line without its ending; `None` at the end of the stream.
    #[track_caller]
    pub fn line(&mut self) -> Option<Vec<u8>> {
        self.session.raw_line().unwrap_or_else(|failure| panic!("no reply: {failure:?}"))
    }

    /// The next line, understood.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        loop {
            let line = self.line().expect("a reply before the end of the stream");
            let reply = Reply::parse(&line).unwrap_or_else(|error| panic!("{error}"));
            // How often that comes depends on the time that an upload takes.
            if !matches!(reply, Reply::Received { .. }) {
                return reply;
            }
        }
    }

    /// The lines up to and with the one that ends a command.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut replies = Vec::new();
        loop {
            let outcome = match self.reply() {
                Reply::Ok { words } => Ok(words.iter().map(|word| lossy(word)).collect()),
                Reply::Err { code, message } => Err(Refusal { code, message }),
                reply @ (Reply::Entry(_)
                | Reply::Data { .. }
                | Reply::Download { .. }
                | Reply::Upload { .. }
                | Reply::Received { .. }
                | Reply::Digest { .. }
                | Reply::Space { .. }
                | Reply::Session(_)
                | Reply::Totals(_)
                | Reply::Info { .. }) => {
                    replies.push(reply);
                    continue;
                }
            };
            return Answer { replies, outcome };
        }
    }

    /// Sends a line and gives the answer to it.
    #[track_caller]
    pub fn ask(&mut self, line: impl AsRef<[u8]>) -> Answer {
        self.send([line.as_ref(), b"\n"].concat());
        self.answer()
    }

    /// The server says no more and has closed the connection.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.line().map(|line| lossy(&line)), None);
    }

    /// Opens the data connection of a `(data)` line.
    #[track_caller]
    pub fn open_data(&mut self, port: u16, ticket: &[u8]) -> &mut TcpStream {
        let mut data = connect((self.stream().peer_addr().expect("a connection").ip(), port).into());
        data.write_all(&[ticket, b"\n"].concat()).expect("the server takes the ticket");
        self.data.insert(data)
    }

    /// What came of something: a refusal is a result, and a lost connection a failed test.
    #[track_caller]
    pub(crate) fn refusal_or<T>(attempt: Attempt<T>) -> Result<T, Refusal> {
        match attempt {
            Ok(result) => Ok(result),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(failure @ (Failure::Lost(_) | Failure::Silent)) => panic!("{failure:?}"),
        }
    }
}

impl Deref for Conversation {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Conversation {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Answer {
    /// The code of a refusal; panics where the command succeeded.
    #[track_caller]
    pub fn code(&self) -> ErrorCode {
        let refusal = self.outcome.as_ref().expect_err("a refusal");
        refusal.code.unwrap_or_else(|| panic!("a known code: {refusal:?}"))
    }

    /// The names of the entries, sorted.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self
            .replies
            .iter()
            .filter_map(|reply| if let Reply::Entry(entry) = reply { Some(entry.name.clone()) } else { None })
            .collect();
        names.sort();
        names
    }
}

/// A connection whose reads and writes end after [`WAIT_LIMIT`].
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    dial(address, WAIT_LIMIT).expect("the server listens")
}

/// As [`connect`], from 127.0.0.`host`.
#[track_caller]
pub fn connect_from(host: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).expect("an address of this machine");
    socket.connect(&address.into()).expect("the server listens");
    let stream = socket.into();
    bound(&stream, WAIT_LIMIT).expect("a TCP connection");
    stream
}

/// Reads to the end of the stream; a reset counts as its end. Panics when neither comes.
#[track_caller]
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(error) => panic!("the connection is not closed: {error}"),
    }
    bytes
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
