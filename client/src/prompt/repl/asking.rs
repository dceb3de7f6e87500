//! The questions of the prompt. An answer is typed after its question: what was typed before, while a command ran, and what
//! was pasted together with that command is none.

use super::{Prompt, Typed};
use crate::failure::Failure;
use crate::limits::ANSWER_ROOM_COLUMNS;
use crate::prompt::context::Asker;
use crate::prompt::jobs::job::Reply;
use crate::session::Session;
use crate::terminal::layout::broken;
use crate::terminal::{screen, settings};
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyEvent, RepeatCount,
};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const RECONNECT_QUESTION: &str = "Reconnect? [Y/n] ";

impl Prompt {
    pub(super) fn read_answer(&mut self, question: &str) -> Result<Typed, Failure> {
        let mut editor = editor()?;
        self.read_answer_by(&mut editor, question)
    }

    /// For a question of a transfer, which goes to the background by Ctrl-Z: there it waits for its answer.
    pub(super) fn reply(&mut self, question: &str) -> Reply {
        let is_suspended = Arc::new(AtomicBool::new(false));
        let typed = editor().and_then(|mut editor| {
            let suspend = EventHandler::Conditional(Box::new(Suspend(Arc::clone(&is_suspended))));
            editor.bind_sequence(KeyEvent::ctrl('Z'), suspend);
            self.read_answer_by(&mut editor, question)
        });
        if is_suspended.load(Ordering::Relaxed) { Reply::Later } else { Reply::Now(typed.and_then(answer)) }
    }

    fn read_answer_by(
        &mut self,
        editor: &mut Editor<(), DefaultHistory>,
        question: &str,
    ) -> Result<Typed, Failure> {
        let Some(_prompting) = self.signals.prompt() else { return Ok(Typed::ControlD) };
        let printer = editor.create_external_printer().ok().map(|printer| Box::new(printer) as _);
        let _typing = self.jobs.messenger().begin_answer(printer);
        let (columns, _) = screen::size_of(io::stdout());
        let question = broken(question, columns.saturating_sub(ANSWER_ROOM_COLUMNS));
        settings::drop_typed_ahead();
        Typed::of(editor.readline(&question))
    }

    /// False when the person has gone.
    pub(super) fn offer_reconnect(&mut self, session: &RefCell<Session>) -> Result<bool, Failure> {
        let answer = match self.read_answer(RECONNECT_QUESTION)? {
            Typed::Line(answer) => answer,
            Typed::ControlC => "n".to_owned(),
            Typed::ControlD => return Ok(false),
        };
        let session = &mut *session.borrow_mut();
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes") {
            screen::message("Not connected. The next command connects again; exit ends.");
            return Ok(true);
        }
        let _running = session.interrupts().begin();
        let reconnected = session.reconnect();
        self.is_interrupted |= session.interrupts().signal().is_some();
        match reconnected {
            Ok(()) => screen::message(&format!("Connected to {} again", session.target())),
            Err(failure) => {
                screen::failure(&failure);
                screen::message("Not connected. The next command tries again; exit ends.");
            }
        }
        Ok(self.signals.ending().is_none())
    }
}

/// The editor of the prompt may hold what was pasted behind the line of a command. This one holds nothing.
fn editor() -> Result<Editor<(), DefaultHistory>, Failure> {
    let config = Config::builder().build();
    Editor::with_config(config).map_err(|error| Failure::Local(format!("Cannot use the terminal: {error}")))
}

fn answer(typed: Typed) -> Result<Option<String>, Failure> {
    match typed {
        Typed::Line(answer) => Ok(Some(answer)),
        // Not to answer is to give the command up.
        Typed::ControlC | Typed::ControlD => Err(Failure::Interrupted),
    }
}

impl Asker for Prompt {
    fn is_person(&self) -> bool {
        true
    }

    fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
        self.read_answer(question).and_then(answer)
    }
}

/// Ends the line, and says that it was Ctrl-Z that did so.
struct Suspend(Arc<AtomicBool>);

impl ConditionalEventHandler for Suspend {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        Some(Cmd::Interrupt)
    }
}
