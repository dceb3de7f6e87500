//! Looks at both ends of a tree that is sent, ahead of the files: walks the local folders, has the server make those that
//! it lacks, and asks about the files of those that it has. What is at the server already is not planned.

use crate::engine::Session;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::limits::{TREE_AHEAD_QUESTIONS, TREE_FILE_TRIES_MAX, TREE_PLANNED_FILES_MAX};
use crate::mirror::plan::{Planned, beneath};
use crate::mirror::{Verdict, code_of, judge, status_of};
use crate::tree::walk::{Entry as Local, Walk};
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What is to be looked at, one after the other.
pub(crate) enum Start {
    /// A folder and what is in it.
    Tree { root: u32, walk: Box<Walk> },
    /// A single file, in a folder that the server has.
    File(Planned),
}

/// What the scout has found out.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The server has no such file, or another one, of this kind, size and time.
    Missing(Planned),
    There(Planned, Entry),
    /// The server has this folder.
    Folder {
        path: RemotePath,
        /// Of the local one.
        mtime: FileTime,
        before: Before,
    },
    /// Something cannot be sent, and why.
    Failed {
        path: Vec<u8>,
        why: String,
        status: ExitCode,
    },
    /// Something is not sent, which is no failure.
    Skipped {
        path: Vec<u8>,
        why: String,
    },
}

/// What the server had in the place of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It was made, or would be in a dry run.
    Nothing,
    /// A folder of this time.
    Folder(FileTime),
    /// The shared folder itself, which is there and was not asked about.
    Root,
}

/// See the module's documentation.
pub(crate) struct Scout {
    /// Where each root goes to on the server, and how many names of that the user has given.
    bases: Vec<(RemotePath, u32)>,
    /// Nothing is made; folders are asked about.
    dry_run: bool,
    starts: VecDeque<Start>,
    asked: BTreeMap<RequestId, Question>,
    /// Questions that were lost with their session.
    again: VecDeque<Question>,
    folders: HashMap<u64, Folder>,
    /// Links of the server that stand where folders should be. Nothing is done behind them.
    links: Vec<RemotePath>,
    /// The folder whose files are being told.
    current: u64,
    /// Files that wait to be known about.
    waiting_files: usize,
    findings: VecDeque<Finding>,
}

/// A folder of the server in the time in which its files are looked at.
struct Folder {
    standing: Standing,
    /// Files in it that were told before its standing was known.
    waiting: Vec<Planned>,
    is_current: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asked,
    /// There is nothing in it.
    New,
    Existing,
    /// It cannot be one, which was told.
    Impossible,
}

/// What the server was asked.
#[derive(Debug)]
enum Question {
    Make(Wanted),
    /// The name is taken: by what?
    Look {
        wanted: Wanted,
        answer: Option<Entry>,
    },
    File {
        file: Planned,
        answer: Option<Entry>,
    },
}

/// A folder that the server is to have.
#[derive(Debug)]
struct Wanted {
    folder: u64,
    path: RemotePath,
    /// So many of its names the user has given: they may be links.
    names: u32,
    mtime: FileTime,
    tries: u32,
}

impl Question {
    fn look(wanted: Wanted) -> Self {
        Self::Look { wanted, answer: None }
    }
}

