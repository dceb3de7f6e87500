//! The served folder: every call on a path, confined beneath one root descriptor.
//!
//! Names are resolved by the kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)`, so that no
//! `..`, absolute name, link or race leads out. Only regular files and directories are served; what a
//! name leads to is looked at by `O_PATH` before it is opened, so a FIFO or device is never touched.
//! All of these calls may wait for a disk, except [`Folder::open_file`] with [`Lookup::CachedOnly`].

use crate::os_error::code_of;
use crate::staging::{StagedFile, Staging};
use ferry_common::action::{ListingPart, Opened};
use ferry_common::entry::{Entry, EntryKind};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{LISTING_PART_BYTES, LISTING_PART_ENTRIES};
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::reply::Reply;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

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
}

#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
    /// `None` where nothing may be uploaded.
    staging: Option<Staging>,
}

impl Folder {
    /// Opens the root. Uploads are refused until [`Folder::with_staging`].
    pub(crate) fn open(root: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())?, staging: None })
    }

    /// Makes the folder ready for uploads.
    pub(crate) fn with_staging(mut self) -> rustix::io::Result<Self> {
        self.staging = Some(Staging::prepare(self.root.as_fd())?);
        Ok(self)
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
        Ok(OpenFile { file: File::from(descriptor), facts })
    }

    /// Facts of one file or directory.
    pub(crate) fn stat(&self, path: &RemotePath) -> Result<Entry, ErrorCode> {
        let descriptor = self.resolve(path, OFlags::PATH, Lookup::MayBlock).map_err(code_of)?;
        let stat = rustix::fs::fstat(descriptor).map_err(code_of)?;
        entry_of(&stat, path.file_name().unwrap_or(b".")).ok_or(ErrorCode::NotRegular)
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

    /// Makes an empty staged file that is to become `path`, having checked that it could.
    pub(crate) fn stage(&self, path: &RemotePath) -> Result<StagedFile, ErrorCode> {
        let staging = self.staging.as_ref().ok_or(ErrorCode::Denied)?;
        let (parent, name) = self.target(path, OFlags::PATH)?;
        replaceable(parent.as_fd(), name)?;
        rustix::fs::accessat(&parent, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
            .map_err(code_of)?;
        staging.create().map_err(code_of)
    }

    /// Makes a staged file durable and gives it its name: the data is flushed, then the file renamed,
    /// then the directory flushed.
    pub(crate) fn publish(&self, staged: &StagedFile, path: &RemotePath) -> Result<(), ErrorCode> {
        staged.sync().map_err(code_of)?;
        let (parent, name) = self.target(path, OFlags::RDONLY)?;
        replaceable(parent.as_fd(), name)?;
        staged.rename_to(parent.as_fd(), name).map_err(|errno| match errno {
            // Not a link here, but another file system mounted inside the folder.
            Errno::XDEV => ErrorCode::Io,
            other => code_of(other),
        })?;
        rustix::fs::fsync(parent).map_err(code_of)
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

    /// The directory that an upload goes to, and the name in it.
    fn target<'path>(
        &self,
        path: &'path RemotePath,
        flags: OFlags,
    ) -> Result<(OwnedFd, &'path [u8]), ErrorCode> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorCode::IsDirectory);
        };
        let parent = self.resolve(&parent, flags | OFlags::DIRECTORY, Lookup::MayBlock);
        let parent = parent
            .map_err(|errno| if errno == Errno::NOENT { ErrorCode::NoParent } else { code_of(errno) })?;
        Ok((parent, name))
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

/// A file may take the place of nothing, of a regular file, or of a link (which is itself replaced, not
/// followed), but not of a directory or anything special.
fn replaceable(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), ErrorCode> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(code_of(errno)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink => Ok(()),
            FileType::Directory => Err(ErrorCode::IsDirectory),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(ErrorCode::NotRegular),
        },
    }
}
