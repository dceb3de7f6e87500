//! How many staged files may be open though they are whole.

use crate::limits::STAGED_OPEN_MAX;
use std::sync::atomic::{AtomicU64, Ordering};

static OPEN: AtomicU64 = AtomicU64::new(0);

/// A permit for one, given back when dropped.
#[derive(Debug)]
pub(super) struct OpenWhole(());

impl OpenWhole {
    /// `None` where there are enough.
    pub(super) fn try_new() -> Option<Self> {
        let grow = |open: u64| (open < STAGED_OPEN_MAX).then_some(open + 1);
        OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok().map(|_| Self(()))
    }
}

impl Drop for OpenWhole {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
