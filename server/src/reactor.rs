//! The reactor: one thread, one poll, one fixed sequence per turn.
//!
//! The way of the data has no back and forth: readiness is latched, connections on the ready lists are
//! served within their budgets, what they found out goes to their session as facts, and what the session
//! wants done is performed until it wants nothing more. Only sessions answer; connections never touch
//! one another. No call here waits for anything but the poll.

mod accepting;
mod complete;
mod digests;
mod giving_way;
mod keeping;
mod perform;
mod ready;
mod rotation;
mod sessions;
mod step;
mod transfers;

use crate::admission::data_slots::DataSlots;
use crate::admission::descriptors::DescriptorPlan;
use crate::admission::file_queue::FileQueue;
use crate::admission::giving_way::GivingWay;
use crate::admission::input_budget::InputBudget;
use crate::admission::payload_memory::PayloadMemory;
use crate::admission::roster::Roster;
use crate::admission::unticketed::Unticketed;
use crate::asker::Asker;
use crate::config::Config;
use crate::connection::control::Control;
use crate::connection::data::Data;
use crate::connection::data::slow_files::SlowFiles;
use crate::disk::Disk;
use crate::limits::{
    CONTROL_READ_BYTES, DISK_FINISH_TIMEOUT, TURN_EVENTS, TURN_STEP_TIME, UPLOAD_BUFFER_BYTES,
};
use crate::logging::LogWriter;
use crate::net::acceptor::Acceptor;
use crate::net::address::Address;
use crate::net::deadlines::{Deadlines, Timer};
use crate::net::signals::{Signals, Taken};
use crate::net::slots::{Key, Slots};
use crate::peer_log::PeerLog;
use crate::rendezvous::tickets::Tickets;
use crate::store::digest_cache::Digests;
use crate::store::folder::Folder;
use crate::store::kept_uploads::Uploads;
use crate::store::readers::Readers;
use digests::DigestNews;
use ferry_common::limits::SHUTDOWN_GRACE;
use ferry_session::Policy;
use ferry_session::fact::{Fact, Scarcity};
use mio::{Events, Poll, Token, Waker};
use ready::ReadyList;
use rotation::Rotation;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step::Ended;

/// Tokens below 2^32 are the listeners' places and these three; connections have a generation above that.
const WAKER: Token = Token(u32::MAX as usize - 1);
const SIGNALS: Token = Token(u32::MAX as usize);
const MOUNTS: Token = Token(u32::MAX as usize - 2);
/// Tells the tokens of data connections from those of control connections.
const DATA_BIT: u64 = 1 << 31;
/// What a shell reports for a program that SIGINT ended; the status after a second signal to stop.
const INTERRUPTED: i32 = 130;

pub(crate) struct Reactor {
    poll: Poll,
    acceptor: Acceptor,
    signals: Signals,
    log_writer: LogWriter,
    peer_log: PeerLog,
    folder: Arc<Folder>,
    disk: Disk,
    digests: Digests,
    /// What sessions are still to be told of digests: each has one piece of news a second at most.
    digest_news: VecDeque<(Asker, DigestNews)>,
    uploads: Uploads,
    file_queue: FileQueue,
    /// When something that is kept of an upload will be too old.
    sweep_at: Option<Instant>,
    policy: Policy,
    controls: Slots<Control>,
    /// Those of them that are sessions. The others are being told their last.
    roster: Roster,
    sessions_giving_way: GivingWay,
    /// The others, in the order in which they became that. Some may be gone.
    leaving: VecDeque<Key>,
    datas: Slots<Data>,
    unticketed: Unticketed,
    input_budget: InputBudget,
    tickets: Tickets,
    data_slots: DataSlots,
    transfers_giving_way: GivingWay,
    deadlines: Deadlines,
    ready_controls: ReadyList,
    /// Counts the turns.
    turn_number: u64,
    /// A step of this turn has left something for the next.
    is_cut_short: bool,
    ready_datas: Rotation,
    payload_memory: PayloadMemory,
    slow_files: SlowFiles,
    readers: Readers,
    /// What is read from control connections, and what is read to be dropped.
    scratch: Vec<u8>,
    /// When running transfers are cut off, once the server was asked to stop.
    stop_at: Option<Instant>,
    is_finished: bool,
}

