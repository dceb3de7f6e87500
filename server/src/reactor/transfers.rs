//! The reactor's work for data connections: attaching them to their sessions, moving payload within the
//! budgets, and letting them go.

use super::Reactor;
use crate::connection::control::{DataLink, Resource};
use crate::connection::data::{Data, Owner, Step, Turn};
use crate::disk::Job;
use crate::limits::{
    TURN_CONNECTION_BYTES, TURN_PAYLOAD_BESIDE_COMMANDS_TIME, TURN_PAYLOAD_TIME, TURN_STEP_TIME,
};
use crate::net::address::Address;
use crate::net::deadlines::Timer;
use crate::net::slots::Key;
use crate::rendezvous::tickets::Tickets;
use ferry_common::limits::STALL_WINDOW;
use ferry_common::wire::ticket::Ticket;
use ferry_session::Session;
use ferry_session::action::End;
use ferry_session::fact::Fact;
use log::Level;
use std::sync::Arc;
use std::time::Instant;

impl Reactor {
    /// Serves data connections in turn until all have been, or the budget of the turn is spent. While commands wait, which
    /// have their time however few data connections there are, these go on for all of theirs.
    pub(super) fn serve_datas(&mut self, now: Instant) {
        if self.ready_datas.is_empty() {
            return;
        }
        self.slow_files.begin_turn(now);
        let (time, served_most) = if self.ready_controls.is_empty() {
            // No more than there are now: the poll must be asked whether a command has come.
            (TURN_PAYLOAD_TIME, self.ready_datas.len())
        } else {
            (TURN_PAYLOAD_BESIDE_COMMANDS_TIME, usize::MAX)
        };
        let mut served = 0;
        self.step(time, |reactor| {
            if served == served_most {
                return false;
            }
            served += 1;
            let Some(key) = reactor.ready_datas.pop() else { return false };
            if let Some(data) = reactor.datas.get_mut(key) {
                data.queued = false;
                reactor.serve_data(key, now);
                reactor.queue_data(key);
            }
            true
        });
    }

