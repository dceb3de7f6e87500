//! Why uploads cannot be staged on a file system. Says nothing about any client's file.

use ferry_common::path::HIDDEN_NAME;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::fmt;

/// An operator reads this: each says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StagingError {
    #[error(
        "locks mean nothing on this file system (an exclusive one was granted twice), so that two servers would \
         take each other's uploads; upload to another file system"
    )]
    LockedTwice,
    #[error("this file system has no file locks ({0}); upload to another file system")]
    NoLocks(Errno),
    #[error("{Hidden} is {0}, where Ferry needs a directory of its own; move it away")]
    Occupied(&'static str),
    #[error(
        "{Hidden} belongs to user {owner} with mode {mode:o}, and this server runs as user {own}; remove it when no \
         other server uses it, or give it to user {own}"
    )]
    OfAnotherUser { owner: u32, mode: u32, own: u32 },
    #[error("{Hidden} cannot be made or used ({0})")]
    Call(#[from] Errno),
}

/// The name of the staging directory, as text.
struct Hidden;

impl fmt::Display for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(HIDDEN_NAME))
    }
}

impl StagingError {
    /// Explains why a directory that should be there by now could not be opened, by what stands in its place.
    pub(super) fn of_directory(parent: BorrowedFd<'_>, name: &[u8], errno: Errno) -> Self {
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Self::Call(errno);
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => return Self::Occupied("a link"),
            FileType::Directory => {}
            FileType::RegularFile
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Self::Occupied("no directory"),
        }
        let own = rustix::process::geteuid().as_raw();
        if matches!(errno, Errno::ACCESS | Errno::PERM) {
            return Self::OfAnotherUser { owner: stat.st_uid, mode: stat.st_mode & 0o7777, own };
        }
        Self::Call(errno)
    }
}
