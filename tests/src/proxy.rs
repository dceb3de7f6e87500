//! A TCP proxy before a server, for its control and its data connections, that does to them what networks
//! do: it cuts, stalls or trickles one of them at a chosen byte, holds them all up there for as long as a test needs, or is slow.
//!
//! It writes its own data port into the `(data)` lines that pass. Threads end when their connections do, and
//! all of those end with the proxy.

mod slow;

pub use slow::Slowness;

use slow::{Lane, Queue};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a write waits for a peer that does not read before it looks at whether it is still wanted.
const WRITE_INTERVAL: Duration = Duration::from_millis(50);
/// How often a connection that is held up looks at whether its other direction has ended.
const HOLD_INTERVAL: Duration = Duration::from_millis(20);
/// How many bytes a trickle sends one by one before the link is as before.
const TRICKLE_BYTES: u64 = 64;
const CHUNK_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Control,
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both ends are told that the other one crashed.
    Reset,
    /// Both ends are told that the other one has closed.
    End,
    /// Nothing moves for this time, then it is reset.
    Stall(Duration),
    /// Some bytes come one by one, so far apart.
    Trickle(Duration),
}

/// What shall happen once, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub link: Link,
    pub direction: Direction,
    /// After how many bytes, over all such connections from the time on when this was armed.
    pub after: u64,
    pub kind: Kind,
}

#[derive(Debug)]
pub struct Proxy {
    control: SocketAddr,
    data: SocketAddr,
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    data_port: u16,
    /// Learnt from what passes.
    server_data_port: AtomicU16,
    /// To the server and to the client, where the link is slow.
    lanes: Option<[Lane; 2]>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Fault>,
    passed: u64,
    then_refuse: bool,
    refusing: bool,
    stopping: bool,
    hold: Option<Hold>,
    /// Connections that are held up now.
    held: usize,
    pairs: Vec<Weak<Pair>>,
}

/// Where connections wait until they are let go.
#[derive(Debug, Clone, Copy)]
struct Hold {
    link: Link,
    direction: Direction,
    /// After how many bytes of a connection.
    after: u64,
}

/// The two connections of one that goes through.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// What is read is not passed on any more.
    is_dead: AtomicBool,
}

impl Proxy {
    /// A proxy before the server with this control port.
    pub fn before(server: SocketAddr) -> Self {
        Self::start(server, None)
    }

    /// A proxy that is as slow as this.
    pub fn slow(server: SocketAddr, slowness: Slowness) -> Self {
        Self::start(server, Some(slowness))
    }

