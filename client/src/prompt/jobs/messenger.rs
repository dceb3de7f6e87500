//! Tells the person what becomes of transfers in the background: at once, above the line that is being typed, or, where a
//! command runs in the foreground, before the next prompt.

use crate::terminal::screen;
use rustyline::ExternalPrinter;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the main thread and those of transfers.
pub(crate) struct Messenger {
    state: Mutex<State>,
    /// Names on the server may be others than before.
    has_changed_names: Arc<AtomicBool>,
}

struct State {
    /// What is being typed.
    typing: Option<Kind>,
    waiting: VecDeque<String>,
    /// Each writes above its line. Absent while it does, and where the terminal cannot have it.
    above_command: Option<Printer>,
    above_answer: Option<Printer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Answer,
}

pub(crate) type Printer = Box<dyn ExternalPrinter + Send>;

/// While it lives, a line is being typed.
pub(crate) struct Typing<'a>(&'a Messenger);

impl Messenger {
    /// Sets the flag where names on the server may have changed. The printer writes above the lines of commands.
    pub(crate) fn new(printer: Option<Printer>, has_changed_names: Arc<AtomicBool>) -> Self {
        let state =
            State { typing: None, waiting: VecDeque::new(), above_command: printer, above_answer: None };
        Self { state: Mutex::new(state), has_changed_names }
    }

    pub(crate) fn tell(&self, text: String) {
        let mut state = self.lock();
        state.waiting.push_back(text);
        while let Some(kind) = state.typing
            && !state.waiting.is_empty()
            && let Some(mut printer) = state.printer(kind).take()
        {
            let text = state.waiting.drain(..).map(|text| text + "\n").collect();
            // Not under the lock: the printer may wait until the editor reads again.
            drop(state);
            // A terminal that is gone cannot be told.
            let _ = printer.print(text);
            state = self.lock();
            // The line may be done, and the next one may have another printer.
            state.printer(kind).get_or_insert(printer);
        }
    }

    pub(crate) fn note_change_of_names(&self) {
        self.has_changed_names.store(true, Ordering::Release);
    }

    /// Shows what has waited.
    pub(crate) fn catch_up(&self) {
        self.lock().show();
    }

    /// To be called before a command is typed: shows what has waited.
    pub(crate) fn begin_command(&self) -> Typing<'_> {
        let mut state = self.lock();
        state.show();
        state.typing = Some(Kind::Command);
        Typing(self)
    }

    /// To be called before the answer to a question is typed, which has an editor of its own: shows what has waited.
    pub(crate) fn begin_answer(&self, printer: Option<Printer>) -> Typing<'_> {
        let mut state = self.lock();
        state.show();
        state.typing = Some(Kind::Answer);
        state.above_answer = printer;
        Typing(self)
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn printer(&mut self, kind: Kind) -> &mut Option<Printer> {
        match kind {
            Kind::Command => &mut self.above_command,
            Kind::Answer => &mut self.above_answer,
        }
    }

    fn show(&mut self) {
        self.waiting.drain(..).for_each(|text| text.lines().for_each(screen::message));
    }
}

impl Drop for Typing<'_> {
    fn drop(&mut self) {
        self.0.lock().typing = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Slow(mpsc::Sender<String>, mpsc::Receiver<()>);

    impl ExternalPrinter for Slow {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0.send(text).unwrap();
            self.1.recv().unwrap();
            Ok(())
        }
    }

    /// As long as the editor does not read, what it was given first is not printed.
    #[test]
    fn a_printer_that_waits_for_the_editor_keeps_the_editor_from_nothing() {
        let (printed, print) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let messenger = Messenger::new(Some(Box::new(Slow(printed, released))), Arc::default());
        let typing = messenger.begin_command();
        std::thread::scope(|scope| {
            scope.spawn(|| messenger.tell("first".to_owned()));
            assert_eq!(print.recv().unwrap(), "first\n");
            messenger.tell("second".to_owned());
            messenger.tell("third".to_owned());
            release.send(()).unwrap();
            assert_eq!(print.recv().unwrap(), "second\nthird\n");
            // The line is done, while that one waits.
            drop(typing);
            messenger.tell("fourth".to_owned());
            release.send(()).unwrap();
        });
        assert_eq!(messenger.lock().waiting, ["fourth"]);
    }
}
