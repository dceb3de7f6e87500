//! How many staged files may have more open than the place of a session is counted with.

use crate::limits::{COPIES_MAX, STAGED_OPEN_MAX};
use std::sync::atomic::{AtomicU64, Ordering};

/// To have a file open though it is whole.
pub(super) static OPEN_WHOLE: Permits = Permits { taken: AtomicU64::new(0), most: STAGED_OPEN_MAX };
/// To have a file open from which a staged one is copied.
pub(super) static COPYING: Permits = Permits { taken: AtomicU64::new(0), most: COPIES_MAX };

/// The permits for one purpose.
#[derive(Debug)]
pub(super) struct Permits {
    taken: AtomicU64,
    most: u64,
}

/// A permit for one file, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(&'static AtomicU64);

impl Permits {
    /// `None` where there are enough.
    pub(super) fn try_take(&'static self) -> Option<Permit> {
        let grow = |taken: u64| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok().map(|_| Permit(&self.taken))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_given_and_those_that_come_back_again() {
        static FEW: Permits = Permits { taken: AtomicU64::new(0), most: 2 };
        let (first, second) = (FEW.try_take(), FEW.try_take());
        assert!(first.is_some() && second.is_some() && FEW.try_take().is_none());
        drop(first);
        assert!(FEW.try_take().is_some());
    }
}
