//! The loop that moves all clients: one poll, one thread. Owns the slots, the phases of the run and the
//! time; what a client says and verifies is its own.

use super::cli::Config;
use super::client::{Client, Grant, Notice, Ready, Shared};
use super::lease::Pool;
use super::plan;
use super::report::{FailureKind, Report};
use ferry_client::engine::is_shortage;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const STDIN_TOKEN: Token = Token(usize::MAX - 1);
const STDIN_DESCRIPTOR: i32 = 0;
/// Descriptors that are not connections of clients.
const OTHER_DESCRIPTORS: usize = 64;
const SCRATCH_BYTES: usize = 64 * 1024;
/// Most clients without a transfer that are served between two polls.
const OTHERS_PER_TURN: usize = 64;
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the slow checks run: of connects and closes that take too long.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How soon a connect that found no free port is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Driver {
    poll: Poll,
    address: SocketAddr,
    shared: Shared,
    clients: Slab<Client>,
    ready: Ready,
    phase: Phase,
    started: Instant,
    phase_began: Instant,
    next_check: Instant,
    begun_connects: u32,
    connecting: u32,
    /// Clients that live and have not been greeted yet.
    ungreeted: u32,
    /// Clients that live and have done all their work.
    finished: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    HoldingIdle,
    Preparing,
    Working,
    Leaving,
    Over,
}

impl Driver {
    pub(crate) fn new(config: &Config, descriptors: usize) -> io::Result<Self> {
        let wanted = config.clients as usize;
        let left = descriptors.saturating_sub(OTHER_DESCRIPTORS + wanted);
        if left == 0 {
            let message = format!("{wanted} clients need more than the {descriptors} descriptors allowed");
            return Err(io::Error::other(message));
        }
        let permits = left.min(config.transfers as usize);
        let address = reachable_address(&config.host, config.port)?;
        let poll = Poll::new()?;
        let now = Instant::now();
        Ok(Self {
            address,
            shared: Shared {
                config: config.clone(),
                shared_path: plan::shared_path(config),
                registry: poll.registry().try_clone()?,
                report: Report::new(config.clients),
                names: Pool::new(0..config.names),
                permits: Pool::new(std::iter::repeat_n((), permits)),
                grants: Vec::new(),
                notices: Vec::new(),
                scratch: vec![0; SCRATCH_BYTES],
            },
            poll,
            clients: Slab::with_capacity(wanted),
            ready: Ready::default(),
            phase: Phase::Connecting,
            started: now,
            phase_began: now,
            next_check: now,
            begun_connects: 0,
            connecting: 0,
            ungreeted: 0,
            finished: 0,
        })
    }

