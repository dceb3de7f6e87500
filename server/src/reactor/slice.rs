//! How long one step of a turn may go on: whatever a single piece of work costs, the others are not kept waiting by the
//! number of pieces.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    until: Instant,
}

impl Slice {
    pub(super) fn new(time: Duration) -> Self {
        Self { until: Instant::now() + time }
    }

    /// To be asked after each piece, so that there is one at least.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
