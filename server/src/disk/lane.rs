//! What is queued for the threads of one mounted file system, by kind of job. A kind has threads of
//! its own, so that names never wait behind bytes, nor what is written behind what is read, nor anything behind a
//! flush. A lane whose threads do not answer refuses what can be refused; it never waits for them.

use super::digester::DigestRun;
use super::fair_queue::Pushed;
use super::flushes::Flushes;
use super::listings::Listings;
use super::publishing::{Request, Upload};
use super::turns::Turns;
use super::{Digested, Job, Outcome, Reports};
use crate::asker::Asker;
use crate::limits::{
    FLUSH_THREADS, LANE_FLUSH_SILENCE, LANE_QUEUE_JOBS_MAX, LANE_SILENCE, READ_TURN_MIN_TIME,
    READS_ROUND_TIME,
};
use crate::store::folder::Folder;
use crate::store::held_file::Closer;
use crate::store::lane_id::LaneId;
use ferry_common::error::ErrorCode;
use ferry_session::action::Query;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) folder: Arc<Folder>,
    pub(super) listings: Listings,
    pub(super) flushes: Flushes,
    pub(super) reports: Reports,
    /// Closes files where that may take its time.
    pub(super) closer: Closer,
    /// Does what leads out of the file system of this lane; `None` where that is done here.
    pub(super) links: Option<Arc<Links>>,
    names: Turns<Job>,
    changes: Turns<Job>,
    reads: Turns<Job>,
    writes: Turns<Job>,
    single_flushes: Turns<Job>,
    digests: Turns<DigestRun>,
    /// The threads that flush single files and then have them committed.
    flush_threads_left: AtomicUsize,
}

/// The lane of what links lead to that is not on the folder's own file system: where that is, is not known beforehand.
#[derive(Debug)]
pub(super) struct Links {
    folder: Arc<Folder>,
    reports: Reports,
    start: Start,
    /// `None` inside where its threads could not be started.
    lane: OnceLock<Option<Arc<Lane>>>,
}

/// Makes a lane with its threads.
pub(super) type Start = fn(LaneId, &Arc<Folder>, &Reports, Option<Arc<Links>>) -> io::Result<Arc<Lane>>;

/// What a job has to do with its file system; each kind has its own threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Looks names up.
    Names,
    /// Makes and changes names, and brings that to the disk.
    Changes,
    /// Reads files.
    Reads,
    /// Writes and closes uploads.
    Writes,
    /// Brings one large file to the disk.
    Flushes,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Names, Self::Changes, Self::Reads, Self::Writes, Self::Flushes];

    fn of(job: &Job) -> Self {
        match job {
            Job::List(_) | Job::Open { .. } | Job::Query(_) => Self::Names,
            Job::Stage { .. } | Job::Change(_) => Self::Changes,
            Job::Warm { .. } | Job::Read { .. } | Job::Inspect { .. } => Self::Reads,
            Job::Write { .. } | Job::Discard { .. } | Job::Keep { .. } | Job::Sweep => Self::Writes,
            Job::Publish { .. } => Self::Flushes,
        }
    }
}

impl Lane {
    /// A lane without its threads. `links` does what leads out of its file system.
    pub(super) fn new(
        folder: &Arc<Folder>,
        reports: &Reports,
        closer: Closer,
        links: Option<Arc<Links>>,
    ) -> Self {
        Self {
            folder: Arc::clone(folder),
            listings: Listings::default(),
            flushes: Flushes::new(LANE_QUEUE_JOBS_MAX),
            reports: reports.clone(),
            closer,
            links,
            names: Turns::new(LANE_QUEUE_JOBS_MAX),
            changes: Turns::new(LANE_QUEUE_JOBS_MAX),
            reads: Turns::new(LANE_QUEUE_JOBS_MAX),
            writes: Turns::new(LANE_QUEUE_JOBS_MAX),
            single_flushes: Turns::new(LANE_QUEUE_JOBS_MAX),
            digests: Turns::new(LANE_QUEUE_JOBS_MAX),
            flush_threads_left: AtomicUsize::new(FLUSH_THREADS),
        }
    }

