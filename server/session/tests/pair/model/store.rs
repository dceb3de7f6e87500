//! The served folder, in memory, with the faults that a disk may have.

use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Conditions, Resume, Was};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_session::action::{
    Beginning, Change, Cursor, DirectoryIdentity, Found, Length, ListQuery, ListingPart, Opened, Publication,
    Query, Removable,
};
use ferry_session::limits::LISTING_PART_BYTES;
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const MTIME: FileTime = FileTime::from_seconds(1_764_000_000);

/// Names never change hands here while they are listed.
const THE_ONLY: DirectoryIdentity = DirectoryIdentity { device: 0, inode: 0, made: None };

/// A directory is `None`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Store {
    pub(crate) nodes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The times that clients asked for.
    mtimes: BTreeMap<Vec<u8>, FileTime>,
    /// The files that uploads made executable.
    executables: BTreeSet<Vec<u8>>,
    /// What is kept of uploads that broke off.
    pub(crate) partials: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Everything that was ever published, in order.
    pub(crate) published: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) faults: Faults,
}

/// Each fault waits for its next chance, and happens once.
#[derive(Debug, Default, Clone)]
pub(crate) struct Faults {
    /// The next disk job fails.
    pub(crate) job: Option<ErrorCode>,
    /// The next file does not get its name.
    pub(crate) publish: Option<ErrorCode>,
    /// The next download that was sent finds its file to be another.
    pub(crate) changed: Option<ErrorCode>,
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

    pub(crate) fn list(&self, query: &ListQuery) -> Result<ListingPart, ErrorCode> {
        let ListQuery { path, cursor, format } = query;
        if !path.is_root() {
            match self.nodes.get(path.as_bytes()) {
                None => return Err(ErrorCode::NotFound),
                Some(Some(_)) => return Err(ErrorCode::NotDirectory),
                Some(None) => {}
            }
        }
        let position = cursor.map_or(0, |cursor| cursor.position);
        let mut part = ListingPart { text: Vec::new(), entries: 0, left_out: 0, next: None };
        let children = self.nodes.iter().filter(|(name, _)| parent_of(name) == **path);
        for (place, (name, node)) in children.enumerate().skip(usize::try_from(position).unwrap()) {
            if part.text.len() >= LISTING_PART_BYTES {
                part.next = Some(Cursor { directory: THE_ONLY, position: place as u64 });
                break;
            }
            let now = FileTime::default();
            let is_told = format.write(&self.entry(name, node.as_deref()), now, &mut part.text);
            *if is_told { &mut part.entries } else { &mut part.left_out } += 1;
        }
        Ok(part)
    }

    pub(crate) fn answer<P: Borrow<RemotePath>>(&self, query: &Query<P>) -> Result<Found, ErrorCode> {
        match query {
            Query::Stat { path } => {
                let path = path.borrow().as_bytes();
                let node = self.nodes.get(path).ok_or(ErrorCode::NotFound)?;
                Ok(Found::Entry(self.entry(path, node.as_deref())))
            }
            Query::Sum { path, length } => {
                let (_, content) = self.open(path.borrow())?;
                let length = length.unwrap_or(content.len() as u64);
                let part = content.get(..usize::try_from(length).unwrap()).ok_or(ErrorCode::BadOffset)?;
                Ok(Found::Digest { length, digest: Digest::of(part) })
            }
            Query::Df { path } => {
                let is_there = path.borrow().is_root() || self.nodes.contains_key(path.borrow().as_bytes());
                if is_there {
                    Ok(Found::Space { free_bytes: 5, total_bytes: 10 })
                } else {
                    Err(ErrorCode::NotFound)
                }
            }
            Query::Partial { path } => {
                let kept = self.partials.get(path.borrow().as_bytes()).ok_or(ErrorCode::NoPartial)?;
                Ok(Found::Digest { length: kept.len() as u64, digest: Digest::of(kept) })
            }
        }
    }

    pub(crate) fn change<P: Borrow<RemotePath>>(&mut self, change: &Change<P>) -> Result<(), ErrorCode> {
        match change {
            Change::Mkdir { path, .. } => self.make(path.borrow()),
            Change::Rm { path, what: Removable::Any, conditions } => {
                self.check_was(path.borrow(), *conditions)?;
                self.remove(path.borrow())
            }
            Change::Rm { .. } | Change::Chmod { .. } => unreachable!("no dialect here asks for it"),
            Change::Mv { from, to, replace } => self.rename(from.borrow(), to.borrow(), *replace),
            Change::Mtime { path, mtime } => self.set_mtime(path.borrow(), *mtime),
        }
    }

    fn make(&mut self, path: &RemotePath) -> Result<(), ErrorCode> {
        self.check_parent(path)?;
        if self.nodes.contains_key(path.as_bytes()) {
            return Err(ErrorCode::Exists);
        }
        self.nodes.insert(path.as_bytes().to_vec(), None);
        Ok(())
    }

    fn remove(&mut self, path: &RemotePath) -> Result<(), ErrorCode> {
        if self.nodes.keys().any(|name| parent_of(name) == *path) {
            return Err(ErrorCode::NotEmpty);
        }
        self.nodes.remove(path.as_bytes()).map(drop).ok_or(ErrorCode::NotFound)
    }

    fn set_mtime(&mut self, path: &RemotePath, mtime: FileTime) -> Result<(), ErrorCode> {
        if !path.is_root() && !self.nodes.contains_key(path.as_bytes()) {
            return Err(ErrorCode::NotFound);
        }
        self.mtimes.insert(path.as_bytes().to_vec(), mtime);
        Ok(())
    }

