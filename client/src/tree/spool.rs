//! A queue of byte strings of any length in bounded memory: what does not fit goes to a temporary file that has no name,
//! and is read back in order.

use crate::limits::SPOOL_MEMORY_BYTES;
use ferry_common::wire::file_time::FileTime;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The length before each record.
const PREFIX_BYTES: usize = size_of::<u32>();
/// Where temporary files go that may become large: `/tmp` is often in memory.
const DISK_FOLDER: &str = "/var/tmp";

/// Adds a time to a record.
pub(crate) fn push_time(record: &mut Vec<u8>, time: FileTime) {
    record.extend_from_slice(&time.seconds().to_ne_bytes());
    record.extend_from_slice(&time.nanoseconds().to_ne_bytes());
}

/// The time at the beginning of a record, and the rest of that.
pub(crate) fn take_time(record: &[u8]) -> Option<(FileTime, &[u8])> {
    let (seconds, record) = record.split_first_chunk()?;
    let (nanoseconds, record) = record.split_first_chunk()?;
    Some((FileTime::new(i64::from_ne_bytes(*seconds), u32::from_ne_bytes(*nanoseconds)), record))
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Half of the memory is for what was pushed last, half for what is popped next.
    block_bytes: usize,
    /// What was pushed last.
    tail: Vec<u8>,
    /// What is popped next, from `position` on. May end within a record that goes on in the file.
    head: Vec<u8>,
    position: usize,
    middle: Option<Middle>,
}

/// What lies between tail and head.
#[derive(Debug)]
struct Middle {
    file: File,
    read_bytes: u64,
    written_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self::new(SPOOL_MEMORY_BYTES)
    }
}

impl Spool {
    /// Holds so much in memory, and one record.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        let block_bytes = (memory_bytes / 2).max(1);
        Self { block_bytes, tail: Vec::new(), head: Vec::new(), position: 0, middle: None }
    }

    /// After an error of the temporary file the queue cannot be relied on.
    pub(crate) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.tail.extend_from_slice(&length.to_ne_bytes());
        self.tail.extend_from_slice(record);
        if self.tail.len() >= self.block_bytes {
            self.write_out()?;
        }
        Ok(())
    }

    /// The oldest record.
    pub(crate) fn pop(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(prefix) = self.ensure(PREFIX_BYTES)?.then(|| &self.head[self.position..][..PREFIX_BYTES])
        else {
            return Ok(None);
        };
        let length = prefix.try_into().map_or(0, u32::from_ne_bytes) as usize;
        if !self.ensure(PREFIX_BYTES + length)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = self.position + PREFIX_BYTES;
        self.position = start + length;
        Ok(Some(self.head[start..self.position].to_vec()))
    }

    fn write_out(&mut self) -> io::Result<()> {
        let middle = match &mut self.middle {
            Some(middle) => middle,
            None => self.middle.insert(Middle::new()?),
        };
        middle.append(&self.tail)?;
        self.tail.clear();
        Ok(())
    }

    /// Has so many bytes in the head; false at the end.
    fn ensure(&mut self, wanted_bytes: usize) -> io::Result<bool> {
        while self.head.len() - self.position < wanted_bytes {
            self.head.drain(..self.position);
            self.position = 0;
            let is_read = match &mut self.middle {
                Some(middle) => middle.read(&mut self.head, self.block_bytes)?,
                None => false,
            };
            if !is_read {
                if self.tail.is_empty() {
                    return Ok(false);
                }
                if self.head.is_empty() {
                    std::mem::swap(&mut self.head, &mut self.tail);
                } else {
                    self.head.append(&mut self.tail);
                }
            }
        }
        Ok(true)
    }
}

/// One without a name, that is gone with its descriptor.
pub(super) fn temporary_file() -> io::Result<File> {
    match std::env::var_os("TMPDIR") {
        Some(_) => tempfile::tempfile(),
        None => tempfile::tempfile_in(DISK_FOLDER).or_else(|_| tempfile::tempfile()),
    }
}

impl Middle {
    fn new() -> io::Result<Self> {
        Ok(Self { file: temporary_file()?, read_bytes: 0, written_bytes: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.written_bytes)?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Appends the next block to `out`, and gives its room on the disk back; false where nothing is left.
    fn read(&mut self, out: &mut Vec<u8>, block_bytes: usize) -> io::Result<bool> {
        let left = self.written_bytes - self.read_bytes;
        if left == 0 {
            return Ok(false);
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block_bytes);
        let start = out.len();
        out.resize(start + length, 0);
        self.file.read_exact_at(&mut out[start..], self.read_bytes)?;
        self.read_bytes += length as u64;
        if self.read_bytes == self.written_bytes {
            self.file.set_len(0)?;
            (self.read_bytes, self.written_bytes) = (0, 0);
        } else {
            // A file system that cannot keeps the room until the file is empty.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&self.file, flags, 0, self.read_bytes);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn memory_and_disk_stay_bounded_however_much_goes_through() {
        const MEMORY_BYTES: usize = 64 * 1024;
        let mut spool = Spool::new(MEMORY_BYTES);
        let record = [7; 100];
        let disk_bytes = |spool: &Spool| {
            spool.middle.as_ref().map_or(0, |middle| 512 * middle.file.metadata().unwrap().blocks())
        };
        (0..40_000).for_each(|_| spool.push(&record).unwrap());
        let most = disk_bytes(&spool);
        assert!(most > 3_000_000, "{most} bytes on the disk");
        for popped in 0..40_000 {
            assert_eq!(spool.pop().unwrap().as_deref(), Some(&record[..]), "{popped}");
            assert!(spool.tail.capacity() + spool.head.capacity() <= 3 * MEMORY_BYTES);
        }
        assert_eq!((spool.pop().unwrap(), disk_bytes(&spool)), (None, 0));
    }

    #[test]
    fn what_was_read_does_not_keep_its_room() {
        let mut spool = Spool::new(64 * 1024);
        (0..40_000).for_each(|_| spool.push(&[7; 100]).unwrap());
        (0..30_000).for_each(|_| assert!(spool.pop().unwrap().is_some()));
        let blocks = spool.middle.as_ref().unwrap().file.metadata().unwrap().blocks();
        assert!(blocks * 512 < 2_000_000, "{blocks} blocks");
    }

    #[test]
    fn a_few_records_need_no_file() {
        let mut spool = Spool::default();
        (0..1000).for_each(|_| spool.push(b"a few").unwrap());
        assert!(spool.middle.is_none() && spool.pop().unwrap().is_some());
    }

    proptest! {
        /// `None` pops.
        #[test]
        fn it_is_a_queue(
            memory_bytes in 0..200_usize,
            steps in proptest::collection::vec(
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
                0..300,
            ),
        ) {
            let (mut spool, mut model) = (Spool::new(memory_bytes), VecDeque::new());
            for step in steps {
                match step {
                    Some(record) => {
                        spool.push(&record).unwrap();
                        model.push_back(record);
                    }
                    None => prop_assert_eq!(spool.pop().unwrap(), model.pop_front()),
                }
            }
            while let Some(record) = model.pop_front() {
                prop_assert_eq!(spool.pop().unwrap(), Some(record));
            }
            prop_assert_eq!(spool.pop().unwrap(), None);
        }
    }
}
