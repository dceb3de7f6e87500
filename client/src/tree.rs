//! The local side of trees: what is read of a folder to be sent, and how what is received gets its names. Every name
//! is resolved beneath one open folder, and no link is followed on the way.
//!
//! Nothing here knows of sessions or of the protocol, and nothing of what a server says is trusted.

pub(crate) mod case;
pub(crate) mod committer;
mod directory;
pub(crate) mod entries;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod file_system;
pub(crate) mod folder;
pub(crate) mod over;
pub(crate) mod pattern;
pub(crate) mod received;
pub(crate) mod receiving;
pub(crate) mod removing;
mod resolve;
pub(crate) mod same;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod stack;
mod temporary;
pub(crate) mod walk;
