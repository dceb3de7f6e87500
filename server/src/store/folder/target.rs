//! A directory in which a name is to be made or taken away.

use crate::store::errors::code_of;
use ferry_common::error::ErrorCode;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

#[derive(Debug)]
pub(super) struct Target {
    directory: OwnedFd,
}

impl Target {
    pub(super) fn new(directory: OwnedFd) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// A file may take the place of nothing, of a regular file, or of a link (which is itself replaced, not
    /// followed), but not of a directory or anything special. Tells the mode that it inherits.
    pub(super) fn admits(&self, name: &[u8], new: bool) -> Result<Option<Mode>, ErrorCode> {
        let stat = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(code_of(errno)),
            Ok(stat) => stat,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(ErrorCode::IsDirectory),
            FileType::RegularFile | FileType::Symlink if new => Err(ErrorCode::Exists),
            // Who may do what; never the bits that make a program run as somebody else.
            FileType::RegularFile => Ok(Some(Mode::from_raw_mode(stat.st_mode & 0o777))),
            FileType::Symlink => Ok(None),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(ErrorCode::NotRegular),
        }
    }

    /// Brings the directory's names to the disk.
    pub(super) fn flush(&self) -> Result<(), ErrorCode> {
        rustix::fs::fsync(&self.directory).map_err(code_of)
    }
}
