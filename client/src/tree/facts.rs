//! What is known of a local file or folder without reading it.

use crate::tree::spool::{push_time, take_time};
use ferry_common::wire::file_time::FileTime;
use rustix::fs::{AtFlags, CWD, FileType, Stat};
use std::fmt;
use std::path::Path;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
    Unknown,
}

/// See the module's documentation. Two of the same file are equal if nothing has been written to it in between, as far
/// as the clock of the file system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) size_bytes: u64,
    pub(crate) mtime: FileTime,
    /// Its owner may run it as a program.
    pub(crate) is_executable: bool,
    device: u64,
    inode: u64,
    ctime: FileTime,
}

/// What was seen under a name: which file, and in which state, as far as that is told without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    kind: Kind,
    device: u64,
    inode: u64,
    size_bytes: u64,
    mtime: FileTime,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::File, Self::Folder, Self::Link, Self::Fifo, Self::Socket, Self::Device, Self::Unknown];

    pub(crate) fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "something unknown",
        })
    }
}

impl Facts {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            // The kernel gives no negative sizes.
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: FileTime::new(stat.st_mtime, stat.st_mtime_nsec),
            is_executable: stat.st_mode & 0o100 != 0,
            device: stat.st_dev,
            inode: stat.st_ino,
            ctime: FileTime::new(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Both names led to one and the same file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Sighting {
    pub(crate) fn of(facts: &Facts) -> Self {
        let Facts { kind, size_bytes, mtime, device, inode, .. } = *facts;
        Self { kind, device, inode, size_bytes, mtime }
    }

    /// Of what has this name itself; `None` where nothing has it, or it cannot be looked at.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self::of(&Facts::of(&stat)))
    }

    pub(crate) fn encode(&self, record: &mut Vec<u8>) {
        let kind = Kind::ALL.iter().position(|&kind| kind == self.kind).unwrap_or_default();
        record.push(u8::try_from(kind).unwrap_or_default());
        for number in [self.device, self.inode, self.size_bytes] {
            record.extend_from_slice(&number.to_ne_bytes());
        }
        push_time(record, self.mtime);
    }

    /// What was encoded at the beginning of a record, and the rest of that.
    pub(crate) fn decode(record: &[u8]) -> Option<(Self, &[u8])> {
        let (&kind, record) = record.split_first()?;
        let (device, record) = record.split_first_chunk()?;
        let (inode, record) = record.split_first_chunk()?;
        let (size_bytes, record) = record.split_first_chunk()?;
        let (mtime, record) = take_time(record)?;
        let [device, inode, size_bytes] = [device, inode, size_bytes].map(|bytes| u64::from_ne_bytes(*bytes));
        Some((Self { kind: *Kind::ALL.get(usize::from(kind))?, device, inode, size_bytes, mtime }, record))
    }
}
