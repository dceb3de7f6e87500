//! A walk through a local tree that is to be sent. Folder by folder: a folder is told right before the files in it, and
//! those before any other folder. Within a folder they are sorted by the bytes of their names.
//!
//! Memory and descriptors are bounded, however large and deep the tree is: one folder is open at a time and found again
//! from the top, and those that are still to come wait in a spool. A folder of more than [`TREE_SORTED_NAMES_MAX`] names
//! is sorted in pieces of so many.

use crate::limits::TREE_SORTED_NAMES_MAX;
use crate::tree::entries::Entries;
use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind};
use crate::tree::folder::Folder;
use crate::tree::pattern::Excludes;
use crate::tree::spool::Spool;
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::wire::file_time::FileTime;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::vec;

/// See the module's documentation.
pub(crate) struct Walk {
    root: OwnedFd,
    excludes: Excludes,
    /// Paths of folders that were told, and not walked yet.
    folders: Spool,
    current: Option<Current>,
}

/// The folder that is being walked.
struct Current {
    path: RemotePath,
    mtime: FileTime,
    entries: Entries,
    /// Read, sorted, and not told yet.
    names: vec::IntoIter<Vec<u8>>,
}

/// What the walk has come to. Paths are relative to the folder, whatever part of it is walked.
#[derive(Debug)]
pub(crate) enum Entry {
    Folder { path: RemotePath, mtime: FileTime },
    File { path: RemotePath, facts: Facts },
    Skipped { path: Vec<u8>, why: Why },
}

/// Why something cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Why {
    #[error("it is {0}")]
    Kind(Kind),
    #[error(transparent)]
    Unreadable(TreeError),
    #[error("the server takes no such name")]
    Name,
    #[error("Ferry keeps uploads there that are not whole")]
    Staging,
}

impl Why {
    /// What is no file is left out by intention.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Self::Kind(_) | Self::Staging)
    }
}

impl Walk {
    /// Walks `start` and what is beneath it. What is excluded is not told, nor entered.
    pub(crate) fn new(folder: &Folder, start: &RemotePath, excludes: Excludes) -> Result<Self, TreeError> {
        let mut folders = Spool::default();
        let remembered = folders.push(start.as_bytes());
        remembered.map_err(|error| TreeError::System { doing: "remembered", error })?;
        Ok(Self { root: folder.root()?, excludes, folders, current: None })
    }

    /// What has this name in the current folder; `None` where it is excluded, gone by now, or a folder, which has its turn.
    fn look_at(&mut self, name: &[u8]) -> Option<Entry> {
        let current = self.current.as_ref()?;
        let path = if current.path.is_root() {
            name.to_vec()
        } else {
            [current.path.as_bytes(), b"/", name].concat()
        };
        let skipped = |path, why| Some(Entry::Skipped { path, why });
        let cannot_read = |errno| Why::Unreadable(TreeError::system("read")(errno));
        let facts = match current.entries.stat(name) {
            Ok(facts) => facts?,
            Err(errno) => return skipped(path, cannot_read(errno)),
        };
        if self.excludes.matches(&path, facts.kind == Kind::Folder) {
            return None;
        }
        if name.eq_ignore_ascii_case(HIDDEN_NAME) {
            return skipped(path, Why::Staging);
        }
        let Ok(checked) = RemotePath::parse(&path) else { return skipped(path, Why::Name) };
        match facts.kind {
            Kind::File => Some(Entry::File { path: checked, facts }),
            Kind::Folder => match self.folders.push(&path) {
                Ok(()) => None,
                Err(error) => {
                    skipped(path, Why::Unreadable(TreeError::System { doing: "remembered", error }))
                }
            },
            kind @ (Kind::Link | Kind::Fifo | Kind::Socket | Kind::Device | Kind::Unknown) => {
                skipped(path, Why::Kind(kind))
            }
        }
    }

    /// The next folder becomes the current one, unless it cannot be read.
    fn enter(&mut self, path: Vec<u8>) -> Entry {
        let Ok(checked) = RemotePath::parse(&path) else {
            return Entry::Skipped { path, why: Why::Name };
        };
        match Current::open(&self.root, checked.clone()) {
            Ok(current) => {
                let mtime = current.mtime;
                self.current = Some(current);
                Entry::Folder { path: checked, mtime }
            }
            Err(errno) => {
                let why = Why::Unreadable(TreeError::system("read")(errno));
                Entry::Skipped { path, why }
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next_name() {
                    Ok(Some(name)) => {
                        if let Some(entry) = self.look_at(&name) {
                            return Some(entry);
                        }
                    }
                    Ok(None) => self.current = None,
                    Err(errno) => {
                        let path = current.path.as_bytes().to_vec();
                        self.current = None;
                        let why = Why::Unreadable(TreeError::system("read to its end")(errno));
                        return Some(Entry::Skipped { path, why });
                    }
                }
            } else {
                match self.folders.pop() {
                    Ok(Some(path)) => return Some(self.enter(path)),
                    Ok(None) => return None,
                    Err(error) => {
                        // Which folders are lost is not known.
                        self.folders = Spool::default();
                        let why = Why::Unreadable(TreeError::System { doing: "walked to its end", error });
                        return Some(Entry::Skipped { path: b".".to_vec(), why });
                    }
                }
            }
        }
    }
}

impl Current {
    fn open(root: &OwnedFd, path: RemotePath) -> Result<Self, Errno> {
        let entries = Entries::open(root.as_fd(), &path)?;
        let Facts { mtime, .. } = entries.facts()?;
        Ok(Self { path, mtime, entries, names: Vec::new().into_iter() })
    }

