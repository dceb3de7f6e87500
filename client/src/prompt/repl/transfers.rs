//! The transfers of the prompt: begun, brought to the foreground and back, and what becomes of them when the person leaves.

use super::{Prompt, Typed};
use crate::failure::Failure;
use crate::limits::JOB_TITLE_MAX_COLUMNS;
use crate::prompt::context::Context;
use crate::prompt::input::PromptCommand;
use crate::prompt::jobs::job::{Ended, Followed, Job, Order};
use crate::prompt::jobs::wording;
use crate::prompt::table::Verb;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::terminal::layout::shortened;
use crate::terminal::screen::{self, Results};
use ferry_common::wire::words;
use std::cell::RefCell;
use std::mem;

impl Prompt {
    /// Runs a transfer on a thread of its own, with the session of the prompt. That gets it back after a transfer in the
    /// foreground, and another one if the transfer goes on in the background.
    pub(super) fn transfer(
        &mut self,
        line: &str,
        session: &RefCell<Session>,
        context: &Context,
        command: PromptCommand,
    ) -> Result<(), Failure> {
        self.jobs.check_room()?;
        let target = session.borrow().target().clone();
        let fresh = Session::unconnected(target, &self.signals.interrupts())?;
        let session_of_job = mem::replace(&mut *session.borrow_mut(), fresh);
        let in_background = command.in_background;
        let title = title(line);
        let order = Order { session: session_of_job, context: context.clone(), command, title };
        let job = self.jobs.start(order)?;
        if in_background {
            screen::message(&wording::begins(job.number(), job.title()));
            self.jobs.keep(job);
            return Ok(());
        }
        match job.follow(&mut |question| self.reply(question)) {
            Some(Followed::Ended(Ended { result, session: own })) => {
                self.is_interrupted = job.is_interrupted();
                if let Some(own) = own {
                    self.signals.set_front(own.interrupts());
                    session.replace(*own);
                }
                result
            }
            Some(Followed::Suspended) => {
                self.tell_suspended(&job);
                self.jobs.keep(job);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `jobs`, `wait` and `cancel`.
    pub(super) fn manage_transfers(&mut self, verb: Verb, names: &[Word]) -> Result<(), Failure> {
        if verb == Verb::Wait {
            self.wait_for(names)
        } else if verb == Verb::Cancel {
            self.cancel(names)
        } else {
            self.list_jobs()
        }
    }

    fn list_jobs(&self) -> Result<(), Failure> {
        let lines = self.jobs.lines(screen::columns());
        if lines.is_empty() {
            screen::message("No transfer is in the background");
        }
        let mut results = Results::new();
        lines.iter().try_for_each(|line| results.line(line))?;
        results.finish()
    }

    /// Brings these to the foreground, one after the other, until Ctrl-C stops one or Ctrl-Z sends it back.
    fn wait_for(&mut self, names: &[Word]) -> Result<(), Failure> {
        for job in self.jobs.named(names)? {
            if !self.watch(&job) || self.is_interrupted {
                break;
            }
        }
        Ok(())
    }

    fn cancel(&mut self, names: &[Word]) -> Result<(), Failure> {
        let jobs = self.jobs.named(names)?;
        self.stop(&jobs);
        // The lines behind this one were not meant.
        self.is_interrupted = false;
        Ok(())
    }

    /// True where all of them have ended.
    fn stop(&mut self, jobs: &[Job]) -> bool {
        jobs.iter().for_each(Job::cancel);
        // Each is followed to its end, whatever becomes of another one.
        jobs.iter().filter(|job| !self.watch(job)).count() == 0
    }

    /// True where the program may end: nothing runs any more, or what runs is to be stopped.
    pub(super) fn may_leave(&mut self) -> Result<bool, Failure> {
        let running = self.jobs.running();
        if running.is_empty() || self.signals.ending().is_some() {
            return Ok(true);
        }
        let answer = match self.read_answer(&wording::leaving(running.len()))? {
            Typed::Line(answer) => answer.trim().to_lowercase(),
            Typed::ControlC => return Ok(false),
            // Pressed twice, it is meant; and a terminal that is gone gives it for ever.
            Typed::ControlD => "l".to_owned(),
        };
        match answer.as_str() {
            "w" | "wait" => {
                self.is_interrupted = false;
                Ok(running.iter().all(|job| self.watch(job) && !self.is_interrupted))
            }
            "l" | "leave" => Ok(self.stop(&running)),
            _ => Ok(false),
        }
    }

    /// Ends whatever runs still, and waits until it has tidied up.
    pub(super) fn stop_transfers(&self) {
        let running = self.jobs.running();
        running.iter().for_each(Job::terminate);
        running.iter().for_each(Job::wait_for_end);
        self.jobs.messenger().catch_up();
    }

    /// Follows a transfer from the background. False where it is sent back.
    fn watch(&mut self, job: &Job) -> bool {
        screen::message(&wording::begins(job.number(), job.title()));
        match job.follow(&mut |question| self.reply(question)) {
            None => screen::message(&wording::over(job.number(), &job.state())),
            Some(Followed::Ended(Ended { result, session })) => {
                self.is_interrupted = job.is_interrupted();
                self.jobs.forget(job);
                if let Err(failure) = &result {
                    screen::failure(failure);
                }
                if let Some(mut session) = session {
                    session.close();
                }
            }
            Some(Followed::Suspended) => {
                self.tell_suspended(job);
                return false;
            }
        }
        true
    }

    fn tell_suspended(&self, job: &Job) {
        let told = if job.has_question() { wording::question } else { wording::suspended };
        screen::message(&told(job.number(), job.title()));
    }
}

/// The line of a command, as it can be shown.
fn title(line: &str) -> String {
    let line = line.trim();
    let line = line.strip_suffix('&').map_or(line, str::trim_end);
    shortened(&words::escape_text(line.as_bytes()), JOB_TITLE_MAX_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_called_by_its_command() {
        assert_eq!(title("  get a  & "), "get a");
        assert_eq!(title("get 'a &'"), "get 'a &'");
        assert!(!title("get \u{1b}[2J").contains('\u{1b}'));
    }
}
