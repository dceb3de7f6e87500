//! The served folder: every call on a path, confined beneath one root descriptor.
//!
//! Names are resolved by the kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)`, so that no
//! `..`, absolute name, link or race leads out. Only regular files and directories are served; what a
//! name leads to is looked at by `O_PATH` before it is opened, so a FIFO or device is never touched.
//! All of these calls may wait for a disk, except [`Folder::open_file`] with [`Lookup::CachedOnly`].

mod beginnings;
mod changes;
mod listing;
mod target;
mod uploads;

use crate::config::Durability;
use crate::store::digest_cache::FileIdentity;
use crate::store::errors::Call;
use crate::store::held_file::{Closer, HeldFile};
use crate::store::lane_id::LaneId;
use crate::store::mounts::Medium;
use crate::store::staging::{Retention, StagingError};
use ferry_common::error::ErrorCode;
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_session::access::Cleared;
use ferry_session::action::Opened;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target::Target;
pub(crate) use uploads::Destination;
use uploads::Homes;

/// Attempts at a lookup that the kernel gave up because of a rename elsewhere in the tree.
const LOOKUP_ATTEMPTS: usize = 16;

/// Whether a lookup may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Answer from the kernel's caches, or fail with `EAGAIN`.
    CachedOnly,
    MayBlock,
}

/// A regular file, opened for a download.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: HeldFile,
    pub(crate) facts: Opened,
    /// Which state of the file this is.
    pub(crate) identity: FileIdentity,
}

#[derive(Debug)]
pub(crate) struct Folder {
    root: Arc<OwnedFd>,
    /// Whose threads work with this.
    lane: LaneId,
    /// Of the root's own file system.
    medium: Medium,
    durability: Durability,
    retention: Retention,
    /// Where uploads are staged on each mounted file system; `None` where nothing may be uploaded.
    homes: Option<Homes>,
}

impl OpenFile {
    /// Refuses a file that says that it is empty and is not, as those of `/proc` and of some FUSE file systems: how
    /// much of it there is shows only when it is read. A file system that keeps its own files knows their size.
    pub(crate) fn with_known_size(self) -> Result<Self, ErrorCode> {
        if self.file.medium() == Medium::Foreign && self.facts.size_bytes == 0 {
            match rustix::io::retry_on_intr(|| rustix::io::pread(self.file.file(), &mut [0], 0)) {
                Ok(0) => {}
                Ok(_) => return Err(ErrorCode::UnknownSize),
                Err(errno) => return Err(Call::Read.of_file(self.file.file())(errno)),
            }
        }
        Ok(self)
    }
}

