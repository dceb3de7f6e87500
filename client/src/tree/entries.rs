//! The names in one folder, as the disk tells them, and what has them.

use crate::tree::error::TreeError;
use crate::tree::facts::Facts;
use crate::tree::folder::Folder;
use crate::tree::resolve;
use ferry_common::path::RemotePath;
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{AtFlags, Dir, OFlags};
use rustix::io::Errno;

/// See the module's documentation.
pub(crate) struct Entries(Dir);

impl Folder {
    /// Opens what is in a folder, itself or beneath this one.
    pub(crate) fn entries(&self, path: &RemotePath) -> Result<Entries, TreeError> {
        Entries::open(self.top(), path).map_err(TreeError::system("read"))
    }
}

impl Entries {
    pub(super) fn open(root: BorrowedFd<'_>, path: &RemotePath) -> Result<Self, Errno> {
        let opened = resolve::open(root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Self(Dir::new(opened)?))
    }

    /// Of the folder itself.
    pub(super) fn facts(&self) -> Result<Facts, Errno> {
        Ok(Facts::of(&rustix::fs::fstat(self.0.fd()?)?))
    }

    /// `None` at the end.
    pub(super) fn read(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        while let Some(entry) = self.0.read() {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => return Ok(Some(name.to_vec())),
            }
        }
        Ok(None)
    }

    /// What has the name itself, be it a link; `None` where nothing has it any more.
    pub(super) fn stat(&self, name: &[u8]) -> Result<Option<Facts>, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match self.0.fd().and_then(|directory| rustix::fs::statat(directory, name, flags)) {
            Ok(stat) => Ok(Some(Facts::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The next name, in no order; `None` at the end.
    pub(crate) fn next_name(&mut self) -> Result<Option<Vec<u8>>, TreeError> {
        self.read().map_err(TreeError::system("read to its end"))
    }

    /// See [`Entries::stat`].
    pub(crate) fn look_at(&self, name: &[u8]) -> Result<Option<Facts>, TreeError> {
        self.stat(name).map_err(TreeError::system("looked at"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::facts::Kind;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_is_told_and_no_link_entered() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/folder")).unwrap();
        fs::write(top.path().join("a/.file"), "ferry").unwrap();
        symlink("a", top.path().join("link")).unwrap();
        let folder = Folder::open(top.path()).unwrap();
        let path = |text: &str| RemotePath::parse(text.as_bytes()).unwrap();
        let mut entries = folder.entries(&path("a")).unwrap();
        let mut names = Vec::new();
        while let Some(name) = entries.next_name().unwrap() {
            names.push((entries.look_at(&name).unwrap().unwrap().kind, name));
        }
        names.sort_by_key(|(_, name)| name.clone());
        assert_eq!(names, [(Kind::File, b".file".to_vec()), (Kind::Folder, b"folder".to_vec())]);
        assert_eq!(entries.look_at(b"gone").unwrap(), None);
        assert!(matches!(folder.entries(&path("link")), Err(TreeError::NoFolder)));
    }
}
