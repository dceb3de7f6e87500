//! Hidden files beside those that downloads are to become, and what killed runs have left of them. A client has such a file
//! by a lock, which ends with the client; a file that no client has is left over.
//!
//! A *part* has a predictable name, under which the next run finds it again and goes on. Any other one has a name that is
//! free, which no run looks for: what is left of these is removed.
//!
//! Everything is done by the descriptor of a folder and a name in it, and no link is followed in the place of the name.

use crate::limits::HIDDEN_NAMES_MAX;
use crate::transfer::attributes;
use ferry_common::limits::NAME_MAX_BYTES;
use ferry_common::path::HIDDEN_NAME;
use ferry_common::wire::digest::Digest;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// For this user alone while the content comes and is compared: no other may read or change what is published later.
const MODE: u32 = attributes::PRIVATE_MODE;
/// At the end of the name of a part.
const PART_MARK: &[u8] = b".ferry-part";
/// Before the digits at the end of a name that is free.
const FREE_MARK: &[u8] = b".ferry-";
const FREE_DIGITS: usize = 8;

/// Whether a hidden file can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The file is locked, and stays so while it is open.
    Ours,
    /// Another client has it, or had it just now and has published or removed it since.
    Taken,
    /// The entry is no plain file of this user alone, or this file system knows no locks.
    Unfit,
}

/// The name of the part of a file. That of a file with a long name is made of a digest of it.
pub(crate) fn part_name(name: &[u8]) -> Vec<u8> {
    let hidden = [b".", name, PART_MARK].concat();
    if hidden.len() <= NAME_MAX_BYTES {
        hidden
    } else {
        [b".", Digest::of(name).to_string().as_bytes(), PART_MARK].concat()
    }
}

/// The part that an earlier run has left there, if it is free and fit to be gone on with. Nothing in it is to be trusted.
pub(crate) fn find_part(directory: impl AsFd, path: &Path) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&directory, path, flags, Mode::empty()).ok()?);
    match claim(&file, &directory, path) {
        Claim::Ours => {
            attributes::shield(&file);
            Some(file)
        }
        Claim::Taken | Claim::Unfit => None,
    }
}

/// An empty part; `None` where its name is taken, or nothing can be locked or made there.
pub(crate) fn create_part(directory: impl AsFd, path: &Path) -> Option<File> {
    let file = create(&directory, path).ok()?;
    match claim(&file, &directory, path) {
        Claim::Ours => Some(file),
        Claim::Taken => None,
        Claim::Unfit => {
            // What cannot be removed was hardly made.
            let _ = rustix::fs::unlinkat(&directory, path, AtFlags::empty());
            None
        }
    }
}

/// Has an empty file made under a free name. `place` tells where a name is, seen from the directory.
pub(crate) fn create_free<P: AsRef<Path>>(
    directory: impl AsFd,
    name: &[u8],
    place: impl Fn(&[u8]) -> P,
) -> Result<(Vec<u8>, File), Errno> {
    with_free_name(name, |hidden| {
        let path = place(hidden);
        let file = create(&directory, path.as_ref())?;
        match claim(&file, &directory, path.as_ref()) {
            // Without locks, no other client takes it for left over.
            Claim::Ours | Claim::Unfit => Ok(file),
            Claim::Taken => Err(Errno::EXIST),
        }
    })
}

/// Has something made under a free name that tells what it is for: `.NAME.ferry-XXXXXXXX`. `make` fails with `EEXIST`
/// where the name is taken.
pub(crate) fn with_free_name<T>(
    name: &[u8],
    mut make: impl FnMut(&[u8]) -> Result<T, Errno>,
) -> Result<(Vec<u8>, T), Errno> {
    let mut result = Err(Errno::EXIST);
    for _ in 0..HIDDEN_NAMES_MAX {
        let hidden = free_name(name)?;
        match make(&hidden) {
            Err(Errno::EXIST) => {}
            made => {
                result = made.map(|made| (hidden, made));
                break;
            }
        }
    }
    result
}

/// No other client takes the file for left over while it is open.
pub(crate) fn hold(file: &File) {
    // Where it cannot be locked, no other client can lock it either.
    let _ = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
}

/// Removes what killed runs have left under free names, among the first `names_max` names of the directory.
pub(crate) fn sweep(directory: impl AsFd, names_max: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = rustix::fs::openat(&directory, ".", flags, Mode::empty()).and_then(Dir::new);
    let Ok(entries) = entries else { return };
    for entry in entries.take(names_max).map_while(Result::ok) {
        let name = entry.file_name();
        if is_free_name(name.to_bytes()) {
            remove_if_left(&directory, Path::new(OsStr::from_bytes(name.to_bytes())));
        }
    }
}

fn remove_if_left(directory: impl AsFd, path: &Path) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(&directory, path, flags, Mode::empty()) else { return };
    match claim(&File::from(file), &directory, path) {
        Claim::Ours => {
            // What cannot be removed stays.
            let _ = rustix::fs::unlinkat(&directory, path, AtFlags::empty());
        }
        Claim::Taken | Claim::Unfit => {}
    }
}

fn create(directory: impl AsFd, path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, path, flags, Mode::from_raw_mode(MODE)).map(File::from)
}

fn claim(file: &File, directory: impl AsFd, path: &Path) -> Claim {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Claim::Taken,
        Err(_) => return Claim::Unfit,
    }
    let Ok(opened) = rustix::fs::fstat(file) else { return Claim::Unfit };
    let named = rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW);
    if !named.is_ok_and(|named| is_same_inode(&named, &opened)) {
        Claim::Taken
    } else if FileType::from_raw_mode(opened.st_mode) == FileType::RegularFile
        && opened.st_uid == rustix::process::geteuid().as_raw()
        && opened.st_nlink == 1
    {
        Claim::Ours
    } else {
        Claim::Unfit
    }
}

