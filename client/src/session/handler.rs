//! What a command does with what comes of it, and the bridge from there to the engine. The engine asks for bytes and gives
//! bytes; why a command could not go on is kept here, and outranks what the server says then.

use crate::engine::{Announcement, Payloads, Stop};
use crate::failure::Failure;
use crate::terminal::screen;
use ferry_common::dialogue::RequestId;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::session_entry::{SessionEntry, SessionTotals};
use std::time::Instant;

/// See the module's documentation. After an error nothing more is asked of it.
pub(crate) trait Handler {
    /// One line of a listing or the answer to `stat`. An error gives the whole session up: there is no
    /// way to stop a listing but that.
    fn entry(&mut self, _entry: Entry) -> Result<(), Failure> {
        Ok(())
    }

    /// The answer to `sum` or `partial`: so many bytes have this digest.
    fn digest(&mut self, _length: u64, _digest: Digest) {}

    /// The answer to `df`.
    fn space(&mut self, _free_bytes: u64, _total_bytes: u64) {}

    /// One session of those that `who` tells of. An error gives the whole session up.
    fn session(&mut self, _entry: &SessionEntry) -> Result<(), Failure> {
        Ok(())
    }

    /// What `who` tells of all sessions together.
    fn totals(&mut self, _totals: SessionTotals) {}

    /// The bytes of a file follow.
    fn announce(&mut self, _announced: Announcement) -> Result<(), Failure> {
        Err(unasked())
    }

    /// The next bytes of that file.
    fn take(&mut self, _bytes: &[u8]) -> Result<(), Failure> {
        Err(unasked())
    }

    /// The file is to be sent from this byte on; after a lost data connection again.
    fn begin(&mut self, _offset: u64) -> Result<(), Failure> {
        Err(unasked())
    }

    /// Makes at least one of the bytes from `offset` on, and tells how many.
    fn fill(&mut self, _offset: u64, _into: &mut [u8]) -> Result<usize, Failure> {
        Err(unasked())
    }

    /// The server tells that it has so many bytes of the file.
    fn received(&mut self, _bytes: u64) {}

    /// The digest of the whole file, all of which was made.
    fn trailer(&mut self) -> Result<Digest, Failure> {
        Err(unasked())
    }

    /// A chance to show how far it has come: so many of the bytes that were made are not handed to the network yet. Tells
    /// by when to call again, where that is due.
    fn pulse(&mut self, _unsent_bytes: u64) -> Option<Instant> {
        None
    }

    /// Says something to a person who waits, beside what else is on the screen.
    fn tell(&mut self, text: &str) {
        screen::notice(text);
    }
}

/// For commands whose answer is their result.
pub(crate) struct Ignore;

impl Handler for Ignore {}

/// The engine asks for payload only where a command is a transfer.
fn unasked() -> Failure {
    Failure::Violation("The server moves a file that nobody has asked for".to_owned())
}

/// See the module's documentation.
pub(crate) struct Bridge<'a> {
    pub(crate) handler: &'a mut dyn Handler,
    /// Why this end has broken the transfer off.
    pub(crate) stopped: Option<Failure>,
    /// Something came that only an answer to this command can be.
    pub(crate) is_answered: bool,
}

impl<'a> Bridge<'a> {
    pub(crate) fn new(handler: &'a mut dyn Handler) -> Self {
        Self { handler, stopped: None, is_answered: false }
    }

    /// The first reason stays.
    pub(crate) fn stop(&mut self, failure: Failure) {
        self.stopped.get_or_insert(failure);
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut dyn Handler) -> Result<T, Failure>) -> Result<T, Stop> {
        if self.stopped.is_some() {
            return Err(Stop);
        }
        ask(self.handler).map_err(|failure| {
            self.stop(failure);
            Stop
        })
    }
}

/// One command runs at a time, so whose bytes they are needs no look.
impl Payloads for Bridge<'_> {
    fn announce(&mut self, _: RequestId, announced: Announcement) -> Result<(), Stop> {
        self.is_answered = true;
        self.ask(|handler| handler.announce(announced))
    }

    fn take(&mut self, _: RequestId, _: u64, bytes: &[u8]) -> Result<(), Stop> {
        self.ask(|handler| handler.take(bytes))
    }

    fn begin(&mut self, _: RequestId, offset: u64) -> Result<(), Stop> {
        self.ask(|handler| handler.begin(offset))
    }

    fn fill(&mut self, _: RequestId, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        self.ask(|handler| handler.fill(offset, into))
    }

    fn trailer(&mut self, _: RequestId) -> Result<Digest, Stop> {
        self.ask(|handler| handler.trailer())
    }
}
