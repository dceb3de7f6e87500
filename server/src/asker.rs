//! Who is told what came of a piece of work.

use crate::net::address::Address;
use crate::net::slots::Key;

/// Whose job it is: a session, and which of its transfers. A later one must not be told. The address is the
/// peer's, since peers share the disk threads by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) address: Address,
    pub(crate) session: Key,
    pub(crate) transfer: u32,
}

impl Asker {
    /// The server itself, for work that no session waits for.
    pub(crate) fn server() -> Self {
        Self { address: Address::OWN, session: Key::from_bits(0), transfer: 0 }
    }
}
