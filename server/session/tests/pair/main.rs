//! The server's end and the client's end of the protocol, driven against each other in one process.

#![allow(clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "a test begins at some instant")]

mod commands;
mod cuts;
mod data_connection;
mod deadlines;
mod dialogue_alone;
mod foreign;
mod meanwhile;
mod meanwhile_dialect;
mod model;
mod names;
mod publishing;
mod raw_commands;
mod resuming;
mod simulation;
mod toy;
mod toy_dialect;
mod trailers;
mod verified;
