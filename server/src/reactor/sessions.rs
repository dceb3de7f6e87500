//! The reactor's work for control connections: their turns, writing their replies, and keeping the books about them.

use super::Reactor;
use crate::connection::control::DataLink;
use crate::disk::Job;
use crate::limits::{TURN_FRESH_LINES, TURN_PIPELINES_TIME, TURN_STEP_TIME};
use crate::net::address::Address;
use crate::net::deadlines::Timer;
use crate::net::slots::Key;
use ferry_session::fact::Fact;
use ferry_session::limits::TURN_LINES;
use std::time::Instant;

impl Reactor {
    /// Gives ready control connections their turns: first those that have just become ready, then some time to those that
    /// have more to do.
    pub(super) fn serve_controls(&mut self, now: Instant) {
        let mut later = Vec::new();
        // The more wait, the fewer lines each may have looked at, so that the last of them waits no longer.
        let lines = (TURN_FRESH_LINES / self.ready_controls.fresh.len().max(1)).clamp(1, TURN_LINES);
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.ready_controls.fresh.pop() else { return false };
            reactor.serve_control(key, lines, now, &mut later);
            true
        });
        self.step(TURN_PIPELINES_TIME, |reactor| {
            let Some(key) = reactor.ready_controls.continuing.pop() else { return false };
            reactor.serve_control(key, TURN_LINES, now, &mut later);
            true
        });
        for (address, key) in later {
            self.ready_controls.continuing.push(address, key);
        }
    }

    fn serve_control(&mut self, key: Key, lines: usize, now: Instant, later: &mut Vec<(Address, Key)>) {
        let Some(control) = self.controls.get_mut(key) else { return };
        if control.served_in == self.turn_number && !control.session.is_paused() {
            // It is read once in a turn: a command must not be read before the poll has told of the end of the
            // data connection that the client closed ahead of it.
            later.push((Address::from(control.socket.peer()), key));
            return;
        }
        control.queued = false;
        control.served_in = self.turn_number;
        let most = self.input_budget.read_bytes();
        control.take_turn(&mut self.scratch[..most], lines, now);
        self.drive(key, now);
    }

    /// Performs what a session wants until it wants nothing more, and writes its replies.
    pub(super) fn drive(&mut self, key: Key, now: Instant) {
        while let Some(control) = self.controls.get_mut(key) {
            if control.is_closed() {
                break;
            }
            if let Some(action) = control.session.poll_action() {
                self.perform(key, action, now);
                continue;
            }
            match control.flush() {
                Ok(0) => break,
                Ok(written) => control.session.handle(Fact::RepliesWritten(written), now),
                Err(_) => control.abort(),
            }
        }
        self.settle(key, now);
    }

    /// Brings the reactor's books in line with a session that wants nothing for now.
    pub(super) fn settle(&mut self, key: Key, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        control.continue_close(now);
        let held = control.held_input();
        let address = Address::from(control.socket.peer());
        self.input_budget.update(address, key, &mut control.known_input, held);
        if control.is_counted && !control.is_open() {
            control.is_counted = false;
            self.roster.leave(address);
            self.leaving.push_back(key);
        }
        if control.is_closed() {
            log::debug!("Closed connection with: {}", control.socket.peer());
            self.release(key);
            if let Some(mut control) = self.controls.remove(key) {
                self.file_queue.leave(address, control.standing);
                self.deadlines.arm(Timer::Control(key), &mut control.armed, None);
            }
            return;
        }
        let is_at_rest = control.session.is_at_rest();
        if is_at_rest || control.data.has_place() {
            self.file_queue.leave(address, std::mem::take(&mut control.standing));
        }
        if is_at_rest {
            self.release_spent(key);
        }
        let Some(control) = self.controls.get_mut(key) else { return };
        let due = control.deadline();
        self.deadlines.arm(Timer::Control(key), &mut control.armed, due);
        let idle = control.session.is_idle();
        if let DataLink::Attached { idle_stamp, .. } = &mut control.data {
            match *idle_stamp {
                None if idle => *idle_stamp = Some(self.data_slots.mark_idle(key)),
                Some(stamp) if !idle => {
                    self.data_slots.mark_busy(stamp);
                    *idle_stamp = None;
                }
                None | Some(_) => {}
            }
        }
        self.queue_control(key);
    }

    /// Lets go of everything that the session has.
    pub(super) fn release(&mut self, key: Key) {
        if let Some(control) = self.controls.get(key) {
            self.disk.cancel(&control.asker(key));
        }
        self.let_go(key, |staged| Job::Keep { staged });
        self.detach_data(key);
        self.release_spent(key);
    }

    /// Gives up a place that was kept for a file, which is closed now.
    pub(super) fn release_spent(&mut self, key: Key) {
        if let Some(control) = self.controls.get_mut(key)
            && matches!(control.data, DataLink::Spent)
        {
            control.data = DataLink::None;
            self.data_slots.release(Address::from(control.socket.peer()));
        }
    }
}
