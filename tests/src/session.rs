//! One session of a client: the one place of the tests that speaks the protocol over sockets. A refusal and a lost
//! connection are results; what no server may do is a panic. [`Conversation`](crate::conversation::Conversation) is the
//! same for tests in which no connection may be lost.

use crate::dial::dial;
use crate::wait::WAIT_LIMIT;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How often a wait for a reply looks at whether the data connection is still there...
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// ...and how often it has to be found lost before no reply is expected any more.
const LOOKS: u32 = 3;
const ENDED: &str = "the control connection ended";
const DIGEST: UploadOptions = UploadOptions { digest: true, ..UploadOptions::NONE };

/// See the module's documentation.
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    server: SocketAddr,
    unread: Vec<u8>,
    /// The data connection, where there is one.
    pub data: Option<TcpStream>,
    /// The newest offer of a data connection.
    offer: Option<(u16, Vec<u8>)>,
    silence: Silence,
}

/// What it means that a server says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// After [`WAIT_LIMIT`], a failed test. Beside a data connection that was lost, that nothing will come.
    Fails,
    /// After this time, a result.
    EndsWithin(Duration),
}

/// What a server says behind `err`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Option<ErrorCode>,
    pub message: String,
}

/// Why a command did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server says so; the session goes on.
    Refused(Refusal),
    /// A connection ended. The session is of no more use.
    Lost(String),
    /// The server has said nothing for as long as the session waits.
    Silent,
}

pub type Attempt<T> = Result<T, Failure>;

/// Where the payload of a transfer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    Upload { offset: u64 },
    Download { length: u64 },
}

/// What a download brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    pub bytes: Vec<u8>,
    /// Of the whole file, whatever the offset.
    pub digest: Digest,
}

impl Failure {
    /// The code of a refusal; panics where the connection was lost.
    #[track_caller]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(Refusal { code: Some(code), .. }) => *code,
            Self::Refused(_) | Self::Lost(_) | Self::Silent => panic!("a known code: {self:?}"),
        }
    }

    fn lost(what: &str) -> Self {
        Self::Lost(what.to_owned())
    }
}

impl Session {
    /// A session in which a silent server is a failed test.
    pub fn with(server: SocketAddr) -> Attempt<Self> {
        Self::connect(server, WAIT_LIMIT, Silence::Fails)
    }

    /// A session in which every wait ends after `limit`.
    pub fn within(server: SocketAddr, limit: Duration) -> Attempt<Self> {
        Self::connect(server, limit, Silence::EndsWithin(limit))
    }

    fn connect(server: SocketAddr, limit: Duration, silence: Silence) -> Attempt<Self> {
        Ok(Self::over(dial(server, limit).map_err(|error| failure_of(&error))?, server, silence))
    }

    /// Over a connection that is there already, to this server.
    pub(crate) fn over_stream(stream: TcpStream, server: SocketAddr) -> Self {
        Self::over(stream, server, Silence::Fails)
    }

    fn over(stream: TcpStream, server: SocketAddr, silence: Silence) -> Self {
        stream.set_read_timeout(Some(LOOK_INTERVAL)).expect("a time limit");
        Self { stream, server, unread: Vec::new(), data: None, offer: None, silence }
    }

    /// The control connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Gives the lines before the last, and the words behind `ok`.
    pub fn ask(&mut self, command: &Command) -> Attempt<(Vec<Reply>, Vec<Vec<u8>>)> {
        self.send_line(&command.encode())?;
        let mut replies = Vec::new();
        loop {
            let reply = self.reply()?;
            if let Reply::Ok { words } = reply {
                return Ok((replies, words));
            }
            replies.push(reply);
        }
    }

    /// What the server has kept of an upload: its length and digest.
    pub fn partial(&mut self, name: &str) -> Attempt<(u64, Digest)> {
        let (replies, _) = self.ask(&Command::Partial { path: path(name) })?;
        let [Reply::Digest { length, digest }] = replies[..] else { panic!("no digest: {replies:?}") };
        Ok((length, digest))
    }

    /// Uploads a file, with the trailer that belongs to it where the options ask for one, and gives the digest
    /// that the server tells.
    pub fn upload(&mut self, name: &str, bytes: &[u8], options: UploadOptions) -> Attempt<Digest> {
        self.upload_with_trailer(name, bytes, options, Digest::of(bytes))
    }

