//! Removes a folder of the server with all that is in it: many names at a time, each folder when it is empty.
//!
//! Folders are worked on from the last one that was found, so that few of them are known at a time, however many there are.

use crate::engine::Session as Engine;
use crate::failure::Failure;
use crate::limits::{REMOVED_AT_ONCE_MAX, REMOVED_FOLDERS_AHEAD, TREE_AHEAD_QUESTIONS, TREE_FILE_TRIES_MAX};
use crate::mirror::pool::{Course, Job, Member, Pool, Tick};
use crate::mirror::{Verdict, code_of, judge};
use crate::session::Session;
use crate::terminal::layout::grouped;
use crate::terminal::screen;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::collections::BTreeMap;
use std::time::Duration;

const MEMBERS: usize = 1;

/// Removes all of it, and tells how many names that were.
pub(crate) fn run(session: &mut Session, retry_for: Duration, path: &RemotePath) -> Result<u64, Failure> {
    let mut pool = Pool::new(session.peer()?, MEMBERS, retry_for, session.interrupts())?;
    let mut removing = Removing::new(path.clone());
    pool.run(&mut removing).inspect_err(|_| removing.tell_broken_off(path))?;
    removing.failed.map_or(Ok(removing.removed), Err)
}

/// See the module's documentation.
struct Removing {
    /// What is to be done, the next last.
    tasks: Vec<Task>,
    asked: BTreeMap<RequestId, Asked>,
    /// Folders that wait until what is in them is gone. One that is done with is `None`.
    folders: Vec<Option<Waiting>>,
    removed: u64,
    /// The first of what cannot be removed: nothing more is begun then.
    failed: Option<Failure>,
}

#[derive(Debug)]
struct Task {
    path: RemotePath,
    /// Which of the folders it is in; `None` for the one that was named.
    parent: Option<usize>,
    step: Step,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// By its name. What is a folder and not empty has that listed first, unless that was done in vain.
    Remove {
        was_listed: bool,
    },
    List,
}

struct Asked {
    task: Task,
    found: Vec<(RemotePath, EntryKind, bool)>,
}

struct Waiting {
    task: Task,
    /// Names in it that are not gone.
    left: usize,
}

impl Removing {
    fn new(path: RemotePath) -> Self {
        let step = Step::Remove { was_listed: false };
        let first = Task { path, parent: None, step, tries: 0 };
        let (asked, folders) = (BTreeMap::new(), Vec::new());
        Self { tasks: vec![first], asked, folders, removed: 0, failed: None }
    }

    /// What was asked for and not answered may be gone as well.
    fn tell_broken_off(&self, path: &RemotePath) {
        let is_removal = |asked: &Asked| asked.task.step != Step::List;
        let at_least = if self.asked.values().any(is_removal) { "At least " } else { "" };
        let removed = grouped(self.removed);
        screen::message(&format!(
            "{at_least}{removed} removed in {path}; the same command goes on from here"
        ));
    }

    /// What is found in folders waits in memory.
    fn listings(&self) -> usize {
        self.asked.values().filter(|asked| asked.task.step == Step::List).count()
    }

    /// Something is gone, and with the last name in a folder that can go.
    fn finish(&mut self, parent: Option<usize>) {
        let Some(index) = parent else { return };
        let Some(Some(folder)) = self.folders.get_mut(index) else { return };
        folder.left = folder.left.saturating_sub(1);
        if folder.left == 0
            && let Some(Waiting { task, .. }) = self.folders[index].take()
        {
            self.tasks.push(task);
            while let Some(None) = self.folders.last() {
                self.folders.pop();
            }
        }
    }

    /// What is in a folder has its turn first.
    fn enter(&mut self, task: Task, found: Vec<(RemotePath, EntryKind, bool)>) {
        let was_listed = found.is_empty();
        let task = Task { step: Step::Remove { was_listed }, tries: 0, ..task };
        if found.is_empty() {
            return self.tasks.push(task);
        }
        let parent = Some(self.folders.len());
        self.folders.push(Some(Waiting { task, left: found.len() }));
        for (path, kind, is_link) in found {
            // A link is only a name, which goes without what it leads to.
            let step = match kind {
                EntryKind::Dir if !is_link => Step::List,
                EntryKind::Dir | EntryKind::File => Step::Remove { was_listed: false },
            };
            self.tasks.push(Task { path, parent, step, tries: 0 });
        }
    }

    fn fail(&mut self, task: Task, failure: &dialogue::Failure) {
        if judge(failure) == Verdict::Again && task.tries + 1 < TREE_FILE_TRIES_MAX {
            return self.tasks.push(Task { tries: task.tries + 1, ..task });
        }
        let failure = match failure {
            dialogue::Failure::Refused { code, message } => {
                Failure::Refused { code: *code, message: format!("The server says: {message}") }
            }
            dialogue::Failure::DataLost | dialogue::Failure::ControlLost => {
                Failure::ConnectionLost(format!("{}: {failure}", task.path))
            }
        };
        self.failed.get_or_insert(failure);
    }
}

impl Job for Removing {
    fn refill(&mut self, _member: Member, session: &mut Engine) -> Result<(), Failure> {
        while self.failed.is_none()
            && self.asked.len() < TREE_AHEAD_QUESTIONS
            && let Some(task) = self.tasks.pop()
        {
            if task.step == Step::List && self.listings() == REMOVED_FOLDERS_AHEAD {
                self.tasks.push(task);
                break;
            }
            let path = task.path.clone();
            let id = session.request(match task.step {
                Step::Remove { .. } => Command::rm(path),
                Step::List => Command::Ls { path },
            });
            self.asked.insert(id, Asked { task, found: Vec::new() });
        }
        Ok(())
    }

    fn wants(&self, _member: Member) -> bool {
        true
    }

    /// Where there are more than are removed at once, the folder is listed again.
    fn entry(&mut self, _member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        if let Some(Asked { task, found }) = self.asked.get_mut(&id)
            && found.len() < REMOVED_AT_ONCE_MAX
            && let Ok(path) = task.path.join(&entry.name)
        {
            found.push((path, entry.kind, entry.link));
        }
        Ok(())
    }

    fn done(
        &mut self,
        _member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        let Some(Asked { task, found }) = self.asked.remove(&id) else { return Ok(false) };
        let code = result.as_ref().err().and_then(code_of);
        let is_ok = result.is_ok();
        match (result, task.step) {
            (Ok(_), Step::Remove { .. }) => {
                self.removed += 1;
                self.finish(task.parent);
            }
            (Ok(_), Step::List) => self.enter(task, found),
            (Err(_), _) if code == Some(ErrorCode::NotFound) && (task.parent.is_some() || task.tries > 0) => {
                // By another client, or by this one before its connection was lost.
                self.finish(task.parent);
            }
            (Err(_), Step::Remove { was_listed: false }) if code == Some(ErrorCode::NotEmpty) => {
                self.tasks.push(Task { step: Step::List, ..task });
            }
            (Err(failure), Step::Remove { .. } | Step::List) => self.fail(task, &failure),
        }
        Ok(is_ok)
    }

    fn lost(&mut self, _member: Member) -> Result<(), Failure> {
        let lost = std::mem::take(&mut self.asked).into_values().map(|asked| asked.task);
        self.tasks.extend(lost.rev().map(|task| Task { tries: task.tries + 1, ..task }));
        Ok(())
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        let is_over = self.asked.is_empty() && (self.tasks.is_empty() || self.failed.is_some());
        Ok(if is_over { Tick::Over } else { Tick::Waiting })
    }

    fn show(&mut self, _course: Course) {}
}
