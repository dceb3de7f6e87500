//! One transfer of the prompt, on a thread of its own. While it is in the foreground, the main thread follows it: it passes
//! the questions of the transfer on to the person, and Ctrl-C and Ctrl-Z to the transfer. In the background a transfer
//! that has a question waits until it is brought back.

use crate::failure::{Failure, describe};
use crate::prompt::commands;
use crate::prompt::context::{Asker, Context};
use crate::prompt::input::PromptCommand;
use crate::prompt::jobs::messenger::Messenger;
use crate::prompt::jobs::wording;
use crate::session::Session;
use crate::terminal::console::{self, Console};
use crate::terminal::interrupt::Interrupts;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::mem;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// See the module's documentation. Its clones are the same transfer.
#[derive(Clone)]
pub(crate) struct Job(Arc<Shared>);

/// What a transfer is made of.
pub(crate) struct Order {
    pub(crate) session: Session,
    pub(crate) context: Context,
    pub(crate) command: PromptCommand,
    /// The line as it was typed, fit to be shown.
    pub(crate) title: String,
}

struct Shared {
    /// What it is called in the background.
    number: usize,
    title: String,
    interrupts: Arc<Interrupts>,
    console: Arc<Console>,
    messenger: Arc<Messenger>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    is_in_front: bool,
    /// Its end is not to be told in the background: it is about to be followed.
    is_expected: bool,
    /// Ctrl-Z was pressed.
    is_suspended: bool,
    question: Option<Question>,
    end: Option<End>,
}

struct Question {
    text: String,
    answer: Sender<Result<Option<String>, Failure>>,
}

enum End {
    /// In the foreground.
    Untold(Ended),
    /// In the background, with what came of it.
    Told(String),
    /// The main thread has told it.
    Taken,
}

/// A transfer that has ended in the foreground.
pub(crate) struct Ended {
    pub(crate) result: Result<(), Failure>,
    /// Absent where the transfer has ended by a defect.
    pub(crate) session: Option<Box<Session>>,
}

/// What comes of a question that the main thread passes on.
pub(crate) enum Reply {
    Now(Result<Option<String>, Failure>),
    /// Ctrl-Z was pressed: the transfer goes to the background, where it waits for its answer.
    Later,
}

/// Why the main thread does not follow a transfer any more.
pub(crate) enum Followed {
    Ended(Ended),
    /// It goes on in the background.
    Suspended,
}

impl Job {
    /// Begins a transfer. One that is not in the background is to be followed.
    pub(crate) fn start(order: Order, number: usize, messenger: &Arc<Messenger>) -> Result<Self, Failure> {
        let Order { mut session, mut context, command, title } = order;
        let is_in_front = !command.in_background;
        let job = Self(Arc::new(Shared {
            number,
            title,
            interrupts: Arc::clone(session.interrupts()),
            console: Arc::default(),
            messenger: Arc::clone(messenger),
            state: Mutex::new(State {
                is_in_front,
                is_expected: false,
                is_suspended: false,
                question: None,
                end: None,
            }),
            changed: Condvar::new(),
        }));
        if !is_in_front {
            job.0.console.hide();
        }
        // Before the thread, so that it can be cancelled from now on.
        let running = job.0.interrupts.begin();
        let mut ending = Ending(Some(Arc::clone(&job.0)));
        let run = move || {
            let Some(shared) = ending.0.clone() else { return };
            console::adopt(Arc::clone(&shared.console));
            let mut asker = Relay(&shared);
            let result = commands::run(&mut session, &mut context, &command, &mut asker).map(|_| ());
            drop(running);
            if ending.0.take().is_some() {
                shared.end(result, Some(Box::new(session)));
            }
        };
        let spawned = thread::Builder::new().name("transfer".to_owned()).spawn(run);
        match spawned {
            Ok(_) => Ok(job),
            Err(error) => Err(Failure::Local(format!("Cannot begin a transfer: {}", describe(&error)))),
        }
    }

    /// Ends it as Ctrl-C would. Its end is told where it is followed, as it is to be then.
    pub(crate) fn cancel(&self) {
        self.0.lock().is_expected = true;
        self.0.interrupts.take(SIGINT);
    }

    /// Ends it without a wait for the server, as the end of the program would.
    pub(crate) fn terminate(&self) {
        self.0.interrupts.take(SIGTERM);
    }

    pub(crate) fn wait_for_end(&self) {
        let mut state = self.0.lock();
        while state.end.is_none() {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.lock().end.is_some()
    }

    /// True where a signal has come for it.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.interrupts.signal().is_some()
    }

    pub(crate) fn title(&self) -> &str {
        &self.0.title
    }

    pub(crate) fn number(&self) -> usize {
        self.0.number
    }

