//! The buffers between files and download sockets, for files that the reactor may not read: bounded in number, and
//! shared out among the mounted file systems. Never reads or writes a socket.

use crate::limits::{READ_BUFFER_BYTES, READ_BUFFERS_MAX};
use crate::store::errors::Call;
use ferry_common::error::ErrorCode;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers kept for the next use; the others go back to the system.
const KEPT_BUFFERS: usize = 8;

#[derive(Debug, Clone, Default)]
pub(crate) struct ReadBuffers(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    kept: Vec<Vec<u8>>,
    in_use: usize,
    /// Of each device that has any.
    shares: HashMap<u64, usize>,
}

/// A buffer for one device. Wherever it is dropped, its share is free again.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The first `length` bytes are to be filled, then hold what was read.
    length: usize,
    device: u64,
    home: ReadBuffers,
}

impl ReadBuffers {
    /// A buffer for `length` bytes of a file on this device, at most [`READ_BUFFER_BYTES`]. A device never has more
    /// than are free: one that does not answer leaves some for every other.
    pub(crate) fn take(&self, device: u64, length: u64) -> Option<ReadBuffer> {
        let mut books = self.lock();
        if !books.has_one_for(device) {
            return None;
        }
        books.in_use += 1;
        *books.shares.entry(device).or_default() += 1;
        let bytes = books.kept.pop();
        drop(books);
        let bytes = bytes.unwrap_or_else(|| vec![0; READ_BUFFER_BYTES]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
        Some(ReadBuffer { bytes, length, device, home: self.clone() })
    }

    pub(crate) fn has_one_for(&self, device: u64) -> bool {
        self.lock().has_one_for(device)
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn has_one_for(&self, device: u64) -> bool {
        let share = self.shares.get(&device).copied().unwrap_or(0);
        share < READ_BUFFERS_MAX.saturating_sub(self.in_use)
    }
}

impl ReadBuffer {
    /// Reads from `offset` on until it is full or the file ends.
    pub(crate) fn fill_from(&mut self, file: &File, offset: u64) -> Result<(), ErrorCode> {
        let mut filled = 0;
        while filled < self.length {
            match file.read_at(&mut self.bytes[filled..self.length], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Call::Read.of_file_io(file)(error)),
            }
        }
        self.length = filled;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut books = self.home.lock();
        books.in_use -= 1;
        if let Some(share) = books.shares.get_mut(&self.device) {
            *share -= 1;
            if *share == 0 {
                books.shares.remove(&self.device);
            }
        }
        if books.kept.len() < KEPT_BUFFERS {
            books.kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_device_that_keeps_its_buffers_leaves_some_for_others() {
        let buffers = ReadBuffers::default();
        let mut kept = Vec::new();
        for device in 1..=4 {
            let before = kept.len();
            kept.extend(std::iter::from_fn(|| buffers.take(device, 1)));
            assert!(kept.len() > before, "device {device} has none");
            assert!(!buffers.has_one_for(device));
        }
        assert!(kept.len() < READ_BUFFERS_MAX);
        drop(kept);
        assert!(buffers.take(1, 1).is_some());
        assert!(buffers.lock().shares.is_empty());
    }

    #[test]
    fn a_buffer_holds_what_the_file_has() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let mut buffer = ReadBuffers::default().take(1, 3).unwrap();
        buffer.fill_from(&file, 1).unwrap();
        assert_eq!(buffer.bytes(), b"bcd");
        let mut buffer = ReadBuffers::default().take(1, 100).unwrap();
        buffer.fill_from(&file, 4).unwrap();
        assert_eq!(buffer.bytes(), b"ef");
    }
}
