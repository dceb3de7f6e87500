//! Both ends of the protocol in one process: a [`Session`] and a [`Dialogue`], each with a shell in memory,
//! a network between them, and a clock that moves only when a test says so.

mod client;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod wire;

use client::ClientShell;
use ferry_common::dialogue::Dialogue;
use ferry_session::dialect::{AnyDialect, Dialect};
use ferry_session::fact::Fact;
use ferry_session::{Policy, Session, ShowWho};
use server::ServerShell;
use std::time::{Duration, Instant};
use wire::{Lane, Wire};

/// Nothing is forbidden.
pub(crate) const POLICY: Policy =
    Policy { data_port: 3333, read_only: false, no_overwrite: false, show_who: ShowWho::All };

/// Far more steps than any test takes: a test that reaches it goes round in circles.
const STEPS_MAX: usize = 200_000;

/// The parts of the world that can take a step.
pub(crate) const STEPS: usize = 9;

pub(crate) struct Pair<D = AnyDialect> {
    pub(crate) now: Instant,
    pub(crate) session: Session<D>,
    pub(crate) dialogue: Dialogue,
    pub(crate) server: ServerShell,
    pub(crate) client: ClientShell,
    pub(crate) wire: Wire,
    /// Bytes that one read or write moves.
    pub(crate) chunk: usize,
    /// Whose turn the next step is.
    turn: usize,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with_policy(POLICY)
    }

    pub(crate) fn with_policy(policy: Policy) -> Self {
        Self::speaking(AnyDialect::ferry(&policy), policy)
    }

    /// A client that writes what it likes; its replies are in [`Pair::replies`].
    pub(crate) fn raw(policy: Policy) -> Self {
        Self::raw_speaking(AnyDialect::ferry(&policy), policy)
    }
}

impl<D: Dialect> Pair<D> {
    /// A server that speaks this dialect, which the client's dialogue may not understand.
    fn speaking(dialect: D, policy: Policy) -> Self {
        let now = Instant::now();
        Self {
            now,
            session: Session::new(dialect, policy, now),
            dialogue: Dialogue::default(),
            server: ServerShell::default(),
            client: ClientShell::default(),
            wire: Wire::default(),
            chunk: usize::MAX,
            turn: 0,
        }
    }

    /// As [`Pair::raw`], in any dialect.
    pub(crate) fn raw_speaking(dialect: D, policy: Policy) -> Self {
        let mut pair = Self::speaking(dialect, policy);
        pair.client.raw = Some(String::new());
        pair
    }

    /// Sends a line as it is, lets everything happen, and gives what came back.
    pub(crate) fn say(&mut self, line: &str) -> String {
        self.wire.write_commands(line.as_bytes());
        self.run();
        self.client.raw.as_mut().map(std::mem::take).expect("a raw client")
    }

    /// Lets happen all that can happen while time stands still.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let mut progress = false;
            for step in 0..STEPS {
                progress |= self.step(step, self.chunk);
            }
            if !progress && !self.wire.open_gates() {
                return;
            }
        }
        panic!("no end in sight");
    }

    /// Takes so many steps, each part of the world in its turn; false if there are not so many.
    pub(crate) fn run_steps(&mut self, mut count: usize) -> bool {
        let mut idle = 0;
        while count > 0 {
            let progress = self.step(self.turn, self.chunk);
            self.turn = (self.turn + 1) % STEPS;
            count -= usize::from(progress);
            idle = if progress { 0 } else { idle + 1 };
            if idle == STEPS {
                return false;
            }
        }
        true
    }

    /// One step of one part of the world, or false if it has nothing to do.
    pub(crate) fn step(&mut self, which: usize, most: usize) -> bool {
        match which {
            0 => self.server_reads(most),
            1 => self.server_disk(),
            2 => self.server_accepts(),
            3 => self.server_moves(most),
            4 => self.server_writes(most),
            5 => self.client_reads(most),
            6 => self.client_reads_data(most),
            7 => self.client_writes_data(most),
            _ => self.server_commits(most),
        }
    }

    /// Lets time pass, then everything happen.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle(Fact::Timeout, self.now);
        self.perform();
        self.run();
    }

    /// Lets time pass until the session's deadline, and tells how long that was.
    pub(crate) fn pass_to_deadline(&mut self) -> Duration {
        let time = self.session.deadline().saturating_duration_since(self.now);
        self.pass(time);
        time
    }

    /// Runs with a pause at one place of one lane.
    pub(crate) fn run_with_cut(&mut self, lane: Lane, bytes: usize) {
        self.wire.shut_gate_after(lane, bytes);
        self.run();
    }
}
