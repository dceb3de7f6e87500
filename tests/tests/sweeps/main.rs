//! Something happens at every system call of a transfer: `kill -9`, or the call fails in each way that it can.
//! Run by `tests/checks`, which tells how long that takes. With `FERRY_SWEEP=full` an error is put into every
//! call, not into the first of each kind only.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

mod attempt;
mod calls;
mod client;
mod client_errors;
mod client_kills;
mod folders;
mod ftp;
mod kills;
mod server_errors;
mod server_kills;
mod side_by_side;
