//! The good client: one that does one thing after the other, as a person does, and reads all that it is sent.

use super::measure::{Client, Measure};
use super::plan::LARGE_BYTES;
use crate::session::{Session, path};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, UploadOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
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

impl Good {
    /// Connects, and puts the file in place that it downloads.
    pub(super) fn new(server: SocketAddr) -> io::Result<Self> {
        let mut good = Self { server, session: None, scratch: vec![0; 256 * 1024] };
        upload(good.session()?, "good-large", LARGE_BYTES as usize)?;
        Ok(good)
    }

    /// Where the server accepts data connections.
    pub(super) fn data_address(&self) -> io::Result<SocketAddr> {
        let data = self.session.as_ref().and_then(|session| session.data.as_ref());
        data.ok_or(io::ErrorKind::NotConnected)?.peer_addr()
    }

    fn session(&mut self) -> io::Result<&mut Session> {
        if self.session.is_none() {
            self.session = Some(connect(self.server)?);
        }
        self.session.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn ls(&mut self) -> io::Result<()> {
        self.session()?.ask(&Command::Ls { path: RemotePath::root() })?;
        Ok(())
    }

    fn stat_on_new_session(&mut self) -> io::Result<()> {
        let mut session = connect(self.server)?;
        session.ask(&Command::Stat { path: RemotePath::root() })?;
        session.ask(&Command::Exit)?;
        Ok(())
    }

    fn download(&mut self) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.session().and_then(|session| download(session, &mut scratch));
        self.scratch = scratch;
        result
    }

    fn upload_on_new_session(&mut self) -> io::Result<()> {
        upload(&mut connect(self.server)?, "good-upload", UPLOAD_BYTES)
    }
}

fn connect(server: SocketAddr) -> io::Result<Session> {
    Ok(Session::within(server, LIMIT)?)
}

fn download(session: &mut Session, scratch: &mut [u8]) -> io::Result<()> {
    session.announce(&Command::Download { path: path("good-large"), offset: 0, digest: false })?;
    session.begin_transfer(false)?;
    let data = session.data.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    let mut left = LARGE_BYTES as usize;
    while left > 0 {
        let most = left.min(scratch.len());
        match data.read(&mut scratch[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= count,
        }
    }
    session.reply()?;
    Ok(())
}

fn upload(session: &mut Session, name: &str, bytes: usize) -> io::Result<()> {
    let content = vec![b'g'; bytes];
    session.begin_upload(name, bytes as u64, UploadOptions::default())?;
    session.begin_transfer(false)?;
    session.data.as_mut().ok_or(io::ErrorKind::NotConnected)?.write_all(&content)?;
    session.reply()?;
    Ok(())
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
