//! The bytes of one upload on their way. Hashes the very bytes that it gives, so that the digest is of nothing else, and never
//! completes a file that changed meanwhile.

use crate::failure::Failure;
use crate::session::link::Handler;
use crate::terminal::meter::Meter;
use crate::terminal::screen;
use crate::transfer::source::Source;
use ferry_common::wire::command::UploadOptions;
use ferry_common::wire::digest::{Digest, Hasher};
use ferry_common::wire::words;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// See the module's documentation.
pub(crate) struct Sending<'a> {
    source: &'a Source,
    path: &'a Path,
    /// Of the bytes that the server has already.
    beginning: Hasher,
    /// Of all bytes up to `filled_bytes`, where the digest is wanted.
    hasher: Hasher,
    sends_digest: bool,
    /// So many bytes of the file were given to the engine.
    filled_bytes: u64,
    /// All that the server is to get was.
    is_filled: bool,
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
    /// Once it has begun.
    pub(crate) meter: Option<Meter>,
}

impl<'a> Sending<'a> {
    /// `has_begun` tells that the user knows about the upload already.
    pub(crate) fn new(
        source: &'a Source,
        path: &'a Path,
        beginning: Hasher,
        options: &UploadOptions,
        has_begun: bool,
    ) -> Self {
        let sent = Sent { has_begun, is_complete: false, reached_bytes: 0, digest: None, meter: None };
        let (hasher, sends_digest) = (Hasher::default(), options.digest);
        Self { source, path, beginning, hasher, sends_digest, filled_bytes: 0, is_filled: false, sent }
    }

    pub(crate) fn end(self) -> Sent {
        self.sent
    }

    /// Nothing becomes of an upload whose end does not come: the digest, or else the last byte, is held back until the file
    /// is known to be unchanged.
    fn allowed(&self, offset: u64, most: usize) -> Result<usize, Failure> {
        let before_last = self.source.size.saturating_sub(1).saturating_sub(offset);
        if self.sends_digest {
            return Ok(most);
        }
        if before_last == 0 {
            self.source.check_unchanged(self.path)?;
            return Ok(most);
        }
        Ok(usize::try_from(before_last).unwrap_or(usize::MAX).min(most))
    }

    fn read_some(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Failure> {
        loop {
            match self.source.file.read_at(buffer, offset) {
                Ok(0) => return Err(self.source.shrank(self.path)),
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::local("read", self.path, &error)),
            }
        }
    }
}

impl Handler for Sending<'_> {
    fn begin(&mut self, offset: u64) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.sent.has_begun, true) {
            screen::step("FTP connection established commencing upload");
        }
        self.hasher = self.beginning.clone();
        self.filled_bytes = offset;
        self.is_filled = offset == self.source.size && !self.sends_digest;
        let name = words::escape_text(self.path.file_name().unwrap_or_default().as_bytes());
        self.sent.meter = Some(Meter::new(name, self.source.size, offset));
        Ok(())
    }

    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Failure> {
        let most = self.allowed(offset, into.len())?;
        let read = self.read_some(&mut into[..most], offset)?;
        if self.sends_digest {
            self.hasher.update(&into[..read]);
        }
        self.filled_bytes = offset + read as u64;
        self.is_filled = self.filled_bytes == self.source.size && !self.sends_digest;
        Ok(read)
    }

    fn trailer(&mut self) -> Result<Digest, Failure> {
        self.source.check_unchanged(self.path)?;
        let digest = self.hasher.digest();
        self.sent.digest = Some(digest);
        self.is_filled = true;
        Ok(digest)
    }

    /// No more than what this end has handed over can be there.
    fn received(&mut self, bytes: u64) {
        if let Some(meter) = &mut self.sent.meter {
            meter.reach(bytes.min(self.sent.reached_bytes));
        }
    }

    /// What the kernel has taken is on its way, which is all that can be told of how far the upload would get.
    fn pulse(&mut self, unsent_bytes: u64) -> Option<Instant> {
        let meter = self.sent.meter.as_mut()?;
        let handed_over = self.filled_bytes.saturating_sub(unsent_bytes);
        self.sent.reached_bytes = self.sent.reached_bytes.max(handed_over);
        self.sent.is_complete |= self.is_filled && unsent_bytes == 0;
        meter.pulse()
    }
}