    /// Gives tickets to those next in line. Where all places are taken, idle data connections make room, and then
    /// transfers of addresses that have more than their share.
    pub(super) fn admit_data(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            if let Some(session) = reactor.data_slots.next_admitted() {
                reactor.issue_ticket(session, now);
            } else if let Some(session) = reactor.data_slots.take_evicted() {
                reactor.evict_data(session, now);
            } else {
                return reactor.have_transfer_give_way(now);
            }
            true
        });
    }

    /// Takes an idle data connection away, unless an upload has begun on it: closing with unread bytes
    /// would reset it, and the reset could overtake the end of an earlier download. The command of that
    /// upload must come soon, though.
    fn evict_data(&mut self, session: Key, now: Instant) {
        let Some(control) = self.controls.get_mut(session) else { return };
        let DataLink::Attached { key, idle_stamp } = &mut control.data else { return };
        *idle_stamp = None;
        let key = *key;
        let Some(data) = self.datas.get_mut(key) else { return };
        if !data.has_unread() {
            self.lose_data(key, End::Clean, now);
        } else if data.armed.is_none() {
            self.deadlines.arm(Timer::Data(key), &mut data.armed, Some(now + STALL_WINDOW));
        }
    }

    /// What a data connection was to do in time is not done, or is.
    pub(super) fn handle_data_timeout(&mut self, key: Key, now: Instant) {
        let Some(data) = self.datas.get_mut(key) else { return };
        data.armed = None;
        match data.owner {
            Owner::Unknown { .. } => {
                let peer = data.socket.peer();
                let message = format_args!("Closed a data connection from {peer}: no ticket in time");
                self.peer_log.tell(Level::Info, peer, now, message);
                self.close_data(key);
            }
            Owner::Session(session) => {
                let is_idle = self.controls.get(session).is_some_and(|control| control.session.is_idle());
                if is_idle && data.has_unread() {
                    let peer = data.socket.peer();
                    let message = format_args!("Closed a data connection from {peer}: no command in time");
                    self.peer_log.tell(Level::Info, peer, now, message);
                    self.lose_data(key, End::Torn, now);
                }
            }
        }
    }

    /// Does something with a session's data connection, and has it served if it can go on.
    pub(super) fn with_data(&mut self, session: Key, change: impl FnOnce(&mut Data)) {
        if let Some(control) = self.controls.get(session)
            && let DataLink::Attached { key, .. } = control.data
            && let Some(data) = self.datas.get_mut(key)
        {
            change(data);
            // Whatever its payload waited for has come.
            self.deadlines.arm(Timer::Data(key), &mut data.armed, None);
            self.queue_data(key);
        }
    }

    /// Takes the session's data connection, ticket or wish for one away from it.
    pub(super) fn detach_data(&mut self, session: Key) {
        let Some(control) = self.controls.get_mut(session) else { return };
        // Its file may still be open, or be opened just now: the books are put right when it is not.
        match std::mem::replace(&mut control.data, DataLink::Spent) {
            DataLink::None => control.data = DataLink::None,
            DataLink::Waiting(stamp) => {
                control.data = DataLink::None;
                self.data_slots.withdraw(Address::from(control.socket.peer()), stamp);
            }
            DataLink::Ticketed(_) => self.tickets.end(),
            DataLink::Spent => {}
            DataLink::Attached { key, idle_stamp } => {
                if let Some(stamp) = idle_stamp {
                    self.data_slots.mark_busy(stamp);
                }
                self.close_data(key);
            }
        }
    }

    pub(super) fn close_data(&mut self, key: Key) {
        if let Some(mut data) = self.datas.remove(key) {
            self.deadlines.arm(Timer::Data(key), &mut data.armed, None);
            if matches!(data.owner, Owner::Unknown { .. }) {
                self.unticketed.remove(Address::from(data.socket.peer()), key);
            }
        }
    }

    /// A buffer has come back; the upload that has waited longest for one may try again.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.payload_memory.give_back(buffer);
        while let Some(key) = self.payload_memory.next_upload() {
            if let Some(data) = self.datas.get_mut(key) {
                data.starved = false;
                // One whose upload was refused meanwhile can do without.
                let is_taken = data.needs_buffer();
                self.queue_data(key);
                if is_taken {
                    return;
                }
            }
        }
    }

    /// Has a download wait for a buffer, or takes one from a download whose peer does not take what is in it.
    fn starve(&mut self, key: Key, device: u64) {
        if let Some(data) = self.datas.get_mut(key) {
            data.starved = true;
            self.payload_memory.await_read(key, device);
        }
        while let Some(holder) = self.payload_memory.next_holder() {
            if let Some(data) = self.datas.get_mut(holder) {
                data.is_holder = false;
                if data.holds_back_buffers() {
                    data.give_up_buffers();
                    return;
                }
            }
        }
    }

    /// A download whose peer is slow keeps its buffers only as long as no other download waits for one.
    fn note_holder(&mut self, key: Key) {
        let Some(data) = self.datas.get_mut(key).filter(|data| data.holds_back_buffers()) else { return };
        if self.payload_memory.has_waiting_reads() {
            data.give_up_buffers();
        } else if !data.is_holder {
            data.is_holder = true;
            self.payload_memory.note_holder(key);
        }
    }

    /// Has downloads go on for which there is a buffer again.
    pub(super) fn feed_waiting_reads(&mut self) {
        if !self.payload_memory.has_waiting_reads() {
            return;
        }
        for key in self.payload_memory.take_fed_reads() {
            if let Some(data) = self.datas.get_mut(key) {
                data.starved = false;
                self.queue_data(key);
            }
        }
    }

    fn issue_ticket(&mut self, session: Key, now: Instant) {
        let Some(control) = self.controls.get_mut(session) else { return };
        if !matches!(control.data, DataLink::Waiting(_)) {
            return;
        }
        let ticket = match self.tickets.issue(session) {
            Ok(ticket) => ticket,
            // The session's deadline answers for it.
            Err(errno) => return log::error!("The system gives no random numbers: {errno}"),
        };
        self.data_slots.take(Address::from(control.socket.peer()));
        control.session.handle(Fact::Ticket(ticket.clone()), now);
        control.data = DataLink::Ticketed(ticket);
        self.drive(session, now);
    }

    /// Moves payload of one connection within its budget.
    pub(super) fn serve_data(&mut self, key: Key, now: Instant) {
        let mut left_bytes = TURN_CONNECTION_BYTES;
        while left_bytes > 0 {
            let Some(data) = self.datas.get_mut(key) else { break };
            if !data.has_work() {
                break;
            }
            let step = if data.needs_buffer() {
                let Some(buffer) = self.payload_memory.take_for_upload(key) else {
                    data.starved = true;
                    break;
                };
                match self.receive_step(key, buffer, now) {
                    Ok(moved) => {
                        left_bytes = left_bytes.saturating_sub(moved);
                        continue;
                    }
                    Err(step) => step,
                }
            } else {
                data.step(&mut Turn {
                    budget_bytes: left_bytes,
                    buffer: &mut self.scratch,
                    read_buffers: self.payload_memory.reads(),
                    slow_files: &mut self.slow_files,
                    readers: &mut self.readers,
                    now,
                })
            };
            match step {
                Step::Blocked => {
                    self.note_holder(key);
                    break;
                }
                Step::Moved(bytes) => {
                    left_bytes = left_bytes.saturating_sub(bytes);
                    if bytes > 0 {
                        self.report(key, now, |session| session.handle(Fact::Moved { bytes }, now));
                    }
                }
                Step::Presented(ticket) => self.attach(key, ticket.as_ref(), now),
                Step::Cold { file, part, reading } => {
                    self.submit_for(key, Job::Warm { file, part, reading });
                }
                Step::Read { file, offset, buffer, reading } => {
                    self.submit_for(key, Job::Read { file, offset, buffer, reading });
                }
                Step::Starved { device } => {
                    self.starve(key, device);
                    break;
                }
                // Only a step with a buffer of its own fills one.
                Step::Filled { .. } => {}
                Step::Trailer(digest) => {
                    self.report(key, now, |session| session.handle(Fact::Trailer(digest), now))
                }
                Step::SendFailed(code) => {
                    self.report(key, now, |session| session.handle(Fact::SendFailed(code), now));
                }
                Step::Ended(end) => self.lose_data(key, end, now),
            }
        }
    }

    /// Reads part of an upload and hands it to a disk thread; any other step is handed back.
    fn receive_step(&mut self, key: Key, mut buffer: Vec<u8>, now: Instant) -> Result<u64, Step> {
        let step = match self.datas.get_mut(key) {
            Some(data) => data.step(&mut Turn {
                budget_bytes: buffer.len() as u64,
                buffer: &mut buffer,
                read_buffers: self.payload_memory.reads(),
                slow_files: &mut self.slow_files,
                readers: &mut self.readers,
                now,
            }),
            None => Step::Blocked,
        };
        if let Step::Filled { length } = step
            && let Some(session) = self.owner_of(key)
            && let Some(control) = self.controls.get_mut(session)
            && let Resource::Staged { queued, .. } = &mut control.resource
        {
            queued.push((buffer, length));
            control.session.handle(Fact::Arrived { bytes: length as u64 }, now);
            self.write_queued(session);
            return Ok(length as u64);
        }
        self.give_back(buffer);
        Err(step)
    }

    /// Has the buffers of an upload written, unless a write is under way.
    pub(super) fn write_queued(&mut self, session: Key) {
        if let Some(control) = self.controls.get_mut(session)
            && let Resource::Staged { file, queued, is_writing } = &mut control.resource
            && !*is_writing
            && !queued.is_empty()
        {
            *is_writing = true;
            let job = Job::Write { staged: Arc::clone(file), buffers: std::mem::take(queued) };
            self.disk.submit(control.asker(session), job);
        }
    }

    /// Submits a job for the download on a data connection.
    fn submit_for(&mut self, key: Key, job: Job) {
        if let Some(session) = self.owner_of(key)
            && let Some(control) = self.controls.get(session)
        {
            self.disk.submit(control.asker(session), job);
        }
    }

    /// Tells the session that owns a data connection what came of it.
    fn report(&mut self, key: Key, now: Instant, tell: impl FnOnce(&mut Session)) {
        if let Some(session) = self.owner_of(key)
            && let Some(control) = self.controls.get_mut(session)
        {
            tell(&mut control.session);
            self.drive(session, now);
        }
    }

    /// Ties a data connection to the session whose ticket it presents. A ticket is good once.
    fn attach(&mut self, key: Key, presented: Option<&Ticket>, now: Instant) {
        let session = presented.map(Tickets::session_of);
        let control = session.and_then(|session| self.controls.get_mut(session));
        let (Some(session), Some(control), Some(presented)) = (session, control, presented) else {
            return self.reject(key);
        };
        if !matches!(&control.data, DataLink::Ticketed(ticket) if ticket.matches(presented)) {
            return self.reject(key);
        }
        control.data = DataLink::Attached { key, idle_stamp: None };
        self.tickets.end();
        control.session.handle(Fact::DataAttached, now);
        if let Some(data) = self.datas.get_mut(key) {
            data.owner = Owner::Session(session);
            self.unticketed.remove(Address::from(data.socket.peer()), key);
            self.deadlines.arm(Timer::Data(key), &mut data.armed, None);
        }
        self.drive(session, now);
    }

    fn reject(&mut self, key: Key) {
        if let Some(data) = self.datas.get(key) {
            let peer = data.socket.peer();
            let message = format_args!("Closed a data connection from {peer}: its ticket is not valid");
            self.peer_log.tell(Level::Warn, peer, Instant::now(), message);
        }
        self.close_data(key);
    }

    /// A data connection has ended, or is given up.
    fn lose_data(&mut self, key: Key, end: End, now: Instant) {
        match self.owner_of(key) {
            None => self.close_data(key),
            Some(session) => {
                self.detach_data(session);
                if let Some(control) = self.controls.get_mut(session) {
                    control.session.handle(Fact::DataEnded(end), now);
                    self.drive(session, now);
                }
            }
        }
    }

    fn owner_of(&self, key: Key) -> Option<Key> {
        match self.datas.get(key)?.owner {
            Owner::Unknown { .. } => None,
            Owner::Session(session) => Some(session),
        }
    }
}
