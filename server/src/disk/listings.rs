//! Sessions that ask for the same part of the same listing share one job, as long as it has not begun: what
//! it then reads is no older than any of their questions. So a crowd that lists one directory costs little
//! more than one reader.

use crate::asker::Asker;
use ferry_session::action::ListQuery;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The sessions that wait for a part of a listing, until a thread begins on it.
#[derive(Debug, Default)]
pub(super) struct Listings {
    waiting: Mutex<HashMap<ListQuery, Vec<Asker>>>,
}

impl Listings {
    /// Waits for a part of a listing; true where a job for it is queued already.
    pub(super) fn join(&self, query: &ListQuery, asker: Asker) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiting.entry(query.clone()).or_default();
        waiters.push(asker);
        waiters.len() > 1
    }

    /// All sessions that wait for the part. One that asks from now on gets a job of its own.
    pub(super) fn begin(&self, query: &ListQuery) -> Vec<Asker> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(query).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::slots::Key;
    use crate::store::tests::cleared;
    use ferry_session::action::{Cursor, DirectoryIdentity};
    use ferry_session::entry_format::EntryFormat;

    #[test]
    fn a_listing_is_shared_until_it_begins() {
        let listings = Listings::default();
        let query = |cursor| ListQuery { path: cleared("."), cursor, format: EntryFormat::Ferry };
        let asker = |number| Asker { session: Key::from_bits(number), ..Asker::server() };
        let directory = DirectoryIdentity { device: 1, inode: 2, made: None };
        let part = Cursor { directory, position: 7 };
        assert!(!listings.join(&query(None), asker(1)));
        assert!(listings.join(&query(None), asker(2)));
        assert!(!listings.join(&query(Some(part)), asker(3)), "another part");
        assert_eq!(listings.begin(&query(None)), [asker(1), asker(2)]);
        assert!(!listings.join(&query(None), asker(4)), "it has begun, so this question is newer");
    }
}
