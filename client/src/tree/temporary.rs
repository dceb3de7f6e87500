//! The hidden name of a file for the time before it gets its own.

use crate::tree::directory::Directory;
use rustix::fs::AtFlags;
use std::sync::Arc;

/// What becomes of a hidden name when the file is not needed under it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Removed,
    /// It is gone, leads to another program's file, or to what the next run goes on with.
    Left,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) directory: Arc<Directory>,
    pub(super) name: Vec<u8>,
    pub(super) fate: Fate,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.fate == Fate::Removed {
            // What cannot be removed now could not be at any other time.
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}
