//! The bytes that go out over a data connection next: the ends of several small files, gathered so that one write takes
//! them all. Remembers whose bytes are not wholly handed to the kernel.

use ferry_common::dialogue::RequestId;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct Unsent {
    /// Is as long as it ever had to be: to clear what is written over anyway would cost as much as the writing.
    buffer: Vec<u8>,
    /// So many bytes of the buffer count...
    filled: usize,
    /// ...and of those so many are handed over.
    sent: usize,
    /// Bytes handed over before those in the buffer.
    sent_before: u64,
    /// Where in the stream the last byte of a request ends that is not handed over.
    ends: VecDeque<(RequestId, u64)>,
}

impl Unsent {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.filled
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.sent..self.filled]
    }

    pub(crate) fn len(&self) -> usize {
        self.filled - self.sent
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Has `fill` write at most `most` bytes behind those there, and tell how many it were.
    pub(crate) fn push_with<E>(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let filled = fill(self.room(most))?;
        self.filled += filled.min(most);
        Ok(filled)
    }

    /// So much of the buffer behind what counts.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.filled + bytes;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    /// The last byte of the request is in.
    pub(crate) fn end(&mut self, id: RequestId) {
        self.ends.push_back((id, self.sent_before + self.filled as u64));
    }

    /// The kernel has taken so many.
    pub(crate) fn take(&mut self, count: usize) {
        self.sent += count.min(self.len());
        let at = self.sent_before + self.sent as u64;
        while self.ends.front().is_some_and(|&(_, end)| end <= at) {
            self.ends.pop_front();
        }
        if self.is_empty() {
            self.sent_before = at;
            self.sent = 0;
            self.filled = 0;
        }
    }

    /// Those that have bytes here.
    pub(crate) fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.ends.iter().map(|&(id, _)| id)
    }

    /// True where bytes of the request wait here.
    pub(crate) fn holds(&self, id: RequestId) -> bool {
        self.ends.iter().any(|&(other, _)| other == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_handed_over_when_its_last_byte_is() {
        let mut unsent = Unsent::default();
        unsent.push(b"ticket\n");
        unsent.push(b"first");
        unsent.end(1);
        let filled: Result<usize, ()> = unsent.push_with(10, |into| {
            into[..6].copy_from_slice(b"second");
            Ok(6)
        });
        assert_eq!(filled, Ok(6));
        unsent.end(2);
        assert_eq!((unsent.rest(), unsent.len()), (&b"ticket\nfirstsecond"[..], 18));
        unsent.take(11);
        assert!(unsent.holds(1) && unsent.holds(2));
        unsent.take(1);
        assert!(!unsent.holds(1) && unsent.holds(2));
        unsent.take(6);
        assert!(!unsent.holds(2) && unsent.is_empty());
        unsent.push(b"third");
        unsent.end(3);
        unsent.take(4);
        assert!(unsent.holds(3));
        unsent.take(1);
        assert!(!unsent.holds(3));
    }

    #[test]
    fn nothing_stays_of_what_could_not_be_made() {
        let mut unsent = Unsent::default();
        assert_eq!(unsent.push_with(10, |_| Err("no")), Err("no"));
        assert!(unsent.is_empty() && unsent.rest().is_empty());
    }
}
