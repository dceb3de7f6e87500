//! The disk threads: a small pool that does whatever may wait for a disk and tells the reactor when it
//! is done. The threads hold no state; every job is bounded in bytes, so that none keeps a thread long
//! on a healthy disk.
//!
//! Sessions that ask for the same part of the same listing share one job, as long as it has not begun:
//! what it then reads is no older than any of their questions. So a crowd that lists one directory costs
//! little more than one reader.

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
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Size of the pieces in which a cold part of a file is read.
const WARM_READ_BYTES: usize = 256 * 1024;

/// Whose job it is: a session, and which of its transfers. A later one must not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) session: Key,
    pub(crate) transfer: u32,
}

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
    Listed(Arc<Result<ListingPart, ErrorCode>>),
    Stat(Result<Entry, ErrorCode>),
    Opened(Result<OpenFile, ErrorCode>),
    Staged(Result<StagedFile, ErrorCode>),
    Written { buffer: Vec<u8>, result: Result<u64, ErrorCode> },
    Warmed(Result<(), ErrorCode>),
    Published(Result<(), ErrorCode>),
}

/// An outcome, and whom it is for.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) asker: Asker,
    pub(crate) outcome: Outcome,
}

/// The reactor's side of the pool. Dropping it lets the threads finish their queue and end.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: Sender<(Asker, Job)>,
    listings: Arc<Listings>,
    completions: Receiver<Completion>,
    wake: Arc<Wake>,
    _threads: Vec<JoinHandle<()>>,
}

/// Who waits for which part of which listing, until a thread begins on it.
#[derive(Debug, Default)]
struct Listings {
    waiting: Mutex<HashMap<(RemotePath, u64), Vec<Asker>>>,
}

/// What a thread works with.
struct Worker {
    folder: Arc<Folder>,
    queue: Receiver<(Asker, Job)>,
    listings: Arc<Listings>,
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
        let (jobs, queue) = crossbeam_channel::unbounded::<(Asker, Job)>();
        let (done, completions) = crossbeam_channel::unbounded();
        let wake = Arc::new(Wake { waker, pending: AtomicBool::new(false) });
        let listings = Arc::new(Listings::default());
        let mut threads = Vec::with_capacity(DISK_THREADS);
        for number in 0..DISK_THREADS {
            let worker = Worker {
                folder: Arc::clone(folder),
                queue: queue.clone(),
                listings: Arc::clone(&listings),
                completions: done.clone(),
                wake: Arc::clone(&wake),
            };
            let thread = std::thread::Builder::new().name(format!("disk-{number}"));
            threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(Self { jobs, listings, completions, wake, _threads: threads })
    }

    /// Queues a job. The queue is bounded by what the sessions may have under way.
    pub(crate) fn submit(&self, asker: Asker, job: Job) {
        if let Job::List { path, cursor } = &job
            && self.listings.join(path, *cursor, asker)
        {
            return;
        }
        // It can only fail when every thread has panicked; the session's deadline answers for that.
        if self.jobs.send((asker, job)).is_err() {
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

impl Listings {
    /// Waits for a part of a listing; true where a job for it is queued already.
    fn join(&self, path: &RemotePath, cursor: u64, asking: Asker) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiting.entry((path.clone(), cursor)).or_default();
        waiters.push(asking);
        waiters.len() > 1
    }

    /// Everybody who waits for it. Who asks from now on has a job of their own.
    fn begin(&self, path: &RemotePath, cursor: u64) -> Vec<Asker> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&(path.clone(), cursor)).unwrap_or_default()
    }
}

impl Worker {
    fn run(self) {
        for (asker, job) in &self.queue {
            let outcome = match job {
                Job::List { path, cursor } => {
                    let waiters = self.listings.begin(&path, cursor);
                    let part = Arc::new(self.folder.list(&path, cursor));
                    for asker in waiters {
                        self.complete(asker, Outcome::Listed(Arc::clone(&part)));
                    }
                    continue;
                }
                Job::Stat { path } => Outcome::Stat(self.folder.stat(&path)),
                Job::Open { path } => {
                    Outcome::Opened(self.folder.open_file(&path, Lookup::MayBlock).map_err(code_of))
                }
                Job::Stage { path } => Outcome::Staged(self.folder.stage(&path)),
                Job::Write { staged, buffer, length, offset } => {
                    let result = write_at(&staged, &buffer[..length], offset);
                    Outcome::Written { buffer, result }
                }
                Job::Warm { file, offset, length } => Outcome::Warmed(warm(&file, offset, length)),
                Job::Publish { staged, path } => Outcome::Published(self.folder.publish(&staged, &path)),
                Job::Discard { staged } => {
                    drop(staged);
                    continue;
                }
            };
            self.complete(asker, outcome);
        }
    }

    fn complete(&self, asker: Asker, outcome: Outcome) {
        // It can only fail when the reactor has ended.
        if self.completions.send(Completion { asker, outcome }).is_ok() {
            self.wake.wake();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_shared_until_it_begins() {
        let listings = Listings::default();
        let (path, asking) =
            (RemotePath::root(), |number| Asker { session: Key::from_bits(number), transfer: 0 });
        assert!(!listings.join(&path, 0, asking(1)));
        assert!(listings.join(&path, 0, asking(2)));
        assert!(!listings.join(&path, 7, asking(3)), "another part");
        assert_eq!(listings.begin(&path, 0), [asking(1), asking(2)]);
        assert!(!listings.join(&path, 0, asking(4)), "it has begun, so this question is newer");
    }
}