    /// True while nothing is queued or under way.
    pub(super) fn is_idle(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.queue(kind).is_idle())
            && self.digests.is_idle()
            && self.flushes.is_idle()
    }

    /// Queues a job, or refuses it at once: the outcome says so.
    pub(super) fn submit(&self, asker: Asker, job: Job, now: Instant) {
        let kind = Kind::of(&job);
        let queue = self.queue(kind);
        if !job.is_refusable() {
            return queue.put(asker, job);
        }
        if queue.is_silent(LANE_SILENCE, now) {
            return self.refuse(asker, job);
        }
        if let Job::List(query) = &job
            && self.listings.join(query, asker)
        {
            return;
        }
        match queue.push(asker, job) {
            Pushed::Queued => {}
            Pushed::Displaced(asker, job) if !job.is_refusable() => queue.put(asker, job),
            Pushed::Displaced(asker, job) | Pushed::Refused(asker, job) => self.refuse(asker, job),
        }
    }

    /// Queues an upload to be published together with others.
    pub(super) fn commit(&self, asker: Asker, request: Request, now: Instant) {
        if self.flushes.is_silent(LANE_FLUSH_SILENCE, now) {
            return self.refuse_commit(asker, request);
        }
        match self.flushes.push(asker, request) {
            Pushed::Queued => {}
            Pushed::Displaced(asker, request) | Pushed::Refused(asker, request) => {
                self.refuse_commit(asker, request);
            }
        }
    }

    pub(super) fn digest(&self, asker: Asker, run: DigestRun, now: Instant) {
        if self.digests.is_silent(LANE_SILENCE, now) {
            return self.refuse_digest(asker, &run);
        }
        match self.digests.push(asker, run) {
            Pushed::Queued => {}
            Pushed::Displaced(asker, run) | Pushed::Refused(asker, run) => self.refuse_digest(asker, &run),
        }
    }

    /// For how long one file may be read before others have their turn.
    pub(super) fn reading_time(&self) -> Duration {
        let waiting = u32::try_from(self.reads.len()).unwrap_or(u32::MAX).max(1);
        (READS_ROUND_TIME / waiting).max(READ_TURN_MIN_TIME)
    }

    /// True while large files wait to be flushed.
    pub(super) fn has_flush_waiting(&self) -> bool {
        self.single_flushes.len() > 0
    }

    /// Queues a job that cannot be refused: as [`Turns::put`].
    pub(super) fn put(&self, asker: Asker, job: Job) {
        self.queue(Kind::of(&job)).put(asker, job);
    }

    /// Takes away what a session that has gone has queued. What must be done all the same stays: what is written
    /// counts for the kept upload, and files are let go.
    pub(super) fn cancel(&self, asker: &Asker, now: Instant) {
        for kind in Kind::ALL {
            for (asker, job) in self.queue(kind).cancel(asker, |_, job| job.is_cancellable()) {
                if let Job::List(query) = job {
                    // Others may have joined it.
                    for other in self.listings.begin(&query) {
                        if other.session != asker.session {
                            self.submit(other, Job::List(query.clone()), now);
                        }
                    }
                }
            }
        }
    }

    /// When [`Lane::refuse_unanswered`] has something to do, if nothing is answered until then.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let jobs = [Kind::Names, Kind::Changes].map(|kind| self.queue(kind).silent_at(LANE_SILENCE));
        jobs.into_iter().chain([self.digests.silent_at(LANE_SILENCE)]).flatten().min()
    }

    /// Refuses what waits behind jobs that are not answered.
    pub(super) fn refuse_unanswered(&self, now: Instant) {
        for kind in [Kind::Names, Kind::Changes] {
            let queue = self.queue(kind);
            if queue.is_silent(LANE_SILENCE, now) {
                for (asker, job) in queue.take_all() {
                    self.refuse(asker, job);
                }
            }
        }
        if self.digests.is_silent(LANE_SILENCE, now) {
            for (asker, run) in self.digests.take_all() {
                self.refuse_digest(asker, &run);
            }
        }
    }

    /// Lets the threads finish what is queued, and end.
    pub(super) fn close(&self) {
        for kind in Kind::ALL {
            self.queue(kind).close();
        }
        self.digests.close();
    }

    /// A thread for jobs of this kind has ended.
    pub(super) fn handle_thread_end(&self, kind: Kind) {
        if kind == Kind::Flushes && self.flush_threads_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // What they have flushed is queued there by now.
            self.flushes.close();
        }
    }

    pub(super) fn digests(&self) -> &Turns<DigestRun> {
        &self.digests
    }

    pub(super) fn queue(&self, kind: Kind) -> &Turns<Job> {
        match kind {
            Kind::Names => &self.names,
            Kind::Changes => &self.changes,
            Kind::Reads => &self.reads,
            Kind::Writes => &self.writes,
            Kind::Flushes => &self.single_flushes,
        }
    }

    fn refuse(&self, asker: Asker, job: Job) {
        let code = ErrorCode::Busy;
        let outcome = match job {
            Job::List(query) => {
                // The sessions that joined the listing, the asker perhaps among them.
                let mut waiters = self.listings.begin(&query);
                waiters.retain(|waiter| *waiter != asker);
                let part = Arc::new(Err(code));
                for waiter in waiters {
                    self.reports.complete(waiter, Outcome::Listed(Arc::clone(&part)));
                }
                Outcome::Listed(part)
            }
            Job::Query(Query::Sum { .. } | Query::Partial { .. }) => Outcome::SumOpened(Err(code)),
            Job::Query(Query::Stat { .. } | Query::Df { .. }) => Outcome::Found(Err(code)),
            Job::Change(_) => Outcome::Changed(Err(code)),
            Job::Open { .. } => Outcome::Opened(Err(code)),
            Job::Stage { .. } => Outcome::Staged(Err(code)),
            other @ (Job::Write { .. }
            | Job::Warm { .. }
            | Job::Read { .. }
            | Job::Inspect { .. }
            | Job::Publish { .. }
            | Job::Discard { .. }
            | Job::Keep { .. }
            | Job::Sweep) => return self.put(asker, other),
        };
        self.reports.complete(asker, outcome);
    }

    fn refuse_commit(&self, asker: Asker, request: Request) {
        let Request { upload, publication } = request;
        let small_bytes = upload.small_bytes();
        if let Upload::Staged { staged, .. } = upload {
            self.put(asker, Job::Discard { staged });
        }
        let result = Err(ErrorCode::Busy);
        self.reports.complete(asker, Outcome::Published { id: publication.id, result, small_bytes });
    }

    fn refuse_digest(&self, asker: Asker, run: &DigestRun) {
        let digested = Digested { result: Err(ErrorCode::Busy), ..run.described() };
        self.reports.complete(asker, Outcome::Digested(digested));
    }
}

