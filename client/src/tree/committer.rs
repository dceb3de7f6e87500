//! Gives received files their names. What has come while the last flush ran shares the next one, and so do the names that
//! were given meanwhile: thousands of files cost a few flushes. A file is reported when nothing of it can be lost any
//! more, not by a loss of power either.
//!
//! A thread of its own flushes, and does nothing else. Files are named on the thread that makes them: a file system has
//! one lock for all files without a name (ext4: its list of orphans), and two threads that take turns at it are several
//! times slower than one alone (measured).

mod flusher;

use crate::limits::{
    TREE_COMMIT_FILES_MAX, TREE_COMMIT_JOB_BYTES, TREE_COMMIT_NAMES_PER_TURN, TREE_OTHER_DESCRIPTORS,
};
use crate::transfer::attributes::Owner;
use crate::tree::file_system::FileSystem;
use crate::tree::received::Received;
use crossbeam_channel::{Receiver, Sender};
use ferry_common::path::RemotePath;
pub(crate) use flusher::Outcome;
use flusher::{Done, Job, Named};
use rustix::process::Resource;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// See the module's documentation. What has no name when this is dropped does not get one.
pub(crate) struct Committer {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// How many files the flusher has, if it has a job.
    in_job: Option<usize>,
    /// Those that have come since.
    waiting: VecDeque<Received>,
    /// Those whose content is on the disk.
    flushed: VecDeque<Received>,
    /// Those whose names are not.
    named: Vec<Named>,
    /// Where folders were made and given their times.
    changed: Vec<Arc<FileSystem>>,
    outcomes: VecDeque<Outcome>,
    changed_owners: VecDeque<RemotePath>,
    files_max: usize,
}

impl Committer {
    /// `waker` is called on another thread when there is something to do for [`Committer::turn`].
    pub(crate) fn start(waker: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (jobs, jobs_out) = crossbeam_channel::bounded(1);
        let (done_in, done) = crossbeam_channel::bounded(1);
        let run = move || flusher::run(&jobs_out, &done_in, &*waker);
        std::thread::Builder::new().name("flusher".to_owned()).spawn(run)?;
        Ok(Self {
            jobs,
            done,
            in_job: None,
            waiting: VecDeque::new(),
            flushed: VecDeque::new(),
            named: Vec::new(),
            changed: Vec::new(),
            outcomes: VecDeque::new(),
            changed_owners: VecDeque::new(),
            files_max: files_max(rustix::process::getrlimit(Resource::Nofile).current),
        })
    }

    /// True where one more file may be begun that will be handed over. Where not, it may after a turn.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() + self.in_job.unwrap_or(0) + self.flushed.len() < self.files_max
    }

    /// Takes a file that is whole.
    pub(crate) fn commit(&mut self, received: Received) {
        match received.dress() {
            Err(error) => {
                let path = received.path().clone();
                self.outcomes.push_back(Outcome { path, result: Err(error) });
            }
            Ok(owner) => {
                if owner == Owner::Changed {
                    self.changed_owners.push_back(received.path().clone());
                }
                self.waiting.push_back(received);
                self.give_job();
            }
        }
    }

    /// A file that belonged to another user before, and will belong to this one.
    pub(crate) fn next_changed_owner(&mut self) -> Option<RemotePath> {
        self.changed_owners.pop_front()
    }

    /// Has folders and their times brought to the disk, once the last file has its name. They are not reported: where a
    /// file system has no shared flush, it is left to the system.
    pub(crate) fn flush_folders(&mut self, changed: Vec<Arc<FileSystem>>) {
        self.changed = changed;
        self.give_job();
    }

    /// Names files whose content is on the disk. True where there are more than one turn takes.
    pub(crate) fn turn(&mut self) -> bool {
        if let Ok(done) = self.done.try_recv() {
            self.in_job = None;
            self.outcomes.extend(done.outcomes);
            self.flushed.extend(done.flushed);
        }
        // Before the names are given: the flusher does not wait for them.
        self.give_job();
        for _ in 0..TREE_COMMIT_NAMES_PER_TURN {
            let Some(received) = self.flushed.pop_front() else { break };
            let named = Named::of(&received);
            match received.publish() {
                Ok(()) => self.named.push(named),
                Err(error) => self.outcomes.push_back(Outcome { path: named.path, result: Err(error) }),
            }
        }
        self.give_job();
        !self.flushed.is_empty()
    }

    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// True when every file that was handed over is reported.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_job.is_none()
            && self.waiting.is_empty()
            && self.flushed.is_empty()
            && self.named.is_empty()
            && self.changed.is_empty()
            && self.outcomes.is_empty()
    }

    /// Names alone are a job only where no file waits for its own, as they cost a flush.
    fn give_job(&mut self) {
        let has_files = !self.waiting.is_empty() || !self.flushed.is_empty();
        let has_more = !self.named.is_empty() || !self.changed.is_empty();
        let has_work = !self.waiting.is_empty() || !has_files && has_more;
        if self.in_job.is_some() || !has_work {
            return;
        }
        let (mut content, mut bytes) = (Vec::new(), 0_u64);
        while bytes < TREE_COMMIT_JOB_BYTES
            && let Some(received) = self.waiting.pop_front()
        {
            bytes = bytes.saturating_add(received.length_bytes());
            content.push(received);
        }
        self.in_job = Some(content.len());
        let names = std::mem::take(&mut self.named);
        let changed = if has_files { Vec::new() } else { std::mem::take(&mut self.changed) };
        // The flusher lives as long as this end, and has no job.
        let _ = self.jobs.send(Job { content, names, changed });
    }
}