fn is_same_inode(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn free_name(name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut random = [0; FREE_DIGITS / 2];
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
    let digits = format!("{:0FREE_DIGITS$x}", u32::from_ne_bytes(random)).into_bytes();
    let end = [FREE_MARK, &digits].concat();
    // A long name goes as a whole: a part of it may not be text any more, which some file systems refuse.
    Ok(if 1 + name.len() + end.len() > NAME_MAX_BYTES { end } else { [b".", name, &end].concat() })
}

/// True for what [`free_name`] makes, and for nothing else.
fn is_free_name(name: &[u8]) -> bool {
    let Some((rest, digits)) = name.split_last_chunk::<FREE_DIGITS>() else { return false };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.starts_with(b".") && rest.ends_with(FREE_MARK) && digits.iter().all(is_digit)
}

/// True for the name of what a transfer keeps until its file is whole: here or in another run, of this host or of a server.
pub(crate) fn is_of_a_transfer(name: &[u8]) -> bool {
    let is_part = || name.strip_prefix(b".").is_some_and(|name| name.ends_with(PART_MARK));
    name.eq_ignore_ascii_case(HIDDEN_NAME) || is_part() || is_free_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn what_a_transfer_keeps_is_told_by_its_name() {
        for name in [&b"a"[..], b"", &[b'n'; NAME_MAX_BYTES]] {
            assert!(is_of_a_transfer(&free_name(name).unwrap()));
            assert!(is_of_a_transfer(&part_name(name)));
        }
        assert!(is_of_a_transfer(b".ferry-staging") && is_of_a_transfer(b".Ferry-Staging"));
        for name in [&b"a.ferry-part"[..], b".hidden", b".", b"", b"a.ferry-01234567", b".aferry-01234567"] {
            assert!(!is_of_a_transfer(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_free_name_is_hidden_fits_and_differs_each_time() {
        for name in [&b"a"[..], b"", &[b'n'; NAME_MAX_BYTES]] {
            let mut tried = Vec::new();
            let made = with_free_name(name, |hidden| {
                tried.push(hidden.to_vec());
                if tried.len() < 3 { Err(Errno::EXIST) } else { Ok(()) }
            });
            assert_eq!(made.unwrap().0, tried[2]);
            assert!(tried.iter().all(|hidden| hidden.len() <= NAME_MAX_BYTES && is_free_name(hidden)));
            assert!(tried[0] != tried[1] && tried[1] != tried[2]);
        }
        assert!(with_free_name(b"a", |_| Ok(())).unwrap().0.starts_with(b".a.ferry-"));
    }

    #[test]
    fn a_failure_ends_the_search_and_so_does_a_folder_that_has_every_name() {
        assert_eq!(with_free_name(b"a", |_| Err::<(), _>(Errno::ACCESS)), Err(Errno::ACCESS));
        assert_eq!(with_free_name(b"a", |_| Err::<(), _>(Errno::EXIST)), Err(Errno::EXIST));
    }

    /// A folder, opened, in which a file of each of these names is.
    fn folder(names: &[&[u8]]) -> (tempfile::TempDir, File) {
        let top = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(top.path().join(OsStr::from_bytes(name)), "content").unwrap();
        }
        let opened = File::open(top.path()).unwrap();
        (top, opened)
    }

    fn names(top: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            fs::read_dir(top).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name())).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_left_over_is_removed_and_nothing_that_looks_nearly_so() {
        let left: &[&[u8]] = &[b".a.ferry-0123abcd", b".ferry-00000000", b".not\xffutf8.ferry-ffffffff"];
        let (top, opened) = folder(left);
        sweep(&opened, usize::MAX);
        assert_eq!(names(top.path()), Vec::<PathBuf>::new());

        let others: &[&[u8]] = &[
            b".a.ferry-part",
            b".a.ferry-0123ABCD",
            b".a.ferry-0123abc",
            b".a.ferry-0123abcde",
            b".a.ferry-0123abcd.txt",
            b"a.ferry-0123abcd",
            b".a-ferry-0123abcd",
            b".ferry-0123abcg",
        ];
        let (top, opened) = folder(others);
        sweep(&opened, usize::MAX);
        assert_eq!(names(top.path()).len(), others.len());
    }

    #[test]
    fn what_a_client_has_and_what_is_no_plain_file_of_its_own_stays() {
        let (top, opened) = folder(&[b"precious"]);
        let place = |name: &[u8]| PathBuf::from(OsStr::from_bytes(name));
        let (_, held) = create_free(&opened, b"held", place).unwrap();
        fs::hard_link(top.path().join("precious"), top.path().join(".linked.ferry-00000001")).unwrap();
        std::os::unix::fs::symlink("precious", top.path().join(".symbolic.ferry-00000002")).unwrap();
        fs::create_dir(top.path().join(".folder.ferry-00000003")).unwrap();
        let there = names(top.path());
        assert_eq!(there.len(), 5);
        sweep(&opened, usize::MAX);
        assert_eq!(names(top.path()), there);
        drop(held);
        sweep(&opened, usize::MAX);
        assert_eq!(names(top.path()).len(), 4);
        assert_eq!(fs::read(top.path().join("precious")).unwrap(), b"content");
    }

    #[test]
    fn a_file_that_is_given_a_free_name_while_it_is_held_stays() {
        let (top, opened) = folder(&[b".a.ferry-0123abcd"]);
        let file = File::open(top.path().join(".a.ferry-0123abcd")).unwrap();
        hold(&file);
        sweep(&opened, usize::MAX);
        assert_eq!(names(top.path()).len(), 1);
    }
}
