//! What is known of a local file or folder without reading it.

use ferry_common::wire::file_time::FileTime;
use rustix::fs::{FileType, Stat};
use std::fmt;

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

impl Kind {
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
