//! `-` in place of a local file: a download to standard output, an upload from standard input.

use crate::failure::{Failure, describe};
use crate::prompt::context::Context;
use crate::prompt::input::PromptCommand;
use crate::prompt::moving::transfer_options;
use crate::prompt::place::names_folder;
use crate::prompt::reading;
use crate::prompt::table::Flag;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::transfer::{TransferOptions, upload};
use std::io::{self, Write as _};
use tempfile::NamedTempFile;

/// True for a bare `-`; a file of that name is `./-`.
pub(crate) fn is_stream(word: &Word) -> bool {
    word.marked().eq([(b'-', false)])
}

/// True where the command is about a stream.
pub(crate) fn concerns(command: &PromptCommand) -> bool {
    command.names.iter().any(is_stream) || command.value(Flag::To).is_some_and(is_stream)
}

/// What is written is not compared before it is, as it cannot be taken back: what is wrong shows by the exit status.
pub(crate) fn download(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
) -> Result<(), Failure> {
    if command.names.iter().any(is_stream) {
        return Err(Failure::Usage("- is no file of the server; download NAME -o - prints one".to_owned()));
    }
    if command.in_background {
        return Err(Failure::Usage("What is printed cannot be in the background".to_owned()));
    }
    reading::cat(session, context, command)
}

/// The server is told the size and the digest first, so what comes is kept in a temporary file until its end.
pub(crate) fn upload(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
) -> Result<(), Failure> {
    let ([_], Some(to)) = (&command.names[..], command.value(Flag::To)) else {
        let usage = "upload - sends one file, under the name behind -o: upload - -o NAME";
        return Err(Failure::Usage(usage.to_owned()));
    };
    if !context.stdin_is_free {
        let why = "Standard input has the commands; upload - is for ferry -c 'upload - -o NAME'";
        return Err(Failure::Usage(why.to_owned()));
    }
    if is_stream(to) || names_folder(to.bytes()) {
        return Err(Failure::Usage("What comes from standard input needs the name of a file".to_owned()));
    }
    let remote = context.place.resolve(to.bytes())?;
    let cannot = |error: io::Error| {
        Failure::Local(format!("Cannot keep what comes from standard input: {}", describe(&error)))
    };
    let kept = session.interrupts().aside(keep_all)?.map_err(cannot)?;
    // It has no time of its own.
    let options = TransferOptions { keep_times: false, ..transfer_options(context, command) };
    upload::run(session, &options, kept.path(), &remote, None).map(|_| ())
}

/// Only this user can read it, and it is gone when it is dropped.
fn keep_all() -> io::Result<NamedTempFile> {
    let mut kept = NamedTempFile::new()?;
    io::copy(&mut io::stdin().lock(), &mut kept)?;
    kept.flush()?;
    Ok(kept)
}
