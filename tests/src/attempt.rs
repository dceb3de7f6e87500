//! Transfers with a server that may die or fail at any moment: what became of each is a result, never a
//! panic. Their digests are checked at both ends, as the real client does.

use crate::content::Content;
use crate::dial::dial;
use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One session, in which every wait ends after `limit`.
#[derive(Debug)]
pub struct Attempt {
    control: BufReader<TcpStream>,
    server: SocketAddr,
    limit: Duration,
    data: Option<TcpStream>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// `ok`, and what arrived is right.
    Ok,
    /// `err`, with a code of the protocol.
    Refused(ErrorCode),
    /// A connection was closed or lost.
    Closed,
    /// Nothing came in time.
    Silent,
    /// The server said or sent what it must not.
    Wrong,
}

impl Attempt {
    pub fn with(server: SocketAddr, limit: Duration) -> io::Result<Self> {
        let control = dial(server, limit)?;
        Ok(Self { control: BufReader::new(control), server, limit, data: None })
    }

    /// Uploads all of a file, or what is missing behind its first `kept` bytes.
    pub fn upload(&mut self, name: &str, content: Content, kept: u64) -> Ended {
        let result = self.try_upload(name, content, kept, content.size_bytes);
        result.unwrap_or_else(|error| self.end_by(&error))
    }

    /// Uploads the first bytes of a file and then breaks off.
    pub fn upload_beginning(&mut self, name: &str, content: Content, end: u64) -> Ended {
        let result = self.try_upload(name, content, 0, end);
        result.unwrap_or_else(|error| self.end_by(&error))
    }

    /// Downloads a file, which must have this content.
    pub fn download(&mut self, name: &str, content: Content) -> Ended {
        let result = self.try_download(name, content);
        result.unwrap_or_else(|error| self.end_by(&error))
    }

    /// A server that has nothing to say may have closed the data connection, which says enough.
    fn end_by(&mut self, error: &io::Error) -> Ended {
        let ended = Ended::of(error);
        let data = self.data.as_mut().filter(|_| ended == Ended::Silent);
        match data.map(|data| data.read(&mut [0; 1])) {
            Some(Ok(0)) => Ended::Closed,
            Some(Err(error)) => Ended::of(&error),
            Some(Ok(_)) | None => ended,
        }
    }

    pub fn ls(&mut self) -> Ended {
        let mut ask = || {
            self.send(&Command::Ls { path: RemotePath::root() })?;
            loop {
                match self.reply()? {
                    Reply::Ok { .. } => return Ok(Ended::Ok),
                    Reply::Err { code, .. } => return Ok(Ended::refused(code)),
                    Reply::Entry(_) => {}
                    Reply::Data { .. }
                    | Reply::Download { .. }
                    | Reply::Upload { .. }
                    | Reply::Digest { .. }
                    | Reply::Info { .. } => return Ok(Ended::Wrong),
                }
            }
        };
        ask().unwrap_or_else(|error: io::Error| Ended::of(&error))
    }

    /// What the server has kept of an upload; `None` where that is nothing.
    pub fn kept(&mut self, name: &str) -> io::Result<Option<Resume>> {
        self.send(&Command::Partial { path: path(name) })?;
        let mut kept = None;
        loop {
            match self.reply()? {
                Reply::Digest { length, digest } => kept = Some(Resume { offset: length, digest }),
                Reply::Ok { .. } => return Ok(kept),
                Reply::Err { code: Some(ErrorCode::NoPartial), .. } => return Ok(None),
                other @ (Reply::Entry(_)
                | Reply::Data { .. }
                | Reply::Download { .. }
                | Reply::Upload { .. }
                | Reply::Info { .. }
                | Reply::Err { .. }) => return Err(io::Error::other(format!("{other:?}"))),
            }
        }
    }

