//! The thread that gives received files their names, batch by batch. The members of a batch share their flush, and the
//! names of a batch are flushed together with the content of the next, so that thousands of files cost a few flushes.
//!
//! A file is reported when nothing of it can be lost any more, by a loss of power either.

use crate::limits::{
    TREE_COMMIT_BATCH_BYTES, TREE_COMMIT_BATCH_FILES, TREE_COMMIT_QUEUE_FILES, TREE_NAMES_DELAY,
    TREE_SHARED_FLUSH_MIN_FILES,
};
use crate::tree::error::TreeError;
use crate::tree::file_system::{self, FileSystem};
use crate::tree::folder::Directory;
use crate::tree::received::Received;
use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, Sender, TryRecvError};
use ferry_common::path::RemotePath;
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of one file.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) path: RemotePath,
    pub(crate) result: Result<(), TreeError>,
}

/// The end of the thread that hands files over. After it is dropped no further file gets its name, but for the one
/// that is being named.
pub(crate) struct Committer {
    /// `None` once everything was handed over.
    files: Option<Sender<Received>>,
    outcomes: Receiver<Outcome>,
    is_dropped: Arc<AtomicBool>,
}

/// The thread's own end.
struct Worker {
    files: Receiver<Received>,
    outcomes: Sender<Outcome>,
    is_dropped: Arc<AtomicBool>,
    waker: Box<dyn Fn() + Send>,
    /// Those whose names are not flushed.
    named: Vec<Named>,
}

/// A file that has its name.
struct Named {
    path: RemotePath,
    directory: Arc<Directory>,
    file_system: Arc<FileSystem>,
}

impl Committer {
    /// `waker` is called on the new thread whenever outcomes have come, and at the end.
    pub(crate) fn start(waker: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (files, files_out) = crossbeam_channel::bounded(TREE_COMMIT_QUEUE_FILES);
        // There are never more than the files that the owner of this end has handed over and does not ask about.
        let (outcomes_in, outcomes) = crossbeam_channel::unbounded();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let dropped = Arc::clone(&is_dropped);
        let worker =
            Worker { files: files_out, outcomes: outcomes_in, is_dropped: dropped, waker, named: Vec::new() };
        std::thread::Builder::new().name("committer".to_owned()).spawn(|| worker.run())?;
        Ok(Self { files: Some(files), outcomes, is_dropped })
    }

    /// True where a file can be handed over at once. Where not, it can after the next outcome.
    pub(crate) fn has_room(&self) -> bool {
        self.files.as_ref().is_some_and(|files| !files.is_full())
    }

    /// Hands a file over; waits where there is no room.
    pub(crate) fn commit(&self, received: Received) {
        if let Some(files) = &self.files {
            // The thread takes files for as long as this end is there.
            let _ = files.send(received);
        }
    }

    /// No more files will come: what is there is named and flushed at once.
    pub(crate) fn close(&mut self) {
        self.files = None;
    }

    /// Waits for the next outcome; an error when all are told after [`Committer::close`].
    pub(crate) fn outcome(&self) -> Result<Outcome, RecvError> {
        self.outcomes.recv()
    }

