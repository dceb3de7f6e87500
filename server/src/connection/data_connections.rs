//! All data connections: which has its turn next, which has presented no ticket yet, and the memory for what they carry.
//! Whose payload it is, is known by the key of the session alone.

use super::data::slow_files::SlowFiles;
use super::data::{Data, Owner, Step, Turn};
use crate::admission::payload_memory::PayloadMemory;
use crate::admission::rotation::Rotation;
use crate::admission::unticketed::Unticketed;
use crate::files::Freed;
use crate::limits::UPLOAD_BUFFER_BYTES;
use crate::net::deadlines::Deadlines;
use crate::net::slots::{Key, Slots};
use crate::net::socket::Socket;
use crate::seat::Filled;
use crate::store::readers::Readers;
use ferry_common::limits::{STALL_WINDOW, TICKET_LINE_TIMEOUT};
use std::time::Instant;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DataConnections {
    slots: Slots<Data>,
    unticketed: Unticketed,
    ready: Rotation,
    deadlines: Deadlines,
    memory: PayloadMemory,
    slow_files: SlowFiles,
    /// What is read to be dropped, or to be gathered.
    scratch: Vec<u8>,
}

/// What came of serving a connection.
#[derive(Debug)]
pub(crate) enum Served {
    /// The connection can do nothing more for now.
    Nothing,
    /// Part of an upload, to be written.
    Filled(Filled),
    Step(Step),
}

impl DataConnections {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::new(),
            unticketed: Unticketed::default(),
            ready: Rotation::default(),
            deadlines: Deadlines::default(),
            memory: PayloadMemory::default(),
            slow_files: SlowFiles::default(),
            scratch: vec![0; UPLOAD_BUFFER_BYTES],
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Data> {
        self.slots.get_mut(key)
    }

    /// Takes in a connection, which is to present its ticket in time.
    pub(crate) fn add(&mut self, socket: Socket, now: Instant) -> Key {
        let key = self.slots.insert(Data::new(socket));
        if let Some(data) = self.slots.get_mut(key) {
            self.deadlines.arm(key, &mut data.armed, Some(now + TICKET_LINE_TIMEOUT));
        }
        key
    }

    /// Takes in a connection that is this session's already, or is being made for it.
    pub(crate) fn add_owned(&mut self, socket: Socket, session: Key, is_being_made: bool) -> Key {
        self.slots.insert(Data::owned(socket, session, is_being_made))
    }

    /// True for a connection that is not there yet.
    pub(crate) fn is_being_made(&self, key: Key) -> bool {
        self.slots.get(key).is_some_and(Data::is_being_made)
    }

    /// A connection has not presented its ticket yet, while so many tickets are out. Gives the one that is to be closed for
    /// it, if there are too many such.
    pub(crate) fn note_unticketed(&mut self, key: Key, tickets_out: u64) -> Option<Key> {
        let data = self.slots.get(key).filter(|data| data.session().is_none())?;
        self.unticketed.push(data.address(), key, tickets_out)
    }

    /// The connection is this session's from now on.
    pub(crate) fn attach(&mut self, key: Key, session: Key) {
        if let Some(data) = self.slots.get_mut(key) {
            data.owner = Owner::Session(session);
            self.unticketed.remove(data.address(), key);
            self.deadlines.arm(key, &mut data.armed, None);
        }
    }

    /// The session that a connection belongs to.
    pub(crate) fn session_of(&self, key: Key) -> Option<Key> {
        self.slots.get(key)?.session()
    }

    pub(crate) fn close(&mut self, key: Key) {
        if let Some(mut data) = self.slots.remove(key) {
            self.deadlines.arm(key, &mut data.armed, None);
            if data.session().is_none() {
                self.unticketed.remove(data.address(), key);
            }
        }
    }

    /// Does something with a session's connection, if it has one, and has it served if it can go on.
    pub(crate) fn with(&mut self, attached: Option<Key>, change: impl FnOnce(&mut Data)) {
        if let Some(key) = attached
            && let Some(data) = self.slots.get_mut(key)
        {
            change(data);
            // Whatever its payload waited for has come.
            self.deadlines.arm(key, &mut data.armed, None);
            self.queue(key);
        }
    }

    /// Sends as much of a small download over a session's connection as that takes at once.
    pub(crate) fn send_small(&mut self, attached: Option<Key>, bytes: &[u8]) -> usize {
        let mut sent = 0;
        self.with(attached, |data| sent = data.send_small(bytes));
        sent
    }

