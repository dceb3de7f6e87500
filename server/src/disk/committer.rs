//! The thread that publishes uploads, batch by batch. The members of a batch share their flushes: the data of
//! all is flushed, then each file renamed, then the directories flushed, and only then is any of them answered.

use super::flushes::Flushes;
use super::publishing::{Commit, Place};
use super::{Outcome, Reports};
use crate::config::Durability;
use crate::limits::BATCH_SINGLE_FLUSHES_MAX;
use crate::store::errors::Call;
use crate::store::folder::{Destination, Folder};
use crate::store::staging::Home;
use ferry_common::error::ErrorCode;
use ferry_session::action::Publication;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is published together, and the directories that it goes to.
struct Batch {
    commits: Vec<Commit>,
    destinations: Destinations,
}

type Destinations = HashMap<Place, Result<Destination, ErrorCode>>;

/// Works until no more batches can come.
pub(super) fn run(folder: &Folder, flushes: &Flushes, reports: &Reports) {
    while let Some(commits) = flushes.next_batch() {
        let count = commits.len();
        commit(commits, folder, reports);
        flushes.finish(count);
    }
}

/// Publishes uploads together, and answers.
pub(super) fn commit(commits: Vec<Commit>, folder: &Folder, reports: &Reports) {
    Batch { commits, destinations: HashMap::new() }.commit(folder, reports);
}

impl Batch {
    /// Publishes its members, and answers.
    fn commit(mut self, folder: &Folder, reports: &Reports) {
        let durability = folder.durability();
        if durability != Durability::None {
            self.each_home(|home, _, commits| flush_data(home, commits));
        }
        self.rename(folder);
        if durability == Durability::Full {
            self.each_home(flush_directories);
        }
        for commit in self.commits {
            if commit.result.is_ok() {
                commit.staged.remove_superseded();
            }
            let result = commit.result.map(|()| commit.staged.digest());
            let (id, small_bytes) = (commit.publication.id, commit.small_bytes);
            reports.complete(commit.asker, Outcome::Published { id, result, small_bytes });
        }
    }

    /// The directories are looked up only now: while the batch was put together and flushed, they may have been
    /// moved away, and others made in their place.
    fn rename(&mut self, folder: &Folder) {
        for commit in self.commits.iter_mut().filter(|commit| commit.result.is_ok()) {
            let Publication { path, conditions, .. } = &commit.publication;
            let find = || folder.destination(path, conditions.follow);
            let destination = self.destinations.entry(commit.place.clone()).or_insert_with(find);
            commit.result = match destination {
                Ok(destination) => destination.receive(&commit.staged, &commit.publication),
                Err(code) => Err(*code),
            };
        }
    }

    /// Does something for each file system with what goes well there.
    fn each_home(&mut self, work: impl Fn(&Home, &Destinations, Vec<&mut Commit>)) {
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
    if commits.len() > BATCH_SINGLE_FLUSHES_MAX && flush_all(home, &mut commits) {
        return;
    }
    for commit in commits {
        commit.result = commit.staged.sync();
    }
}

fn flush_directories(home: &Home, destinations: &Destinations, mut commits: Vec<&mut Commit>) {
    let places: HashSet<Place> = commits.iter().map(|commit| commit.place.clone()).collect();
    if places.len() > BATCH_SINGLE_FLUSHES_MAX && flush_all(home, &mut commits) {
        return;
    }
    for place in places {
        let flushed = match destinations.get(&place) {
            Some(Ok(destination)) => destination.flush(),
            Some(Err(_)) | None => Err(ErrorCode::Io),
        };
        for commit in commits.iter_mut().filter(|commit| commit.place == place) {
            commit.result = flushed;
        }
    }
}

/// Flushes everything at once, where that can be relied on; true when nothing is left to be done. If it
/// fails, it is not known whose data was lost.
fn flush_all(home: &Home, commits: &mut [&mut Commit]) -> bool {
    match home.flush_all() {
        Ok(is_done) => is_done,
        Err(errno) => {
            for commit in commits {
                commit.result = Err(Call::Flush.of(&commit.publication.path)(errno));
            }
            true
        }
    }
}
