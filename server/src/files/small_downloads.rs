//! Small downloads that the reactor reads itself, with their digest: what is in memory costs less than the way to a disk
//! thread and back.

use super::Files;
use crate::limits::SMALL_DOWNLOAD_MAX_BYTES;
use crate::seat::Seat;
use crate::store::residency::read_resident;
use ferry_common::wire::digest::Digest;

impl Files {
    /// The file of a download that is small, wanted from its beginning, and in memory. The digest that is to go with it is
    /// known to the seat then, and is of these very bytes.
    pub(crate) fn read_small(&mut self, seat: &mut Seat, length: u64, digest: bool) -> Option<&[u8]> {
        let (file, _) = seat.source()?;
        let into = self.small.get_mut(..usize::try_from(length).ok()?)?;
        if !read_resident(file, into) {
            return None;
        }
        if digest {
            seat.await_download_digest();
            // It is kept for the end of the download.
            let (fact, _) = seat.handle_digest(length, Ok(Digest::of(into)));
            debug_assert!(fact.is_none(), "nothing is sent yet");
        }
        Some(into)
    }
}

/// What they are read into.
pub(super) fn buffer() -> Box<[u8]> {
    vec![0; SMALL_DOWNLOAD_MAX_BYTES].into_boxed_slice()
}
