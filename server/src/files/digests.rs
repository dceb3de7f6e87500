//! Digests: those that go with downloads, those that clients ask for, and those that tell whether an upload can be resumed.

use super::Files;
use crate::asker::Asker;
use crate::disk::{Digested, Job};
use crate::seat::{Resource, Seat};
use crate::store::digest_cache::{FileIdentity, Wanted};
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use ferry_common::error::ErrorCode;
use ferry_session::fact::Fact;
use std::slice;
use std::sync::Arc;

/// What a session is to be told of the digest that it waits for. Very many may wait for that of one file, so each is told
/// in its turn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DigestNews {
    Progress,
    Ended(Digested),
}

impl Files {
    /// Gives the file that is to be sent up to `end`, and begins to compute its digest beside that.
    pub(crate) fn begin_send(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        end: u64,
        digest: bool,
    ) -> Option<(Arc<HeldFile>, FileIdentity)> {
        let (file, identity) = seat.source()?;
        let (file, identity) = (Arc::clone(file), identity?);
        if digest {
            seat.await_download_digest();
            // What is known already is kept for the end of the download.
            let fact = self.want_digest(asker, seat, &file, end, identity);
            debug_assert!(fact.is_none(), "nothing is sent yet");
        }
        Some((file, identity))
    }

    /// The file is open whose digest the client asks for.
    pub(crate) fn begin_sum(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        opened: Result<(HeldFile, u64), ErrorCode>,
    ) -> Option<Fact<'static>> {
        match opened {
            Ok((file, length)) => {
                let file = Arc::new(file);
                let identity = match file.medium() {
                    Medium::Memory | Medium::Local => FileIdentity::of(file.file()).ok(),
                    Medium::Foreign => None,
                };
                let reading = identity.map(|identity| self.readers.begin(identity.file_key()));
                self.disk.digest_file(asker, &file, length, None, reading);
                seat.await_sum(file);
                None
            }
            Err(code) => Some(Fact::Found(Err(code))),
        }
    }

    /// A run has ended: all that wait for it are to be told.
    pub(crate) fn handle_digested(&mut self, asker: Asker, digested: Digested) {
        let waiting = match digested.identity {
            Some(identity) => {
                self.digests.finish(identity, digested.result.ok().filter(|_| digested.is_lasting))
            }
            None => vec![asker],
        };
        self.digest_news.extend(waiting.into_iter().map(|waiter| (waiter, DigestNews::Ended(digested))));
    }

    pub(crate) fn handle_digest_progress(&mut self, asker: Asker, identity: Option<&FileIdentity>) {
        let waiting = identity.map_or(slice::from_ref(&asker), |identity| self.digests.waiting(identity));
        self.digest_news.extend(waiting.iter().map(|waiter| (*waiter, DigestNews::Progress)));
    }

    /// The next session to be told by [`Files::tell_digest`], if it is still there.
    pub(crate) fn next_digest_news(&mut self) -> Option<(Asker, DigestNews)> {
        self.digest_news.pop_front()
    }

    pub(crate) fn tell_digest(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        news: DigestNews,
    ) -> Option<Fact<'static>> {
        match news {
            DigestNews::Progress => Some(Fact::DiskProgress),
            DigestNews::Ended(Digested {
                identity: Some(identity),
                length,
                result: Err(ErrorCode::BrokenOff),
                ..
            }) => {
                // The session that began the run is gone, and its file with it; the others go on with their own.
                let file = Arc::clone(seat.source()?.0);
                self.want_digest(asker, seat, &file, length, identity)
            }
            DigestNews::Ended(Digested { length, result, .. }) => {
                let (fact, unwanted) = seat.handle_digest(length, result);
                self.note_taken(asker.session, &unwanted);
                if let Resource::Staged { file: staged, .. } = unwanted {
                    self.disk.submit(asker, Job::Discard { staged });
                }
                fact
            }
        }
    }

    fn want_digest(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        file: &Arc<HeldFile>,
        size: u64,
        identity: FileIdentity,
    ) -> Option<Fact<'static>> {
        match self.digests.want(identity, asker) {
            Wanted::Known(digest) => seat.handle_digest(size, Ok(digest)).0,
            Wanted::Joined => None,
            Wanted::Begin => {
                let reading = self.readers.begin(identity.file_key());
                self.disk.digest_file(asker, file, size, Some(identity), Some(reading));
                None
            }
        }
    }
}
