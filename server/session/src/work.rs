//! What a session does about requests, and what it owes for them. It knows no dialect and sees no text.

mod asking;
mod beginning;
mod moving;
pub(crate) mod owed;
pub(crate) mod pace;
pub(crate) mod phase;
mod transfer;
pub(crate) mod wait;