impl Links {
    pub(super) fn new(folder: Folder, reports: &Reports, start: Start) -> Self {
        Self { folder: Arc::new(folder), reports: reports.clone(), start, lane: OnceLock::new() }
    }

    /// Made when it is first needed.
    pub(super) fn lane(&self) -> Option<&Arc<Lane>> {
        let start = || {
            (self.start)(LaneId::LINKS, &self.folder, &self.reports, None)
                .inspect_err(|error| log::error!("Cannot start threads for other file systems: {error}"))
                .ok()
        };
        self.lane.get_or_init(start).as_ref()
    }

    /// The same, if it was needed already.
    pub(super) fn started(&self) -> Option<&Arc<Lane>> {
        self.lane.get()?.as_ref()
    }
}

impl Job {
    /// True where the session that asks can be told to come again. What is under way already is waited for.
    fn is_refusable(&self) -> bool {
        match Kind::of(self) {
            Kind::Names | Kind::Changes => true,
            Kind::Reads | Kind::Writes | Kind::Flushes => false,
        }
    }

    /// True where it need not be done when its session has gone.
    fn is_cancellable(&self) -> bool {
        match self {
            Self::List(_)
            | Self::Query(_)
            | Self::Change(_)
            | Self::Open { .. }
            | Self::Stage { .. }
            | Self::Warm { .. }
            | Self::Read { .. }
            | Self::Inspect { .. } => true,
            Self::Write { .. }
            | Self::Publish { .. }
            | Self::Discard { .. }
            | Self::Keep { .. }
            | Self::Sweep => false,
        }
    }
}
