//! A stack of byte strings in bounded memory: what is below goes to a temporary file that has no name, and comes back when
//! all above it is gone.

use crate::limits::SPOOL_MEMORY_BYTES;
use crate::tree::spool;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The length behind each record.
const SUFFIX_BYTES: usize = size_of::<u32>();

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Stack {
    block_bytes: usize,
    /// What was pushed last.
    top: Vec<u8>,
    /// Whole records each, and where they begin and end in the file.
    blocks: Vec<(u64, usize)>,
    file: Option<File>,
}

impl Default for Stack {
    fn default() -> Self {
        Self::new(SPOOL_MEMORY_BYTES)
    }
}

impl Stack {
    /// Holds so much in memory, and one record.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        Self { block_bytes: memory_bytes.max(1), top: Vec::new(), blocks: Vec::new(), file: None }
    }

    /// After an error of the temporary file the stack cannot be relied on.
    pub(crate) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.top.extend_from_slice(record);
        self.top.extend_from_slice(&length.to_ne_bytes());
        if self.top.len() >= self.block_bytes {
            self.write_out()?;
        }
        Ok(())
    }

    /// The youngest record.
    pub(crate) fn pop(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.top.is_empty() && !self.read_back()? {
            return Ok(None);
        }
        let suffix = self.top.split_off(self.top.len().saturating_sub(SUFFIX_BYTES));
        let length = suffix.try_into().map_or(0, u32::from_ne_bytes) as usize;
        let begin = self.top.len().checked_sub(length).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(self.top.split_off(begin)))
    }

    fn write_out(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(spool::temporary_file()?),
        };
        let begin = self.blocks.last().map_or(0, |&(begin, length)| begin + length as u64);
        file.write_all_at(&self.top, begin)?;
        self.blocks.push((begin, self.top.len()));
        self.top.clear();
        Ok(())
    }

    /// False where nothing is left.
    fn read_back(&mut self) -> io::Result<bool> {
        let (Some(file), Some((begin, length))) = (&self.file, self.blocks.pop()) else { return Ok(false) };
        self.top.resize(length, 0);
        file.read_exact_at(&mut self.top, begin)?;
        file.set_len(begin)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn the_youngest_comes_first_however_little_memory_there_is(
            memory_bytes in 0_usize..200,
            steps in prop::collection::vec(prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40)), 0..200),
        ) {
            let mut stack = Stack::new(memory_bytes);
            let mut model: Vec<Vec<u8>> = Vec::new();
            for step in steps {
                match step {
                    Some(record) => {
                        stack.push(&record).unwrap();
                        model.push(record);
                    }
                    None => prop_assert_eq!(stack.pop().unwrap(), model.pop()),
                }
                prop_assert!(stack.top.len() <= memory_bytes + 50);
            }
            while let Some(record) = model.pop() {
                prop_assert_eq!(stack.pop().unwrap(), Some(record));
            }
            prop_assert_eq!(stack.pop().unwrap(), None);
        }
    }
}
