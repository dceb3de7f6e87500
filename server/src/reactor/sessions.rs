//! The reactor's work for sessions: serving control connections, performing actions, handing over what
//! the disk threads found out.

use super::Reactor;
use crate::admission::file_queue::{Standing, file_purpose};
use crate::asker::Asker;
use crate::connection::control::{Control, DataLink, Resource, Sought};
use crate::disk::read_buffers::ReadBuffer;
use crate::disk::{Completion, Job, Outcome};
use crate::limits::{
    GIVING_WAY_MAX, SMALL_UPLOAD_MAX_BYTES, SMALL_UPLOADS_TOTAL_BYTES, TURN_FRESH_LINES, TURN_PIPELINES_TIME,
    TURN_STEP_TIME,
};
use crate::net::address::Address;
use crate::net::deadlines::Timer;
use crate::net::slots::Key;
use crate::store::errors::Call;
use crate::store::folder::{Lookup, OpenFile};
use crate::store::kept_uploads::Seeker;
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_session::action::{Action, Opened, Publication, Question};
use ferry_session::fact::Fact;
use ferry_session::limits::TURN_LINES;
use rustix::io::Errno;
use std::sync::Arc;
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
    fn settle(&mut self, key: Key, now: Instant) {
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

    /// Performs an action, at once or when it is its turn.
    fn perform(&mut self, key: Key, action: Action, now: Instant) {
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
            Action::Ask(Question::Partial { path }) => {
                self.have_silent_ones_give_way(&path, now);
                if !self.uploads.has_receivers(&path) {
                    self.ask_for_partial(asker, path);
                } else {
                    self.uploads.seek(asker, path, now);
                }
            }
            Action::Ask(question) => self.disk.submit(asker, Job::Ask(question)),
            Action::Open { path } => self.open(key, path, now),
            Action::Stage { path, size, new, resume } => {
                let is_small = resume.is_none()
                    && size <= SMALL_UPLOAD_MAX_BYTES
                    && self.small_bytes + size <= SMALL_UPLOADS_TOTAL_BYTES
                    && matches!(control.data, DataLink::Attached { .. });
                if is_small {
                    // Whether it can be had under its name shows when it is there.
                    self.small_bytes += size;
                    control.resource = Resource::Small { bytes: size };
                    control.session.handle(Fact::Staged(Ok(0)), now);
                } else {
                    self.submit_behind_keeps(asker, &path.clone(), Job::Stage { path, size, new, resume });
                }
            }
            Action::RequestData => {
                let stamp = if matches!(control.data, DataLink::Spent) {
                    // It gives its place back and is the first to have one.
                    self.data_slots.release(asker.address);
                    self.data_slots.request_first(asker.address, key)
                } else {
                    self.data_slots.request(asker.address, key)
                };
                control.data = DataLink::Waiting(stamp);
            }
            Action::CancelData | Action::CloseData => self.detach_data(key),
            Action::Send { offset, length, digest } => self.send(key, offset, length, digest),
            Action::Check { .. } => self.check(key, now),
            Action::Receive { length, trailer, .. } => {
                let is_small = matches!(control.resource, Resource::Small { .. });
                self.with_data(key, |data| {
                    if is_small { data.gather(length, trailer) } else { data.receive(length, trailer) }
                });
            }
            Action::Drop { length } => self.with_data(key, |data| data.drop_payload(length)),
            Action::Publish(publication) => self.publish(key, publication),
            Action::Discard => self.let_go(key, |staged| Job::Discard { staged }),
            Action::Keep => self.let_go(key, |staged| Job::Keep { staged }),
            Action::Close => {
                self.release(key);
                if let Some(control) = self.controls.get_mut(key) {
                    control.begin_close();
                }
            }
            Action::Abort => control.abort(),
        }
    }

    /// Opens a file at once if the kernel has all it needs for that, else on a disk thread.
    fn open(&mut self, key: Key, path: RemotePath, now: Instant) {
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
    fn let_go(&mut self, key: Key, job: impl FnOnce(Arc<StagedFile>) -> Job) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = control.asker(key);
        control.transfer = control.transfer.wrapping_add(1);
        control.sought = Sought::Nothing;
        let resource = self.take_resource(key);
        self.with_data(key, |data| data.rest());
        match resource {
            Resource::None => {}
            Resource::Source { file, .. } => drop(file),
            Resource::Small { bytes } => self.small_bytes -= bytes,
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

    fn submit_letting_go(&mut self, asker: Asker, job: Job) {
        if let Job::Keep { staged } = &job {
            self.uploads.begin_keeping(staged.path());
        }
        self.disk.submit(asker, job);
    }

    fn submit_behind_keeps(&mut self, asker: Asker, path: &RemotePath, job: Job) {
        if let Some(job) = self.uploads.await_keeping(path, asker, job) {
            self.disk.submit(asker, job);
        }
    }

    fn handle_kept(&mut self, path: &RemotePath) {
        for (asker, job) in self.uploads.end_keeping(path) {
            self.disk.submit(asker, job);
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

    fn ask_for_partial(&mut self, asker: Asker, path: RemotePath) {
        self.submit_behind_keeps(asker, &path.clone(), Job::Ask(Question::Partial { path }));
    }

    /// Has the sessions that receive an upload to this path, but have not heard of it lately, keep what they
    /// have for the one that asks. None of them is driven on here, since it might ask for another's in turn. A client that
    /// has lost its connection has left few: of a crowd, only some give way.
    fn have_silent_ones_give_way(&mut self, path: &RemotePath, now: Instant) {
        for key in self.uploads.receivers(path, GIVING_WAY_MAX) {
            let Some(control) = self.controls.get_mut(key) else { continue };
            control.session.handle(Fact::SoughtElsewhere, now);
            while let Some(action) = self.controls.get_mut(key).and_then(|next| next.session.poll_action()) {
                self.perform(key, action, now);
            }
            self.settle(key, now);
        }
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
    fn release_spent(&mut self, key: Key) {
        if let Some(control) = self.controls.get_mut(key)
            && matches!(control.data, DataLink::Spent)
        {
            control.data = DataLink::None;
            self.data_slots.release(Address::from(control.socket.peer()));
        }
    }

    pub(super) fn collect_completions(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| match reactor.disk.next_completion() {
            Some(completion) => {
                reactor.handle_completion(completion, now);
                true
            }
            None => false,
        });
    }

    fn handle_completion(&mut self, completion: Completion, now: Instant) {
        let Completion { asker, outcome } = completion;
        let key = asker.session;
        let current = self.controls.get_mut(key).filter(|control| control.transfer == asker.transfer);
        match (outcome, current) {
            (Outcome::Written { buffers, result }, control) => {
                let (wanted, count) = (control.is_some(), buffers.len());
                buffers.into_iter().for_each(|buffer| self.give_back(buffer));
                if wanted {
                    self.handle_written(key, count, result, now);
                }
            }
            (Outcome::Published { id, result, small_bytes }, _) => {
                self.small_bytes -= small_bytes;
                // Of an earlier transfer than the current one, as often as not.
                if let Some(control) = self.controls.get_mut(key) {
                    control.session.handle(Fact::Published { id, result }, now);
                }
            }
            (Outcome::Progress { identity }, _) => {
                return self.handle_digest_progress(asker, identity.as_ref());
            }
            (Outcome::Digested(digested), _) => return self.handle_digested(asker, digested),
            (Outcome::Swept(next), _) => return self.schedule_sweep(next, now),
            (Outcome::Kept { path, next }, _) => {
                self.schedule_sweep(next, now);
                return self.handle_kept(&path);
            }
            (Outcome::Staged(Ok((staged, _))), None) => {
                self.submit_letting_go(asker, Job::Keep { staged });
            }
            (Outcome::Listed(part), Some(control)) => {
                control.session.handle(Fact::Listed((*part).clone()), now)
            }
            (Outcome::Found(found), Some(control)) => control.session.handle(Fact::Found(found), now),
            (Outcome::SumOpened(opened), Some(_)) => self.begin_sum(asker, opened, now),
            (Outcome::Opened(opened), Some(control)) => {
                let facts = opened.map(|open| control.keep_source(open));
                control.session.handle(Fact::Opened(facts), now);
            }
            (Outcome::Staged(staged), Some(_)) => self.begin_receiving(asker, staged, now),
            (Outcome::Warmed(result), Some(_)) => self.handle_warmed(key, result, now),
            (Outcome::Read { offset, result }, Some(_)) => self.handle_read(key, offset, result, now),
            (Outcome::Inspected(state), Some(_)) => self.conclude_check(key, state, now),
            (
                Outcome::Listed(_)
                | Outcome::Found(_)
                | Outcome::SumOpened(_)
                | Outcome::Opened(_)
                | Outcome::Staged(_)
                | Outcome::Warmed(_)
                | Outcome::Read { .. }
                | Outcome::Inspected(_),
                None,
            ) => return,
        }
        self.drive(key, now);
    }

    fn handle_warmed(&mut self, key: Key, result: Result<(), ErrorCode>, now: Instant) {
        match result {
            Ok(()) => self.with_data(key, |data| data.handle_warmed()),
            Err(code) => {
                if let Some(control) = self.controls.get_mut(key) {
                    control.session.handle(Fact::SendFailed(code), now);
                }
            }
        }
    }

    fn handle_read(&mut self, key: Key, offset: u64, result: Result<ReadBuffer, ErrorCode>, now: Instant) {
        match result {
            Ok(buffer) => self.with_data(key, |data| data.handle_read(offset, buffer)),
            Err(code) => {
                if let Some(control) = self.controls.get_mut(key) {
                    control.session.handle(Fact::SendFailed(code), now);
                }
            }
        }
    }

    fn handle_written(&mut self, key: Key, buffers: usize, result: Result<u64, ErrorCode>, now: Instant) {
        let mut unread_bytes = 0;
        self.with_data(key, |data| {
            data.handle_written(buffers);
            unread_bytes = data.unread_bytes();
        });
        let Some(control) = self.controls.get_mut(key) else { return };
        if let Resource::Staged { is_writing, .. } = &mut control.resource {
            *is_writing = false;
        }
        match result {
            Ok(bytes) => {
                control.session.handle(Fact::Moved { bytes }, now);
                self.write_queued(key);
            }
            Err(code) => control.session.handle(Fact::ReceiveFailed { code, unread_bytes }, now),
        }
    }
}

impl Control {
    /// Keeps an opened file for the transfer.
    fn keep_source(&mut self, open: OpenFile) -> Opened {
        self.resource = Resource::Source { file: Arc::new(open.file), identity: Some(open.identity) };
        open.facts
    }
}
