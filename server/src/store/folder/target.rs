//! A directory in which a name is to be made or taken away.

use super::{mtime_of, size_of_file};
use crate::store::digest_cache::FileIdentity;
use crate::store::errors::Call;
use crate::store::shortfalls::{Shortfall, is_unsupported_flush};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Was;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

#[derive(Debug)]
pub(super) struct Target {
    directory: OwnedFd,
    path: RemotePath,
}

impl Target {
    /// `path` is that by which the directory was found.
    pub(super) fn new(directory: OwnedFd, path: RemotePath) -> Self {
        Self { directory, path }
    }

    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// What a name here leads to; of a link, the link itself.
    pub(super) fn look_at(&self, name: &[u8]) -> Result<Stat, ErrorCode> {
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Call::Open.of(&self.path))
    }

    /// True where a name here leads to that inode.
    pub(super) fn has(&self, name: &[u8], inode: &Stat) -> Result<bool, ErrorCode> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(is_same_inode(&stat, inode)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Call::Open.of(&self.path)(errno)),
        }
    }

    /// The state of what has a name here; of a link, of the link itself.
    pub(super) fn state_of(&self, name: &[u8]) -> Result<Option<FileIdentity>, ErrorCode> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileIdentity::from_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Call::Open.of(&self.path)(errno)),
        }
    }

    /// A file may take the place of nothing, of a regular file, or of a link (which is itself replaced, not
    /// followed), but not of a directory or anything special. Tells of the regular file whose place it takes.
    pub(super) fn admits(&self, name: &[u8], new: bool) -> Result<Option<Stat>, ErrorCode> {
        let stat = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Call::Open.of(&self.path)(errno)),
            Ok(stat) => stat,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(ErrorCode::IsDirectory),
            FileType::RegularFile | FileType::Symlink if new => Err(ErrorCode::Exists),
            FileType::RegularFile => Ok(Some(stat)),
            FileType::Symlink => Ok(None),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(ErrorCode::NotRegular),
        }
    }

    /// Fails where a name here holds something else than this. True where it holds anything.
    pub(super) fn check_was(&self, name: &[u8], was: Option<Was>) -> Result<bool, ErrorCode> {
        let stat = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            result => result.map_err(Call::Open.of(&self.path))?,
        };
        if was.is_none_or(|was| is(&stat, was)) { Ok(true) } else { Err(ErrorCode::Changed) }
    }

    /// Brings the directory's names to the disk, where its file system can do that.
    pub(super) fn flush(&self) -> Result<(), ErrorCode> {
        flush_change(&self.directory, &self.path)
    }
}

/// Brings what was changed of a directory or file to the disk, where its file system can do that.
pub(super) fn flush_change(changed: &OwnedFd, path: &RemotePath) -> Result<(), ErrorCode> {
    match rustix::fs::fsync(changed) {
        Err(errno) if is_unsupported_flush(errno) => {
            Shortfall::NameFlush.tell(changed, path, errno);
            Ok(())
        }
        result => result.map_err(Call::FlushChange.of(path)),
    }
}

/// What was seen under a name is there, as far as it tells.
pub(super) fn is(stat: &Stat, was: Was) -> bool {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match was {
        Was::File { size_bytes, mtime } => {
            kind == FileType::RegularFile && (size_of_file(stat), mtime_of(stat)) == (size_bytes, mtime)
        }
        Was::Link => kind == FileType::Symlink,
        Was::Dir => kind == FileType::Directory,
    }
}

pub(super) fn is_same_inode(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
