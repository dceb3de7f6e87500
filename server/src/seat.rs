//! What a session holds in the shell: its data connection, the file of its transfer, the digest that it waits for, and its
//! turn in the line for files. The owners of connections, files and places keep their books about a session here; the
//! seat itself touches no socket and submits no job.

use crate::admission::file_queue::FileTurn;
use crate::net::slots::Key;
use crate::store::digest_cache::FileIdentity;
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::ticket::Ticket;
use ferry_session::action::{Found, Way};
use ferry_session::fact::Fact;
use std::sync::Arc;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) data: DataLink,
    /// Whether it may have a file open though it has no place.
    pub(crate) file_turn: FileTurn,
    resource: Resource,
    awaited: AwaitedDigest,
    /// Counts the session's transfers, so that a late completion is not taken for a newer one's.
    transfer: u32,
}

/// The session's data connection, from the wish to the thing.
#[derive(Debug)]
pub(crate) enum DataLink {
    None,
    /// In the queue for a place, with this stamp.
    Waiting {
        stamp: u64,
        way: Way,
    },
    /// A place is taken and the ticket is out.
    Ticketed(Ticket),
    /// A place is taken, and a port is open for the one connection.
    Expected(Key),
    /// A place is taken, and this connection to the client is being made.
    Reaching(Key),
    Attached {
        key: Key,
        /// Its stamp among the idle ones, while it is one.
        idle_stamp: Option<u64>,
    },
    /// Closed. The place is released when the command's file is closed.
    Spent,
}

/// What the session has open for its transfer.
#[derive(Debug)]
pub(crate) enum Resource {
    None,
    Source {
        file: Arc<HeldFile>,
        /// Which state of the file was opened, where that matters.
        identity: Option<FileIdentity>,
    },
    /// A small upload, gathered by the data connection; so much memory is set aside for it.
    Small {
        bytes: u64,
    },
    Staged {
        file: Arc<StagedFile>,
        /// To be written: one write at a time, so that the bytes of a file come in their order.
        queued: Vec<Filled>,
        is_writing: bool,
    },
}

/// A buffer, and the number of its bytes that count.
pub(crate) type Filled = (Vec<u8>, usize);

/// The digest that the session waits for.
#[derive(Debug)]
enum AwaitedDigest {
    None,
    /// To tell the client.
    Sum,
    /// To go on with an upload behind the bytes with which its file begins.
    Beginning,
    /// To go with a download.
    Download {
        found: Option<Result<Digest, ErrorCode>>,
        /// Everything is sent, and only the digest is waited for.
        is_due: bool,
    },
}

impl DataLink {
    /// True where there is a descriptor for a connection and for a file.
    pub(crate) fn has_place(&self) -> bool {
        match self {
            Self::None | Self::Waiting { .. } => false,
            Self::Ticketed(_)
            | Self::Expected(_)
            | Self::Reaching(_)
            | Self::Attached { .. }
            | Self::Spent => true,
        }
    }

