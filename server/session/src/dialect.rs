//! The protocols that a session may be spoken to in: how each makes requests of bytes, and text of answers. A dialect knows
//! neither files nor what the session is doing.

mod ferry;

use crate::Policy;
use crate::action::Event;
use crate::answer::Answer;
use crate::request::Request;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::reply::Reply;

/// The dialect of one session, and what has come in it.
#[derive(Debug)]
pub(crate) enum Dialect {
    Ferry(ferry::Ferry),
}

/// What comes next of a client's input.
#[derive(Debug)]
pub(crate) enum Heard {
    Request(Request),
    /// Something that the dialect answers by itself.
    Answered(Answered),
    /// Nothing, before more bytes come.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) text: Vec<u8>,
    pub(crate) event: Event,
    /// It was no command of the dialect.
    pub(crate) is_mistake: bool,
    /// Payload that may be on its way all the same.
    pub(crate) payload_bytes: u64,
    /// Nothing is heard of the client any more.
    pub(crate) is_last: bool,
}

/// How the entries of a listing are written. It goes with [`Action::List`](crate::action::Action::List), so that a disk
/// thread writes them, once for all sessions that ask for the same: the reactor would do that for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryFormat {
    Ferry,
}

impl Dialect {
    pub(crate) fn ferry(policy: &Policy) -> Self {
        Self::Ferry(ferry::Ferry::new(policy.read_only))
    }

    /// Bytes came from the client.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Ferry(ferry) => ferry.push(bytes),
        }
    }

    pub(crate) fn next(&mut self) -> Heard {
        match self {
            Self::Ferry(ferry) => ferry.next(),
        }
    }

    /// Bytes that have come and are not worked on yet.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Ferry(ferry) => ferry.held_bytes(),
        }
    }

    /// True where what has come is of no use before more comes.
    pub(crate) fn awaits_more(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.awaits_more(),
        }
    }

    /// Forgets what has come.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Ferry(ferry) => ferry.clear(),
        }
    }

    pub(crate) fn text_of(&self, answer: Answer<'_>) -> Vec<u8> {
        match self {
            Self::Ferry(_) => ferry::text_of(answer),
        }
    }

    pub(crate) fn entry_format(&self) -> EntryFormat {
        match self {
            Self::Ferry(_) => EntryFormat::Ferry,
        }
    }
}

impl EntryFormat {
    /// Appends an entry of a listing.
    pub fn write(self, entry: &Entry, text: &mut Vec<u8>) {
        match self {
            Self::Ferry => text.extend_from_slice(&Reply::entry("ls", entry)),
        }
    }
}
