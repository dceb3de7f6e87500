//! `download` and `upload` of what was named at the prompt: which files these are, and where each goes. The
//! transfers themselves know nothing of places and patterns.

use crate::failure::{Failure, show_path};
use crate::limits::{MIRROR_JOBS_DEFAULT, MIRROR_JOBS_MAX};
use crate::mirror::download::Item;
use crate::mirror::report::Report;
use crate::mirror::summary::Direction;
use crate::mirror::{self, Answer};
use crate::prompt::commands::each;
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::names;
use crate::prompt::overwrite::Overwriting;
use crate::prompt::pattern::{Found, expand_local, expand_remote};
use crate::prompt::place::{Place, names_folder};
use crate::prompt::remote;
use crate::prompt::table::Flag;
use crate::prompt::words::{Style, Word, quote_as};
use crate::session::Session;
use crate::terminal::screen::{self, Results};
use crate::transfer::{TransferOptions, download, upload};
use crate::tree::pattern::Excludes;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::EntryKind;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) fn download(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
    asker: &mut dyn Asker,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    for name in &command.names {
        found.extend(expand_remote(session, &context.place, name)?);
    }
    let to = command.value(Flag::To).map(|word| context.local.resolve(word)).transpose()?;
    // With a slash at its end, which only a folder can have.
    let to = to.or_else(|| context.local.folder().map(|folder| folder.join("")));
    if let [only] = &found[..]
        && !command.has(Flag::DryRun)
        && !(may_be_folder(only, to.as_deref()) && is_folder(session, only)?)
    {
        let mut overwriting = Overwriting::of(command, context, asker);
        if !overwriting.allows_download(session, &only.path, to.as_deref())? {
            return Ok(());
        }
        let begun = Instant::now();
        let transfer = transfer_options(context, command);
        match download::run(session, &transfer, &only.path, to.as_deref(), overwriting.seen_here) {
            Ok(bytes) => return report_file(context, Direction::Down, bytes, begun),
            // Then it comes as a whole.
            Err(Failure::Refused { code: Some(ErrorCode::IsDirectory), .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut items = Vec::new();
    let result = each(
        &found,
        |found| found.path.to_string(),
        |found| {
            let entry = found.entry.clone().map_or_else(|| remote::stat(session, &found.path), Ok);
            let entry = entry.map_err(download::explain_missing)?;
            items.push(Item { path: found.path.clone(), entry, content_only: false });
            Ok(())
        },
    );
    let result = tell_other_name("download", &command.names, items.len(), result);
    let to = to.unwrap_or_else(|| PathBuf::from("."));
    if items.is_empty() {
        return result;
    }
    if !command.has(Flag::DryRun) {
        fs::create_dir_all(&to).map_err(|error| Failure::local("make the folder", &to, &error))?;
    }
    let options = mirror_options(context, command, asker)?;
    let moved =
        mirror::download::run(session, &options, &items, &to, None, &mut |question| answer(asker, question));
    result.and(moved)
}

/// A program is told what became of a file; a person has seen it.
fn report_file(context: &Context, direction: Direction, bytes: u64, begun: Instant) -> Result<(), Failure> {
    if !context.json {
        return Ok(());
    }
    let mut results = Results::new();
    results.line(&Report::of_file(direction, bytes, begun.elapsed()).line())?;
    results.finish()
}

/// A folder that is here already has gone before, or was made by hand; anything else shows when a file is asked for.
fn may_be_folder(found: &Found, to: Option<&Path>) -> bool {
    match (&found.entry, found.path.file_name()) {
        (Some(entry), _) => entry.kind == EntryKind::Dir,
        (None, None) => true,
        (None, Some(name)) => to.unwrap_or(Path::new(".")).join(OsStr::from_bytes(name)).is_dir(),
    }
}

fn is_folder(session: &mut Session, found: &Found) -> Result<bool, Failure> {
    let kind = match &found.entry {
        Some(entry) => entry.kind,
        None => match remote::stat(session, &found.path) {
            Ok(entry) => entry.kind,
            // What is wrong with the name the download tells better.
            Err(Failure::Refused { .. }) => return Ok(false),
            Err(failure) => return Err(failure),
        },
    };
    Ok(kind == EntryKind::Dir)
}

/// How a command wants a transfer to be made.
pub(crate) fn transfer_options(context: &Context, command: &PromptCommand) -> TransferOptions {
    TransferOptions { force: command.has(Flag::Force), ..context.transfer }
}

pub(crate) fn mirror_options(
    context: &Context,
    command: &PromptCommand,
    asker: &dyn Asker,
) -> Result<mirror::Options, Failure> {
    let jobs = match command.value(Flag::Jobs) {
        None => MIRROR_JOBS_DEFAULT,
        Some(word) => str::from_utf8(word.bytes())
            .ok()
            .and_then(|word| word.parse().ok())
            .filter(|jobs| (1..=MIRROR_JOBS_MAX).contains(jobs))
            .ok_or_else(|| Failure::Usage(format!("-j needs a number from 1 to {MIRROR_JOBS_MAX}")))?,
    };
    let patterns = command.values(Flag::Exclude).map(Word::bytes);
    let excludes = Excludes::new(patterns).map_err(|error| Failure::Usage(format!("-x: {error}")))?;
    Ok(mirror::Options {
        transfer: transfer_options(context, command),
        jobs,
        dry_run: command.has(Flag::DryRun),
        json: context.json,
        checksum: command.has(Flag::Checksum),
        ask: asker.is_person() && !command.has(Flag::Force),
        excludes,
    })
}

/// What a person answers; no, where there is none.
pub(crate) fn answer(asker: &mut dyn Asker, question: &str) -> Result<Answer, Failure> {
    let answer = asker.ask(question)?.unwrap_or_default();
    Ok(match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        "a" | "all" => Answer::All,
        "e" | "each" => Answer::Each,
        _ => Answer::No,
    })
}

/// Where the second of two names is none, it may have been meant as the name for the first.
fn tell_other_name(
    command: &str,
    names: &[Word],
    moved: usize,
    result: Result<(), Failure>,
) -> Result<(), Failure> {
    if let ([first, second], 1, Err(_)) = (names, moved, &result) {
        let shown = |word: &Word| quote_as(Style::Bare, word.bytes());
        screen::message(&format!("To give it another name: {command} {} -o {}", shown(first), shown(second)));
    }
    result
}

/// Where uploads go.
enum Destination {
    Folder(RemotePath),
    Name(RemotePath),
}

pub(crate) fn upload(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
    asker: &mut dyn Asker,
) -> Result<(), Failure> {
    let mut files = Vec::new();
    for name in &command.names {
        files.extend(expand_local(&context.local, name)?);
    }
    let is_tree = files.len() > 1 || files.iter().any(|file| file.is_dir()) || command.has(Flag::DryRun);
    let destination = match command.value(Flag::To) {
        Some(word) => destination(session, &context.place, word, is_tree)?,
        None => Destination::Folder(context.place.here().clone()),
    };
    match (&files[..], destination) {
        (files, Destination::Folder(folder)) if is_tree => {
            let options = mirror_options(context, command, asker)?;
            if !options.dry_run && !folder.is_root() {
                names::make_with_parents(session, &folder)?;
            }
            let sent =
                mirror::send(session, &options, files, &folder, &mut |question| answer(asker, question));
            tell_other_name("upload", &command.names, 1, sent)
        }
        ([file], destination) => {
            let remote = match destination {
                Destination::Folder(folder) => name_in(&folder, file)?,
                Destination::Name(path) => path,
            };
            let mut overwriting = Overwriting::of(command, context, asker);
            if overwriting.allows_upload(session, file, &remote)? {
                let begun = Instant::now();
                let transfer = transfer_options(context, command);
                let bytes = upload::run(session, &transfer, file, &remote, overwriting.seen_there)?;
                report_file(context, Direction::Up, bytes, begun)?;
            }
            Ok(())
        }
        (_, Destination::Folder(_) | Destination::Name(_)) => Ok(()),
    }
}

/// A name that leads to a folder of the server means a place in that folder.
fn destination(
    session: &mut Session,
    place: &Place,
    word: &Word,
    needs_folder: bool,
) -> Result<Destination, Failure> {
    let path = place.resolve(word.bytes())?;
    if needs_folder || names_folder(word.bytes()) {
        return Ok(Destination::Folder(path));
    }
    match remote::stat(session, &path) {
        Ok(entry) if entry.kind == EntryKind::Dir => Ok(Destination::Folder(path)),
        // What is wrong with the name the upload tells better.
        Ok(_) | Err(Failure::Refused { .. }) => Ok(Destination::Name(path)),
        Err(failure) => Err(failure),
    }
}

fn name_in(folder: &RemotePath, file: &Path) -> Result<RemotePath, Failure> {
    file.file_name()
        .and_then(|name| folder.join(name.as_bytes()).ok())
        .ok_or_else(|| Failure::Usage(format!("{} cannot be uploaded under this name", show_path(file))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_named_after_its_file() {
        let folder = RemotePath::parse(b"d").unwrap();
        assert_eq!(name_in(&folder, Path::new("/tmp/x.txt")).unwrap().as_bytes(), b"d/x.txt");
        assert_eq!(name_in(&RemotePath::root(), Path::new("x")).unwrap().as_bytes(), b"x");
        for name in ["..", "/", ".ferry-staging"] {
            assert!(name_in(&folder, Path::new(name)).is_err(), "{name}");
        }
    }
}
