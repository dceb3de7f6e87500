//! What is done about each outcome of the disk threads: most become a fact for the session that waits for it.

use super::Reactor;
use crate::asker::Asker;
use crate::disk::read_buffers::ReadBuffer;
use crate::disk::{Completion, Outcome};
use crate::files::Files;
use crate::limits::TURN_STEP_TIME;
use crate::net::slots::Key;
use ferry_common::error::ErrorCode;
use ferry_session::access::Cleared;
use ferry_session::fact::Fact;
use std::time::Instant;

impl Reactor {
    pub(super) fn collect_completions(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| match reactor.files.next_completion() {
            Some(Completion { asker, outcome }) => {
                if let Some(fact) = reactor.complete(asker, outcome, now) {
                    reactor.tell(asker.session, fact, now);
                }
                true
            }
            None => false,
        });
    }

    fn complete(&mut self, asker: Asker, outcome: Outcome, now: Instant) -> Option<Fact<'static>> {
        let key = asker.session;
        let seat = match self.sessions.get_mut(key) {
            Some(control) if control.seat.transfer() == asker.transfer => Some(&mut control.seat),
            Some(_) | None => None,
        };
        match (outcome, seat) {
            (Outcome::Written { buffers, result }, seat) => {
                let is_current = seat.is_some();
                let count = buffers.len();
                buffers.into_iter().for_each(|buffer| self.data.take_back(buffer));
                if is_current { self.handle_written(asker, count, result) } else { None }
            }
            // As often as not, an earlier transfer of the session than the current one is published.
            (Outcome::Published { id, result, small_bytes }, _) => {
                self.data.memory().free_small(small_bytes);
                Some(Fact::Published { id, result })
            }
            (Outcome::Progress { identity }, _) => {
                self.files.handle_digest_progress(asker, identity.as_ref());
                None
            }
            (Outcome::Digested(digested), _) => {
                self.files.handle_digested(asker, digested);
                None
            }
            (Outcome::Swept(next), _) => {
                self.files.schedule_sweep(next, now);
                None
            }
            (Outcome::Kept { path, next }, _) => {
                self.files.handle_kept(&path, next, now);
                None
            }
            (Outcome::Staged(Ok((staged, _))), None) => {
                self.files.keep_unwanted(asker, staged);
                None
            }
            (Outcome::Listed(part), Some(_)) => Some(Fact::Listed((*part).clone())),
            (Outcome::Found(found), Some(_)) => Some(Fact::Found(found)),
            (Outcome::Changed(changed), Some(_)) => Some(Fact::Changed(changed)),
            (Outcome::SumOpened(opened), Some(seat)) => self.files.begin_sum(asker, seat, opened),
            (Outcome::Opened(opened), Some(seat)) => Some(Files::handle_opened(seat, opened)),
            (Outcome::Staged(staged), Some(seat)) => self.files.handle_staged(asker, seat, staged),
            (Outcome::Warmed(result), Some(seat)) => {
                let attached = seat.data.attached();
                self.handle_warmed(attached, result)
            }
            (Outcome::Read { offset, result }, Some(seat)) => {
                let attached = seat.data.attached();
                self.handle_read(attached, offset, result)
            }
            (Outcome::Inspected(state), Some(seat)) => seat.conclude_check(state),
            (
                Outcome::Listed(_)
                | Outcome::Found(_)
                | Outcome::Changed(_)
                | Outcome::SumOpened(_)
                | Outcome::Opened(_)
                | Outcome::Staged(_)
                | Outcome::Warmed(_)
                | Outcome::Read { .. }
                | Outcome::Inspected(_),
                None,
            ) => None,
        }
    }

    fn handle_warmed(
        &mut self,
        attached: Option<Key>,
        result: Result<(), ErrorCode>,
    ) -> Option<Fact<'static>> {
        match result {
            Ok(()) => {
                self.data.with(attached, |data| data.handle_warmed());
                None
            }
            Err(code) => Some(Fact::SendFailed(code)),
        }
    }

    fn handle_read(
        &mut self,
        attached: Option<Key>,
        offset: u64,
        result: Result<ReadBuffer, ErrorCode>,
    ) -> Option<Fact<'static>> {
        match result {
            Ok(buffer) => {
                self.data.with(attached, |data| data.handle_read(offset, buffer));
                None
            }
            Err(code) => Some(Fact::SendFailed(code)),
        }
    }

    fn handle_written(
        &mut self,
        asker: Asker,
        buffers: usize,
        result: Result<u64, ErrorCode>,
    ) -> Option<Fact<'static>> {
        let seat = &mut self.sessions.get_mut(asker.session)?.seat;
        let mut unread_bytes = 0;
        self.data.with(seat.data.attached(), |data| {
            data.handle_written(buffers);
            unread_bytes = data.unread_bytes();
        });
        seat.handle_written();
        Some(match result {
            Ok(bytes) => {
                self.files.write_queued(asker, seat);
                Fact::Moved { bytes }
            }
            Err(code) => Fact::ReceiveFailed { code, unread_bytes },
        })
    }

    /// Tells the sessions that wait for digests: very many may wait for that of one file.
    pub(super) fn answer_digests(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some((asker, news)) = reactor.files.next_digest_news() else { return false };
            let Self { sessions, files, .. } = reactor;
            let control = sessions.get_mut(asker.session);
            let current = control.filter(|control| control.seat.transfer() == asker.transfer);
            let fact = current.and_then(|control| files.tell_digest(asker, &mut control.seat, news));
            if let Some(fact) = fact {
                reactor.tell(asker.session, fact, now);
            }
            true
        });
    }

    /// Answers sessions that have waited for the end of an upload: a client that has lost a link may be back before the
    /// server has read to the end of it.
    pub(super) fn answer_seekers(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some((asker, path)) = reactor.files.next_seeker(now) else { return false };
            reactor.have_silent_uploads_give_way(&path, now);
            reactor.files.ask_for_partial(asker, path);
            true
        });
    }

    /// Has the sessions that receive an upload to this path, but have not heard of it lately, keep what they
    /// have for the one that asks. None of them is driven on here, since it might ask for another's in turn. A client that
    /// has lost its connection has left few: of a crowd, only some give way.
    pub(super) fn have_silent_uploads_give_way(&mut self, path: &Cleared, now: Instant) {
        for key in self.files.receivers(path) {
            let Some(control) = self.sessions.get_mut(key) else { continue };
            control.session.handle(Fact::SoughtElsewhere, now);
            while self.perform_next(key, now) {}
            self.settle(key, now);
        }
    }
}
