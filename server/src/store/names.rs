//! Renames that replace nothing, also on file systems without such a call (NFS, many of FUSE). Never replaces
//! anything: where a file system has no other safe way either, `EOPNOTSUPP`.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::{Errno, Result};

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) directory: &'a OwnedFd,
    pub(crate) name: &'a [u8],
}

/// What came of [`rename_file`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renamed {
    Done,
    /// Both names lead to the file, and the old one is still to be removed.
    Linked,
}

/// Gives a file or link a name that is free. `EEXIST` where it is not.
pub(crate) fn rename_file(from: Name<'_>, to: Name<'_>) -> Result<Renamed> {
    match rename_noreplace(from, to) {
        Err(errno) if is_unsupported(errno) => link(from, to).map(|()| Renamed::Linked),
        result => result.map(|()| Renamed::Done),
    }
}

/// Gives a directory a name that is free. `EEXIST` or `ENOTEMPTY` where it is not.
pub(crate) fn rename_directory(from: Name<'_>, to: Name<'_>) -> Result<()> {
    match rename_noreplace(from, to) {
        Err(errno) if is_unsupported(errno) => rename_onto_empty(from, to),
        result => result,
    }
}

/// The name is taken by making an empty directory of it, which alone a rename of a directory may replace.
fn rename_onto_empty(from: Name<'_>, to: Name<'_>) -> Result<()> {
    rustix::fs::mkdirat(to.directory, to.name, Mode::RWXU)?;
    rustix::fs::renameat(from.directory, from.name, to.directory, to.name).inspect_err(|_| {
        // Removes nothing but an empty directory.
        let _ = rustix::fs::unlinkat(to.directory, to.name, AtFlags::REMOVEDIR);
    })
}

fn rename_noreplace(from: Name<'_>, to: Name<'_>) -> Result<()> {
    let flags = RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(from.directory, from.name, to.directory, to.name, flags)
}

/// Never follows a link in the place of the file.
fn link(from: Name<'_>, to: Name<'_>) -> Result<()> {
    let linked = rustix::fs::linkat(
        from.directory.as_fd(),
        from.name,
        to.directory.as_fd(),
        to.name,
        AtFlags::empty(),
    );
    linked.map_err(|errno| match errno {
        // link(2): the file system has no links, or no more of this file.
        Errno::PERM | Errno::NOSYS | Errno::MLINK => Errno::OPNOTSUPP,
        other => other,
    })
}

/// `EINVAL` has other reasons as well, which the other way to do it then meets too.
fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::OFlags;
    use std::path::Path;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn without_the_flag_a_file_is_linked_and_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let directory = &open(folder.path());
        let name = |name: &'static str| Name { directory, name: name.as_bytes() };
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::fs::write(folder.path().join("taken"), "taken").unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        assert_eq!(link(name("a"), name("taken")), Err(Errno::EXIST));
        assert_eq!(link(name("a"), name("link")), Err(Errno::EXIST));
        assert_eq!(link(name("missing"), name("b")), Err(Errno::NOENT));
        link(name("a"), name("b")).unwrap();
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), b"a");
        link(name("link"), name("link-2")).unwrap();
        assert!(folder.path().join("link-2").is_symlink(), "the link itself has the new name");
    }

    #[test]
    fn without_the_flag_a_directory_takes_a_free_name_only() {
        let folder = tempfile::tempdir().unwrap();
        let directory = &open(folder.path());
        let name = |name: &'static str| Name { directory, name: name.as_bytes() };
        for made in ["a/kept", "empty", "full/x"] {
            std::fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        std::fs::write(folder.path().join("file"), "file").unwrap();
        for taken in ["empty", "full", "file", "a"] {
            assert_eq!(rename_onto_empty(name("a"), name(taken)), Err(Errno::EXIST), "{taken}");
        }
        let within = Name { directory: &open(&folder.path().join("a")), name: b"b" };
        assert_eq!(rename_onto_empty(name("a"), within), Err(Errno::INVAL), "into itself");
        assert!(!folder.path().join("a/b").exists());
        rename_onto_empty(name("a"), name("b")).unwrap();
        assert!(folder.path().join("b/kept").exists() && !folder.path().join("a").exists());
    }
}
