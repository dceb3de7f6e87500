//! What is asked before a file is replaced by another one: nothing, where they are the same. Without a person, and
//! where nothing may be replaced at all, transfers decide by themselves.

use crate::failure::{Failure, show_path};
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::listing::sheet::short_time;
use crate::prompt::remote;
use crate::prompt::table::Flag;
use crate::session::Session;
use crate::terminal::layout::size;
use crate::terminal::screen;
use crate::transfer::digests::{self, Sum};
use crate::transfer::looking::There;
use crate::tree::facts::Sighting;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Asks on behalf of one command.
pub(crate) struct Overwriting<'a> {
    asker: &'a mut dyn Asker,
    /// There is nothing to ask, or the answer was that it holds for all.
    is_settled: bool,
    /// What is the same is not moved, even if nothing is asked.
    is_comparing: bool,
    /// What the person was asked about last.
    pub(crate) seen_here: Option<Sighting>,
    pub(crate) seen_there: Option<There>,
}

/// A file as a question names it.
struct Seen {
    place: &'static str,
    size: u64,
    mtime: FileTime,
}

impl<'a> Overwriting<'a> {
    /// `is_free` where all may be replaced, or nothing will be.
    pub(crate) fn new(asker: &'a mut dyn Asker, is_free: bool) -> Self {
        let is_settled = is_free || !asker.is_person();
        Self { asker, is_settled, is_comparing: false, seen_here: None, seen_there: None }
    }

    /// For a command of the prompt.
    pub(crate) fn of(command: &PromptCommand, context: &Context, asker: &'a mut dyn Asker) -> Self {
        let overwriting = Self::new(asker, command.has(Flag::Force) || !context.transfer.overwrite);
        Self { is_comparing: command.has(Flag::Checksum), ..overwriting }
    }

    /// True where the download is to be made.
    pub(crate) fn allows_download(
        &mut self,
        session: &mut Session,
        remote: &RemotePath,
        local: Option<&Path>,
    ) -> Result<bool, Failure> {
        if self.is_settled && !self.is_comparing {
            return Ok(true);
        }
        let Some(path) = target(remote, local) else { return Ok(true) };
        // What else is wrong the transfer tells.
        let seen = Sighting::at(&path);
        let Some(here) = fs::metadata(&path).ok().filter(Metadata::is_file) else { return Ok(true) };
        self.seen_here = seen;
        let Some(there) = file_on_server(session, remote)? else { return Ok(true) };
        let shown = show_path(&path);
        if is_same(session, &path, &here, remote, &there)? {
            screen::message(&format!("{shown} is up to date"));
            return Ok(false);
        }
        if self.is_settled {
            return Ok(true);
        }
        let (here, there) = (seen_here(&here), seen_there(&there));
        self.ask(&shown, &here, &there)
    }

    /// True where the upload is to be made.
    pub(crate) fn allows_upload(
        &mut self,
        session: &mut Session,
        local: &Path,
        remote: &RemotePath,
    ) -> Result<bool, Failure> {
        if self.is_settled && !self.is_comparing {
            return Ok(true);
        }
        let Some(here) = fs::metadata(local).ok().filter(Metadata::is_file) else { return Ok(true) };
        let Some(there) = file_on_server(session, remote)? else { return Ok(true) };
        self.seen_there = Some(There::of(&there));
        if is_same(session, local, &here, remote, &there)? {
            screen::message(&format!("{remote} is up to date on the server"));
            return Ok(false);
        }
        if self.is_settled {
            return Ok(true);
        }
        let (here, there) = (seen_here(&here), seen_there(&there));
        self.ask(&remote.to_string(), &there, &here)
    }

    fn ask(&mut self, name: &str, old: &Seen, new: &Seen) -> Result<bool, Failure> {
        let told = |seen: &Seen| {
            let time = short_time(seen.mtime, Zoned::now().date(), &TimeZone::system());
            format!("{}, {time}", size(seen.size))
        };
        let question = format!(
            "{name} is {} already: {}. That {}: {}. Replace it? [y/N/all] ",
            old.place,
            told(old),
            new.place,
            told(new)
        );
        let answer = self.asker.ask(&question)?.unwrap_or_default();
        let is_meant = match answer.trim().to_lowercase().as_str() {
            "a" | "all" => {
                self.is_settled = true;
                true
            }
            "y" | "yes" => true,
            _ => false,
        };
        if !is_meant {
            screen::message(&format!("{name} is left alone"));
        }
        Ok(is_meant)
    }
}

/// Where the download goes.
fn target(remote: &RemotePath, local: Option<&Path>) -> Option<PathBuf> {
    let own_name = OsStr::from_bytes(remote.file_name()?);
    Some(match local {
        None => PathBuf::from(own_name),
        Some(local) if local.is_dir() => local.join(own_name),
        Some(local) => local.to_owned(),
    })
}

fn file_on_server(session: &mut Session, path: &RemotePath) -> Result<Option<Entry>, Failure> {
    match remote::stat(session, path) {
        Ok(entry) => Ok(Some(entry).filter(|entry| entry.kind == EntryKind::File)),
        Err(Failure::Refused { .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn is_same(
    session: &mut Session,
    local: &Path,
    here: &Metadata,
    remote: &RemotePath,
    there: &Entry,
) -> Result<bool, Failure> {
    if here.len() != there.size_bytes {
        return Ok(false);
    }
    let Ok(file) = File::open(local) else { return Ok(false) };
    digests::tell_comparison(here.len());
    let own = digests::hash_beginning(&file, local, here.len(), session.interrupts())?;
    let own = Sum { length: own.length(), digest: own.digest() };
    match digests::ask(session, Command::Sum { path: remote.clone(), length: None }) {
        Ok(sum) => Ok(sum == own),
        Err(Failure::Refused { .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn seen_here(metadata: &Metadata) -> Seen {
    Seen {
        place: "here",
        size: metadata.len(),
        mtime: FileTime::new(metadata.mtime(), metadata.mtime_nsec()),
    }
}

fn seen_there(entry: &Entry) -> Seen {
    Seen { place: "on the server", size: entry.size_bytes, mtime: entry.mtime }
}
