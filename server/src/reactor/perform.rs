//! What the reactor does about each action of a session: at once, or when it is the session's turn to have a file open.

use super::Reactor;
use crate::admission::file_queue::{Standing, file_purpose};
use crate::connection::control::{DataLink, Resource, Sought};
use crate::disk::Job;
use crate::limits::{SMALL_UPLOAD_MAX_BYTES, TURN_STEP_TIME};
use crate::net::address::Address;
use crate::net::slots::Key;
use crate::store::errors::Call;
use crate::store::folder::Lookup;
use crate::store::staging::StagedFile;
use ferry_common::wire::command::Resume;
use ferry_session::access::Cleared;
use ferry_session::action::{Action, End, Length, Publication, Question};
use ferry_session::fact::Fact;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Instant;

impl Reactor {
    /// Performs an action, at once or when it is its turn.
    pub(super) fn perform(&mut self, key: Key, action: Action, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let address = Address::from(control.socket.peer());
        let purpose = file_purpose(&action);
        if purpose.is_some() || matches!(action, Action::Ask(_) | Action::List(_)) {
            // A command begins, and the last one is over.
            self.file_queue.leave(address, std::mem::take(&mut control.standing));
            if purpose.is_none() {
                self.release_spent(key);
            }
        }
        let Some(control) = self.controls.get_mut(key) else { return };
        let Some(purpose) = purpose.filter(|_| !control.data.has_place()) else {
            return self.perform_now(key, action, now);
        };
        let (standing, action) = self.file_queue.enter(purpose, address, key, action, now);
        control.standing = standing;
        if let Some(action) = action {
            self.perform_now(key, action, now);
        }
    }

    /// Lets sessions that waited to open a file do so, as far as there is room, and tells those that have waited too long.
    pub(super) fn admit_files(&mut self, now: Instant) {
        self.have_files_give_way(now);
        self.step(TURN_STEP_TIME, |reactor| reactor.admit_file(now) || reactor.give_up_file(now));
    }

    fn admit_file(&mut self, now: Instant) -> bool {
        let Some((key, standing, action)) = self.file_queue.next_admitted() else { return false };
        let Some(control) = self.controls.get_mut(key) else {
            debug_assert!(false, "a session that has gone has left the queue");
            return true;
        };
        control.standing = standing;
        // The time of the disk begins only now.
        control.session.handle(Fact::DiskProgress, now);
        self.perform_now(key, action, now);
        self.drive(key, now);
        true
    }

    fn give_up_file(&mut self, now: Instant) -> bool {
        let Some(key) = self.file_queue.next_expired(now) else { return false };
        if let Some(control) = self.controls.get_mut(key) {
            control.standing = Standing::Apart;
            control.session.handle(Fact::NoRoom, now);
            self.drive(key, now);
        }
        true
    }

    fn perform_now(&mut self, key: Key, action: Action, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = control.asker(key);
        match action {
            Action::Reply(lines) => control.append_reply(&lines),
            Action::Log(event) => self.peer_log.report(control.socket.peer(), &event, now),
            Action::List(query) => self.disk.submit(asker, Job::List(query)),
            Action::Ask(Question::Partial { path }) => self.seek_partial(asker, path, now),
            Action::Ask(question) => self.disk.submit(asker, Job::Ask(question)),
            Action::Open { path } => self.open(key, path, now),
            Action::Stage { path, size, new, resume } => self.stage(key, path, size, new, resume, now),
            Action::RequestData => self.request_data(key),
            Action::CancelData => self.detach_data(key),
            Action::CloseData(end) => self.close_data_of(key, end),
            Action::Send { offset, length, digest } => self.send(key, offset, length, digest),
            Action::Check { .. } => self.check(key, now),
            Action::Receive { length, trailer, .. } => self.receive(key, length, trailer),
            Action::Drop { length } => self.with_data(key, |data| data.drop_payload(length)),
            Action::Publish(publication) => self.publish(key, publication),
            Action::Discard => self.let_go(key, |staged| Job::Discard { staged }),
            Action::Keep => self.let_go(key, |staged| Job::Keep { staged }),
            Action::Close => self.close(key),
            Action::Abort => control.abort(),
        }
    }

