//! What the reactor does about each outcome of the disk threads.

use super::Reactor;
use crate::connection::control::{Control, Resource};
use crate::disk::read_buffers::ReadBuffer;
use crate::disk::{Completion, Job, Outcome};
use crate::limits::TURN_STEP_TIME;
use crate::net::slots::Key;
use crate::store::folder::OpenFile;
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_session::action::Opened;
use ferry_session::fact::Fact;
use std::sync::Arc;
use std::time::Instant;

impl Reactor {
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
                let (is_wanted, count) = (control.is_some(), buffers.len());
                buffers.into_iter().for_each(|buffer| self.give_back(buffer));
                if is_wanted {
                    self.handle_written(key, count, result, now);
                }
            }
            (Outcome::Published { id, result, small_bytes }, _) => {
                self.handle_published(key, id, result, small_bytes, now);
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

    /// As often as not, an earlier transfer of the session than the current one is published.
    fn handle_published(
        &mut self,
        key: Key,
        id: u64,
        result: Result<Digest, ErrorCode>,
        small_bytes: u64,
        now: Instant,
    ) {
        self.payload_memory.free_small(small_bytes);
        if let Some(control) = self.controls.get_mut(key) {
            control.session.handle(Fact::Published { id, result }, now);
        }
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
    pub(super) fn keep_source(&mut self, open: OpenFile) -> Opened {
        self.resource = Resource::Source { file: Arc::new(open.file), identity: Some(open.identity) };
        open.facts
    }
}
