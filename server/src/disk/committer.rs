//! The thread that publishes uploads. Whatever has come together while it was busy makes one batch, whose
//! members share their flushes: the data of all is flushed, then each file renamed, then the directories
//! flushed, and only then is any of them answered.

use super::{Outcome, Reports};
use crate::asker::Asker;
use crate::config::Durability;
use crate::folder::{Destination, Folder};
use crate::os_error::code_of;
use crate::staging::{Home, StagedFile};
use crossbeam_channel::Receiver;
use ferry_common::action::Publication;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{COMMIT_BATCH_MAX, COMMIT_SINGLE_FLUSHES_MAX};
use ferry_common::path::RemotePath;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Directories of one batch, each of which is held open.
const BATCH_DIRECTORIES_MAX: usize = 32;

/// One upload to be published.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) asker: Asker,
    pub(super) upload: Upload,
    pub(super) publication: Publication,
}

#[derive(Debug)]
pub(super) enum Upload {
    /// In a file, whose data may be on the disk already.
    Staged { staged: Arc<StagedFile>, is_flushed: bool },
    /// Still in memory.
    Small { content: Vec<u8> },
}

/// What is published together, and the directories that it goes to.
struct Batch<'a> {
    folder: &'a Folder,
    reports: &'a Reports,
    destinations: HashMap<RemotePath, Destination>,
    commits: Vec<Commit>,
}

/// An upload that is in a file, and what has come of it so far.
struct Commit {
    asker: Asker,
    staged: Arc<StagedFile>,
    publication: Publication,
    parent: RemotePath,
    is_flushed: bool,
    small_bytes: u64,
    result: Result<(), ErrorCode>,
}

/// Works until nobody can ask any more.
pub(super) fn run(folder: &Folder, requests: &Receiver<Request>, reports: &Reports) {
    while let Ok(first) = requests.recv() {
        let mut batch = Batch { folder, reports, destinations: HashMap::new(), commits: Vec::new() };
        for request in std::iter::once(first).chain(requests.try_iter().take(COMMIT_BATCH_MAX - 1)) {
            batch.add(request);
        }
        batch.commit();
    }
}

impl Batch<'_> {
    /// Takes an upload in, and brings it into a file where it is in memory. One that cannot be is answered.
    fn add(&mut self, request: Request) {
        let Request { asker, upload, publication } = request;
        let id = publication.id;
        let small_bytes = match &upload {
            Upload::Staged { .. } => 0,
            Upload::Small { content } => content.len() as u64,
        };
        match self.stage(asker, upload, publication, small_bytes) {
            Ok(commit) => self.commits.push(commit),
            Err(code) => {
                let result = Err(code);
                self.reports.complete(asker, Outcome::Published { id, result, small_bytes });
            }
        }
    }

    fn stage(
        &mut self,
        asker: Asker,
        upload: Upload,
        publication: Publication,
        small_bytes: u64,
    ) -> Result<Commit, ErrorCode> {
        let parent = publication.path.parent().ok_or(ErrorCode::IsDirectory)?;
        let is_full = self.destinations.len() >= BATCH_DIRECTORIES_MAX;
        if is_full && !self.destinations.contains_key(&parent) {
            self.commit();
        }
        let destination = match self.destinations.entry(parent.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.folder.destination(&publication.path)?),
        };
        let (staged, is_flushed) = match upload {
            Upload::Staged { staged, is_flushed } => (staged, is_flushed),
            Upload::Small { content } => {
                let staged = destination.stage(&publication.path, small_bytes, None)?;
                staged.append(&content)?;
                (Arc::new(staged), false)
            }
        };
        if !is_flushed {
            // What is flushed was prepared before.
            destination.prepare(&staged, &publication)?;
        }
        Ok(Commit { asker, staged, publication, parent, is_flushed, small_bytes, result: Ok(()) })
    }

    /// Publishes what was added, and answers.
    fn commit(&mut self) {
        let durability = self.folder.durability();
        if durability != Durability::None {
            self.each_home(|home, _, commits| flush_data(home, commits));
        }
        for commit in &mut self.commits {
            if commit.result.is_ok() {
                let destination = self.destinations.get(&commit.parent).ok_or(ErrorCode::Io);
                commit.result = destination
                    .and_then(|destination| destination.receive(&commit.staged, &commit.publication));
            }
        }
        if durability == Durability::Full {
            self.each_home(flush_directories);
        }
        self.destinations.clear();
        for commit in self.commits.drain(..) {
            let result = commit.result.map(|()| commit.staged.digest());
            let (id, small_bytes) = (commit.publication.id, commit.small_bytes);
            self.reports.complete(commit.asker, Outcome::Published { id, result, small_bytes });
        }
    }

    /// Does something for each file system with what goes well there.
    fn each_home(&mut self, work: impl Fn(&Home, &HashMap<RemotePath, Destination>, Vec<&mut Commit>)) {
        let mut homes: Vec<Arc<Home>> = Vec::new();
        for commit in &self.commits {
            if !homes.iter().any(|home| Arc::ptr_eq(home, commit.staged.home())) {
                homes.push(Arc::clone(commit.staged.home()));
            }
        }
        for home in homes {
            let is_there =
                |commit: &&mut Commit| commit.result.is_ok() && Arc::ptr_eq(commit.staged.home(), &home);
            work(&home, &self.destinations, self.commits.iter_mut().filter(is_there).collect());
        }
    }
}

fn flush_data(home: &Home, mut commits: Vec<&mut Commit>) {
    commits.retain(|commit| !commit.is_flushed);
    if commits.len() > COMMIT_SINGLE_FLUSHES_MAX && flush_all(home, &mut commits) {
        return;
    }
    for commit in commits {
        commit.result = commit.staged.sync().map_err(code_of);
    }
}

fn flush_directories(
    home: &Home,
    destinations: &HashMap<RemotePath, Destination>,
    mut commits: Vec<&mut Commit>,
) {
    let parents: HashSet<RemotePath> = commits.iter().map(|commit| commit.parent.clone()).collect();
    if parents.len() > COMMIT_SINGLE_FLUSHES_MAX && flush_all(home, &mut commits) {
        return;
    }
    for parent in parents {
        let flushed = destinations.get(&parent).map_or(Err(ErrorCode::Io), Destination::flush);
        for commit in commits.iter_mut().filter(|commit| commit.parent == parent) {
            commit.result = flushed;
        }
    }
}

/// Flushes everything at once, where that can be relied on; true when nothing is left to be done. If it
/// fails, nobody knows whose data it was.
fn flush_all(home: &Home, commits: &mut [&mut Commit]) -> bool {
    match home.flush_all() {
        Ok(is_done) => is_done,
        Err(errno) => {
            for commit in commits {
                commit.result = Err(code_of(errno));
            }
            true
        }
    }
}