    pub(crate) fn attached(&self) -> Option<Key> {
        match self {
            Self::Attached { key, .. } => Some(*key),
            Self::None
            | Self::Waiting { .. }
            | Self::Ticketed(_)
            | Self::Expected(_)
            | Self::Reaching(_)
            | Self::Spent => None,
        }
    }
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            data: DataLink::None,
            file_turn: FileTurn::NotQueued,
            resource: Resource::None,
            awaited: AwaitedDigest::None,
            transfer: 0,
        }
    }

    pub(crate) fn transfer(&self) -> u32 {
        self.transfer
    }

    /// The file that is open to be read, and which state of it.
    pub(crate) fn source(&self) -> Option<(&Arc<HeldFile>, Option<FileIdentity>)> {
        match &self.resource {
            Resource::Source { file, identity } => Some((file, *identity)),
            Resource::None | Resource::Small { .. } | Resource::Staged { .. } => None,
        }
    }

    pub(crate) fn has_small_upload(&self) -> bool {
        matches!(self.resource, Resource::Small { .. })
    }

    /// Holds a file for a download.
    pub(crate) fn hold_source(&mut self, file: Arc<HeldFile>, identity: FileIdentity) {
        self.resource = Resource::Source { file, identity: Some(identity) };
    }

    /// Holds memory for a small upload.
    pub(crate) fn hold_small(&mut self, bytes: u64) {
        self.resource = Resource::Small { bytes };
    }

    /// Holds a staged file for an upload. Where it begins with something, that is gone through first.
    pub(crate) fn hold_staged(&mut self, file: Arc<StagedFile>, has_beginning: bool) {
        self.resource = Resource::Staged { file, queued: Vec::new(), is_writing: false };
        self.awaited = if has_beginning { AwaitedDigest::Beginning } else { AwaitedDigest::None };
    }

    /// Holds a file whose digest the client asks for.
    pub(crate) fn await_sum(&mut self, file: Arc<HeldFile>) {
        self.resource = Resource::Source { file, identity: None };
        self.awaited = AwaitedDigest::Sum;
    }

    /// A digest is to go with the download.
    pub(crate) fn await_download_digest(&mut self) {
        self.awaited = AwaitedDigest::Download { found: None, is_due: false };
    }

    /// The transfer has what it held taken away.
    pub(crate) fn take_resource(&mut self) -> Resource {
        std::mem::replace(&mut self.resource, Resource::None)
    }

    /// The transfer is over: what is still under way for it comes too late from now on.
    pub(crate) fn end_transfer(&mut self) -> Resource {
        self.transfer = self.transfer.wrapping_add(1);
        self.awaited = AwaitedDigest::None;
        self.take_resource()
    }

    /// Has a buffer of an upload written behind those before it. Gives it back where no upload goes on.
    pub(crate) fn queue_write(&mut self, filled: Filled) -> Result<(), Filled> {
        match &mut self.resource {
            Resource::Staged { queued, .. } => {
                queued.push(filled);
                Ok(())
            }
            Resource::None | Resource::Source { .. } | Resource::Small { .. } => Err(filled),
        }
    }

    /// What is to be written now; [`Seat::handle_written`] is to follow.
    pub(crate) fn next_write(&mut self) -> Option<(Arc<StagedFile>, Vec<Filled>)> {
        match &mut self.resource {
            Resource::Staged { file, queued, is_writing } if !*is_writing && !queued.is_empty() => {
                *is_writing = true;
                Some((Arc::clone(file), std::mem::take(queued)))
            }
            Resource::None | Resource::Source { .. } | Resource::Small { .. } | Resource::Staged { .. } => {
                None
            }
        }
    }

    pub(crate) fn handle_written(&mut self) {
        if let Resource::Staged { is_writing, .. } = &mut self.resource {
            *is_writing = false;
        }
    }

    /// Everything is sent, and the file is in this state now. Where a digest goes with it, the digest tells whether the
    /// bytes are those of the file, and times tell nothing.
    pub(crate) fn conclude_check(&mut self, state: Result<FileIdentity, ErrorCode>) -> Option<Fact<'static>> {
        let Resource::Source { file, identity: Some(opened) } = &self.resource else { return None };
        let has_digest = matches!(self.awaited, AwaitedDigest::Download { .. });
        let trusts_times = !has_digest && file.medium() != Medium::Foreign;
        if !state.is_ok_and(|state| state.has_beginning_of(opened, trusts_times)) {
            return Some(Fact::Checked(Err(ErrorCode::Changed)));
        }
        match &mut self.awaited {
            AwaitedDigest::Download { found, is_due } => {
                *is_due = true;
                found.map(|found| Fact::Checked(found.map(Some)))
            }
            AwaitedDigest::None | AwaitedDigest::Sum | AwaitedDigest::Beginning => {
                Some(Fact::Checked(Ok(None)))
            }
        }
    }

    /// The digest has come that the session waits for, of so many bytes. A staged file that comes with the fact does not
    /// begin as it should, and is to be discarded.
    pub(crate) fn handle_digest(
        &mut self,
        length: u64,
        result: Result<Digest, ErrorCode>,
    ) -> (Option<Fact<'static>>, Resource) {
        match std::mem::replace(&mut self.awaited, AwaitedDigest::None) {
            AwaitedDigest::None => (None, Resource::None),
            AwaitedDigest::Sum => {
                let found = result.map(|digest| Found::Digest { length, digest });
                (Some(Fact::Found(found)), self.take_resource())
            }
            AwaitedDigest::Beginning => {
                let staged = result.map(|_| length);
                let unwanted = if staged.is_err() { self.take_resource() } else { Resource::None };
                (Some(Fact::Staged(staged)), unwanted)
            }
            AwaitedDigest::Download { is_due: false, .. } => {
                self.awaited = AwaitedDigest::Download { found: Some(result), is_due: false };
                (None, Resource::None)
            }
            AwaitedDigest::Download { is_due: true, .. } => {
                (Some(Fact::Checked(result.map(Some))), Resource::None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::held_file::Closer;
    use crate::store::lane_id::LaneId;
    use std::fs::File;

    fn held(file: &File) -> Arc<HeldFile> {
        let (closer, _) = Closer::new(LaneId::ROOT);
        Arc::new(HeldFile::new(file.try_clone().unwrap(), Medium::Local, &closer))
    }

    /// A seat that holds this file for a download.
    fn sending(file: &File) -> Seat {
        let mut seat = Seat::new();
        seat.hold_source(held(file), FileIdentity::of(file).unwrap());
        seat
    }

    fn checked(fact: Option<Fact<'static>>) -> Option<Result<Option<Digest>, ErrorCode>> {
        fact.map(|fact| {
            let Fact::Checked(checked) = fact else { panic!("{fact:?}") };
            checked
        })
    }

    #[test]
    fn a_download_is_done_when_its_file_was_looked_at_and_its_digest_is_there_in_any_order() {
        let file = tempfile::tempfile().unwrap();
        let digest = Digest::of(b"");
        let state = || FileIdentity::of(&file);
        let mut without = sending(&file);
        assert_eq!(checked(without.conclude_check(state())), Some(Ok(None)));
        let mut early = sending(&file);
        early.await_download_digest();
        assert!(matches!(early.handle_digest(0, Ok(digest)), (None, Resource::None)));
        assert_eq!(checked(early.conclude_check(state())), Some(Ok(Some(digest))));
        let mut late = sending(&file);
        late.await_download_digest();
        assert_eq!(checked(late.conclude_check(state())), None);
        assert_eq!(checked(late.handle_digest(0, Ok(digest)).0), Some(Ok(Some(digest))));
    }

    #[test]
    fn a_download_whose_file_was_cut_has_failed_whatever_its_digest() {
        let file = tempfile::tempfile().unwrap();
        for has_digest in [false, true] {
            file.set_len(3).unwrap();
            let mut seat = sending(&file);
            if has_digest {
                seat.await_download_digest();
                seat.handle_digest(0, Ok(Digest::of(b"")));
            }
            file.set_len(2).unwrap();
            assert_eq!(checked(seat.conclude_check(FileIdentity::of(&file))), Some(Err(ErrorCode::Changed)));
            assert_eq!(checked(seat.conclude_check(Err(ErrorCode::Io))), Some(Err(ErrorCode::Changed)));
        }
    }

    #[test]
    fn a_digest_that_comes_after_its_transfer_is_nobodys() {
        let file = tempfile::tempfile().unwrap();
        let mut seat = sending(&file);
        seat.await_download_digest();
        let before = seat.transfer();
        assert!(matches!(seat.end_transfer(), Resource::Source { .. }));
        assert_ne!(seat.transfer(), before);
        assert!(matches!(seat.handle_digest(0, Ok(Digest::of(b""))), (None, Resource::None)));
        assert!(seat.source().is_none());
    }

    #[test]
    fn a_sum_gives_its_file_back_with_the_answer() {
        let mut seat = Seat::new();
        seat.await_sum(held(&tempfile::tempfile().unwrap()));
        let (fact, resource) = seat.handle_digest(3, Ok(Digest::of(b"abc")));
        let expected = Found::Digest { length: 3, digest: Digest::of(b"abc") };
        assert!(matches!(fact, Some(Fact::Found(Ok(found))) if found == expected));
        assert!(matches!(resource, Resource::Source { .. }) && seat.source().is_none());
    }

    #[test]
    fn a_buffer_without_an_upload_comes_back() {
        let mut seat = Seat::new();
        assert_eq!(seat.queue_write((vec![1], 1)), Err((vec![1], 1)));
        assert!(seat.next_write().is_none());
    }
}
