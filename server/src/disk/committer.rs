//! The thread that publishes uploads. Whatever has come together while it was busy makes one batch, whose
//! members share their flushes: the data of all is flushed, then each file renamed, then the directories
//! flushed, and only then is any of them answered.

use super::{Outcome, Reports};
use crate::asker::Asker;
use crate::config::Durability;
use crate::folder::{Folder, Target};
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

/// An upload that is in a file.
#[derive(Debug)]
struct Commit {
    asker: Asker,
    staged: Arc<StagedFile>,
    publication: Publication,
    is_flushed: bool,
    small_bytes: u64,
}

/// Works until nobody can ask any more.
pub(super) fn run(folder: &Folder, requests: &Receiver<Request>, reports: &Reports) {
    while let Ok(first) = requests.recv() {
        let batch = std::iter::once(first).chain(requests.try_iter().take(COMMIT_BATCH_MAX - 1));
        let staged = batch.filter_map(|request| stage(folder, request, reports)).collect();
        for group in group(staged) {
            commit(folder, group, reports);
        }
    }
}

/// Brings a small upload into a file; one that cannot be is answered.
fn stage(folder: &Folder, request: Request, reports: &Reports) -> Option<Commit> {
    let Request { asker, upload, publication } = request;
    match upload {
        Upload::Staged { staged, is_flushed } => {
            Some(Commit { asker, staged, publication, is_flushed, small_bytes: 0 })
        }
        Upload::Small { content } => {
            let small_bytes = content.len() as u64;
            let staged = folder.stage(&publication.path, small_bytes, publication.new, None);
            match staged.and_then(|staged| staged.append(&content).map(|()| Arc::new(staged))) {
                Ok(staged) => Some(Commit { asker, staged, publication, is_flushed: false, small_bytes }),
                Err(code) => {
                    let (id, result) = (publication.id, Err(code));
                    reports.complete(asker, Outcome::Published { id, result, small_bytes });
                    None
                }
            }
        }
    }
}

/// Puts together what shares a file system, in the order of the requests, and not too many directories.
fn group(batch: Vec<Commit>) -> Vec<Vec<Commit>> {
    let mut groups: Vec<(HashSet<Option<RemotePath>>, Vec<Commit>)> = Vec::new();
    for commit in batch {
        let parent = commit.publication.path.parent();
        let home = commit.staged.home();
        let last = groups.iter_mut().rev().find(|(_, group)| Arc::ptr_eq(group[0].staged.home(), home));
        match last {
            Some((parents, group)) if parents.len() < BATCH_DIRECTORIES_MAX || parents.contains(&parent) => {
                parents.insert(parent);
                group.push(commit);
            }
            Some(_) | None => groups.push((HashSet::from([parent]), vec![commit])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

type Targets = HashMap<RemotePath, Target>;

fn commit(folder: &Folder, group: Vec<Commit>, reports: &Reports) {
    let home = Arc::clone(group[0].staged.home());
    let mut targets = HashMap::new();
    let mut results: Vec<Result<(), ErrorCode>> =
        group.iter().map(|commit| prepare(folder, commit, &mut targets)).collect();
    if folder.durability() != Durability::None {
        flush_data(&home, &group, &mut results);
    }
    for (commit, result) in group.iter().zip(&mut results) {
        if result.is_ok() {
            *result = rename(commit, &targets);
        }
    }
    if folder.durability() == Durability::Full {
        flush_directories(&home, &group, &targets, &mut results);
    }
    for (commit, result) in group.into_iter().zip(results) {
        let result = result.map(|()| commit.staged.digest());
        let (id, small_bytes) = (commit.publication.id, commit.small_bytes);
        reports.complete(commit.asker, Outcome::Published { id, result, small_bytes });
    }
}

fn prepare(folder: &Folder, commit: &Commit, targets: &mut Targets) -> Result<(), ErrorCode> {
    let parent = commit.publication.path.parent().ok_or(ErrorCode::IsDirectory)?;
    let target = match targets.entry(parent) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(folder.target(&commit.publication.path)?),
    };
    if commit.is_flushed {
        // It was prepared before it was flushed.
        return Ok(());
    }
    folder.prepare(&commit.staged, &commit.publication, target)
}

fn flush_data(home: &Home, group: &[Commit], results: &mut [Result<(), ErrorCode>]) {
    let waiting =
        |(commit, result): &(&Commit, &mut Result<(), ErrorCode>)| !commit.is_flushed && result.is_ok();
    if group.iter().zip(results.iter_mut()).filter(waiting).count() > COMMIT_SINGLE_FLUSHES_MAX {
        match home.flush_all() {
            Ok(true) => return,
            Ok(false) => {}
            Err(errno) => return fail_all(results, code_of(errno)),
        }
    }
    for (commit, result) in group.iter().zip(results.iter_mut()).filter(waiting) {
        *result = commit.staged.sync().map_err(code_of);
    }
}

fn rename(commit: &Commit, targets: &Targets) -> Result<(), ErrorCode> {
    let path = &commit.publication.path;
    let target = path.parent().and_then(|parent| targets.get(&parent)).ok_or(ErrorCode::Io)?;
    let name = path.file_name().ok_or(ErrorCode::IsDirectory)?;
    target.receive(&commit.staged, name, commit.publication.new)
}

fn flush_directories(
    home: &Home,
    group: &[Commit],
    targets: &Targets,
    results: &mut [Result<(), ErrorCode>],
) {
    if targets.len() > COMMIT_SINGLE_FLUSHES_MAX {
        match home.flush_all() {
            Ok(true) => return,
            Ok(false) => {}
            Err(errno) => return fail_all(results, code_of(errno)),
        }
    }
    for (parent, target) in targets {
        let Err(code) = target.flush() else { continue };
        for (commit, result) in group.iter().zip(results.iter_mut()) {
            if commit.publication.path.parent().as_ref() == Some(parent) && result.is_ok() {
                *result = Err(code);
            }
        }
    }
}

/// A flush of everything that failed leaves nobody knowing whose data it was.
fn fail_all(results: &mut [Result<(), ErrorCode>], code: ErrorCode) {
    for result in results.iter_mut().filter(|result| result.is_ok()) {
        *result = Err(code);
    }
}
