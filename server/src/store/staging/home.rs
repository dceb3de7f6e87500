//! One server process's place on one file system: `.ferry-staging/<process>/` for what comes in, and
//! `.ferry-staging/partial/`, shared by all, for what broke off. Each process has a claim on its own directory
//! while it lives; what a process has claimed, no other touches.

use super::abandoned;
use super::claim::{Claim, LOCK_NAME};
use super::error::StagingError;
use super::naming::{self, PARTIAL_NAME, Remains, partial_name};
use super::partials::{DIRECTORY, Entry, Kept, Retention, names_in};
use super::space::Space;
use crate::store::acl;
use crate::store::lane_id::LaneId;
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Attempts at preparing while another server, as the last, takes its directories away.
const ATTEMPTS: usize = 16;

/// File systems on which one flush of everything is known to flush everything, and to tell of errors:
/// ext2 to ext4, xfs, btrfs, f2fs, tmpfs.
const FLUSHABLE_MAGICS: &[u64] = &[0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// A claimed subdirectory; removed when nothing refers to it any more.
#[derive(Debug)]
pub(crate) struct Home {
    /// The top of the file system.
    top: OwnedFd,
    /// `.ferry-staging`.
    parent: OwnedFd,
    partial: OwnedFd,
    directory: OwnedFd,
    /// Device and inode of `parent`, which no other directory has while that is open.
    top_identity: (u64, u64),
    name: String,
    lane: LaneId,
    /// `None` only while the home is dropped.
    claim: Option<Claim>,
    kept: Mutex<Kept>,
    space: Arc<Space>,
    next_number: AtomicU64,
    is_flushable: AtomicBool,
}

/// What was kept of an upload to a name, before another file came to have it.
#[derive(Debug)]
pub(crate) struct Superseded {
    home: Arc<Home>,
    name: String,
    entry: Entry,
}

impl Home {
    /// Makes and claims a subdirectory of this process's own, and looks through those of dead processes. Refuses
    /// a file system on which a claim keeps no other server out.
    pub(crate) fn prepare(
        top: BorrowedFd<'_>,
        keep_free_bytes: Option<u64>,
        lane: LaneId,
    ) -> Result<Self, StagingError> {
        let mut result = Err(StagingError::Call(Errno::NOENT));
        for _ in 0..ATTEMPTS {
            result = Self::prepare_once(top, keep_free_bytes, lane);
            if !matches!(result, Err(StagingError::Call(Errno::NOENT))) {
                break;
            }
        }
        result
    }

    fn prepare_once(
        top: BorrowedFd<'_>,
        keep_free_bytes: Option<u64>,
        lane: LaneId,
    ) -> Result<Self, StagingError> {
        let parent = directory_in(top, HIDDEN_NAME)?;
        // Between making a subdirectory and claiming it, another server's look must not come.
        let whole = Claim::wait(parent.as_fd())?;
        whole.prove(parent.as_fd())?;
        let partial = directory_in(parent.as_fd(), PARTIAL_NAME.as_bytes())?;
        abandoned::look_through(parent.as_fd(), partial.as_fd());
        let mut secret = [0_u8; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("{:016x}", u64::from_be_bytes(secret));
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        let directory = rustix::fs::openat(&parent, &name, DIRECTORY, Mode::empty())?;
        // What is staged is to have nothing of this directory; most have no such list, and some no lists.
        let _ = rustix::fs::fremovexattr(&directory, acl::DEFAULT_NAME);
        let claim = Claim::wait(directory.as_fd())?;
        abandoned::note_start(&claim);
        let claim = Some(claim);
        drop(whole);
        let top = rustix::io::fcntl_dupfd_cloexec(top, 0)?;
        let magic = rustix::fs::fstatfs(&directory)?.f_type;
        let is_known = u64::try_from(magic).is_ok_and(|magic| FLUSHABLE_MAGICS.contains(&magic));
        let kept = Mutex::new(Kept::read(&partial));
        let hidden = rustix::fs::fstat(&parent)?;
        Ok(Self {
            top,
            parent,
            partial,
            directory,
            top_identity: (hidden.st_dev, hidden.st_ino),
            name,
            lane,
            claim,
            kept,
            space: Arc::new(Space::new(keep_free_bytes)),
            next_number: AtomicU64::new(0),
            is_flushable: AtomicBool::new(is_known),
        })
    }

    /// True while uploads can be staged and kept here: none of its directories was removed.
    pub(crate) fn is_there(&self) -> bool {
        let is_there = |directory| {
            rustix::fs::statat(directory, ".", AtFlags::empty()).is_ok_and(|stat| stat.st_nlink > 0)
        };
        is_there(&self.partial)
            && rustix::fs::statat(&self.directory, LOCK_NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// True for the directory that holds everything that Ferry keeps on this file system.
    pub(crate) fn is_top(&self, device: u64, inode: u64) -> bool {
        (device, inode) == self.top_identity
    }

    pub(super) fn lane(&self) -> LaneId {
        self.lane
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// See [`Kept::sweep`].
    pub(crate) fn sweep_partials(&self, retention: Retention) -> Option<Duration> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.kept().sweep(self.partial_directory(), retention, now_s)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_flushable(&self) -> bool {
        self.is_flushable.load(Ordering::Relaxed)
    }

    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    pub(super) fn partial_directory(&self) -> &OwnedFd {
        &self.partial
    }

    /// Flushes everything on the file system. `false` where that cannot be relied on here, or not any more: an
    /// error is reported once, and a later success proves nothing about what was written before. Each file by itself
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

    /// A free name that tells, after a crash, what the file was to become, and what is to be kept of it.
    pub(super) fn new_name(&self, path: &RemotePath, remains: Remains) -> String {
        naming::staged_name(path, remains, self.next_number())
    }

    /// A free name for what is set aside for a moment. It tells of no upload, so that after a crash the file is
    /// removed and never taken for a kept one.
    pub(crate) fn new_aside_name(&self) -> String {
        naming::aside_name(self.next_number())
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the kept part of an upload, so that no other session can go on with it.
    pub(super) fn claim_partial(&self, path: &RemotePath, name: &str) -> rustix::io::Result<()> {
        let kept_name = partial_name(path);
        rustix::fs::renameat(&self.partial, &kept_name, &self.directory, name)?;
        self.kept().look_at(&self.partial, kept_name.as_bytes());
        Ok(())
    }

    /// Keeps a file of this process for the client to go on with.
    pub(super) fn keep(&self, name: &str, path: &RemotePath) -> rustix::io::Result<()> {
        self.keep_as(name, path, RenameFlags::empty())
    }

    /// Undoes [`Home::claim_partial`], unless something newer is kept by now.
    pub(super) fn put_back(&self, name: &str, path: &RemotePath) -> rustix::io::Result<()> {
        match self.keep_as(name, path, RenameFlags::NOREPLACE) {
            // Not every file system has the flag. Then the newer one is lost if it comes just now.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if self.open_partial(path).is_err() => {
                self.keep(name, path)
            }
            result => result,
        }
    }

    fn keep_as(&self, name: &str, path: &RemotePath, flags: RenameFlags) -> rustix::io::Result<()> {
        let kept_name = partial_name(path);
        let rename = || {
            if flags.is_empty() {
                rustix::fs::renameat(&self.directory, name, &self.partial, &kept_name)
            } else {
                rustix::fs::renameat_with(&self.directory, name, &self.partial, &kept_name, flags)
            }
        };
        rename()?;
        self.kept().look_at(&self.partial, kept_name.as_bytes());
        Ok(())
    }

    /// Keeps nothing of an upload but that it broke off.
    pub(super) fn record(&self, path: &RemotePath) -> rustix::io::Result<()> {
        let name = self.new_name(path, Remains::Any);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The permissions of whatever goes on with it are set when that gets its name.
        rustix::fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR).map(drop)?;
        self.keep(&name, path).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty());
        })
    }

    /// True where an upload to this path broke off and has not been made up for.
    pub(crate) fn has_partial(&self, path: &RemotePath) -> rustix::io::Result<bool> {
        match rustix::fs::statat(&self.partial, partial_name(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// What this process has kept of an upload to this path, now that another file has come to have the name, or none.
    pub(crate) fn superseded(self: &Arc<Self>, path: &RemotePath) -> Option<Superseded> {
        let kept = self.kept();
        if kept.is_empty() {
            return None;
        }
        let name = partial_name(path);
        let entry = kept.get(&name)?;
        Some(Superseded { home: Arc::clone(self), name, entry })
    }

    /// Opens the kept part of an upload, to look at it.
    pub(crate) fn open_partial(&self, path: &RemotePath) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.partial, partial_name(path), flags, Mode::empty())
    }
}

impl Superseded {
    /// To be called when the other file is on the disk. What was kept since is left alone.
    pub(crate) fn remove(self) {
        let Self { home, name, entry } = self;
        home.kept().remove(home.partial_directory(), name.as_bytes(), entry);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.remove(self.directory.as_fd());
        }
        // Each of these fails, rightly, where something is kept or another server has its own subdirectory.
        let _ = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        // The whole goes only while no other server prepares its own.
        let Some(whole) = Claim::of_abandoned(self.parent.as_fd()) else { return };
        let _ = rustix::fs::unlinkat(&self.parent, PARTIAL_NAME, AtFlags::REMOVEDIR);
        if names_in(self.parent.as_fd()) == [LOCK_NAME.as_bytes()] {
            whole.remove(self.parent.as_fd());
            let _ = rustix::fs::unlinkat(&self.top, HIDDEN_NAME, AtFlags::REMOVEDIR);
        }
    }
}

/// Opens a directory of Ferry's own, made where it is missing; never what stands in its place.
fn directory_in(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, StagingError> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(StagingError::Call(errno)),
    }
    let opened = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty());
    let opened = opened.map_err(|errno| StagingError::of_directory(parent, name, errno))?;
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(&opened, ".", access, AtFlags::EACCESS)
        .map_err(|errno| StagingError::of_directory(parent, name, errno))?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::super::{KeptPart, StagedFile};
    use super::*;
    use crate::net::address::Address;
    use crate::store::tests::cleared;
    use ferry_common::error::ErrorCode;
    use ferry_common::limits::EAGER_MAX_BYTES;
    use ferry_common::wire::digest::Digest;
    use ferry_session::access::Cleared;
    use ferry_session::action::Length;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn root_of(folder: &Path) -> OwnedFd {
        rustix::fs::open(folder, DIRECTORY, Mode::empty()).unwrap()
    }

    fn home_in(folder: &Path) -> Arc<Home> {
        Arc::new(Home::prepare(root_of(folder).as_fd(), Some(0), LaneId::ROOT).unwrap())
    }

    fn hidden(folder: &Path) -> PathBuf {
        folder.join(str::from_utf8(HIDDEN_NAME).unwrap())
    }

    fn count(folder: &Path) -> usize {
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn hash(staged: &StagedFile) -> Result<(), ErrorCode> {
        let mut scratch = vec![0; 4096];
        while !staged.begin_step(1 << 20, &mut scratch)? {}
        Ok(())
    }

    fn path() -> Cleared {
        cleared("some/file")
    }

    #[test]
    fn leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let staged = StagedFile::create(&home, &path(), Length::Exact(10), true, Address::OWN).unwrap();
        assert_eq!(count(folder.path()), 1);
        drop((home, staged));
        assert_eq!(count(folder.path()), 0);
    }

    #[test]
    fn an_upload_until_close_is_whole_when_that_is_said_and_holds_no_space_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let staged = StagedFile::create(&home, &path(), Length::UntilClose, true, Address::OWN).unwrap();
        let part = vec![7; 1 << 20];
        for _ in 0..3 {
            staged.append(&part).unwrap();
        }
        staged.complete().unwrap();
        staged.sync().unwrap();
        staged.rename_to(&root_of(folder.path()), b"whole", true).unwrap();
        let metadata = std::fs::metadata(folder.path().join("whole")).unwrap();
        assert_eq!(metadata.len(), 3 << 20);
        assert!(metadata.blocks() * 512 <= 4 << 20, "{} blocks for 3 MiB", metadata.blocks());
        assert_eq!(staged.digest(), Digest::of(&part.repeat(3)));
    }

    #[test]
    fn removes_what_the_dead_left_keeps_what_is_large_and_spares_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let living = home_in(folder.path());
        let staged = StagedFile::create(&living, &path(), Length::Exact(10), true, Address::OWN).unwrap();
        let dead = hidden(folder.path()).join("dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK_NAME), "").unwrap();
        std::fs::write(dead.join(living.new_name(&path(), Remains::Large)), "small").unwrap();
        let large = RemotePath::parse(b"large").unwrap();
        let content = vec![7; 1 + usize::try_from(EAGER_MAX_BYTES).unwrap()];
        std::fs::write(dead.join(living.new_name(&large, Remains::Large)), &content).unwrap();

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
        let staged = StagedFile::create(&home, &path(), Length::Exact(4 << 20), true, Address::OWN).unwrap();
        staged.append(&half).unwrap();
        staged.keep();
        drop(staged);

        let resume = KeptPart { offset: 2 << 20, expected: Some(Digest::of(&half)) };
        let go_on =
            |resume| StagedFile::resume(&home, &path(), Length::Exact(4 << 20), resume, true, Address::OWN);
        let resumed = go_on(resume).unwrap();
        assert!(go_on(resume).is_err());
        hash(&resumed).unwrap();
        assert_eq!(Some(resumed.digest()), resume.expected);
        resumed.append(&half).unwrap();
        assert_eq!(resumed.digest(), Digest::of(&vec![1; 4 << 20]));
    }

    #[test]
    fn a_resume_that_comes_to_nothing_leaves_what_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let content = vec![1; 3 << 20];
        let staged = StagedFile::create(&home, &path(), Length::Exact(4 << 20), true, Address::OWN).unwrap();
        staged.append(&content).unwrap();
        staged.keep();
        drop(staged);
        let kept_bytes = || {
            let kept = home.open_partial(&path()).unwrap();
            rustix::fs::fstat(kept).unwrap().st_size
        };
        let go_on = |offset, digest| {
            let resume = KeptPart { offset, expected: Some(digest) };
            StagedFile::resume(&home, &path(), Length::Exact(4 << 20), resume, true, Address::OWN)
        };

        let wrong = go_on(2 << 20, Digest::of(b"something else")).unwrap();
        assert_eq!(hash(&wrong), Err(ErrorCode::NoPartial));
        wrong.keep();
        drop(wrong);
        assert_eq!(kept_bytes(), 3 << 20, "a wrong digest changes nothing");
        assert_eq!(go_on(4 << 20, Digest::of(b"")).unwrap_err(), ErrorCode::NoPartial);
        assert_eq!(kept_bytes(), 3 << 20, "nor does one of more than there is");
        drop(go_on(2 << 20, Digest::of(&content[..2 << 20])).unwrap());
        assert_eq!(kept_bytes(), 3 << 20, "nor one that ends before it is compared");
        let failing = go_on(2 << 20, Digest::of(&content[..2 << 20])).unwrap();
        hash(&failing).unwrap();
        failing.append(&[2; 100]).unwrap();
        drop(failing);
        assert_eq!(kept_bytes(), 2 << 20, "what failed behind it is not kept");
    }

    #[test]
    fn a_file_with_a_second_name_is_never_written_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let content = vec![1; 2 << 20];
        let staged = StagedFile::create(&home, &path(), Length::Exact(4 << 20), true, Address::OWN).unwrap();
        staged.append(&content).unwrap();
        staged.keep();
        drop(staged);
        let kept = hidden(folder.path()).join(PARTIAL_NAME).join(partial_name(&path()));
        std::fs::hard_link(kept, folder.path().join("published")).unwrap();
        let resume = KeptPart { offset: 2 << 20, expected: Some(Digest::of(&content)) };
        let resumed = StagedFile::resume(&home, &path(), Length::Exact(4 << 20), resume, true, Address::OWN);
        assert_eq!(resumed.unwrap_err(), ErrorCode::NoPartial);
    }

    #[test]
    fn what_has_its_name_takes_no_more_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        let staged = StagedFile::create(&home, &path(), Length::Exact(10), true, Address::OWN).unwrap();
        staged.append(b"0123").unwrap();
        staged.rename_to(&root_of(folder.path()), b"file", true).unwrap();
        assert_eq!(staged.append(b"4567"), Err(ErrorCode::BrokenOff));
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"0123");
    }

    #[test]
    fn what_was_removed_shows() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_in(folder.path());
        assert!(home.is_there());
        std::fs::remove_dir(hidden(folder.path()).join(PARTIAL_NAME)).unwrap();
        assert!(!home.is_there());
        let second = home_in(folder.path());
        assert!(second.is_there());
        std::fs::remove_dir_all(hidden(folder.path())).unwrap();
        assert!(!second.is_there());
    }

    #[test]
    fn what_has_no_lock_may_have_a_living_server() {
        let folder = tempfile::tempdir().unwrap();
        let living = home_in(folder.path());
        let staged = StagedFile::create(&living, &path(), Length::Exact(10), true, Address::OWN).unwrap();
        std::fs::remove_file(hidden(folder.path()).join(&living.name).join(LOCK_NAME)).unwrap();
        let _second = home_in(folder.path());
        staged.append(b"0123456789").unwrap();
        staged.rename_to(&root_of(folder.path()), b"file", true).unwrap();
    }

    #[test]
    fn does_not_follow_a_link_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), hidden(folder.path())).unwrap();
        let refused = Home::prepare(root_of(folder.path()).as_fd(), Some(0), LaneId::ROOT).unwrap_err();
        assert_eq!(refused, StagingError::Occupied("a link"));
        assert_eq!(count(elsewhere.path()), 0);
        std::fs::remove_file(hidden(folder.path())).unwrap();
        std::fs::write(hidden(folder.path()), "").unwrap();
        let refused = Home::prepare(root_of(folder.path()).as_fd(), Some(0), LaneId::ROOT).unwrap_err();
        assert_eq!(refused, StagingError::Occupied("no directory"));
    }
}
