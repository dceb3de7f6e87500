//! What is done about each action of a session: at once, or when it is the session's turn to have a file open.

use super::Reactor;
use crate::admission::file_queue::file_purpose;
use crate::files::{Leftover, Upload};
use crate::net::slots::Key;
use ferry_session::access::Cleared;
use ferry_session::action::{Action, End, Length, Publication, Query};
use ferry_session::fact::Fact;
use std::time::Instant;

impl Reactor {
    /// Performs an action, at once or when it is its turn. Gives what came of it, where that is known already.
    pub(super) fn perform(&mut self, key: Key, action: Action, now: Instant) -> Option<Fact<'static>> {
        let action = self.enter_file_queue(key, action, now)?;
        self.perform_now(key, action, now)
    }

    /// Gives the action back where it can be performed now.
    fn enter_file_queue(&mut self, key: Key, action: Action, now: Instant) -> Option<Action> {
        let control = self.sessions.get_mut(key)?;
        let (address, seat) = (control.address(), &mut control.seat);
        let purpose = file_purpose(&action);
        if purpose.is_some()
            || matches!(action, Action::Query(_) | Action::Change(_) | Action::List(_) | Action::Survey(_))
        {
            // A command begins, and the last one is over.
            self.file_queue.leave(address, std::mem::take(&mut seat.file_turn));
            if purpose.is_none() {
                self.rendezvous.release_spent(seat, address);
            }
        }
        let Some(purpose) = purpose.filter(|_| !seat.data.has_place()) else { return Some(action) };
        let (file_turn, action) = self.file_queue.enter(purpose, address, key, action, now);
        seat.file_turn = file_turn;
        action
    }

    pub(super) fn perform_now(&mut self, key: Key, action: Action, now: Instant) -> Option<Fact<'static>> {
        let control = self.sessions.get_mut(key)?;
        let (asker, address, seat) = (control.asker(key), control.address(), &mut control.seat);
        let attached = seat.data.attached();
        match action {
            Action::Reply(lines) => control.append_reply(&lines),
            Action::Log(event) => {
                control.moved.note(&event);
                self.peer_log.report(control.socket.peer(), &event, now);
            }
            Action::List(query) => self.files.list(asker, query),
            Action::Survey(query) => self.surveys.ask(asker, query),
            Action::Query(Query::Partial { path }) => self.seek_partial(key, path, now),
            Action::Query(query) => self.files.query(asker, query),
            Action::Change(change) => self.files.change(asker, change),
            Action::Open { path } => return self.files.open(asker, seat, path),
            Action::Stage { path, size, new, conditions, beginning } => {
                let upload = Upload { path, size, new, conditions, beginning };
                return self.files.stage(asker, seat, upload, self.data.memory());
            }
            Action::RequestData(way) => self.rendezvous.request(seat, way, address, key),
            Action::CancelData => self.detach_data(key),
            Action::CloseData(end) => self.close_data_of(key, end),
            Action::Send { offset, length, digest } => return self.send(key, offset, length, digest),
            Action::SendText(text) => self.data.with(attached, |data| data.send_text(text)),
            Action::Check { .. } => return self.files.check(asker, seat),
            Action::Receive { length, trailer, .. } => {
                let is_small = seat.has_small_upload();
                self.data.with(attached, |data| match length {
                    Length::Exact(bytes) if is_small => data.gather(bytes, trailer),
                    Length::Exact(_) | Length::UntilClose => data.receive(length, trailer),
                });
            }
            Action::Drop { length } => self.data.with(attached, |data| data.drop_payload(length)),
            Action::Publish(publication) => self.publish(key, publication),
            Action::Discard => self.let_go(key, Leftover::Discarded),
            Action::Keep => self.let_go(key, Leftover::Kept),
            Action::Close => {
                self.release(key);
                self.sessions.get_mut(key)?.begin_close();
            }
            Action::Abort => control.abort(),
        }
        None
    }

    /// Begins to send the open file, and gives how much of it left at once.
    fn send(&mut self, key: Key, offset: u64, length: u64, digest: bool) -> Option<Fact<'static>> {
        let control = self.sessions.get_mut(key)?;
        let (asker, seat) = (control.asker(key), &mut control.seat);
        let attached = seat.data.attached();
        let small = (offset == 0).then(|| self.files.read_small(seat, length, digest)).flatten();
        let sent = small.map(|bytes| self.data.send_small(attached, bytes) as u64);
        let (file, identity) =
            self.files.begin_send(asker, seat, offset + length, digest && sent.is_none())?;
        let sent = sent.unwrap_or(0);
        if sent < length {
            self.data.with(attached, |data| data.send(file, identity, offset + sent, length - sent));
        }
        (sent > 0).then_some(Fact::Moved { bytes: sent })
    }

    fn publish(&mut self, key: Key, publication: Publication) {
        let Some(control) = self.sessions.get_mut(key) else { return };
        let (asker, seat) = (control.asker(key), &mut control.seat);
        let mut content = Vec::new();
        self.data.with(seat.data.attached(), |data| content = data.take_content());
        self.files.publish(asker, seat, content, publication);
    }

    /// Answers what is kept of an upload, once those to the same path that are silent have given way.
    fn seek_partial(&mut self, key: Key, path: Cleared, now: Instant) {
        self.have_silent_uploads_give_way(&path, now);
        if let Some(control) = self.sessions.get(key) {
            self.files.seek_partial(control.asker(key), path, now);
        }
    }

    /// Closes the session's data connection. Where its end is not to look like a clean one, the peer gets a reset.
    fn close_data_of(&mut self, key: Key, end: End) {
        if end == End::Torn
            && let Some(control) = self.sessions.get(key)
        {
            self.data.with(control.seat.data.attached(), |data| data.socket.reset_when_closed());
        }
        self.detach_data(key);
    }

    /// Lets go of what the session's transfer held, and of what is still under way for it.
    pub(super) fn let_go(&mut self, key: Key, leftover: Leftover) {
        let Some(control) = self.sessions.get_mut(key) else { return };
        let (asker, seat) = (control.asker(key), &mut control.seat);
        self.data.with(seat.data.attached(), |data| data.rest());
        let freed = self.files.let_go(asker, seat, leftover);
        self.data.free(freed);
    }

    /// Takes the session's data connection, ticket or wish for one away from it.
    pub(super) fn detach_data(&mut self, key: Key) {
        let Some(control) = self.sessions.get_mut(key) else { return };
        let address = control.address();
        if let Some(data) = self.rendezvous.detach(&mut control.seat, address) {
            self.data.close(data);
        }
    }
}
