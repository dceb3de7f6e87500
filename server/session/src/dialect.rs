//! The protocols that a session may be spoken to in: how each makes requests of bytes, and text of answers. A dialect knows
//! neither files nor what the session is doing.
//!
//! Each is a [`Dialect`]; which of them a session of the product speaks is one match, in [`AnyDialect`]. The trait lets the
//! tests speak a dialect of their own, so that they show what the work does for any.

mod ferry;

use crate::Policy;
use crate::action::Event;
use crate::answer::Answer;
use crate::request::Request;
use std::fmt::Debug;

/// What has come of a client in its protocol, and the texts of that.
pub trait Dialect: Debug {
    /// Bytes came from the client.
    fn push(&mut self, bytes: &[u8]);

    fn next(&mut self) -> Heard;

    /// Bytes that have come and are not worked on yet.
    fn held_bytes(&self) -> usize;

    /// True where what has come is of no use before more comes.
    fn awaits_more(&self) -> bool;

    /// Forgets what has come.
    fn clear(&mut self);

    fn text_of(&self, answer: Answer) -> Vec<u8>;
}

/// What comes next of a client's input.
#[derive(Debug)]
pub enum Heard {
    Request(Request),
    /// Something that the dialect answers by itself.
    Answered(Answered),
    /// Nothing, before more bytes come.
    Nothing,
}

/// See [`Heard::Answered`].
#[derive(Debug)]
pub struct Answered {
    pub text: Vec<u8>,
    pub event: Event,
    /// The input was no command of the dialect.
    pub is_mistake: bool,
    /// Payload that may be on its way all the same.
    pub payload_bytes: u64,
    /// Nothing is heard of the client any more.
    pub is_last: bool,
}

/// The dialect of one session of the product.
#[derive(Debug)]
pub enum AnyDialect {
    Ferry(ferry::Ferry),
}

impl AnyDialect {
    pub fn ferry(policy: &Policy) -> Self {
        Self::Ferry(ferry::Ferry::new(policy))
    }
}

impl Dialect for AnyDialect {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Ferry(ferry) => ferry.push(bytes),
        }
    }

    fn next(&mut self) -> Heard {
        match self {
            Self::Ferry(ferry) => ferry.next(),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Ferry(ferry) => ferry.held_bytes(),
        }
    }

    fn awaits_more(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.awaits_more(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Ferry(ferry) => ferry.clear(),
        }
    }

    fn text_of(&self, answer: Answer) -> Vec<u8> {
        match self {
            Self::Ferry(ferry) => ferry.text_of(answer),
        }
    }
}
