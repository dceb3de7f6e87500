//! The consent of a client to its upload getting a name. In a protocol where the end of the control connection takes an
//! upload back, the thread that is about to name the file asks for it, after the flush: the client may have gone meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Goes with a publication to the thread that names the file.
#[derive(Debug, Clone)]
pub struct Consent(Arc<AtomicBool>);

/// The session's end of a [`Consent`]. Whatever ends the session drops it, and with it the consent.
#[derive(Debug)]
pub struct Consenting(Arc<AtomicBool>);

impl Consent {
    /// False from the moment on at which the client is known to have gone, or to have changed its mind.
    pub fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Two ends of one decision.
impl PartialEq for Consent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Consent {}

impl Consenting {
    /// A consent that holds, and the session's end of it.
    pub fn new() -> (Self, Consent) {
        let holds = Arc::new(AtomicBool::new(true));
        (Self(Arc::clone(&holds)), Consent(holds))
    }

    /// The client has gone, or has changed its mind.
    pub fn withdraw(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for Consenting {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_holds_until_it_is_withdrawn_or_its_session_has_gone() {
        let (kept, consent) = Consenting::new();
        let (dropped, other) = Consenting::new();
        assert!(consent.holds() && other.holds() && consent == consent.clone() && consent != other);
        kept.withdraw();
        drop(dropped);
        assert!(!consent.holds() && !other.holds());
    }
}
