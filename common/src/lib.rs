//! The Ferry protocol, as far as both of its ends have it, pure: the text on the wire, paths, limits, errors, and the
//! client's state machine, [`dialogue::Dialogue`]. The server's is in the crate `ferry-session`.
//!
//! Nothing here touches a socket, a file or a clock. Facts go in by `handle_...` (time is an argument),
//! work comes out by `poll_...`, and the caller drains the work after every fact. The machine counts
//! payload bytes but never sees them. `PROTOCOL.md` beside this crate specifies what goes over the wire.

pub mod dialogue;
pub mod error;
pub mod limits;
pub mod path;
pub mod wire;
