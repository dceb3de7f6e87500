//! What servers left that have died: looked through when the next one starts.

use super::claim::{Claim, LOCK_NAME};
use super::naming::{self, PARTIAL_NAME, Remains};
use super::partials::{DIRECTORY, names_in};
use ferry_common::limits::EAGER_MAX_BYTES;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// The kernel's name for the time since it was started: 36 bytes.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Notes beside a claim since when its server is there: of what it has written, all is in files as long as the kernel lives,
/// and after that only what was flushed.
pub(super) fn note_start(claim: &Claim) {
    if let Ok(boot) = std::fs::read(BOOT_ID) {
        claim.note(&boot);
    }
}

/// Empties the subdirectories that no server claims. What cannot be removed stays for another time, and so does
/// what has no lock: its server may live.
pub(super) fn look_through(parent: BorrowedFd<'_>, partial: BorrowedFd<'_>) {
    let boot = std::fs::read(BOOT_ID).ok();
    for name in names_in(parent) {
        if name == PARTIAL_NAME.as_bytes() || name == LOCK_NAME.as_bytes() {
            continue;
        }
        let Ok(directory) = rustix::fs::openat(parent, &name, DIRECTORY, Mode::empty()) else { continue };
        if let Some(claim) = Claim::of_abandoned(directory.as_fd()) {
            let has_all = boot.as_ref().is_some_and(|boot| claim.noted().as_ref() == Some(boot));
            for file in names_in(directory.as_fd()) {
                if file != LOCK_NAME.as_bytes() {
                    adopt_or_remove(directory.as_fd(), &file, partial, has_all);
                }
            }
            if names_in(directory.as_fd()) == [LOCK_NAME.as_bytes()] {
                claim.remove(directory.as_fd());
            }
        }
        let _ = rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR);
    }
}

/// Keeps of what a killed server was receiving what it would have kept itself. Where it may not have all that the server
/// has written, it is only on record: a client that tells no digest would go on with it.
fn adopt_or_remove(directory: BorrowedFd<'_>, name: &[u8], partial: BorrowedFd<'_>, has_all: bool) {
    let kept = naming::kept_name(name).filter(|(_, remains)| is_adoptable(directory, name, *remains));
    let adopted = kept.map_or(Err(Errno::NOENT), |(stem, remains)| match remains {
        Remains::Any if !has_all => record(partial, stem).and(Err(Errno::NODATA)),
        Remains::Nothing | Remains::Large | Remains::Any => {
            rustix::fs::renameat(directory, name, partial, stem)
        }
    });
    if adopted.is_err() {
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

/// Never empties what is there: that may have another name.
fn record(partial: BorrowedFd<'_>, stem: &str) -> rustix::io::Result<()> {
    let _ = rustix::fs::unlinkat(partial, stem, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(partial, stem, flags, Mode::RUSR | Mode::WUSR).map(drop)
}

/// True for a file of which something is to be kept and that has no second name: a published one must never be written to
/// again.
fn is_adoptable(directory: BorrowedFd<'_>, name: &[u8], remains: Remains) -> bool {
    let is_enough = |bytes: u64| match remains {
        Remains::Nothing => false,
        Remains::Large => bytes > EAGER_MAX_BYTES,
        Remains::Any => true,
    };
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| is_enough(u64::try_from(stat.st_size).unwrap_or(0)) && stat.st_nlink == 1)
}

#[cfg(test)]
mod tests {
    use super::super::Home;
    use super::*;
    use crate::store::lane_id::LaneId;
    use ferry_common::path::{HIDDEN_NAME, RemotePath};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn home_in(folder: &Path) -> Arc<Home> {
        let root = rustix::fs::open(folder, DIRECTORY, Mode::empty()).unwrap();
        Arc::new(Home::prepare(root.as_fd(), Some(0), LaneId::ROOT).unwrap())
    }

    /// The directory of a server that has noted this when it began.
    fn dead(folder: &Path, noted: &[u8]) -> PathBuf {
        let dead = folder.join(str::from_utf8(HIDDEN_NAME).unwrap()).join("dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK_NAME), noted).unwrap();
        dead
    }

    fn path(name: &str) -> RemotePath {
        RemotePath::parse(name.as_bytes()).unwrap()
    }

    fn kept_bytes(home: &Home, name: &str) -> Option<u64> {
        let kept = home.open_partial(&path(name)).ok()?;
        rustix::fs::fstat(kept).ok().and_then(|stat| u64::try_from(stat.st_size).ok())
    }

    #[test]
    fn a_record_outlives_its_server_and_what_is_a_copy_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let living = home_in(folder.path());
        let dead = dead(folder.path(), &fs::read(BOOT_ID).unwrap());
        let large = vec![7; 1 + usize::try_from(EAGER_MAX_BYTES).unwrap()];
        for (name, remains, content) in [
            ("small", Remains::Any, b"small".as_slice()),
            ("empty", Remains::Any, b""),
            ("sized", Remains::Large, b"small"),
            ("copy", Remains::Nothing, &large),
        ] {
            fs::write(dead.join(living.new_name(&path(name), remains)), content).unwrap();
        }
        let published = dead.join(living.new_name(&path("published"), Remains::Any));
        fs::write(&published, "whole").unwrap();
        fs::hard_link(&published, folder.path().join("published")).unwrap();

        let second = home_in(folder.path());
        assert!(!dead.exists());
        let kept = ["small", "empty", "sized", "copy", "published"].map(|name| kept_bytes(&second, name));
        assert_eq!(kept, [Some(5), Some(0), None, None, None]);
        assert!(second.superseded(&path("empty")).is_some(), "it is known from the start on");
        assert_eq!(fs::read(folder.path().join("published")).unwrap(), b"whole");
    }

    #[test]
    fn of_a_server_that_went_with_its_machine_there_is_no_more_than_a_record() {
        for noted in [b"".as_slice(), b"01234567-89ab-cdef-0123-456789abcdef\n"] {
            let folder = tempfile::tempdir().unwrap();
            let living = home_in(folder.path());
            let dead = dead(folder.path(), noted);
            let large = vec![7; 1 + usize::try_from(EAGER_MAX_BYTES).unwrap()];
            for (name, remains) in [("sized", Remains::Large), ("record", Remains::Any)] {
                fs::write(dead.join(living.new_name(&path(name), remains)), &large).unwrap();
            }
            let second = home_in(folder.path());
            assert!(!dead.exists());
            assert_eq!(kept_bytes(&second, "sized"), Some(1 + EAGER_MAX_BYTES), "its client tells a digest");
            assert_eq!(kept_bytes(&second, "record"), Some(0));
        }
    }
}
