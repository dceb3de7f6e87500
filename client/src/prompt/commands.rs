//! Carries out one command of the prompt. Knows what each is made of; the prompt, the command line and
//! piped input all come here.

use crate::failure::Failure;
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::pattern;
use crate::prompt::table::{Flag, Verb};
use crate::prompt::{help, listing, moving, names, places, reading, status, streams, syncing, trees};
use crate::session::Session;
use crate::terminal::screen::{self, Results};
use crate::transfer::digests;
use ferry_common::path::RemotePath;

/// Whether further commands are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Exit,
}

/// Runs `command` to its end, after its interrupts have begun. A signal meanwhile makes it fail with
/// [`Failure::Interrupted`].
pub(crate) fn run(
    session: &mut Session,
    context: &mut Context,
    command: &PromptCommand,
    asker: &mut dyn Asker,
) -> Result<Next, Failure> {
    match command.verb {
        Verb::Ls => listing::run(session, context, command)?,
        Verb::Stat => {
            let json = context.json;
            on_each(session, context, command, |session, path| listing::stat(session, path, json))?;
        }
        Verb::Sum => on_each(session, context, command, digests::show)?,
        Verb::Download if streams::concerns(command) => streams::download(session, context, command)?,
        Verb::Upload if streams::concerns(command) => streams::upload(session, context, command)?,
        Verb::Download => moving::download(session, context, command, asker)?,
        Verb::Upload => moving::upload(session, context, command, asker)?,
        Verb::Sync => syncing::run(session, context, command, asker)?,
        Verb::Mkdir => {
            for name in &command.names {
                let path = context.place.resolve(name.bytes())?;
                names::make_directory(session, &path, command.has(Flag::Parents))?;
            }
        }
        Verb::Rm if command.has(Flag::Recursive) => {
            let force = command.has(Flag::Force);
            on_each(session, context, command, |session, path| {
                names::remove_tree(session, context, path, force, asker)
            })?;
        }
        Verb::Rm => on_each(session, context, command, names::remove)?,
        Verb::Mv => {
            if let [from, to] = &command.names[..] {
                names::rename(session, &context.place, from, to, command.has(Flag::Replace))?;
            }
        }
        Verb::Cat => reading::cat(session, context, command)?,
        Verb::More => reading::more(session, context, command)?,
        Verb::Tree => trees::draw(session, context, command)?,
        Verb::Find => trees::find(session, context, command)?,
        Verb::Du => trees::measure(session, context, command)?,
        Verb::Df if command.names.is_empty() => status::show_room(session, context.place.here())?,
        Verb::Df => on_each(session, context, command, status::show_room)?,
        Verb::Who => status::show_sessions(session)?,
        Verb::Jobs | Verb::Wait | Verb::Cancel => return Err(only_at_prompt()),
        Verb::Clear => screen::clear()?,
        Verb::Cd => places::go(session, context, command.names.first())?,
        Verb::Pwd => places::tell(context)?,
        Verb::Lcd => places::go_locally(context, command.names.first())?,
        Verb::Lpwd => places::tell_locally(context)?,
        Verb::Lls => places::list_locally(context, &command.names)?,
        Verb::Shell => places::run_locally(context, &command.names)?,
        Verb::Help => show_help(command)?,
        Verb::Exit => return Ok(Next::Exit),
    }
    Ok(Next::Continue)
}

/// Commands of a pipe or of `-c` run one after the other.
pub(crate) fn only_at_prompt() -> Failure {
    Failure::Usage(
        "Transfers in the background (&, jobs, wait, cancel) are for the prompt; others run one after the other"
            .to_owned(),
    )
}

/// Does the same to all that the names of a command stand for.
fn on_each(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
    mut act: impl FnMut(&mut Session, &RemotePath) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut paths = Vec::new();
    for name in &command.names {
        paths.extend(pattern::expand_remote(session, &context.place, name)?);
    }
    each(&paths, |found| found.path.to_string(), |found| act(session, &found.path))
}

/// Does the same to several things. What fails for one does not keep the others from it; each failure is told,
/// the last one by the command.
pub(crate) fn each<T>(
    items: &[T],
    name: impl Fn(&T) -> String,
    mut act: impl FnMut(&T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed: Option<Failure> = None;
    for item in items {
        let Err(failure) = act(item) else { continue };
        let failure = if items.len() > 1 { failure.about(&name(item)) } else { failure };
        let is_own = failure.concerns_one_file();
        if let Some(earlier) = failed.replace(failure) {
            screen::failure(&earlier);
        }
        if !is_own {
            break;
        }
    }
    failed.map_or(Ok(()), Err)
}

fn show_help(command: &PromptCommand) -> Result<(), Failure> {
    let columns = screen::columns();
    let mut results = Results::new();
    if command.names.is_empty() {
        results.line(&help::overview(columns))?;
    }
    for (at, name) in command.names.iter().enumerate() {
        if at > 0 {
            results.line("")?;
        }
        results.line(&help::about(name.bytes(), columns)?)?;
    }
    results.finish()
}
