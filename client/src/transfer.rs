//! Sees a transfer through: tries again where the connection was lost or what arrived cannot be used, for a
//! bounded time and a bounded number of times. Knows nothing of what a transfer is made of.

pub(crate) mod attributes;
pub(crate) mod digests;
pub(crate) mod download;
pub(crate) mod hidden;
pub(crate) mod looking;
pub(crate) mod partial;
pub(crate) mod sending;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod upload;

use crate::failure::Failure;
use crate::limits::{PACE_MIN_BYTES, RETRY_FIRST_DELAY, RETRY_MAX_DELAY, SPOILT_TRIES_MAX};
use crate::session::Session;
use crate::terminal::interrupt::Interrupts;
use crate::terminal::screen;
use ferry_common::error::ErrorCode;
use std::time::{Duration, Instant};

/// How the user wants transfers to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransferOptions {
    /// Only what has the same digest at both ends gets its name.
    pub(crate) verify: bool,
    /// An existing file may be replaced.
    pub(crate) overwrite: bool,
    /// Whatever has the name at the end is replaced, were it not what was there when the name was looked at.
    pub(crate) force: bool,
    /// A file keeps its modification time.
    pub(crate) keep_times: bool,
    /// For how long a lost connection is tried to be made again; zero for not at all.
    pub(crate) retry_for: Duration,
}

/// One transfer, which can be tried again and then makes use of what has moved before.
pub(crate) trait Transfer {
    fn attempt(&mut self, session: &mut Session) -> Result<(), Failure>;

    /// The furthest that any attempt has come.
    fn reached(&self) -> Reached;
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) bytes: u64,
    /// The whole, once that is known.
    pub(crate) of_bytes: Option<u64>,
}

/// Attempts the transfer until it has succeeded or there is no point in going on.
pub(crate) fn run_with_retries(
    session: &mut Session,
    retry_for: Duration,
    transfer: &mut dyn Transfer,
) -> Result<(), Failure> {
    let mut retries = RetryPolicy::new(session, retry_for);
    loop {
        let result = retries.connect(session).and_then(|()| transfer.attempt(session));
        match result {
            Ok(()) => return Ok(()),
            Err(failure) => retries.handle_failure(failure, transfer.reached(), session.interrupts())?,
        }
    }
}

struct RetryPolicy {
    retry_for: Duration,
    /// A server that was never reached is not waited for.
    was_connected: bool,
    outage: Option<Outage>,
    reached_bytes: u64,
    spoilt_tries: u32,
}

/// The time since the transfer has last come further.
struct Outage {
    since: Instant,
    delay: Duration,
}

/// What a failure means for the transfer.
enum Verdict {
    /// The link is the trouble: wait for it.
    Lost,
    /// What has moved is of no use.
    Spoilt,
    Final,
}

impl RetryPolicy {
    fn new(session: &Session, retry_for: Duration) -> Self {
        let was_connected = session.is_connected();
        Self { retry_for, was_connected, outage: None, reached_bytes: 0, spoilt_tries: 0 }
    }

    /// The first attempt connects by itself, and says something else where it has to.
    fn connect(&self, session: &mut Session) -> Result<(), Failure> {
        if self.outage.is_some() && session.reconnect_if_lost()? {
            screen::message(&format!("Connected to {} again", session.target()));
        }
        Ok(())
    }

    /// Returns when it is time for the next attempt, or with what the transfer failed by.
    fn handle_failure(
        &mut self,
        failure: Failure,
        reached: Reached,
        interrupts: &Interrupts,
    ) -> Result<(), Failure> {
        if interrupts.check().is_err() {
            return Err(failure);
        }
        match self.judge(&failure) {
            Verdict::Final => Err(failure),
            Verdict::Spoilt => {
                self.spoilt_tries += 1;
                if self.spoilt_tries >= SPOILT_TRIES_MAX {
                    return Err(failure);
                }
                screen::message(&format!("{failure}. Trying again from the start"));
                Ok(())
            }
            Verdict::Lost => self.wait(failure, reached, interrupts),
        }
    }

    fn wait(&mut self, failure: Failure, reached: Reached, interrupts: &Interrupts) -> Result<(), Failure> {
        let further_bytes = reached.bytes.saturating_sub(self.reached_bytes);
        // Less is no progress, or a server could keep the client for ever with a byte in each attempt.
        if further_bytes >= PACE_MIN_BYTES || (further_bytes > 0 && reached.of_bytes == Some(reached.bytes)) {
            self.reached_bytes = reached.bytes;
            self.outage = None;
        }
        let is_new = self.outage.is_none();
        let first = || Outage { since: Instant::now(), delay: RETRY_FIRST_DELAY };
        let outage = self.outage.get_or_insert_with(first);
        let left = self.retry_for.saturating_sub(outage.since.elapsed());
        if left.is_zero() {
            return Err(if is_new { failure } else { given_up(failure, self.retry_for) });
        }
        if is_new {
            let seconds = self.retry_for.as_secs();
            screen::course(&format!("{failure}. Trying to go on for up to {seconds} s; Ctrl-C stops"));
        }
        let delay = outage.delay.min(left);
        outage.delay = outage.delay.saturating_mul(2).min(RETRY_MAX_DELAY);
        interrupts.sleep(delay)
    }

