//! The uploads that can be gone on with, by their path: the sessions that receive one, the files on their way to where
//! they are kept, and the sessions that ask for one that may be about to end.

use crate::asker::Asker;
use crate::disk::Job;
use crate::net::slots::Key;
use ferry_common::limits::GIVE_WAY_SILENCE;
use ferry_session::access::Cleared;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Uploads {
    receivers: HashMap<Cleared, Vec<Key>>,
    keeping: HashMap<Cleared, Keeping>,
    /// In the order in which they are due.
    seekers: VecDeque<Seeker>,
    /// Seekers that have waited long enough.
    found: VecDeque<Seeker>,
    /// An upload has ended, and a session may have waited for that.
    has_ended: bool,
}

/// A session that asks what is kept of an upload that another still receives.
#[derive(Debug)]
pub(crate) struct Seeker {
    pub(crate) asker: Asker,
    pub(crate) path: Cleared,
    due: Instant,
}

/// What is on its way to be kept under one path.
#[derive(Debug, Default)]
struct Keeping {
    files: usize,
    waiting: Vec<(Asker, Job)>,
}

impl Uploads {
    pub(crate) fn begin(&mut self, path: &Cleared, session: Key) {
        self.receivers.entry(path.clone()).or_default().push(session);
    }

    /// The session receives it no more.
    pub(crate) fn end(&mut self, path: &Cleared, session: Key) {
        if let Some(receivers) = self.receivers.get_mut(path) {
            receivers.retain(|&other| other != session);
            if receivers.is_empty() {
                self.receivers.remove(path);
                self.has_ended = true;
            }
        }
    }

    /// True while a session receives an upload to this path.
    pub(crate) fn has_receivers(&self, path: &Cleared) -> bool {
        self.receivers.contains_key(path)
    }

    /// The sessions that receive an upload to this path, but no more than `most` of them.
    pub(crate) fn receivers(&self, path: &Cleared, most: usize) -> Vec<Key> {
        let receivers = self.receivers.get(path).into_iter().flatten();
        receivers.copied().take(most).collect()
    }

    /// Lets a session wait for the end of all uploads to a path, but not beyond [`GIVE_WAY_SILENCE`]: an upload of which
    /// nothing has come for so long by then has to give way, and any other goes on.
    pub(crate) fn seek(&mut self, asker: Asker, path: Cleared, now: Instant) {
        self.seekers.push_back(Seeker { asker, path, due: now + GIVE_WAY_SILENCE });
    }

    /// When [`Uploads::next_found`] has something at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.seekers.front().map(|seeker| seeker.due)
    }

    /// The next session that has waited long enough.
    pub(crate) fn next_found(&mut self, now: Instant) -> Option<Seeker> {
        let has_ended = std::mem::take(&mut self.has_ended);
        if has_ended || self.due().is_some_and(|due| due <= now) {
            let (found, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.seekers)
                .into_iter()
                .partition(|seeker| seeker.due <= now || !self.receivers.contains_key(&seeker.path));
            self.seekers = waiting.into();
            self.found.extend(found);
        }
        self.found.pop_front()
    }

    pub(crate) fn begin_keeping(&mut self, path: &Cleared) {
        self.keeping.entry(path.clone()).or_default().files += 1;
    }

    /// What is kept is in its place, or could not be kept. Gives what has waited for that.
    pub(crate) fn end_keeping(&mut self, path: &Cleared) -> Vec<(Asker, Job)> {
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
    pub(crate) fn await_keeping(&mut self, path: &Cleared, asker: Asker, job: Job) -> Option<Job> {
        match self.keeping.get_mut(path) {
            Some(keeping) => {
                keeping.waiting.push((asker, job));
                None
            }
            None => Some(job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::cleared;

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    fn sweep() -> Job {
        Job::Sweep
    }

    #[test]
    fn a_session_that_asks_waits_for_the_end_of_the_uploads_or_for_the_time_of_silence() {
        let (mut uploads, now) = (Uploads::default(), Instant::now());
        let (path, other) = (cleared("file"), cleared("other"));
        uploads.begin(&path, key(1));
        uploads.begin(&path, key(2));
        uploads.begin(&other, key(3));
        assert_eq!(uploads.receivers(&path, 1), [key(1)]);
        uploads.seek(Asker::server(), path.clone(), now);
        uploads.seek(Asker::server(), other.clone(), now);
        uploads.end(&path, key(1));
        assert!(uploads.next_found(now).is_none(), "one still receives it");
        uploads.end(&path, key(2));
        assert!(!uploads.has_receivers(&path));
        assert_eq!(uploads.next_found(now).map(|seeker| seeker.path), Some(path));
        assert!(uploads.next_found(now).is_none(), "the other goes on");
        let due = uploads.due().unwrap();
        assert_eq!(due, now + GIVE_WAY_SILENCE);
        assert_eq!(uploads.next_found(due).map(|seeker| seeker.path), Some(other));
        assert_eq!(uploads.due(), None);
    }

    #[test]
    fn what_looks_for_a_kept_upload_waits_until_all_of_them_are_where_it_looks() {
        let mut uploads = Uploads::default();
        let path = cleared("file");
        assert!(uploads.await_keeping(&path, Asker::server(), sweep()).is_some(), "nothing is in its way");
        uploads.begin_keeping(&path);
        uploads.begin_keeping(&path);
        assert!(uploads.await_keeping(&path, Asker::server(), sweep()).is_none());
        assert!(uploads.await_keeping(&cleared("other"), Asker::server(), sweep()).is_some());
        assert_eq!(uploads.end_keeping(&path).len(), 0, "another is on its way");
        assert_eq!(uploads.end_keeping(&path).len(), 1);
        assert!(uploads.await_keeping(&path, Asker::server(), sweep()).is_some());
    }
}
