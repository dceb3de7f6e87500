//! The served folder: every call on a path, confined beneath one root descriptor.
//!
//! Names are resolved by the kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)`, so that no
//! `..`, absolute name, link or race leads out. Only regular files and directories are served; what a
//! name leads to is looked at by `O_PATH` before it is opened, so a FIFO or device is never touched.
//! All of these calls may wait for a disk, except [`Folder::open_file`] with [`Lookup::CachedOnly`].

use crate::config::Durability;
use crate::digests::FileIdentity;
use crate::os_error::code_of;
use crate::staging::{Home, Retention, StagedFile};
use ferry_common::action::{Found, ListingPart, Opened, Publication, Question};
use ferry_common::command::Resume;
use ferry_common::entry::{Entry, EntryKind};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{LISTING_PART_BYTES, LISTING_PART_ENTRIES};
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::reply::Reply;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom, Stat, StatxFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Attempts at a lookup that the kernel gave up because of a rename elsewhere in the tree.
const LOOKUP_ATTEMPTS: usize = 16;
const DIRENT_BUFFER_BYTES: usize = 32 * 1024;

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
    pub(crate) file: File,
    pub(crate) facts: Opened,
    /// Which state of the file this is.
    pub(crate) identity: FileIdentity,
}

#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
    durability: Durability,
    retention: Retention,
    /// Where uploads are staged on each mounted file system; `None` where nothing may be uploaded.
    homes: Option<Mutex<HashMap<MountId, Arc<Home>>>>,
}

/// The kernel's number of a mounted file system.
type MountId = u64;