    fn try_upload(&mut self, name: &str, content: Content, kept: u64, end: u64) -> io::Result<Ended> {
        let size = content.size_bytes;
        let bytes = content.bytes();
        let beginning = &bytes[..usize::try_from(kept).expect("a small file")];
        let resume = (kept > 0).then(|| Resume { offset: kept, digest: Digest::of(beginning) });
        let options = UploadOptions { digest: true, resume, ..UploadOptions::default() };
        self.send(&Command::Upload { path: path(name), size, options })?;
        loop {
            match self.reply()? {
                Reply::Data { port, ticket } => {
                    self.open_data(port, &ticket)?;
                    if size <= EAGER_MAX_BYTES {
                        self.send_bytes(&bytes, 0, end);
                    }
                }
                Reply::Upload { offset } => self.send_bytes(&bytes, offset, end),
                Reply::Ok { words } => {
                    let expected = [size.to_string(), Digest::of(&bytes).to_string()];
                    let is_right = words.iter().eq(expected.iter().map(String::as_bytes));
                    return Ok(if is_right { Ended::Ok } else { Ended::Wrong });
                }
                Reply::Err { code, .. } => return Ok(Ended::refused(code)),
                Reply::Entry(_) | Reply::Download { .. } | Reply::Digest { .. } | Reply::Info { .. } => {
                    return Ok(Ended::Wrong);
                }
            }
        }
    }

    /// Where it cannot be sent, the control connection tells why.
    fn send_bytes(&mut self, bytes: &[u8], start: u64, end: u64) {
        let Some(data) = &mut self.data else { return };
        let place = |offset| usize::try_from(offset).expect("a small file");
        let part = &bytes[place(start).min(place(end))..place(end)];
        let sent = if place(end) == bytes.len() {
            let trailer = format!("{}\n", Digest::of(bytes));
            data.write_all(part).and_then(|()| data.write_all(trailer.as_bytes()))
        } else {
            data.write_all(part).and_then(|()| data.shutdown(Shutdown::Write))
        };
        drop(sent);
    }

    fn try_download(&mut self, name: &str, content: Content) -> io::Result<Ended> {
        self.send(&Command::Download { path: path(name), offset: 0, digest: true })?;
        let expected = content.bytes();
        let mut arrived = None;
        loop {
            match self.reply()? {
                Reply::Data { port, ticket } => self.open_data(port, &ticket)?,
                Reply::Download { length, .. } => {
                    let mut bytes = vec![0; usize::try_from(length).expect("a small file")];
                    let data = self.data.as_mut().ok_or(ErrorKind::NotConnected)?;
                    arrived = match data.read_exact(&mut bytes) {
                        Ok(()) => Some(bytes),
                        // The control connection tells why.
                        Err(error) if error.kind() != ErrorKind::WouldBlock => None,
                        Err(error) => return Err(error),
                    };
                }
                Reply::Ok { words } => {
                    let told = [expected.len().to_string(), Digest::of(&expected).to_string()];
                    return Ok(match arrived {
                        None => Ended::Closed,
                        Some(bytes)
                            if bytes == expected && words.iter().eq(told.map(String::into_bytes).iter()) =>
                        {
                            Ended::Ok
                        }
                        Some(_) => Ended::Wrong,
                    });
                }
                Reply::Err { code, .. } => return Ok(Ended::refused(code)),
                Reply::Entry(_) | Reply::Upload { .. } | Reply::Digest { .. } | Reply::Info { .. } => {
                    return Ok(Ended::Wrong);
                }
            }
        }
    }

    fn open_data(&mut self, port: u16, ticket: &[u8]) -> io::Result<()> {
        let mut data = dial((self.server.ip(), port).into(), self.limit)?;
        data.write_all(&[ticket, b"\n"].concat())?;
        self.data = Some(data);
        Ok(())
    }

    fn send(&mut self, command: &Command) -> io::Result<()> {
        self.control.get_mut().write_all(&command.encode())
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = Vec::new();
        self.control.read_until(b'\n', &mut line)?;
        let line = line.strip_suffix(b"\n").ok_or(ErrorKind::UnexpectedEof)?;
        Reply::parse(line).map_err(io::Error::other)
    }
}

impl Ended {
    fn refused(code: Option<ErrorCode>) -> Self {
        code.map_or(Self::Wrong, Self::Refused)
    }

    /// Of an attempt that could not even begin, or that an error ended.
    pub fn of(error: &io::Error) -> Self {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            Self::Silent
        } else if error.kind() == ErrorKind::Other {
            Self::Wrong
        } else {
            Self::Closed
        }
    }
}

fn path(name: &str) -> RemotePath {
    RemotePath::parse(name.as_bytes()).expect("a name of the test")
}
