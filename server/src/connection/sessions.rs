//! The control connections of all sessions: how many there may be, which has its turn next, which holds how much input, and
//! which must give way where there are too many. What a session wants done is not known here.

use super::control::Control;
use crate::admission::giving_way::GivingWay;
use crate::admission::input_budget::InputBudget;
use crate::admission::roster::Roster;
use crate::admission::rotation::Rotation;
use crate::limits::{CONTROL_READ_BYTES, REFUSALS_MAX, TURN_FRESH_LINES};
use crate::net::address::Address;
use crate::net::deadlines::Deadlines;
use crate::net::slots::{Key, Slots};
use ferry_session::limits::TURN_LINES;
use std::collections::VecDeque;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Sessions {
    controls: Slots<Control>,
    /// How many of the connections are sessions. The others are being told why they end.
    roster: Roster,
    giving_way: GivingWay,
    /// The connections that are no sessions any more, in the order in which they became that. Some may be gone.
    leaving: VecDeque<Key>,
    input: InputBudget,
    deadlines: Deadlines,
    /// Connections that have just become ready. A single command is not to be behind the pipelines of others.
    fresh: Rotation,
    /// Connections that had a turn already and have more to do.
    continuing: Rotation,
    /// Connections that are to go on in the next turn.
    later: Vec<(Address, Key)>,
    /// Counts the turns.
    turn: u64,
    /// Counts what [`Sessions::seed`] has given.
    seed: u64,
    /// What is read from the connections.
    scratch: Vec<u8>,
}

impl Sessions {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            controls: Slots::new(),
            roster: Roster::new(capacity),
            giving_way: GivingWay::default(),
            leaving: VecDeque::new(),
            input: InputBudget::default(),
            deadlines: Deadlines::default(),
            fresh: Rotation::default(),
            continuing: Rotation::default(),
            later: Vec::new(),
            turn: 0,
            seed: first_seed(),
            scratch: vec![0; CONTROL_READ_BYTES],
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Control> {
        self.controls.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Control> {
        self.controls.get_mut(key)
    }

    /// Past every place that a connection has.
    pub(crate) fn places(&self) -> u64 {
        self.controls.places()
    }

    pub(crate) fn at(&self, place: u64) -> Option<&Control> {
        self.controls.at(place)
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.controls.keys()
    }

    /// A number that no other session has had, of this server or of one before it.
    pub(crate) fn seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.roster.capacity()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.roster.is_full()
    }

    /// How many are still to be told something.
    pub(crate) fn open(&self) -> usize {
        self.controls.entries().filter(|(_, control)| control.is_open()).count()
    }

    /// Takes in a session, or a connection that is only told why it cannot be one.
    pub(crate) fn add(&mut self, mut control: Control, is_session: bool) -> Key {
        control.is_counted = is_session;
        let address = control.address();
        let key = self.controls.insert(control);
        if is_session {
            self.roster.enter(address);
        } else {
            self.leaving.push_back(key);
        }
        key
    }

    pub(crate) fn begin_turn(&mut self) {
        self.turn += 1;
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.fresh.is_empty() || !self.continuing.is_empty()
    }

    /// Puts a connection on its ready list if it can go on.
    pub(crate) fn queue(&mut self, key: Key) {
        if let Some(control) = self.controls.get_mut(key)
            && !control.queued
            && control.is_ready()
        {
            control.queued = true;
            let address = control.address();
            // A session that has had a turn in this one, or has lines at hand, comes behind those that have just become ready.
            if control.session.is_paused() || control.served_in == self.turn {
                self.continuing.push(address, key);
            } else {
                self.fresh.push(address, key);
            }
        }
    }

    /// How many lines each that is fresh may have looked at: the more wait, the fewer, so that the last of them waits no
    /// longer.
    pub(crate) fn fresh_lines(&self) -> usize {
        (TURN_FRESH_LINES / self.fresh.len().max(1)).clamp(1, TURN_LINES)
    }

    pub(crate) fn next_fresh(&mut self) -> Option<Key> {
        self.fresh.pop()
    }

    pub(crate) fn next_continuing(&mut self) -> Option<Key> {
        self.continuing.pop()
    }