    fn start(server: SocketAddr, slowness: Option<Slowness>) -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let (controls, datas) = (listen(), listen());
        let address_of = |listener: &TcpListener| listener.local_addr().expect("a bound listener");
        let (control, data) = (address_of(&controls), address_of(&datas));
        let shared = Arc::new(Shared {
            server,
            data_port: data.port(),
            server_data_port: AtomicU16::new(0),
            lanes: slowness.map(|slowness| [Lane::new(slowness), Lane::new(slowness)]),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptors = [(controls, Link::Control), (datas, Link::Data)]
            .into_iter()
            .map(|(listener, link)| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.accept(&listener, link))
            })
            .collect();
        Self { control, data, shared, acceptors }
    }

    /// Where clients connect.
    pub fn control_address(&self) -> SocketAddr {
        self.control
    }

    /// Has a fault happen once; it takes the place of one that has not happened.
    pub fn arm(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.armed = Some(fault);
        state.passed = 0;
    }

    /// Forgets a fault that has not happened. Tells whether it has.
    pub fn disarm(&self) -> bool {
        self.shared.state().armed.take().is_none()
    }

    /// Whether the fault that was armed last has begun to happen.
    pub fn has_happened(&self) -> bool {
        self.shared.state().armed.is_none()
    }

    /// Has every such connection stop after so many bytes, until all are let go.
    pub fn hold(&self, link: Link, direction: Direction, after: u64) {
        self.shared.state().hold = Some(Hold { link, direction, after });
    }

    /// How many connections are held up.
    pub fn held(&self) -> usize {
        self.shared.state().held
    }

    /// Lets all go on, those that come too.
    pub fn let_go(&self) {
        self.shared.state().hold = None;
        self.shared.changed.notify_all();
    }

    /// With the fault that is armed the whole network goes away: every connection ends, and each new one at once.
    pub fn refuse_after_fault(&self) {
        self.shared.state().then_refuse = true;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pairs = {
            let mut state = self.shared.state();
            state.stopping = true;
            std::mem::take(&mut state.pairs)
        };
        self.shared.changed.notify_all();
        pairs.iter().filter_map(Weak::upgrade).for_each(|pair| pair.end());
        for (address, acceptor) in [self.control, self.data].into_iter().zip(self.acceptors.drain(..)) {
            // It looks up from its wait only for a connection.
            drop(TcpStream::connect(address));
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panics")
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, link: Link) {
        for client in listener.incoming() {
            let (stopping, refusing) = {
                let state = self.state();
                (state.stopping, state.refusing)
            };
            if stopping {
                return;
            }
            if refusing {
                continue;
            }
            let port = match link {
                Link::Control => self.server.port(),
                Link::Data => self.server_data_port.load(Ordering::Relaxed),
            };
            // Without a server behind it, a connection ends at once.
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect((self.server.ip(), port)) else { continue };
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a TCP connection");
                stream.set_write_timeout(Some(WRITE_INTERVAL)).expect("a time limit");
            }
            let pair = Arc::new(Pair { client, server, is_dead: AtomicBool::new(false) });
            let mut state = self.state();
            state.pairs.retain(|pair| pair.strong_count() > 0);
            state.pairs.push(Arc::downgrade(&pair));
            drop(state);
            for direction in [Direction::ToServer, Direction::ToClient] {
                let (shared, pair) = (Arc::clone(self), Arc::clone(&pair));
                std::thread::spawn(move || match shared.lane(direction) {
                    None => shared.pump(&pair, link, direction, None),
                    Some(lane) => {
                        let queue = Queue::default();
                        std::thread::scope(|scope| {
                            scope.spawn(|| pair.deliver(&queue, direction));
                            shared.pump(&pair, link, direction, Some((lane, &queue)));
                            queue.end();
                        });
                    }
                });
            }
        }
    }

    fn lane(&self, direction: Direction) -> Option<&Lane> {
        let [to_server, to_client] = self.lanes.as_ref()?;
        Some(match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        })
    }

    fn pump(&self, pair: &Pair, link: Link, direction: Direction, slow: Option<(&Lane, &Queue)>) {
        let (mut from, to) = pair.ends(direction);
        let mut chunk = [0; CHUNK_BYTES];
        let mut line = Vec::new();
        let mut passed = 0;
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return pair.cut(Kind::Reset),
            };
            let rewritten;
            let bytes = if (link, direction) == (Link::Control, Direction::ToClient) {
                rewritten = self.rewrite(&mut line, &chunk[..count]);
                &rewritten[..]
            } else {
                &chunk[..count]
            };
            if let Some((lane, queue)) = slow {
                queue.push(lane, bytes);
                continue;
            }
            let (before, behind) = bytes.split_at(self.free_bytes(link, direction, passed, bytes.len()));
            passed += bytes.len() as u64;
            if !self.pass(pair, to, before, link, direction) {
                return;
            }
            if !behind.is_empty() {
                self.wait_while_held(pair);
                if !self.pass(pair, to, behind, link, direction) {
                    return;
                }
            }
        }
        if slow.is_none() && !pair.is_dead.load(Ordering::Relaxed) {
            // The other direction may go on.
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    /// How many of the bytes that a connection has next pass before it is held up.
    fn free_bytes(&self, link: Link, direction: Direction, passed: u64, count: usize) -> usize {
        let hold = self.state().hold.filter(|hold| (hold.link, hold.direction) == (link, direction));
        let left = hold.map(|hold| hold.after.saturating_sub(passed));
        left.and_then(|left| usize::try_from(left).ok()).map_or(count, |left| left.min(count))
    }

    /// Waits until all are let go, or the connection is over.
    fn wait_while_held(&self, pair: &Pair) {
        let mut state = self.state();
        state.held += 1;
        while state.hold.is_some() && !state.stopping && !pair.is_dead.load(Ordering::Relaxed) {
            let waited = self.changed.wait_timeout(state, HOLD_INTERVAL);
            (state, _) = waited.expect("no thread of the proxy panics");
        }
        state.held -= 1;
    }

    /// Passes bytes on, with the fault that is due among them. False when the connection is over.
    fn pass(&self, pair: &Pair, to: &TcpStream, bytes: &[u8], link: Link, direction: Direction) -> bool {
        let due = self.due(link, direction, bytes.len());
        let Some((at, kind)) = due else { return pair.write(to, bytes) };
        if !pair.write(to, &bytes[..at]) {
            return false;
        }
        match kind {
            Kind::Reset | Kind::End => pair.cut(kind),
            Kind::Stall(time) => {
                pair.is_dead.store(true, Ordering::Relaxed);
                self.wait(time);
                pair.cut(Kind::Reset);
            }
            Kind::Trickle(interval) => {
                let rest = &bytes[at..];
                let slow = rest.len().min(usize::try_from(TRICKLE_BYTES).expect("a small number"));
                return rest[..slow].chunks(1).all(|byte| {
                    self.wait(interval);
                    pair.write(to, byte)
                }) && pair.write(to, &rest[slow..]);
            }
        }
        false
    }

    /// Counts bytes that are about to pass; tells where among them the fault is, if it is now.
    fn due(&self, link: Link, direction: Direction, count: usize) -> Option<(usize, Kind)> {
        let mut state = self.state();
        let fault = state.armed.filter(|fault| (fault.link, fault.direction) == (link, direction))?;
        let at = fault.after.saturating_sub(state.passed);
        if at > count as u64 {
            state.passed += count as u64;
            return None;
        }
        state.armed = None;
        if state.then_refuse {
            state.refusing = true;
            state.pairs.iter().filter_map(Weak::upgrade).for_each(|pair| pair.cut(fault.kind));
        }
        Some((usize::try_from(at).expect("a position in a chunk"), fault.kind))
    }

    /// Waits, unless the proxy is to end.
    fn wait(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = self.state();
        while !state.stopping {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.changed.wait_timeout(state, left).expect("no thread of the proxy panics");
        }
    }

    /// The whole lines that have come, with the proxy's data port in place of the server's. What is left
    /// of the last line stays in `line`.
    fn rewrite(&self, line: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(bytes.len() + 8);
        for &byte in bytes {
            line.push(byte);
            if byte != b'\n' {
                continue;
            }
            match offer_in(line) {
                Some((port, rest)) => {
                    self.server_data_port.store(port, Ordering::Relaxed);
                    whole.extend_from_slice(format!("(data) {} ", self.data_port).as_bytes());
                    whole.extend_from_slice(rest);
                }
                None => whole.extend_from_slice(line),
            }
            line.clear();
        }
        whole
    }
}