    pub(crate) fn run(mut self) -> io::Result<Report> {
        let mut events = Events::with_capacity(4096);
        let overall = self.shared.config.overall_timeout();
        while self.phase != Phase::Over {
            self.connect_more();
            if let Err(error) = self.poll.poll(&mut events, Some(self.poll_timeout()))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                self.latch(event);
            }
            self.serve_ready();
            let now = Instant::now();
            if now >= self.next_check {
                self.check_times(now);
            }
            self.deliver();
            self.advance_phase(now)?;
            if now - self.started > overall {
                self.give_up();
            }
        }
        Ok(self.shared.report)
    }

    fn poll_timeout(&self) -> Duration {
        if !self.ready.transfers.is_empty() || !self.ready.others.is_empty() {
            return Duration::ZERO;
        }
        self.next_check.saturating_duration_since(Instant::now())
    }

    fn connect_more(&mut self) {
        while self.begun_connects < self.shared.config.clients
            && self.connecting < self.shared.config.connects
        {
            let slot = self.clients.vacant_entry();
            let key = slot.key();
            match Client::connect(key, self.begun_connects, self.address, &self.shared.registry) {
                Ok(client) => {
                    slot.insert(client);
                    self.begun_connects += 1;
                    self.connecting += 1;
                    self.ungreeted += 1;
                }
                Err(error) if is_shortage(&error) => {
                    self.next_check = self.next_check.min(Instant::now() + RETRY_INTERVAL);
                    return;
                }
                Err(error) => {
                    let detail = format!("client {}: {error}", self.begun_connects);
                    self.shared.report.fail(None, &FailureKind::ConnectFailed, &detail);
                    self.begun_connects += 1;
                }
            }
        }
    }

    fn latch(&mut self, event: &mio::event::Event) {
        if event.token() == STDIN_TOKEN {
            if self.phase == Phase::HoldingIdle && (event.is_read_closed() || stdin_ended()) {
                self.leave();
            }
            return;
        }
        let key = event.token().0 / 2;
        if let Some(client) = self.clients.get_mut(key) {
            client.latch(event);
            client.enqueue(&mut self.ready);
        }
    }

    /// Serves all that are in a transfer, and so few of the others that those do not have to wait long.
    fn serve_ready(&mut self) {
        for _ in 0..self.ready.transfers.len() {
            let key = self.ready.transfers.pop_front();
            self.serve(key);
        }
        for _ in 0..self.ready.others.len().min(OTHERS_PER_TURN) {
            let key = self.ready.others.pop_front();
            self.serve(key);
        }
    }

    fn serve(&mut self, key: Option<usize>) {
        let Some(client) = key.and_then(|key| self.clients.get_mut(key)) else { return };
        let was_connecting = client.is_connecting();
        client.dequeued();
        if client.turn(&mut self.shared) {
            client.enqueue(&mut self.ready);
        }
        if was_connecting && !client.is_connecting() {
            self.connecting -= 1;
        }
    }

    fn check_times(&mut self, now: Instant) {
        let mut interval = CHECK_INTERVAL;
        for (_, client) in &mut self.clients {
            let was_connecting = client.is_connecting();
            client.check_time(now, &mut self.shared);
            if was_connecting && !client.is_connecting() {
                self.connecting -= 1;
            }
            if client.wants_data_connect() {
                interval = RETRY_INTERVAL;
            }
        }
        self.next_check = now + interval;
    }

    /// Gives the clients what they waited for, and takes in what they tell, until neither is left.
    fn deliver(&mut self) {
        loop {
            if let Some((key, grant)) = self.shared.grants.pop() {
                let shared = &mut self.shared;
                if self.clients.get_mut(key).is_some_and(|client| client.accept(grant, shared)) {
                    self.clients[key].enqueue(&mut self.ready);
                } else {
                    self.pass_on(grant);
                }
            } else if let Some((key, notice)) = self.shared.notices.pop() {
                self.take_notice(key, notice);
            } else {
                return;
            }
        }
    }

    fn pass_on(&mut self, grant: Grant) {
        let next = match grant {
            Grant::Name(name) => {
                self.shared.names.give_back(name).map(|(key, name)| (key, Grant::Name(name)))
            }
            Grant::Permit => self.shared.permits.give_back(()).map(|(key, ())| (key, Grant::Permit)),
        };
        self.shared.grants.extend(next);
    }

    fn take_notice(&mut self, key: usize, notice: Notice) {
        match notice {
            Notice::Greeted => {
                self.ungreeted -= 1;
                let open = self.clients.len() as u32 - self.ungreeted;
                self.shared.report.peak_sessions = self.shared.report.peak_sessions.max(open);
            }
            Notice::SharedUploaded => {
                self.enter(Phase::Working);
                self.for_each_client(Client::begin_next);
            }
            Notice::Finished => self.finished += 1,
            Notice::Gone => {
                let client = self.clients.remove(key);
                self.ungreeted -= u32::from(!client.has_greeted());
                self.finished -= u32::from(client.has_finished());
                if self.phase == Phase::Preparing {
                    self.enter(Phase::Connecting);
                }
            }
        }
    }

    fn advance_phase(&mut self, now: Instant) -> io::Result<()> {
        let clients = self.shared.config.clients;
        match self.phase {
            Phase::Connecting if self.begun_connects == clients && self.ungreeted == 0 => {
                self.shared.report.connecting = now - self.started;
                match self.shared.config.hold_idle {
                    _ if self.clients.is_empty() => self.enter(Phase::Over),
                    Some(_) => self.hold_idle()?,
                    None => self.prepare(),
                }
            }
            Phase::HoldingIdle => {
                let seconds = self.shared.config.hold_idle.unwrap_or(0);
                if self.clients.is_empty() || now - self.phase_began >= Duration::from_secs(seconds) {
                    self.leave();
                }
            }
            Phase::Working if self.finished as usize >= self.clients.len() => {
                self.shared.report.working = now - self.phase_began;
                self.leave();
            }
            Phase::Leaving if self.clients.is_empty() => self.enter(Phase::Over),
            Phase::Connecting | Phase::Preparing | Phase::Working | Phase::Leaving | Phase::Over => {}
        }
        Ok(())
    }

    fn hold_idle(&mut self) -> io::Result<()> {
        println!("{} sessions idle", self.clients.len());
        io::stdout().flush()?;
        self.enter(Phase::HoldingIdle);
        match self.shared.registry.register(&mut SourceFd(&STDIN_DESCRIPTOR), STDIN_TOKEN, Interest::READABLE)
        {
            // What cannot be polled, such as a file, does not tell its end.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    /// One client uploads what all will download.
    fn prepare(&mut self) {
        self.enter(Phase::Preparing);
        if let Some((_, client)) = self.clients.iter_mut().next() {
            client.prepare(&mut self.shared);
            client.enqueue(&mut self.ready);
        }
    }

    fn leave(&mut self) {
        self.enter(Phase::Leaving);
        self.for_each_client(Client::leave);
    }

    fn give_up(&mut self) {
        self.shared.report.working = self.phase_began.elapsed();
        for (_, client) in &mut self.clients {
            client.give_up(&mut self.shared);
        }
        let never_begun = self.shared.config.clients - self.begun_connects;
        if never_begun > 0 {
            let detail = format!("{never_begun} clients had not begun to connect");
            self.shared.report.fail(None, &FailureKind::TimedOut, &detail);
        }
        self.enter(Phase::Over);
    }

    fn for_each_client(&mut self, call: impl Fn(&mut Client, &mut Shared)) {
        for (_, client) in &mut self.clients {
            call(client, &mut self.shared);
            client.enqueue(&mut self.ready);
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_began = Instant::now();
    }
}

/// The first address of the host that answers: `localhost` has two, and a server may listen on one.
pub(super) fn reachable_address(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// To be called when standard input is readable, so that the read does not wait.
fn stdin_ended() -> bool {
    let mut ignored = [0; 4096];
    matches!(io::stdin().lock().read(&mut ignored), Ok(0))
}