    fn next_name(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        if self.names.as_slice().is_empty() {
            let mut names = Vec::new();
            while names.len() < TREE_SORTED_NAMES_MAX {
                let Some(name) = self.entries.read()? else { break };
                names.push(name);
            }
            names.sort_unstable();
            self.names = names.into_iter();
        }
        Ok(self.names.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, OFlags};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn walk(top: &Path, start: &str, excludes: &[&str]) -> Vec<String> {
        let folder = Folder::open(top).unwrap();
        let excludes = Excludes::new(excludes.iter().map(|text| text.as_bytes())).unwrap();
        let start = RemotePath::parse(start.as_bytes()).unwrap();
        Walk::new(&folder, &start, excludes).unwrap().map(|entry| show(&entry)).collect()
    }

    fn show(entry: &Entry) -> String {
        match entry {
            Entry::Folder { path, .. } => format!("{path}/"),
            Entry::File { path, facts } => format!("{path} {}", facts.size_bytes),
            Entry::Skipped { path, why } => format!("{}: {why}", String::from_utf8_lossy(path)),
        }
    }

    #[test]
    fn folder_by_folder_and_each_right_before_the_files_in_it() {
        let top = tempfile::tempdir().unwrap();
        for name in ["b/c/deep", "a", "empty"] {
            fs::create_dir_all(top.path().join(name)).unwrap();
        }
        for name in ["z", "B", "a/2", "a/1", "b/c/x", "b/c/deep/y", ".hidden"] {
            fs::write(top.path().join(name), name).unwrap();
        }
        let all = [
            "./",
            ".hidden 7",
            "B 1",
            "z 1",
            "a/",
            "a/1 3",
            "a/2 3",
            "b/",
            "empty/",
            "b/c/",
            "b/c/x 5",
            "b/c/deep/",
            "b/c/deep/y 10",
        ];
        assert_eq!(walk(top.path(), ".", &[]), all);
        assert_eq!(walk(top.path(), "b/c", &[]), all[9..]);
        assert_eq!(walk(top.path(), ".", &["c/", "?"]), ["./", ".hidden 7", "empty/"]);
        assert_eq!(walk(top.path(), "b", &["b/c/x", "deep"]), ["b/", "b/c/"]);
    }

    #[test]
    fn what_cannot_be_sent_is_told_and_not_touched() {
        let top = tempfile::tempdir().unwrap();
        symlink(".", top.path().join("loop")).unwrap();
        symlink("nowhere", top.path().join("link")).unwrap();
        rustix::fs::mknodat(CWD, top.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::os::unix::net::UnixListener::bind(top.path().join("socket")).unwrap();
        fs::create_dir(top.path().join(".ferry-staging")).unwrap();
        assert_eq!(
            walk(top.path(), ".", &[]),
            [
                "./",
                ".ferry-staging: Ferry keeps uploads there that are not whole",
                "fifo: it is a FIFO",
                "link: it is a symbolic link",
                "loop: it is a symbolic link",
                "socket: it is a socket",
            ]
        );
    }

    #[test]
    fn what_vanishes_or_is_swapped_for_a_link_during_the_walk_leads_nowhere() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "").unwrap();
        for name in ["a-gone", "a-swapped"] {
            fs::create_dir(top.path().join(name)).unwrap();
        }
        fs::write(top.path().join("file"), "").unwrap();
        let folder = Folder::open(top.path()).unwrap();
        let mut walk = Walk::new(&folder, &RemotePath::root(), Excludes::default()).unwrap();
        assert!(matches!(walk.next(), Some(Entry::Folder { .. })));
        assert!(matches!(walk.next(), Some(Entry::File { .. })));
        fs::remove_dir(top.path().join("a-gone")).unwrap();
        fs::remove_dir(top.path().join("a-swapped")).unwrap();
        symlink(outside.path(), top.path().join("a-swapped")).unwrap();
        let rest: Vec<_> = walk.map(|entry| show(&entry)).collect();
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert!(rest[0].starts_with("a-gone: ") && rest[1].starts_with("a-swapped: "), "{rest:?}");
    }

    #[test]
    fn a_tree_deeper_than_descriptors_would_last_is_walked_as_far_as_paths_go() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = rustix::fs::open(top.path(), OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..2100 {
            rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = rustix::fs::openat(&folder, "d", OFlags::PATH, Mode::empty()).unwrap();
        }
        let told = walk(top.path(), ".", &[]);
        let (last, folders) = told.split_last().unwrap();
        assert_eq!(folders.len(), 1 + 2048, "a path of 4095 bytes has so many names");
        assert!(last.ends_with("the server takes no such name"), "{last}");
        // The library would hold a descriptor for each folder to remove them.
        let (upper, lower) = (top.path().join("d"), top.path().join("e"));
        while fs::rename(upper.join("d"), &lower).is_ok() {
            fs::remove_dir(&upper).unwrap();
            fs::rename(&lower, &upper).unwrap();
        }
    }

    #[test]
    fn a_folder_of_more_names_than_are_sorted_is_told_whole() {
        let top = tempfile::tempdir_in("/dev/shm").unwrap();
        let count = TREE_SORTED_NAMES_MAX + 10;
        (0..count).for_each(|number| {
            fs::write(top.path().join(number.to_string()), "").unwrap();
        });
        let mut told = walk(top.path(), ".", &[]);
        assert_eq!(told.remove(0), "./");
        assert!(told[..TREE_SORTED_NAMES_MAX].is_sorted() && told[TREE_SORTED_NAMES_MAX..].is_sorted());
        told.sort();
        told.dedup();
        assert_eq!(told.len(), count);
    }
}
