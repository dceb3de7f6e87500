//! A walk through folders of the server: asks for many listings ahead, and remembers which are to come in bounded memory.

use crate::engine::Session;
use crate::limits::TREE_AHEAD_QUESTIONS;
use crate::tree::case::FoldedNames;
use crate::tree::spool::Spool;
use ferry_common::dialogue::RequestId;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use std::collections::HashMap;
use std::io;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct ServerWalk {
    folders: Spool,
    /// Folders that are known and not listed to their end.
    left: u64,
    asked: HashMap<RequestId, Listing>,
    /// Listings that did not come to their end.
    again: Vec<Listing>,
}

/// A folder that is being listed.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) path: RemotePath,
    /// From this byte of the path on, the other end names it alike.
    pub(crate) common_at: usize,
    /// The other end has, or had, no such folder.
    pub(crate) is_new: bool,
    pub(crate) names: FoldedNames,
    pub(crate) tries: u32,
}

impl ServerWalk {
    pub(crate) fn push(&mut self, path: &RemotePath, common_at: usize, is_new: bool) -> io::Result<()> {
        let mut record = Vec::with_capacity(9 + path.as_bytes().len());
        record.extend_from_slice(&(common_at as u64).to_ne_bytes());
        record.push(is_new.into());
        record.extend_from_slice(path.as_bytes());
        self.left += 1;
        self.folders.push(&record)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Asks for the next listings.
    pub(crate) fn refill(&mut self, session: &mut Session) -> io::Result<()> {
        while self.asked.len() < TREE_AHEAD_QUESTIONS
            && let Some(listing) = self.next()?
        {
            let id = session.request(Command::Ls { path: listing.path.clone() });
            self.asked.insert(id, listing);
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<Listing>> {
        if let Some(listing) = self.again.pop() {
            return Ok(Some(listing));
        }
        let Some(record) = self.folders.pop()? else { return Ok(None) };
        let listing = decode(&record).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(listing))
    }

    pub(crate) fn listing(&self, id: RequestId) -> Option<&Listing> {
        self.asked.get(&id)
    }

    pub(crate) fn listing_mut(&mut self, id: RequestId) -> Option<&mut Listing> {
        self.asked.get_mut(&id)
    }

    /// The listing has ended, well or not.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<Listing> {
        let listing = self.asked.remove(&id)?;
        self.left = self.left.saturating_sub(1);
        Some(listing)
    }

    /// Has a folder listed once more.
    pub(crate) fn push_again(&mut self, listing: Listing) {
        self.left += 1;
        self.again.push(Listing { names: FoldedNames::default(), tries: listing.tries + 1, ..listing });
    }

    /// The session is gone.
    pub(crate) fn lose(&mut self) {
        for (_, listing) in std::mem::take(&mut self.asked) {
            self.again.push(Listing { names: FoldedNames::default(), ..listing });
        }
    }
}

fn decode(record: &[u8]) -> Option<Listing> {
    let (common_at, record) = record.split_first_chunk()?;
    let (&is_new, path) = record.split_first()?;
    Some(Listing {
        path: RemotePath::parse(path).ok()?,
        common_at: usize::try_from(u64::from_ne_bytes(*common_at)).ok()?,
        is_new: is_new == 1,
        names: FoldedNames::default(),
        tries: 0,
    })
}
