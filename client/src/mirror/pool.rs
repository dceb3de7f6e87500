//! Several sessions with one server, on one poll: connects them, has them take turns, holds them to a pace, and connects
//! those again that were lost. What they are to do is the affair of a [`Job`].

use crate::engine::{Announcement, Loss, News, Payloads, Session, Stop, Tokens, Turn};
use crate::failure::Failure;
use crate::limits::{
    CONNECT_TIMEOUT, HELLO_TIMEOUT, POOL_EVENTS, POOL_SCRATCH_BYTES, POOL_TICK, REPLY_TIMEOUT,
    RETRY_FIRST_DELAY, RETRY_MAX_DELAY, STALL_TIMEOUT,
};
use crate::session::connect;
use crate::terminal::interrupt::Interrupts;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::limits::PROTOCOL_VERSION;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use mio::{Events, Poll, Token, Waker};
use rustix::process::{Resource, Rlimit};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);

/// Which of the sessions.
pub(crate) type Member = usize;

/// What the sessions are there for. A request belongs to the member that it was made on.
pub(crate) trait Job {
    /// Asks the session for as much as is good to have on its way. Called whenever something may have changed.
    fn refill(&mut self, member: Member, session: &mut Session) -> Result<(), Failure>;

    /// False where a session that is not connected need not be.
    fn wants(&self, member: Member) -> bool;

    // What comes in answer to requests that a job never makes needs no answer of it.

    fn announce(&mut self, _member: Member, _id: RequestId, _announced: Announcement) -> Result<(), Stop> {
        Err(Stop)
    }

    fn take(&mut self, _member: Member, _id: RequestId, _bytes: &[u8]) -> Result<(), Stop> {
        Err(Stop)
    }

    fn begin(&mut self, _member: Member, _id: RequestId, _offset: u64) -> Result<(), Stop> {
        Err(Stop)
    }

    fn fill(
        &mut self,
        _member: Member,
        _id: RequestId,
        _offset: u64,
        _into: &mut [u8],
    ) -> Result<usize, Stop> {
        Err(Stop)
    }

    fn trailer(&mut self, _member: Member, _id: RequestId) -> Result<Digest, Stop> {
        Err(Stop)
    }

    fn entry(&mut self, _member: Member, _id: RequestId, _entry: Entry) -> Result<(), Failure> {
        Ok(())
    }

    fn digest(&mut self, _member: Member, _id: RequestId, _length: u64, _digest: Digest) {}

    /// The server has got so much of the file of an upload; its word for it.
    fn received(&mut self, _member: Member, _id: RequestId, _bytes: u64) {}

    /// A request has ended. True where it has brought the job further.
    fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure>;

    /// The session is gone: none of its requests ends any more.
    fn lost(&mut self, member: Member) -> Result<(), Failure>;

    /// Does what is due beside the sessions.
    fn tick(&mut self) -> Result<Tick, Failure>;

    /// Shows how it goes.
    fn show(&mut self, course: Course);
}

/// What is left of a job beside the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// More can be done at once.
    More,
    /// Something is waited for.
    Waiting,
    Over,
}

/// What a display needs to know of the sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// Since when nothing has come or gone, not even a reply.
    pub(crate) silent_since: Instant,
    /// A connection was lost, and none stands.
    pub(crate) is_cut_off: bool,
}

/// See the module's documentation.
pub(crate) struct Pool {
    poll: Poll,
    waker: Arc<Waker>,
    peer: SocketAddr,
    interrupts: Arc<Interrupts>,
    retry_for: Duration,
    slots: Vec<Slot>,
    scratch: Box<[u8]>,
    outage: Option<Outage>,
    course: Course,
}

/// The place of one session.
struct Slot {
    state: State,
    /// Before the next attempt to connect.
    delay: Duration,
    /// What the session told when it was last looked at.
    moved: u64,
    /// When that had last changed, or nothing was owed.
    moved_at: Instant,
}

enum State {
    Idle,
    /// To be connected again then.
    Lost(Instant),
    Greeting(Session),
    Ready(Session),
}

/// The time since the job has last come further.
struct Outage {
    since: Instant,
    reason: Failure,
}

/// Hands the payloads of one member to the job.
struct Payload<'a, 'b> {
    job: &'a mut (dyn Job + 'b),
    member: Member,
}

impl Payloads for Payload<'_, '_> {
    fn announce(&mut self, id: RequestId, announced: Announcement) -> Result<(), Stop> {
        self.job.announce(self.member, id, announced)
    }

    fn take(&mut self, id: RequestId, _offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        self.job.take(self.member, id, bytes)
    }

    fn begin(&mut self, id: RequestId, offset: u64) -> Result<(), Stop> {
        self.job.begin(self.member, id, offset)
    }

    fn fill(&mut self, id: RequestId, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        self.job.fill(self.member, id, offset, into)
    }

