//! The Ferry protocol, pure: the grammar of lines and words, commands and replies, limits, errors, and
//! the two state machines that speak it, [`session::Session`] (the server's end) and
//! [`dialogue::Dialogue`] (the client's end).
//!
//! Nothing here touches a socket, a file or a clock. Facts go in by `handle_...` (time is an argument),
//! work comes out by `poll_...`, and the caller drains the work after every fact. The machines count
//! payload bytes but never see them. `PROTOCOL.md` beside this crate specifies what goes over the wire.

pub mod action;
pub mod command;
pub mod dialogue;
pub mod digest;
pub mod entry;
pub mod error;
mod foreign;
mod input_buffer;
pub mod limits;
pub mod line;
pub mod outbox;
mod pace;
pub mod path;
pub mod reply;
pub mod session;
pub mod ticket;
pub mod words;
