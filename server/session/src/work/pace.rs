//! Minimum progress, so that a peer cannot hold a transfer open by moving a byte now and then.

use ferry_common::limits::{STALL_WINDOW, STALL_WINDOW_MIN_BYTES};
use std::time::Instant;

/// Counts what moves within windows of [`STALL_WINDOW`]; each must see [`STALL_WINDOW_MIN_BYTES`].
#[derive(Debug)]
pub(crate) struct Pace {
    window_start: Instant,
    window_bytes: u64,
    last_progress: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { window_start: now, window_bytes: 0, last_progress: now }
    }

    pub(crate) fn progress(&mut self, bytes: u64, now: Instant) {
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        self.last_progress = now;
    }

    /// Since when nothing has moved at all.
    pub(crate) fn silent_since(&self) -> Instant {
        self.last_progress
    }

    /// When the window ends.
    pub(crate) fn deadline(&self) -> Instant {
        self.window_start + STALL_WINDOW
    }

    /// True where this window has seen enough already.
    pub(crate) fn suffices(&self) -> bool {
        self.window_bytes >= STALL_WINDOW_MIN_BYTES
    }
}
