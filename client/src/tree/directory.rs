//! One open folder of a tree.

use crate::tree::facts::Facts;
use ferry_common::path::RemotePath;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// An open folder, itself or beneath it. It can be reached through, and needs no right to be read.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(super) descriptor: OwnedFd,
    pub(super) path: RemotePath,
    pub(super) device: u64,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Directory {
    /// Opened again for what needs the right to read it, as a flush does.
    pub(super) fn to_read(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.descriptor, ".", flags, Mode::empty())
    }

    /// What has the name itself, be it a link; `None` where nothing has it.
    pub(super) fn look_at(&self, name: &[u8]) -> Result<Option<Facts>, Errno> {
        match rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Facts::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}