/// The port of a `(data)` line, and what follows it.
fn offer_in(line: &[u8]) -> Option<(u16, &[u8])> {
    let rest = line.strip_prefix(b"(data) ")?;
    let space = rest.iter().position(|&byte| byte == b' ')?;
    let port = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    Some((port, &rest[space + 1..]))
}

impl Pair {
    /// Where bytes come from and where they go.
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    /// Passes on what comes out of a slow link.
    fn deliver(&self, queue: &Queue, direction: Direction) {
        let (_, to) = self.ends(direction);
        while let Some(bytes) = queue.pop() {
            if !self.write(to, &bytes) {
                return queue.end();
            }
        }
        if !self.is_dead.load(Ordering::Relaxed) {
            // The other direction may go on.
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    /// False when the connection is over.
    fn write(&self, mut to: &TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.is_dead.load(Ordering::Relaxed) {
                // These bytes are dropped.
                return true;
            }
            match to.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => {
                    self.cut(Kind::Reset);
                    return false;
                }
            }
        }
        true
    }

    /// Ends both connections, by a reset or in order.
    fn cut(&self, kind: Kind) {
        self.is_dead.store(true, Ordering::Relaxed);
        for stream in [&self.client, &self.server] {
            let how = match kind {
                Kind::Reset | Kind::Stall(_) => {
                    // The reset goes out when both threads have let go; closing the reading side wakes them
                    // and tells the peer nothing.
                    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                    Shutdown::Read
                }
                Kind::End | Kind::Trickle(_) => Shutdown::Both,
            };
            // It may have ended by itself.
            let _ = stream.shutdown(how);
        }
    }

    fn end(&self) {
        self.cut(Kind::Reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_offers_are_rewritten() {
        assert_eq!(offer_in(b"(data) 3333 abc\n"), Some((3333, &b"abc\n"[..])));
        for line in [&b"(data) x abc\n"[..], b"(data)\n", b"ok 3333 abc\n", b"(ls) file 1 2 x\n"] {
            assert_eq!(offer_in(line), None);
        }
    }
}
