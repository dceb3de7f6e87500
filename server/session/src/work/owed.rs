//! Answers in the order of their commands, while uploads wait for the disk behind which others are
//! received already.

use super::transfer::Transfer;
use crate::answer::{Answer, Subject};
use crate::consent::Consenting;
use ferry_common::path::RemotePath;
use std::collections::VecDeque;

/// What the text of an answer may need beside the path that it names.
const ANSWER_ROOM_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Owed {
    queue: VecDeque<Item>,
    publishing: usize,
    /// The texts of answers that are held back or still to come, at most.
    bytes: usize,
    /// The upload under way takes no other beside it.
    alone: bool,
}

#[derive(Debug)]
enum Item {
    Publishing { id: u64, transfer: Box<Transfer>, consenting: Option<Consenting> },
    Answer(Answer),
}

impl Owed {
    /// True when nothing holds answers back.
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

    pub(crate) fn push_publishing(
        &mut self,
        id: u64,
        transfer: Box<Transfer>,
        alone: bool,
        consenting: Option<Consenting>,
    ) {
        self.alone = alone;
        self.publishing += 1;
        self.bytes += room_for(&transfer.path);
        self.queue.push_back(Item::Publishing { id, transfer, consenting });
    }

    /// What all this will be as text, at most. It counts as said already, so that no client has more commands
    /// answered than may wait to be read.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds an answer back behind the uploads before it.
    pub(crate) fn push(&mut self, answer: Answer) {
        self.bytes += room_of(&answer);
        self.queue.push_back(Item::Answer(answer));
    }

    /// The transfer of an upload that is published, or could not be: for the answer that [`Owed::resolve`] puts in its place.
    pub(crate) fn find(&self, id: u64) -> Option<&Transfer> {
        self.queue.iter().find_map(|item| match item {
            Item::Publishing { id: other, transfer, .. } if *other == id => Some(&**transfer),
            Item::Publishing { .. } | Item::Answer(_) => None,
        })
    }

    /// The newest upload that waits for the disk.
    pub(crate) fn newest(&self) -> Option<&Transfer> {
        self.queue.iter().rev().find_map(|item| match item {
            Item::Publishing { transfer, .. } => Some(&**transfer),
            Item::Answer(_) => None,
        })
    }

    /// Puts the answer in the place of its upload.
    pub(crate) fn resolve(&mut self, id: u64, answer: Answer) {
        for item in &mut self.queue {
            if let Item::Publishing { id: other, transfer, .. } = item
                && *other == id
            {
                self.bytes = (self.bytes + room_of(&answer)).saturating_sub(room_for(&transfer.path));
                *item = Item::Answer(answer);
                self.publishing -= 1;
                self.alone = false;
                return;
            }
        }
    }

    /// The next answer that nothing holds back any more.
    pub(crate) fn pop(&mut self) -> Option<Answer> {
        match self.queue.pop_front()? {
            Item::Answer(answer) => {
                self.bytes = self.bytes.saturating_sub(room_of(&answer));
                Some(answer)
            }
            publishing @ Item::Publishing { .. } => {
                self.queue.push_front(publishing);
                None
            }
        }
    }

    /// What has no name yet gets none, as far as that was agreed.
    pub(crate) fn withdraw_consent(&self) {
        for item in &self.queue {
            if let Item::Publishing { consenting: Some(consenting), .. } = item {
                consenting.withdraw();
            }
        }
    }

    /// Gives up waiting.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Bytes of the longest text that an answer may become. Text that is held itself counts with the place that it takes.
fn room_of(answer: &Answer) -> usize {
    match answer {
        Answer::Said(text) | Answer::Entries(text) => size_of::<Item>() + text.len(),
        Answer::Refused { subject: Subject::Path(path), .. } => room_for(path),
        Answer::Refused { subject: Subject::Rename { from, to }, .. } => room_for(from) + room_for(to),
        Answer::Entry(entry) => ANSWER_ROOM_BYTES + 4 * entry.name.len(),
        Answer::Ending { reason, .. } => ANSWER_ROOM_BYTES + reason.len(),
        Answer::Working
        | Answer::Offered(_)
        | Answer::Listening(_)
        | Answer::SendingListing
        | Answer::Sending { .. }
        | Answer::Receiving { .. }
        | Answer::Received { .. }
        | Answer::Listed { .. }
        | Answer::Sum { .. }
        | Answer::Partial { .. }
        | Answer::Space { .. }
        | Answer::Surveyed { .. }
        | Answer::Refused { subject: Subject::Sessions | Subject::DataConnection, .. }
        | Answer::Done
        | Answer::Moved { .. } => ANSWER_ROOM_BYTES,
    }
}

fn room_for(path: &RemotePath) -> usize {
    ANSWER_ROOM_BYTES + path.to_string().len()
}
