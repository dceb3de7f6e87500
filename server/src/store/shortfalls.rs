//! What a file system cannot do for Ferry, which is told to the operator once for each file system, and to no
//! client: what was asked for is done all the same. Never decides whether that is so.

use crate::limits::SHORTFALLS_TOLD_MAX;
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::collections::HashSet;
use std::fmt::{self, Display};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Something that is done as well as the file system can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shortfall {
    FileFlush,
    NameFlush,
    Time,
    Owner,
    Permissions,
    Attributes,
}

/// Of each device, what was told. The kernel gives the number of a device that is gone to another one, which
/// then has less told about it; nothing but the log depends on that.
static TOLD: LazyLock<Mutex<HashSet<(u64, Shortfall)>>> = LazyLock::new(Mutex::default);

impl Shortfall {
    /// Tells the log, unless it has been told of this file system.
    pub(crate) fn tell(self, on: impl AsFd, subject: &dyn Display, errno: Errno) {
        let device = rustix::fs::fstat(on).map_or(0, |stat| stat.st_dev);
        if is_new(&mut TOLD.lock().unwrap_or_else(PoisonError::into_inner), (device, self)) {
            log::warn!("The file system of {subject} cannot {self} ({errno}); this is told once");
        }
    }
}

impl Display for Shortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FileFlush => {
                "flush files: an upload that was answered with ok may be lost or damaged by a power cut"
            }
            Self::NameFlush => {
                "flush directories: a change of names that was answered with ok may be undone by a power cut"
            }
            Self::Time => "set the time of a file: uploads have the time of their arrival",
            Self::Owner => "keep the owner or group of a file that is replaced, or that of its directory",
            Self::Permissions => "keep all permissions of a file that is replaced, or those of its directory",
            Self::Attributes => "keep all extended attributes of a file that is replaced",
        })
    }
}

/// True where a call that brings something to the disk failed because the file system has no such call: it has
/// lost nothing. CIFS, 9p and vboxsf say so of directories.
pub(crate) fn is_unsupported_flush(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn is_new(told: &mut HashSet<(u64, Shortfall)>, shortfall: (u64, Shortfall)) -> bool {
    if told.len() >= SHORTFALLS_TOLD_MAX && !told.contains(&shortfall) {
        told.clear();
    }
    told.insert(shortfall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_is_told_of_once_and_memory_is_bounded() {
        let mut told = HashSet::new();
        assert!(is_new(&mut told, (1, Shortfall::NameFlush)));
        assert!(!is_new(&mut told, (1, Shortfall::NameFlush)));
        assert!(is_new(&mut told, (1, Shortfall::Time)));
        assert!(is_new(&mut told, (2, Shortfall::NameFlush)));
        for device in 0..10_000 {
            is_new(&mut told, (device, Shortfall::FileFlush));
            assert!(told.len() <= SHORTFALLS_TOLD_MAX);
        }
    }
}
