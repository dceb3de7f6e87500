//! Carries out a plan: one poll, one thread, all members of it. It measures nothing.

use super::member::{Member, Turn};
use super::plan::{Flow, Leave, Plan, Port, Read};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How often time is told to members that keep a pace.
const TICK: Duration = Duration::from_millis(20);
const SCRATCH_BYTES: usize = 64 * 1024;
/// A slow reader must not have the file in its socket's buffer.
const SLOW_BUFFER_BYTES: usize = 4096;

/// Where a crowd goes, and from where it comes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub control: SocketAddr,
    pub data: SocketAddr,
    /// The first address of the members, who are spread over those behind it; else they come from where the system has
    /// them come from.
    pub from: Option<IpAddr>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    plan: Plan,
    target: Target,
    members: Slab<Member>,
    /// Members to be made. Numbers are used again, so that uploads replace one another.
    vacant: VecDeque<usize>,
    ready: VecDeque<usize>,
    connects_left: usize,
    scratch: Vec<u8>,
    /// Members that were made, and connects that failed.
    begun: u64,
    failed: u64,
}

impl Crowd {
    pub fn new(plan: Plan, target: Target) -> io::Result<Self> {
        let vacant = (0..plan.members).collect();
        Ok(Self {
            poll: Poll::new()?,
            plan,
            target,
            members: Slab::new(),
            vacant,
            ready: VecDeque::new(),
            connects_left: 0,
            scratch: vec![0; SCRATCH_BYTES],
            begun: 0,
            failed: 0,
        })
    }

    /// Goes on until `until`; `settled` is called once, when all members were begun.
    pub fn run(&mut self, mut until: impl FnMut() -> bool, settled: impl FnOnce()) -> io::Result<()> {
        let mut events = Events::with_capacity(4096);
        let (started, mut settled) = (Instant::now(), Some(settled));
        let mut last_tick = started;
        while !until() {
            let timeout = if self.ready.is_empty() { TICK } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                let key = event.token().0;
                if let Some(member) = self.members.get_mut(key) {
                    member.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    member.writable |= event.is_writable();
                    self.enqueue(key);
                }
            }
            let now = Instant::now();
            if now >= last_tick + TICK {
                self.tick(started, last_tick, now);
                last_tick = now;
            }
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.serve(key);
                }
            }
            self.connect_more();
            if self.begun >= self.plan.members as u64
                && let Some(settled) = settled.take()
            {
                settled();
            }
        }
        Ok(())
    }

    /// How many connections were begun, and how many could not be.
    pub fn counts(&self) -> (u64, u64) {
        (self.begun, self.failed)
    }

    fn tick(&mut self, started: Instant, last: Instant, now: Instant) {
        let seconds = |at: Instant| (at - started).as_secs();
        self.connects_left =
            (self.plan.connects_per_second as u128 * (now - last).as_millis() / 1000) as usize;
        let mut due = Vec::new();
        for (key, member) in &mut self.members {
            member.pass(now - last, seconds(last), seconds(now));
            if member.is_due(now) {
                due.push(key);
            } else if !member.queued && member.has_work() {
                member.queued = true;
                self.ready.push_back(key);
            }
        }
        due.into_iter().for_each(|key| self.remove(key));
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(member) = self.members.get_mut(key)
            && !member.queued
        {
            member.queued = true;
            self.ready.push_back(key);
        }
    }

    fn serve(&mut self, key: usize) {
        let Some(member) = self.members.get_mut(key) else { return };
        member.queued = false;
        if matches!(self.plan.leave, Leave::AtOnce { .. }) && member.writable {
            return self.remove(key);
        }
        match member.turn(&mut self.scratch) {
            Turn::Waits => {}
            Turn::GoesOn => self.enqueue(key),
            Turn::Offered { port, ticket } => {
                self.open_data(key, port, ticket);
                self.enqueue(key);
            }
            Turn::Ended => self.remove(key),
        }
    }

    fn connect_more(&mut self) {
        while self.connects_left > 0 {
            let Some(number) = self.vacant.pop_front() else { return };
            self.connects_left -= 1;
            let to = match self.plan.port {
                Port::Control => self.target.control,
                Port::Data => self.target.data,
                Port::Both if number % 2 == 0 => self.target.control,
                Port::Both => self.target.data,
            };
            let (flow, leave) = (self.plan.flow.clone(), self.plan.leave);
            self.begun += 1;
            if self.add(to, number, Vec::new(), &flow, leave).is_err() {
                self.failed += 1;
                self.vacant.push_back(number);
            }
        }
    }

    fn open_data(&mut self, session: usize, port: u16, mut ticket: Vec<u8>) {
        let Some(flow) = self.plan.data.clone() else { return };
        let Some(number) = self.members.get(session).map(|member| member.number) else { return };
        if let Some(old) = self.members.get_mut(session).and_then(|member| member.data.take()) {
            self.remove(old);
        }
        ticket.push(b'\n');
        let to = SocketAddr::new(self.target.control.ip(), port);
        match self.add(to, number, ticket, &flow, Leave::Never) {
            Ok(data) => {
                self.members[data].session = Some(session);
                self.members[session].data = Some(data);
            }
            Err(_) => self.failed += 1,
        }
    }

    fn add(
        &mut self,
        to: SocketAddr,
        number: usize,
        opening: Vec<u8>,
        flow: &Flow,
        leave: Leave,
    ) -> io::Result<usize> {
        let stream = connect(to, self.address_of(number), flow)?;
        let entry = self.members.vacant_entry();
        let key = entry.key();
        let member = entry.insert(Member::new(stream, number, opening, flow, leave));
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut member.stream, Token(key), interest)?;
        Ok(key)
    }

    fn remove(&mut self, key: usize) {
        let Some(member) = self.members.try_remove(key) else { return };
        if member.resets() {
            // Where it fails, the connection is closed all the same.
            let _ = SockRef::from(&member.stream).set_linger(Some(Duration::ZERO));
        }
        match member.session {
            Some(session) => {
                if let Some(session) = self.members.get_mut(session) {
                    session.data = None;
                }
            }
            None => self.vacant.push_back(member.number),
        }
        if let Some(data) = member.data {
            self.remove(data);
        }
    }

    fn address_of(&self, number: usize) -> Option<IpAddr> {
        let hosts = usize::from(self.plan.hosts.max(1));
        match self.target.from? {
            IpAddr::V4(first) => {
                let step = u32::try_from(number % hosts).unwrap_or(0);
                Some(IpAddr::V4((u32::from(first) + step).into()))
            }
            IpAddr::V6(first) => Some(IpAddr::V6(first)),
        }
    }
}

fn connect(to: SocketAddr, from: Option<IpAddr>, flow: &Flow) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        // Ports of connections that have just ended are used again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    if !matches!(flow.read, Read::All) {
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(TcpStream::from_std(socket.into())),
    }
}