    /// The command of an upload that has begun to come must follow soon.
    pub(crate) fn await_command(&mut self, key: Key, now: Instant) {
        if let Some(data) = self.slots.get_mut(key)
            && data.armed.is_none()
        {
            self.deadlines.arm(key, &mut data.armed, Some(now + STALL_WINDOW));
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next connection whose deadline has come.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Key> {
        let key = self.deadlines.pop_due(now)?;
        if let Some(data) = self.slots.get_mut(key) {
            data.armed = None;
        }
        Some(key)
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Puts a connection on the ready list if it can go on.
    pub(crate) fn queue(&mut self, key: Key) {
        if let Some(data) = self.slots.get_mut(key)
            && !data.queued
            && data.has_work()
        {
            data.queued = true;
            self.ready.push(data.address(), key);
        }
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.slow_files.begin_turn(now);
    }

    /// The next connection that is to be served. Some that were ready are gone.
    pub(crate) fn next_ready(&mut self) -> Option<Key> {
        let key = self.ready.pop()?;
        if let Some(data) = self.slots.get_mut(key) {
            data.queued = false;
        }
        Some(key)
    }

    /// Does one piece of work of a connection within the budget.
    pub(crate) fn serve(
        &mut self,
        key: Key,
        budget_bytes: u64,
        readers: &mut Readers,
        now: Instant,
    ) -> Served {
        let Self { slots, memory, slow_files, scratch, .. } = self;
        let Some(data) = slots.get_mut(key).filter(|data| data.has_work()) else { return Served::Nothing };
        let mut taken = None;
        if data.needs_buffer() {
            taken = memory.take_for_upload(key);
            if taken.is_none() {
                data.starved = true;
                return Served::Nothing;
            }
        }
        let is_upload = taken.is_some();
        let buffer = taken.as_mut().unwrap_or(scratch);
        let budget_bytes = if is_upload { buffer.len() as u64 } else { budget_bytes };
        let read_buffers = memory.reads();
        let step = data.step(&mut Turn { budget_bytes, buffer, read_buffers, slow_files, readers, now });
        match (step, taken) {
            (Step::Filled { length }, Some(buffer)) => Served::Filled((buffer, length)),
            (step, taken) => {
                taken.into_iter().for_each(|buffer| self.take_back(buffer));
                self.note_step(key, step)
            }
        }
    }

    fn note_step(&mut self, key: Key, step: Step) -> Served {
        match step {
            Step::Blocked => {
                self.note_holder(key);
                Served::Nothing
            }
            Step::Starved { device } => {
                self.starve(key, device);
                Served::Nothing
            }
            step @ (Step::Connected
            | Step::Presented(_)
            | Step::Moved(_)
            | Step::Cold { .. }
            | Step::Read { .. }
            | Step::Filled { .. }
            | Step::Trailer(_)
            | Step::SendFailed(_)
            | Step::Ended(_)) => Served::Step(step),
        }
    }

    pub(crate) fn memory(&mut self) -> &mut PayloadMemory {
        &mut self.memory
    }

    /// Takes back what a transfer has held.
    pub(crate) fn free(&mut self, Freed { small_bytes, buffers }: Freed) {
        self.memory.free_small(small_bytes);
        buffers.into_iter().for_each(|buffer| self.take_back(buffer));
    }

    /// A buffer has come back; the upload that has waited longest for one may try again.
    pub(crate) fn take_back(&mut self, buffer: Vec<u8>) {
        self.memory.give_back(buffer);
        while let Some(key) = self.memory.next_upload() {
            if let Some(data) = self.slots.get_mut(key) {
                data.starved = false;
                // One whose upload was refused meanwhile can do without.
                let is_taken = data.needs_buffer();
                self.queue(key);
                if is_taken {
                    return;
                }
            }
        }
    }

    /// Has downloads go on for which there is a buffer again.
    pub(crate) fn feed_waiting_reads(&mut self) {
        if !self.memory.has_waiting_reads() {
            return;
        }
        for key in self.memory.take_fed_reads() {
            if let Some(data) = self.slots.get_mut(key) {
                data.starved = false;
                self.queue(key);
            }
        }
    }

    /// Has a download wait for a buffer, or takes one from a download whose peer does not take what is in it.
    fn starve(&mut self, key: Key, device: u64) {
        if let Some(data) = self.slots.get_mut(key) {
            data.starved = true;
            self.memory.await_read(key, device);
        }
        while let Some(holder) = self.memory.next_holder() {
            if let Some(data) = self.slots.get_mut(holder) {
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
        let Some(data) = self.slots.get_mut(key).filter(|data| data.holds_back_buffers()) else { return };
        if self.memory.has_waiting_reads() {
            data.give_up_buffers();
        } else if !data.is_holder {
            data.is_holder = true;
            self.memory.note_holder(key);
        }
    }
}
