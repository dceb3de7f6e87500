//! Where uploads wait until they are whole: a hidden directory inside the root, on the same file system,
//! so that a rename publishes them.
//!
//! Each server process has a subdirectory of its own, which it holds locked while it lives. What a dead
//! server left is swept when the next one starts; what a living one holds is left alone.

use ferry_common::path::HIDDEN_NAME;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OWNER_ONLY: Mode = Mode::RWXU;

/// This process's part of the staging directory.
#[derive(Debug)]
pub(crate) struct Staging {
    home: Arc<Home>,
    next_number: AtomicU64,
}

/// A file that has no name that a client could use. It is removed when dropped, unless it was renamed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    home: Arc<Home>,
    name: String,
    file: File,
    published: AtomicBool,
}

/// A locked subdirectory; removed when nothing refers to it any more.
#[derive(Debug)]
struct Home {
    root: OwnedFd,
    parent: OwnedFd,
    directory: OwnedFd,
    name: String,
}

impl Staging {
    /// Makes and locks a subdirectory of this process's own, and sweeps those of dead processes.
    pub(crate) fn prepare(root: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        make_directory(root, HIDDEN_NAME)?;
        let parent = rustix::fs::openat(root, HIDDEN_NAME, DIRECTORY, Mode::empty())?;
        // Between making a subdirectory and locking it, another server's sweep must not come.
        rustix::fs::flock(&parent, FlockOperation::LockExclusive)?;
        sweep(parent.as_fd());
        let mut secret = [0_u8; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("{:016x}", u64::from_be_bytes(secret));
        rustix::fs::mkdirat(&parent, &name, OWNER_ONLY)?;
        let directory = rustix::fs::openat(&parent, &name, DIRECTORY, Mode::empty())?;
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::flock(&parent, FlockOperation::Unlock)?;
        let root = root
            .try_clone_to_owned()
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
        let home = Arc::new(Home { root, parent, directory, name });
        Ok(Self { home, next_number: AtomicU64::new(0) })
    }

    pub(crate) fn create(&self) -> rustix::io::Result<StagedFile> {
        let name = self.next_number.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // As any new file; the directory around it keeps others out until it is published.
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = File::from(rustix::fs::openat(&self.home.directory, &name, flags, mode)?);
        Ok(StagedFile { home: Arc::clone(&self.home), name, file, published: AtomicBool::new(false) })
    }
}

impl StagedFile {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Brings the content to the disk.
    pub(crate) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(&self.file)
    }

    /// Gives the file its name, in place of whatever file has it.
    pub(crate) fn rename_to(&self, directory: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.home.directory, &self.name, directory, name)?;
        self.published.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published.load(Ordering::Relaxed) {
            // What cannot be removed now is swept at the next start.
            let _ = rustix::fs::unlinkat(&self.home.directory, &self.name, AtFlags::empty());
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Fails, rightly, while another server has its own subdirectory beside this one.
        let _ = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        let _ = rustix::fs::unlinkat(&self.root, HIDDEN_NAME, AtFlags::REMOVEDIR);
    }
}

fn make_directory(root: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(root, name, OWNER_ONLY) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Removes the subdirectories whose lock nobody holds. What cannot be removed stays for another time.
fn sweep(parent: BorrowedFd<'_>) {
    for name in names_in(parent) {
        let Ok(directory) = rustix::fs::openat(parent, &name, DIRECTORY, Mode::empty()) else { continue };
        if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        for file in names_in(directory.as_fd()) {
            let _ = rustix::fs::unlinkat(&directory, &file, AtFlags::empty());
        }
        let _ = rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR);
    }
}

fn names_in(directory: BorrowedFd<'_>) -> Vec<Vec<u8>> {
    let Ok(entries) = Dir::read_from(directory) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_bytes().to_vec())
        .filter(|name| !matches!(name.as_slice(), b"." | b".."))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn root_of(folder: &Path) -> OwnedFd {
        rustix::fs::open(folder, DIRECTORY, Mode::empty()).unwrap()
    }

    fn count(folder: &Path) -> usize {
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[test]
    fn leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::prepare(root_of(folder.path()).as_fd()).unwrap();
        let staged = staging.create().unwrap();
        assert_eq!(count(folder.path()), 1);
        drop(staging);
        drop(staged);
        assert_eq!(count(folder.path()), 0);
    }

    #[test]
    fn sweeps_what_the_dead_left_and_spares_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let root = root_of(folder.path());
        let living = Staging::prepare(root.as_fd()).unwrap();
        let kept = living.create().unwrap();
        let hidden = folder.path().join(str::from_utf8(HIDDEN_NAME).unwrap());
        std::fs::create_dir(hidden.join("dead")).unwrap();
        std::fs::write(hidden.join("dead/0"), "rest").unwrap();

        let second = Staging::prepare(root.as_fd()).unwrap();
        assert!(!hidden.join("dead").exists());
        assert_eq!(count(&hidden), 2);
        kept.rename_to(root.as_fd(), b"kept").unwrap();
        drop((kept, living, second));
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn does_not_follow_a_link_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(
            elsewhere.path(),
            folder.path().join(str::from_utf8(HIDDEN_NAME).unwrap()),
        )
        .unwrap();
        assert!(Staging::prepare(root_of(folder.path()).as_fd()).is_err());
        assert_eq!(count(elsewhere.path()), 0);
    }
}
