//! What only the receiving end has, in the order in which it can be removed and in bounded memory: links before what they
//! lead to, files, then folders from their leaves on. A folder in which something stays is none of it.

use crate::limits::{SURPLUS_NAME_SHOWN_COLUMNS, SURPLUS_NAMES_SHOWN};
use crate::mirror::complaints::Complaints;
use crate::terminal::layout::{grouped, shortened, size};
use crate::tree::spool::{Spool, push_time, take_time};
use crate::tree::stack::Stack;
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::words;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::io;

/// What has a name that only the receiving end has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Folder,
    Link,
    /// What the server tells of a link is what it leads to.
    LinkToFolder,
}

/// Something that only the receiving end has, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surplus {
    /// Beneath the folder that is made alike.
    pub(crate) path: RemotePath,
    pub(crate) what: What,
    /// Both ends have the folder that it is in.
    pub(crate) is_uppermost: bool,
    pub(crate) size_bytes: u64,
    pub(crate) mtime: FileTime,
    /// How often the server was asked in vain.
    pub(crate) tries: u32,
    /// Its removal was asked for, and the answer was lost.
    pub(crate) may_be_gone: bool,
}

/// How much it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Links among them.
    pub(crate) files: u64,
    pub(crate) folders: u64,
    pub(crate) bytes: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Found {
    links: Spool,
    files: Spool,
    /// Each behind the folder that it is in.
    folders_as_found: Stack,
    /// From the leaves on.
    folders: Spool,
    pub(crate) counts: Counts,
    /// Those whose folder both ends have.
    uppermost: u64,
    /// The first of these: folders before files, by their names.
    shown: BTreeSet<(bool, Vec<u8>)>,
    state: RandomState,
    /// Hashes of folders in which something stays. Where two have the same, a folder stays that could go.
    staying: HashSet<u64>,
    /// The sending end has nothing at all.
    pub(crate) is_sender_empty: bool,
    complaints: Complaints,
    fingerprint: u64,
}

impl Surplus {
    pub(crate) fn new(
        path: RemotePath,
        what: What,
        is_uppermost: bool,
        size_bytes: u64,
        mtime: FileTime,
    ) -> Self {
        Self { path, what, is_uppermost, size_bytes, mtime, tries: 0, may_be_gone: false }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(22 + self.path.as_bytes().len());
        record.push(match self.what {
            What::File => 0,
            What::Folder => 1,
            What::Link => 2,
            What::LinkToFolder => 3,
        });
        record.push(self.is_uppermost.into());
        record.extend_from_slice(&self.size_bytes.to_ne_bytes());
        push_time(&mut record, self.mtime);
        record.extend_from_slice(self.path.as_bytes());
        record
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let (&what, record) = record.split_first()?;
        let (&is_uppermost, record) = record.split_first()?;
        let (size_bytes, record) = record.split_first_chunk()?;
        let (mtime, path) = take_time(record)?;
        Some(Self {
            path: RemotePath::parse(path).ok()?,
            what: match what {
                0 => What::File,
                1 => What::Folder,
                2 => What::Link,
                3 => What::LinkToFolder,
                _ => return None,
            },
            is_uppermost: is_uppermost == 1,
            size_bytes: u64::from_ne_bytes(*size_bytes),
            mtime,
            tries: 0,
            may_be_gone: false,
        })
    }
}

impl Counts {
    pub(crate) fn add(&mut self, surplus: &Surplus) {
        match surplus.what {
            What::File => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(surplus.size_bytes);
            }
            What::Folder => self.folders += 1,
            // Nothing of what it leads to goes.
            What::Link | What::LinkToFolder => self.files += 1,
        }
    }

    pub(crate) fn all(&self) -> u64 {
        self.files + self.folders
    }

    /// `3 files and 1 folder`.
    pub(crate) fn names(&self) -> String {
        let of = |count, noun| format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" });
        match (self.files, self.folders) {
            (files, 0) => of(files, "file"),
            (0, folders) => of(folders, "folder"),
            (files, folders) => format!("{} and {}", of(files, "file"), of(folders, "folder")),
        }
    }

    /// ` (120 kB)`, where there are files.
    pub(crate) fn sizes(&self) -> String {
        if self.files > 0 { format!(" ({})", size(self.bytes)) } else { String::new() }
    }
}

