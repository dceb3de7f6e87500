//! `ferry` with servers that do what a test wants, byte by byte: honest, vanishing, broken, hostile.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod resuming;
mod sessions;
mod support;
mod transfers;
mod untrue;
mod waiting;
