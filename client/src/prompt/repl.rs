//! The prompt: reads lines from a person, with history and completion, and goes on after every failure.

use crate::failure::Failure;
use crate::limits::HISTORY_MAX_LINES;
use crate::prompt::commands::{self, Next};
use crate::prompt::complete::Completer;
use crate::prompt::input::{self, PromptCommand};
use crate::session::Session;
use crate::terminal::interrupt::Interrupts;
use crate::terminal::screen;
use crate::transfer::TransferOptions;
use etcetera::BaseStrategy;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use signal_hook::consts::SIGINT;
use std::cell::RefCell;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const PROMPT: &str = "Enter your command: ";
const RECONNECT_QUESTION: &str = "Reconnect? [Y/n] ";

/// Serves the person at the terminal until they leave.
pub(crate) fn run(session: Session, options: &TransferOptions) -> Result<(), Failure> {
    let session = Rc::new(RefCell::new(session));
    let mut prompt = Prompt::new(Rc::clone(&session))?;
    while let Some(line) = prompt.next_line(PROMPT)? {
        prompt.remember(&line);
        let command = match input::parse(line.as_bytes()) {
            Ok(Some(command)) => command,
            Ok(None) => continue,
            Err(failure) => {
                screen::failure(&failure);
                continue;
            }
        };
        let result = commands::run(&mut session.borrow_mut(), options, &command);
        prompt.note_effects(&command);
        match result {
            Ok(Next::Continue) => {}
            Ok(Next::Exit) => break,
            Err(failure) => {
                screen::failure(&failure);
                if is_terminated(&session.borrow()) {
                    return Ok(());
                }
                if lost_connection(&failure, &session.borrow()) && !prompt.offer_reconnect(&session)? {
                    break;
                }
            }
        }
    }
    session.borrow_mut().close();
    screen::message("Client connection Closed!");
    Ok(())
}

struct Prompt {
    interrupts: Arc<Interrupts>,
    editor: Editor<Completer, DefaultHistory>,
    /// Absent where there is no home for it.
    history: Option<PathBuf>,
}

impl Prompt {
    fn new(session: Rc<RefCell<Session>>) -> Result<Self, Failure> {
        let cannot_use = |error: ReadlineError| Failure::Local(format!("Cannot use the terminal: {error}"));
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY_MAX_LINES)
            .map_err(cannot_use)?
            .build();
        let interrupts = Arc::clone(session.borrow().interrupts());
        let mut editor = Editor::with_config(config).map_err(cannot_use)?;
        editor.set_helper(Some(Completer::new(session)));
        let history = history_path();
        if let Some(history) = &history {
            // There is none yet in the first session.
            let _ = mend_history(history);
            let _ = editor.load_history(history);
        }
        Ok(Self { interrupts, editor, history })
    }

    /// The next line, or `None` when the person has gone. Ctrl-C drops what was typed.
    fn next_line(&mut self, prompt: &str) -> Result<Option<String>, Failure> {
        let _prompting = self.interrupts.prompt();
        loop {
            match self.editor.readline(prompt) {
                Ok(line) => return Ok(Some(line)),
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(Failure::Local(format!("Cannot read from the terminal: {error}"))),
            }
        }
    }

    /// A session goes on where its history cannot be written.
    fn remember(&mut self, line: &str) {
        let is_new = !line.trim().is_empty() && self.editor.add_history_entry(line).unwrap_or(false);
        if is_new && let Some(history) = &self.history {
            let appended = self.editor.append_history(history);
            if appended.is_err() && mend_history(history).is_ok() {
                let _ = self.editor.append_history(history);
            }
        }
    }

    /// Completion must not offer what the command may have changed.
    fn note_effects(&self, command: &PromptCommand) {
        match command {
            PromptCommand::Upload { .. }
            | PromptCommand::Mkdir { .. }
            | PromptCommand::Rm { .. }
            | PromptCommand::Mv { .. } => {
                if let Some(completer) = self.editor.helper() {
                    completer.forget();
                }
            }
            PromptCommand::Ls { .. }
            | PromptCommand::Stat { .. }
            | PromptCommand::Sum { .. }
            | PromptCommand::Df { .. }
            | PromptCommand::Who
            | PromptCommand::Download { .. }
            | PromptCommand::Help
            | PromptCommand::Exit => {}
        }
    }

    /// False when the person has gone.
    fn offer_reconnect(&mut self, session: &RefCell<Session>) -> Result<bool, Failure> {
        let Some(answer) = self.next_line(RECONNECT_QUESTION)? else { return Ok(false) };
        let session = &mut *session.borrow_mut();
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes") {
            screen::message("Not connected. The next command connects again; exit ends.");
            return Ok(true);
        }
        let interrupts = session.interrupts().clone();
        let _running = interrupts.begin();
        match session.reconnect() {
            Ok(()) => screen::message(&format!("Connected to {} again", session.target())),
            Err(failure) => {
                screen::failure(&failure);
                screen::message("Not connected. The next command tries again; exit ends.");
            }
        }
        Ok(!is_terminated(session))
    }
}

fn is_terminated(session: &Session) -> bool {
    session.interrupts().signal().is_some_and(|signal| signal != SIGINT)
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