    fn trailer(&mut self, id: RequestId) -> Result<Digest, Stop> {
        self.job.trailer(self.member, id)
    }
}

impl Pool {
    pub(crate) fn new(
        peer: SocketAddr,
        members: usize,
        retry_for: Duration,
        interrupts: &Arc<Interrupts>,
    ) -> Result<Self, Failure> {
        Self::build(peer, members, retry_for, interrupts).map_err(|error| {
            Failure::Local(format!("Cannot watch the network: {}", connect::describe(&error)))
        })
    }

    fn build(
        peer: SocketAddr,
        members: usize,
        retry_for: Duration,
        interrupts: &Arc<Interrupts>,
    ) -> io::Result<Self> {
        allow_descriptors();
        let poll = Poll::new()?;
        let now = Instant::now();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        interrupts.wake(&waker);
        let idle = || Slot { state: State::Idle, delay: RETRY_FIRST_DELAY, moved: 0, moved_at: now };
        Ok(Self {
            waker,
            poll,
            peer,
            interrupts: Arc::clone(interrupts),
            retry_for,
            slots: std::iter::repeat_with(idle).take(members).collect(),
            scratch: vec![0; POOL_SCRATCH_BYTES].into_boxed_slice(),
            outage: None,
            course: Course { silent_since: now, is_cut_off: false },
        })
    }

    /// For threads that work for the job: has it tick.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn members(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    /// Sees the job through.
    pub(crate) fn run(&mut self, job: &mut dyn Job) -> Result<(), Failure> {
        let mut events = Events::with_capacity(POOL_EVENTS);
        loop {
            self.interrupts.check()?;
            let mut has_work = match job.tick()? {
                Tick::Over => return Ok(()),
                Tick::More => true,
                Tick::Waiting => false,
            };
            for member in 0..self.slots.len() {
                has_work |= self.serve(member, job)?;
            }
            self.check_outage()?;
            self.course.is_cut_off = self.outage.is_some() && !self.slots.iter().any(Slot::is_ready);
            job.show(self.course);
            let timeout = if has_work { Duration::ZERO } else { POOL_TICK };
            self.wait(&mut events, timeout)?;
            for event in events.iter().filter(|event| event.token() != WAKER) {
                let slot = self.slots.get_mut(event.token().0 / 2);
                if let Some(session) = slot.and_then(Slot::session_mut) {
                    session.latch(event);
                }
            }
        }
    }

