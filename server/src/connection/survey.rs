//! All sessions, as `who` tells of them: looked at some at a time, so that their number makes no turn longer.

use super::control::Control;
use super::sessions::Sessions;
use crate::asker::Asker;
use crate::limits::SURVEY_PART_PLACES;
use ferry_common::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use ferry_session::action::{Direction, SurveyPart, SurveyQuery};
use ferry_session::limits::LISTING_PART_BYTES;
use std::collections::VecDeque;
use std::time::Instant;

/// The parts that sessions wait for: at most one for each command.
#[derive(Debug, Default)]
pub(crate) struct Surveys {
    waiting: VecDeque<(Asker, SurveyQuery)>,
}

impl Surveys {
    pub(crate) fn ask(&mut self, asker: Asker, query: SurveyQuery) {
        self.waiting.push_back((asker, query));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<(Asker, SurveyQuery)> {
        self.waiting.pop_front()
    }
}

impl Sessions {
    /// A part that is bounded in sessions and bytes. A session that comes or goes between two parts may be told of or not.
    pub(crate) fn survey(&self, query: SurveyQuery, now: Instant) -> SurveyPart {
        let SurveyQuery { from, format } = query;
        let mut part = SurveyPart { text: Vec::new(), told: 0, totals: SessionTotals::default(), next: None };
        for place in from..self.places() {
            if place - from >= SURVEY_PART_PLACES || part.text.len() >= LISTING_PART_BYTES {
                part.next = Some(place);
                break;
            }
            let Some(control) = self.at(place).filter(|control| control.is_counted) else { continue };
            let activity = activity_of(control);
            part.totals.count(activity, control.session.activity(now).bytes_per_second);
            if let Some(format) = format {
                format.write_session(&entry_of(control, activity, now), &mut part.text);
                part.told += 1;
            }
        }
        part
    }
}

fn activity_of(control: &Control) -> SessionActivity {
    match control.session.running().map(|running| running.direction) {
        Some(Direction::Upload) => SessionActivity::Up,
        Some(Direction::Download) => SessionActivity::Down,
        None => SessionActivity::Idle,
    }
}

fn entry_of(control: &Control, activity: SessionActivity, now: Instant) -> SessionEntry {
    let running = control.session.running();
    let name = running.and_then(|running| running.path.file_name());
    SessionEntry {
        address: control.socket.peer().ip().to_canonical(),
        activity,
        moved_bytes: running.map_or(0, |running| running.moved_bytes),
        size_bytes: running.map_or(0, |running| running.size_bytes),
        seconds: now.saturating_duration_since(control.session.activity(now).since).as_secs(),
        name: name.unwrap_or_default().to_vec(),
    }
}
