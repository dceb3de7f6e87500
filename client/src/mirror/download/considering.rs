//! What is to be fetched, against what is here already: makes the folders that the server lists, and plans the files that
//! are not here, or not the same.

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::limits::{TREE_DEPTH_MAX, TREE_FILE_TRIES_MAX};
use crate::mirror::comparing::Compared;
use crate::mirror::download::{Download, Item, Weight};
use crate::mirror::plan::{Before, Class, Planned, common};
use crate::mirror::report::would;
use crate::mirror::{Verdict, judge, spool_failed};
use crate::tree::error::TreeError;
use crate::tree::facts::{Kind, Sighting};
use crate::tree::folder::Made;
use crate::tree::same::{Comparison, Version, compare};
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;

impl Download<'_> {
    /// Takes in something that the user has named.
    pub(super) fn begin(&mut self, item: &Item) -> Result<(), Failure> {
        let name_at = item.path.as_bytes().len() - item.path.file_name().map_or(0, <[u8]>::len);
        match item.entry.kind {
            EntryKind::File => self.consider_file(&item.path, name_at, &item.entry, false),
            EntryKind::Dir if item.content_only || item.path.is_root() => {
                let common_at = if item.path.is_root() { 0 } else { item.path.as_bytes().len() + 1 };
                self.remember_time(&RemotePath::root(), item.entry.mtime)?;
                self.walk.push(&item.path, common_at, false).map_err(spool_failed)
            }
            EntryKind::Dir => self.consider_folder(&item.path, name_at, item.entry.mtime, false),
        }
    }

    /// Takes in one entry of a listing.
    pub(super) fn consider(&mut self, id: RequestId, entry: &Entry) -> Result<(), Failure> {
        let Some(listing) = self.walk.listing_mut(id) else { return Ok(()) };
        let (common_at, is_new) = (listing.common_at, listing.is_new);
        let Ok(path) = listing.path.join(&entry.name) else {
            let path = [listing.path.as_bytes(), b"/", &entry.name].concat();
            self.summary.complain(&path, "this name cannot be used here".to_owned(), ExitCode::Refused);
            return Ok(());
        };
        let is_folder = entry.kind == EntryKind::Dir;
        if self.options.excludes.matches(common(&path, common_at).as_bytes(), is_folder) {
            return Ok(());
        }
        let (folder, place) = (&mut self.folder, common(&listing.path, common_at));
        if !listing.names.claim(&entry.name, || folder.is_case_folding(&place)) {
            let why = "another name differs from it in case only, and this disk does not tell them apart";
            self.summary.complain(path.as_bytes(), why.to_owned(), ExitCode::Local);
            return Ok(());
        }
        match entry.kind {
            EntryKind::Dir if entry.link => {
                let why = "it is a symbolic link to a folder; name it to have what it leads to".to_owned();
                self.summary.note(path.as_bytes(), why);
                Ok(())
            }
            EntryKind::File => self.consider_file(&path, common_at, entry, is_new),
            EntryKind::Dir => self.consider_folder(&path, common_at, entry.mtime, is_new),
        }
    }

    fn consider_folder(
        &mut self,
        path: &RemotePath,
        common_at: usize,
        mtime: FileTime,
        is_in_new: bool,
    ) -> Result<(), Failure> {
        let local = common(path, common_at);
        if local.as_bytes().iter().filter(|&&byte| byte == b'/').count() >= TREE_DEPTH_MAX {
            let why = "it is too deep; does a link lead to a folder above it?".to_owned();
            self.summary.complain(path.as_bytes(), why, ExitCode::Local);
            return Ok(());
        }
        let made = if self.options.dry_run {
            self.would_make(&local, is_in_new)
        } else {
            self.folder.make_folder(&local)
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                self.summary.complain(path.as_bytes(), error.to_string(), ExitCode::Local);
                return Ok(());
            }
        };
        self.summary.folders += u64::from(made == Made::New);
        if made == Made::Existing && !self.options.dry_run {
            self.folder.sweep(&local);
        }
        self.remember_time(&local, mtime)?;
        self.walk.push(path, common_at, made == Made::New).map_err(spool_failed)
    }

    /// A folder is to have this time in the end.
    fn remember_time(&mut self, local: &RemotePath, mtime: FileTime) -> Result<(), Failure> {
        if !self.options.transfer.keep_times || self.options.dry_run {
            return Ok(());
        }
        self.folder_times.push(local, mtime).map_err(spool_failed)
    }

    fn would_make(&mut self, local: &RemotePath, is_in_new: bool) -> Result<Made, TreeError> {
        if is_in_new {
            return Ok(Made::New);
        }
        match self.folder.facts(local)? {
            None => Ok(Made::New),
            Some(facts) if facts.kind == Kind::Folder => Ok(Made::Existing),
            Some(facts) => Err(TreeError::InTheWay(facts.kind)),
        }
    }

    /// Plans the file, unless it is here already.
    fn consider_file(
        &mut self,
        path: &RemotePath,
        common_at: usize,
        entry: &Entry,
        is_in_new: bool,
    ) -> Result<(), Failure> {
        let file = Planned {
            root: 0,
            path: path.clone(),
            common_at,
            size_bytes: entry.size_bytes,
            mtime: entry.mtime,
            is_executable: Some(entry.executable),
            tries: 0,
            replaces: false,
            before: Before::Nothing,
            is_refused: false,
        };
        let facts = if is_in_new { Ok(None) } else { self.folder.facts(&file.common_path()) };
        let to = match facts {
            // Where it is to be written it is looked at again.
            Ok(Some(facts)) if self.options.dry_run && !matches!(facts.kind, Kind::File | Kind::Link) => {
                Err(TreeError::InTheWay(facts.kind))
            }
            facts => facts,
        };
        let before = to.as_ref().ok().copied().flatten();
        let before = before.map_or(Before::Nothing, |facts| Before::Here(Sighting::of(&facts)));
        let file = Planned { before, ..file };
        let to = match to {
            Ok(facts) => facts.filter(|facts| facts.kind == Kind::File),
            Err(error) => {
                self.summary.complain(path.as_bytes(), error.to_string(), ExitCode::Local);
                return Ok(());
            }
        };
        let from = Version { size_bytes: entry.size_bytes, mtime: entry.mtime };
        let to = to.map(|facts| Version { size_bytes: facts.size_bytes, mtime: facts.mtime });
        if self.options.checksum && to.is_some_and(|to| to.size_bytes == from.size_bytes) {
            return self.comparing.push(&file).map_err(spool_failed);
        }
        self.settle_file(file, compare(from, to))
    }

    /// It is known whether the file is here already.
    fn settle_file(&mut self, file: Planned, comparison: Comparison) -> Result<(), Failure> {
        match comparison {
            Comparison::Same => {
                self.summary.same_files += 1;
                if file.class() == Class::Large && !self.options.dry_run {
                    self.folder.discard_part(&file.common_path());
                }
                return Ok(());
            }
            Comparison::Different if !self.options.transfer.overwrite => {
                let why = "a different file is here; it is left alone (--no-overwrite)";
                self.summary.complain(file.path.as_bytes(), why.to_owned(), ExitCode::Local);
                return Ok(());
            }
            Comparison::New | Comparison::Different => {}
        }
        let file = Planned { replaces: comparison == Comparison::Different, tries: 0, ..file };
        if file.replaces && self.options.ask && !self.options.dry_run {
            return self.held.push(&file).map_err(spool_failed);
        }
        if self.options.dry_run {
            self.count(&Weight { bytes: file.size_bytes, replaces: file.replaces });
            return self.results.line(&would(self.options.json, "download", file.path.as_bytes()));
        }
        self.board.plan(file.size_bytes);
        self.plan.push(&file).map_err(spool_failed)
    }

    pub(super) fn take_compared(&mut self) -> Result<(), Failure> {
        while let Some(compared) = self.comparing.poll() {
            match compared {
                Compared::Different(file) | Compared::Failed { file, .. } if file.is_refused => {
                    let why = TreeError::Changed.to_string();
                    self.summary.complain(file.path.as_bytes(), why, ExitCode::Local);
                }
                Compared::Same(file) => self.settle_file(file, Comparison::Same)?,
                Compared::Different(file) => self.settle_file(file, Comparison::Different)?,
                Compared::Failed { file, why, status } => {
                    self.summary.complain(file.path.as_bytes(), why, status);
                }
            }
        }
        Ok(())
    }

    pub(super) fn end_listing(&mut self, id: RequestId, result: Result<Success, dialogue::Failure>) {
        let (Some(listing), Err(failure)) = (self.walk.end(id), result) else { return };
        if judge(&failure) == Verdict::Again && listing.tries + 1 < TREE_FILE_TRIES_MAX {
            self.walk.push_again(listing);
        } else {
            self.summary.complain(listing.path.as_bytes(), failure.to_string(), ExitCode::Refused);
        }
    }
}
