//! Who is told what came of a piece of work.

use crate::net::slots::Key;

/// Whose job it is: a session, and which of its transfers. A later one must not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) session: Key,
    pub(crate) transfer: u32,
}
