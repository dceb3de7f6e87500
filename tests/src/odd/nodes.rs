//! The backing directory of an odd file system: its inodes, its open files, and each operation on them with its
//! quirks. Knows nothing of FUSE's requests and replies but the attributes of a file.

use super::{Flock, Quirks};
use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::fs::{
    self as sys, AtFlags, CWD, Dir, FileType as Kind, FlockOperation, Mode, OFlags, RenameFlags, Stat,
    StatVfs, Timespec, Timestamps,
};
use rustix::io::{Errno, Result};
use rustix::process::{Gid, Uid};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SETGID: u32 = 0o2000;
/// `F_UNLCK` and `F_WRLCK`, by which FUSE tells the kind of a lock.
const UNLOCK: i32 = 2;
const WRITE_LOCK: i32 = 1;

/// The user and group that make a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// What is to be changed about a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changes {
    pub(super) mode: Option<u32>,
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
}

/// One entry of a directory, and where the next one is.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) inode: INodeNo,
    pub(super) next: u64,
    pub(super) kind: FileType,
    pub(super) name: OsString,
}

enum Handle {
    File(OwnedFd),
    Directory(Mutex<Dir>),
}

/// An inode that the kernel knows, held by a descriptor that only names it.
struct Node {
    file: Arc<OwnedFd>,
    lookups: u64,
}

pub(super) struct Nodes {
    pub(super) quirks: Quirks,
    tables: Mutex<Tables>,
    /// Seconds by which the times that are told are wrong.
    flap_s: AtomicI64,
}

struct Tables {
    root: Arc<OwnedFd>,
    nodes: HashMap<u64, Node>,
    handles: HashMap<u64, Arc<Handle>>,
    next_handle: u64,
}

impl Nodes {
    pub(super) fn new(backing: &Path, quirks: Quirks) -> Result<Self> {
        let root = sys::open(backing, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let tables =
            Tables { root: Arc::new(root), nodes: HashMap::new(), handles: HashMap::new(), next_handle: 1 };
        Ok(Self { quirks, tables: Mutex::new(tables), flap_s: AtomicI64::new(0) })
    }

    pub(super) fn lookup(&self, parent: u64, name: &OsStr) -> Result<FileAttr> {
        let parent = self.node(parent)?;
        self.remember(&parent, &self.resolved(&parent, name))
    }

    pub(super) fn forget(&self, inode: u64, lookups: u64) {
        let mut tables = self.lock();
        if let Some(node) = tables.nodes.get_mut(&inode) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 {
                tables.nodes.remove(&inode);
            }
        }
    }

    pub(super) fn attributes(&self, inode: u64) -> Result<FileAttr> {
        Ok(self.attributes_of(inode, &sys::fstat(&*self.node(inode)?)?))
    }

