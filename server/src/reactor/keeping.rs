//! The reactor's work for uploads that broke off: what is asked of them comes behind the putting of them where they are
//! kept.

use super::Reactor;
use crate::asker::Asker;
use crate::disk::Job;
use crate::limits::{GIVING_WAY_MAX, TURN_STEP_TIME};
use crate::store::kept_uploads::Seeker;
use ferry_session::access::Cleared;
use ferry_session::action::Question;
use ferry_session::fact::Fact;
use std::time::Instant;

impl Reactor {
    /// Answers what is kept of an upload, or waits for the end of those under way to the same path.
    pub(super) fn seek_partial(&mut self, asker: Asker, path: Cleared, now: Instant) {
        self.have_silent_ones_give_way(&path, now);
        if self.uploads.has_receivers(&path) {
            self.uploads.seek(asker, path, now);
        } else {
            self.ask_for_partial(asker, path);
        }
    }

    /// Answers sessions that have waited for the end of an upload: a client that has lost a link may be back before the
    /// server has read to the end of it.
    pub(super) fn answer_seekers(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(Seeker { asker, path, .. }) = reactor.uploads.next_found(now) else { return false };
            reactor.have_silent_ones_give_way(&path, now);
            reactor.ask_for_partial(asker, path);
            true
        });
    }

    fn ask_for_partial(&mut self, asker: Asker, path: Cleared) {
        self.submit_behind_keeps(asker, &path.clone(), Job::Ask(Question::Partial { path }));
    }

    /// Has the sessions that receive an upload to this path, but have not heard of it lately, keep what they
    /// have for the one that asks. None of them is driven on here, since it might ask for another's in turn. A client that
    /// has lost its connection has left few: of a crowd, only some give way.
    fn have_silent_ones_give_way(&mut self, path: &Cleared, now: Instant) {
        for key in self.uploads.receivers(path, GIVING_WAY_MAX) {
            let Some(control) = self.controls.get_mut(key) else { continue };
            control.session.handle(Fact::SoughtElsewhere, now);
            while let Some(action) = self.controls.get_mut(key).and_then(|next| next.session.poll_action()) {
                self.perform(key, action, now);
            }
            self.settle(key, now);
        }
    }

    pub(super) fn submit_letting_go(&mut self, asker: Asker, job: Job) {
        if let Job::Keep { staged } = &job {
            self.uploads.begin_keeping(staged.path());
        }
        self.disk.submit(asker, job);
    }

    pub(super) fn submit_behind_keeps(&mut self, asker: Asker, path: &Cleared, job: Job) {
        if let Some(job) = self.uploads.await_keeping(path, asker, job) {
            self.disk.submit(asker, job);
        }
    }

    pub(super) fn handle_kept(&mut self, path: &Cleared) {
        for (asker, job) in self.uploads.end_keeping(path) {
            self.disk.submit(asker, job);
        }
    }
}
