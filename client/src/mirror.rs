//! Whole trees, and several names at once, in either direction: many files over a few sessions at the same time. A file
//! that is at the other end already, and is the same, is not moved, so that the same command goes on where one was broken off.
//!
//! A failure of one file ends nothing else. What was not moved, and why, is told at the end.

pub(crate) mod beginnings;
pub(crate) mod board;
pub(crate) mod comparing;
pub(crate) mod complaints;
pub(crate) mod download;
pub(crate) mod fetching;
pub(crate) mod folder_times;
pub(crate) mod hashing;
pub(crate) mod held;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod remote_times;
pub(crate) mod removing;
pub(crate) mod report;
pub(crate) mod scout;
pub(crate) mod sending;
pub(crate) mod server_walk;
pub(crate) mod steps;
pub(crate) mod summary;
pub(crate) mod surplus;
pub(crate) mod upload;

use crate::exit_code::ExitCode;
use crate::failure::{Failure as Client, describe, show_path};
use crate::mirror::plan::Planned;
use crate::mirror::scout::Start;
use crate::mirror::surplus::Ends;
use crate::mirror::upload::Root;
use crate::session::Session;
use crate::terminal::screen;
use crate::transfer::TransferOptions;
use crate::tree::error::TreeError;
use crate::tree::folder::Folder;
use crate::tree::pattern::Excludes;
use crate::tree::walk::Walk;
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Asks a person.
pub(crate) type Asker<'a> = dyn FnMut(&str) -> Result<Answer, Client> + 'a;

/// What a person answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    No,
    Yes,
    /// To all questions that follow as well.
    All,
    /// It is to be asked about one by one.
    Each,
}

/// How the user wants a tree to be moved.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) transfer: TransferOptions,
    /// Sessions that move files at the same time.
    pub(crate) jobs: usize,
    /// Nothing is moved or made; what would be is told.
    pub(crate) dry_run: bool,
    /// What became of it is told to a program.
    pub(crate) json: bool,
    /// Files of one size are compared by their digests rather than by their times.
    pub(crate) checksum: bool,
    /// A file that would replace a different one waits until a person was asked.
    pub(crate) ask: bool,
    pub(crate) excludes: Excludes,
}

/// Sends each of these, be it a file or a folder, to beneath the folder `to` of the server, which exists.
pub(crate) fn send(
    session: &mut Session,
    options: &Options,
    names: &[PathBuf],
    to: &RemotePath,
    asker: &mut Asker<'_>,
) -> Result<(), Client> {
    let (mut roots, mut starts, mut failed) = (Vec::new(), Vec::new(), None);
    for path in names {
        let index = u32::try_from(roots.len()).unwrap_or(u32::MAX);
        match root_of(options, path, to, index) {
            Ok((root, start)) => {
                roots.push(root);
                starts.push(start);
            }
            Err(failure) => {
                if let Some(earlier) = failed.replace(failure) {
                    screen::failure(&earlier);
                }
            }
        }
    }
    let failed = failed.map_or(Ok(()), Err);
    if starts.is_empty() {
        return failed;
    }
    upload::run(session, options, roots, starts, None, asker).and(failed)
}

/// Sends what is in a folder to the folder `to` of the server, which exists. Where the ends are given, what only the server has
/// is removed.
pub(crate) fn send_content(
    session: &mut Session,
    options: &Options,
    folder: &Path,
    to: &RemotePath,
    ends: Option<&mut Ends>,
    asker: &mut Asker<'_>,
) -> Result<(), Client> {
    let (root, start) = tree_of(options, folder, to.clone(), to.names(), 0)?;
    upload::run(session, options, vec![root], vec![start], ends, asker)
}

fn tree_of(
    options: &Options,
    path: &Path,
    base: RemotePath,
    names: u32,
    index: u32,
) -> Result<(Root, Start), Client> {
    let local = |error: TreeError| Client::Local(format!("{}: {error}", show_path(path)));
    let folder = Folder::open(path).map_err(local)?;
    let walk = Walk::new(&folder, &RemotePath::root(), options.excludes.clone()).map_err(local)?;
    Ok((Root { folder, base, names }, Start::Tree { root: index, walk: Box::new(walk) }))
}

fn root_of(options: &Options, path: &Path, to: &RemotePath, index: u32) -> Result<(Root, Start), Client> {
    let local = |error: TreeError| Client::Local(format!("{}: {error}", show_path(path)));
    let unusable = || Client::Local(format!("The server takes no such name: {}", show_path(path)));
    let name = path.file_name().map(|name| name.as_bytes());
    if path.is_dir() {
        let base = name.map_or(Ok(to.clone()), |name| to.join(name)).map_err(|_| unusable())?;
        return tree_of(options, path, base, to.names(), index);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut folder = Folder::open(parent).map_err(local)?;
    let name = RemotePath::root().join(name.unwrap_or_default()).map_err(|_| unusable())?;
    let facts = folder
        .facts(&name)
        .map_err(local)?
        .ok_or_else(|| Client::Local(format!("There is no {}", show_path(path))))?;
    let file = Planned::local(index, name, &facts);
    Ok((Root { folder, base: to.clone(), names: to.names() }, Start::File(file)))
}

/// The temporary file that a plan overflows into has failed.
fn spool_failed(error: io::Error) -> Client {
    Client::Local(format!("Cannot remember which files are to be moved: {}", describe(&error)))
}

/// What the failure of one request means for its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The file may go well at another time.
    Again,
    Final,
}

/// The word of the server for why it refuses, where it has one.
fn code_of(failure: &Failure) -> Option<ErrorCode> {
    match failure {
        Failure::Refused { code, .. } => *code,
        Failure::DataLost | Failure::ControlLost => None,
    }
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