    fn rename(&mut self, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<(), ErrorCode> {
        let moved = self.nodes.get(from.as_bytes()).ok_or(ErrorCode::NotFound)?;
        self.check_parent(to)?;
        match self.nodes.get(to.as_bytes()) {
            Some(_) if !replace => return Err(ErrorCode::Exists),
            Some(None) => return Err(ErrorCode::IsDirectory),
            Some(Some(_)) if moved.is_none() => return Err(ErrorCode::NotDirectory),
            Some(Some(_)) | None => {}
        }
        let inside = [from.as_bytes(), b"/"].concat();
        if to.as_bytes().starts_with(&inside) {
            return Err(ErrorCode::BadPath);
        }
        let is_moved = |name: &Vec<u8>| name == from.as_bytes() || name.starts_with(&inside);
        let names: Vec<_> = self.nodes.keys().filter(|name| is_moved(name)).cloned().collect();
        for name in names {
            let node = self.nodes.remove(&name).unwrap();
            self.nodes.insert([to.as_bytes(), &name[from.as_bytes().len()..]].concat(), node);
        }
        Ok(())
    }

    pub(crate) fn open(&self, path: &RemotePath) -> Result<(Opened, Vec<u8>), ErrorCode> {
        match self.nodes.get(path.as_bytes()) {
            None => Err(ErrorCode::NotFound),
            Some(None) => Err(ErrorCode::IsDirectory),
            Some(Some(content)) => {
                let Entry { size_bytes, mtime, executable, .. } = self.entry(path.as_bytes(), Some(content));
                let opened = Opened { size_bytes, mtime, executable };
                Ok((opened, content.clone()))
            }
        }
    }

    /// What an upload finds of its file already; it may go on behind that.
    pub(crate) fn stage(
        &mut self,
        path: &RemotePath,
        (new, conditions): (bool, Conditions),
        beginning: Beginning,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.check_free(path, new)?;
        self.check_was(path, conditions)?;
        let Resume { offset, digest } = match beginning {
            Beginning::Empty => return Ok(Vec::new()),
            Beginning::Kept(resume) => resume,
            Beginning::Unconfirmed { .. } | Beginning::Published => {
                unreachable!("no dialect here asks for it")
            }
        };
        let kept = self.partials.get(path.as_bytes()).ok_or(ErrorCode::NoPartial)?;
        match kept.get(..usize::try_from(offset).unwrap()) {
            Some(part) if Digest::of(part) == digest => {
                let part = part.to_vec();
                self.partials.remove(path.as_bytes());
                Ok(part)
            }
            Some(_) | None => Err(ErrorCode::NoPartial),
        }
    }

    pub(crate) fn keep(&mut self, path: &RemotePath, size: Length, content: Vec<u8>) {
        let is_large = match size {
            Length::Exact(bytes) => bytes > EAGER_MAX_BYTES,
            Length::UntilClose => content.len() as u64 > EAGER_MAX_BYTES,
        };
        if is_large {
            self.partials.insert(path.as_bytes().to_vec(), content);
        }
    }

    pub(crate) fn publish(
        &mut self,
        publication: &Publication,
        content: Vec<u8>,
    ) -> Result<Digest, ErrorCode> {
        let Publication { path, expected, mtime, executable, new, conditions, .. } = publication;
        let digest = Digest::of(&content);
        if expected.is_some_and(|expected| expected != digest) {
            return Err(ErrorCode::Mismatch);
        }
        self.check_free(path, *new)?;
        self.check_was(path, *conditions)?;
        let name = path.as_bytes().to_vec();
        self.mtimes.insert(name.clone(), mtime.unwrap_or(MTIME));
        match executable {
            Some(true) => _ = self.executables.insert(name.clone()),
            Some(false) => _ = self.executables.remove(&name),
            None if self.nodes.contains_key(&name) => {}
            None => _ = self.executables.remove(&name),
        }
        self.published.push((name.clone(), content.clone()));
        self.nodes.insert(name, Some(content));
        Ok(digest)
    }

    /// A file may get this name.
    fn check_free(&self, path: &RemotePath, new: bool) -> Result<(), ErrorCode> {
        self.check_parent(path)?;
        match self.nodes.get(path.as_bytes()) {
            Some(None) => Err(ErrorCode::IsDirectory),
            Some(Some(_)) if new => Err(ErrorCode::Exists),
            Some(Some(_)) | None => Ok(()),
        }
    }

    /// What has the name is what the client has seen. There are no links here.
    fn check_was(&self, path: &RemotePath, conditions: Conditions) -> Result<(), ErrorCode> {
        let Some(node) = self.nodes.get(path.as_bytes()) else { return Ok(()) };
        let seen = match node {
            None => Was::Dir,
            Some(content) => {
                let Entry { size_bytes, mtime, .. } = self.entry(path.as_bytes(), Some(content));
                Was::File { size_bytes, mtime }
            }
        };
        if conditions.was.is_none_or(|was| was == seen) { Ok(()) } else { Err(ErrorCode::Changed) }
    }

    fn check_parent(&self, path: &RemotePath) -> Result<(), ErrorCode> {
        let parent = path.parent().unwrap();
        let there = parent.is_root() || matches!(self.nodes.get(parent.as_bytes()), Some(None));
        if there { Ok(()) } else { Err(ErrorCode::NoParent) }
    }

    fn entry(&self, path: &[u8], content: Option<&[u8]>) -> Entry {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap().to_vec();
        let kind = if content.is_some() { EntryKind::File } else { EntryKind::Dir };
        let mtime = self.mtimes.get(path).copied().unwrap_or(MTIME);
        let executable = self.executables.contains(path);
        Entry {
            kind,
            size_bytes: content.map_or(0, <[u8]>::len) as u64,
            mtime,
            executable,
            link: false,
            name,
        }
    }
}

fn parent_of(name: &[u8]) -> RemotePath {
    RemotePath::parse(name).unwrap().parent().unwrap()
}
