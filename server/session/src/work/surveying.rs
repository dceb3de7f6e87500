//! How the work tells of all sessions of the server: part by part, as a listing.

use super::Work;
use super::phase::{Phase, Survey};
use crate::ShowWho;
use crate::action::{Action, Event, SurveyPart, SurveyQuery};
use crate::answer::{Answer, Subject};
use crate::entry_format::EntryFormat;
use ferry_common::error::ErrorCode;
use ferry_common::limits::OUTBOX_PAUSE_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::session_entry::SessionTotals;
use std::time::Instant;

impl Work {
    pub(super) fn survey(&mut self, format: EntryFormat, now: Instant) {
        let format = match self.access.shown_sessions() {
            ShowWho::All => Some(format),
            ShowWho::Counts => None,
            ShowWho::None => return self.refuse_survey(ErrorCode::Denied, now),
        };
        let totals = SessionTotals::default();
        self.enter(Phase::Surveying(Survey { format, told: 0, totals, paused_at: None }), now);
        self.act(Action::Survey(SurveyQuery { from: 0, format }));
    }

    pub(crate) fn handle_surveyed(&mut self, part: SurveyPart, now: Instant) {
        let Phase::Surveying(survey) = &mut self.phase else { return };
        survey.told += part.told;
        survey.totals.add(&part.totals);
        survey.paused_at = part.next;
        let finished = part.next.is_none().then_some((survey.told, survey.totals));
        let has_text = !part.text.is_empty();
        if has_text {
            self.answer(Answer::Entries(part.text));
        }
        match finished {
            Some((sessions, totals)) => self.finish(Answer::Surveyed { sessions, totals }, now),
            // Where there is text, it must be known first how much of it the client has still to read.
            None if has_text => {}
            None => self.resume_survey(now),
        }
    }

    /// Asks for the next part, unless too much of what was told waits to be read.
    pub(super) fn resume_survey(&mut self, now: Instant) {
        if self.unwritten_bytes < OUTBOX_PAUSE_BYTES
            && let Phase::Surveying(survey) = &mut self.phase
            && let Some(from) = survey.paused_at.take()
        {
            let format = survey.format;
            self.since = now;
            self.act(Action::Survey(SurveyQuery { from, format }));
        }
    }

    pub(super) fn refuse_survey(&mut self, code: ErrorCode, now: Instant) {
        self.log(Event::Refused { command: self.command, code, path: RemotePath::root() });
        self.finish(Answer::Refused { code, subject: Subject::Sessions }, now);
    }
}