    /// Waits for what threads do for a job whose sessions are of no more use.
    pub(crate) fn settle(&mut self, mut tick: impl FnMut() -> Tick) -> Result<(), Failure> {
        let mut events = Events::with_capacity(POOL_EVENTS);
        loop {
            if self.interrupts.signals() > 1 || self.interrupts.is_terminating() {
                return Err(Failure::Interrupted);
            }
            match tick() {
                Tick::Over => return Ok(()),
                Tick::More => {}
                Tick::Waiting => self.wait(&mut events, POOL_TICK)?,
            }
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Duration) -> Result<(), Failure> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let reason = connect::describe(&error);
                Err(Failure::Local(format!("Cannot wait for the network: {reason}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// True where the member could do more at once, or what it did may give others something to do.
    fn serve(&mut self, member: Member, job: &mut dyn Job) -> Result<bool, Failure> {
        let now = Instant::now();
        let slot = &mut self.slots[member];
        match &mut slot.state {
            State::Idle if !job.wants(member) => return Ok(false),
            State::Lost(until) if now < *until || !job.wants(member) => return Ok(false),
            State::Idle | State::Lost(_) => return self.connect(member, job).map(|()| true),
            State::Greeting(_) => {}
            State::Ready(session) => job.refill(member, session)?,
        }
        let Some(session) = slot.session_mut() else { return Ok(false) };
        let (registry, scratch) = (self.poll.registry(), &mut *self.scratch);
        let mut turn = Turn { registry, scratch, received_bytes: 0, sent_bytes: 0 };
        session.turn(&mut turn, &mut Payload { job, member });
        if session.wants_connect() {
            session.retry_connect(self.poll.registry());
        }
        let moved = session.moved();
        self.hear(member, job)?;
        let has_moved = self.slots[member].moved != moved;
        self.watch(member, now, job)?;
        Ok(has_moved || self.slots[member].session_mut().is_some_and(|session| session.has_work()))
    }

    fn connect(&mut self, member: Member, job: &mut dyn Job) -> Result<(), Failure> {
        let tokens = Tokens { control: Token(member * 2), data: Token(member * 2 + 1) };
        match Session::connect(self.peer, tokens, self.poll.registry()) {
            Ok(mut session) => {
                session.request(Command::Hello { version: Some(PROTOCOL_VERSION) });
                let slot = &mut self.slots[member];
                slot.state = State::Greeting(session);
                slot.moved = 0;
                slot.moved_at = Instant::now();
                Ok(())
            }
            Err(error) => self.lose(member, self.cannot_connect(&error), job),
        }
    }

    /// Passes what has happened on.
    fn hear(&mut self, member: Member, job: &mut dyn Job) -> Result<(), Failure> {
        while let Some(news) = self.slots[member].session_mut().and_then(Session::poll_news) {
            match news {
                News::Connected
                | News::Info { .. }
                | News::Space { .. }
                | News::Session { .. }
                | News::Totals { .. }
                | News::DataClosed
                | News::DataLost { loss: Loss::Ended, .. } => {}
                News::ConnectFailed(error) => {
                    return self.lose(member, self.cannot_connect(&error), job);
                }
                News::DataLost { loss: Loss::Connect(error), .. } => {
                    return self.lose(member, self.data_unreachable(&error), job);
                }
                News::DataLost { loss: Loss::Excess, .. } => {
                    return Err(self.violation("it sent more of a file than it had announced"));
                }
                News::Done { result, .. } if self.slots[member].is_greeting() => match result {
                    Ok(_) => self.slots[member].greet(),
                    Err(failure) => {
                        let reason = format!("The server at {} refuses: {failure}", self.peer);
                        return self.lose(member, Failure::ConnectionLost(reason), job);
                    }
                },
                News::Done { id, result } => {
                    if job.done(member, id, result)? {
                        self.outage = None;
                        self.slots[member].delay = RETRY_FIRST_DELAY;
                    }
                }
                News::Entry { id, entry } => job.entry(member, id, entry)?,
                News::Received { id, bytes } => job.received(member, id, bytes),
                News::Digest { id, length, digest } => job.digest(member, id, length, digest),
                News::ControlLost { .. } => {
                    let reason = format!("The connection to {} was lost", self.peer);
                    return self.lose(member, Failure::ConnectionLost(reason), job);
                }
                News::Violation(what) => return Err(self.violation(&what)),
            }
        }
        Ok(())
    }

    /// Lets go of a session that does not move.
    fn watch(&mut self, member: Member, now: Instant, job: &mut dyn Job) -> Result<(), Failure> {
        let slot = &mut self.slots[member];
        let (is_greeting, seen) = (slot.is_greeting(), slot.moved);
        let Some(session) = slot.session_mut() else { return Ok(()) };
        let (moved, is_busy) = (session.moved(), session.is_busy());
        let timeout = if is_greeting && moved > 0 {
            HELLO_TIMEOUT
        } else if is_greeting || session.is_connecting_data() {
            CONNECT_TIMEOUT
        } else if session.is_moving() {
            STALL_TIMEOUT
        } else {
            REPLY_TIMEOUT
        };
        if moved != seen {
            self.course.silent_since = now;
        }
        if moved != seen || !is_busy {
            slot.moved = moved;
            slot.moved_at = now;
        } else if now.saturating_duration_since(slot.moved_at) > timeout {
            let reason = format!("{} does not answer", self.peer);
            return self.lose(member, Failure::ConnectionLost(reason), job);
        }
        Ok(())
    }

    fn lose(&mut self, member: Member, reason: Failure, job: &mut dyn Job) -> Result<(), Failure> {
        let slot = &mut self.slots[member];
        slot.state = State::Lost(Instant::now() + slot.delay);
        slot.delay = slot.delay.saturating_mul(2).min(RETRY_MAX_DELAY);
        self.outage.get_or_insert_with(|| Outage { since: Instant::now(), reason });
        job.lost(member)
    }

    /// Ends the run where the job has not come further for as long as a lost connection is borne.
    fn check_outage(&mut self) -> Result<(), Failure> {
        match self.outage.take() {
            Some(outage) if outage.since.elapsed() >= self.retry_for => Err(outage.reason),
            outage => {
                self.outage = outage;
                Ok(())
            }
        }
    }

    fn cannot_connect(&self, error: &io::Error) -> Failure {
        let reason = connect::describe(error);
        Failure::ConnectionLost(format!("Cannot connect to {}: {reason}", self.peer))
    }

    fn data_unreachable(&self, error: &io::Error) -> Failure {
        Failure::DataUnreachable(format!(
            "Cannot connect to {}, where the server awaits file data: {}; is this port open in its firewall?",
            self.peer.ip(),
            connect::describe(error)
        ))
    }

    fn violation(&self, what: &str) -> Failure {
        Failure::Violation(format!("{} breaks the protocol: {what}", self.peer))
    }
}

/// Every small file that is on its way has a descriptor, more than many systems give by default.
fn allow_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Where it cannot be raised, fewer files are named together.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

impl Slot {
    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Greeting(session) | State::Ready(session) => Some(session),
            State::Idle | State::Lost(_) => None,
        }
    }

    fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting(_))
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    fn greet(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Greeting(session) => State::Ready(session),
            other @ (State::Idle | State::Lost(_) | State::Ready(_)) => other,
        };
    }
}
