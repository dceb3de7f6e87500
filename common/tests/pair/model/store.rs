//! The served folder, in memory, with the faults that a disk may have.

use ferry_common::action::{ListingPart, Opened};
use ferry_common::entry::{Entry, EntryKind};
use ferry_common::error::ErrorCode;
use ferry_common::limits::LISTING_PART_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::reply::Reply;
use std::collections::BTreeMap;

pub(crate) const MTIME_S: i64 = 1_764_000_000;

/// A directory is `None`.
#[derive(Debug, Default)]
pub(crate) struct Store {
    nodes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Everything that was ever published, in order.
    pub(crate) published: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) faults: Faults,
}

/// Each fault waits for its next chance, and happens once.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The next disk job fails.
    pub(crate) job: Option<ErrorCode>,
    /// The next download finds its file cut to this size.
    pub(crate) shrink_to: Option<usize>,
    /// The next upload fails to be written after this many bytes.
    pub(crate) write_fails_after: Option<usize>,
}

impl Store {
    pub(crate) fn put(&mut self, path: &str, content: &[u8]) {
        self.nodes.insert(path.as_bytes().to_vec(), Some(content.to_vec()));
    }

    pub(crate) fn make_dir(&mut self, path: &str) {
        self.nodes.insert(path.as_bytes().to_vec(), None);
    }

    pub(crate) fn content(&self, path: &str) -> Option<&[u8]> {
        self.nodes.get(path.as_bytes())?.as_deref()
    }

    pub(crate) fn list(&self, path: &RemotePath, cursor: u64) -> Result<ListingPart, ErrorCode> {
        if !path.is_root() {
            match self.nodes.get(path.as_bytes()) {
                None => return Err(ErrorCode::NotFound),
                Some(Some(_)) => return Err(ErrorCode::NotDirectory),
                Some(None) => {}
            }
        }
        let mut part = ListingPart { lines: Vec::new(), entries: 0, next: None };
        let children = self.nodes.iter().filter(|(name, _)| parent_of(name) == *path);
        for (place, (name, node)) in children.enumerate().skip(usize::try_from(cursor).unwrap()) {
            if part.lines.len() >= LISTING_PART_BYTES {
                part.next = Some(place as u64);
                break;
            }
            part.lines.extend(Reply::entry("ls", &entry(name, node.as_deref())));
            part.entries += 1;
        }
        Ok(part)
    }

    pub(crate) fn stat(&self, path: &RemotePath) -> Result<Entry, ErrorCode> {
        let node = self.nodes.get(path.as_bytes()).ok_or(ErrorCode::NotFound)?;
        Ok(entry(path.as_bytes(), node.as_deref()))
    }

    pub(crate) fn open(&self, path: &RemotePath) -> Result<(Opened, Vec<u8>), ErrorCode> {
        match self.nodes.get(path.as_bytes()) {
            None => Err(ErrorCode::NotFound),
            Some(None) => Err(ErrorCode::IsDirectory),
            Some(Some(content)) => {
                let opened = Opened { size_bytes: content.len() as u64, mtime_s: MTIME_S };
                Ok((opened, content.clone()))
            }
        }
    }

    pub(crate) fn stage(&self, path: &RemotePath) -> Result<(), ErrorCode> {
        let parent = path.parent().unwrap();
        match self.nodes.get(path.as_bytes()) {
            Some(None) => Err(ErrorCode::IsDirectory),
            _ if !parent.is_root() && !self.nodes.contains_key(parent.as_bytes()) => Err(ErrorCode::NoParent),
            Some(Some(_)) | None => Ok(()),
        }
    }

    pub(crate) fn publish(&mut self, path: &RemotePath, content: Vec<u8>) {
        self.published.push((path.as_bytes().to_vec(), content.clone()));
        self.nodes.insert(path.as_bytes().to_vec(), Some(content));
    }
}

fn parent_of(name: &[u8]) -> RemotePath {
    RemotePath::parse(name).unwrap().parent().unwrap()
}

fn entry(path: &[u8], content: Option<&[u8]>) -> Entry {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap().to_vec();
    let kind = if content.is_some() { EntryKind::File } else { EntryKind::Dir };
    Entry { kind, size_bytes: content.map_or(0, <[u8]>::len) as u64, mtime_s: MTIME_S, name }
}
