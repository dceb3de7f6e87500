//! The prompt: reads lines from a person, with history and completion, and goes on after every failure.

mod asking;
mod transfers;

use crate::failure::Failure;
use crate::limits::HISTORY_MAX_LINES;
use crate::prompt::commands::{self, Next};
use crate::prompt::complete::Completer;
use crate::prompt::context::Context;
use crate::prompt::input::{self, PromptCommand};
use crate::prompt::jobs::Jobs;
use crate::prompt::jobs::messenger::Messenger;
use crate::prompt::place::Place;
use crate::prompt::recall::{Former, Recall};
use crate::prompt::table::Verb;
use crate::prompt::words::{Style, Word, quote_as};
use crate::session::Session;
use crate::terminal::palette::Palette;
use crate::terminal::signals::Signals;
use crate::terminal::{screen, settings};
use etcetera::BaseStrategy;
use ferry_common::error::ErrorCode;
use ferry_common::wire::words;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor, EventHandler, KeyCode, KeyEvent, Modifiers};
use std::cell::RefCell;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const PROMPT: &str = "Enter your command: ";

/// Serves the person at the terminal until they leave.
pub(crate) fn run(session: Session, mut context: Context) -> Result<(), Failure> {
    let session = Rc::new(RefCell::new(session));
    let mut prompt = Prompt::new(Rc::clone(&session), context.palette)?;
    let served = prompt.serve_lines(&session, &mut context);
    prompt.stop_transfers();
    if prompt.signals.ending().is_some() {
        return Ok(());
    }
    session.borrow_mut().close();
    if served.is_ok() {
        screen::message("Client connection Closed!");
    }
    served
}

/// At the top the prompt is the one that its users know; elsewhere the place stands before it.
fn prompt_at(place: &Place) -> String {
    if place.here().is_root() {
        return PROMPT.to_owned();
    }
    format!("{}  {PROMPT}", words::escape_text(place.here().as_bytes()))
}

/// What a person has typed at a prompt.
enum Typed {
    Line(String),
    ControlC,
    ControlD,
}

impl Typed {
    fn of(read: Result<String, ReadlineError>) -> Result<Self, Failure> {
        match read {
            Ok(line) => Ok(Self::Line(line)),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Ok(Self::ControlC),
            Err(ReadlineError::Eof) => Ok(Self::ControlD),
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                // What is left of the line must not be taken for another one.
                settings::drop_typed_ahead();
                screen::message(
                    "\nThat is no text (UTF-8), and was dropped; such a byte of a name is written \"\\xff\"",
                );
                Ok(Self::ControlC)
            }
            Err(error) => Err(Failure::Local(format!("Cannot read from the terminal: {error}"))),
        }
    }
}

struct Prompt {
    signals: Arc<Signals>,
    editor: Editor<Completer, DefaultHistory>,
    /// Absent where there is no home for it.
    history: Option<PathBuf>,
    /// What is in the history.
    former: Former,
    jobs: Jobs,
    /// Ctrl-C has ended the last command.
    is_interrupted: bool,
}

impl Prompt {
    fn new(session: Rc<RefCell<Session>>, palette: Palette) -> Result<Self, Failure> {
        let cannot_use = |error: ReadlineError| Failure::Local(format!("Cannot use the terminal: {error}"));
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(HISTORY_MAX_LINES)
            .map_err(cannot_use)?
            .build();
        let signals = Arc::clone(session.borrow().interrupts().signals_of_process());
        let mut editor = Editor::with_config(config).map_err(cannot_use)?;
        let completer = Completer::new(session, palette);
        // Where the terminal cannot have lines above the one that is typed, they come before the next one.
        let printer = editor.create_external_printer().ok().map(|printer| Box::new(printer) as _);
        let jobs = Jobs::new(Arc::new(Messenger::new(printer, completer.is_outdated())));
        editor.set_helper(Some(completer));
        let history = history_path();
        if let Some(history) = &history {
            // There is none yet in the first session.
            let _ = mend_history(history);
            let _ = editor.load_history(history);
        }
        let former = Former::default();
        editor.history().iter().for_each(|line| former.note(line));
        let bindings =
            [(KeyCode::Up, Recall::Up(former.clone())), (KeyCode::Down, Recall::Down(former.clone()))];
        for (key, recall) in bindings {
            let key = KeyEvent(key, Modifiers::NONE);
            editor.bind_sequence(key, EventHandler::Conditional(Box::new(recall)));
        }
        Ok(Self { signals, editor, history, former, jobs, is_interrupted: false })
    }

    fn serve_lines(&mut self, session: &RefCell<Session>, context: &mut Context) -> Result<(), Failure> {
        loop {
            let wants_more = match self.next_command(context)? {
                Some(typed) => self.serve_all(&typed, session, context)? == Next::Continue,
                None => false,
            };
            if !wants_more && self.may_leave()? {
                return Ok(());
            }
        }
    }

    /// What was pasted may be several lines.
    fn serve_all(
        &mut self,
        typed: &str,
        session: &RefCell<Session>,
        context: &mut Context,
    ) -> Result<Next, Failure> {
        for line in typed.lines() {
            self.remember(line);
            self.is_interrupted = false;
            if self.serve(line, session, context)? == Next::Exit {
                return Ok(Next::Exit);
            }
            if self.is_interrupted {
                // Ctrl-C is for the lines behind this one too.
                break;
            }
        }
        Ok(Next::Continue)
    }

