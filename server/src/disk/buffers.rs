//! The buffers between upload sockets and their files: bounded in number, and never held by a client
//! that is slow to fill one.

use crate::limits::{UPLOAD_BUFFER_BYTES, UPLOAD_BUFFERS_MAX};

/// Buffers kept for the next use; the others go back to the system.
const KEPT_BUFFERS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    kept: Vec<Vec<u8>>,
    in_use: usize,
}

impl Buffers {
    /// A buffer of [`UPLOAD_BUFFER_BYTES`], unless too many are in use.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        if self.in_use >= UPLOAD_BUFFERS_MAX {
            return None;
        }
        self.in_use += 1;
        Some(self.kept.pop().unwrap_or_else(|| vec![0; UPLOAD_BUFFER_BYTES]))
    }

    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        self.in_use = self.in_use.saturating_sub(1);
        if self.kept.len() < KEPT_BUFFERS {
            self.kept.push(buffer);
        }
    }
}
