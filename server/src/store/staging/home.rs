//! One server process's place on one file system: `.ferry-staging/<process>/` for what comes in, and
//! `.ferry-staging/partial/`, shared by all, for what broke off.

use crate::store::acl;
use ferry_common::digest::Digest;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PARTIAL_NAME: &str = "partial";
/// Between the digest of a path and the number of the file.
const SEPARATOR: char = '-';

/// File systems on which one flush of everything is known to flush everything, and to tell of errors:
/// ext2 to ext4, xfs, btrfs, f2fs, tmpfs.
const FLUSHABLE_MAGICS: &[u64] = &[0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// A locked subdirectory; removed when nothing refers to it any more.
#[derive(Debug)]
pub(crate) struct Home {
    /// The top of the file system.
    top: OwnedFd,
    /// `.ferry-staging`.
    parent: OwnedFd,
    partial: OwnedFd,
    directory: OwnedFd,
    name: String,
    next_number: AtomicU64,
    is_flushable: AtomicBool,
}

impl Home {
    /// Makes and locks a subdirectory of this process's own, and looks through those of dead processes.
    pub(crate) fn prepare(top: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        make_directory(top, HIDDEN_NAME)?;
        let parent = rustix::fs::openat(top, HIDDEN_NAME, DIRECTORY, Mode::empty())?;
        // Between making a subdirectory and locking it, another server's look must not come.
        rustix::fs::flock(&parent, FlockOperation::LockExclusive)?;
        make_directory(parent.as_fd(), PARTIAL_NAME.as_bytes())?;
        let partial = rustix::fs::openat(&parent, PARTIAL_NAME, DIRECTORY, Mode::empty())?;
        sweep(parent.as_fd(), partial.as_fd());
        let mut secret = [0_u8; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("{:016x}", u64::from_be_bytes(secret));
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        let directory = rustix::fs::openat(&parent, &name, DIRECTORY, Mode::empty())?;
        // What is staged is to have nothing of this directory; most have no such list, and some no lists.
        let _ = rustix::fs::fremovexattr(&directory, acl::DEFAULT_NAME);
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::flock(&parent, FlockOperation::Unlock)?;
        let top = rustix::io::fcntl_dupfd_cloexec(top, 0)?;
        let magic = rustix::fs::fstatfs(&directory)?.f_type;
        let is_known = u64::try_from(magic).is_ok_and(|magic| FLUSHABLE_MAGICS.contains(&magic));
        let is_flushable = AtomicBool::new(is_known);
        Ok(Self { top, parent, partial, directory, name, next_number: AtomicU64::new(0), is_flushable })
    }

    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    pub(super) fn partial_directory(&self) -> &OwnedFd {
        &self.partial
    }

    /// Flushes everything on the file system. `false` where that cannot be relied on here, or not any more: an
    /// error is told once, and may be about what was written since for the next who asks. Each file by itself
    /// still tells of its own.
    pub(crate) fn flush_all(&self) -> rustix::io::Result<bool> {
        if !self.is_flushable.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match rustix::fs::syncfs(&self.directory) {
            Ok(()) => Ok(true),
            Err(errno) => {
                self.is_flushable.store(false, Ordering::Relaxed);
                Err(errno)
            }
        }
    }

    /// A free name that tells, to whoever finds the file after a crash, what it was to become.
    pub(super) fn new_name(&self, path: &RemotePath) -> String {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        format!("{}{SEPARATOR}{number}", partial_name(path))
    }

    /// A free name for what is set aside for a moment. It tells of no upload, so that after a crash the file is
    /// removed and never taken for a kept one.
    pub(crate) fn new_aside_name(&self) -> String {
        format!("aside{SEPARATOR}{}", self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes the kept part of an upload away from whoever else would go on with it.
    pub(super) fn claim_partial(&self, path: &RemotePath, name: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.partial, partial_name(path), &self.directory, name)
    }

    /// Keeps a file of this process for the client to go on with.
    pub(super) fn keep(&self, name: &str, path: &RemotePath) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.directory, name, &self.partial, partial_name(path))
    }

    /// Undoes [`Home::claim_partial`], unless something newer is kept by now.
    pub(super) fn put_back(&self, name: &str, path: &RemotePath) {
        let flags = RenameFlags::NOREPLACE;
        let put_back =
            rustix::fs::renameat_with(&self.directory, name, &self.partial, partial_name(path), flags);
        if put_back.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }

    /// Opens the kept part of an upload, to look at it.
    pub(crate) fn open_partial(&self, path: &RemotePath) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.partial, partial_name(path), flags, Mode::empty())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Each fails, rightly, where something is kept or another server has its own subdirectory.
        let _ = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        let _ = rustix::fs::unlinkat(&self.parent, PARTIAL_NAME, AtFlags::REMOVEDIR);
        let _ = rustix::fs::unlinkat(&self.top, HIDDEN_NAME, AtFlags::REMOVEDIR);
    }
}

/// The name by which the kept part of an upload is found again.
fn partial_name(path: &RemotePath) -> String {
    Digest::of(path.as_bytes()).to_string()
}

