//! The pace that a server is held to while a command runs: the one that it holds its clients to. Counts the time that was
//! waited for the server, not that in which this end was busy. Pure: time comes in as durations.

use crate::limits::{CONNECT_TIMEOUT, PACE_MIN_BYTES, REPLY_TIMEOUT, STALL_TIMEOUT, WORKING_MAX};
use ferry_common::wire::command::Command;
use std::time::Duration;

/// What the server has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// To take the data connection.
    DataConnection,
    /// To send, or take, bytes of a file.
    Payload,
    /// To say something.
    Answer,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The command is one of those that a server works on for long, and says so.
    may_take_long: bool,
    awaited: Awaited,
    /// Waited since anything has come or gone that counts.
    silent: Duration,
    /// Waited since `wanted_bytes` have.
    slow: Duration,
    moved_bytes: u64,
    wanted_bytes: u64,
}

impl Pace {
    pub(crate) fn new(command: &Command) -> Self {
        Self {
            may_take_long: may_take_long(command),
            awaited: Awaited::Answer,
            silent: Duration::ZERO,
            slow: Duration::ZERO,
            moved_bytes: 0,
            wanted_bytes: PACE_MIN_BYTES,
        }
    }

    /// Tells what is waited for now, and how much of it is left where that is known.
    pub(crate) fn expect(&mut self, awaited: Awaited, left_bytes: u64) {
        if self.awaited != awaited {
            self.restart();
            self.awaited = awaited;
        }
        if self.moved_bytes == 0 && awaited == Awaited::Payload {
            self.wanted_bytes = left_bytes.min(PACE_MIN_BYTES);
        }
    }

    /// The server is to say something else now than it was before.
    pub(crate) fn restart(&mut self) {
        self.awaited = Awaited::Answer;
        self.silent = Duration::ZERO;
        self.begin_window();
    }

    /// So much has moved of what is waited for.
    pub(crate) fn note_moved(&mut self, bytes: u64) {
        if bytes > 0 {
            self.silent = Duration::ZERO;
            self.moved_bytes = self.moved_bytes.saturating_add(bytes);
            if self.moved_bytes >= self.wanted_bytes {
                self.begin_window();
            }
        }
    }

    /// The server has said that it still works.
    pub(crate) fn note_working(&mut self) {
        if self.may_take_long {
            self.silent = Duration::ZERO;
        }
    }

    pub(crate) fn note_waited(&mut self, time: Duration) {
        self.silent = self.silent.saturating_add(time);
        self.slow = self.slow.saturating_add(time);
    }

    pub(crate) fn awaited(&self) -> Awaited {
        self.awaited
    }

    pub(crate) fn silent_for(&self) -> Duration {
        self.silent
    }

    /// How much longer is waited for what is awaited, if nothing of it comes.
    pub(crate) fn left(&self) -> Duration {
        match self.awaited {
            Awaited::DataConnection => CONNECT_TIMEOUT.saturating_sub(self.slow),
            Awaited::Payload => STALL_TIMEOUT.saturating_sub(self.slow),
            Awaited::Answer => {
                REPLY_TIMEOUT.saturating_sub(self.silent).min(WORKING_MAX.saturating_sub(self.slow))
            }
        }
    }

    fn begin_window(&mut self) {
        self.slow = Duration::ZERO;
        self.moved_bytes = 0;
        self.wanted_bytes = PACE_MIN_BYTES;
    }
}

/// True for the commands that need the digest of a file, which may be large.
fn may_take_long(command: &Command) -> bool {
    match command {
        Command::Download { .. } | Command::Upload { .. } | Command::Sum { .. } | Command::Partial { .. } => {
            true
        }
        Command::Ls { .. }
        | Command::Stat { .. }
        | Command::Mkdir { .. }
        | Command::Rm { .. }
        | Command::Mv { .. }
        | Command::Mtime { .. }
        | Command::Hello { .. }
        | Command::Df { .. }
        | Command::Who
        | Command::Help
        | Command::Exit => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::path::RemotePath;

    fn pace_of_sum() -> Pace {
        Pace::new(&Command::Sum { path: RemotePath::root(), length: None })
    }

    /// Has so much come again and again, so far apart, and tells after what time the server is given up.
    fn given_up_after(pace: &mut Pace, every: Duration, mut come: impl FnMut(&mut Pace)) -> Duration {
        let mut waited = Duration::ZERO;
        while waited < 3 * WORKING_MAX {
            if pace.left() <= every {
                return waited + pace.left();
            }
            pace.note_waited(every);
            waited += every;
            come(pace);
        }
        Duration::MAX
    }

    #[test]
    fn a_transfer_moves_so_much_in_each_window() {
        let second = Duration::from_secs(1);
        let transfer = |bytes: u64| {
            let mut pace = pace_of_sum();
            pace.expect(Awaited::Payload, u64::MAX);
            given_up_after(&mut pace, second, |pace| {
                pace.note_moved(bytes);
                pace.expect(Awaited::Payload, u64::MAX);
            })
        };
        assert_eq!(transfer(0), STALL_TIMEOUT);
        assert_eq!(transfer(1), STALL_TIMEOUT, "a byte now and then is no progress");
        let enough = PACE_MIN_BYTES / (STALL_TIMEOUT.as_secs() - 1) + 1;
        assert_eq!(transfer(enough), Duration::MAX);
    }

    #[test]
    fn where_less_is_left_that_is_enough() {
        let mut pace = pace_of_sum();
        pace.expect(Awaited::Payload, 10);
        pace.note_waited(STALL_TIMEOUT / 2);
        pace.note_moved(9);
        pace.expect(Awaited::Payload, 1);
        assert_eq!(pace.left(), STALL_TIMEOUT / 2);
        pace.note_moved(1);
        assert_eq!(pace.left(), STALL_TIMEOUT);
    }

    #[test]
    fn a_server_that_works_is_waited_for_but_not_for_ever() {
        let every = REPLY_TIMEOUT / 2;
        assert_eq!(given_up_after(&mut pace_of_sum(), every, |_| {}), REPLY_TIMEOUT);
        assert_eq!(given_up_after(&mut pace_of_sum(), every, Pace::note_working), WORKING_MAX);
        let mut pace = Pace::new(&Command::Help);
        assert_eq!(given_up_after(&mut pace, every, Pace::note_working), REPLY_TIMEOUT, "nothing to work on");
        let listing = || Pace::new(&Command::Ls { path: RemotePath::root() });
        assert_eq!(given_up_after(&mut listing(), every, |pace| pace.note_moved(1)), WORKING_MAX);
        assert_eq!(
            given_up_after(&mut listing(), every, |pace| pace.note_moved(PACE_MIN_BYTES)),
            Duration::MAX
        );
    }

    #[test]
    fn each_thing_that_is_waited_for_has_its_own_time() {
        let mut pace = pace_of_sum();
        pace.note_waited(REPLY_TIMEOUT / 2);
        pace.expect(Awaited::DataConnection, 0);
        assert_eq!(pace.left(), CONNECT_TIMEOUT);
        pace.note_waited(CONNECT_TIMEOUT);
        assert_eq!(pace.left(), Duration::ZERO);
        pace.expect(Awaited::Payload, 1);
        assert_eq!((pace.left(), pace.silent_for()), (STALL_TIMEOUT, Duration::ZERO));
    }
}
