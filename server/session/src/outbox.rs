//! The replies of a session that wait to be written: a bounded first-in-first-out queue of bytes.
//!
//! Owns no socket and never grows by what was sent: sent bytes leave the queue at once, and the memory of an
//! empty queue is given back. The server and the model of its tests use the same type.

use crate::limits::OUTBOX_MAX_BYTES;
use std::collections::VecDeque;
use thiserror::Error;

/// The session said more than [`OUTBOX_MAX_BYTES`] ahead of its reader. A session that keeps to
/// [`ferry_common::limits::OUTBOX_PAUSE_BYTES`] never does, so the caller ends one that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than {OUTBOX_MAX_BYTES} bytes of replies wait to be sent")]
pub struct OutboxFull;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Outbox {
    /// A ring, so that dropping what was sent moves nothing.
    bytes: VecDeque<u8>,
}

impl Outbox {
    /// Queues lines behind what waits already. What does not fit is refused whole.
    pub fn push(&mut self, lines: &[u8]) -> Result<(), OutboxFull> {
        let needed = self.bytes.len() + lines.len();
        if needed > OUTBOX_MAX_BYTES {
            return Err(OutboxFull);
        }
        if needed > self.bytes.capacity() {
            // Doubling makes growing cheap; the bound holds for the memory as for what is in it.
            let capacity = needed.next_power_of_two().min(OUTBOX_MAX_BYTES);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(lines);
        Ok(())
    }

    /// The next bytes to send: all that waits, or its first part where the ring has its seam. Empty only when
    /// nothing waits.
    pub fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// Drops `count` bytes that were sent, and all memory when that was the last of them.
    pub fn consume(&mut self, count: usize) {
        if count >= self.bytes.len() {
            self.clear();
        } else {
            self.bytes.drain(..count);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The memory that is held.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Operation {
        Push(Vec<u8>),
        Consume(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            vec(any::<u8>(), 0..20_000).prop_map(Operation::Push),
            (0..30_000_usize).prop_map(Operation::Consume),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a plain vector of all that was ever queued.
        #[test]
        fn every_byte_comes_out_once_and_in_order(operations in vec(operation(), 0..60)) {
            let (mut outbox, mut pushed, mut sent) = (Outbox::default(), Vec::new(), Vec::new());
            for operation in operations {
                match operation {
                    Operation::Push(lines) => {
                        let fits = outbox.len() + lines.len() <= OUTBOX_MAX_BYTES;
                        prop_assert_eq!(outbox.push(&lines).is_ok(), fits);
                        if fits {
                            pushed.extend(lines);
                        }
                    }
                    Operation::Consume(most) => {
                        let count = outbox.front().len().min(most);
                        sent.extend_from_slice(&outbox.front()[..count]);
                        outbox.consume(count);
                    }
                }
                prop_assert_eq!(outbox.len(), pushed.len() - sent.len());
                prop_assert_eq!(outbox.front().is_empty(), outbox.is_empty());
                prop_assert!(outbox.capacity_bytes() <= OUTBOX_MAX_BYTES);
                prop_assert!(!outbox.is_empty() || outbox.capacity_bytes() == 0);
            }
            prop_assert!(pushed.starts_with(&sent));
        }
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow_by_what_was_sent() {
        let mut outbox = Outbox::default();
        outbox.push(&[0; 1000]).unwrap();
        let mut most = 0;
        for _ in 0..10_000 {
            outbox.push(&[1; 700]).unwrap();
            outbox.consume(outbox.front().len().min(700));
            while outbox.len() > 1000 {
                outbox.consume(1);
            }
            most = most.max(outbox.capacity_bytes());
        }
        assert!(!outbox.is_empty() && most <= 2048, "{most} bytes for 1700");
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let mut outbox = Outbox::default();
        outbox.push(&vec![7; OUTBOX_MAX_BYTES]).unwrap();
        assert_eq!(outbox.push(&[8]), Err(OutboxFull));
        assert_eq!(outbox.len(), OUTBOX_MAX_BYTES);
        outbox.consume(1);
        outbox.push(&[8]).unwrap();
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut outbox = Outbox::default();
        outbox.push(b"ok\n").unwrap();
        outbox.consume(3);
        assert_eq!((outbox.len(), outbox.capacity_bytes()), (0, 0));
    }
}
