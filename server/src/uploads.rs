//! The uploads that can be gone on with, by their path: who receives one, which are being put where they are
//! kept, and who waits for that.

use crate::asker::Asker;
use crate::disk::Job;
use crate::slots::Key;
use ferry_common::path::RemotePath;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(crate) struct Uploads {
    receivers: HashMap<RemotePath, Vec<Key>>,
    keeping: HashMap<RemotePath, Keeping>,
}

/// What is on its way to be kept under one path.
#[derive(Debug, Default)]
struct Keeping {
    files: usize,
    waiting: Vec<(Asker, Job)>,
}

impl Uploads {
    pub(crate) fn begin(&mut self, path: &RemotePath, session: Key) {
        self.receivers.entry(path.clone()).or_default().push(session);
    }

    /// The session receives it no more.
    pub(crate) fn end(&mut self, path: &RemotePath, session: Key) {
        if let Some(receivers) = self.receivers.get_mut(path) {
            receivers.retain(|&other| other != session);
            if receivers.is_empty() {
                self.receivers.remove(path);
            }
        }
    }

    /// The sessions that receive an upload to this path.
    pub(crate) fn receivers(&self, path: &RemotePath) -> Vec<Key> {
        self.receivers.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn begin_keeping(&mut self, path: &RemotePath) {
        self.keeping.entry(path.clone()).or_default().files += 1;
    }

    /// What is kept is in its place, or could not be kept. Gives what has waited for that.
    pub(crate) fn end_keeping(&mut self, path: &RemotePath) -> Vec<(Asker, Job)> {
        if let Some(keeping) = self.keeping.get_mut(path) {
            keeping.files -= 1;
            if keeping.files > 0 {
                return Vec::new();
            }
        }
        self.keeping.remove(path).map_or(Vec::new(), |keeping| keeping.waiting)
    }

    /// Gives a job that may look for what is kept back where nothing is in its way. Else it waits: the client
    /// that was told of a broken transfer may be back before the file is where it is looked for.
    pub(crate) fn await_keeping(&mut self, path: &RemotePath, asker: Asker, job: Job) -> Option<Job> {
        match self.keeping.get_mut(path) {
            Some(keeping) => {
                keeping.waiting.push((asker, job));
                None
            }
            None => Some(job),
        }
    }
}