    /// Has a session look at some lines. False where it has had its turn and goes on in the next.
    pub(crate) fn serve(&mut self, key: Key, lines: usize, now: Instant) -> bool {
        let Some(control) = self.controls.get_mut(key) else { return false };
        if control.served_in == self.turn && !control.session.is_paused() {
            // A connection is read once in a turn: a command must not be read before the poll has told of the end of the
            // data connection that the client closed ahead of it.
            self.later.push((control.address(), key));
            return false;
        }
        control.queued = false;
        control.served_in = self.turn;
        let most = self.input.read_bytes();
        control.take_turn(&mut self.scratch[..most], lines, now);
        true
    }

    /// Has a session hear all that has come for it, where that is to be known before something else. False for others.
    pub(crate) fn hear_first(&mut self, key: Key, now: Instant) -> bool {
        let Some(control) = self.controls.get_mut(key) else { return false };
        let hears = control.is_open() && control.session.hears_control_first();
        if hears {
            control.hear_all(&mut self.scratch, now);
        }
        hears
    }

    pub(crate) fn end_turns(&mut self) {
        for (address, key) in self.later.drain(..) {
            self.continuing.push(address, key);
        }
    }

    /// Brings the books in line with a session that wants nothing for now.
    pub(crate) fn settle(&mut self, key: Key, now: Instant) -> Option<&mut Control> {
        let control = self.controls.get_mut(key)?;
        control.continue_close(now);
        let (address, held) = (control.address(), control.held_input());
        self.input.update(address, key, &mut control.known_input, held);
        if control.is_counted && !control.is_open() {
            control.is_counted = false;
            self.roster.leave(address);
            self.leaving.push_back(key);
        }
        let due = control.deadline();
        self.deadlines.arm(key, &mut control.armed, due);
        Some(control)
    }

    /// Lets go of a connection that is closed.
    pub(crate) fn remove(&mut self, key: Key) {
        self.controls.remove(key);
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next connection whose deadline has come.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Key> {
        let key = self.deadlines.pop_due(now)?;
        if let Some(control) = self.controls.get_mut(key) {
            control.armed = None;
        }
        Some(key)
    }

    /// The session that must end because all hold too much input.
    pub(crate) fn most_input(&self) -> Option<Key> {
        self.input.to_end()
    }

    /// A session of the address that has the most, if one from `newcomer` must have its place.
    pub(crate) fn next_to_leave(&mut self, newcomer: Address, now: Instant) -> Option<Key> {
        let heaviest = self.roster.too_heavy(newcomer)?;
        let is_eligible = |control: &Control| control.is_counted && control.may_give_way(heaviest, now);
        least_active(&mut self.giving_way, &self.controls, now, is_eligible)
    }

    /// A session of an address whose transfer must give way to one of another address.
    pub(crate) fn next_transfer_to_end(
        &self,
        heaviest: Address,
        giving_way: &mut GivingWay,
        now: Instant,
    ) -> Option<Key> {
        let is_eligible =
            |control: &Control| control.seat.data.has_place() && control.may_give_way(heaviest, now);
        least_active(giving_way, &self.controls, now, is_eligible)
    }

    /// A connection that has been told its last for the longest, where all descriptors for sessions are taken: it must keep
    /// no new client waiting.
    pub(crate) fn next_cut_off(&mut self) -> Option<Key> {
        let Self { leaving, controls, .. } = self;
        if leaving.len() > 2 * controls.len() + 64 {
            leaving.retain(|key| controls.get(*key).is_some());
        }
        if (controls.len() as u64) < self.roster.capacity() + REFUSALS_MAX {
            return None;
        }
        std::iter::from_fn(|| leaving.pop_front()).find(|key| controls.get(*key).is_some())
    }
}

/// A server that starts again does not begin with the numbers of the last one: more microseconds pass than sessions come.
fn first_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}

