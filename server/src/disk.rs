//! The disk threads: a small pool that does whatever may wait for a disk and tells the reactor when it
//! is done. The threads hold no state; every job is bounded in bytes, so that none keeps a thread long
//! on a healthy disk.

use crate::folder::{Folder, Lookup, OpenFile};
use crate::os_error::code_of;
use crate::slots::Key;
use crate::staging::StagedFile;
use crossbeam_channel::{Receiver, Sender};
use ferry_common::action::ListingPart;
use ferry_common::entry::Entry;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{DISK_THREADS, WARM_WINDOW_BYTES};
use ferry_common::path::RemotePath;
use mio::Waker;
use rustix::fs::Advice;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Size of the pieces in which a cold part of a file is read.
const WARM_READ_BYTES: usize = 256 * 1024;

/// What a disk thread is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    List {
        path: RemotePath,
        cursor: u64,
    },
    Stat {
        path: RemotePath,
    },
    Open {
        path: RemotePath,
    },
    Stage {
        path: RemotePath,
    },
    /// Write the first `length` bytes of the buffer at an offset of the staged file.
    Write {
        staged: Arc<StagedFile>,
        buffer: Vec<u8>,
        length: usize,
        offset: u64,
    },
    /// Bring part of a file into the page cache.
    Warm {
        file: Arc<File>,
        offset: u64,
        length: u64,
    },
    Publish {
        staged: Arc<StagedFile>,
        path: RemotePath,
    },
    /// Let go of a staged file where its removal may take its time.
    Discard {
        staged: Arc<StagedFile>,
    },
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Listed(Result<ListingPart, ErrorCode>),
    Stat(Result<Entry, ErrorCode>),
    Opened(Result<OpenFile, ErrorCode>),
    Staged(Result<StagedFile, ErrorCode>),
    Written { buffer: Vec<u8>, result: Result<u64, ErrorCode> },
    Warmed(Result<(), ErrorCode>),
    Published(Result<(), ErrorCode>),
    Discarded,
}

/// An outcome, and whom it is for.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) session: Key,
    /// Which of the session's transfers the job belonged to; a later one must not be told.
    pub(crate) transfer: u32,
    pub(crate) outcome: Outcome,
}

/// The reactor's side of the pool. Dropping it lets the threads finish their queue and end.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Sender<(Key, u32, Job)>,
    completions: Receiver<Completion>,
    wake: Arc<Wake>,
    _threads: Vec<JoinHandle<()>>,
}

/// Wakes the reactor once for all the completions that it has not looked at yet.
#[derive(Debug)]
struct Wake {
    waker: Waker,
    pending: AtomicBool,
}

impl Disk {
    pub(crate) fn start(folder: &Arc<Folder>, waker: Waker) -> io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::unbounded::<(Key, u32, Job)>();
        let (done, completions) = crossbeam_channel::unbounded();
        let wake = Arc::new(Wake { waker, pending: AtomicBool::new(false) });
        let mut threads = Vec::with_capacity(DISK_THREADS);
        for number in 0..DISK_THREADS {
            let (folder, queue, done, wake) =
                (Arc::clone(folder), queue.clone(), done.clone(), Arc::clone(&wake));
            let thread = std::thread::Builder::new().name(format!("disk-{number}")).spawn(move || {
                for (session, transfer, job) in queue {
                    let outcome = perform(&folder, job);
                    if done.send(Completion { session, transfer, outcome }).is_err() {
                        return;
                    }
                    wake.wake();
                }
            })?;
            threads.push(thread);
        }
        Ok(Self { jobs, completions, wake, _threads: threads })
    }

    /// Queues a job. The queue is bounded by what the sessions may have under way.
    pub(crate) fn submit(&self, session: Key, transfer: u32, job: Job) {
        // It can only fail when every thread has panicked; the session's deadline answers for that.
        if self.jobs.send((session, transfer, job)).is_err() {
            log::error!("The disk threads are gone");
        }
    }

    /// To be called when the waker has fired, before [`Disk::next_completion`].
    pub(crate) fn acknowledge_wake(&self) {
        self.wake.pending.store(false, Ordering::SeqCst);
    }

    pub(crate) fn next_completion(&self) -> Option<Completion> {
        self.completions.try_recv().ok()
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

fn perform(folder: &Folder, job: Job) -> Outcome {
    match job {
        Job::List { path, cursor } => Outcome::Listed(folder.list(&path, cursor)),
        Job::Stat { path } => Outcome::Stat(folder.stat(&path)),
        Job::Open { path } => Outcome::Opened(folder.open_file(&path, Lookup::MayBlock).map_err(code_of)),
        Job::Stage { path } => Outcome::Staged(folder.stage(&path)),
        Job::Write { staged, buffer, length, offset } => {
            let result = write_at(&staged, &buffer[..length], offset);
            Outcome::Written { buffer, result }
        }
        Job::Warm { file, offset, length } => Outcome::Warmed(warm(&file, offset, length)),
        Job::Publish { staged, path } => Outcome::Published(folder.publish(&staged, &path)),
        Job::Discard { staged } => {
            drop(staged);
            Outcome::Discarded
        }
    }
}

fn write_at(staged: &StagedFile, bytes: &[u8], offset: u64) -> Result<u64, ErrorCode> {
    staged.file().write_all_at(bytes, offset).map_err(|error| code_of_io(&error))?;
    Ok(bytes.len() as u64)
}

/// Reads a part of a file for its side effect on the page cache, and has the system read on behind it.
fn warm(file: &File, offset: u64, length: u64) -> Result<(), ErrorCode> {
    let mut scratch = vec![0; WARM_READ_BYTES];
    let end = offset.saturating_add(length);
    let mut at = offset;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(WARM_READ_BYTES);
        match file.read_at(&mut scratch[..wanted], at) {
            // The end of the file came early; sending will find out the same.
            Ok(0) => break,
            Ok(count) => at += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(code_of_io(&error)),
        }
    }
    // Only advice: what comes of it does not matter.
    let _ = rustix::fs::fadvise(file, end, NonZeroU64::new(WARM_WINDOW_BYTES), Advice::WillNeed);
    Ok(())
}

fn code_of_io(error: &io::Error) -> ErrorCode {
    rustix::io::Errno::from_io_error(error).map_or(ErrorCode::Io, code_of)
}
