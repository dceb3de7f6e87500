//! Everything that may wait for a disk, on threads of its own: a pool for short jobs, a pair that computes
//! digests, and two that publish uploads, one behind the other. They tell the reactor when something is done, and hold no state
//! that outlives a job; every step is bounded in bytes, so that none keeps a thread long on a healthy disk.

mod batcher;
pub(crate) mod buffers;
mod committer;
mod digester;
mod listings;
pub(crate) mod read_buffers;
mod worker;

use crate::asker::Asker;
use crate::store::digest_cache::FileIdentity;
use crate::store::folder::{Folder, OpenFile};
use crate::store::held_file::{Closer, HeldFile};
use crate::store::readers::Reading;
use crate::store::staging::StagedFile;
use batcher::{Batcher, Request, Upload};
use crossbeam_channel::{Receiver, Sender};
use digester::DigestRun;
use ferry_common::action::{Cursor, Found, ListingPart, Publication, Question};
use ferry_common::command::Resume;
use ferry_common::digest::Digest;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{DIGEST_THREADS, DISK_THREADS};
use ferry_common::path::RemotePath;
use listings::Listings;
use mio::Waker;
use read_buffers::ReadBuffer;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use worker::Worker;

/// What a thread of the pool is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    List {
        path: RemotePath,
        cursor: Option<Cursor>,
    },
    Ask(Question),
    Open {
        path: RemotePath,
    },
    Stage {
        path: RemotePath,
        size: u64,
        new: bool,
        resume: Option<Resume>,
    },
    /// Append the buffers, each with the number of its bytes that count, to the staged file.
    Write {
        staged: Arc<StagedFile>,
        buffers: Vec<(Vec<u8>, usize)>,
    },
    /// Bring part of a file into the page cache.
    Warm {
        file: Arc<HeldFile>,
        offset: u64,
        length: u64,
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
    /// A file whose digest was asked for, and how much of it.
    SumOpened(Result<(HeldFile, u64), ErrorCode>),
    Opened(Result<OpenFile, ErrorCode>),
    /// A staged file, and what is still to be hashed of it.
    Staged(Result<(Arc<StagedFile>, Option<Resume>), ErrorCode>),
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
        path: RemotePath,
        next: Option<Duration>,
    },
    /// When the next kept upload will be too old.
    Swept(Option<Duration>),
}

/// The end of a digest run.
#[derive(Debug)]
pub(crate) struct Digested {
    /// The state of the file that it is of, where it is of a whole file.
    pub(crate) identity: Option<FileIdentity>,
    /// How much was read.
    pub(crate) length: u64,
    pub(crate) result: Result<Digest, ErrorCode>,
    /// The digest is that of the file in this state also for those who open it later.
    pub(crate) is_lasting: bool,
}

/// An outcome, and whom it is for.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) asker: Asker,
    pub(crate) outcome: Outcome,
}

/// The reactor's side of the threads. Dropping it lets them finish their queues and end.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Sender<(Asker, Job)>,
    commits: Sender<Request>,
    digests: Sender<DigestRun>,
    listings: Arc<Listings>,
    closer: Closer,
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
        let listings = Arc::new(Listings::default());
        let (closer, files) = Closer::new();
        spawn("close".to_owned(), move || files.iter().for_each(drop))?;
        let (jobs, queue) = crossbeam_channel::unbounded();
        let (commits, requests) = crossbeam_channel::unbounded();
        let (digests, runs) = crossbeam_channel::unbounded();
        for number in 0..DISK_THREADS {
            let (folder, listings) = (Arc::clone(folder), Arc::clone(&listings));
            let (queue, commits, reports) = (queue.clone(), commits.clone(), reports.clone());
            let closer = closer.clone();
            let worker = Worker { folder, queue, listings, commits, reports, closer };
            spawn(format!("disk-{number}"), move || worker.run())?;
        }
        for number in 0..DIGEST_THREADS {
            let (runs, reports) = (runs.clone(), reports.clone());
            spawn(format!("digest-{number}"), move || digester::run(&runs, &reports))?;
        }
        let (batches, prepared) = crossbeam_channel::bounded(0);
        let batcher = Batcher { folder: Arc::clone(folder), requests, batches, reports: reports.clone() };
        spawn("batch".to_owned(), move || batcher.run())?;
        let folder = Arc::clone(folder);
        spawn("commit".to_owned(), move || committer::run(&folder, &prepared, &reports))?;
        Ok(Self { jobs, commits, digests, listings, closer, completions, wake })
    }

    /// Closes what is opened on the reactor.
    pub(crate) fn closer(&self) -> &Closer {
        &self.closer
    }

    /// Queues a job. The queue is bounded by what the sessions may have under way.
    pub(crate) fn submit(&self, asker: Asker, job: Job) {
        if let Job::List { path, cursor } = &job
            && self.listings.join(path, *cursor, asker)
        {
            return;
        }
        report_lost(self.jobs.send((asker, job)).is_ok());
    }

    /// Queues an upload to be published together with others.
    pub(crate) fn commit(&self, asker: Asker, staged: Arc<StagedFile>, publication: Publication) {
        let upload = Upload::Staged { staged, is_flushed: false };
        report_lost(self.commits.send(Request { asker, upload, publication }).is_ok());
    }

    /// The same for one that is still in memory.
    pub(crate) fn commit_small(&self, asker: Asker, content: Vec<u8>, publication: Publication) {
        let upload = Upload::Small { content };
        report_lost(self.commits.send(Request { asker, upload, publication }).is_ok());
    }

    /// Begins to compute the digest of the first `end` bytes of a file, or of all of it where `identity` is
    /// given. The run ends when nobody holds the file any more.
    pub(crate) fn digest_file(
        &self,
        asker: Asker,
        file: &Arc<HeldFile>,
        end: u64,
        identity: Option<FileIdentity>,
        reading: Option<Arc<Reading>>,
    ) {
        let run = DigestRun::of_file(asker, file, end, identity, reading);
        report_lost(self.digests.send(run).is_ok());
    }

    /// Begins to hash the first `end` bytes of a resumed upload.
    pub(crate) fn digest_staged(&self, asker: Asker, staged: &Arc<StagedFile>, end: u64) {
        report_lost(self.digests.send(DigestRun::of_staged(asker, staged, end)).is_ok());
    }

    /// To be called when the waker has fired, before [`Disk::next_completion`].
    pub(crate) fn acknowledge_wake(&self) {
        self.wake.pending.store(false, Ordering::SeqCst);
    }

    pub(crate) fn next_completion(&self) -> Option<Completion> {
        self.completions.try_recv().ok()
    }

    /// Lets the threads finish what is queued, for a bounded time. True when they have.
    pub(crate) fn finish(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let Self { jobs, commits, digests, completions, .. } = self;
        drop((jobs, commits, digests));
        // Every thread holds a sender; when none is left, all have ended.
        while completions.recv_deadline(deadline).is_ok() {}
        Instant::now() < deadline
    }
}

impl Reports {
    fn complete(&self, asker: Asker, outcome: Outcome) {
        // It can only fail when the reactor has ended.
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

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(work).map(drop)
}

/// A queue can only be lost when its threads have panicked; the sessions' deadlines answer for that.
fn report_lost(is_sent: bool) {
    if !is_sent {
        log::error!("The disk threads are gone");
    }
}