    pub(super) fn change(&self, inode: u64, handle: Option<u64>, changes: &Changes) -> Result<FileAttr> {
        let node = self.node(inode)?;
        let path = path_of(&node);
        if changes.mode.is_some() || changes.user.is_some() || changes.group.is_some() {
            refuse(self.quirks.chmod_denied, Errno::PERM)?;
        }
        if changes.atime.is_some() || changes.mtime.is_some() {
            refuse(self.quirks.utimes_denied, Errno::PERM)?;
        }
        if let Some(size) = changes.size {
            match handle.map(|handle| self.handle(handle)).transpose()?.as_deref() {
                Some(Handle::File(file)) => sys::ftruncate(file, size)?,
                Some(Handle::Directory(_)) | None => {
                    sys::ftruncate(sys::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?, size)?;
                }
            }
        }
        if changes.user.is_some() || changes.group.is_some() {
            let (user, group) = (changes.user.map(Uid::from_raw), changes.group.map(Gid::from_raw));
            sys::chownat(&*node, "", user, group, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = changes.mode {
            sys::chmod(&path, Mode::from_raw_mode(mode))?;
        }
        if changes.atime.is_some() || changes.mtime.is_some() {
            let times = Timestamps {
                last_access: time_to_set(changes.atime),
                last_modification: time_to_set(changes.mtime),
            };
            sys::utimensat(CWD, &path, &times, AtFlags::empty())?;
        }
        self.attributes(inode)
    }

    pub(super) fn link_target(&self, inode: u64) -> Result<Vec<u8>> {
        Ok(sys::readlinkat(&*self.node(inode)?, "", Vec::new())?.into_bytes())
    }

    pub(super) fn make_node(&self, parent: u64, name: &OsStr, maker: Maker) -> Result<FileAttr> {
        let parent = self.node(parent)?;
        sys::mknodat(&*parent, name, Kind::from_raw_mode(maker.mode), mode_of(maker), 0)?;
        self.given(&parent, name, maker)
    }

    pub(super) fn make_directory(&self, parent: u64, name: &OsStr, maker: Maker) -> Result<FileAttr> {
        let parent = self.node(parent)?;
        refuse(self.resolved(&parent, name) != name, Errno::EXIST)?;
        sys::mkdirat(&*parent, name, mode_of(maker))?;
        self.given(&parent, name, maker)
    }

    pub(super) fn make_link(&self, parent: u64, name: &OsStr, target: &Path) -> Result<FileAttr> {
        let parent = self.node(parent)?;
        sys::symlinkat(target, &*parent, name)?;
        self.remember(&parent, name)
    }

    pub(super) fn create(
        &self,
        parent: u64,
        name: &OsStr,
        maker: Maker,
        flags: i32,
    ) -> Result<(FileAttr, u64)> {
        let parent = self.node(parent)?;
        let name = self.resolved(&parent, name);
        let exclusive = OFlags::from_bits_retain(flags.cast_unsigned()) & OFlags::EXCL;
        let flags = flags_to_open(flags) | OFlags::CREATE | exclusive;
        let file = sys::openat(&*parent, &name, flags, mode_of(maker))?;
        let attributes = self.given(&parent, &name, maker)?;
        Ok((attributes, self.lock().keep(Handle::File(file))))
    }

    pub(super) fn remove(&self, parent: u64, name: &OsStr, is_directory: bool) -> Result<()> {
        let parent = self.node(parent)?;
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        sys::unlinkat(&*parent, self.resolved(&parent, name), flags)
    }

    pub(super) fn rename(&self, from: (u64, &OsStr), to: (u64, &OsStr), flags: u32) -> Result<()> {
        refuse(self.quirks.rename_flags_invalid && flags != 0, Errno::INVAL)?;
        let (source, target) = (self.node(from.0)?, self.node(to.0)?);
        let (old, new) = (self.resolved(&source, from.1), self.resolved(&target, to.1));
        sys::renameat_with(&*source, old, &*target, new, RenameFlags::from_bits_retain(flags))
    }

    pub(super) fn link(&self, inode: u64, parent: u64, name: &OsStr) -> Result<FileAttr> {
        refuse(self.quirks.link_denied, Errno::PERM)?;
        let (node, parent) = (self.node(inode)?, self.node(parent)?);
        sys::linkat(CWD, path_of(&node), &*parent, name, AtFlags::SYMLINK_FOLLOW)?;
        self.remember(&parent, name)
    }

    pub(super) fn open(&self, inode: u64, flags: i32) -> Result<u64> {
        let file = sys::open(path_of(self.node(inode)?), flags_to_open(flags), Mode::empty())?;
        Ok(self.lock().keep(Handle::File(file)))
    }

    pub(super) fn open_directory(&self, inode: u64) -> Result<u64> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Dir::new(sys::open(path_of(self.node(inode)?), flags, Mode::empty())?)?;
        Ok(self.lock().keep(Handle::Directory(Mutex::new(directory))))
    }

    pub(super) fn close(&self, handle: u64) {
        let closed = self.lock().handles.remove(&handle);
        drop(closed);
    }

    /// Less than `length` only at the end of the file.
    pub(super) fn read(&self, handle: u64, offset: u64, length: usize) -> Result<Vec<u8>> {
        let handle = self.handle(handle)?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match rustix::io::pread(handle.file()?, &mut bytes[filled..], offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    pub(super) fn write(&self, handle: u64, offset: u64, bytes: &[u8]) -> Result<u32> {
        let written = rustix::io::pwrite(self.handle(handle)?.file()?, bytes, offset)?;
        u32::try_from(written).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn flush(&self, handle: u64, is_data_only: bool) -> Result<()> {
        let handle = self.handle(handle)?;
        match &*handle {
            Handle::File(file) if is_data_only => sys::fdatasync(file),
            Handle::File(file) => sys::fsync(file),
            Handle::Directory(directory) => {
                refuse(self.quirks.fsyncdir_invalid, Errno::INVAL)?;
                sys::fsync(directory.lock().expect("no holder of the lock panics").fd()?)
            }
        }
    }

    pub(super) fn preallocate(&self, handle: u64, mode: i32, offset: u64, length: u64) -> Result<()> {
        refuse(self.quirks.no_fallocate, Errno::NOSYS)?;
        let mode = sys::FallocateFlags::from_bits_retain(mode.cast_unsigned());
        sys::fallocate(self.handle(handle)?.file()?, mode, offset, length)
    }

    pub(super) fn lock_file(&self, handle: u64, kind: i32, may_wait: bool) -> Result<()> {
        if self.quirks.flock != Flock::Forwarded {
            return Ok(());
        }
        let operation = match kind {
            UNLOCK => FlockOperation::Unlock,
            _ if may_wait => return Err(Errno::NOTSUP),
            WRITE_LOCK => FlockOperation::NonBlockingLockExclusive,
            _ => FlockOperation::NonBlockingLockShared,
        };
        sys::flock(self.handle(handle)?.file()?, operation)
    }

    /// As many entries from a place on as `take` wants.
    pub(super) fn entries(
        &self,
        handle: u64,
        offset: u64,
        mut take: impl FnMut(&Entry) -> bool,
    ) -> Result<()> {
        let handle = self.handle(handle)?;
        let Handle::Directory(directory) = &*handle else { return Err(Errno::NOTDIR) };
        let mut directory = directory.lock().expect("no holder of the lock panics");
        directory.seek(offset.cast_signed())?;
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let entry = Entry {
                inode: INodeNo(entry.ino()),
                next: entry.offset().cast_unsigned(),
                kind: kind_of(entry.file_type()),
                name: OsString::from_vec(entry.file_name().to_bytes().to_vec()),
            };
            if !take(&entry) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn space(&self, inode: u64) -> Result<StatVfs> {
        let mut space = sys::fstatvfs(&*self.node(inode)?)?;
        if self.quirks.statfs_zero {
            (space.f_blocks, space.f_bfree, space.f_bavail) = (0, 0, 0);
        }
        Ok(space)
    }

    pub(super) fn xattr(&self, inode: u64, name: &OsStr) -> Result<Vec<u8>> {
        let mut value = vec![0; 64 << 10];
        let length = sys::getxattr(path_of(self.node(inode)?), name, &mut value)?;
        value.truncate(length);
        Ok(value)
    }

    pub(super) fn xattr_names(&self, inode: u64) -> Result<Vec<u8>> {
        let mut names = vec![0; 64 << 10];
        let length = sys::listxattr(path_of(self.node(inode)?), &mut names)?;
        names.truncate(length);
        Ok(names)
    }

    pub(super) fn set_xattr(&self, inode: u64, name: &OsStr, value: &[u8], flags: i32) -> Result<()> {
        let flags = sys::XattrFlags::from_bits_retain(flags.cast_unsigned());
        sys::setxattr(path_of(self.node(inode)?), name, value, flags)
    }

    pub(super) fn remove_xattr(&self, inode: u64, name: &OsStr) -> Result<()> {
        sys::removexattr(path_of(self.node(inode)?), name)
    }

    /// Gives a new file its owner and mode, and remembers it.
    fn given(&self, parent: &OwnedFd, name: &OsStr, maker: Maker) -> Result<FileAttr> {
        let attributes = self.remember(parent, name)?;
        let node = self.node(attributes.ino.0)?;
        let directory = sys::fstat(parent)?;
        let has_setgid = directory.st_mode & SETGID != 0;
        let group = (!has_setgid).then(|| Gid::from_raw(maker.group));
        sys::chownat(&*node, "", Some(Uid::from_raw(maker.user)), group, AtFlags::EMPTY_PATH)?;
        let inherited = if has_setgid && attributes.kind == FileType::Directory { SETGID } else { 0 };
        sys::chmod(path_of(&node), Mode::from_raw_mode(maker.mode | inherited))?;
        self.attributes(attributes.ino.0)
    }

    /// Counts a lookup of the file with this name, and tells its attributes.
    fn remember(&self, parent: &OwnedFd, name: &OsStr) -> Result<FileAttr> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = sys::openat(parent, name, flags, Mode::empty())?;
        let stat = sys::fstat(&file)?;
        let mut tables = self.lock();
        let node =
            tables.nodes.entry(stat.st_ino).or_insert_with(|| Node { file: Arc::new(file), lookups: 0 });
        node.lookups += 1;
        drop(tables);
        Ok(self.attributes_of(stat.st_ino, &stat))
    }

    /// The name as it stands in the directory.
    fn resolved(&self, parent: &OwnedFd, name: &OsStr) -> OsString {
        let is_there = || sys::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if !self.quirks.case_insensitive && !self.quirks.short_names || is_there() {
            return name.to_owned();
        }
        let entries = std::fs::read_dir(path_of(parent)).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        let found = names.find(|other| {
            self.quirks.case_insensitive && other.as_bytes().eq_ignore_ascii_case(name.as_bytes())
                || self.quirks.short_names && short_name(other.as_bytes()) == name.as_bytes()
        });
        found.unwrap_or_else(|| name.to_owned())
    }

    fn attributes_of(&self, inode: u64, stat: &Stat) -> FileAttr {
        let kind = kind_of(Kind::from_raw_mode(stat.st_mode));
        let flap_s = if self.quirks.times_flap && kind == FileType::RegularFile {
            self.flap_s.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        };
        let is_zero = self.quirks.sizes_zero && kind == FileType::RegularFile;
        let (uid, gid) = self.quirks.fixed_owner.unwrap_or((stat.st_uid, stat.st_gid));
        let mode = if self.quirks.all_executable { stat.st_mode | 0o111 } else { stat.st_mode };
        let mtime = time(stat.st_mtime + flap_s, stat.st_mtime_nsec);
        FileAttr {
            ino: INodeNo(inode),
            size: if is_zero { 0 } else { stat.st_size.cast_unsigned() },
            blocks: stat.st_blocks.cast_unsigned(),
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime,
            ctime: time(stat.st_ctime + flap_s, stat.st_ctime_nsec),
            crtime: mtime,
            kind,
            perm: u16::try_from(mode & 0o7777).unwrap_or_default(),
            nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            uid,
            gid,
            rdev: u32::try_from(stat.st_rdev).unwrap_or_default(),
            blksize: 4096,
            flags: 0,
        }
    }

    fn node(&self, inode: u64) -> Result<Arc<OwnedFd>> {
        let tables = self.lock();
        if inode == INodeNo::ROOT.0 {
            return Ok(Arc::clone(&tables.root));
        }
        tables.nodes.get(&inode).map(|node| Arc::clone(&node.file)).ok_or(Errno::STALE)
    }

    fn handle(&self, handle: u64) -> Result<Arc<Handle>> {
        self.lock().handles.get(&handle).cloned().ok_or(Errno::BADF)
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no holder of the lock panics")
    }
}

impl Tables {
    fn keep(&mut self, handle: Handle) -> u64 {
        let number = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(number, Arc::new(handle));
        number
    }
}

impl Handle {
    fn file(&self) -> Result<&OwnedFd> {
        match self {
            Self::File(file) => Ok(file),
            Self::Directory(_) => Err(Errno::ISDIR),
        }
    }
}

fn refuse(is_refused: bool, errno: Errno) -> Result<()> {
    if is_refused { Err(errno) } else { Ok(()) }
}

/// A path to the very file that a descriptor names.
fn path_of(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// What of a caller's flags concerns the backing file: the kernel has seen to the rest.
fn flags_to_open(flags: i32) -> OFlags {
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    (flags & (OFlags::ACCMODE | OFlags::TRUNC)) | OFlags::CLOEXEC
}

fn mode_of(maker: Maker) -> Mode {
    Mode::from_raw_mode(maker.mode & 0o7777)
}

fn kind_of(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::RegularFile | Kind::Unknown => FileType::RegularFile,
    }
}

fn time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    start + Duration::from_nanos(nanoseconds)
}

fn time_to_set(time: Option<TimeOrNow>) -> Timespec {
    let nanoseconds = |special: i64| Timespec { tv_sec: 0, tv_nsec: special };
    match time {
        None => nanoseconds(sys::UTIME_OMIT),
        Some(TimeOrNow::Now) => nanoseconds(sys::UTIME_NOW),
        Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Timespec {
                tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: since.subsec_nanos().into(),
            },
            Err(error) => {
                let before = error.duration();
                let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Timespec { tv_sec: seconds, tv_nsec: 0 },
                    rest => Timespec { tv_sec: seconds - 1, tv_nsec: i64::from(1_000_000_000 - rest) },
                }
            }
        },
    }
}

/// As vfat makes one of a long name: six letters or digits in upper case, and a number.
fn short_name(name: &[u8]) -> Vec<u8> {
    let kept = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).take(6);
    kept.map(u8::to_ascii_uppercase).chain(*b"~1").collect()
}
