//! The reactor: one thread, one poll, one fixed sequence per turn.
//!
//! The way of the data has no back and forth: readiness is latched, connections on the ready lists are
//! served within their budgets, what they found out goes to their session as facts, and what the session
//! wants done is performed until it wants nothing more. Only sessions answer; connections never touch
//! one another. No call here waits for anything but the poll.
//!
//! The reactor itself holds little: sessions, data connections, their rendezvous and files have owners, which know nothing
//! of one another. The reactor carries facts and actions between them.

mod accepting;
mod admitting;
mod complete;
mod driving;
mod moving;
mod perform;
mod reaching;
mod step;
mod stopping;

use crate::admission::descriptors::DescriptorPlan;
use crate::admission::file_queue::FileQueue;
use crate::config::Config;
use crate::connection::data_connections::DataConnections;
use crate::connection::sessions::Sessions;
use crate::connection::survey::Surveys;
use crate::files::Files;
use crate::limits::TURN_EVENTS;
use crate::logging::LogWriter;
use crate::net::acceptor::Acceptor;
use crate::net::signals::Signals;
use crate::net::slots::Key;
use crate::peer_log::PeerLog;
use crate::rendezvous::Rendezvous;
use crate::store::folder::Folder;
use ferry_session::Policy;
use ferry_session::dialect::ftp::FtpPolicy;
use mio::{Events, Poll, Token, Waker};
use std::io;
use std::time::{Duration, Instant};
use step::Ended;

/// Tokens below 2^32 are the listeners' places and these three; connections have a generation above that.
const WAKER: Token = Token(u32::MAX as usize - 1);
const SIGNALS: Token = Token(u32::MAX as usize);
const MOUNTS: Token = Token(u32::MAX as usize - 2);
/// Tells the tokens of data connections from those of control connections...
const DATA_BIT: u64 = 1 << 31;
/// ...and those of ports that are open for one data connection from both.
const PASSIVE_BIT: u64 = 1 << 30;
/// What a shell reports for a program that SIGINT ended; the status after a second signal to stop.
const INTERRUPTED: i32 = 130;

pub(crate) struct Reactor {
    poll: Poll,
    acceptor: Acceptor,
    signals: Signals,
    log_writer: LogWriter,
    peer_log: PeerLog,
    policy: Policy,
    ftp: FtpPolicy,
    sessions: Sessions,
    data: DataConnections,
    rendezvous: Rendezvous,
    files: Files,
    file_queue: FileQueue,
    surveys: Surveys,
    /// A step of this turn has left something for the next.
    is_cut_short: bool,
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
        let Config { read_only, no_overwrite, show_who, .. } = *config;
        let files = Files::start(folder, Waker::new(poll.registry(), WAKER)?, read_only)?;
        files.watch_mounts(poll.registry(), MOUNTS)?;
        Ok(Self {
            poll,
            signals,
            log_writer,
            peer_log: PeerLog::default(),
            policy: Policy { data_port: acceptor.data_port, read_only, no_overwrite, show_who },
            acceptor,
            sessions: Sessions::new(plan.sessions),
            data: DataConnections::new(),
            rendezvous: Rendezvous::new(plan.data_slots, config.ftp_passive_ports),
            ftp: FtpPolicy { address: config.ftp_address, no_active: config.ftp_no_active, read_only },
            files,
            file_queue: FileQueue::default(),
            surveys: Surveys::default(),
            is_cut_short: false,
            stop_at: None,
            is_finished: false,
        })
    }

    /// Serves until a signal ends it.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(TURN_EVENTS);
        while !self.is_finished {
            self.turn(&mut events)?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.timeout(Instant::now());
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let now = Instant::now();
        self.is_cut_short = false;
        self.sessions.begin_turn();
        self.latch(events, now);
        self.collect_completions(now);
        self.answer_digests(now);
        // Data first: the end of an idle data connection is to be known before the command that follows it.
        self.serve_data_connections(now);
        self.data.feed_waiting_reads();
        self.serve_sessions(now);
        self.answer_surveys(now);
        self.bound_input(now);
        self.fire_deadlines(now);
        self.accept(now);
        self.accept_expected(now);
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
        let is_busy = self.is_cut_short
            || self.sessions.has_ready()
            || !self.surveys.is_empty()
            || self.files.has_completions()
            || self.data.ready() > 0
            || self.acceptor.is_ready()
            || self.rendezvous.passive.has_ready() && !self.acceptor.is_paused();
        if is_busy {
            return Some(Duration::ZERO);
        }
        let next = [
            self.sessions.due(),
            self.data.due(),
            self.acceptor.due(),
            self.stop_at,
            self.peer_log.due(),
            self.file_queue.due(),
            self.rendezvous.due(),
            self.rendezvous.passive.due(),
            self.files.due(),
        ];
        let next = next.into_iter().flatten().min();
        next.map(|due| due.saturating_duration_since(now))
    }

    fn latch(&mut self, events: &Events, now: Instant) {
        for event in events {
            match event.token() {
                WAKER => self.files.acknowledge_wake(),
                MOUNTS => self.files.handle_mounts_changed(),
                SIGNALS => self.handle_signals(now),
                Token(place) if place <= u32::MAX as usize => self.acceptor.handle_ready(place),
                Token(bits) => {
                    let bits = bits as u64;
                    let key = Key::from_bits(bits & !(DATA_BIT | PASSIVE_BIT));
                    // A token that names no connection is of one that was closed meanwhile.
                    if bits & PASSIVE_BIT != 0 {
                        self.rendezvous.passive.handle_ready(key);
                    } else if bits & DATA_BIT == 0 {
                        if let Some(control) = self.sessions.get_mut(key) {
                            control.socket.latch(event);
                            self.sessions.queue(key);
                        }
                    } else if let Some(data) = self.data.get_mut(key) {
                        data.socket.latch(event);
                        self.data.queue(key);
                    }
                }
            }
        }
    }
}

/// What a poll tells of a connection by, or of a port.
fn token(key: Key, kind: u64) -> Token {
    Token(usize::try_from(key.to_bits() | kind).unwrap_or(usize::MAX))
}