impl Reactor {
    pub(crate) fn new(
        folder: Folder,
        mut acceptor: Acceptor,
        plan: DescriptorPlan,
        config: &Config,
        log_writer: LogWriter,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        acceptor.register(poll.registry())?;
        let mut signals = Signals::new(INTERRUPTED)?;
        signals.register(poll.registry(), SIGNALS)?;
        let folder = Arc::new(folder);
        let disk = Disk::start(&folder, Waker::new(poll.registry(), WAKER)?)?;
        disk.watch_mounts(poll.registry(), MOUNTS)?;
        let Config { read_only, no_overwrite, .. } = *config;
        let policy = Policy { data_port: acceptor.data_port, read_only, no_overwrite };
        let sweep_at = (!read_only).then(Instant::now);
        Ok(Self {
            poll,
            acceptor,
            signals,
            log_writer,
            peer_log: PeerLog::default(),
            folder,
            disk,
            digests: Digests::default(),
            digest_news: VecDeque::new(),
            uploads: Uploads::default(),
            file_queue: FileQueue::default(),
            sweep_at,
            policy,
            controls: Slots::new(),
            roster: Roster::new(plan.sessions),
            sessions_giving_way: GivingWay::default(),
            leaving: VecDeque::new(),
            datas: Slots::new(),
            unticketed: Unticketed::default(),
            input_budget: InputBudget::default(),
            tickets: Tickets::default(),
            data_slots: DataSlots::new(plan.data_slots),
            transfers_giving_way: GivingWay::default(),
            deadlines: Deadlines::default(),
            ready_controls: ReadyList::default(),
            turn_number: 0,
            is_cut_short: false,
            ready_datas: Rotation::default(),
            payload_memory: PayloadMemory::default(),
            slow_files: SlowFiles::default(),
            readers: Readers::default(),
            scratch: vec![0; CONTROL_READ_BYTES.max(UPLOAD_BUFFER_BYTES)],
            stop_at: None,
            is_finished: false,
        })
    }

