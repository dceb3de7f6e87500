//! The files that are known to be moved and not asked for yet, in bounded memory.

use crate::limits::TREE_LARGE_MIN_BYTES;
use crate::tree::facts::{Facts, Sighting};
use crate::tree::spool::{Spool, push_time, take_time};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Was;
use ferry_common::wire::file_time::FileTime;
use std::collections::VecDeque;
use std::io;

/// A file that is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Which of the local folders it is in, where it is sent.
    pub(crate) root: u32,
    /// As the sending end names it.
    pub(crate) path: RemotePath,
    /// From this byte of the path on, the receiving end names it alike.
    pub(crate) common_at: usize,
    pub(crate) size_bytes: u64,
    pub(crate) mtime: FileTime,
    /// `None` where that is not known.
    pub(crate) is_executable: Option<bool>,
    /// The receiving end has another file of this name.
    pub(crate) replaces: bool,
    /// What the receiving end had under this name when it was looked at.
    pub(crate) before: Before,
    /// The receiving end has refused it, as something else has the name by now.
    pub(crate) is_refused: bool,
    /// How often it was asked for in vain.
    pub(crate) tries: u32,
}

/// What has a name at the receiving end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    Here(Sighting),
    There(Was),
}

/// Files one after the other, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    records: Spool,
    files: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    small: Queue,
    large: Queue,
    /// Those whose turn has come again.
    again: VecDeque<Planned>,
}

/// Which files a session is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Small,
    Large,
}

/// What the receiving end calls a path that it names alike from this byte on.
pub(crate) fn common(path: &RemotePath, common_at: usize) -> RemotePath {
    let bytes = path.as_bytes().get(common_at..).unwrap_or_default();
    // The end of a checked path is one.
    RemotePath::parse(bytes).unwrap_or_else(|_| RemotePath::root())
}

/// What has this path beneath a folder of the server; `None` where that is too long for it.
pub(crate) fn beneath(base: &RemotePath, path: &RemotePath) -> Option<RemotePath> {
    if path.is_root() {
        return Some(base.clone());
    }
    if base.is_root() {
        return Some(path.clone());
    }
    RemotePath::parse(&[base.as_bytes(), b"/", path.as_bytes()].concat()).ok()
}

impl Planned {
    /// A local file that the other end does not have, as far as is known.
    pub(crate) fn local(root: u32, path: RemotePath, facts: &Facts) -> Self {
        Self {
            root,
            path,
            common_at: 0,
            size_bytes: facts.size_bytes,
            mtime: facts.mtime,
            is_executable: Some(facts.is_executable),
            replaces: false,
            before: Before::Nothing,
            is_refused: false,
            tries: 0,
        }
    }

    pub(crate) fn class(&self) -> Class {
        if self.size_bytes > TREE_LARGE_MIN_BYTES { Class::Large } else { Class::Small }
    }

    /// What the receiving end calls it beneath its own folder.
    pub(crate) fn common_path(&self) -> RemotePath {
        common(&self.path, self.common_at)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(40 + self.path.as_bytes().len());
        record.extend_from_slice(&self.root.to_ne_bytes());
        record.extend_from_slice(&(self.common_at as u64).to_ne_bytes());
        record.extend_from_slice(&self.size_bytes.to_ne_bytes());
        push_time(&mut record, self.mtime);
        record.push(match self.is_executable {
            None => 2,
            Some(is_executable) => is_executable.into(),
        });
        record.push(self.replaces.into());
        record.push(self.is_refused.into());
        self.before.encode(&mut record);
        record.extend_from_slice(self.path.as_bytes());
        record
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let (root, record) = record.split_first_chunk()?;
        let (common_at, record) = record.split_first_chunk()?;
        let (size_bytes, record) = record.split_first_chunk()?;
        let (mtime, record) = take_time(record)?;
        let (&executable, record) = record.split_first()?;
        let (&replaces, record) = record.split_first()?;
        let (&is_refused, record) = record.split_first()?;
        let (before, path) = Before::decode(record)?;
        Some(Self {
            root: u32::from_ne_bytes(*root),
            path: RemotePath::parse(path).ok()?,
            common_at: usize::try_from(u64::from_ne_bytes(*common_at)).ok()?,
            size_bytes: u64::from_ne_bytes(*size_bytes),
            mtime,
            is_executable: (executable < 2).then_some(executable == 1),
            replaces: replaces == 1,
            before,
            is_refused: is_refused == 1,
            tries: 0,
        })
    }
}

impl Before {
    fn encode(&self, record: &mut Vec<u8>) {
        match self {
            Self::Nothing => record.push(0),
            Self::Here(seen) => {
                record.push(1);
                seen.encode(record);
            }
            Self::There(Was::File { size_bytes, mtime }) => {
                record.push(2);
                record.extend_from_slice(&size_bytes.to_ne_bytes());
                push_time(record, *mtime);
            }
            Self::There(Was::Link) => record.push(3),
            Self::There(Was::Dir) => record.push(4),
        }
    }

