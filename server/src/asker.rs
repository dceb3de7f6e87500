//! The session, and the generation of its transfer, that a job reports to.

use crate::net::address::Address;
use crate::net::slots::Key;

/// See the module's documentation. A later transfer of the session must not be told. The address is the
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
