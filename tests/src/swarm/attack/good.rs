//! The good client: one that does one thing after the other, as a person does, and reads all that it is sent.

use super::measure::{Client, Measure};
use super::plan::LARGE_BYTES;
use crate::dial::dial;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What takes longer has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
pub(super) const UPLOAD_BYTES: usize = 5_000_000;

#[derive(Debug)]
pub(super) struct Good {
    server: SocketAddr,
    session: Option<Session>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Session {
    control: BufReader<TcpStream>,
    data: Option<TcpStream>,
    data_port: u16,
}

impl Good {
    /// Connects, and puts the file in place that it downloads.
    pub(super) fn new(server: SocketAddr) -> io::Result<Self> {
        let mut good = Self { server, session: None, scratch: vec![0; 256 * 1024] };
        good.session()?.upload("good-large", LARGE_BYTES as usize, server)?;
        Ok(good)
    }

    /// Where the server accepts data connections.
    pub(super) fn data_address(&self) -> SocketAddr {
        let port = self.session.as_ref().map_or(0, |session| session.data_port);
        SocketAddr::new(self.server.ip(), port)
    }

    fn session(&mut self) -> io::Result<&mut Session> {
        if self.session.is_none() {
            self.session = Some(Session::connect(self.server)?);
        }
        self.session.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn ls(&mut self) -> io::Result<()> {
        let session = self.session()?;
        session.send("ls\n")?;
        session.answer("").map(drop)
    }

    fn stat_on_new_session(&mut self) -> io::Result<()> {
        let mut session = Session::connect(self.server)?;
        session.send("stat .\nexit\n")?;
        session.answer("")?;
        session.answer("").map(drop)
    }

    fn download(&mut self) -> io::Result<()> {
        let server = self.server;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut download = || {
            let session = self.session()?;
            session.send("download good-large\n")?;
            session.attach_until("(download)", server)?;
            let data = session.data.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let mut left = LARGE_BYTES as usize;
            while left > 0 {
                let most = left.min(scratch.len());
                match data.read(&mut scratch[..most])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => left -= count,
                }
            }
            session.answer("").map(drop)
        };
        let result = download();
        self.scratch = scratch;
        result
    }

    fn upload_on_new_session(&mut self) -> io::Result<()> {
        let mut session = Session::connect(self.server)?;
        session.upload("good-upload", UPLOAD_BYTES, self.server)
    }
}

impl Client for Good {
    fn perform(&mut self, measure: Measure) -> io::Result<()> {
        let result = match measure {
            Measure::Ls => self.ls(),
            Measure::Connect => return self.stat_on_new_session(),
            Measure::Download => self.download(),
            Measure::Upload => return self.upload_on_new_session(),
        };
        if result.is_err() {
            self.session = None;
        }
        result
    }
}

impl Session {
    fn connect(server: SocketAddr) -> io::Result<Self> {
        Ok(Self { control: BufReader::new(dial(server, LIMIT)?), data: None, data_port: 0 })
    }

    fn upload(&mut self, name: &str, bytes: usize, server: SocketAddr) -> io::Result<()> {
        let content = vec![b'g'; bytes];
        self.send(&format!("upload {name} {bytes}\n"))?;
        self.attach_until("(upload)", server)?;
        self.data.as_mut().ok_or(io::ErrorKind::NotConnected)?.write_all(&content)?;
        self.answer("").map(drop)
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        self.control.get_mut().write_all(line.as_bytes())
    }

    /// Reads to the last line of an answer, or to one that begins with `stop`, where that is not empty.
    fn answer(&mut self, stop: &str) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.control.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the server has closed the session"));
            }
            if line.starts_with("err ") {
                return Err(io::Error::other(line.trim_end().to_owned()));
            }
            if line.starts_with("ok")
                || line.starts_with("(data) ")
                || !stop.is_empty() && line.starts_with(stop)
            {
                return Ok(line);
            }
        }
    }

    /// Reads to the line `stop`, and opens a data connection on the way where the server offers one.
    fn attach_until(&mut self, stop: &str, server: SocketAddr) -> io::Result<()> {
        loop {
            let line = self.answer(stop)?;
            let Some(offer) = line.strip_prefix("(data) ") else {
                let is_expected = line.starts_with(stop);
                return if is_expected { Ok(()) } else { Err(io::Error::other(line.trim_end().to_owned())) };
            };
            let (port, ticket) = offer.trim_end().split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
            self.data_port = port.parse().map_err(io::Error::other)?;
            let mut data = dial(SocketAddr::new(server.ip(), self.data_port), LIMIT)?;
            data.write_all(format!("{ticket}\n").as_bytes())?;
            self.data = Some(data);
        }
    }
}