    /// The transfer has a question that has no answer yet.
    pub(crate) fn has_question(&self) -> bool {
        let state = self.0.lock();
        state.end.is_none() && state.question.is_some()
    }

    /// How it goes, or what has become of it.
    pub(crate) fn state(&self) -> String {
        let state = self.0.lock();
        match (&state.end, &state.question) {
            (Some(End::Told(end)), _) => end.clone(),
            (Some(End::Untold(_) | End::Taken), _) => "over".to_owned(),
            (None, Some(_)) => format!("waits for an answer: wait {}", self.0.number),
            (None, None) => self.0.console.status().unwrap_or_else(|| "begins".to_owned()),
        }
    }

    /// Follows it in the foreground, until it has ended or Ctrl-Z sends it to the background. `None` where it has ended there
    /// before.
    pub(crate) fn follow(&self, ask: &mut dyn FnMut(&str) -> Reply) -> Option<Followed> {
        let shared = &self.0;
        let suspended = Arc::clone(shared);
        let _in_front =
            shared.interrupts.signals_of_process().bring_to_front(&shared.interrupts, move || {
                suspended.lock().is_suspended = true;
                suspended.changed.notify_all();
            });
        if !shared.bring_back() {
            return None;
        }
        loop {
            match shared.next_event() {
                Event::Ended(ended) => return Some(Followed::Ended(ended)),
                Event::Suspended => return Some(Followed::Suspended),
                Event::Asks(question) => match ask(&question.text) {
                    Reply::Now(answer) => {
                        // Where it has ended meanwhile, the answer is of no use.
                        let _ = question.answer.send(answer);
                        shared.interrupts.wake_waits();
                    }
                    Reply::Later => shared.put_off(question),
                },
            }
        }
    }
}

enum Event {
    Asks(Question),
    Suspended,
    Ended(Ended),
}

impl Shared {
    /// Waits for the next thing that the main thread has to do.
    fn next_event(&self) -> Event {
        let mut state = self.lock();
        loop {
            match state.end.take() {
                Some(End::Untold(ended)) => {
                    state.end = Some(End::Taken);
                    return Event::Ended(ended);
                }
                other => state.end = other,
            }
            if mem::take(&mut state.is_suspended) {
                state.is_in_front = false;
                state.is_expected = false;
                self.console.hide();
                return Event::Suspended;
            }
            // One of a transfer that is being stopped needs no answer.
            let question = state.question.take_if(|_| self.interrupts.signal().is_none());
            if let Some(question) = question {
                return Event::Asks(question);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ctrl-Z was pressed at a question, which waits until the transfer is brought back.
    fn put_off(&self, question: Question) {
        let mut state = self.lock();
        state.question = Some(question);
        state.is_suspended = true;
    }

    /// False where it has ended.
    fn bring_back(&self) -> bool {
        let mut state = self.lock();
        match state.end {
            Some(End::Told(_) | End::Taken) => return false,
            Some(End::Untold(_)) | None => {}
        }
        state.is_in_front = true;
        state.is_suspended = false;
        self.console.reveal();
        drop(state);
        // What it draws is to be seen at once.
        self.interrupts.wake_waits();
        true
    }

    fn ask(&self, text: &str) -> Result<Option<String>, Failure> {
        let (answer, answered) = mpsc::channel();
        let mut state = self.lock();
        state.question = Some(Question { text: text.to_owned(), answer });
        let is_in_front = state.is_in_front;
        drop(state);
        self.changed.notify_all();
        if !is_in_front {
            // Not under the lock, as the messenger may wait for the main thread.
            self.messenger.tell(wording::question(self.number, &self.title));
        }
        let answer = self.interrupts.receive(&answered);
        self.lock().question = None;
        answer?
    }

    fn end(&self, result: Result<(), Failure>, session: Option<Box<Session>>) {
        self.messenger.note_change_of_names();
        let mut state = self.lock();
        if state.is_in_front || state.is_expected {
            state.end = Some(End::Untold(Ended { result, session }));
            drop(state);
            return self.changed.notify_all();
        }
        state.end = Some(End::Told(wording::outcome(&result)));
        drop(state);
        self.changed.notify_all();
        self.messenger.tell(wording::end(self.number, &self.title, &result, &self.console.take_story()));
        if let Some(mut session) = session {
            session.close();
        }
    }

    /// A panic elsewhere leaves nothing half-done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transfer has an end even where a defect ends its thread.
struct Ending(Option<Arc<Shared>>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.end(Err(Failure::Local("The transfer has failed by a defect of ferry".to_owned())), None);
        }
    }
}

/// Passes questions of the transfer on.
struct Relay<'a>(&'a Shared);

impl Asker for Relay<'_> {
    fn is_person(&self) -> bool {
        true
    }

    fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
        self.0.ask(question)
    }
}
