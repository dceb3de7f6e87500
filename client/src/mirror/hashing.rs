//! Digests of the beginnings of large files, on a thread of their own: the sessions go on meanwhile.

use crate::limits::HASH_BUFFER_BYTES;
use crossbeam_channel::{Receiver, TryRecvError};
use ferry_common::wire::digest::Hasher;
use mio::Waker;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::thread;

/// A digest that is being computed. Dropped before, it is computed in vain.
#[derive(Debug)]
pub(crate) struct Hashing(Receiver<io::Result<Hasher>>);

impl Hashing {
    /// Takes in the first `length` bytes, or all where there are fewer. `waker` is woken at the end.
    pub(crate) fn start(file: File, length: u64, waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        thread::Builder::new().name("digest".to_owned()).spawn(move || {
            // The upload may be over.
            let _ = sender.send(hash(&file, length));
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

fn hash(file: &File, length: u64) -> io::Result<Hasher> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    while hasher.length() < length {
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
