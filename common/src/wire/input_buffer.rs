//! The bytes of a connection's input that are held. Many of them lie in memory that was mapped for them alone, which the
//! system has back as soon as they are worked on: an allocator keeps pages of which it still uses a part, and a crowd of
//! long lines would cost a server that memory for good.

use crate::limits::INPUT_HEAP_MAX_BYTES;
use memmap2::MmapMut;
use std::ops::Deref;

/// See the module's documentation. Holds no memory while it is new.
#[derive(Debug, Default)]
pub(crate) struct InputBuffer {
    memory: Memory,
    length: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Vec<u8>),
    Mapped(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl InputBuffer {
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let needed = self.length + bytes.len();
        if needed > self.capacity_bytes() {
            self.grow(needed);
        }
        match &mut self.memory {
            Memory::Heap(heap) => heap.extend_from_slice(bytes),
            Memory::Mapped(map) => map[self.length..needed].copy_from_slice(bytes),
        }
        self.length = needed;
    }

    /// Drops the first `count` bytes.
    pub(crate) fn drop_front(&mut self, count: usize) {
        match &mut self.memory {
            Memory::Heap(heap) => drop(heap.drain(..count)),
            Memory::Mapped(map) => map.copy_within(count..self.length, 0),
        }
        self.length -= count;
    }

    fn grow(&mut self, needed: usize) {
        if needed > INPUT_HEAP_MAX_BYTES
            && let Ok(mut map) = MmapMut::map_anon(needed.next_multiple_of(INPUT_HEAP_MAX_BYTES))
        {
            map[..self.length].copy_from_slice(self);
            self.memory = Memory::Mapped(map);
            return;
        }
        // No more than it holds: there may be many thousands of these. A system that maps no more memory for this process
        // may still have some on the heap.
        if let Memory::Mapped(map) = &self.memory {
            self.memory = Memory::Heap(map[..self.length].to_vec());
        }
        if let Memory::Heap(heap) = &mut self.memory {
            heap.reserve_exact(needed - heap.len());
        }
    }

    /// The memory that is held.
    pub(crate) fn capacity_bytes(&self) -> usize {
        match &self.memory {
            Memory::Heap(heap) => heap.capacity(),
            Memory::Mapped(map) => map.len(),
        }
    }
}

impl Deref for InputBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(heap) => heap,
            Memory::Mapped(map) => &map[..self.length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain vector.
        #[test]
        fn what_was_appended_is_there_less_what_was_dropped(
            steps in prop::collection::vec((0..3 * INPUT_HEAP_MAX_BYTES, 0..100_usize), 1..20),
        ) {
            let (mut buffer, mut expected) = (InputBuffer::default(), Vec::new());
            for (number, (appended, dropped_percent)) in steps.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..appended).map(|index| (index + number) as u8).collect();
                buffer.append(&bytes);
                expected.extend_from_slice(&bytes);
                prop_assert_eq!(&*buffer, &*expected);
                let dropped = expected.len() * dropped_percent / 100;
                buffer.drop_front(dropped);
                expected.drain(..dropped);
                prop_assert_eq!(&*buffer, &*expected);
            }
        }
    }

    #[test]
    fn only_few_bytes_are_on_the_heap() {
        let mut buffer = InputBuffer::default();
        assert_eq!(buffer.capacity_bytes(), 0);
        buffer.append(&[1; 100]);
        assert!(matches!(buffer.memory, Memory::Heap(_)));
        assert_eq!(buffer.capacity_bytes(), 100);
        buffer.append(&[1; INPUT_HEAP_MAX_BYTES]);
        assert!(matches!(buffer.memory, Memory::Mapped(_)));
        assert_eq!(buffer.capacity_bytes(), 2 * INPUT_HEAP_MAX_BYTES);
    }
}