impl Found {
    pub(crate) fn add(&mut self, surplus: &Surplus) -> io::Result<()> {
        let record = surplus.encode();
        if surplus.what == What::Folder {
            return self.folders_as_found.push(&record);
        }
        self.take_in(surplus);
        let files = if surplus.what == What::File { &mut self.files } else { &mut self.links };
        files.push(&record)
    }

    /// Equal where the same was found, in whatever order.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    pub(crate) fn complaints_mut(&mut self) -> &mut Complaints {
        &mut self.complaints
    }

    pub(crate) fn into_complaints(self) -> Complaints {
        self.complaints
    }

    fn take_in(&mut self, surplus: &Surplus) {
        self.counts.add(surplus);
        let mut hasher = DefaultHasher::new();
        match surplus.what {
            // Its time changes with what is in it.
            What::Folder => surplus.path.hash(&mut hasher),
            What::File | What::Link | What::LinkToFolder => surplus.encode().hash(&mut hasher),
        }
        self.fingerprint = self.fingerprint.wrapping_add(hasher.finish());
        if surplus.is_uppermost {
            self.uppermost += 1;
            self.shown.insert((surplus.what != What::Folder, surplus.path.as_bytes().to_vec()));
            if self.shown.len() > SURPLUS_NAMES_SHOWN {
                self.shown.pop_last();
            }
        }
    }

    /// Something with this name stays, and so does every folder that it is in.
    pub(crate) fn stay_in(&mut self, folder: &RemotePath) {
        let mut next = Some(folder.clone());
        while let Some(folder) = next {
            let hash = self.hash(&folder);
            next = if self.staying.insert(hash) { folder.parent() } else { None };
        }
    }

    /// All is found: which folders can go is known.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        while let Some(record) = self.folders_as_found.pop()? {
            let folder = Surplus::decode(&record).ok_or(io::ErrorKind::InvalidData)?;
            if !self.staying.contains(&self.hash(&folder.path)) {
                self.take_in(&folder);
                self.folders.push(&record)?;
            }
        }
        Ok(())
    }

    /// What is to be removed next of files and links, or of folders.
    pub(crate) fn pop(&mut self, stage: Stage) -> io::Result<Option<Surplus>> {
        let spool = match stage {
            Stage::Links => &mut self.links,
            Stage::Files => &mut self.files,
            Stage::Folders => &mut self.folders,
        };
        let Some(record) = spool.pop()? else { return Ok(None) };
        Surplus::decode(&record).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// `3 files and 1 folder are only on the server (120 kB): old/, a.txt, b.txt and 1 more. Remove them from copy? [y/N] `. `from`
    /// names the folder.
    pub(crate) fn question(&self, receiving: &str, from: &str) -> String {
        let Counts { files, folders, .. } = self.counts;
        let (are, them) = if files + folders == 1 { ("is", "it") } else { ("are", "them") };
        let empty = if self.is_sender_empty { "FROM is empty, and all that is in TO would go: " } else { "" };
        format!(
            "{empty}{} {are} only {receiving}{}{}. Remove {them} from {from}? [y/N] ",
            self.counts.names(),
            self.counts.sizes(),
            self.shown_names()
        )
    }

    fn shown_names(&self) -> String {
        if self.shown.is_empty() {
            return String::new();
        }
        let shown = self.shown.iter().map(|(is_file, path)| {
            let name = words::display(path) + if *is_file { "" } else { "/" };
            shortened(&name, SURPLUS_NAME_SHOWN_COLUMNS)
        });
        let names = shown.collect::<Vec<_>>().join(", ");
        match self.uppermost.saturating_sub(self.shown.len() as u64) {
            0 => format!(": {names}"),
            more => format!(": {names} and {} more", grouped(more)),
        }
    }

    fn hash(&self, path: &RemotePath) -> u64 {
        self.state.hash_one(path)
    }
}

/// Which part of it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Links,
    Files,
    Folders,
}

