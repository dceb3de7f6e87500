//! What sessions do with files: each thing at once where that cannot wait for a disk, else as a job of a disk thread, whose
//! outcome comes back to the session. Owns the disk threads and the books about digests and kept uploads; knows sessions by
//! their seats alone, and no connection.

mod digests;
mod kept_uploads;
mod small_downloads;

use crate::admission::payload_memory::PayloadMemory;
use crate::asker::Asker;
use crate::disk::{Completion, Disk, Job};
use crate::limits::{DISK_FINISH_TIMEOUT, GIVING_WAY_MAX, KEPT_LOOK_TIME, SMALL_UPLOAD_MAX_BYTES};
use crate::net::slots::Key;
use crate::seat::{Filled, Resource, Seat};
use crate::store::digest_cache::{Digests, FileIdentity};
use crate::store::errors::Call;
use crate::store::folder::{Folder, Lookup, OpenFile};
use crate::store::mounts::Medium;
use crate::store::readers::Readers;
use crate::store::staging::StagedFile;
pub(crate) use digests::DigestNews;
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::Conditions;
use ferry_session::access::Cleared;
use ferry_session::action::{Beginning, Change, Length, ListQuery, Opened, Publication, Query};
use ferry_session::fact::Fact;
use kept_uploads::{Seeker, Uploads};
use mio::{Registry, Token, Waker};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// See the module's documentation.
pub(crate) struct Files {
    folder: Arc<Folder>,
    disk: Disk,
    digests: Digests,
    /// What sessions are still to be told of digests: each has one piece of news a second at most.
    digest_news: VecDeque<(Asker, DigestNews)>,
    uploads: Uploads,
    readers: Readers,
    /// The bytes of a small download on their way to its socket.
    small: Box<[u8]>,
    /// When something that is kept of an upload will be too old.
    sweep_at: Option<Instant>,
}

/// What becomes of a staged file whose upload ends without being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    Discarded,
    /// For its client to go on with.
    Kept,
}

/// Memory that a transfer gives back when it ends.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    pub(crate) small_bytes: u64,
    pub(crate) buffers: Vec<Vec<u8>>,
}

/// An upload as its session wants it staged.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) path: Cleared,
    pub(crate) size: Length,
    pub(crate) new: bool,
    pub(crate) conditions: Conditions,
    pub(crate) beginning: Beginning,
}

impl Files {
    /// Starts the disk threads, which tell by `waker` that something is done.
    pub(crate) fn start(folder: Folder, waker: Waker, read_only: bool) -> io::Result<Self> {
        let folder = Arc::new(folder);
        let disk = Disk::start(&folder, waker)?;
        Ok(Self {
            folder,
            disk,
            digests: Digests::default(),
            digest_news: VecDeque::new(),
            uploads: Uploads::default(),
            readers: Readers::default(),
            small: small_downloads::buffer(),
            sweep_at: (!read_only).then(Instant::now),
        })
    }

    /// Waits a bounded time for the disk threads to be done.
    pub(crate) fn finish(self) {
        let Self { folder, disk, .. } = self;
        drop(folder);
        if !disk.finish(DISK_FINISH_TIMEOUT) {
            log::warn!("The disk did not finish in time; what it was doing is looked at at the next start");
        }
    }

    /// Has a poll tell of changed mounts, where the kernel can, by `token`.
    pub(crate) fn watch_mounts(&self, registry: &Registry, token: Token) -> io::Result<()> {
        self.disk.watch_mounts(registry, token)
    }

    pub(crate) fn handle_mounts_changed(&self) {
        self.disk.handle_mounts_changed();
    }

    /// To be called when the waker has fired, before [`Files::next_completion`].
    pub(crate) fn acknowledge_wake(&self) {
        self.disk.acknowledge_wake();
    }

    pub(crate) fn has_completions(&self) -> bool {
        self.disk.has_completions()
    }

    pub(crate) fn next_completion(&self) -> Option<Completion> {
        self.disk.next_completion()
    }