    /// The next outcome: `Empty` while there is none, `Disconnected` when all are told after [`Committer::close`].
    pub(crate) fn try_outcome(&self) -> Result<Outcome, TryRecvError> {
        self.outcomes.try_recv()
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

impl Worker {
    fn run(mut self) {
        loop {
            let first = if self.named.is_empty() {
                self.files.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.files.recv_timeout(TREE_NAMES_DELAY)
            };
            match first {
                Ok(first) => {
                    let batch = self.gather(first);
                    self.commit(batch);
                    if self.named.len() > TREE_COMMIT_BATCH_FILES {
                        self.flush_names();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush_names(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            (self.waker)();
        }
        self.flush_names();
        let waker = self.waker;
        // Whoever is woken finds the channel at its end.
        drop(self.outcomes);
        waker();
    }

    /// Takes what is there, without waiting.
    fn gather(&self, first: Received) -> Vec<Received> {
        let mut bytes = first.length_bytes();
        let mut batch = vec![first];
        while batch.len() < TREE_COMMIT_BATCH_FILES && bytes < TREE_COMMIT_BATCH_BYTES {
            let Ok(next) = self.files.try_recv() else { break };
            bytes = bytes.saturating_add(next.length_bytes());
            batch.push(next);
        }
        batch
    }

    fn commit(&mut self, batch: Vec<Received>) {
        let dressed = self.keep_good(batch, Received::dress);
        let flushed = self.flush_content(dressed);
        for received in flushed {
            if self.is_dropped.load(Ordering::Relaxed) {
                return;
            }
            let named = Named {
                path: received.path().clone(),
                directory: Arc::clone(received.directory()),
                file_system: Arc::clone(received.file_system()),
            };
            match received.publish() {
                Ok(()) => self.named.push(named),
                Err(error) => self.report(named.path, Err(error)),
            }
        }
    }

    /// Reports those with which something does not go well, and gives back the others.
    fn keep_good(
        &self,
        batch: Vec<Received>,
        work: impl Fn(&Received) -> Result<(), TreeError>,
    ) -> Vec<Received> {
        let mut good = Vec::with_capacity(batch.len());
        for received in batch {
            match work(&received) {
                Ok(()) => good.push(received),
                Err(error) => self.report(received.path().clone(), Err(error)),
            }
        }
        good
    }

    fn flush_content(&mut self, batch: Vec<Received>) -> Vec<Received> {
        let mut flushed = Vec::with_capacity(batch.len());
        for members in by_file_system(batch, Received::file_system) {
            let file_system = members.first().map(|first| Arc::clone(first.file_system()));
            if let Some(file_system) = file_system.filter(|_| members.len() >= TREE_SHARED_FLUSH_MIN_FILES)
                && file_system.flush_all()
            {
                self.report_names_on(&file_system);
                flushed.extend(members);
            } else {
                // The error of each names its file.
                flushed.extend(self.keep_good(members, Received::flush));
            }
        }
        flushed
    }

    /// Everything on the file system was flushed, the names of earlier files with it.
    fn report_names_on(&mut self, file_system: &Arc<FileSystem>) {
        let is_there = |named: &Named| Arc::ptr_eq(&named.file_system, file_system);
        let (durable, left) = self.named.drain(..).partition(is_there);
        self.named = left;
        let durable: Vec<Named> = durable;
        durable.into_iter().for_each(|named| self.report(named.path, Ok(())));
    }

    fn flush_names(&mut self) {
        for members in by_file_system(std::mem::take(&mut self.named), |named| &named.file_system) {
            let by_directory = by_directory(members);
            let is_shared = by_directory.len() >= TREE_SHARED_FLUSH_MIN_FILES
                && by_directory[0].first().is_some_and(|first| first.file_system.flush_all());
            for members in by_directory {
                let Some(first) = members.first() else { continue };
                let result = if is_shared { Ok(()) } else { flush_directory(&first.directory) };
                for named in members {
                    self.report(named.path, result.map_err(TreeError::system("flushed to the disk")));
                }
            }
        }
    }

    fn report(&self, path: RemotePath, result: Result<(), TreeError>) {
        // There is nobody to be told after the other end was dropped.
        let _ = self.outcomes.send(Outcome { path, result });
    }
}

fn by_file_system<T>(members: Vec<T>, file_system: impl Fn(&T) -> &Arc<FileSystem>) -> Vec<Vec<T>> {
    grouped(members, |member| Arc::as_ptr(file_system(member)))
}

fn by_directory(members: Vec<Named>) -> Vec<Vec<Named>> {
    grouped(members, |named| Arc::as_ptr(&named.directory))
}

/// Keeps the order within each group.
fn grouped<T, K: Eq + std::hash::Hash>(members: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let (mut places, mut groups) = (HashMap::new(), Vec::new());
    for member in members {
        let place = *places.entry(key(&member)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(member);
    }
    groups
}

fn flush_directory(directory: &Directory) -> Result<(), Errno> {
    match directory.to_read() {
        Ok(readable) => file_system::flush(readable),
        // One may write to a folder that one may not read. Then its names cannot be flushed.
        Err(Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::folder::Folder;
    use crate::tree::received::Ending;
    use std::fs;
    use std::path::Path;

    const ENDING: Ending = Ending { mtime: None, is_executable: None, overwrite: true };

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
    fn finish(mut committer: Committer, woken: &Receiver<()>) -> Vec<Outcome> {
        committer.close();
        let mut outcomes = Vec::new();
        loop {
            match committer.try_outcome() {
                Ok(outcome) => outcomes.push(outcome),
                Err(TryRecvError::Empty) => woken.recv().unwrap(),
                Err(TryRecvError::Disconnected) => return outcomes,
            }
        }
    }

    fn names(top: &Path) -> usize {
        fs::read_dir(top).unwrap().count()
    }

    #[test]
    fn every_file_is_named_and_reported_once_and_in_whatever_folder() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (committer, woken) = start();
        let mut outcomes = 0;
        for number in 0..3 * TREE_COMMIT_QUEUE_FILES {
            let directory = format!("d{}", number % 11);
            folder.make_folder(&RemotePath::parse(directory.as_bytes()).unwrap()).unwrap();
            while !committer.has_room() {
                woken.recv().unwrap();
                while let Ok(Outcome { result: Ok(()), .. }) = committer.try_outcome() {
                    outcomes += 1;
                }
            }
            committer.commit(received(&mut folder, &format!("{directory}/{number}")));
        }
        outcomes += finish(committer, &woken).into_iter().filter(|outcome| outcome.result.is_ok()).count();
        assert_eq!(outcomes, 3 * TREE_COMMIT_QUEUE_FILES);
        for number in 0..3 * TREE_COMMIT_QUEUE_FILES {
            let name = format!("d{}/{number}", number % 11);
            assert_eq!(fs::read(top.path().join(&name)).unwrap(), name.as_bytes());
        }
    }

    /// The first files of an upload that stands still must not wait for the next.
    #[test]
    fn the_names_of_the_last_batch_are_flushed_when_no_other_comes() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (committer, woken) = start();
        committer.commit(received(&mut folder, "a"));
        let outcome = loop {
            woken.recv().unwrap();
            if let Ok(outcome) = committer.try_outcome() {
                break outcome;
            }
            assert!(top.path().join("a").exists(), "woken when it has its name, and when that is flushed");
        };
        assert!(outcome.result.is_ok() && outcome.path.as_bytes() == b"a");
    }

    #[test]
    fn a_failure_names_its_file_and_harms_no_other() {
        let top = tempfile::tempdir().unwrap();
        for name in ["3", "7"] {
            fs::create_dir(top.path().join(name)).unwrap();
        }
        let mut folder = Folder::open(top.path()).unwrap();
        let (committer, woken) = start();
        for number in 0..20 {
            committer.commit(received(&mut folder, &number.to_string()));
        }
        let outcomes = finish(committer, &woken);
        let failed = outcomes.iter().filter(|outcome| outcome.result.is_err());
        let mut failed: Vec<_> = failed.map(|outcome| outcome.path.to_string()).collect();
        failed.sort();
        assert_eq!((outcomes.len(), failed), (20, vec!["3".to_owned(), "7".to_owned()]));
        assert_eq!(names(top.path()), 20);
    }

    #[test]
    fn nothing_gets_its_name_after_the_other_end_is_dropped() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let (woken_in, woken) = crossbeam_channel::unbounded();
        let (go_on, may_go_on) = crossbeam_channel::unbounded::<()>();
        let waker = move || {
            let _ = woken_in.send(());
            let _ = may_go_on.recv();
        };
        let committer = Committer::start(Box::new(waker)).unwrap();
        committer.commit(received(&mut folder, "a"));
        woken.recv().unwrap();
        committer.commit(received(&mut folder, "b"));
        drop(committer);
        drop(go_on);
        while woken.recv().is_ok() {}
        assert!(top.path().join("a").exists() && names(top.path()) == 1);
    }
}
