//! What a mounted file system is to the reactor: which calls on it may be made there, and which wait.
//!
//! This module never remembers a mount by its number or device, both of which the kernel gives to another one later.

use rustix::fd::AsFd;

/// How a file system answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// Everything is in memory at any time.
    Memory,
    /// Lookups, opens and `stat` of cached inodes are answered from memory, and the page cache tells which parts
    /// of a file are in memory.
    Local,
    /// Any call may wait for a daemon, a network or another file system, for ever. The reactor makes none.
    Foreign,
}

/// The `f_type` of `statfs(2)`: the macro of the same name in the kernel's `include/uapi/linux/magic.h`.
mod magic {
    pub(super) const TMPFS_MAGIC: u32 = 0x0102_1994;
    pub(super) const RAMFS_MAGIC: u32 = 0x8584_58f6;
    /// Of ext2, ext3 and ext4 alike.
    pub(super) const EXT4_SUPER_MAGIC: u32 = 0xef53;
    pub(super) const XFS_SUPER_MAGIC: u32 = 0x5846_5342;
    pub(super) const BTRFS_SUPER_MAGIC: u32 = 0x9123_683e;
    pub(super) const F2FS_SUPER_MAGIC: u32 = 0xf2f5_2010;
}

impl Medium {
    /// Asks the file system of an open file or directory. The call waits where the file system does, so the
    /// reactor never makes it. A file system that does not answer is foreign.
    pub(crate) fn of(descriptor: impl AsFd) -> Self {
        // No magic number has more than 32 bits; the type of the field depends on the architecture.
        rustix::fs::fstatfs(descriptor).map_or(Self::Foreign, |stat| Self::of_magic(stat.f_type as u32))
    }

    fn of_magic(magic: u32) -> Self {
        match magic {
            magic::TMPFS_MAGIC | magic::RAMFS_MAGIC => Self::Memory,
            magic::EXT4_SUPER_MAGIC
            | magic::XFS_SUPER_MAGIC
            | magic::BTRFS_SUPER_MAGIC
            | magic::F2FS_SUPER_MAGIC => Self::Local,
            _ => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_is_not_known_to_answer_from_memory_is_foreign() {
        const FUSE_SUPER_MAGIC: u32 = 0x6573_5546;
        const NFS_SUPER_MAGIC: u32 = 0x6969;
        const OVERLAYFS_SUPER_MAGIC: u32 = 0x794c_7630;
        for magic in [FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, 0, u32::MAX] {
            assert_eq!(Medium::of_magic(magic), Medium::Foreign, "{magic:#x}");
        }
        assert_eq!(Medium::of(File::open("/proc/self/status").unwrap()), Medium::Foreign);
    }

    #[test]
    fn shared_memory_is_memory() {
        let file = rustix::fs::memfd_create("medium", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        assert_eq!(Medium::of(file), Medium::Memory);
    }
}
