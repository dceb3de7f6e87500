//! Everything that may wait for a disk, on threads of its own: some for each kind of short jobs, some that compute
//! digests, and two that publish uploads, one behind the other. They tell the reactor when something is done, and hold no state
//! that outlives a job; every step is bounded in bytes, so that none keeps a thread long on a healthy disk.

mod batcher;
pub(crate) mod buffers;
mod committer;
mod condition;
mod digester;
mod fair_queue;
mod flushes;
mod lane;
mod lanes;
mod listings;
mod publishing;
pub(crate) mod read_buffers;
mod threads;
mod turns;
mod worker;

use crate::asker::Asker;
use crate::store::digest_cache::FileIdentity;
use crate::store::folder::{Folder, OpenFile};
use crate::store::held_file::{Closer, HeldFile};
use crate::store::readers::Reading;
use crate::store::staging::StagedFile;
use crossbeam_channel::{Receiver, Sender};
use digester::DigestRun;
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::Conditions;
use ferry_common::wire::digest::Digest;
use ferry_session::access::Cleared;
use ferry_session::action::{Beginning, Change, Found, Length, ListQuery, ListingPart, Publication, Query};
use lanes::Lanes;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};
use publishing::{Request, Upload};
use read_buffers::ReadBuffer;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a thread of the pool is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    List(ListQuery),
    Query(Query),
    Change(Change),
    Open {
        path: Cleared,
    },
    Stage {
        path: Cleared,
        size: Length,
        new: bool,
        conditions: Conditions,
        beginning: Beginning,
    },
    /// Append the buffers, each with the number of its bytes that count, to the staged file.
    Write {
        staged: Arc<StagedFile>,
        buffers: Vec<(Vec<u8>, usize)>,
    },
    /// Bring part of a file into the page cache.
    Warm {
        file: Arc<HeldFile>,
        part: Range<u64>,
        reading: Arc<Reading>,
    },
    /// Read part of a file into a buffer, to be sent.
    Read {
        file: Arc<HeldFile>,
        offset: u64,
        buffer: ReadBuffer,
        reading: Arc<Reading>,
    },
    /// Find out in which state an open file is.
    Inspect {
        file: Arc<HeldFile>,
    },
    /// Flush a file that is large or on its own, then have it committed.
    Publish {
        staged: Arc<StagedFile>,
        publication: Publication,
    },
    /// Let go of a staged file where its removal may take its time.
    Discard {
        staged: Arc<StagedFile>,
    },
    /// Keep a staged file for its client to go on with.
    Keep {
        staged: Arc<StagedFile>,
    },
    /// Remove what is kept beyond its bounds.
    Sweep,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Listed(Arc<Result<ListingPart, ErrorCode>>),
    Found(Result<Found, ErrorCode>),
    Changed(Result<(), ErrorCode>),
    /// A file whose digest was asked for, and how much of it.
    SumOpened(Result<(HeldFile, u64), ErrorCode>),
    Opened(Result<OpenFile, ErrorCode>),
    /// A staged file, and how much it begins with that is still to be gone through.
    Staged(Result<(Arc<StagedFile>, Option<u64>), ErrorCode>),
    Written {
        buffers: Vec<Vec<u8>>,
        result: Result<u64, ErrorCode>,
    },
    Warmed(Result<(), ErrorCode>),
    /// The part of a file from `offset` on. Fewer bytes than were asked for end with the file.
    Read {
        offset: u64,
        result: Result<ReadBuffer, ErrorCode>,
    },
    Inspected(Result<FileIdentity, ErrorCode>),
    /// `small_bytes` of memory were set aside for it and are free again.
    Published {
        id: u64,
        result: Result<Digest, ErrorCode>,
        small_bytes: u64,
    },
    /// A digest is not done yet, but goes on. As for [`Digested`].
    Progress {
        identity: Option<FileIdentity>,
    },
    Digested(Digested),
    /// An upload to this path is kept, or not; and as for [`Outcome::Swept`].
    Kept {
        path: Cleared,
        next: Option<Duration>,
    },
    /// When the next kept upload will be too old.
    Swept(Option<Duration>),
}

/// The end of a digest run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digested {
    /// The state of the file that it is of, where it is of a whole file.
    pub(crate) identity: Option<FileIdentity>,
    /// How much was read.
    pub(crate) length: u64,
    pub(crate) result: Result<Digest, ErrorCode>,
    /// The digest is that of the file in this state also for sessions that open it later.
    pub(crate) is_lasting: bool,
}

/// An outcome, and the session that it is for.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) asker: Asker,
    pub(crate) outcome: Outcome,
}

/// The reactor's side of the threads. Dropping it lets them finish their queues and end.
#[derive(Debug)]
pub(crate) struct Disk {
    lanes: Lanes,
    completions: Receiver<Completion>,
    wake: Arc<Wake>,
}

/// How the threads tell the reactor.
#[derive(Debug, Clone)]
struct Reports {
    completions: Sender<Completion>,
    wake: Arc<Wake>,
}

/// Wakes the reactor once for all the completions that it has not looked at yet.
#[derive(Debug)]
struct Wake {
    waker: Waker,
    pending: AtomicBool,
}