impl Folder {
    /// Opens the root. Uploads are refused until [`Folder::with_staging`].
    pub(crate) fn open(
        root: &Path,
        durability: Durability,
        retention: Retention,
    ) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        let medium = Medium::of(&root);
        let (root, lane) = (Arc::new(root), LaneId::ROOT);
        Ok(Self { root, lane, medium, durability, retention, homes: None })
    }

    /// Tries the calls that nothing works without, so that the start fails rather than every command. Gives the name of
    /// the one that fails.
    pub(crate) fn try_calls(&self) -> Result<(), (&'static str, Errno)> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let opened =
            rustix::fs::openat2(&*self.root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
        let opened = opened.map_err(|errno| ("openat2", errno))?;
        let wanted = StatxFlags::MNT_ID;
        let stat =
            rustix::fs::statx(opened, "", AtFlags::EMPTY_PATH, wanted).map_err(|errno| ("statx", errno))?;
        // A kernel that does not know the flag leaves it out of its answer.
        let is_told = stat.stx_mask & wanted.bits() != 0;
        if is_told { Ok(()) } else { Err(("statx", Errno::NOSYS)) }
    }

    /// Makes the folder ready for uploads, which leave so much free; `None` for a part of each file system.
    pub(crate) fn with_staging(mut self, keep_free_bytes: Option<u64>) -> Result<Self, StagingError> {
        self.homes = Some(Homes::new(&self.root, keep_free_bytes)?);
        Ok(self)
    }

    /// The same folder for another lane, with staging places of its own.
    pub(crate) fn for_lane(&self, lane: LaneId) -> Self {
        let homes = self.homes.as_ref().map(Homes::beside);
        let Self { root, medium, durability, retention, .. } = self;
        let root = Arc::clone(root);
        Self { root, lane, medium: *medium, durability: *durability, retention: *retention, homes }
    }

    /// Where the folder is now, by its absolute name.
    pub(crate) fn location(&self) -> std::io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Opens a regular file. `EAGAIN` is for the caller to try again where it may block. With
    /// [`Lookup::CachedOnly`] only the root's own file system is entered, and only where that answers from memory.
    pub(crate) fn open_file(
        &self,
        path: &Cleared,
        lookup: Lookup,
        closer: &Closer,
    ) -> Result<OpenFile, Errno> {
        if lookup == Lookup::CachedOnly && self.medium == Medium::Foreign {
            return Err(Errno::AGAIN);
        }
        let seen = self.look_up(path, OFlags::PATH, lookup)?;
        if let Err(errno) = regular_only(&rustix::fs::fstat(&seen)?) {
            return Err(if self.leads_into_staging(&seen) { Errno::NOENT } else { errno });
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let (descriptor, updates_atime) = self.resolve_to_read(path, flags, lookup)?;
        let stat = rustix::fs::fstat(&descriptor)?;
        // What was looked at may have been replaced since.
        regular_only(&stat)?;
        let facts = Opened {
            size_bytes: size_of_file(&stat),
            mtime: mtime_of(&stat),
            executable: is_executable(&stat),
        };
        let medium = self.medium_of(&descriptor);
        if updates_atime && medium == Medium::Local {
            // The first read of the day updates it, and that is this one.
            let _ = rustix::io::pread(&descriptor, &mut [0], 0);
        }
        let identity = FileIdentity::from_stat(&stat);
        let file = HeldFile::new(File::from(descriptor), medium, closer);
        Ok(OpenFile { file, facts, identity })
    }

    /// Facts of one file or directory.
    pub(crate) fn entry(&self, path: &Cleared) -> Result<Entry, ErrorCode> {
        self.stat(path)
    }

    fn stat(&self, path: &RemotePath) -> Result<Entry, ErrorCode> {
        let cannot_look = Call::Open.of(path);
        let look = |flags| {
            let found = self.resolve(path, OFlags::PATH | flags, Lookup::MayBlock)?;
            rustix::fs::fstat(found)
        };
        let mut stat = look(OFlags::NOFOLLOW).map_err(&cannot_look)?;
        let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if link {
            stat = look(OFlags::empty()).map_err(&cannot_look)?;
        }
        let entry = entry_of(&stat, path.file_name().unwrap_or(b".")).ok_or(ErrorCode::NotRegular)?;
        Ok(Entry { link, ..entry })
    }

    /// Opens a file whose digest is wanted, and tells how much of it.
    pub(crate) fn open_for_sum(
        &self,
        path: &Cleared,
        length: Option<u64>,
        closer: &Closer,
    ) -> Result<(HeldFile, u64), ErrorCode> {
        let open =
            self.open_file(path, Lookup::MayBlock, closer).map_err(Call::Open.of(path))?.with_known_size()?;
        let length = length.unwrap_or(open.facts.size_bytes);
        if length > open.facts.size_bytes { Err(ErrorCode::BadOffset) } else { Ok((open.file, length)) }
    }

    /// The directory that holds a path. Where `follow` is given, only its first so many names may be links.
    fn target(&self, path: &RemotePath, follow: Option<u32>) -> Result<Target, ErrorCode> {
        let parent = path.parent().ok_or(ErrorCode::IsDirectory)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = match follow {
            None => self.resolve(&parent, flags, Lookup::MayBlock),
            Some(names) => self.resolve_behind(&parent, names, flags),
        };
        let directory = opened.map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoParent,
            other => Call::Open.of(&parent)(other),
        })?;
        Ok(Target::new(directory, parent))
    }

    /// The directory that holds something which is to be taken from there.
    fn source(&self, path: &RemotePath, follow: Option<u32>) -> Result<Target, ErrorCode> {
        let not_found = |code| if code == ErrorCode::NoParent { ErrorCode::NotFound } else { code };
        self.target(path, follow).map_err(not_found)
    }

    /// Opens what is to be read; tells whether reading is written down, which may wait for the disk's journal. Only the
    /// owner of a file may do without.
    fn resolve_to_read(
        &self,
        path: &RemotePath,
        flags: OFlags,
        lookup: Lookup,
    ) -> Result<(OwnedFd, bool), Errno> {
        match self.resolve(path, flags | OFlags::NOATIME, lookup) {
            Err(Errno::PERM) if lookup == Lookup::CachedOnly => Err(Errno::AGAIN),
            Err(Errno::PERM) => Ok((self.resolve(path, flags, lookup)?, true)),
            result => Ok((result?, false)),
        }
    }

    /// Opens what a path leads to, which is not there where that is in a staging directory.
    fn resolve(&self, path: &RemotePath, flags: OFlags, lookup: Lookup) -> Result<OwnedFd, Errno> {
        let found = self.look_up(path, flags, lookup)?;
        if self.leads_into_staging(&found) { Err(Errno::NOENT) } else { Ok(found) }
    }

    /// As [`Folder::resolve`], following links in the first so many names only.
    fn resolve_behind(&self, path: &RemotePath, names: u32, flags: OFlags) -> Result<OwnedFd, Errno> {
        let (first, rest) = path.split_behind(names);
        let Some(rest) = rest else { return self.resolve(&first, flags, Lookup::MayBlock) };
        let first = self.resolve(&first, OFlags::PATH | OFlags::DIRECTORY, Lookup::MayBlock)?;
        let found =
            look_up_from(&first, &rest, flags, self.limits(Lookup::MayBlock) | ResolveFlags::NO_SYMLINKS)?;
        if self.leads_into_staging(&found) { Err(Errno::NOENT) } else { Ok(found) }
    }

    /// As [`Folder::resolve`], in a staging directory as well.
    fn look_up(&self, path: &RemotePath, flags: OFlags, lookup: Lookup) -> Result<OwnedFd, Errno> {
        match look_up_from(&self.root, path, flags, self.limits(lookup)) {
            // Another mount, or a link that leads out: a lookup that may wait tells which.
            Err(Errno::XDEV) if lookup == Lookup::CachedOnly => Err(Errno::AGAIN),
            result => result,
        }
    }

    /// Where a lookup may lead.
    fn limits(&self, lookup: Lookup) -> ResolveFlags {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if lookup == Lookup::CachedOnly {
            resolve |= ResolveFlags::CACHED;
        }
        // No thread of the folder's own file system ever touches another one.
        if self.lane == LaneId::ROOT {
            resolve |= ResolveFlags::NO_XDEV;
        }
        resolve
    }

    /// True where something lies in a staging directory, by whatever link or spelling of its name it was found: the
    /// kernel tells the name by which the server itself has that directory open. Where a foreign file system has other
    /// names for it, that name may be any of them, and the directories on the way are compared by their inodes.
    fn leads_into_staging(&self, found: &OwnedFd) -> bool {
        let Ok(name) = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())) else {
            return false;
        };
        let is_hidden = |part: &OsStr| part.as_bytes() == HIDDEN_NAME;
        let is_staging = |place: &Path| rustix::fs::lstat(place).is_ok_and(|stat| self.is_staging(&stat));
        name.iter().any(is_hidden)
            || self.medium_of(found) == Medium::Foreign && name.ancestors().any(is_staging)
    }

    /// Of the file system of something that was found. The threads of the folder's own never leave that; others ask.
    fn medium_of(&self, found: &OwnedFd) -> Medium {
        if self.lane == LaneId::ROOT { self.medium } else { Medium::of(found) }
    }
}

