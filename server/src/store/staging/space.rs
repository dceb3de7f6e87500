//! The free space of a file system, as uploads may use it: never below the floor that the operator keeps free, and
//! shared among peers. A file system that does not tell how large it is (ramfs, some of FUSE) is not full.
//!
//! Nothing is reserved for an upload because of its size: a peer that announces much and sends nothing would hold
//! the disk. Space is set aside in steps ahead of bytes that come, by the staged file.

use crate::limits::{KEEP_FREE_MAX_BYTES, SPACE_CLAIM_BYTES, SPACE_CREDIT_BYTES, SPACE_CREDIT_TIME};
use crate::net::address::Address;
use ferry_common::error::ErrorCode;
use rustix::fd::AsFd;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The part of a file system that is kept free unless the operator says how much.
const KEEP_FREE_DIVISOR: u64 = 100;

/// The space of one file system.
#[derive(Debug)]
pub(crate) struct Space {
    /// Bytes that uploads leave free; `None` for a part of the file system.
    keep_free_bytes: Option<u64>,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// What the uploads of each peer may still write, as far as that counts.
    claims: HashMap<Address, u64>,
    /// Bytes that may be written before the file system is asked again...
    credit_bytes: u64,
    /// ...and when it was.
    asked: Option<Instant>,
}

/// One upload's part in the books; given up when dropped.
#[derive(Debug)]
pub(crate) struct Announcement {
    space: Arc<Space>,
    address: Address,
    claimed_bytes: u64,
}

/// What a file system says of itself.
#[derive(Debug, Clone, Copy)]
struct Facts {
    total_bytes: u64,
    free_bytes: u64,
}

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// What uploads may take.
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

impl Room {
    /// Of the file system that something is on; `None` where that does not tell.
    pub(crate) fn of(on: impl AsFd, keep_free_bytes: Option<u64>) -> rustix::io::Result<Option<Self>> {
        let facts = Facts::of(on)?;
        let free_bytes = facts.usable_bytes(keep_free_bytes);
        Ok(free_bytes.map(|free_bytes| Self { free_bytes, total_bytes: facts.total_bytes }))
    }
}

impl Space {
    pub(super) fn new(keep_free_bytes: Option<u64>) -> Self {
        Self { keep_free_bytes, books: Mutex::default() }
    }

    /// Enters an upload that is to write so much, where there is room for it beside those of others. Of each upload
    /// only [`SPACE_CLAIM_BYTES`] count, and of each other peer no more than its share, so that no peer holds the
    /// disk by announcing.
    pub(super) fn announce(
        self: &Arc<Self>,
        on: impl AsFd,
        address: Address,
        bytes: u64,
    ) -> Result<Announcement, ErrorCode> {
        let usable = self.usable_bytes(on);
        let claimed_bytes = bytes.min(SPACE_CLAIM_BYTES);
        let mut books = self.books();
        if usable.is_some_and(|usable| usable.saturating_sub(books.claimed_beside(address, usable)) < bytes) {
            return Err(ErrorCode::NoSpace);
        }
        let claims = books.claims.entry(address).or_default();
        *claims = claims.saturating_add(claimed_bytes);
        drop(books);
        Ok(Announcement { space: Arc::clone(self), address, claimed_bytes })
    }

    /// Lets so much be written. The file system is asked only now and then, so that a small upload costs nothing.
    pub(super) fn take(&self, on: impl AsFd, bytes: u64) -> Result<(), ErrorCode> {
        let mut books = self.books();
        let is_fresh = books.asked.is_some_and(|asked| asked.elapsed() < SPACE_CREDIT_TIME);
        if !is_fresh || books.credit_bytes < bytes {
            let usable = self.usable_bytes(on).unwrap_or(u64::MAX);
            if usable < bytes {
                return Err(ErrorCode::NoSpace);
            }
            books.credit_bytes = usable.min(SPACE_CREDIT_BYTES.max(bytes));
            books.asked = Some(Instant::now());
        }
        books.credit_bytes -= bytes;
        Ok(())
    }

