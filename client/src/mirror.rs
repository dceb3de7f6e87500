//! Whole trees, and several names at once, in either direction: many files over a few sessions at the same time. A file
//! that is at the other end already, and is the same, is not moved, so that the same command goes on where one was broken off.
//!
//! A failure of one file ends nothing else. What was not moved, and why, is told at the end.

pub(crate) mod board;
pub(crate) mod download;
pub(crate) mod hashing;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod scout;
pub(crate) mod sending;
pub(crate) mod server_walk;
pub(crate) mod summary;
pub(crate) mod upload;

use crate::exit_code::ExitCode;
use crate::failure::{Failure as Client, show_path};
use crate::mirror::download::Item;
use crate::mirror::plan::Planned;
use crate::mirror::scout::Start;
use crate::mirror::upload::Root;
use crate::session::Session;
use crate::session::link::{Handler, Ignore};
use crate::transfer::TransferOptions;
use crate::tree::error::TreeError;
use crate::tree::folder::Folder;
use crate::tree::pattern::Excludes;
use crate::tree::walk::Walk;
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::Entry;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How the user wants a tree to be moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) transfer: TransferOptions,
    /// Sessions that move files at the same time.
    pub(crate) jobs: usize,
    /// Nothing is moved or made; what would be is told.
    pub(crate) dry_run: bool,
}

/// Fetches each of these, be it a file or a folder, to beneath `to`.
pub(crate) fn fetch(
    session: &mut Session,
    options: &Options,
    names: &[RemotePath],
    to: &Path,
) -> Result<(), Client> {
    let mut items = Vec::new();
    for path in names {
        let mut answer = Answer(None);
        session.exchange(Command::Stat { path: path.clone() }, &mut answer)?;
        let entry = answer.0.ok_or_else(|| Client::Violation("The server told nothing".to_owned()))?;
        items.push(Item { path: path.clone(), entry, content_only: false });
    }
    download::run(session, options, &items, to)
}

/// Sends each of these, be it a file or a folder, to beneath the folder `to` of the server, which is made where it is not there.
pub(crate) fn send(
    session: &mut Session,
    options: &Options,
    names: &[PathBuf],
    to: &RemotePath,
) -> Result<(), Client> {
    if !to.is_root() && !options.dry_run {
        match session.exchange(Command::Mkdir { path: to.clone() }, &mut Ignore) {
            Ok(_) | Err(Client::Refused { code: Some(ErrorCode::Exists), .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    let (mut roots, mut starts) = (Vec::new(), Vec::new());
    for path in names {
        let index = u32::try_from(roots.len()).unwrap_or(u32::MAX);
        let (root, start) = root_of(path, to, index)?;
        roots.push(root);
        starts.push(start);
    }
    upload::run(session, options, roots, starts)
}

fn root_of(path: &Path, to: &RemotePath, index: u32) -> Result<(Root, Start), Client> {
    let local = |error: TreeError| Client::Local(format!("{}: {error}", show_path(path)));
    let unusable = || Client::Local(format!("The server takes no such name: {}", show_path(path)));
    let name = path.file_name().map(|name| name.as_bytes());
    if path.is_dir() {
        let folder = Folder::open(path).map_err(local)?;
        let walk = Walk::new(&folder, &RemotePath::root(), Excludes::default()).map_err(local)?;
        let base = name.map_or(Ok(to.clone()), |name| to.join(name)).map_err(|_| unusable())?;
        return Ok((Root { folder, base }, Start::Tree { root: index, walk }));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut folder = Folder::open(parent).map_err(local)?;
    let name = RemotePath::root().join(name.unwrap_or_default()).map_err(|_| unusable())?;
    let facts = folder
        .facts(&name)
        .map_err(local)?
        .ok_or_else(|| Client::Local(format!("There is no {}", show_path(path))))?;
    let file = Planned {
        root: index,
        path: name,
        common_at: 0,
        size_bytes: facts.size_bytes,
        mtime: facts.mtime,
        is_executable: Some(facts.is_executable),
        replaces: false,
        tries: 0,
    };
    Ok((Root { folder, base: to.clone() }, Start::File(file)))
}

/// The answer to `stat`.
struct Answer(Option<Entry>);

impl Handler for Answer {
    fn entry(&mut self, entry: Entry) -> Result<(), Client> {
        self.0 = Some(entry);
        Ok(())
    }
}

/// What the failure of one request means for its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The file may go well at another time.
    Again,
    Final,
}

/// What has come before the failure is good.
fn is_lost(failure: &Failure) -> bool {
    match failure {
        Failure::DataLost | Failure::ControlLost => true,
        Failure::Refused { code, .. } => {
            matches!(
                code,
                Some(ErrorCode::BrokenOff | ErrorCode::TimedOut | ErrorCode::Busy | ErrorCode::ShuttingDown)
            )
        }
    }
}

fn status_of(failure: &Failure) -> ExitCode {
    if matches!(failure, Failure::Refused { code: Some(ErrorCode::Mismatch), .. }) {
        ExitCode::Mismatch
    } else if is_lost(failure) {
        ExitCode::ConnectionLost
    } else {
        ExitCode::Refused
    }
}

fn judge(failure: &Failure) -> Verdict {
    match failure {
        failure if is_lost(failure) => Verdict::Again,
        Failure::Refused { code: Some(ErrorCode::Changed | ErrorCode::Mismatch), .. } => Verdict::Again,
        Failure::DataLost | Failure::ControlLost | Failure::Refused { .. } => Verdict::Final,
    }
}