impl Stage {
    pub(crate) const FIRST: Self = Self::Links;

    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::Links => Some(Self::Files),
            Self::Files => Some(Self::Folders),
            Self::Folders => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    fn surplus(text: &str, what: What) -> Surplus {
        Surplus {
            path: path(text),
            what,
            is_uppermost: !text.contains('/'),
            size_bytes: 40_000,
            mtime: FileTime::new(-5, 17_u32),
            tries: 0,
            may_be_gone: false,
        }
    }

    fn found(all: &[(&str, What)]) -> Found {
        let mut found = Found::default();
        all.iter().for_each(|&(text, what)| found.add(&surplus(text, what)).unwrap());
        found
    }

    fn popped(found: &mut Found) -> Vec<String> {
        let mut stage = Some(Stage::FIRST);
        let mut popped = Vec::new();
        while let Some(current) = stage {
            match found.pop(current).unwrap() {
                Some(surplus) => popped.push(surplus.path.to_string()),
                None => stage = current.next(),
            }
        }
        popped
    }

    #[test]
    fn it_comes_back_as_it_went_in_and_in_the_order_in_which_it_can_go() {
        for what in [What::File, What::Folder, What::Link, What::LinkToFolder] {
            let surplus = surplus("a", what);
            assert_eq!(Surplus::decode(&surplus.encode()), Some(surplus));
        }
        let mut found = found(&[
            ("old", What::Folder),
            ("a", What::File),
            ("old/deep", What::Folder),
            ("old/b", What::File),
            ("old/deep/link", What::LinkToFolder),
        ]);
        found.settle().unwrap();
        assert_eq!(popped(&mut found), ["old/deep/link", "a", "old/b", "old/deep", "old"]);
        assert_eq!(found.counts, Counts { files: 3, folders: 2, bytes: 80_000 });
    }

    #[test]
    fn a_folder_in_which_something_stays_does_not_go() {
        let mut found =
            found(&[("old", What::Folder), ("old/deep", What::Folder), ("old/bare", What::Folder)]);
        found.stay_in(&path("old/deep"));
        found.settle().unwrap();
        assert_eq!(found.question("here", "copy"), "1 folder is only here. Remove it from copy? [y/N] ");
        assert_eq!(popped(&mut found), ["old/bare"]);
    }

    #[test]
    fn what_was_found_twice_is_known_by_its_fingerprint() {
        let fingerprint = |all: &[Surplus]| {
            let mut found = Found::default();
            all.iter().for_each(|surplus| found.add(surplus).unwrap());
            found.settle().unwrap();
            found.fingerprint()
        };
        let (file, folder) = (surplus("a", What::File), surplus("old", What::Folder));
        let usual = fingerprint(&[file.clone(), folder.clone()]);
        let later = FileTime::new(5, 0_u32);
        assert_eq!(usual, fingerprint(&[Surplus { mtime: later, ..folder.clone() }, file.clone()]));
        for other in [
            Surplus { mtime: later, ..file.clone() },
            Surplus { size_bytes: 7, ..file.clone() },
            surplus("b", What::File),
            surplus("a", What::Link),
        ] {
            assert_ne!(usual, fingerprint(&[other, folder.clone()]));
        }
    }

    #[test]
    fn the_question_tells_how_much_and_the_first_names() {
        let mut few = found(&[("c d", What::File), ("a.txt", What::Link), ("old", What::Folder)]);
        few.settle().unwrap();
        assert_eq!(
            few.question("on the server", "copy"),
            "2 files and 1 folder are only on the server (40.0 kB): old/, a.txt, \"c d\". Remove them from copy? [y/N] "
        );
        let mut many = found(&[("d", What::File), ("c", What::File), ("b", What::File), ("a", What::File)]);
        many.is_sender_empty = true;
        many.settle().unwrap();
        assert_eq!(
            many.question("here", "your home folder"),
            "FROM is empty, and all that is in TO would go: 4 files are only here (160 kB): a, b, c and 1 more. \
             Remove them from your home folder? [y/N] "
        );
        let mut one = found(&[("\x1b[2J", What::Folder)]);
        one.settle().unwrap();
        assert!(!one.question("here", "copy").contains('\x1b'));
    }
}