    fn decode(record: &[u8]) -> Option<(Self, &[u8])> {
        let (&kind, record) = record.split_first()?;
        Some(match kind {
            0 => (Self::Nothing, record),
            1 => {
                let (seen, record) = Sighting::decode(record)?;
                (Self::Here(seen), record)
            }
            2 => {
                let (size_bytes, record) = record.split_first_chunk()?;
                let (mtime, record) = take_time(record)?;
                let size_bytes = u64::from_ne_bytes(*size_bytes);
                (Self::There(Was::File { size_bytes, mtime }), record)
            }
            3 => (Self::There(Was::Link), record),
            4 => (Self::There(Was::Dir), record),
            _ => return None,
        })
    }
}

impl Queue {
    pub(crate) fn push(&mut self, file: &Planned) -> io::Result<()> {
        self.files += 1;
        self.records.push(&file.encode())
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Planned>> {
        let Some(record) = self.records.pop()? else { return Ok(None) };
        self.files = self.files.saturating_sub(1);
        Planned::decode(&record).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(crate) fn files(&self) -> u64 {
        self.files
    }
}

impl Plan {
    pub(crate) fn push(&mut self, file: &Planned) -> io::Result<()> {
        self.queue_mut(file.class()).push(file)
    }

    /// Takes a file back that has to be asked for again.
    pub(crate) fn push_again(&mut self, file: Planned) {
        self.again.push_back(file);
    }

    pub(crate) fn pop(&mut self, class: Class) -> io::Result<Option<Planned>> {
        if let Some(at) = self.again.iter().position(|file| file.class() == class) {
            return Ok(self.again.remove(at));
        }
        self.queue_mut(class).pop()
    }

    pub(crate) fn has(&self, class: Class) -> bool {
        let queue = match class {
            Class::Small => &self.small,
            Class::Large => &self.large,
        };
        queue.files() > 0 || self.again.iter().any(|file| file.class() == class)
    }

    pub(crate) fn len(&self) -> u64 {
        self.small.files() + self.large.files() + self.again.len() as u64
    }

    fn queue_mut(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Small => &mut self.small,
            Class::Large => &mut self.large,
        }
    }
}

#[cfg(test)]
impl Planned {
    /// A new file of this size, for tests.
    pub(crate) fn new_file(path: &str, size_bytes: u64) -> Self {
        Self {
            root: 0,
            path: RemotePath::parse(path.as_bytes()).unwrap(),
            common_at: 0,
            size_bytes,
            mtime: FileTime::default(),
            is_executable: None,
            replaces: false,
            before: Before::Nothing,
            is_refused: false,
            tries: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(path: &str, size_bytes: u64) -> Planned {
        let mtime = FileTime::new(-5, 17_u32);
        let is_executable = Some(true);
        Planned {
            root: 7,
            common_at: 2,
            mtime,
            is_executable,
            replaces: true,
            ..Planned::new_file(path, size_bytes)
        }
    }

    #[test]
    fn what_had_the_name_comes_back_as_it_went_in() {
        let here = Sighting::at(std::path::Path::new("/")).unwrap();
        let file = Was::File { size_bytes: 5, mtime: FileTime::new(-5, 17_u32) };
        for before in [
            Before::Nothing,
            Before::Here(here),
            Before::There(file),
            Before::There(Was::Link),
            Before::There(Was::Dir),
        ] {
            for is_refused in [false, true] {
                let file = Planned { before, is_refused, tries: 0, ..planned("a/b", 5) };
                assert_eq!(Planned::decode(&file.encode()), Some(file));
            }
        }
    }

    #[test]
    fn a_file_comes_back_as_it_went_in_and_only_to_its_class() {
        let mut plan = Plan::default();
        let (small, large) = (planned("a/small", 5), planned("a/large", TREE_LARGE_MIN_BYTES + 1));
        plan.push(&small).unwrap();
        plan.push(&large).unwrap();
        assert_eq!(small.common_path(), RemotePath::parse(b"small").unwrap());
        assert!(plan.has(Class::Small) && plan.has(Class::Large));
        assert_eq!(plan.pop(Class::Large).unwrap(), Some(large.clone()));
        assert_eq!(plan.pop(Class::Large).unwrap(), None);
        plan.push_again(Planned { tries: 1, ..large.clone() });
        assert_eq!(plan.len(), 2);
        assert_eq!(plan.pop(Class::Small).unwrap(), Some(small));
        assert_eq!(plan.pop(Class::Large).unwrap().map(|file| file.tries), Some(1));
        assert!(!plan.has(Class::Small) && !plan.has(Class::Large));
    }
}