/// Each file holds a descriptor, and in the worst case its folder another one until its name is flushed, by when as many
/// files may have come again.
fn files_max(descriptors_max: Option<u64>) -> usize {
    let most = descriptors_max.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    (most.saturating_sub(TREE_OTHER_DESCRIPTORS) / 3).clamp(1, TREE_COMMIT_FILES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::folder::Folder;
    use crate::tree::over::Over;
    use crate::tree::received::Ending;
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    const ENDING: Ending = Ending { mtime: None, is_executable: None, over: Over::Anything };

    /// A committer that sends a word at each call of its waker.
    fn start() -> (Committer, Receiver<()>) {
        let (woken_in, woken) = crossbeam_channel::unbounded();
        let waker = move || woken_in.send(()).unwrap_or_default();
        (Committer::start(Box::new(waker)).unwrap(), woken)
    }

    fn received(folder: &mut Folder, name: &str) -> Received {
        let path = RemotePath::parse(name.as_bytes()).unwrap();
        let mut receiving = folder.receive(&path, name.len() as u64).unwrap();
        receiving.write(name.as_bytes()).unwrap();
        receiving.finish(ENDING)
    }

    /// Waits for every outcome there is.
    fn finish(committer: &mut Committer, woken: &Receiver<()>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while !committer.is_idle() {
            while committer.turn() {}
            outcomes.extend(std::iter::from_fn(|| committer.next_outcome()));
            if committer.in_job.is_some() {
                woken.recv().unwrap();
            }
        }
        outcomes
    }

    fn names(top: &Path) -> usize {
        fs::read_dir(top).unwrap().count()
    }

    #[test]
    fn every_file_is_named_and_reported_once_in_whatever_folder() {
        const FILES: usize = 1000;
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        let mut reported = HashSet::new();
        for number in 0..FILES {
            let directory = format!("d{}", number % 11);
            folder.make_folder(&RemotePath::parse(directory.as_bytes()).unwrap()).unwrap();
            while !committer.has_room() {
                woken.recv().unwrap();
                committer.turn();
            }
            while let Some(outcome) = committer.next_outcome() {
                assert!(outcome.result.is_ok() && reported.insert(outcome.path));
            }
            committer.commit(received(&mut folder, &format!("{directory}/{number}")));
            assert!(committer.waiting.len() + committer.flushed.len() <= committer.files_max);
        }
        for outcome in finish(&mut committer, &woken) {
            assert!(outcome.result.is_ok() && reported.insert(outcome.path));
        }
        assert_eq!(reported.len(), FILES);
        for number in 0..FILES {
            let name = format!("d{}/{number}", number % 11);
            assert_eq!(fs::read(top.path().join(&name)).unwrap(), name.as_bytes());
        }
    }

    /// The first flush is for the content, after which the file has its name; the second for the name.
    #[test]
    fn a_file_is_named_when_its_content_is_flushed_and_reported_when_its_name_is() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        committer.commit(received(&mut folder, "a"));
        woken.recv().unwrap();
        assert_eq!(names(top.path()), 0);
        assert!(!committer.turn() && names(top.path()) == 1 && committer.next_outcome().is_none());
        woken.recv().unwrap();
        assert!(!committer.turn() && !committer.is_idle());
        assert!(committer.next_outcome().is_some_and(|outcome| outcome.result.is_ok()));
        assert!(committer.is_idle());
    }

    #[test]
    fn what_comes_during_a_flush_shares_the_next_and_so_do_names() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        (0..20).for_each(|number| committer.commit(received(&mut folder, &number.to_string())));
        assert_eq!((committer.in_job, committer.waiting.len()), (Some(1), 19));
        woken.recv().unwrap();
        committer.turn();
        assert_eq!((committer.in_job, committer.named.len()), (Some(19), 1));
        woken.recv().unwrap();
        committer.turn();
        // The names of the first job and the second go together.
        assert_eq!((committer.in_job, committer.named.len()), (Some(0), 0));
        assert_eq!(finish(&mut committer, &woken).len(), 20);
        assert!(woken.try_recv().is_err(), "three flushes have done");
    }

    #[test]
    fn a_failure_names_its_file_and_harms_no_other() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("3")).unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        (0..20).for_each(|number| committer.commit(received(&mut folder, &number.to_string())));
        // Too late to be seen when it was handed over.
        fs::create_dir(top.path().join("7")).unwrap();
        let outcomes = finish(&mut committer, &woken);
        let failed = outcomes.iter().filter(|outcome| outcome.result.is_err());
        let mut failed: Vec<_> = failed.map(|outcome| outcome.path.to_string()).collect();
        failed.sort();
        assert_eq!((outcomes.len(), failed), (20, vec!["3".to_owned(), "7".to_owned()]));
        assert_eq!(names(top.path()), 20);
    }

    #[test]
    fn nothing_gets_its_name_after_the_committer_is_dropped() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        (0..20).for_each(|number| committer.commit(received(&mut folder, &number.to_string())));
        drop(committer);
        // Until the flusher has ended.
        while woken.recv().is_ok() {}
        assert_eq!(names(top.path()), 0);
    }

    #[test]
    fn folders_are_flushed_last() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (mut committer, woken) = start();
        committer.commit(received(&mut folder, "a"));
        committer.flush_folders(folder.file_systems());
        assert_eq!((committer.in_job, committer.changed.len()), (Some(1), 1));
        assert_eq!(finish(&mut committer, &woken).len(), 1);
        committer.flush_folders(folder.file_systems());
        assert!(!committer.is_idle());
        assert_eq!(finish(&mut committer, &woken).len(), 0);
    }

    #[test]
    fn files_in_flight_leave_descriptors_for_everything_else() {
        assert_eq!(files_max(Some(1024)), (1024 - TREE_OTHER_DESCRIPTORS) / 3);
        assert_eq!((files_max(Some(10)), files_max(None)), (1, TREE_COMMIT_FILES_MAX));
    }
}