/// The session that makes the least of what it has, of those that are eligible.
fn least_active(
    giving_way: &mut GivingWay,
    controls: &Slots<Control>,
    now: Instant,
    is_eligible: impl Fn(&Control) -> bool,
) -> Option<Key> {
    loop {
        if let Some(key) = giving_way.pop(now) {
            if controls.get(key).is_some_and(&is_eligible) {
                return Some(key);
            }
        } else if giving_way.may_look(now) {
            let eligible = controls.entries().filter(|(_, control)| is_eligible(control));
            giving_way.refill(now, eligible.map(|(key, control)| (control.session.activity(now), key)));
        } else {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::socket::Socket;
    use ferry_common::error::ErrorCode;
    use ferry_session::action::Action;
    use ferry_session::dialect::AnyDialect;
    use ferry_session::fact::Fact;
    use ferry_session::{Policy, Session, ShowWho};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    const POLICY: Policy =
        Policy { data_port: 3333, read_only: false, no_overwrite: false, show_who: ShowWho::All };

    /// Sessions, and the clients at their other ends.
    struct World {
        listener: TcpListener,
        sessions: Sessions,
        clients: Vec<TcpStream>,
    }

    impl World {
        fn new(capacity: u64) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut sessions = Sessions::new(capacity);
            sessions.begin_turn();
            Self { listener, sessions, clients: Vec::new() }
        }

        /// A session whose client has sent this already.
        fn connect(&mut self, input: &[u8], is_session: bool) -> Key {
            let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            client.write_all(input).unwrap();
            let (stream, peer) = self.listener.accept().unwrap();
            // Loopback delivers before the write returns; a read that finds nothing is for the next turn.
            stream.set_nonblocking(true).unwrap();
            self.clients.push(client);
            let mut socket = Socket::new(mio::net::TcpStream::from_std(stream), peer);
            socket.assume_readable();
            let session = Session::new(AnyDialect::ferry(&POLICY), POLICY, Instant::now());
            let key = self.sessions.add(Control::new(socket, session), is_session);
            self.sessions.queue(key);
            key
        }

        /// Serves one session, and answers whatever its commands ask for with a refusal. Gives the number of commands.
        fn serve(&mut self, key: Key, lines: usize, now: Instant) -> usize {
            let mut commands = 0;
            if self.sessions.serve(key, lines, now) {
                let control = self.sessions.get_mut(key).unwrap();
                while let Some(action) = control.session.poll_action() {
                    if matches!(action, Action::Query(_)) {
                        commands += 1;
                        control.session.handle(Fact::Found(Err(ErrorCode::NotFound)), now);
                    }
                }
                self.sessions.settle(key, now);
                self.sessions.queue(key);
            }
            commands
        }
    }

    #[test]
    fn a_single_command_is_behind_no_pipeline_whatever_the_number_of_those() {
        const PIPELINES: usize = TURN_FRESH_LINES / 4;
        let now = Instant::now();
        let mut world = World::new(u64::MAX);
        for _ in 0..PIPELINES {
            world.connect(&b"stat a\n".repeat(200), true);
        }
        // All have had a turn, and each has more at hand.
        world.sessions.begin_turn();
        let lines = world.sessions.fresh_lines();
        assert!(lines < TURN_LINES, "many share the lines of a turn: {lines}");
        for _ in 0..PIPELINES {
            let key = world.sessions.next_fresh().unwrap();
            assert_eq!(world.serve(key, lines, now), lines, "no more than its share");
        }
        world.sessions.end_turns();
        let single = world.connect(b"stat a\n", true);
        world.sessions.begin_turn();
        assert_eq!(world.sessions.next_fresh(), Some(single), "it has just become ready");
        assert_eq!(world.serve(single, TURN_LINES, now), 1);
        assert_eq!(world.sessions.next_fresh(), None);
        let continuing = world.sessions.next_continuing().unwrap();
        assert_eq!(world.serve(continuing, TURN_LINES, now), TURN_LINES);
    }

    #[test]
    fn sessions_that_have_ended_are_cut_off_only_where_new_ones_need_their_descriptors() {
        let (capacity, now) = (4, Instant::now());
        let mut world = World::new(capacity);
        let ended: Vec<Key> = (0..capacity + REFUSALS_MAX - 1).map(|_| world.connect(b"", false)).collect();
        assert_eq!(world.sessions.next_cut_off(), None, "there is room for one more");
        assert!(!world.sessions.is_full(), "none of them is a session");
        let session = world.connect(b"", true);
        assert_eq!(world.sessions.next_cut_off(), Some(ended[0]), "the longest of them");
        world.sessions.get_mut(ended[0]).unwrap().abort();
        world.sessions.settle(ended[0], now);
        world.sessions.remove(ended[0]);
        assert_eq!(world.sessions.next_cut_off(), None);
        // A session that ends is one of them, and another may come for it.
        let control = world.sessions.get_mut(session).unwrap();
        control.abort();
        world.sessions.settle(session, now);
        assert_eq!(world.sessions.open(), ended.len() - 1);
    }
}
