//! `cd`, `pwd` and their likes for this computer, and its own commands.

use crate::failure::{Failure, describe, show_path};
use crate::prompt::context::Context;
use crate::prompt::pattern::expand_local;
use crate::prompt::remote;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::terminal::screen::Results;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::EntryKind;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Goes to a folder of the server; without a name to the top.
pub(crate) fn go(session: &mut Session, context: &mut Context, to: Option<&Word>) -> Result<(), Failure> {
    let path = match to.map(Word::bytes) {
        None => RemotePath::root(),
        Some(b"-") => match context.place.before() {
            Some(before) => before.clone(),
            None => return Err(Failure::Usage("There is no folder to go back to yet".to_owned())),
        },
        Some(name) => context.place.resolve(name)?,
    };
    if !path.is_root() {
        let message = |what: &str| format!("{path} {what}");
        match remote::stat(session, &path) {
            Ok(entry) if entry.kind == EntryKind::Dir => {}
            Ok(_) => {
                let code = Some(ErrorCode::NotDirectory);
                return Err(Failure::Refused { code, message: message("is a file, not a folder") });
            }
            Err(Failure::Refused { code: code @ Some(ErrorCode::NotFound), .. }) => {
                return Err(Failure::Refused { code, message: message("is not there on the server") });
            }
            Err(failure) => return Err(failure),
        }
    }
    context.place.go(path);
    Ok(())
}

pub(crate) fn tell(context: &Context) -> Result<(), Failure> {
    let here = context.place.here();
    let shown = if here.is_root() { "/".to_owned() } else { shown_from_top(here) };
    line(&shown)
}

/// Goes to a folder of this computer; without a name home.
pub(crate) fn go_locally(context: &mut Context, to: Option<&Word>) -> Result<(), Failure> {
    let local = &mut context.local;
    match to {
        None => local.go(&local.resolve(&Word::plain(b"~"))?),
        Some(word) if word.bytes() == b"-" => local.go_back(),
        Some(word) => local.go(&local.resolve(word)?),
    }
}

pub(crate) fn tell_locally(context: &Context) -> Result<(), Failure> {
    let here = context
        .local
        .whole_path()
        .map_err(|error| Failure::Local(format!("Cannot tell the local folder: {}", describe(&error))))?;
    line(&show_path(&here))
}

/// Has the `ls` of this computer list names of it, with its own options.
pub(crate) fn list_locally(context: &Context, words: &[Word]) -> Result<(), Failure> {
    let mut ls = Command::new("ls");
    for word in words {
        if word.is_option() {
            ls.arg(OsStr::from_bytes(word.bytes()));
        } else {
            // A name that begins with a dash was quoted, which that program cannot see.
            let names = expand_local(&context.local, word)?.into_iter();
            ls.args(names.map(|name| {
                let name = context.local.relative(&name);
                if name.as_os_str().as_bytes().starts_with(b"-") {
                    PathBuf::from(".").join(name)
                } else {
                    name
                }
            }));
        }
    }
    run(context, &mut ls, "ls")
}

/// Has the shell of this computer run a line.
pub(crate) fn run_locally(context: &Context, words: &[Word]) -> Result<(), Failure> {
    let shell = env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut command = Command::new(shell.unwrap_or_else(|| OsString::from("/bin/sh")));
    command.arg("-c").args(words.iter().map(|word| OsStr::from_bytes(word.bytes())));
    run(context, &mut command, "The command")
}

fn run(context: &Context, command: &mut Command, name: &str) -> Result<(), Failure> {
    if let Some(folder) = context.local.folder() {
        if !folder.is_dir() {
            return Err(Failure::Local(format!("There is no folder {} any more", show_path(folder))));
        }
        command.current_dir(folder);
    }
    if !io::stdin().is_terminal() {
        // Those are the commands that follow.
        command.stdin(Stdio::null());
    }
    let status = command.status().map_err(|error| {
        Failure::Local(format!("Cannot run a command of this computer: {}", describe(&error)))
    })?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Local(format!("{name} ended with status {code}"))),
        None => Err(Failure::Local(format!("{name} was ended by a signal"))),
    }
}

fn shown_from_top(path: &RemotePath) -> String {
    ferry_common::wire::words::display(&[b"/", path.as_bytes()].concat())
}

fn line(text: &str) -> Result<(), Failure> {
    let mut results = Results::new();
    results.line(text)?;
    results.finish()
}