/// A directory that receives an upload.
#[derive(Debug)]
pub(crate) struct Target {
    directory: OwnedFd,
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
        Ok(Self { root, durability, retention, homes: None })
    }

    /// Makes the folder ready for uploads.
    pub(crate) fn with_staging(mut self) -> rustix::io::Result<Self> {
        let home = Arc::new(Home::prepare(self.root.as_fd())?);
        self.homes = Some(Mutex::new(HashMap::from([(mount_of(&self.root)?, home)])));
        Ok(self)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Opens a regular file. `EAGAIN` is for the caller to try again where it may block.
    pub(crate) fn open_file(&self, path: &RemotePath, lookup: Lookup) -> Result<OpenFile, Errno> {
        let seen = rustix::fs::fstat(self.resolve(path, OFlags::PATH, lookup)?)?;
        regular_only(&seen)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let descriptor = self.resolve(path, flags, lookup)?;
        let stat = rustix::fs::fstat(&descriptor)?;
        // What was looked at may have been replaced since.
        regular_only(&stat)?;
        let facts = Opened { size_bytes: size_of_file(&stat), mtime_s: stat.st_mtime };
        Ok(OpenFile { file: File::from(descriptor), facts, identity: FileIdentity::from_stat(&stat) })
    }

    /// Facts of one file or directory.
    fn stat(&self, path: &RemotePath) -> Result<Entry, ErrorCode> {
        let descriptor = self.resolve(path, OFlags::PATH, Lookup::MayBlock).map_err(code_of)?;
        let stat = rustix::fs::fstat(descriptor).map_err(code_of)?;
        entry_of(&stat, path.file_name().unwrap_or(b".")).ok_or(ErrorCode::NotRegular)
    }

    /// Answers a question that needs no digest.
    pub(crate) fn answer(&self, question: &Question) -> Result<Found, ErrorCode> {
        match question {
            Question::Stat { path } => self.stat(path).map(Found::Entry),
            Question::Mkdir { path } => self.make_directory(path).map(|()| Found::Done),
            Question::Rm { path } => self.remove(path).map(|()| Found::Done),
            Question::Mv { from, to, replace } => self.rename(from, to, *replace).map(|()| Found::Done),
            // Their digests are computed elsewhere.
            Question::Sum { .. } | Question::Partial { .. } => Err(ErrorCode::Io),
        }
    }

    /// Opens a file whose digest is wanted, and tells how much of it.
    pub(crate) fn open_for_sum(
        &self,
        path: &RemotePath,
        length: Option<u64>,
    ) -> Result<(File, u64), ErrorCode> {
        let open = self.open_file(path, Lookup::MayBlock).map_err(code_of)?;
        let length = length.unwrap_or(open.facts.size_bytes);
        if length > open.facts.size_bytes { Err(ErrorCode::BadOffset) } else { Ok((open.file, length)) }
    }

    /// Opens what is kept of an upload to this path, and tells how much it is.
    pub(crate) fn open_partial(&self, path: &RemotePath) -> Result<(File, u64), ErrorCode> {
        let target = self.target(path)?;
        let partial = self.home_of(path, &target)?.open_partial(path).map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoPartial,
            other => code_of(other),
        })?;
        let stat = rustix::fs::fstat(&partial).map_err(code_of)?;
        Ok((File::from(partial), size_of_file(&stat)))
    }

    /// Removes what is kept beyond its bounds; tells when the next will be too old.
    pub(crate) fn sweep_partials(&self) -> Option<Duration> {
        let homes: Vec<_> = match &self.homes {
            Some(homes) => lock(homes).values().cloned().collect(),
            None => Vec::new(),
        };
        homes.iter().filter_map(|home| home.sweep_partials(self.retention)).min()
    }

    /// One part of a listing, bounded in entries and bytes. The directory is opened anew for each part,
    /// so that a client that reads slowly holds no descriptor; the cursor is the directory's own.
    pub(crate) fn list(&self, path: &RemotePath, cursor: u64) -> Result<ListingPart, ErrorCode> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::MayBlock) {
            Ok(directory) => self.list_directory(&directory, path, cursor).map_err(code_of),
            Err(Errno::NOTDIR) => {
                let entry = self.stat(path)?;
                Ok(ListingPart { lines: Reply::entry("ls", &entry), entries: 1, next: None })
            }
            Err(errno) => Err(code_of(errno)),
        }
    }

    /// Makes a staged file that is to become `path`, or takes up the kept one, having checked that it could.
    pub(crate) fn stage(
        &self,
        path: &RemotePath,
        size: u64,
        new: bool,
        resume: Option<Resume>,
    ) -> Result<StagedFile, ErrorCode> {
        let target = self.target(path)?;
        target.admits(path.file_name().ok_or(ErrorCode::IsDirectory)?, new)?;
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&target.directory, ".", access, AtFlags::empty()).map_err(code_of)?;
        let home = self.home_of(path, &target)?;
        let flush = self.durability != Durability::None;
        match resume {
            None => StagedFile::create(&home, path, size, flush),
            Some(Resume { offset, .. }) => StagedFile::resume(&home, path, size, offset, flush),
        }
    }

    /// Checks and dresses a staged file for its name.
    pub(crate) fn prepare(
        &self,
        staged: &StagedFile,
        publication: &Publication,
        target: &Target,
    ) -> Result<(), ErrorCode> {
        if publication.expected.is_some_and(|expected| expected != staged.digest()) {
            return Err(ErrorCode::Mismatch);
        }
        let name = publication.path.file_name().ok_or(ErrorCode::IsDirectory)?;
        let mode = target.admits(name, publication.new)?;
        staged.dress(mode, publication.mtime_s).map_err(code_of)
    }

    /// Prepares and flushes a staged file before it is committed; tells whether it is flushed.
    pub(crate) fn flush_ahead(
        &self,
        staged: &StagedFile,
        publication: &Publication,
    ) -> Result<bool, ErrorCode> {
        if self.durability == Durability::None {
            return Ok(false);
        }
        self.prepare(staged, publication, &self.target(&publication.path)?)?;
        staged.sync().map_err(code_of)?;
        Ok(true)
    }

    /// The directory that holds a path.
    pub(crate) fn target(&self, path: &RemotePath) -> Result<Target, ErrorCode> {
        let parent = path.parent().ok_or(ErrorCode::IsDirectory)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self
            .resolve(&parent, flags, Lookup::MayBlock)
            .map_err(|errno| if errno == Errno::NOENT { ErrorCode::NoParent } else { code_of(errno) })?;
        Ok(Target { directory })
    }

    /// The directory that holds something which is to be taken from there.
    fn source(&self, path: &RemotePath) -> Result<Target, ErrorCode> {
        let not_found = |code| if code == ErrorCode::NoParent { ErrorCode::NotFound } else { code };
        self.target(path).map_err(not_found)
    }

    /// Where uploads to a directory are staged: at the top of its file system.
    fn home_of(&self, path: &RemotePath, target: &Target) -> Result<Arc<Home>, ErrorCode> {
        let homes = self.homes.as_ref().ok_or(ErrorCode::Denied)?;
        let mount = mount_of(&target.directory).map_err(code_of)?;
        let mut homes = lock(homes);
        if let Some(home) = homes.get(&mount) {
            return Ok(Arc::clone(home));
        }
        let top = self.top_of_mount(path, mount).map_err(code_of)?;
        let home = Arc::new(Home::prepare(top.as_fd()).map_err(code_of)?);
        homes.insert(mount, Arc::clone(&home));
        Ok(home)
    }

    /// The first directory on the way to a path that is on this file system.
    fn top_of_mount(&self, path: &RemotePath, mount: MountId) -> Result<OwnedFd, Errno> {
        let ancestors = std::iter::successors(path.parent(), RemotePath::parent);
        let mut top = Err(Errno::XDEV);
        for ancestor in ancestors {
            let directory = self.resolve(&ancestor, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::MayBlock)?;
            if mount_of(&directory)? != mount {
                break;
            }
            top = Ok(directory);
        }
        top
    }

    fn make_directory(&self, path: &RemotePath) -> Result<(), ErrorCode> {
        // The root, like any other directory, exists.
        let name = path.file_name().ok_or(ErrorCode::Exists)?;
        let target = self.target(path)?;
        let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        rustix::fs::mkdirat(&target.directory, name, mode).map_err(code_of)?;
        self.flush_names(&target)
    }

    fn remove(&self, path: &RemotePath) -> Result<(), ErrorCode> {
        let name = path.file_name().ok_or(ErrorCode::Denied)?;
        let target = self.source(path)?;
        let stat = rustix::fs::statat(&target.directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(code_of)?;
        let flags = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => AtFlags::REMOVEDIR,
            FileType::RegularFile | FileType::Symlink => AtFlags::empty(),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(ErrorCode::NotRegular),
        };
        rustix::fs::unlinkat(&target.directory, name, flags).map_err(code_of)?;
        self.flush_names(&target)
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<(), ErrorCode> {
        let from_name = from.file_name().ok_or(ErrorCode::Denied)?;
        let to_name = to.file_name().ok_or(ErrorCode::Exists)?;
        let source = self.source(from)?;
        let target = self.target(to)?;
        let stat =
            rustix::fs::statat(&source.directory, from_name, AtFlags::SYMLINK_NOFOLLOW).map_err(code_of)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Directory | FileType::Symlink => {}
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(ErrorCode::NotRegular),
        }
        let flags = if replace {
            target.admits(to_name, false)?;
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        rustix::fs::renameat_with(&source.directory, from_name, &target.directory, to_name, flags)
            .map_err(|errno| if errno == Errno::XDEV { ErrorCode::CrossDevice } else { code_of(errno) })?;
        self.flush_names(&target)?;
        self.flush_names(&source)
    }

    fn flush_names(&self, target: &Target) -> Result<(), ErrorCode> {
        if self.durability == Durability::Full { target.flush() } else { Ok(()) }
    }

    fn resolve(&self, path: &RemotePath, flags: OFlags, lookup: Lookup) -> Result<OwnedFd, Errno> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if lookup == Lookup::CachedOnly {
            resolve |= ResolveFlags::CACHED;
        }
        let open = || {
            rustix::fs::openat2(&self.root, path.as_bytes(), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        };
        let mut result = open();
        for _ in 1..LOOKUP_ATTEMPTS {
            match result {
                Err(Errno::AGAIN) if lookup == Lookup::MayBlock => result = open(),
                Err(Errno::INTR) => result = open(),
                Ok(_) | Err(_) => break,
            }
        }
        result
    }

    fn list_directory(
        &self,
        directory: &OwnedFd,
        path: &RemotePath,
        cursor: u64,
    ) -> Result<ListingPart, Errno> {
        if cursor != 0 {
            rustix::fs::seek(directory, SeekFrom::Start(cursor))?;
        }
        let mut part = ListingPart { lines: Vec::new(), entries: 0, next: None };
        let mut buffer = Vec::with_capacity(DIRENT_BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        for examined in 1.. {
            let Some(entry) = entries.next() else { return Ok(part) };
            let entry = entry?;
            if let Some(found) =
                self.look_at(directory, path, entry.file_name().to_bytes(), entry.file_type())
            {
                part.lines.extend_from_slice(&Reply::entry("ls", &found));
                part.entries += 1;
            }
            if examined >= LISTING_PART_ENTRIES || part.lines.len() >= LISTING_PART_BYTES {
                part.next = Some(entry.next_entry_cookie());
                break;
            }
        }
        Ok(part)
    }

    /// What a directory entry is, or `None` where it is not served, or gone already.
    fn look_at(&self, directory: &OwnedFd, path: &RemotePath, name: &[u8], kind: FileType) -> Option<Entry> {
        if matches!(name, b"." | b".." | HIDDEN_NAME) {
            return None;
        }
        let stat = match kind {
            FileType::RegularFile | FileType::Directory | FileType::Unknown => {
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?
            }
            FileType::Symlink => return self.follow(path, name),
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                return None;
            }
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return self.follow(path, name);
        }
        entry_of(&stat, name)
    }

    /// A link is listed as what it leads to, if that is inside the folder.
    fn follow(&self, directory: &RemotePath, name: &[u8]) -> Option<Entry> {
        let whole = [directory.as_bytes(), name].join(&b'/');
        let entry = self.stat(&RemotePath::parse(&whole).ok()?).ok()?;
        Some(Entry { name: name.to_vec(), ..entry })
    }
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
    Some(Entry { kind, size_bytes, mtime_s: stat.st_mtime, name: name.to_vec() })
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

fn mount_of(directory: &OwnedFd) -> rustix::io::Result<MountId> {
    let flags = AtFlags::EMPTY_PATH;
    Ok(rustix::fs::statx(directory, "", flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    /// A file may take the place of nothing, of a regular file, or of a link (which is itself replaced, not
    /// followed), but not of a directory or anything special. Tells the mode that it inherits.
    fn admits(&self, name: &[u8], new: bool) -> Result<Option<Mode>, ErrorCode> {
        let stat = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(code_of(errno)),
            Ok(stat) => stat,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(ErrorCode::IsDirectory),
            FileType::RegularFile | FileType::Symlink if new => Err(ErrorCode::Exists),
            // Who may do what; never the bits that make a program run as somebody else.
            FileType::RegularFile => Ok(Some(Mode::from_raw_mode(stat.st_mode & 0o777))),
            FileType::Symlink => Ok(None),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(ErrorCode::NotRegular),
        }
    }

    /// Gives a staged file its name here.
    pub(crate) fn receive(&self, staged: &StagedFile, name: &[u8], new: bool) -> Result<(), ErrorCode> {
        staged.rename_to(self.directory.as_fd(), name, new).map_err(|errno| match errno {
            // Not a link here: the directory was replaced by one on another file system meanwhile.
            Errno::XDEV => ErrorCode::Io,
            other => code_of(other),
        })
    }

    /// Brings the directory's names to the disk.
    pub(crate) fn flush(&self) -> Result<(), ErrorCode> {
        rustix::fs::fsync(&self.directory).map_err(code_of)
    }
}
