//! Digests of local files, on threads of their own: the sessions go on meanwhile.

use crate::limits::{HASH_BUFFER_BYTES, HASH_THREADS};
use crate::tree::source::Source;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use ferry_common::wire::digest::{Digest, Hasher};
use mio::Waker;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The digest of the beginning of a file that is being computed. Dropped before, it is computed in vain.
#[derive(Debug)]
pub(crate) struct Hashing(Receiver<io::Result<Hasher>>);

impl Hashing {
    /// Takes in the first `length` bytes, or all where there are fewer. `waker` is woken at the end.
    pub(crate) fn start(file: File, length: u64, waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        thread::Builder::new().name("digest".to_owned()).spawn(move || {
            // The upload may be over.
            let _ = sender.send(hash(&file, length, &AtomicBool::new(false)));
            // Where it fails, the job looks a little later.
            let _ = waker.wake();
        })?;
        Ok(Self(receiver))
    }

    /// `None` while it goes on.
    pub(crate) fn result(&self) -> Option<io::Result<Hasher>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// Two threads that compute the digests of many files. Dropped, they give up what they are at.
pub(crate) struct Hashers {
    files: Sender<(u64, Source)>,
    results: Receiver<Hashed>,
    is_over: Arc<AtomicBool>,
}

/// What has come of one file.
pub(crate) struct Hashed {
    pub(crate) ticket: u64,
    /// `None` where the file was written to meanwhile.
    pub(crate) digest: io::Result<Option<Digest>>,
}

impl Hashers {
    /// `waker` is woken at the end of each file.
    pub(crate) fn start(waker: &Arc<Waker>) -> io::Result<Self> {
        let (files, to_hash) = crossbeam_channel::unbounded::<(u64, Source)>();
        let (sender, results) = crossbeam_channel::unbounded();
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..HASH_THREADS {
            let (to_hash, sender) = (to_hash.clone(), sender.clone());
            let (waker, is_over) = (Arc::clone(waker), Arc::clone(&is_over));
            thread::Builder::new().name("digest".to_owned()).spawn(move || {
                for (ticket, source) in to_hash {
                    let hashed = hash(&source.file, source.facts.size_bytes, &is_over);
                    let digest = hashed.map(|hasher| source.is_unchanged().then(|| hasher.digest()));
                    if sender.send(Hashed { ticket, digest }).is_err() {
                        return;
                    }
                    // Where it fails, the job looks a little later.
                    let _ = waker.wake();
                }
            })?;
        }
        Ok(Self { files, results, is_over })
    }

    /// The ticket tells the result apart from others. Those that are on their way are bounded by their owner.
    pub(crate) fn push(&self, ticket: u64, source: Source) {
        // The threads end after this end of the channel.
        let _ = self.files.send((ticket, source));
    }

    pub(crate) fn poll(&self) -> Option<Hashed> {
        self.results.try_recv().ok()
    }
}

impl Drop for Hashers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn hash(file: &File, length: u64, is_over: &AtomicBool) -> io::Result<Hasher> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    while hasher.length() < length {
        if is_over.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let left = usize::try_from(length - hasher.length()).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        match file.read_at(&mut buffer[..wanted], hasher.length()) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher)
}
