//! The turns of sessions: what each has heard or is told becomes actions, these are performed until there are none, and the
//! books are brought in line.

use super::Reactor;
use crate::files::Leftover;
use crate::limits::{TURN_PIPELINES_TIME, TURN_STEP_TIME};
use crate::net::slots::Key;
use ferry_session::fact::Fact;
use ferry_session::limits::TURN_LINES;
use std::time::Instant;

impl Reactor {
    /// Gives ready sessions their turns: first those that have just become ready, then some time to those that have more
    /// to do.
    pub(super) fn serve_sessions(&mut self, now: Instant) {
        let lines = self.sessions.fresh_lines();
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.sessions.next_fresh() else { return false };
            reactor.serve_session(key, lines, now);
            true
        });
        self.step(TURN_PIPELINES_TIME, |reactor| {
            let Some(key) = reactor.sessions.next_continuing() else { return false };
            reactor.serve_session(key, TURN_LINES, now);
            true
        });
        self.sessions.end_turns();
    }

    fn serve_session(&mut self, key: Key, lines: usize, now: Instant) {
        if self.sessions.serve(key, lines, now) {
            self.drive(key, now);
        }
    }

    /// Reads what has come over a control connection, where its session is to know that before the end of its data connection.
    pub(super) fn hear_control_first(&mut self, key: Key, now: Instant) {
        if self.sessions.hear_first(key, now) {
            self.drive(key, now);
        }
    }

    /// Tells sessions about all sessions, each a part at a time.
    pub(super) fn answer_surveys(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some((asker, query)) = reactor.surveys.next() else { return false };
            let control = reactor.sessions.get(asker.session);
            // What was asked for a command that has ended is not told to the next one.
            if control.is_some_and(|control| control.seat.transfer() == asker.transfer) {
                let part = reactor.sessions.survey(query, now);
                reactor.tell(asker.session, Fact::Surveyed(part), now);
            }
            true
        });
    }

    /// Tells a session a fact, if it is still there, and does what it wants about it.
    pub(super) fn tell(&mut self, key: Key, fact: Fact<'_>, now: Instant) {
        if let Some(control) = self.sessions.get_mut(key) {
            control.session.handle(fact, now);
            self.drive(key, now);
        }
    }

    /// Performs what a session wants until it wants nothing more, and writes its replies.
    pub(super) fn drive(&mut self, key: Key, now: Instant) {
        while let Some(control) = self.sessions.get_mut(key) {
            if control.is_closed() {
                break;
            }
            if self.perform_next(key, now) {
                continue;
            }
            let Some(control) = self.sessions.get_mut(key) else { return };
            match control.flush() {
                Ok(0) => break,
                Ok(written) => control.session.handle(Fact::RepliesWritten(written), now),
                Err(_) => control.abort(),
            }
        }
        self.settle(key, now);
    }

    /// Performs the next action of a session, and tells what came of it at once. False where there is none.
    pub(super) fn perform_next(&mut self, key: Key, now: Instant) -> bool {
        let Some(control) = self.sessions.get_mut(key) else { return false };
        let Some(action) = control.session.poll_action() else { return false };
        let fact = self.perform(key, action, now);
        self.note(key, fact, now);
        true
    }

    /// Tells a session what is known already of an action; what it wants about that comes with its next actions.
    pub(super) fn note(&mut self, key: Key, fact: Option<Fact<'static>>, now: Instant) {
        if let Some(fact) = fact
            && let Some(control) = self.sessions.get_mut(key)
        {
            control.session.handle(fact, now);
        }
    }

    /// Brings all books in line with a session that wants nothing for now.
    pub(super) fn settle(&mut self, key: Key, now: Instant) {
        let Some(control) = self.sessions.settle(key, now) else { return };
        let address = control.address();
        if control.is_closed() {
            self.report_end(key, now);
            self.release(key);
            if let Some(control) = self.sessions.get_mut(key) {
                self.file_queue.leave(address, std::mem::take(&mut control.seat.file_turn));
            }
            return self.sessions.remove(key);
        }
        let (is_at_rest, is_idle) = (control.session.is_at_rest(), control.session.is_idle());
        if is_at_rest || control.seat.data.has_place() {
            self.file_queue.leave(address, std::mem::take(&mut control.seat.file_turn));
        }
        if is_at_rest {
            self.rendezvous.release_spent(&mut control.seat, address);
        }
        self.rendezvous.note_idle(&mut control.seat, key, is_idle);
        self.sessions.queue(key);
    }

    /// Says in the log that a session has ended, and with it what was under way.
    pub(super) fn report_end(&mut self, key: Key, now: Instant) {
        let Some(control) = self.sessions.get(key) else { return };
        let peer = control.socket.peer();
        if let Some(event) = control.session.unfinished(now) {
            self.peer_log.report(peer, &event, now);
        }
        self.peer_log.report_end(peer, &control.moved, now);
    }

    /// Lets go of everything that the session has.
    pub(super) fn release(&mut self, key: Key) {
        let Some(control) = self.sessions.get(key) else { return };
        self.files.cancel(&control.asker(key));
        self.let_go(key, Leftover::Kept);
        self.detach_data(key);
        if let Some(control) = self.sessions.get_mut(key) {
            let address = control.address();
            self.rendezvous.release_spent(&mut control.seat, address);
        }
    }

    /// Ends a connection without a word.
    pub(super) fn abort(&mut self, key: Key, now: Instant) {
        if let Some(control) = self.sessions.get_mut(key) {
            control.abort();
            self.drive(key, now);
        }
    }
}
