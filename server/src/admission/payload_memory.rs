//! Memory for payload on its way between sockets and files: which data connection may have some now, and which wait for it. It
//! serves none of them.

use crate::disk::buffers::Buffers;
use crate::disk::read_buffers::ReadBuffers;
use crate::limits::{READ_BUFFERS_MAX, SMALL_UPLOADS_TOTAL_BYTES};
use crate::net::slots::Key;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct PayloadMemory {
    uploads: Buffers,
    /// Uploads that wait for a buffer.
    waiting_uploads: VecDeque<Key>,
    /// Set aside for small uploads.
    small_bytes: u64,
    reads: ReadBuffers,
    /// Downloads that wait for a buffer, by the device of their file.
    waiting_reads: BTreeMap<u64, VecDeque<Key>>,
    /// Downloads that have buffers which their peers do not take.
    holders: VecDeque<Key>,
}

impl PayloadMemory {
    /// Sets memory aside for a small upload, where there is some; [`PayloadMemory::free_small`] ends that.
    pub(crate) fn set_aside_small(&mut self, bytes: u64) -> bool {
        let is_there = self.small_bytes + bytes <= SMALL_UPLOADS_TOTAL_BYTES;
        if is_there {
            self.small_bytes += bytes;
        }
        is_there
    }

    pub(crate) fn free_small(&mut self, bytes: u64) {
        self.small_bytes -= bytes;
    }

    /// A buffer for an upload; where there is none, the upload waits for one.
    pub(crate) fn take_for_upload(&mut self, upload: Key) -> Option<Vec<u8>> {
        let buffer = self.uploads.take();
        if buffer.is_none() {
            self.waiting_uploads.push_back(upload);
        }
        buffer
    }

    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        self.uploads.give_back(buffer);
    }

    /// The upload that has waited longest for a buffer; it waits no more.
    pub(crate) fn next_upload(&mut self) -> Option<Key> {
        self.waiting_uploads.pop_front()
    }

    /// Where downloads find their buffers.
    pub(crate) fn reads(&self) -> &ReadBuffers {
        &self.reads
    }

    pub(crate) fn await_read(&mut self, download: Key, device: u64) {
        self.waiting_reads.entry(device).or_default().push_back(download);
    }

    pub(crate) fn has_waiting_reads(&self) -> bool {
        !self.waiting_reads.is_empty()
    }

    /// The downloads that may find a buffer now; they wait no more.
    pub(crate) fn take_fed_reads(&mut self) -> Vec<Key> {
        let Self { waiting_reads, reads, .. } = self;
        let mut fed = Vec::new();
        waiting_reads.retain(|device, line| {
            if reads.has_one_for(*device) {
                // As many as there may be buffers: a download that finds none goes to the end of the line.
                fed.extend(line.drain(..line.len().min(READ_BUFFERS_MAX)));
            }
            !line.is_empty()
        });
        fed
    }

    /// A download has buffers that its peer does not take.
    pub(crate) fn note_holder(&mut self, download: Key) {
        self.holders.push_back(download);
    }

    /// The download that has been noted the longest; it is noted no more.
    pub(crate) fn next_holder(&mut self) -> Option<Key> {
        self.holders.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{READ_BUFFER_BYTES, UPLOAD_BUFFERS_MAX};

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    #[test]
    fn small_uploads_have_so_much_together_and_no_more() {
        let mut memory = PayloadMemory::default();
        assert!(memory.set_aside_small(SMALL_UPLOADS_TOTAL_BYTES - 1));
        assert!(!memory.set_aside_small(2), "a refusal takes nothing");
        assert!(memory.set_aside_small(1));
        memory.free_small(SMALL_UPLOADS_TOTAL_BYTES);
        assert!(memory.set_aside_small(SMALL_UPLOADS_TOTAL_BYTES));
    }

    #[test]
    fn uploads_wait_in_their_order_for_a_buffer_that_comes_back() {
        let mut memory = PayloadMemory::default();
        let mut taken: Vec<_> =
            (0..UPLOAD_BUFFERS_MAX as u64).map(|upload| memory.take_for_upload(key(upload))).collect();
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(memory.next_upload(), None);
        assert!(memory.take_for_upload(key(1000)).is_none() && memory.take_for_upload(key(1001)).is_none());
        memory.give_back(taken.pop().flatten().unwrap());
        assert_eq!(memory.next_upload(), Some(key(1000)));
        assert!(memory.take_for_upload(key(1000)).is_some());
        assert_eq!((memory.next_upload(), memory.next_upload()), (Some(key(1001)), None));
    }

    #[test]
    fn downloads_wait_for_a_buffer_of_their_own_device() {
        let mut memory = PayloadMemory::default();
        let length = READ_BUFFER_BYTES as u64;
        let mut taken = Vec::new();
        while let Some(buffer) = memory.reads().take(1, length) {
            taken.push(buffer);
        }
        memory.await_read(key(1), 1);
        memory.await_read(key(2), 2);
        assert_eq!(memory.take_fed_reads(), [key(2)], "another device has a share of its own");
        assert!(memory.has_waiting_reads());
        drop(taken);
        assert_eq!(memory.take_fed_reads(), [key(1)]);
        assert!(!memory.has_waiting_reads() && memory.take_fed_reads().is_empty());
    }
}
