//! A file system that received files are on: which flushes it takes, and which of them can be shared.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};

/// The `f_type` of `statfs(2)` of those file systems whose `syncfs` brings data and names to the disk and flushes the
/// disk's own memory, as their `fsync` does: the macro of the same name in the kernel's `include/uapi/linux/magic.h`.
mod magic {
    pub(super) const TMPFS_MAGIC: u32 = 0x0102_1994;
    pub(super) const RAMFS_MAGIC: u32 = 0x8584_58f6;
    /// Of ext2, ext3 and ext4 alike.
    pub(super) const EXT4_SUPER_MAGIC: u32 = 0xef53;
    pub(super) const XFS_SUPER_MAGIC: u32 = 0x5846_5342;
    pub(super) const BTRFS_SUPER_MAGIC: u32 = 0x9123_683e;
    pub(super) const F2FS_SUPER_MAGIC: u32 = 0xf2f5_2010;
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct FileSystem {
    device: u64,
    /// Open since before the first file was written there, so that each failure to write any of them is reported to
    /// it; `None` where there is no shared flush.
    witness: Option<OwnedFd>,
    is_reliable: AtomicBool,
}

impl FileSystem {
    /// `folder` is one that files are about to be written to.
    pub(crate) fn of(device: u64, folder: Option<OwnedFd>) -> Self {
        Self { device, witness: folder.filter(has_shared_flush), is_reliable: AtomicBool::new(true) }
    }

    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// Flushes everything that was written. False where that cannot be relied on: an error is reported once, and a later
    /// success proves nothing of what was written before. Each file by itself still reports its own.
    pub(crate) fn flush_all(&self) -> bool {
        let Some(witness) = self.witness.as_ref().filter(|_| self.is_reliable.load(Ordering::Relaxed)) else {
            return false;
        };
        let is_flushed = rustix::io::retry_on_intr(|| rustix::fs::syncfs(witness)).is_ok();
        self.is_reliable.store(is_flushed, Ordering::Relaxed);
        is_flushed
    }
}

/// Flushes one file or folder. A file system that has no flush at all cannot be helped.
pub(crate) fn flush(descriptor: impl AsFd) -> Result<(), Errno> {
    match rustix::io::retry_on_intr(|| rustix::fs::fsync(descriptor.as_fd())) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn has_shared_flush(folder: &OwnedFd) -> bool {
    // No magic number has more than 32 bits; the type of the field depends on the architecture.
    rustix::fs::fstatfs(folder).is_ok_and(|stat| {
        matches!(
            stat.f_type as u32,
            magic::TMPFS_MAGIC
                | magic::RAMFS_MAGIC
                | magic::EXT4_SUPER_MAGIC
                | magic::XFS_SUPER_MAGIC
                | magic::BTRFS_SUPER_MAGIC
                | magic::F2FS_SUPER_MAGIC
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn flushes_are_shared_only_where_they_are_known_to_reach_the_disk() {
        let shared = FileSystem::of(1, Some(File::open("/dev/shm").unwrap().into()));
        assert!(shared.flush_all());
        let foreign = FileSystem::of(2, Some(File::open("/proc").unwrap().into()));
        assert!(!foreign.flush_all());
        assert!(!FileSystem::of(3, None).flush_all());
    }

    #[test]
    fn what_has_no_flush_is_no_failure() {
        assert_eq!(flush(File::open("/proc/self/status").unwrap()), Ok(()));
    }
}