    /// Opens a file at once if the kernel has all it needs for that, else on a disk thread.
    fn open(&mut self, key: Key, path: Cleared, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        match self.folder.open_file(&path, Lookup::CachedOnly, self.disk.closer()) {
            Ok(open) => {
                let facts = control.keep_source(open);
                control.session.handle(Fact::Opened(Ok(facts)), now);
            }
            Err(Errno::AGAIN) => {
                self.disk.submit(control.asker(key), Job::Open { path });
            }
            Err(errno) => control.session.handle(Fact::Opened(Err(Call::Open.of(&path)(errno))), now),
        }
    }

    /// Makes room for an upload: in memory where it is small, else in a staged file.
    fn stage(
        &mut self,
        key: Key,
        path: Cleared,
        size: Length,
        new: bool,
        resume: Option<Resume>,
        now: Instant,
    ) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let may_be_small = resume.is_none() && matches!(control.data, DataLink::Attached { .. });
        if may_be_small
            && let Length::Exact(bytes) = size
            && bytes <= SMALL_UPLOAD_MAX_BYTES
            && self.payload_memory.set_aside_small(bytes)
        {
            // Whether it can be had under its name shows when it is there.
            control.resource = Resource::Small { bytes };
            control.session.handle(Fact::Staged(Ok(0)), now);
        } else {
            let asker = control.asker(key);
            self.submit_behind_keeps(asker, &path.clone(), Job::Stage { path, size, new, resume });
        }
    }

    /// Closes the session's data connection. Where its end is not to look like a clean one, the peer gets a reset.
    fn close_data_of(&mut self, key: Key, end: End) {
        if end == End::Torn {
            self.with_data(key, |data| data.socket.reset_when_closed());
        }
        self.detach_data(key);
    }

    fn request_data(&mut self, key: Key) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let address = Address::from(control.socket.peer());
        let stamp = if matches!(control.data, DataLink::Spent) {
            // It gives its place back and is the first to have one.
            self.data_slots.release(address);
            self.data_slots.request_first(address, key)
        } else {
            self.data_slots.request(address, key)
        };
        control.data = DataLink::Waiting(stamp);
    }

    fn receive(&mut self, key: Key, length: Length, trailer: bool) {
        let Some(control) = self.controls.get(key) else { return };
        let is_small = matches!(control.resource, Resource::Small { .. });
        self.with_data(key, |data| match length {
            Length::Exact(bytes) if is_small => data.gather(bytes, trailer),
            Length::Exact(_) | Length::UntilClose => data.receive(length, trailer),
        });
    }

    fn publish(&mut self, key: Key, publication: Publication) {
        let mut content = Vec::new();
        self.with_data(key, |data| content = data.take_content());
        let resource = self.take_resource(key);
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = control.asker(key);
        match resource {
            Resource::Staged { file: staged, .. } if publication.alone => {
                self.disk.submit(asker, Job::Publish { staged, publication });
            }
            Resource::Staged { file: staged, .. } => self.disk.commit(asker, staged, publication),
            Resource::Small { .. } => self.disk.commit_small(asker, content, publication),
            other @ (Resource::None | Resource::Source { .. }) => control.resource = other,
        }
    }

    /// Lets go of what the session's transfer held, and of what is still under way for it.
    pub(super) fn let_go(&mut self, key: Key, job: impl FnOnce(Arc<StagedFile>) -> Job) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = control.asker(key);
        control.transfer = control.transfer.wrapping_add(1);
        control.sought = Sought::Nothing;
        let resource = self.take_resource(key);
        self.with_data(key, |data| data.rest());
        match resource {
            Resource::None => {}
            Resource::Source { file, .. } => drop(file),
            Resource::Small { bytes } => self.payload_memory.free_small(bytes),
            Resource::Staged { file, queued, .. } => {
                queued.into_iter().for_each(|(buffer, _)| self.give_back(buffer));
                self.submit_letting_go(asker, job(file));
            }
        }
    }

    /// Takes what the session has open away from it.
    pub(super) fn take_resource(&mut self, key: Key) -> Resource {
        let Some(control) = self.controls.get_mut(key) else { return Resource::None };
        let resource = std::mem::replace(&mut control.resource, Resource::None);
        if let Resource::Staged { file, .. } = &resource {
            self.uploads.end(file.path(), key);
        }
        resource
    }

    fn close(&mut self, key: Key) {
        self.release(key);
        if let Some(control) = self.controls.get_mut(key) {
            control.begin_close();
        }
    }
}