    /// Runs one line. What went wrong is told, and ends nothing but the command.
    fn serve(
        &mut self,
        line: &str,
        session: &RefCell<Session>,
        context: &mut Context,
    ) -> Result<Next, Failure> {
        let command = match input::parse(line.as_bytes()) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(Next::Continue),
            Err(failure) => {
                screen::failure(&failure);
                return Ok(Next::Continue);
            }
        };
        let (verb, names) = (command.verb, command.names.clone());
        let result = if verb.moves_files() {
            self.transfer(line, session, context, command).map(|()| Next::Continue)
        } else if verb.is_about_transfers() {
            self.manage_transfers(verb, &command.names).map(|()| Next::Continue)
        } else {
            self.run_here(session, context, &command)
        };
        self.note_effects(verb);
        let failure = match result {
            Ok(next) => return Ok(next),
            Err(failure) => failure,
        };
        screen::failure(&failure);
        if let Some(meant) = self.meant(&failure, verb, &names, context) {
            screen::message(&format!("Did you mean {}?", quote_as(Style::Bare, &meant)));
        }
        let is_lost = lost_connection(&failure, &session.borrow());
        let has_gone = self.signals.ending().is_some() || is_lost && !self.offer_reconnect(session)?;
        Ok(if has_gone { Next::Exit } else { Next::Continue })
    }

    /// What a name that is not there was meant for, where it is the only one of its command.
    fn meant(&self, failure: &Failure, verb: Verb, names: &[Word], context: &Context) -> Option<Vec<u8>> {
        let ([name], Some(completer)) = (names, self.editor.helper()) else { return None };
        if verb == Verb::Upload {
            let is_missing = context.local.resolve(name).is_ok_and(|path| !path.exists());
            return is_missing.then(|| completer.similar_here(name.bytes())).flatten();
        }
        let is_missing = matches!(failure, Failure::Refused { code: Some(ErrorCode::NotFound), .. });
        is_missing.then(|| completer.similar_there(name.bytes())).flatten()
    }

    /// Runs a command on this thread.
    fn run_here(
        &mut self,
        session: &RefCell<Session>,
        context: &mut Context,
        command: &PromptCommand,
    ) -> Result<Next, Failure> {
        let session = &mut *session.borrow_mut();
        let _running = session.interrupts().begin();
        let result = commands::run(session, context, command, self);
        self.is_interrupted = session.interrupts().signal().is_some();
        result
    }

    /// The next line, or `None` when the person has gone. Ctrl-C drops what was typed.
    fn next_command(&mut self, context: &Context) -> Result<Option<String>, Failure> {
        let prompt = prompt_at(&context.place);
        if let Some(completer) = self.editor.helper() {
            completer.expect_command(&context.place, &context.local, &prompt);
        }
        loop {
            match self.read_command(&prompt)? {
                Typed::Line(line) => return Ok(Some(line)),
                Typed::ControlC => {}
                Typed::ControlD => return Ok(None),
            }
        }
    }

    fn read_command(&mut self, prompt: &str) -> Result<Typed, Failure> {
        let Some(_prompting) = self.signals.prompt() else { return Ok(Typed::ControlD) };
        let _typing = self.jobs.messenger().begin_command();
        Typed::of(self.editor.readline(prompt))
    }

    /// A session goes on where its history cannot be written.
    fn remember(&mut self, line: &str) {
        let is_new = !line.trim().is_empty() && self.editor.add_history_entry(line).unwrap_or(false);
        if is_new {
            self.former.note(line);
        }
        if is_new && let Some(history) = &self.history {
            let appended = self.editor.append_history(history);
            if appended.is_err() && mend_history(history).is_ok() {
                let _ = self.editor.append_history(history);
            }
        }
    }

    /// Completion must not offer what the command may have changed.
    fn note_effects(&self, verb: Verb) {
        match verb {
            Verb::Upload | Verb::Sync | Verb::Mkdir | Verb::Rm | Verb::Mv => {
                if let Some(completer) = self.editor.helper() {
                    completer.forget();
                }
            }
            Verb::Ls
            | Verb::Cd
            | Verb::Pwd
            | Verb::Download
            | Verb::Stat
            | Verb::Sum
            | Verb::Cat
            | Verb::More
            | Verb::Tree
            | Verb::Find
            | Verb::Du
            | Verb::Df
            | Verb::Who
            | Verb::Jobs
            | Verb::Wait
            | Verb::Cancel
            | Verb::Clear
            | Verb::Lcd
            | Verb::Lpwd
            | Verb::Lls
            | Verb::Shell
            | Verb::Help
            | Verb::Exit => {}
        }
    }
}

/// A connection that this end gave up is made again without a question.
fn lost_connection(failure: &Failure, session: &Session) -> bool {
    match failure {
        Failure::ConnectionLost(_) | Failure::SessionEnded(_) | Failure::Violation(_) => {
            !session.is_connected()
        }
        Failure::Usage(_)
        | Failure::CannotConnect(_)
        | Failure::DataUnreachable(_)
        | Failure::Mismatch(_)
        | Failure::LocalChanged(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::Output(_)
        | Failure::Incomplete { .. }
        | Failure::Interrupted => false,
    }
}

/// `ferry/history` in the state directory of XDG, whose directories are made here.
fn history_path() -> Option<PathBuf> {
    let directory = etcetera::base_strategy::Xdg::new().ok()?.state_dir()?.join("ferry");
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).ok()?;
    Some(directory.join("history"))
}

/// Replaces what is not text in it: one such line would hide those behind it, and keep new ones out.
fn mend_history(path: &Path) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    // As other sessions do while they write to it.
    file.lock()?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    if str::from_utf8(&content).is_err() {
        // Replacements are never shorter, so nothing of the old text remains at the end.
        file.write_all_at(String::from_utf8_lossy(&content).as_bytes(), 0)?;
    }
    Ok(())
}