    /// When there is something to do here at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.disk.due(), self.sweep_at, self.uploads.due()].into_iter().flatten().min()
    }

    /// Does what is due, but for [`Files::next_seeker`].
    pub(crate) fn fire_deadlines(&mut self, now: Instant) {
        if self.sweep_at.is_some_and(|due| due <= now) {
            self.sweep_at = None;
            self.disk.sweep();
        }
        self.disk.refuse_unanswered(now);
    }

    pub(crate) fn list(&self, asker: Asker, query: ListQuery) {
        self.disk.submit(asker, Job::List(query));
    }

    pub(crate) fn query(&self, asker: Asker, query: Query) {
        self.disk.submit(asker, Job::Query(query));
    }

    pub(crate) fn change(&self, asker: Asker, change: Change) {
        self.disk.submit(asker, Job::Change(change));
    }

    /// Opens a file at once if the kernel has all it needs for that, else on a disk thread.
    pub(crate) fn open(&self, asker: Asker, seat: &mut Seat, path: Cleared) -> Option<Fact<'static>> {
        match self.folder.open_file(&path, Lookup::CachedOnly, self.disk.closer()) {
            Ok(open) => Some(Fact::Opened(Ok(keep_source(seat, open)))),
            Err(Errno::AGAIN) => {
                self.disk.submit(asker, Job::Open { path });
                None
            }
            Err(errno) => Some(Fact::Opened(Err(Call::Open.of(&path)(errno)))),
        }
    }

    pub(crate) fn handle_opened(seat: &mut Seat, opened: Result<OpenFile, ErrorCode>) -> Fact<'static> {
        Fact::Opened(opened.map(|open| keep_source(seat, open)))
    }

    /// Makes room for an upload: in memory where it is small and its data connection is there, else in a staged file.
    pub(crate) fn stage(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        upload: Upload,
        memory: &mut PayloadMemory,
    ) -> Option<Fact<'static>> {
        let Upload { path, size, new, conditions, beginning } = upload;
        if beginning == Beginning::Published && self.uploads.has_receivers(&path) {
            // It may be about to break off, or to replace what this one goes on with.
            return Some(Fact::Staged(Err(ErrorCode::InUse)));
        }
        if beginning == Beginning::Empty
            && seat.data.attached().is_some()
            && let Length::Exact(bytes) = size
            && bytes <= SMALL_UPLOAD_MAX_BYTES
            && memory.set_aside_small(bytes)
        {
            // Whether it can be had under its name shows when it is there.
            seat.hold_small(bytes);
            return Some(Fact::Staged(Ok(0)));
        }
        self.submit_behind_keeps(asker, &path.clone(), Job::Stage { path, size, new, conditions, beginning });
        None
    }

    /// A staged file is there; what it begins with is gone through before the client is told to go on.
    pub(crate) fn handle_staged(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        staged: Result<(Arc<StagedFile>, Option<u64>), ErrorCode>,
    ) -> Option<Fact<'static>> {
        match staged {
            Ok((file, beginning_bytes)) => {
                if let Some(bytes) = beginning_bytes {
                    self.disk.digest_staged(asker, &file, bytes);
                }
                self.uploads.begin(file.path(), asker.session);
                seat.hold_staged(file, beginning_bytes.is_some());
                beginning_bytes.is_none().then_some(Fact::Staged(Ok(0)))
            }
            Err(code) => Some(Fact::Staged(Err(code))),
        }
    }

    /// A staged file whose session is gone or has given up the upload.
    pub(crate) fn keep_unwanted(&mut self, asker: Asker, staged: Arc<StagedFile>) {
        self.uploads.begin_keeping(staged.path());
        self.disk.submit(asker, Job::Keep { staged });
    }

    /// Has the buffers of an upload written, unless a write is under way.
    pub(crate) fn write_queued(&self, asker: Asker, seat: &mut Seat) {
        if let Some((staged, buffers)) = seat.next_write() {
            self.disk.submit(asker, Job::Write { staged, buffers });
        }
    }

    /// Has a buffer of an upload written. Gives it back where no upload goes on.
    pub(crate) fn write(&self, asker: Asker, seat: &mut Seat, filled: Filled) -> Result<(), Filled> {
        seat.queue_write(filled)?;
        self.write_queued(asker, seat);
        Ok(())
    }

    /// Gives the upload its name; `content` is that of a small one.
    pub(crate) fn publish(
        &mut self,
        asker: Asker,
        seat: &mut Seat,
        content: Vec<u8>,
        publication: Publication,
    ) {
        match self.take_resource(asker.session, seat) {
            Resource::Staged { file: staged, .. } if publication.alone => {
                self.disk.submit(asker, Job::Publish { staged, publication });
            }
            Resource::Staged { file: staged, .. } => self.disk.commit(asker, staged, publication),
            Resource::Small { .. } => self.disk.commit_small(asker, content, publication),
            Resource::None | Resource::Source { .. } => {
                debug_assert!(false, "only an upload is published");
            }
        }
    }

    /// Everything is sent: sees whether the file is still what it was, and waits for its digest.
    pub(crate) fn check(&self, asker: Asker, seat: &mut Seat) -> Option<Fact<'static>> {
        let (file, _) = seat.source()?;
        match file.medium() {
            Medium::Foreign => {
                self.disk.submit(asker, Job::Inspect { file: Arc::clone(file) });
                None
            }
            Medium::Memory | Medium::Local => {
                let state = FileIdentity::of(file.file());
                seat.conclude_check(state)
            }
        }
    }

    /// Lets go of what the session's transfer held, and of what is still under way for it.
    pub(crate) fn let_go(&mut self, asker: Asker, seat: &mut Seat, leftover: Leftover) -> Freed {
        let resource = seat.end_transfer();
        self.note_taken(asker.session, &resource);
        match resource {
            Resource::None => Freed::default(),
            Resource::Source { file, .. } => {
                drop(file);
                Freed::default()
            }
            Resource::Small { bytes } => Freed { small_bytes: bytes, ..Freed::default() },
            Resource::Staged { file: staged, queued, .. } => {
                match leftover {
                    Leftover::Discarded => self.disk.submit(asker, Job::Discard { staged }),
                    Leftover::Kept => self.keep_unwanted(asker, staged),
                }
                Freed { small_bytes: 0, buffers: queued.into_iter().map(|(buffer, _)| buffer).collect() }
            }
        }
    }

    /// Takes away what a session that ends has queued, as far as it need not be done all the same.
    pub(crate) fn cancel(&self, asker: &Asker) {
        self.disk.cancel(asker);
    }

    /// A job for a download that a data connection cannot go on with by itself.
    pub(crate) fn submit_reading(&self, asker: Asker, job: Job) {
        self.disk.submit(asker, job);
    }

    /// Which files disk threads read, so that whatever else reads them can tell.
    pub(crate) fn readers(&mut self) -> &mut Readers {
        &mut self.readers
    }

    /// The sessions that receive an upload to this path, as many as may be asked to give way at once.
    pub(crate) fn receivers(&self, path: &Cleared) -> Vec<Key> {
        self.uploads.receivers(path, GIVING_WAY_MAX)
    }

    /// Answers what is kept of an upload, or waits for the end of those under way to the same path.
    pub(crate) fn seek_partial(&mut self, asker: Asker, path: Cleared, now: Instant) {
        if self.uploads.has_receivers(&path) {
            self.uploads.seek(asker, path, now);
        } else {
            self.ask_for_partial(asker, path);
        }
    }

    /// A session that has waited for the end of an upload long enough: [`Files::ask_for_partial`] is to follow.
    pub(crate) fn next_seeker(&mut self, now: Instant) -> Option<(Asker, Cleared)> {
        self.uploads.next_found(now).map(|Seeker { asker, path, .. }| (asker, path))
    }

    pub(crate) fn ask_for_partial(&mut self, asker: Asker, path: Cleared) {
        self.submit_behind_keeps(asker, &path.clone(), Job::Query(Query::Partial { path }));
    }

    /// What was kept is where it is looked for: what has waited for that goes on.
    pub(crate) fn handle_kept(&mut self, path: &Cleared, next_sweep: Option<Duration>, now: Instant) {
        self.schedule_sweep(next_sweep, now);
        for (asker, job) in self.uploads.end_keeping(path) {
            self.disk.submit(asker, job);
        }
    }

    pub(crate) fn schedule_sweep(&mut self, next: Option<Duration>, now: Instant) {
        // A second more, since ages are counted in whole ones.
        let next = next.and_then(|next| now.checked_add(next.saturating_add(Duration::from_secs(1))));
        // Each lane tells of its own.
        self.sweep_by(next);
    }

    fn sweep_by(&mut self, due: Option<Instant>) {
        self.sweep_at = [self.sweep_at, due].into_iter().flatten().min();
    }

    fn submit_behind_keeps(&mut self, asker: Asker, path: &Cleared, job: Job) {
        if let Some(job) = self.uploads.await_keeping(path, asker, job) {
            self.disk.submit(asker, job);
        }
    }

    fn take_resource(&mut self, session: Key, seat: &mut Seat) -> Resource {
        let resource = seat.take_resource();
        self.note_taken(session, &resource);
        resource
    }

    /// The session receives an upload no more.
    fn note_taken(&mut self, session: Key, resource: &Resource) {
        if let Resource::Staged { file, .. } = resource {
            self.uploads.end(file.path(), session);
            if file.leaves_record() {
                // Whatever comes of it: a thread that fails with it leaves it on record, and tells nothing of that.
                self.sweep_by(Some(Instant::now() + KEPT_LOOK_TIME));
            }
        }
    }
}

/// Keeps an opened file for the transfer.
fn keep_source(seat: &mut Seat, OpenFile { file, facts, identity }: OpenFile) -> Opened {
    seat.hold_source(Arc::new(file), identity);
    facts
}