fn make_directory(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Empties the subdirectories whose lock nobody holds. What cannot be removed stays for another time.
fn sweep(parent: BorrowedFd<'_>, partial: BorrowedFd<'_>) {
    for name in names_in(parent) {
        let Ok(directory) = rustix::fs::openat(parent, &name, DIRECTORY, Mode::empty()) else { continue };
        if name == PARTIAL_NAME.as_bytes()
            || rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            continue;
        }
        for file in names_in(directory.as_fd()) {
            adopt_or_remove(directory.as_fd(), &file, partial);
        }
        let _ = rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR);
    }
}

/// Keeps what a killed server had of a large upload.
fn adopt_or_remove(directory: BorrowedFd<'_>, name: &[u8], partial: BorrowedFd<'_>) {
    let kept =
        std::str::from_utf8(name).ok().and_then(|name| name.split_once(SEPARATOR)).filter(|(stem, _)| {
            let size =
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_size);
            Digest::parse(stem.as_bytes()).is_some() && u64::try_from(size).unwrap_or(0) > EAGER_MAX_BYTES
        });
    let is_kept = kept.is_some_and(|(stem, _)| rustix::fs::renameat(directory, name, partial, stem).is_ok());
    if !is_kept {
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

pub(super) fn names_in(directory: BorrowedFd<'_>) -> Vec<Vec<u8>> {
    let Ok(entries) = Dir::read_from(directory) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_bytes().to_vec())
        .filter(|name| !matches!(name.as_slice(), b"." | b".."))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Retention, StagedFile};
    use super::*;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn root_of(folder: &Path) -> OwnedFd {
        rustix::fs::open(folder, DIRECTORY, Mode::empty()).unwrap()
    }

    fn home_in(folder: &Path) -> Arc<Home> {
        Arc::new(Home::prepare(root_of(folder).as_fd()).unwrap())
    }

    fn hidden(folder: &Path) -> PathBuf {
        folder.join(str::from_utf8(HIDDEN_NAME).unwrap())
    }

    fn count(folder: &Path) -> usize {
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn path() -> RemotePath {
        RemotePath::parse(b"some/file").unwrap()
    }

    #[test]
    fn leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let staged = StagedFile::create(&home, &path(), 10, true).unwrap();
        assert_eq!(count(folder.path()), 1);
        drop((home, staged));
        assert_eq!(count(folder.path()), 0);
    }

    #[test]
    fn removes_what_the_dead_left_keeps_what_is_large_and_spares_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let living = home_in(folder.path());
        let staged = StagedFile::create(&living, &path(), 10, true).unwrap();
        let dead = hidden(folder.path()).join("dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(living.new_name(&path())), "small").unwrap();
        let large = RemotePath::parse(b"large").unwrap();
        let content = vec![7; 1 + usize::try_from(EAGER_MAX_BYTES).unwrap()];
        std::fs::write(dead.join(living.new_name(&large)), &content).unwrap();

        let second = home_in(folder.path());
        assert!(!dead.exists());
        assert!(second.open_partial(&path()).is_err());
        assert!(second.open_partial(&large).is_ok());
        staged.rename_to(&root_of(folder.path()), b"kept", true).unwrap();
        drop((living, staged, second));
        assert_eq!(count(folder.path()), 2, "the file, and what is kept");
    }

    #[test]
    fn what_is_kept_can_be_gone_on_with_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let half = vec![1; 2 << 20];
        let staged = StagedFile::create(&home, &path(), 4 << 20, true).unwrap();
        staged.append(&half).unwrap();
        staged.keep();
        drop(staged);

        let resumed = StagedFile::resume(&home, &path(), 4 << 20, 2 << 20, true).unwrap();
        assert!(StagedFile::resume(&home, &path(), 4 << 20, 2 << 20, true).is_err());
        let mut scratch = vec![0; 4096];
        while !resumed.hash_step(2 << 20, 1 << 20, &mut scratch).unwrap() {}
        assert_eq!(resumed.digest(), Digest::of(&half));
        resumed.append(&half).unwrap();
        assert_eq!(resumed.digest(), Digest::of(&vec![1; 4 << 20]));
    }

    #[test]
    fn does_not_follow_a_link_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), hidden(folder.path())).unwrap();
        assert!(Home::prepare(root_of(folder.path()).as_fd()).is_err());
        assert_eq!(count(elsewhere.path()), 0);
    }

    #[test]
    fn old_and_surplus_partials_go() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let partial = hidden(folder.path()).join(PARTIAL_NAME);
        let age = |seconds| std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        for (name, seconds) in [("a", 5000), ("b", 300), ("c", 200), ("d", 100)] {
            let file = std::fs::File::create(partial.join(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(age(seconds)).unwrap();
        }
        let retention = Retention { age_s: 1000, bytes: 250 };
        let next = home.sweep_partials(retention).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(&partial).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["c", "d"]);
        assert!((795..=805).contains(&next.as_secs()), "{next:?}");
    }
}
