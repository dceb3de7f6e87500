//! `tree`, `find` and `du`: what is in a folder and in those beneath it.

use crate::failure::Failure;
use crate::prompt::context::Context;
use crate::prompt::input::PromptCommand;
use crate::prompt::listing::order::By;
use crate::prompt::listing::sheet::{Totals, cell, shown_name};
use crate::prompt::pattern::Pattern;
use crate::prompt::table::Flag;
use crate::prompt::walk::walk;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::terminal::layout;
use crate::terminal::screen::{self, Results};
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::words;

/// Draws what is in a folder as a tree.
pub(crate) fn draw(session: &mut Session, context: &Context, command: &PromptCommand) -> Result<(), Failure> {
    let depth_max = match command.value(Flag::Depth) {
        None => usize::MAX,
        Some(word) => match str::from_utf8(word.bytes()).ok().and_then(|text| text.parse::<usize>().ok()) {
            Some(levels @ 1..) => levels - 1,
            Some(0) | None => {
                let shown = words::display(word.bytes());
                return Err(Failure::Usage(format!("{shown} is no number of levels: tree -L 2")));
            }
        },
    };
    let folder = folder(context, command.names.first())?;
    let mut results = Results::new();
    let mut totals = Totals::default();
    // Of each folder that one is in: whether something of it is still to come.
    let mut goes_on: Vec<bool> = Vec::new();
    results.line(&context.palette.folder(&words::display(&context.place.relative(&folder))))?;
    let walked = walk(session, &folder, By::Name, depth_max, &mut |visit| {
        totals.count(visit.entry);
        goes_on.truncate(visit.depth);
        let stems: String = goes_on.iter().map(|&goes_on| if goes_on { "│   " } else { "    " }).collect();
        goes_on.push(!visit.is_last);
        let branch = if visit.is_last { "└── " } else { "├── " };
        let name = cell(visit.entry, usize::MAX);
        let name = if visit.entry.kind == EntryKind::Dir { context.palette.folder(&name) } else { name };
        results.line(&format!("{stems}{branch}{name}"))
    });
    results.line(&context.palette.aside(&totals.summary(screen::columns())))?;
    results.finish()?;
    walked
}

/// Prints the names that match, as they can be typed back.
pub(crate) fn find(session: &mut Session, context: &Context, command: &PromptCommand) -> Result<(), Failure> {
    let Some(wanted) = command.names.first() else { return Ok(()) };
    // As other programs need the pattern in quotes, these do not take its meaning from it here.
    let pattern = Pattern::of(&Word::plain(wanted.bytes()));
    let part = String::from_utf8_lossy(wanted.bytes()).to_lowercase();
    let fits = |entry: &Entry| match &pattern {
        Some(pattern) => pattern.matches(&entry.name),
        None => String::from_utf8_lossy(&entry.name).to_lowercase().contains(&part),
    };
    let folder = folder(context, command.names.get(1))?;
    let mut results = Results::new();
    let mut has_found = false;
    let walked = walk(session, &folder, order(), usize::MAX, &mut |visit| {
        if !fits(visit.entry) {
            return Ok(());
        }
        has_found = true;
        let path = Entry { name: context.place.relative(&visit.path), ..visit.entry.clone() };
        let shown = shown_name(&path);
        results.line(&if path.kind == EntryKind::Dir { context.palette.folder(&shown) } else { shown })
    });
    results.finish()?;
    walked?;
    if !has_found {
        screen::message(&format!("Nothing matches {}", words::display(wanted.bytes())));
    }
    Ok(())
}

/// Tells what the folders in a folder take, and all of it.
pub(crate) fn measure(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
) -> Result<(), Failure> {
    let is_rounded = !command.has(Flag::Exact) && (screen::size().is_some() || command.has(Flag::Human));
    let size = |bytes: u64| if is_rounded { layout::size(bytes) } else { bytes.to_string() };
    let folder = folder(context, command.names.first())?;
    let mut results = Results::new();
    let mut all = Totals::default();
    // The folder right beneath that the walk is in.
    let mut current: Option<(Entry, Totals)> = None;
    let tell = |results: &mut Results, current: Option<(Entry, Totals)>| match current {
        Some((entry, totals)) if !command.has(Flag::SumOnly) => {
            let name = context.palette.folder(&shown_name(&entry));
            results.line(&format!("{:>9}  {name}", size(totals.bytes)))
        }
        Some(_) | None => Ok(()),
    };
    let walked = walk(session, &folder, order(), usize::MAX, &mut |visit| {
        all.count(visit.entry);
        if visit.depth == 0 {
            tell(&mut results, current.take())?;
            current = (visit.entry.kind == EntryKind::Dir).then(|| (visit.entry.clone(), Totals::default()));
        } else if let Some((_, totals)) = &mut current {
            totals.count(visit.entry);
        }
        Ok(())
    });
    tell(&mut results, current)?;
    let name = words::display(&context.place.relative(&folder));
    results.line(&format!("{:>9}  {name}  {}", size(all.bytes), context.palette.aside(&all.counts())))?;
    results.finish()?;
    walked
}

fn folder(context: &Context, word: Option<&Word>) -> Result<RemotePath, Failure> {
    match word {
        Some(word) => context.place.resolve(word.bytes()),
        None => Ok(context.place.here().clone()),
    }
}

fn order() -> By {
    if screen::size().is_some() { By::Name } else { By::Bytes }
}
