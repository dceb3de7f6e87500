//! The reactor's work for digests: those that go with downloads, those that clients ask for, and those that
//! tell whether an upload can be resumed.

use super::Reactor;
use crate::asker::Asker;
use crate::connection::control::{Resource, Sought};
use crate::disk::{Digested, Job};
use crate::limits::TURN_STEP_TIME;
use crate::net::slots::Key;
use crate::store::digest_cache::{FileIdentity, Wanted};
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::Resume;
use ferry_common::wire::digest::Digest;
use ferry_session::action::Found;
use ferry_session::fact::Fact;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a session is to be told of the digest that it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum DigestNews {
    Progress,
    Ended(Digested),
}

impl Reactor {
    /// Begins to send a file, and to compute its digest beside that.
    pub(super) fn send(&mut self, key: Key, offset: u64, length: u64, digest: bool) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let Resource::Source { file, identity: Some(identity) } = &control.resource else { return };
        let (file, identity) = (Arc::clone(file), *identity);
        if digest {
            control.sought = Sought::Download { found: None, is_due: false };
            let asker = control.asker(key);
            self.want_digest(asker, &file, offset + length, identity);
        }
        if length > 0 {
            self.with_data(key, |data| data.send(file, identity, offset, length));
        }
    }

    /// Everything is sent: sees whether the file is still what it was, and waits for its digest.
    pub(super) fn check(&mut self, key: Key, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let Resource::Source { file, .. } = &control.resource else { return };
        match file.medium() {
            Medium::Foreign => {
                let job = Job::Inspect { file: Arc::clone(file) };
                self.disk.submit(control.asker(key), job);
            }
            Medium::Memory | Medium::Local => {
                let state = FileIdentity::of(file.file());
                self.conclude_check(key, state, now);
            }
        }
    }

    /// The state of a file that was sent. Where a digest goes with it, the digest tells whether the bytes are those
    /// of the file, and times tell nothing.
    pub(super) fn conclude_check(&mut self, key: Key, state: Result<FileIdentity, ErrorCode>, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let Resource::Source { file, identity: Some(opened) } = &control.resource else { return };
        let has_digest = matches!(control.sought, Sought::Download { .. });
        let trusts_times = !has_digest && file.medium() != Medium::Foreign;
        if !state.is_ok_and(|state| state.has_beginning_of(opened, trusts_times)) {
            return control.session.handle(Fact::Checked(Err(ErrorCode::Changed)), now);
        }
        match &mut control.sought {
            Sought::Download { found, is_due } => match *found {
                Some(found) => control.session.handle(Fact::Checked(found.map(Some)), now),
                None => *is_due = true,
            },
            Sought::Nothing | Sought::Sum | Sought::Resume(_) => {
                control.session.handle(Fact::Checked(Ok(None)), now);
            }
        }
    }

    pub(super) fn begin_sum(
        &mut self,
        asker: Asker,
        opened: Result<(HeldFile, u64), ErrorCode>,
        now: Instant,
    ) {
        let Some(control) = self.controls.get_mut(asker.session) else { return };
        match opened {
            Ok((file, length)) => {
                let file = Arc::new(file);
                let identity = match file.medium() {
                    Medium::Memory | Medium::Local => FileIdentity::of(file.file()).ok(),
                    Medium::Foreign => None,
                };
                let reading = identity.map(|identity| self.readers.begin(identity.file_key()));
                self.disk.digest_file(asker, &file, length, None, reading);
                control.resource = Resource::Source { file, identity: None };
                control.sought = Sought::Sum;
            }
            Err(code) => control.session.handle(Fact::Found(Err(code)), now),
        }
    }

    /// A staged file is there; what was kept of it is hashed before the client is told to go on.
    pub(super) fn begin_receiving(
        &mut self,
        asker: Asker,
        staged: Result<(Arc<StagedFile>, Option<Resume>), ErrorCode>,
        now: Instant,
    ) {
        let Some(control) = self.controls.get_mut(asker.session) else { return };
        match staged {
            Ok((file, resume)) => {
                match resume {
                    None => control.session.handle(Fact::Staged(Ok(0)), now),
                    Some(resume) => {
                        self.disk.digest_staged(asker, &file, resume.offset);
                        control.sought = Sought::Resume(resume);
                    }
                }
                self.uploads.begin(file.path(), asker.session);
                control.resource = Resource::Staged { file, queued: Vec::new(), is_writing: false };
            }
            Err(code) => control.session.handle(Fact::Staged(Err(code)), now),
        }
    }

    /// A run has ended: all that wait for it are to be told.
    pub(super) fn handle_digested(&mut self, asker: Asker, digested: Digested) {
        let waiting = match digested.identity {
            Some(identity) => {
                self.digests.finish(identity, digested.result.ok().filter(|_| digested.is_lasting))
            }
            None => vec![asker],
        };
        self.digest_news.extend(waiting.into_iter().map(|waiter| (waiter, DigestNews::Ended(digested))));
    }

    pub(super) fn handle_digest_progress(&mut self, asker: Asker, identity: Option<&FileIdentity>) {
        let waiting = identity.map_or(slice::from_ref(&asker), |identity| self.digests.waiting(identity));
        self.digest_news.extend(waiting.iter().map(|waiter| (*waiter, DigestNews::Progress)));
    }

    /// Tells the sessions that wait for digests: very many may wait for that of one file.
    pub(super) fn answer_digests(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some((asker, news)) = reactor.digest_news.pop_front() else { return false };
            match news {
                DigestNews::Progress => reactor.tell_digest_progress(asker, now),
                DigestNews::Ended(Digested {
                    identity: Some(identity),
                    length,
                    result: Err(ErrorCode::BrokenOff),
                    ..
                }) => {
                    // The session that began the run is gone, and its file with it; the others go on with their own.
                    reactor.want_again(asker, length, identity);
                }
                DigestNews::Ended(Digested { length, result, .. }) => {
                    reactor.tell_digest(asker, length, result, now);
                }
            }
            true
        });
    }

    fn tell_digest_progress(&mut self, Asker { session, transfer, .. }: Asker, now: Instant) {
        let control = self.controls.get_mut(session);
        if let Some(control) = control.filter(|control| control.transfer == transfer) {
            control.session.handle(Fact::DiskProgress, now);
            self.drive(session, now);
        }
    }

    pub(super) fn schedule_sweep(&mut self, next: Option<Duration>, now: Instant) {
        // A second more, since ages are counted in whole ones.
        let next = next.and_then(|next| now.checked_add(next.saturating_add(Duration::from_secs(1))));
        // Each lane tells of its own.
        self.sweep_at = [self.sweep_at, next].into_iter().flatten().min();
    }

    pub(super) fn sweep_if_due(&mut self, now: Instant) {
        if self.sweep_at.is_some_and(|due| due <= now) {
            self.sweep_at = None;
            self.disk.sweep();
        }
    }

    fn want_digest(&mut self, asker: Asker, file: &Arc<HeldFile>, size: u64, identity: FileIdentity) {
        match self.digests.want(identity, asker) {
            Wanted::Known(digest) => {
                if let Some(control) = self.controls.get_mut(asker.session)
                    && let Sought::Download { found, .. } = &mut control.sought
                {
                    *found = Some(Ok(digest));
                }
            }
            Wanted::Joined => {}
            Wanted::Begin => {
                let reading = self.readers.begin(identity.file_key());
                self.disk.digest_file(asker, file, size, Some(identity), Some(reading));
            }
        }
    }

    fn want_again(&mut self, asker: Asker, size: u64, identity: FileIdentity) {
        if let Some(control) = self.controls.get(asker.session)
            && control.transfer == asker.transfer
            && let Resource::Source { file, .. } = &control.resource
        {
            let file = Arc::clone(file);
            self.want_digest(asker, &file, size, identity);
        }
    }

    /// Hands a digest to the session that waits for it.
    fn tell_digest(&mut self, asker: Asker, length: u64, result: Result<Digest, ErrorCode>, now: Instant) {
        let current = self.controls.get_mut(asker.session);
        let Some(control) = current.filter(|control| control.transfer == asker.transfer) else { return };
        match std::mem::replace(&mut control.sought, Sought::Nothing) {
            Sought::Nothing => {}
            Sought::Sum => {
                let found = result.map(|digest| Found::Digest { length, digest });
                control.session.handle(Fact::Found(found), now);
                drop(self.take_resource(asker.session));
            }
            Sought::Resume(resume) => self.resume(asker, resume, result, now),
            Sought::Download { is_due: false, .. } => {
                control.sought = Sought::Download { found: Some(result), is_due: false };
            }
            Sought::Download { is_due: true, .. } => {
                control.session.handle(Fact::Checked(result.map(Some)), now);
            }
        }
        self.drive(asker.session, now);
    }

    /// What was kept is hashed: it is gone on with only if it is what the client has.
    fn resume(&mut self, asker: Asker, resume: Resume, result: Result<Digest, ErrorCode>, now: Instant) {
        let staged = match result {
            Ok(digest) if digest == resume.digest => Ok(resume.offset),
            Ok(_) => Err(ErrorCode::NoPartial),
            Err(code) => Err(code),
        };
        if staged.is_err()
            && let Resource::Staged { file: staged, .. } = self.take_resource(asker.session)
        {
            self.disk.submit(asker, Job::Discard { staged });
        }
        let Some(control) = self.controls.get_mut(asker.session) else { return };
        control.session.handle(Fact::Staged(staged), now);
    }
}
