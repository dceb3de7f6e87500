//! How a session answers what was asked about names and digests, and goes on with its listings.

use crate::Session;
use crate::action::{Action, Event, Found, ListQuery, ListingPart, Question};
use crate::answer::Answer;
use crate::work::phase::Phase;
use ferry_common::error::ErrorCode;
use ferry_common::limits::OUTBOX_PAUSE_BYTES;
use ferry_common::wire::command::Verb;
use std::time::Instant;

impl Session {
    pub(crate) fn handle_listing(&mut self, part: Result<ListingPart, ErrorCode>, now: Instant) {
        let Phase::Listing(listing) = &mut self.phase else { return };
        match part {
            Err(code) => {
                let path = listing.path.clone();
                self.refuse(Verb::Ls, path, code, now);
            }
            Ok(part) => {
                listing.entries += part.entries;
                listing.paused_at = part.next;
                let finished = part.next.is_none().then_some(listing.entries);
                if !part.text.is_empty() {
                    self.answer(Answer::Entries(part.text), now);
                }
                match finished {
                    Some(entries) => self.finish(Answer::Listed { entries }, now),
                    None => self.resume_listing(now),
                }
            }
        }
    }

    pub(crate) fn resume_listing(&mut self, now: Instant) {
        if self.unwritten_bytes < OUTBOX_PAUSE_BYTES
            && let Phase::Listing(listing) = &mut self.phase
            && let Some(cursor) = listing.paused_at.take()
        {
            let path = listing.path.clone();
            self.since = now;
            let format = self.dialect.entry_format();
            self.actions.push_back(Action::List(ListQuery { path, cursor: Some(cursor), format }));
        }
    }

    pub(crate) fn handle_found(&mut self, found: Result<Found, ErrorCode>, now: Instant) {
        let Phase::Asking(question) = &self.phase else { return };
        let question = question.clone();
        match found {
            Ok(Found::Entry(entry)) => self.finish(Answer::Entry(&entry), now),
            Ok(Found::Digest { length, digest }) => {
                let is_kept = matches!(question, Question::Partial { .. });
                let answer =
                    if is_kept { Answer::Partial { length, digest } } else { Answer::Sum { length, digest } };
                self.finish(answer, now);
            }
            Ok(Found::Done) => {
                let (verb, path) = (question.verb(), question.path().clone());
                self.actions.push_back(Action::Log(Event::Done { verb, path }));
                self.finish(Answer::Done, now);
            }
            Err(code) => self.refuse_question(&question, code, now),
        }
    }

    pub(crate) fn handle_no_room(&mut self, now: Instant) {
        match self.phase {
            Phase::Asking(_) => self.handle_found(Err(ErrorCode::Busy), now),
            Phase::Opening { .. } => self.handle_opened(Err(ErrorCode::Busy), now),
            Phase::Staging { .. } => self.handle_staged(Err(ErrorCode::Busy), now),
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Holding(_)
            | Phase::Connecting { .. }
            | Phase::Moving(_)
            | Phase::Checking(_)
            | Phase::Dropping { .. }
            | Phase::Closed => {}
        }
    }
}
