//! The files that one session of a download has been asked for.

use crate::engine::Stop;
use crate::mirror::board::Moving;
use crate::mirror::load::Load;
use crate::mirror::plan::Planned;
use crate::tree::error::TreeError;
use crate::tree::receiving::Receiving;
use ferry_common::dialogue::RequestId;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::wire::digest::Hasher;
use std::collections::HashMap;

/// What one session has been asked for.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) fetches: HashMap<RequestId, Fetch>,
    pub(crate) load: Load,
}

/// One file that was asked for.
pub(crate) struct Fetch {
    pub(crate) file: Planned,
    pub(crate) receiving: Option<Receiving>,
    pub(crate) hasher: Hasher,
    /// The server was asked for the digest of the whole file.
    pub(crate) is_checked: bool,
    /// Why this end does not want it any more.
    pub(crate) failed: Option<TreeError>,
}

impl Running {
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Fetch> {
        let fetch = self.fetches.remove(&id)?;
        self.load.remove(&fetch.file);
        Some(fetch)
    }

    /// The files on their way, for a display.
    pub(crate) fn moving(&self) -> impl Iterator<Item = Moving<'_>> {
        self.fetches.iter().map(|(&id, fetch)| Moving {
            id,
            file: &fetch.file,
            moved_bytes: fetch.receiving.as_ref().map_or(0, Receiving::length_bytes),
            found_bytes: fetch.receiving.as_ref().map_or(0, Receiving::found_bytes),
        })
    }
}

impl Fetch {
    /// This end cannot have the file. A few bytes that come all the same cost less than a new data connection.
    pub(crate) fn refuse(&mut self, error: TreeError, left_bytes: u64) -> Result<(), Stop> {
        self.failed = Some(error);
        self.receiving = None;
        if left_bytes <= EAGER_MAX_BYTES { Ok(()) } else { Err(Stop) }
    }
}