    fn judge(&self, failure: &Failure) -> Verdict {
        let is_code = |wanted: &[ErrorCode]| matches!(failure, Failure::Refused { code: Some(code), .. } if wanted.contains(code));
        match failure {
            Failure::ConnectionLost(_) | Failure::SessionEnded(_) => Verdict::Lost,
            Failure::CannotConnect(_) if self.was_connected || self.outage.is_some() => Verdict::Lost,
            // The server was reached before.
            Failure::DataUnreachable(_) if self.outage.is_some() => Verdict::Lost,
            Failure::Refused { .. } if is_code(LOST_CODES) => Verdict::Lost,
            Failure::Refused { .. } if is_code(SPOILT_CODES) => Verdict::Spoilt,
            Failure::Mismatch(_) | Failure::LocalChanged(_) => Verdict::Spoilt,
            Failure::CannotConnect(_)
            | Failure::Refused { .. }
            | Failure::Usage(_)
            | Failure::DataUnreachable(_)
            | Failure::Local(_)
            | Failure::Output(_)
            | Failure::Violation(_)
            | Failure::Incomplete { .. }
            | Failure::Interrupted => Verdict::Final,
        }
    }
}

/// With these a server ends a transfer that has nothing wrong with it.
const LOST_CODES: &[ErrorCode] =
    &[ErrorCode::BrokenOff, ErrorCode::TimedOut, ErrorCode::Busy, ErrorCode::ShuttingDown];

const SPOILT_CODES: &[ErrorCode] = &[ErrorCode::Changed, ErrorCode::Mismatch];

fn given_up(failure: Failure, after: Duration) -> Failure {
    let seconds = after.as_secs();
    match failure {
        Failure::ConnectionLost(reason) | Failure::CannotConnect(reason) | Failure::SessionEnded(reason) => {
            Failure::ConnectionLost(format!("{reason}; gave up after {seconds} s"))
        }
        other @ (Failure::Usage(_)
        | Failure::DataUnreachable(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::LocalChanged(_)
        | Failure::Mismatch(_)
        | Failure::Output(_)
        | Failure::Violation(_)
        | Failure::Incomplete { .. }
        | Failure::Interrupted) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(retry_for: Duration) -> RetryPolicy {
        RetryPolicy { retry_for, was_connected: true, outage: None, reached_bytes: 0, spoilt_tries: 0 }
    }

    fn lost() -> Failure {
        Failure::ConnectionLost("lost".to_owned())
    }

    fn reached(bytes: u64) -> Reached {
        Reached { bytes, of_bytes: Some(1 << 20) }
    }

    #[test]
    fn a_lost_connection_is_borne_for_a_bounded_time_without_progress() {
        let interrupts = Interrupts::alone();
        let mut retries = retries(Duration::from_millis(150));
        assert!(retries.handle_failure(lost(), reached(10), &interrupts).is_ok());
        assert!(retries.handle_failure(lost(), reached(11), &interrupts).is_ok());
        // A byte in each attempt is no progress.
        let Err(Failure::ConnectionLost(reason)) = retries.handle_failure(lost(), reached(12), &interrupts)
        else {
            panic!()
        };
        assert!(reason.contains("gave up"), "{reason}");
        for enough in [PACE_MIN_BYTES, 2 * PACE_MIN_BYTES, (1 << 20) - 1, 1 << 20] {
            assert!(
                retries.handle_failure(lost(), reached(enough), &interrupts).is_ok(),
                "progress begins a new count"
            );
            retries.outage = Some(Outage {
                since: Instant::now().checked_sub(Duration::from_secs(1)).unwrap(),
                delay: RETRY_FIRST_DELAY,
            });
        }
        assert!(retries.handle_failure(lost(), reached(1 << 20), &interrupts).is_err());
    }

    #[test]
    fn nothing_is_tried_again_when_the_time_of_the_command_is_over() {
        let interrupts = Interrupts::alone();
        interrupts.signals_of_process().limit_time(Some(Duration::ZERO));
        let _running = interrupts.begin();
        let failed = retries(Duration::from_secs(60)).handle_failure(lost(), reached(0), &interrupts);
        assert!(matches!(failed, Err(Failure::ConnectionLost(reason)) if reason == "lost"));
    }

    #[test]
    fn a_server_is_waited_for_once_it_was_reached() {
        let interrupts = Interrupts::alone();
        let mut retries = RetryPolicy { was_connected: false, ..retries(Duration::from_secs(60)) };
        let cannot_connect = || Failure::CannotConnect("refused".to_owned());
        let unreachable = || Failure::DataUnreachable("refused".to_owned());
        assert!(retries.handle_failure(cannot_connect(), reached(0), &interrupts).is_err());
        assert!(retries.handle_failure(unreachable(), reached(0), &interrupts).is_err());
        assert!(
            retries.handle_failure(lost(), reached(0), &interrupts).is_ok(),
            "the attempt itself has connected"
        );
        assert!(retries.handle_failure(cannot_connect(), reached(0), &interrupts).is_ok());
        assert!(retries.handle_failure(unreachable(), reached(0), &interrupts).is_ok());
    }

    #[test]
    fn no_patience_is_none() {
        let interrupts = Interrupts::alone();
        let mut retries = retries(Duration::ZERO);
        let Err(failure) = retries.handle_failure(lost(), reached(10), &interrupts) else { panic!() };
        assert_eq!(failure.to_string(), "lost");
    }

    #[test]
    fn what_is_spoilt_is_tried_a_bounded_number_of_times() {
        let interrupts = Interrupts::alone();
        let mut retries = retries(Duration::ZERO);
        for _ in 1..SPOILT_TRIES_MAX {
            assert!(
                retries.handle_failure(Failure::Mismatch(String::new()), reached(0), &interrupts).is_ok()
            );
        }
        assert!(retries.handle_failure(Failure::Mismatch(String::new()), reached(0), &interrupts).is_err());
    }
}
