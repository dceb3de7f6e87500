//! The bytes of one upload on their way: within the kernel where no digest is wanted, else through
//! the hasher. Never sends the digest of a file that changed meanwhile.

use crate::failure::{Failure, show_path};
use crate::limits::{HASH_BUFFER_BYTES, RECEIVE_BUFFER_BYTES, SEND_STEP_BYTES};
use crate::session::link::{Broken, Handler};
use crate::terminal::progress::Meter;
use crate::terminal::screen;
use crate::transfer::source::Source;
use ferry_common::wire::digest::{Digest, Hasher};
use rustix::io::Errno;
use socket2::Socket;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// See the module's documentation.
pub(crate) struct Sending<'a> {
    source: &'a Source,
    path: &'a Path,
    /// Of the bytes that the server has already.
    beginning: Hasher,
    sent: Sent,
}

/// How far it came.
pub(crate) struct Sent {
    pub(crate) has_begun: bool,
    /// Everything is on its way.
    pub(crate) is_complete: bool,
    pub(crate) reached_bytes: u64,
    /// Of the whole file, where it went behind the bytes.
    pub(crate) digest: Option<Digest>,
    /// Where it is complete.
    pub(crate) meter: Option<Meter>,
}

impl<'a> Sending<'a> {
    /// `has_begun` tells that the user knows about the upload already.
    pub(crate) fn new(source: &'a Source, path: &'a Path, beginning: Hasher, has_begun: bool) -> Self {
        let sent = Sent { has_begun, is_complete: false, reached_bytes: 0, digest: None, meter: None };
        Self { source, path, beginning, sent }
    }

    pub(crate) fn end(self) -> Sent {
        self.sent
    }
}

impl Handler for Sending<'_> {
    fn transmit(&mut self, data: &Socket, offset: u64, length: u64, trailer: bool) -> Result<(), Broken> {
        if !std::mem::replace(&mut self.sent.has_begun, true) {
            screen::message("FTP connection established commencing upload");
        }
        let mut meter = Meter::new(self.source.size);
        meter.rewind(offset);
        let end = offset.saturating_add(length);
        if trailer {
            let digest = self.send_hashed(data, offset, end, &mut meter)?;
            self.source.check_unchanged(self.path).map_err(Broken::Local)?;
            (&*data).write_all(format!("{digest}\n").as_bytes()).map_err(Broken::Data)?;
            self.sent.digest = Some(digest);
        } else if length > 0 {
            // Nothing becomes of an upload whose last byte does not come.
            self.send(data, offset, end - 1, &mut meter)?;
            self.source.check_unchanged(self.path).map_err(Broken::Local)?;
            self.send(data, end - 1, end, &mut meter)?;
        }
        self.sent.is_complete = true;
        self.sent.meter = Some(meter);
        Ok(())
    }
}

impl Sending<'_> {
    /// Sends the very bytes that it hashes, so that the digest is of nothing else.
    fn send_hashed(
        &mut self,
        mut data: &Socket,
        offset: u64,
        end: u64,
        meter: &mut Meter,
    ) -> Result<Digest, Broken> {
        let mut hasher = self.beginning.clone();
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let mut buffer = vec![0; most.min(HASH_BUFFER_BYTES)];
        let mut at = offset;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.read_some(&mut buffer[..wanted], at)?;
            hasher.update(&buffer[..read]);
            data.write_all(&buffer[..read]).map_err(Broken::Data)?;
            at = self.note(at, read as u64, meter);
        }
        Ok(hasher.digest())
    }

    fn send(&mut self, data: &Socket, offset: u64, end: u64, meter: &mut Meter) -> Result<(), Broken> {
        let mut at = offset;
        while at < end {
            let moved = self.send_some(data, at, (end - at).min(SEND_STEP_BYTES))?;
            at = self.note(at, moved, meter);
        }
        Ok(())
    }

    fn note(&mut self, at: u64, moved: u64, meter: &mut Meter) -> u64 {
        meter.advance(moved);
        let at = at + moved;
        self.sent.reached_bytes = self.sent.reached_bytes.max(at);
        at
    }

    /// Moves at most `most` bytes inside the kernel and tells how many it were.
    fn send_some(&self, data: &Socket, offset: u64, most: u64) -> Result<u64, Broken> {
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let mut position = offset;
        match rustix::fs::sendfile(data, &self.source.file, Some(&mut position), count) {
            Ok(0) => Err(Broken::Local(self.shrank(offset))),
            Ok(moved) => Ok(moved as u64),
            Err(Errno::INTR) => Ok(0),
            // Some file systems have no way into the kernel's pipes.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.copy_some(data, offset, count),
            Err(error @ Errno::IO) => Err(Broken::Local(self.unreadable(&error.into()))),
            Err(error) => Err(Broken::Data(error.into())),
        }
    }

    fn copy_some(&self, mut data: &Socket, offset: u64, most: usize) -> Result<u64, Broken> {
        let mut buffer = vec![0; most.min(RECEIVE_BUFFER_BYTES)];
        let read = self.read_some(&mut buffer, offset)?;
        data.write_all(&buffer[..read]).map(|()| read as u64).map_err(Broken::Data)
    }

    fn read_some(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Broken> {
        loop {
            match self.source.file.read_at(buffer, offset) {
                Ok(0) => return Err(Broken::Local(self.shrank(offset))),
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Local(self.unreadable(&error))),
            }
        }
    }

    fn shrank(&self, size: u64) -> Failure {
        let path = show_path(self.path);
        Failure::LocalChanged(format!("{path} shrank to {size} bytes while it was being sent"))
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::local("read", self.path, error)
    }
}
