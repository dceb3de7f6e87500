//! Waiting with a deadline. For conditions that tell of themselves nobody has to poll; this is for the rest.

use ferry_common::limits::{LINE_TIMEOUT, STALL_WINDOW, TICKET_TIMEOUT};
use std::time::{Duration, Instant};

/// What a test allows for anything that should be quick: long enough for a busy machine, and for what a server says when a
/// deadline of its own has come.
pub const PATIENCE: Duration = Duration::from_secs(60);
const _: () = assert!(PATIENCE.as_secs() >= 2 * TICKET_TIMEOUT.as_secs());
const _: () = assert!(PATIENCE.as_secs() >= 2 * STALL_WINDOW.as_secs());
const _: () = assert!(PATIENCE.as_secs() >= 2 * LINE_TIMEOUT.as_secs());
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Looks at a condition until it gives a value. Panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, condition).unwrap_or_else(|| panic!("no {what} within {PATIENCE:?}"))
}

/// Looks at a condition until it holds. Panics with `what` after [`PATIENCE`].
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