impl Scout {
    pub(crate) fn new(bases: Vec<(RemotePath, u32)>, starts: Vec<Start>, dry_run: bool) -> Self {
        Self {
            bases,
            dry_run,
            starts: starts.into(),
            asked: BTreeMap::new(),
            again: VecDeque::new(),
            folders: HashMap::new(),
            links: Vec::new(),
            current: 0,
            waiting_files: 0,
            findings: VecDeque::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.starts.is_empty() && self.asked.is_empty() && self.again.is_empty() && self.findings.is_empty()
    }

    pub(crate) fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    /// What the server calls something of a root; `None` where that is too long for it.
    pub(crate) fn remote(&self, root: u32, path: &RemotePath) -> Option<RemotePath> {
        beneath(&self.bases.get(root as usize)?.0, path)
    }

    /// How many names of the paths of a root may be links on the server.
    pub(crate) fn names(&self, root: u32) -> u32 {
        self.bases.get(root as usize).map_or(0, |(_, names)| *names)
    }

    /// The name of something of a root for a person: as the server would call it.
    pub(crate) fn shown(&self, root: u32, path: &[u8]) -> Vec<u8> {
        let base = self.bases.get(root as usize).map(|(base, _)| base);
        match base.filter(|base| !base.is_root()) {
            Some(base) if path == b"." => base.as_bytes().to_vec(),
            Some(base) => [base.as_bytes(), b"/", path].concat(),
            None => path.to_vec(),
        }
    }

    /// Looks further and asks, unless so much is known or asked already that it can wait. `planned` files wait to be sent.
    pub(crate) fn refill(&mut self, session: &mut Session, planned: u64) {
        while self.asked.len() < TREE_AHEAD_QUESTIONS
            && let Some(question) = self.again.pop_front()
        {
            self.ask(question, session);
        }
        while self.asked.len() < TREE_AHEAD_QUESTIONS
            && self.waiting_files + (planned as usize) < TREE_PLANNED_FILES_MAX
            && self.findings.len() < TREE_PLANNED_FILES_MAX
        {
            match self.starts.front_mut() {
                None => break,
                Some(Start::File(_)) => {
                    if let Some(Start::File(file)) = self.starts.pop_front() {
                        self.ask(Question::File { file, answer: None }, session);
                    }
                }
                Some(Start::Tree { root, walk }) => {
                    let root = *root;
                    match walk.next() {
                        Some(entry) => self.consider(root, entry, session),
                        None => {
                            self.leave_current();
                            self.starts.pop_front();
                        }
                    }
                }
            }
        }
    }

    fn consider(&mut self, root: u32, entry: Local, session: &mut Session) {
        match entry {
            Local::Skipped { path, why } => {
                let path = self.shown(root, &path);
                let (why, is_failure) = (why.to_string(), why.is_failure());
                self.findings.push_back(if is_failure {
                    Finding::Failed { path, why, status: ExitCode::Local }
                } else {
                    Finding::Skipped { path, why }
                });
            }
            Local::Folder { path, mtime } => self.enter(root, &path, mtime, session),
            Local::File { path, facts } => {
                let file = Planned::local(root, path, &facts);
                self.place(file, session);
            }
        }
    }

    /// The walk has come to a folder.
    fn enter(&mut self, root: u32, path: &RemotePath, mtime: FileTime, session: &mut Session) {
        self.leave_current();
        self.current += 1;
        let folder = self.current;
        let entered = Folder { standing: Standing::Asked, waiting: Vec::new(), is_current: true };
        self.folders.insert(folder, entered);
        let Some(remote) = self.remote(root, path) else {
            let path = self.shown(root, path.as_bytes());
            return self.fail_folder(folder, &path, too_long(), ExitCode::Usage);
        };
        let wanted = Wanted { folder, path: remote, names: self.names(root), mtime, tries: 0 };
        if wanted.path.is_root() {
            self.found(wanted, Before::Root);
            while let Some(question) = self.again.pop_front() {
                self.ask(question, session);
            }
        } else {
            let question = if self.dry_run { Question::look(wanted) } else { Question::Make(wanted) };
            self.ask(question, session);
        }
    }

    /// A file of the current folder.
    fn place(&mut self, file: Planned, session: &mut Session) {
        match self.folders.get_mut(&self.current).map(|folder| (folder.standing, folder)) {
            Some((Standing::Asked, folder)) => {
                folder.waiting.push(file);
                self.waiting_files += 1;
            }
            Some((Standing::New, _)) => self.findings.push_back(Finding::Missing(file)),
            Some((Standing::Existing, _)) => self.ask(Question::File { file, answer: None }, session),
            Some((Standing::Impossible, _)) | None => {}
        }
    }

    fn ask(&mut self, question: Question, session: &mut Session) {
        let command = match &question {
            Question::Make(Wanted { path, names, .. }) => {
                let follow = session.knows_conditions().then_some(*names);
                Command::Mkdir { path: path.clone(), follow }
            }
            Question::Look { wanted: Wanted { path, .. }, .. } => Command::Stat { path: path.clone() },
            Question::File { file, .. } => match self.remote(file.root, &file.path) {
                Some(path) => Command::Stat { path },
                None => {
                    let path = file.path.as_bytes().to_vec();
                    self.findings.push_back(Finding::Failed {
                        path,
                        why: too_long(),
                        status: ExitCode::Usage,
                    });
                    return;
                }
            },
        };
        self.asked.insert(session.request(command), question);
    }

    /// What the server has under a name.
    pub(crate) fn entry(&mut self, id: RequestId, entry: Entry) {
        match self.asked.get_mut(&id) {
            Some(Question::File { answer, .. } | Question::Look { answer, .. }) => *answer = Some(entry),
            Some(Question::Make(_)) | None => {}
        }
    }

    /// A question is answered.
    pub(crate) fn done(
        &mut self,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<(), Failure> {
        let Some(question) = self.asked.remove(&id) else { return Ok(()) };
        if let Question::Make(Wanted { folder, path, .. })
        | Question::Look { wanted: Wanted { folder, path, .. }, .. } = &question
            && self.is_behind_link(path)
        {
            // Of the link it was told.
            self.take_waiting(*folder, Standing::Impossible);
            return Ok(());
        }
        match (question, result) {
            (Question::Make(wanted), Ok(_)) => self.found(wanted, Before::Nothing),
            (Question::Make(wanted), Err(failure)) if code_of(&failure) == Some(ErrorCode::Exists) => {
                self.again.push_back(Question::look(Wanted { tries: 0, ..wanted }));
            }
            (Question::Look { wanted, answer: Some(entry) }, Ok(_)) => self.judge_folder(wanted, &entry),
            (Question::Look { wanted: Wanted { path, .. }, answer: None }, Ok(_)) => {
                return Err(Failure::Violation(format!("The server told nothing of {path}")));
            }
            (Question::Make(wanted), Err(failure))
                if code_of(&failure) == Some(ErrorCode::BadLink) && wanted.tries == 0 =>
            {
                // A folder above it may be a link, which is known by the next answer.
                self.again.push_back(Question::Make(Wanted { tries: 1, ..wanted }));
            }
            (Question::Look { wanted, .. }, Err(failure))
                if self.dry_run && code_of(&failure) == Some(ErrorCode::NotFound) =>
            {
                self.found(wanted, Before::Nothing);
            }
            (Question::Make(wanted) | Question::Look { wanted, .. }, Err(failure)) => {
                let Wanted { folder, path, tries, .. } = &wanted;
                if judge(&failure) == Verdict::Again && tries + 1 < TREE_FILE_TRIES_MAX {
                    self.again.push_back(Question::look(Wanted { tries: tries + 1, ..wanted }));
                } else {
                    self.fail_folder(*folder, path.as_bytes(), failure.to_string(), status_of(&failure));
                }
            }
            (Question::File { file, answer: Some(entry) }, Ok(_)) => {
                self.findings.push_back(Finding::There(file, entry));
            }
            (Question::File { file, .. }, Err(failure)) if code_of(&failure) == Some(ErrorCode::NotFound) => {
                self.findings.push_back(Finding::Missing(file));
            }
            (Question::File { file, .. }, Ok(_)) => {
                let path = file.path;
                return Err(Failure::Violation(format!("The server told nothing of {path}")));
            }
            (Question::File { file, .. }, Err(failure)) => self.fail_file(file, &failure),
        }
        Ok(())
    }

    /// The server has something in the place of a folder.
    fn judge_folder(&mut self, wanted: Wanted, entry: &Entry) {
        let why = match entry.kind {
            EntryKind::File => "a file of this name is on the server; it is left alone",
            // What the user has named may be one.
            EntryKind::Dir if entry.link && wanted.path.names() > wanted.names => {
                self.links.push(wanted.path.clone());
                "a symbolic link to a folder has this name on the server; it is left alone"
            }
            EntryKind::Dir => return self.found(wanted, Before::Folder(entry.mtime)),
        };
        self.fail_folder(wanted.folder, wanted.path.as_bytes(), why.to_owned(), ExitCode::Refused);
    }

    fn is_behind_link(&self, path: &RemotePath) -> bool {
        self.links.iter().any(|link| {
            let behind = path.as_bytes().strip_prefix(link.as_bytes());
            behind.is_some_and(|behind| behind.starts_with(b"/"))
        })
    }

    fn fail_file(&mut self, file: Planned, failure: &dialogue::Failure) {
        if judge(failure) == Verdict::Again && file.tries + 1 < TREE_FILE_TRIES_MAX {
            let file = Planned { tries: file.tries + 1, ..file };
            self.again.push_back(Question::File { file, answer: None });
        } else {
            let (path, why) = (self.shown(file.root, file.path.as_bytes()), failure.to_string());
            self.findings.push_back(Finding::Failed { path, why, status: status_of(failure) });
        }
    }

    /// The session is gone, with all questions.
    pub(crate) fn lose(&mut self) {
        for (_, question) in std::mem::take(&mut self.asked) {
            self.again.push_back(match question {
                // It may have been made. Then there may be files in it, of this very run too.
                Question::Make(wanted) => Question::Make(wanted),
                Question::Look { wanted, .. } => Question::look(wanted),
                Question::File { file, .. } => Question::File { file, answer: None },
            });
        }
    }

    /// The server has the folder. Files of one that it had before are asked about with the next refill.
    fn found(&mut self, wanted: Wanted, before: Before) {
        let Wanted { folder, path, mtime, .. } = wanted;
        let standing = match before {
            Before::Nothing => Standing::New,
            Before::Folder(_) | Before::Root => Standing::Existing,
        };
        self.findings.push_back(Finding::Folder { path, mtime, before });
        for file in self.take_waiting(folder, standing) {
            match standing {
                Standing::New => self.findings.push_back(Finding::Missing(file)),
                Standing::Existing => self.again.push_back(Question::File { file, answer: None }),
                Standing::Asked | Standing::Impossible => {}
            }
        }
    }

    fn fail_folder(&mut self, folder: u64, path: &[u8], why: String, status: ExitCode) {
        self.take_waiting(folder, Standing::Impossible);
        self.findings.push_back(Finding::Failed { path: path.to_vec(), why, status });
    }

    fn take_waiting(&mut self, folder: u64, standing: Standing) -> Vec<Planned> {
        let Some(known) = self.folders.get_mut(&folder) else { return Vec::new() };
        known.standing = standing;
        let waiting = std::mem::take(&mut known.waiting);
        if !known.is_current {
            self.folders.remove(&folder);
        }
        self.waiting_files -= waiting.len();
        waiting
    }

    /// No more files of the current folder will be told.
    fn leave_current(&mut self) {
        if let Some(folder) = self.folders.get_mut(&self.current) {
            folder.is_current = false;
            if folder.standing != Standing::Asked {
                self.folders.remove(&self.current);
            }
        }
    }
}

/// Why something with a long name is not sent.
pub(crate) fn too_long() -> String {
    "its path is too long for the server".to_owned()
}
