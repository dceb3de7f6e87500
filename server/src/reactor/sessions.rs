//! The reactor's work for sessions: serving control connections, performing actions, handing over what
//! the disk threads found out.

use super::Reactor;
use crate::control::{Control, DataLink, ReadOutcome, Resource};
use crate::deadlines::Timer;
use crate::disk::{Asker, Completion, Job, Outcome};
use crate::folder::Lookup;
use crate::logging;
use crate::os_error::code_of;
use crate::slots::Key;
use ferry_common::action::Action;
use ferry_common::error::ErrorCode;
use ferry_common::limits::CONTROL_READ_BYTES;
use ferry_common::path::RemotePath;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Instant;

impl Reactor {
    /// Gives every ready control connection one read and its writes.
    pub(super) fn serve_controls(&mut self, now: Instant) {
        for _ in 0..self.ready_controls.len() {
            let Some(key) = self.ready_controls.pop_front() else { return };
            let Some(control) = self.controls.get_mut(key) else { continue };
            control.queued = false;
            if control.readiness.write_closed {
                control.abort();
            } else if !control.is_open() {
                control.linger(&mut self.scratch);
            } else if control.readiness.readable && control.session.wants_input() {
                match control.read(&mut self.scratch[..CONTROL_READ_BYTES]) {
                    ReadOutcome::Bytes(count) => control.session.handle_input(&self.scratch[..count], now),
                    ReadOutcome::End => control.session.handle_end_of_input(now),
                    ReadOutcome::Blocked => {}
                    ReadOutcome::Failed => control.abort(),
                }
            }
            self.drive(key, now);
        }
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
                Ok(written) => control.session.handle_replies_written(written, now),
                Err(_) => control.abort(),
            }
        }
        self.settle(key, now);
    }

    /// Brings the reactor's books in line with a session that wants nothing for now.
    fn settle(&mut self, key: Key, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        control.continue_close(now);
        if control.is_closed() {
            log::info!("Closed connection with: {}", control.peer);
            self.release(key);
            if let Some(mut control) = self.controls.remove(key) {
                self.deadlines.arm(Timer::Control(key), &mut control.armed, None);
            }
            return;
        }
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

    fn perform(&mut self, key: Key, action: Action, now: Instant) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = Asker { session: key, transfer: control.transfer };
        match action {
            Action::Reply(lines) => control.append_reply(&lines),
            Action::Log(event) => logging::report(control.peer, &event),
            Action::List { path, cursor } => self.disk.submit(asker, Job::List { path, cursor }),
            Action::Stat { path } => self.disk.submit(asker, Job::Stat { path }),
            Action::Open { path } => self.open(key, path, now),
            Action::Stage { path, .. } => {
                control.resource = Resource::Staging(path.clone());
                self.disk.submit(asker, Job::Stage { path });
            }
            Action::RequestData => {
                control.data = DataLink::Waiting;
                self.data_slots.request(key);
            }
            Action::CancelData | Action::CloseData => self.detach_data(key),
            Action::Send { offset, length } => {
                if let Resource::Source(file) = &control.resource {
                    let file = Arc::clone(file);
                    self.with_data(key, |data| data.send(file, offset, length));
                }
            }
            Action::Receive { length } => self.with_data(key, |data| data.receive(length)),
            Action::Drop { length } => self.with_data(key, |data| data.drop_payload(length)),
            Action::Publish => {
                if let Resource::Staged { file, path } = &control.resource {
                    let job = Job::Publish { staged: Arc::clone(file), path: path.clone() };
                    self.disk.submit(asker, job);
                }
                self.with_data(key, |data| data.rest());
            }
            Action::Discard => self.discard(key),
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
        match self.folder.open_file(&path, Lookup::CachedOnly) {
            Ok(open) => {
                control.resource = Resource::Source(Arc::new(open.file));
                control.session.handle_opened(Ok(open.facts), now);
            }
            Err(Errno::AGAIN) => {
                self.disk.submit(Asker { session: key, transfer: control.transfer }, Job::Open { path })
            }
            Err(errno) => control.session.handle_opened(Err(code_of(errno)), now),
        }
    }

    /// Lets go of what the session's transfer held, and of what is still under way for it.
    fn discard(&mut self, key: Key) {
        let Some(control) = self.controls.get_mut(key) else { return };
        let asker = Asker { session: key, transfer: control.transfer };
        control.transfer = control.transfer.wrapping_add(1);
        match std::mem::replace(&mut control.resource, Resource::None) {
            Resource::None | Resource::Source(_) | Resource::Staging(_) => {}
            Resource::Staged { file, .. } => self.disk.submit(asker, Job::Discard { staged: file }),
        }
        self.with_data(key, |data| data.rest());
    }

    /// Lets go of everything that the session has.
    fn release(&mut self, key: Key) {
        self.discard(key);
        self.detach_data(key);
    }

    pub(super) fn collect_completions(&mut self, now: Instant) {
        while let Some(completion) = self.disk.next_completion() {
            self.handle_completion(completion, now);
        }
    }

    fn handle_completion(&mut self, completion: Completion, now: Instant) {
        let Completion { asker, outcome } = completion;
        let key = asker.session;
        let current = self.controls.get_mut(key).filter(|control| control.transfer == asker.transfer);
        match (outcome, current) {
            (Outcome::Written { buffer, result }, control) => {
                let wanted = control.is_some();
                self.give_back(buffer);
                if wanted {
                    self.handle_written(key, result, now);
                }
            }
            (Outcome::Staged(Ok(staged)), None) => {
                self.disk.submit(asker, Job::Discard { staged: Arc::new(staged) });
            }
            (Outcome::Listed(part), Some(control)) => control.session.handle_listing((*part).clone(), now),
            (Outcome::Stat(entry), Some(control)) => control.session.handle_stat(entry, now),
            (Outcome::Opened(opened), Some(control)) => {
                let facts = opened.map(|open| {
                    control.resource = Resource::Source(Arc::new(open.file));
                    open.facts
                });
                control.session.handle_opened(facts, now);
            }
            (Outcome::Staged(staged), Some(control)) => {
                let staged = staged.and_then(|file| control.keep_staged(file));
                control.session.handle_staged(staged, now);
            }
            (Outcome::Warmed(result), Some(_)) => self.handle_warmed(key, result, now),
            (Outcome::Published(published), Some(control)) => {
                if published.is_ok() {
                    control.resource = Resource::None;
                }
                control.session.handle_published(published, now);
            }
            (
                Outcome::Listed(_)
                | Outcome::Stat(_)
                | Outcome::Opened(_)
                | Outcome::Staged(_)
                | Outcome::Warmed(_)
                | Outcome::Published(_),
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
                    control.session.handle_send_failed(code, now);
                }
            }
        }
    }

    fn handle_written(&mut self, key: Key, result: Result<u64, ErrorCode>, now: Instant) {
        let mut unread_bytes = 0;
        self.with_data(key, |data| {
            data.handle_written();
            unread_bytes = data.unread_bytes();
        });
        let Some(control) = self.controls.get_mut(key) else { return };
        match result {
            Ok(bytes) => control.session.handle_moved(bytes, now),
            Err(code) => control.session.handle_receive_failed(code, unread_bytes, now),
        }
    }
}

impl Control {
    /// Ties a staged file to the path that it was asked for.
    fn keep_staged(&mut self, file: crate::staging::StagedFile) -> Result<(), ErrorCode> {
        match std::mem::replace(&mut self.resource, Resource::None) {
            Resource::Staging(path) => {
                self.resource = Resource::Staged { file: Arc::new(file), path };
                Ok(())
            }
            other @ (Resource::None | Resource::Source(_) | Resource::Staged { .. }) => {
                self.resource = other;
                Err(ErrorCode::Io)
            }
        }
    }
}
