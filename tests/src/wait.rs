//! Waiting with a deadline, for conditions that have to be polled.

use ferry_common::limits::{LINE_TIMEOUT, STALL_WINDOW, TICKET_TIMEOUT};
use std::time::{Duration, Instant};

/// What a test allows for anything that should be quick: long enough for a busy machine, and for what a server says when a
/// deadline of its own has come.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);
const _: () = assert!(WAIT_LIMIT.as_secs() >= 2 * TICKET_TIMEOUT.as_secs());
const _: () = assert!(WAIT_LIMIT.as_secs() >= 2 * STALL_WINDOW.as_secs());
const _: () = assert!(WAIT_LIMIT.as_secs() >= 2 * LINE_TIMEOUT.as_secs());
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Looks at a condition until it gives a value. Panics with `what` after [`WAIT_LIMIT`].
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(WAIT_LIMIT, condition).unwrap_or_else(|| panic!("no {what} within {WAIT_LIMIT:?}"))
}

/// Looks at a condition until it holds. Panics with `what` after [`WAIT_LIMIT`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Looks at a condition until it gives a value; `None` when the time is up.
pub fn wait_at_most<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