    pub fn upload_with_trailer(
        &mut self,
        name: &str,
        bytes: &[u8],
        options: UploadOptions,
        trailer: Digest,
    ) -> Attempt<Digest> {
        let mut payload = bytes.to_vec();
        if options.digest {
            payload.extend_from_slice(format!("{trailer}\n").as_bytes());
        }
        let size = bytes.len() as u64;
        self.begin_upload(name, size, options)?;
        let eager = options.is_eager(size);
        if eager && self.data.is_some() {
            self.send_data(&payload);
        }
        let mut redialled = false;
        loop {
            match self.reply_beside_data() {
                Ok(Reply::Data { .. }) => {
                    self.dial()?;
                    if eager {
                        self.send_data(&payload);
                    }
                }
                Ok(Reply::Upload { offset }) => {
                    let offset = usize::try_from(offset).expect("a position in memory");
                    assert!(offset <= bytes.len(), "the server asks for bytes beyond the end");
                    self.send_data(&payload[offset..]);
                }
                Ok(Reply::Ok { words }) => {
                    assert_eq!(words[0], size.to_string().as_bytes());
                    return Ok(Digest::parse(&words[1]).expect("a digest behind the size"));
                }
                Ok(other) => panic!("not a reply to an upload: {other:?}"),
                Err(Failure::Lost(_)) if !redialled && self.may_redial() => {
                    redialled = true;
                    self.dial()?;
                    if eager {
                        self.send_data(&payload);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Announces an upload and sends nothing of it. Any reply is left unread.
    pub fn begin_upload(&mut self, name: &str, size: u64, options: UploadOptions) -> Attempt<()> {
        self.announce(&Command::Upload { path: path(name), size, options })
    }

    /// Asks for a transfer, and reads no reply.
    pub(crate) fn announce(&mut self, command: &Command) -> Attempt<()> {
        self.forget_lost_data();
        self.send_line(&command.encode())
    }

    /// Announces an upload and waits until its bytes may be sent, which is also when the server has looked at
    /// it. For sessions without a data connection.
    pub fn begin_first_upload(&mut self, name: &str, size: u64, options: UploadOptions) -> Attempt<()> {
        assert!(self.data.is_none(), "a session in which nothing was moved");
        self.begin_upload(name, size, options)?;
        let Reply::Data { .. } = self.reply()? else { panic!("no offer of a data connection") };
        self.dial()?;
        if !options.is_eager(size) {
            let Reply::Upload { .. } = self.reply()? else { panic!("no go-ahead") };
        }
        Ok(())
    }

    /// Reads the answer to an upload that was sent by hand, or was not whole.
    pub fn finish_upload(&mut self) -> Attempt<()> {
        let last = self.reply()?;
        assert!(matches!(last, Reply::Ok { .. }), "not the end of an upload: {last:?}");
        Ok(())
    }

    /// Downloads a file from an offset on. Bytes that are not those of the digest are a panic where the
    /// offset is 0.
    pub fn download(&mut self, name: &str, offset: u64) -> Attempt<Downloaded> {
        self.announce(&Command::Download { path: path(name), offset, digest: true })?;
        let Begun::Download { length } = self.begin_transfer(false)? else { panic!("not a download") };
        let bytes = self.read_data(length)?;
        let is_whole = bytes.len() as u64 == length;
        let last = self.reply_beside_data()?;
        let Reply::Ok { words } = last else { panic!("not the end of a download: {last:?}") };
        if !is_whole {
            return Err(Failure::lost("the data connection ended early"));
        }
        assert_eq!(words[0], length.to_string().as_bytes());
        let digest = Digest::parse(&words[1]).expect("a digest behind the length");
        assert!(offset > 0 || digest == Digest::of(&bytes), "bytes that do not match their digest");
        Ok(Downloaded { bytes, digest })
    }

    /// Reads the replies to a transfer up to the one at which its payload begins, and connects where that is asked for. The
    /// payload of an eager upload begins where there is a data connection.
    pub(crate) fn begin_transfer(&mut self, is_eager: bool) -> Attempt<Begun> {
        let mut redialled = false;
        while !is_eager || self.data.is_none() {
            match self.reply_beside_data() {
                Ok(Reply::Data { .. }) => self.dial()?,
                Ok(Reply::Upload { offset }) => return Ok(Begun::Upload { offset }),
                Ok(Reply::Download { length, .. }) => return Ok(Begun::Download { length }),
                Ok(other) => panic!("not a reply to a transfer: {other:?}"),
                Err(Failure::Lost(_)) if !redialled && self.may_redial() => {
                    redialled = true;
                    self.dial()?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Begun::Upload { offset: 0 })
    }

    /// Uploads the first bytes of a file, up to `end`, and then breaks off.
    pub fn upload_beginning(&mut self, name: &str, bytes: &[u8], end: usize) -> Attempt<()> {
        let size = bytes.len() as u64;
        self.begin_upload(name, size, DIGEST)?;
        self.begin_transfer(DIGEST.is_eager(size))?;
        self.send_data(&bytes[..end]);
        if let Some(data) = &self.data {
            let _ = data.shutdown(Shutdown::Write);
        }
        self.finish_upload()
    }

    /// Sends bytes on the data connection, as far as it takes them: what has become of them the server tells.
    pub fn send_data(&mut self, bytes: &[u8]) {
        if let Some(data) = &mut self.data
            && data.write_all(bytes).is_err()
        {
            self.data = None;
        }
    }

    /// Ends the data connection.
    pub fn close_data(&mut self) {
        self.data = None;
        self.offer = None;
    }

    /// Ends both connections as the crash of a host does.
    pub fn reset(self) {
        for stream in [Some(&self.stream), self.data.as_ref()].into_iter().flatten() {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a TCP connection");
        }
    }

    /// The next reply; one that refuses is a failure.
    pub fn reply(&mut self) -> Attempt<Reply> {
        self.next_reply(false)
    }

    /// As [`Session::reply`], but waits no longer than there is a data connection.
    fn reply_beside_data(&mut self) -> Attempt<Reply> {
        self.next_reply(true)
    }

    fn next_reply(&mut self, watch_data: bool) -> Attempt<Reply> {
        let reply = loop {
            let line = self.line(watch_data)?;
            let reply = Reply::parse(&line).unwrap_or_else(|error| panic!("{error}"));
            // How often that comes depends on the time that an upload takes.
            if !matches!(reply, Reply::Received { .. }) {
                break reply;
            }
        };
        if let Reply::Err { code, message } = reply {
            return Err(Failure::Refused(Refusal { code, message }));
        }
        if let Reply::Data { port, ticket } = &reply {
            self.offer = Some((*port, ticket.clone()));
        }
        Ok(reply)
    }

    fn line(&mut self, watch_data: bool) -> Attempt<Vec<u8>> {
        let deadline = Instant::now() + self.limit();
        let mut found_lost = 0;
        loop {
            match self.read_line()? {
                Some(line) => return Ok(line),
                None if Instant::now() < deadline => {}
                None if self.silence == Silence::Fails => panic!("no reply within {WAIT_LIMIT:?}"),
                // A server that has nothing to say may have closed the data connection, which says enough.
                None if watch_data && self.is_data_lost() => {
                    return Err(Failure::lost("the data connection ended"));
                }
                None => return Err(Failure::Silent),
            }
            if watch_data && self.silence == Silence::Fails {
                found_lost += u32::from(self.is_data_lost());
                if found_lost >= LOOKS {
                    return Err(Failure::lost("the data connection ended"));
                }
            }
        }
    }

    /// The next line without its ending; `None` where it does not come within [`LOOK_INTERVAL`].
    fn read_line(&mut self) -> Attempt<Option<Vec<u8>>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) if self.unread.is_empty() => return Err(Failure::lost(ENDED)),
                Ok(0) => return Err(Failure::lost("the control connection ended within a line")),
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Failure::lost(ENDED)),
                Err(error) => return Err(Failure::Lost(error.to_string())),
            }
        }
    }

    /// The next line as it is; `None` at the end of the connection.
    pub(crate) fn raw_line(&mut self) -> Attempt<Option<Vec<u8>>> {
        match self.line(false) {
            Ok(line) => Ok(Some(line)),
            Err(Failure::Lost(reason)) if reason == ENDED => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn send_line(&mut self, line: &[u8]) -> Attempt<()> {
        self.stream.write_all(line).map_err(|error| failure_of(&error))
    }

    /// Opens the data connection that was offered last.
    fn dial(&mut self) -> Attempt<()> {
        let (port, ticket) = self.offer.clone().expect("an offer of a data connection");
        let mut data =
            dial((self.server.ip(), port).into(), self.limit()).map_err(|error| failure_of(&error))?;
        // Where it is lost at once, the wait for the reply finds out.
        let _ = data.write_all(&[&ticket[..], b"\n"].concat());
        self.data = Some(data);
        Ok(())
    }

    /// As many bytes as come before the data connection ends.
    fn read_data(&mut self, length: u64) -> Attempt<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).expect("a file that fits in memory")];
        let mut filled = 0;
        let silence = self.silence;
        let Some(data) = &mut self.data else { return Ok(Vec::new()) };
        while filled < bytes.len() {
            match data.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    assert_ne!(silence, Silence::Fails, "no data within {WAIT_LIMIT:?}");
                    return Err(Failure::Silent);
                }
                Err(_) => break,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn forget_lost_data(&mut self) {
        if self.is_data_lost() {
            self.close_data();
        }
    }

    /// How long one wait lasts.
    fn limit(&self) -> Duration {
        match self.silence {
            Silence::Fails => WAIT_LIMIT,
            Silence::EndsWithin(limit) => limit,
        }
    }

    /// The ticket may not have come through.
    fn may_redial(&self) -> bool {
        self.silence == Silence::Fails && self.is_data_lost()
    }

    /// There was an offer of a data connection, and there is none, or one that has ended.
    fn is_data_lost(&self) -> bool {
        let Some(data) = &self.data else { return self.offer.is_some() };
        data.set_nonblocking(true).expect("an open socket");
        let seen = data.peek(&mut [0]);
        data.set_nonblocking(false).expect("an open socket");
        match seen {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal { message, .. }) => Self::other(message),
            Failure::Lost(reason) => Self::other(reason),
            Failure::Silent => ErrorKind::TimedOut.into(),
        }
    }
}

fn failure_of(error: &std::io::Error) -> Failure {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        Failure::Silent
    } else {
        Failure::Lost(error.to_string())
    }
}

/// A path as it is in commands.
#[track_caller]
pub fn path(name: &str) -> RemotePath {
    RemotePath::parse(name.as_bytes()).unwrap_or_else(|code| panic!("{name}: {code}"))
}
