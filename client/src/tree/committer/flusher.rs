//! The thread that brings received files and their names to the disk, one job after the other.

use crate::limits::TREE_SHARED_FLUSH_MIN;
use crate::tree::directory::Directory;
use crate::tree::error::TreeError;
use crate::tree::file_system::{self, FileSystem};
use crate::tree::received::Received;
use crossbeam_channel::{Receiver, Sender};
use ferry_common::path::RemotePath;
use rustix::io::Errno;
use std::sync::Arc;

/// What became of one file.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) path: RemotePath,
    pub(crate) result: Result<(), TreeError>,
}

/// What is flushed together.
pub(super) struct Job {
    pub(super) content: Vec<Received>,
    pub(super) names: Vec<Named>,
    /// File systems all of which is to be flushed.
    pub(super) changed: Vec<Arc<FileSystem>>,
}

/// What has come of a job.
#[derive(Default)]
pub(super) struct Done {
    /// Files that can have their names.
    pub(super) flushed: Vec<Received>,
    /// Of those that cannot, and of those that have them for good.
    pub(super) outcomes: Vec<Outcome>,
}

/// A file that has its name.
pub(super) struct Named {
    pub(super) path: RemotePath,
    directory: Arc<Directory>,
    file_system: Arc<FileSystem>,
}

impl Named {
    pub(super) fn of(received: &Received) -> Self {
        Self {
            path: received.path().clone(),
            directory: Arc::clone(received.directory()),
            file_system: Arc::clone(received.file_system()),
        }
    }
}

/// Works until the other end is dropped.
pub(super) fn run(jobs: &Receiver<Job>, done: &Sender<Done>, waker: &dyn Fn()) {
    for job in jobs {
        if done.send(job.run()).is_err() {
            break;
        }
        waker();
    }
}

impl Job {
    fn run(self) -> Done {
        let mut done = Done::default();
        let Self { mut content, mut names, changed } = self;
        while let Some(file_system) = content
            .first()
            .map(|received| Arc::clone(received.file_system()))
            .or_else(|| names.first().map(|named| Arc::clone(&named.file_system)))
        {
            let there = content.extract_if(.., |received| Arc::ptr_eq(received.file_system(), &file_system));
            let content = there.collect();
            let there = names.extract_if(.., |named| Arc::ptr_eq(&named.file_system, &file_system));
            let names = by_directory(there.collect());
            done.flush(&file_system, content, names);
        }
        for file_system in changed {
            // What can be lost by now are folders without a file and times.
            file_system.flush_all();
        }
        done
    }
}

impl Done {
    /// Everything is on this file system.
    fn flush(&mut self, file_system: &FileSystem, content: Vec<Received>, names: Vec<Vec<Named>>) {
        let is_shared = content.len() + names.len() >= TREE_SHARED_FLUSH_MIN && file_system.flush_all();
        for received in content {
            // The error of each names its file.
            match if is_shared { Ok(()) } else { received.flush() } {
                Ok(()) => self.flushed.push(received),
                Err(error) => {
                    let path = received.path().clone();
                    self.outcomes.push(Outcome { path, result: Err(error) });
                }
            }
        }
        for names in names {
            let result = match names.first() {
                Some(first) if !is_shared => flush_names(&first.directory),
                Some(_) | None => Ok(()),
            };
            for Named { path, .. } in names {
                let result = result.map_err(TreeError::system("flushed to the disk"));
                self.outcomes.push(Outcome { path, result });
            }
        }
    }
}

fn by_directory(mut names: Vec<Named>) -> Vec<Vec<Named>> {
    names.sort_by_key(|named| Arc::as_ptr(&named.directory));
    let mut groups: Vec<Vec<Named>> = Vec::new();
    for named in names {
        match groups.last_mut() {
            Some(group) if Arc::ptr_eq(&group[0].directory, &named.directory) => group.push(named),
            Some(_) | None => groups.push(vec![named]),
        }
    }
    groups
}

fn flush_names(directory: &Directory) -> Result<(), Errno> {
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
    use crate::tree::over::Over;
    use crate::tree::received::Ending;
    use std::path::Path;

    /// So many files in each of these folders, and as many that have their names.
    fn job(tops: &[&Path], count: usize) -> Job {
        let mut job = Job { content: Vec::new(), names: Vec::new(), changed: Vec::new() };
        let ending = Ending { mtime: None, is_executable: None, over: Over::Anything };
        for top in tops {
            let mut folder = Folder::open(top).unwrap();
            for number in 0..count {
                let mut receive = |name: String| {
                    let path = RemotePath::parse(name.as_bytes()).unwrap();
                    folder.receive(&path, 0).unwrap().finish(ending)
                };
                job.content.push(receive(format!("content{number}")));
                job.names.push(Named::of(&receive(format!("name{number}"))));
            }
        }
        job
    }

    #[test]
    fn a_job_is_done_whole_however_it_is_flushed() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        for count in [1, TREE_SHARED_FLUSH_MIN] {
            let done = job(&[one.path(), other.path()], count).run();
            assert_eq!((done.flushed.len(), done.outcomes.len()), (2 * count, 2 * count));
            assert!(done.outcomes.iter().all(|outcome| outcome.result.is_ok()));
        }
    }

    #[test]
    fn names_of_one_folder_are_one_flush() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut names = job(&[one.path(), other.path()], 3).names;
        names.swap(0, 4);
        let groups = by_directory(names);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    }
}
