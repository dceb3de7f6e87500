//! Opening what a path leads to beneath an open folder: the kernel follows no link on the way, and leads nowhere else.

use crate::limits::TREE_LOOKUPS_MAX;
use ferry_common::path::RemotePath;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens something that exists. `ELOOP` or `ENOTDIR` where a part of the path is a link or no folder.
pub(super) fn open(root: BorrowedFd<'_>, path: &RemotePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    match open_at_once(root, path, flags) {
        // The kernel does not have the call, or a sandbox does not let it through.
        Err(Errno::NOSYS) => open_step_by_step(root, path, flags),
        result => result,
    }
}

fn open_at_once(root: BorrowedFd<'_>, path: &RemotePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat2(root, path.as_bytes(), flags, Mode::empty(), resolve);
    let mut result = open();
    for _ in 1..TREE_LOOKUPS_MAX {
        match result {
            Err(Errno::AGAIN | Errno::INTR) => result = open(),
            Ok(_) | Err(_) => break,
        }
    }
    result
}

/// A path has no `..`, and no link is followed, so each step leads one folder deeper.
fn open_step_by_step(root: BorrowedFd<'_>, path: &RemotePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let to_pass = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names = path.as_bytes().split(|&byte| byte == b'/').peekable();
    let mut passed: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let from = passed.as_ref().map_or(root, AsFd::as_fd);
        if names.peek().is_none() {
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return rustix::fs::openat(from, name, flags, Mode::empty());
        }
        passed = Some(rustix::fs::openat(from, name, to_pass, Mode::empty())?);
    }
    Err(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    type Open = fn(BorrowedFd<'_>, &RemotePath, OFlags) -> Result<OwnedFd, Errno>;

    #[test]
    fn no_link_is_followed_wherever_it_stands() {
        let top = tempfile::tempdir().unwrap();
        let inside = top.path().join("inside");
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::write(top.path().join("secret"), "").unwrap();
        fs::write(inside.join("a/b/file"), "").unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("a", inside.join("within")).unwrap();
        symlink("file", inside.join("a/b/link")).unwrap();
        symlink("/proc/self/cwd", inside.join("magic")).unwrap();
        let root = fs::File::open(&inside).unwrap();
        let opens: [Open; 3] = [open, open_at_once, open_step_by_step];
        for open in opens {
            let open = |path: &str| {
                open(root.as_fd(), &RemotePath::parse(path.as_bytes()).unwrap(), OFlags::RDONLY).map(drop)
            };
            for path in [".", "a", "a/b", "a/b/file"] {
                assert_eq!(open(path), Ok(()), "{path}");
            }
            for path in ["up", "up/secret", "within", "within/b", "a/b/link", "magic", "magic/x"] {
                assert!(matches!(open(path), Err(Errno::LOOP | Errno::NOTDIR)), "{path}: {:?}", open(path));
            }
            assert_eq!(open("a/b/file/x"), Err(Errno::NOTDIR));
            assert_eq!(open("a/missing"), Err(Errno::NOENT));
        }
    }
}