impl Disk {
    pub(crate) fn start(folder: &Arc<Folder>, waker: Waker) -> io::Result<Self> {
        let (done, completions) = crossbeam_channel::unbounded();
        let wake = Arc::new(Wake { waker, pending: AtomicBool::new(false) });
        let reports = Reports { completions: done, wake: Arc::clone(&wake) };
        let lanes = Lanes::start(folder, &reports)?;
        Ok(Self { lanes, completions, wake })
    }

    /// Closes what is opened on the reactor.
    pub(crate) fn closer(&self) -> &Closer {
        &self.lanes.root().closer
    }

    /// Queues a job, or refuses it at once; the outcome tells.
    pub(crate) fn submit(&self, asker: Asker, job: Job) {
        self.lanes.submit(asker, job, Instant::now());
    }

    /// Queues an upload to be published together with others.
    pub(crate) fn commit(&self, asker: Asker, staged: Arc<StagedFile>, publication: Publication) {
        let lane = Some(staged.lane());
        let upload = Upload::Staged { staged, is_flushed: false };
        self.lanes.commit(asker, lane, Request { upload, publication }, Instant::now());
    }

    /// The same for one that is still in memory.
    pub(crate) fn commit_small(&self, asker: Asker, content: Vec<u8>, publication: Publication) {
        let upload = Upload::Small { content };
        self.lanes.commit(asker, None, Request { upload, publication }, Instant::now());
    }

    /// Begins to compute the digest of the first `end` bytes of a file, or of all of it where `identity` is
    /// given. The run ends when no session holds the file any more.
    pub(crate) fn digest_file(
        &self,
        asker: Asker,
        file: &Arc<HeldFile>,
        end: u64,
        identity: Option<FileIdentity>,
        reading: Option<Arc<Reading>>,
    ) {
        let (run, now) = (DigestRun::of_file(file, end, identity, reading), Instant::now());
        self.lanes.get(file.lane(), now).digest(asker, run, now);
    }

    /// Begins to go through what a staged file begins with, which is `end` bytes.
    pub(crate) fn digest_staged(&self, asker: Asker, staged: &Arc<StagedFile>, end: u64) {
        let now = Instant::now();
        self.lanes.get(staged.lane(), now).digest(asker, DigestRun::of_staged(staged, end), now);
    }

    /// Takes away what a session that has gone has queued, as far as it need not be done all the same.
    pub(crate) fn cancel(&self, asker: &Asker) {
        let now = Instant::now();
        self.lanes.all().iter().for_each(|lane| lane.cancel(asker, now));
    }

    /// When [`Disk::refuse_unanswered`] may have something to do; `None` while nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        let silent = self.lanes.all().into_iter().filter_map(|lane| lane.silent_at());
        silent.chain(self.lanes.idle_at()).min()
    }

    /// Refuses what waits for threads that have not answered for [`LANE_SILENCE`].
    ///
    /// [`LANE_SILENCE`]: crate::limits::LANE_SILENCE
    pub(crate) fn refuse_unanswered(&self, now: Instant) {
        self.lanes.all().iter().for_each(|lane| lane.refuse_unanswered(now));
        self.lanes.end_unused(now);
    }

    /// Removes what is kept of uploads beyond its bounds.
    pub(crate) fn sweep(&self) {
        self.lanes.sweep(Instant::now());
    }

    /// Has a poll tell of changed mounts, where the kernel can, by `token`.
    pub(crate) fn watch_mounts(&self, registry: &Registry, token: Token) -> io::Result<()> {
        match self.lanes.mounts_fd() {
            Some(fd) => registry.register(&mut SourceFd(&fd), token, Interest::PRIORITY),
            None => Ok(()),
        }
    }

    /// To be called when `token` of [`Disk::watch_mounts`] has come.
    pub(crate) fn handle_mounts_changed(&self) {
        self.lanes.read_mounts();
    }

    /// To be called when the waker has fired, before [`Disk::next_completion`].
    pub(crate) fn acknowledge_wake(&self) {
        self.wake.pending.store(false, Ordering::SeqCst);
    }

    /// True while [`Disk::next_completion`] has something.
    pub(crate) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    pub(crate) fn next_completion(&self) -> Option<Completion> {
        self.completions.try_recv().ok()
    }

    /// Lets the threads finish what is queued, for a bounded time. True when they have.
    pub(crate) fn finish(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let Self { lanes, completions, .. } = self;
        lanes.all().iter().for_each(|lane| lane.close());
        drop(lanes);
        // Every thread holds a sender; when none is left, all have ended.
        while completions.recv_deadline(deadline).is_ok() {}
        Instant::now() < deadline
    }
}

impl Reports {
    fn complete(&self, asker: Asker, outcome: Outcome) {
        // Sending can only fail when the reactor has ended.
        if self.completions.send(Completion { asker, outcome }).is_ok() {
            self.wake.wake();
        }
    }
}

impl Wake {
    fn wake(&self) {
        if !self.pending.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            log::error!("Cannot wake the reactor: {error}");
        }
    }
}
