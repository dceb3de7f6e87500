//! Tab completion: commands, options, names on the server, names on this host, each where it is expected. Asks the
//! server for a short time only, and keeps a bounded number of names.

mod candidates;
mod expected;
mod local;
mod remote;

use crate::prompt::complete::candidates::{Name, Typed};
use crate::prompt::complete::expected::{Expected, expected};
use crate::prompt::complete::remote::RemoteNames;
use crate::prompt::local_place::LocalPlace;
use crate::prompt::place::Place;
use crate::prompt::similar::similar;
use crate::prompt::words;
use crate::session::Session;
use crate::terminal::palette::Palette;
use crate::terminal::{layout, screen};
use rustyline::completion::Pair;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::{Context, Helper, Validator};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The prompt's helper.
#[derive(Helper, Validator)]
pub(crate) struct Completer {
    names: RemoteNames,
    /// What names are relative to.
    place: RefCell<Place>,
    local: RefCell<LocalPlace>,
    prompt_columns: Cell<usize>,
    hinter: HistoryHinter,
    palette: Palette,
}

impl Completer {
    pub(crate) fn new(session: Rc<RefCell<Session>>, palette: Palette) -> Self {
        Self {
            names: RemoteNames::new(session),
            place: RefCell::default(),
            local: RefCell::default(),
            prompt_columns: Cell::new(0),
            hinter: HistoryHinter::new(),
            palette,
        }
    }

    /// What is known of the server's files may no longer be so.
    pub(crate) fn forget(&self) {
        self.names.forget();
    }

    /// To be set where that is so, by any thread.
    pub(crate) fn is_outdated(&self) -> Arc<AtomicBool> {
        self.names.is_outdated()
    }

    /// The next line is a command that is typed at these places.
    pub(crate) fn expect_command(&self, place: &Place, local: &LocalPlace, prompt: &str) {
        self.place.replace(place.clone());
        self.local.replace(local.clone());
        self.prompt_columns.set(layout::width(prompt));
    }

    /// What a name was meant for that the server does not have.
    pub(crate) fn similar_there(&self, name: &[u8]) -> Option<Vec<u8>> {
        let (directory, last) = candidates::split_path(name.strip_suffix(b"/").unwrap_or(name));
        similar_of(self.names.fitting(&self.place.borrow(), directory, b""), directory, last)
    }

    /// What a name was meant for that this computer does not have.
    pub(crate) fn similar_here(&self, name: &[u8]) -> Option<Vec<u8>> {
        let (directory, last) = candidates::split_path(name.strip_suffix(b"/").unwrap_or(name));
        similar_of(local::fitting(&self.local.borrow(), directory, b""), directory, last)
    }
}

fn similar_of(names: Vec<Name>, directory: &[u8], last: &[u8]) -> Option<Vec<u8>> {
    let meant = similar(last, names.iter().map(|name| name.bytes.as_slice()))?;
    let is_directory = names.iter().any(|name| name.is_directory && name.bytes == meant);
    Some([directory, meant, if is_directory { &b"/"[..] } else { b"" }].concat())
}

impl rustyline::completion::Completer for Completer {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let nothing = Ok((cursor, Vec::new()));
        let Some((before, behind)) = line.split_at_checked(cursor) else {
            return nothing;
        };
        let Some(unfinished) = words::split_unfinished(before.as_bytes()) else { return nothing };
        let (directory, prefix) = candidates::split_path(unfinished.last.bytes());
        let typed =
            Typed { directory, prefix, style: unfinished.style, is_at_end: !behind.starts_with([' ', '/']) };
        let found = match expected(&unfinished) {
            Expected::Words(words) => candidates::of_words(&words, &typed),
            Expected::RemoteNames { only_folders } => {
                let names = self.names.fitting(&self.place.borrow(), directory, prefix);
                candidates::of_names(names, &typed, only_folders)
            }
            Expected::LocalNames { only_folders } => {
                let names = local::fitting(&self.local.borrow(), directory, prefix);
                candidates::of_names(names, &typed, only_folders)
            }
            Expected::Nothing => Vec::new(),
        };
        Ok((unfinished.start, found))
    }
}

/// In grey: how a former line went on that began like this one.
impl Hinter for Completer {
    type Hint = String;

    fn hint(&self, line: &str, cursor: usize, context: &Context<'_>) -> Option<String> {
        // Without colours a hint would look as if it had been typed.
        if !self.palette.is_on() {
            return None;
        }
        let room = screen::columns().saturating_sub(self.prompt_columns.get() + layout::width(line));
        // On a line of its own it would be in the way.
        self.hinter.hint(line, cursor, context).filter(|hint| layout::width(hint) < room)
    }
}

impl Highlighter for Completer {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(self.palette.aside(hint))
    }
}
