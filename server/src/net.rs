//! The sockets: listening, reading and writing without waiting, telling one connection from another, and the
//! one queue of deadlines. Knows no session and no file.

pub(crate) mod acceptor;
pub(crate) mod address;
pub(crate) mod deadlines;
pub(crate) mod listener;
pub(crate) mod signals;
pub(crate) mod slots;
pub(crate) mod socket;
