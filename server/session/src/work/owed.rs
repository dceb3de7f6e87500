//! Replies in the order of their commands, while uploads wait for the disk behind which others are
//! received already.

use crate::work::transfer::Transfer;
use ferry_common::path::RemotePath;
use std::collections::VecDeque;

/// What the reply to an upload may need beside the path that it names.
const REPLY_ROOM_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Owed {
    queue: VecDeque<Item>,
    publishing: usize,
    /// Text held back, and room for the replies that are still to come between them.
    bytes: usize,
    /// The upload under way takes no other beside it.
    alone: bool,
}

#[derive(Debug)]
enum Item {
    Publishing { id: u64, transfer: Transfer },
    Text(Vec<u8>),
}

impl Owed {
    /// True when nothing holds replies back.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Uploads that wait for the disk.
    pub(crate) fn publishing(&self) -> usize {
        self.publishing
    }

    /// True when another upload may be received meanwhile.
    pub(crate) fn admits_upload(&self) -> bool {
        !self.alone
    }

    pub(crate) fn push_publishing(&mut self, id: u64, transfer: Transfer, alone: bool) {
        self.alone = alone;
        self.publishing += 1;
        self.bytes += reply_room(&transfer.path);
        self.queue.push_back(Item::Publishing { id, transfer });
    }

    /// What all this will be when it is said, at most: it counts as said already, so that nobody has more
    /// answered than may wait to be read.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push_text(&mut self, lines: Vec<u8>) {
        self.bytes += lines.len();
        match self.queue.back_mut() {
            Some(Item::Text(before)) => before.extend_from_slice(&lines),
            Some(Item::Publishing { .. }) | None => self.queue.push_back(Item::Text(lines)),
        }
    }

    /// An upload is published, or not; its transfer, for the reply that [`Owed::resolve`] puts in its place.
    pub(crate) fn find(&self, id: u64) -> Option<&Transfer> {
        self.queue.iter().find_map(|item| match item {
            Item::Publishing { id: other, transfer } if *other == id => Some(transfer),
            Item::Publishing { .. } | Item::Text(_) => None,
        })
    }

    /// Puts the reply in the place of its upload.
    pub(crate) fn resolve(&mut self, id: u64, reply: Vec<u8>) {
        for item in &mut self.queue {
            if let Item::Publishing { id: other, transfer } = item
                && *other == id
            {
                self.bytes = (self.bytes + reply.len()).saturating_sub(reply_room(&transfer.path));
                *item = Item::Text(reply);
                self.publishing -= 1;
                self.alone = false;
                return;
            }
        }
    }

    /// The next lines that nothing holds back any more.
    pub(crate) fn pop_text(&mut self) -> Option<Vec<u8>> {
        match self.queue.pop_front()? {
            Item::Text(lines) => {
                self.bytes = self.bytes.saturating_sub(lines.len());
                Some(lines)
            }
            publishing @ Item::Publishing { .. } => {
                self.queue.push_front(publishing);
                None
            }
        }
    }

    /// Gives up waiting.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn reply_room(path: &RemotePath) -> usize {
    REPLY_ROOM_BYTES + path.to_string().len()
}
