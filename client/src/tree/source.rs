//! A local file that is sent: opened without touching anything else, and watched for changes.

use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    /// Of the file as it was opened.
    pub(crate) facts: Facts,
}

impl Source {
    /// What has the name is looked at before it is opened, and after that again: to open a device may have effects, and
    /// what was a file may have become something else since. `O_NONBLOCK` waits for no other end of a FIFO.
    pub(super) fn open(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Self, TreeError> {
        let cannot_read = TreeError::system("read");
        let seen = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&cannot_read)?;
        check_file(&Facts::of(&seen))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(opened) => Self::of(opened),
            Err(Errno::LOOP) => Err(TreeError::NotAFile(Kind::Link)),
            Err(errno) => Err(cannot_read(errno)),
        }
    }

    fn of(opened: OwnedFd) -> Result<Self, TreeError> {
        let cannot_read = TreeError::system("read");
        let facts = Facts::of(&rustix::fs::fstat(&opened).map_err(&cannot_read)?);
        check_file(&facts)?;
        // Files of /proc and the like do not tell their size.
        if facts.size_bytes == 0 && rustix::io::pread(&opened, &mut [0], 0).map_err(&cannot_read)? > 0 {
            return Err(TreeError::UnknownSize);
        }
        Ok(Self { file: File::from(opened), facts })
    }

    /// False where what was read of the file may be half of the old and half of the new.
    pub(crate) fn is_unchanged(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| Facts::of(&stat) == self.facts)
    }
}

fn check_file(facts: &Facts) -> Result<(), TreeError> {
    if facts.kind == Kind::File { Ok(()) } else { Err(TreeError::NotAFile(facts.kind)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::fs::{CWD, FileType};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_files_are_opened_and_nothing_waits() {
        let top = tempfile::tempdir().unwrap();
        let make = |name: &str| top.path().join(name);
        fs::write(make("file"), "ferry").unwrap();
        symlink("file", make("link")).unwrap();
        fs::create_dir(make("folder")).unwrap();
        rustix::fs::mknodat(CWD, make("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let folder = File::open(top.path()).unwrap();
        let open = |name: &str| Source::open(folder.as_fd(), name.as_bytes());
        assert_eq!(open("file").unwrap().facts.size_bytes, 5);
        for (name, kind) in [("link", Kind::Link), ("folder", Kind::Folder), ("fifo", Kind::Fifo)] {
            assert!(matches!(open(name), Err(TreeError::NotAFile(found)) if found == kind), "{name}");
        }
        assert!(matches!(open("none"), Err(TreeError::System { .. })));
        let proc = File::open("/proc/self").unwrap();
        assert!(matches!(Source::open(proc.as_fd(), b"status"), Err(TreeError::UnknownSize)));
    }

    #[test]
    fn a_file_that_became_another_kind_before_it_was_opened_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let fifo = top.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let opened = rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        assert!(matches!(Source::of(opened), Err(TreeError::NotAFile(Kind::Fifo))));
    }

    #[test]
    fn a_change_while_it_is_sent_is_seen() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("a"), "ferry").unwrap();
        let source = Source::open(File::open(top.path()).unwrap().as_fd(), b"a").unwrap();
        assert!(source.is_unchanged());
        fs::write(top.path().join("a"), "ferries").unwrap();
        assert!(!source.is_unchanged());
    }
}
