//! How a data connection finds its session.

pub(crate) mod tickets;
