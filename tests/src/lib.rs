//! The test side of Ferry: the harness that runs the real `ferryd` and `ferry` and talks to them from
//! outside, and the load generator `swarm`. Knows the protocol and the command lines, never the insides.
//!
//! Every wait ends at a deadline and is for an event: a log line, bytes of a socket, an exit, or a
//! condition that is looked at again and again. What does not come in time is a panic, which fails the test.

pub mod binaries;
pub mod content;
pub mod conversation;
mod dial;
pub mod ends;
pub mod ferry;
pub mod ftp;
pub mod mount;
pub mod odd;
pub mod process;
pub mod proxy;
pub mod random;
pub mod relay;
pub mod screen;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod swarm;
pub mod terminal;
pub mod tracing;
pub mod transfer;
pub mod tree;
pub mod wait;
