//! How a session begins what is asked of it: one request at a time, in their order, and what each asks of the shell
//! first.

use crate::action::{Action, Event, ListQuery, Question};
use crate::answer::{Answer, Subject};
use crate::dialect::{Answered, Heard};
use crate::request::Request;
use crate::work::phase::{Listing, Phase};
use crate::{Ending, Session};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PUBLISHING_MAX;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::UploadOptions;
use std::time::Instant;

impl Session {
    /// Goes on with what has been heard, one thing at a time.
    pub(crate) fn take_requests(&mut self, now: Instant) {
        while self.takes_requests() {
            let held = self.held.take().map(|heard| *heard);
            let heard = held.unwrap_or_else(|| self.hear(now));
            if !self.admits(&heard) {
                self.held = Some(Box::new(heard));
                return;
            }
            match heard {
                Heard::Request(request) => self.begin(request, now),
                Heard::Answered(answered) => self.pass_on(answered, now),
                Heard::Nothing => {
                    if self.input_ended {
                        self.ending = Ending::Quiet;
                    }
                    break;
                }
            }
        }
        if self.ending != Ending::No && matches!(self.phase, Phase::Ready) && self.owed.is_empty() {
            if self.ending == Ending::Stopping {
                let code = ErrorCode::ShuttingDown;
                self.answer(Answer::Ending { code, reason: code.message() }, now);
            }
            self.close(now);
        }
    }

    fn hear(&mut self, now: Instant) -> Heard {
        let heard = self.dialect.next();
        if !matches!(heard, Heard::Nothing) {
            self.lines_left -= 1;
            self.since = now;
        }
        heard
    }

    /// Says what the dialect answers by itself.
    fn pass_on(&mut self, answered: Answered, now: Instant) {
        self.actions.push_back(Action::Log(answered.event));
        self.say(answered.text, now);
        if answered.is_last {
            self.ending = Ending::Quiet;
        } else {
            self.drop_payload(answered.payload_bytes, now);
        }
    }

    /// Only a small upload may begin while others wait for the disk, and a mistake be told. Anything else could see that they
    /// do, or needs an answer before it can go on.
    fn admits(&self, heard: &Heard) -> bool {
        self.owed.publishing() == 0
            || match heard {
                Heard::Request(Request::Upload { size, options, .. }) => {
                    options.is_eager(*size)
                        && self.owed.admits_upload()
                        && self.owed.publishing() < PUBLISHING_MAX
                }
                Heard::Request(Request::List { .. } | Request::Ask(_) | Request::Download { .. }) => false,
                Heard::Answered(answered) => answered.is_mistake,
                Heard::Nothing => true,
            }
    }

    fn begin(&mut self, request: Request, now: Instant) {
        self.actions.push_back(Action::Log(Event::Received { verb: request.verb() }));
        match request {
            Request::List { path } => {
                self.enter(Phase::Listing(Listing { path: path.clone(), entries: 0, paused_at: None }), now);
                let format = self.dialect.entry_format();
                self.actions.push_back(Action::List(ListQuery { path, cursor: None, format }));
            }
            Request::Ask(question) => match &question {
                Question::Stat { .. } | Question::Sum { .. } | Question::Partial { .. } => {
                    self.ask(question, now);
                }
                Question::Mkdir { .. } | Question::Rm { .. } | Question::Mv { .. } => {
                    self.alter(question, now);
                }
            },
            Request::Download { path, offset, digest } => {
                self.enter(Phase::Opening { path: path.clone(), offset, digest }, now);
                self.actions.push_back(Action::Open { path });
            }
            Request::Upload { path, size, options } => self.begin_upload(path, size, options, now),
        }
    }

    fn begin_upload(&mut self, path: RemotePath, size: u64, mut options: UploadOptions, now: Instant) {
        options.new |= self.policy.no_overwrite;
        if self.policy.read_only {
            self.refuse_upload(path, size, &options, ErrorCode::ReadOnly, now);
        } else if path.is_root() {
            self.refuse_upload(path, size, &options, ErrorCode::IsDirectory, now);
        } else if options.resume.is_some_and(|resume| resume.offset > size) {
            self.refuse_upload(path, size, &options, ErrorCode::BadOffset, now);
        } else {
            self.enter(Phase::Staging { path: path.clone(), size, options }, now);
            let UploadOptions { new, resume, .. } = options;
            self.actions.push_back(Action::Stage { path, size, new, resume });
        }
    }

    fn ask(&mut self, question: Question, now: Instant) {
        self.enter(Phase::Asking(question.clone()), now);
        self.actions.push_back(Action::Ask(question));
    }

    /// As [`Session::ask`], where the folder may be changed at all.
    fn alter(&mut self, mut question: Question, now: Instant) {
        if let Question::Mv { replace, .. } = &mut question {
            *replace &= !self.policy.no_overwrite;
        }
        let refused = if self.policy.read_only { Some(ErrorCode::ReadOnly) } else { refuse_root(&question) };
        match refused {
            Some(code) => self.refuse_question(&question, code, now),
            None => self.ask(question, now),
        }
    }

    pub(crate) fn refuse_question(&mut self, question: &Question, code: ErrorCode, now: Instant) {
        let subject = if let Question::Mv { from, to, .. } = question {
            Subject::Rename { from, to }
        } else {
            Subject::Path(question.path())
        };
        self.answer(Answer::Refused { code, subject }, now);
        self.log_refusal(question.verb(), code, question.path().clone());
        self.enter(Phase::Ready, now);
    }
}

/// The served folder itself is there, and stays.
fn refuse_root(question: &Question) -> Option<ErrorCode> {
    match question {
        Question::Mkdir { path } => path.is_root().then_some(ErrorCode::Exists),
        Question::Rm { path } => path.is_root().then_some(ErrorCode::BadPath),
        Question::Mv { from, to, .. } => (from.is_root() || to.is_root()).then_some(ErrorCode::BadPath),
        Question::Stat { .. } | Question::Sum { .. } | Question::Partial { .. } => None,
    }
}