    /// Serves until a signal ends it.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(TURN_EVENTS);
        loop {
            self.turn(&mut events)?;
            if self.is_finished {
                return Ok(());
            }
        }
    }

    /// Lets go of every session, keeps what has come of their uploads, and waits a bounded time for the disk
    /// threads to be done with that. Gives back the log, which is to be ended last.
    pub(crate) fn finish(mut self) -> LogWriter {
        for key in self.controls.keys() {
            self.release(key);
        }
        let Self { disk, folder, log_writer, .. } = self;
        drop(folder);
        if !disk.finish(DISK_FINISH_TIMEOUT) {
            log::warn!("The disk did not finish in time; what it was doing is looked at at the next start");
        }
        log_writer
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.timeout(Instant::now());
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let now = Instant::now();
        self.turn_number += 1;
        self.is_cut_short = false;
        self.latch(events, now);
        self.collect_completions(now);
        self.answer_digests(now);
        // Data first: the end of an idle data connection is to be known before the command that follows it.
        self.serve_datas(now);
        self.feed_waiting_reads();
        self.serve_controls(now);
        self.bound_input(now);
        self.fire_deadlines(now);
        self.accept(now);
        self.admit_data(now);
        self.answer_seekers(now);
        self.admit_files(now);
        self.look_for_finish(now);
        Ok(())
    }

    /// Does pieces of one step until `piece` tells that there was none, or until the time of the step is over: then the next
    /// turn comes at once.
    fn step(&mut self, time: Duration, mut piece: impl FnMut(&mut Self) -> bool) {
        if step::run(time, Instant::now, || piece(self)) == Ended::CutShort {
            self.is_cut_short = true;
        }
    }

    /// How long the poll may sleep: not at all while there is work, else until the next deadline.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let busy = self.is_cut_short
            || !self.ready_controls.is_empty()
            || self.disk.has_completions()
            || !self.ready_datas.is_empty()
            || self.acceptor.is_ready();
        if busy {
            return Some(Duration::ZERO);
        }
        let next = [
            self.deadlines.next(),
            self.acceptor.due(),
            self.stop_at,
            self.sweep_at,
            self.peer_log.due(),
            self.uploads.due(),
            self.file_queue.due(),
            self.transfers_giving_way.due(),
            self.disk.due(),
        ]
        .into_iter()
        .flatten()
        .min();
        next.map(|due| due.saturating_duration_since(now))
    }

    fn latch(&mut self, events: &Events, now: Instant) {
        for event in events {
            match event.token() {
                WAKER => self.disk.acknowledge_wake(),
                MOUNTS => self.disk.handle_mounts_changed(),
                SIGNALS => self.handle_signals(now),
                Token(place) if place <= u32::MAX as usize => self.acceptor.handle_ready(place),
                Token(bits) => {
                    let bits = bits as u64;
                    let key = Key::from_bits(bits & !DATA_BIT);
                    // A token that names nobody is of a connection that was closed meanwhile.
                    if bits & DATA_BIT == 0 {
                        if let Some(control) = self.controls.get_mut(key) {
                            control.socket.latch(event);
                            self.queue_control(key);
                        }
                    } else if let Some(data) = self.datas.get_mut(key) {
                        data.socket.latch(event);
                        self.queue_data(key);
                    }
                }
            }
        }
    }

    fn handle_signals(&mut self, now: Instant) {
        let Taken { stops, hangups } = self.signals.take();
        let is_reopened = hangups > 0 && self.log_writer.reopen();
        // Without a file to be opened again, SIGHUP says that the terminal is gone.
        if (stops > 0 || hangups > 0 && !is_reopened) && self.stop_at.is_none() {
            self.begin_stop(now);
        }
    }

    fn begin_stop(&mut self, now: Instant) {
        log::info!("Stopping; running transfers have {} s to finish", SHUTDOWN_GRACE.as_secs());
        self.stop_at = Some(now + SHUTDOWN_GRACE);
        self.acceptor.close_control();
        for key in self.controls.keys() {
            if let Some(control) = self.controls.get_mut(key) {
                control.session.handle(Fact::Shutdown, now);
                self.drive(key, now);
            }
        }
    }

    fn fire_deadlines(&mut self, now: Instant) {
        self.acceptor.end_pause(now);
        self.sweep_if_due(now);
        self.peer_log.tell_left_out(now);
        self.disk.refuse_unanswered(now);
        self.step(TURN_STEP_TIME, |reactor| match reactor.deadlines.pop_due(now) {
            Some(timer) => {
                reactor.handle_timer(timer, now);
                true
            }
            None => false,
        });
    }

    fn handle_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Control(key) => {
                if let Some(control) = self.controls.get_mut(key) {
                    control.armed = None;
                    if control.is_open() {
                        control.session.handle(Fact::Timeout, now);
                    } else {
                        control.abort();
                    }
                    self.drive(key, now);
                }
            }
            Timer::Data(key) => self.handle_data_timeout(key, now),
        }
    }

    /// Ends sessions that hold lines without their end where all hold too much input.
    fn bound_input(&mut self, now: Instant) {
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.input_budget.to_end() else { return false };
            let Some(control) = reactor.controls.get_mut(key) else { return false };
            control.session.handle(Fact::CrowdedOut(Scarcity::Memory), now);
            reactor.drive(key, now);
            true
        });
    }

    /// Puts a control connection on the ready list if it can go on.
    fn queue_control(&mut self, key: Key) {
        if let Some(control) = self.controls.get_mut(key)
            && !control.queued
            && (control.has_work() || control.socket.is_write_closed())
        {
            control.queued = true;
            let address = Address::from(control.socket.peer());
            // A session that has had a turn in this one, or has lines at hand, comes behind those that have just become ready.
            if control.session.is_paused() || control.served_in == self.turn_number {
                self.ready_controls.continuing.push(address, key);
            } else {
                self.ready_controls.fresh.push(address, key);
            }
        }
    }

    /// Puts a data connection on the ready list if it can go on.
    fn queue_data(&mut self, key: Key) {
        if let Some(data) = self.datas.get_mut(key)
            && !data.queued
            && data.has_work()
        {
            data.queued = true;
            self.ready_datas.push(Address::from(data.socket.peer()), key);
        }
    }

    fn look_for_finish(&mut self, now: Instant) {
        let Some(stop_at) = self.stop_at else { return };
        let open = self.controls.entries().filter(|(_, control)| control.is_open()).count();
        if open == 0 || now >= stop_at {
            if open > 0 {
                log::warn!("{open} sessions were cut off");
            }
            self.is_finished = true;
        }
    }
}

fn control_token(key: Key) -> Token {
    Token(usize::try_from(key.to_bits()).unwrap_or(usize::MAX))
}

fn data_token(key: Key) -> Token {
    Token(usize::try_from(key.to_bits() | DATA_BIT).unwrap_or(usize::MAX))
}
