//! How the work begins what is asked of it, and what each request asks of the shell first.

use super::Work;
use super::phase::{Listing, Phase};
use crate::action::{Action, Event, Length, ListQuery, Question};
use crate::answer::{Answer, Subject};
use crate::request::{Request, UploadSpec};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PUBLISHING_MAX;
use ferry_common::path::RemotePath;
use std::time::Instant;

impl Work {
    /// Only a small upload may begin while others wait for the disk. Anything else could see that they do, or needs an
    /// answer before it can go on.
    pub(crate) fn admits(&self, request: &Request) -> bool {
        self.owed.publishing() == 0
            || match request {
                Request::Upload { spec, .. } => {
                    spec.is_eager && self.owed.admits_upload() && self.owed.publishing() < PUBLISHING_MAX
                }
                Request::List { .. } | Request::Ask(_) | Request::Download { .. } => false,
            }
    }

    /// Begins a request that the work [admits](Work::admits), between commands.
    pub(crate) fn begin(&mut self, request: Request, now: Instant) {
        self.log(Event::Received { command: request.name() });
        match request {
            Request::List { path, format } => {
                let listing = Listing { path: path.clone(), format, entries: 0, paused_at: None };
                self.enter(Phase::Listing(listing), now);
                self.act(Action::List(ListQuery { path, cursor: None, format }));
            }
            Request::Ask(question) => match &question {
                Question::Stat { .. } | Question::Sum { .. } | Question::Partial { .. } => {
                    self.ask(question, now);
                }
                Question::Mkdir { .. } | Question::Rm { .. } | Question::Mv { .. } => {
                    self.alter(question, now);
                }
            },
            Request::Download { path, spec } => {
                self.enter(Phase::Opening { path: path.clone(), spec }, now);
                self.act(Action::Open { path });
            }
            Request::Upload { path, spec } => self.begin_upload(path, spec, now),
        }
    }

    fn begin_upload(&mut self, path: RemotePath, mut spec: UploadSpec, now: Instant) {
        spec.new |= self.policy.no_overwrite;
        let UploadSpec { size, new, resume, .. } = spec;
        if self.policy.read_only {
            self.refuse_upload(path, &spec, ErrorCode::ReadOnly, now);
        } else if path.is_root() {
            self.refuse_upload(path, &spec, ErrorCode::IsDirectory, now);
        } else if resume.is_some_and(|resume| matches!(size, Length::Exact(bytes) if resume.offset > bytes)) {
            self.refuse_upload(path, &spec, ErrorCode::BadOffset, now);
        } else {
            self.enter(Phase::Staging { path: path.clone(), spec }, now);
            self.act(Action::Stage { path, size, new, resume });
        }
    }

    fn ask(&mut self, question: Question, now: Instant) {
        self.enter(Phase::Asking(question.clone()), now);
        self.act(Action::Ask(question));
    }

    /// As [`Work::ask`], where the folder may be changed at all.
    fn alter(&mut self, mut question: Question, now: Instant) {
        if let Question::Mv { replace, .. } = &mut question {
            *replace &= !self.policy.no_overwrite;
        }
        let refused = if self.policy.read_only { Some(ErrorCode::ReadOnly) } else { refuse_root(&question) };
        match refused {
            Some(code) => self.refuse_question(question, code, now),
            None => self.ask(question, now),
        }
    }

    pub(super) fn refuse_question(&mut self, question: Question, code: ErrorCode, now: Instant) {
        let path = question.path().clone();
        let subject = match question {
            Question::Mv { from, to, .. } => Subject::Rename { from, to },
            Question::Stat { path }
            | Question::Sum { path, .. }
            | Question::Partial { path }
            | Question::Mkdir { path }
            | Question::Rm { path } => Subject::Path(path),
        };
        self.answer(Answer::Refused { code, subject });
        self.log_refusal(code, path);
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