/// Tries again where the kernel gave up because of a rename elsewhere.
fn look_up_from(
    from: &OwnedFd,
    path: &RemotePath,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let may_block = !resolve.contains(ResolveFlags::CACHED);
    let flags = flags | OFlags::CLOEXEC;
    let open = || rustix::fs::openat2(from, path.as_bytes(), flags, Mode::empty(), resolve);
    let mut result = open();
    for _ in 1..LOOKUP_ATTEMPTS {
        match result {
            Err(Errno::AGAIN) if may_block => result = open(),
            Err(Errno::INTR) => result = open(),
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn entry_of(stat: &Stat, name: &[u8]) -> Option<Entry> {
    let (kind, size_bytes) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (EntryKind::File, size_of_file(stat)),
        FileType::Directory => (EntryKind::Dir, 0),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return None,
    };
    let executable = kind == EntryKind::File && is_executable(stat);
    Some(Entry { kind, size_bytes, mtime: mtime_of(stat), executable, link: false, name: name.to_vec() })
}

fn mtime_of(stat: &Stat) -> FileTime {
    FileTime::new(stat.st_mtime, stat.st_mtime_nsec)
}

fn is_executable(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR)
}

/// The kernel gives no negative sizes.
fn size_of_file(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn regular_only(stat: &Stat) -> Result<(), Errno> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Errno::ISDIR),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(Errno::NXIO),
    }
}
