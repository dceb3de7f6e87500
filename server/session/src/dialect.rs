//! The protocols that a session may be spoken to in: how each makes requests of bytes, and text of answers. A dialect knows
//! neither files nor what the session is doing.
//!
//! Each is a [`Dialect`]; which of them a session of the product speaks is one match, in [`AnyDialect`]. The trait lets the
//! tests speak a dialect of their own, so that they show what the work does for any.

mod ferry;
mod foreign;
pub mod ftp;

use crate::action::Event;
use crate::answer::Answer;
use crate::request::Request;
use crate::{Policy, Running};
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

    fn text_of(&mut self, answer: Answer) -> Vec<u8>;

    /// What the server says first of all.
    fn greeting(&self) -> Option<Vec<u8>> {
        None
    }

    /// True in a protocol in which input is to be heard while a request is worked on, and in which a client that ends its
    /// control connection takes back what is under way; [`Dialect::interruption`] tells what does not wait for its turn.
    fn hears_meanwhile(&self) -> bool {
        false
    }

    /// True while more input can be held.
    fn has_room(&self) -> bool {
        true
    }

    /// What has come that is to be done before the request that is worked on is.
    fn interruption(&mut self, _running: Option<Running<'_>>) -> Option<Interruption> {
        None
    }

    /// True where the client has said already that it will end the session, so that its end takes nothing back.
    fn has_said_goodbye(&self) -> bool {
        false
    }

    /// True until the client has said what it must say before all else, for which it has
    /// [`LOGIN_TIMEOUT`](crate::limits::LOGIN_TIMEOUT).
    fn awaits_login(&self) -> bool {
        false
    }
}

/// See [`Dialect::interruption`]. The text is said behind all that is owed.
#[derive(Debug)]
pub enum Interruption {
    /// The transfer under way ends.
    Abort(Vec<u8>),
    /// Something is told, and the transfer goes on.
    Told(Vec<u8>),
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
    /// In memory of its own: sessions of Ferry's own protocol, of which there are more, are to be no larger for it.
    Ftp(Box<ftp::Ftp>),
}

impl AnyDialect {
    pub fn ferry(policy: &Policy) -> Self {
        Self::Ferry(ferry::Ferry::new(policy))
    }

    pub fn ftp(policy: ftp::FtpPolicy, client: ftp::Client) -> Self {
        Self::Ftp(Box::new(ftp::Ftp::new(policy, client)))
    }
}

impl Dialect for AnyDialect {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Ferry(ferry) => ferry.push(bytes),
            Self::Ftp(ftp) => ftp.push(bytes),
        }
    }

    fn next(&mut self) -> Heard {
        match self {
            Self::Ferry(ferry) => ferry.next(),
            Self::Ftp(ftp) => ftp.next(),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Ferry(ferry) => ferry.held_bytes(),
            Self::Ftp(ftp) => ftp.held_bytes(),
        }
    }

    fn awaits_more(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.awaits_more(),
            Self::Ftp(ftp) => ftp.awaits_more(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Ferry(ferry) => ferry.clear(),
            Self::Ftp(ftp) => ftp.clear(),
        }
    }

    fn text_of(&mut self, answer: Answer) -> Vec<u8> {
        match self {
            Self::Ferry(ferry) => ferry.text_of(answer),
            Self::Ftp(ftp) => ftp.text_of(answer),
        }
    }

    fn greeting(&self) -> Option<Vec<u8>> {
        match self {
            Self::Ferry(ferry) => ferry.greeting(),
            Self::Ftp(ftp) => ftp.greeting(),
        }
    }

    fn hears_meanwhile(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.hears_meanwhile(),
            Self::Ftp(ftp) => ftp.hears_meanwhile(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.has_room(),
            Self::Ftp(ftp) => ftp.has_room(),
        }
    }

    fn interruption(&mut self, running: Option<Running<'_>>) -> Option<Interruption> {
        match self {
            Self::Ferry(ferry) => ferry.interruption(running),
            Self::Ftp(ftp) => ftp.interruption(running),
        }
    }

    fn has_said_goodbye(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.has_said_goodbye(),
            Self::Ftp(ftp) => ftp.has_said_goodbye(),
        }
    }

    fn awaits_login(&self) -> bool {
        match self {
            Self::Ferry(ferry) => ferry.awaits_login(),
            Self::Ftp(ftp) => ftp.awaits_login(),
        }
    }
}