    /// What is above the floor; `None` where that is not known.
    fn usable_bytes(&self, on: impl AsFd) -> Option<u64> {
        Facts::of(on).ok()?.usable_bytes(self.keep_free_bytes)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// What counts against a peer's new upload: all of its own claims, and of every other peer's at most an equal
    /// share.
    fn claimed_beside(&self, address: Address, usable_bytes: u64) -> u64 {
        let peers = self.claims.len() + usize::from(!self.claims.contains_key(&address));
        let share = usable_bytes / (peers as u64).max(1);
        self.claims
            .iter()
            .map(|(&peer, &claims)| if peer == address { claims } else { claims.min(share) })
            .fold(0, u64::saturating_add)
    }
}

impl Facts {
    fn of(on: impl AsFd) -> rustix::io::Result<Self> {
        let stat = rustix::fs::fstatvfs(on)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { total_bytes: bytes(stat.f_blocks), free_bytes: bytes(stat.f_bavail) })
    }

    /// What is above the floor; `None` where that is not known.
    fn usable_bytes(self, keep_free_bytes: Option<u64>) -> Option<u64> {
        if self.total_bytes == 0 {
            return None;
        }
        let part = (self.total_bytes / KEEP_FREE_DIVISOR).min(KEEP_FREE_MAX_BYTES);
        Some(self.free_bytes.saturating_sub(keep_free_bytes.unwrap_or(part)))
    }
}

impl Announcement {
    /// So much is still to be written: what is written counts as used space by itself.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let freed_bytes = self.claimed_bytes.saturating_sub(bytes);
        if freed_bytes == 0 {
            return;
        }
        self.claimed_bytes -= freed_bytes;
        let mut books = self.space.books();
        if let Some(claims) = books.claims.get_mut(&self.address) {
            *claims = claims.saturating_sub(freed_bytes);
            if *claims == 0 {
                books.claims.remove(&self.address);
            }
        }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::OwnedFd;
    use rustix::fs::{Mode, OFlags};

    const GIB: u64 = 1 << 30;

    fn peer(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    fn somewhere() -> OwnedFd {
        rustix::fs::open(std::env::temp_dir(), OFlags::RDONLY, Mode::empty()).unwrap()
    }

    #[test]
    fn the_floor_is_a_part_of_the_disk_unless_it_is_given_and_an_unknown_size_is_not_full() {
        let facts = |total_bytes, free_bytes| Facts { total_bytes, free_bytes };
        assert_eq!(facts(1000, 500).usable_bytes(None), Some(490));
        assert_eq!(facts(1000, 5).usable_bytes(None), Some(0));
        assert_eq!(facts(1000 * GIB, 500 * GIB).usable_bytes(None), Some(499 * GIB));
        assert_eq!(facts(0, 0).usable_bytes(None), None);
        assert_eq!(facts(1000, 500).usable_bytes(Some(0)), Some(500));
        assert_eq!(facts(1000, 500).usable_bytes(Some(400)), Some(100));
    }

    #[test]
    fn announcing_much_takes_nothing_from_others() {
        let mut books = Books::default();
        assert_eq!(books.claimed_beside(peer(1), GIB), 0);
        books.claims.insert(peer(1), 100 * GIB);
        assert_eq!(books.claimed_beside(peer(2), GIB), GIB / 2, "half is left for the other");
        assert_eq!(books.claimed_beside(peer(1), GIB), 100 * GIB, "its own count in full");
        books.claims.insert(peer(2), 1);
        assert_eq!(books.claimed_beside(peer(2), GIB), GIB / 2 + 1);
    }

    #[test]
    fn an_upload_is_in_the_books_until_it_ends() {
        let space = Arc::new(Space::new(Some(0)));
        let free = Facts::of(somewhere()).unwrap().free_bytes;
        assert_eq!(space.announce(somewhere(), peer(1), u64::MAX).unwrap_err(), ErrorCode::NoSpace);
        let announcement = space.announce(somewhere(), peer(1), free / 2).unwrap();
        assert_eq!(space.books().claims[&peer(1)], (free / 2).min(SPACE_CLAIM_BYTES));
        drop(announcement);
        assert!(space.books().claims.is_empty());
    }

    #[test]
    fn nothing_is_written_below_the_floor() {
        let space = Space::new(Some(u64::MAX));
        assert_eq!(space.take(somewhere(), 1), Err(ErrorCode::NoSpace));
        assert_eq!(Space::new(Some(0)).take(somewhere(), 1), Ok(()));
    }
}
