//! A server's claim on a directory: an exclusive lock on a regular file in it. Directories themselves are not
//! locked, since FUSE file systems lock them for one client only, or not at all.

use super::error::StagingError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::time::Duration;

/// The file that is locked. No name of a staged or kept upload is like it.
pub(super) const LOCK_NAME: &str = "lock";
/// More than what is noted in it.
const NOTE_MAX_BYTES: usize = 64;
/// Attempts at locking a file that another server has locked for a moment, or that is replaced meanwhile...
const ATTEMPTS: usize = 250;
/// ...and the time between them. Waiting in the kernel would have no end, and not every file system can.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(20);

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Claim {
    lock: OwnedFd,
}

impl Claim {
    /// Claims a directory, waiting for whatever server has it.
    pub(super) fn wait(directory: BorrowedFd<'_>) -> Result<Self, StagingError> {
        for _ in 0..ATTEMPTS {
            let file = open(directory, OFlags::CREATE)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_in_place(directory, &file) => return Ok(Self { lock: file }),
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(ATTEMPT_INTERVAL),
                Err(errno) => return Err(StagingError::NoLocks(errno)),
            }
        }
        Err(StagingError::Call(Errno::AGAIN))
    }

    /// Claims a directory that no server has. `None` where one may have it, and where its lock is missing: then
    /// that cannot be told.
    pub(super) fn of_abandoned(directory: BorrowedFd<'_>) -> Option<Self> {
        let file = open(directory, OFlags::empty()).ok()?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        is_in_place(directory, &file).then_some(Self { lock: file })
    }

    /// Sees whether the lock keeps others out: a second description of the same file must not get it.
    pub(super) fn prove(&self, directory: BorrowedFd<'_>) -> Result<(), StagingError> {
        let second = open(directory, OFlags::empty())?;
        if !is_in_place(directory, &self.lock) {
            return Err(StagingError::Call(Errno::NOENT));
        }
        match rustix::fs::flock(&second, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(()),
            Ok(()) => Err(StagingError::LockedTwice),
            Err(errno) => Err(StagingError::NoLocks(errno)),
        }
    }

    /// Writes this into the lock, where the file system has room: the next server learns from it of this one.
    pub(super) fn note(&self, note: &[u8]) {
        let _ = rustix::io::pwrite(&self.lock, note, 0);
    }

    /// What was noted, as far as it is no longer than [`NOTE_MAX_BYTES`].
    pub(super) fn noted(&self) -> Option<Vec<u8>> {
        let mut note = vec![0; NOTE_MAX_BYTES];
        let length = rustix::io::pread(&self.lock, &mut note, 0).ok()?;
        note.truncate(length);
        Some(note)
    }

    /// Removes the lock, and with it the claim; whatever is locked under this name next is another file.
    pub(super) fn remove(self, directory: BorrowedFd<'_>) {
        let _ = rustix::fs::unlinkat(directory, LOCK_NAME, AtFlags::empty());
    }
}

fn open(directory: BorrowedFd<'_>, how: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | how;
    rustix::fs::openat(directory, LOCK_NAME, flags, Mode::RUSR | Mode::WUSR)
}

/// A lock on a file that was removed meanwhile keeps no server out.
fn is_in_place(directory: BorrowedFd<'_>, file: &OwnedFd) -> bool {
    let there = rustix::fs::statat(directory, LOCK_NAME, AtFlags::SYMLINK_NOFOLLOW);
    let (Ok(there), Ok(locked)) = (there, rustix::fs::fstat(file.as_fd())) else { return false };
    (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_directory(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn a_claim_is_had_once_and_proves_itself() {
        let folder = tempfile::tempdir().unwrap();
        let directory = open_directory(folder.path());
        assert!(Claim::of_abandoned(directory.as_fd()).is_none(), "nothing tells that it is abandoned");
        let claim = Claim::wait(directory.as_fd()).unwrap();
        claim.prove(directory.as_fd()).unwrap();
        assert!(Claim::of_abandoned(directory.as_fd()).is_none());
        drop(claim);
        assert!(Claim::of_abandoned(directory.as_fd()).is_some());
    }

    #[test]
    fn a_lock_that_was_removed_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let directory = open_directory(folder.path());
        let first = Claim::wait(directory.as_fd()).unwrap();
        std::fs::remove_file(folder.path().join(LOCK_NAME)).unwrap();
        let second = Claim::wait(directory.as_fd()).unwrap();
        assert!(!is_in_place(directory.as_fd(), &first.lock) && is_in_place(directory.as_fd(), &second.lock));
    }
}
