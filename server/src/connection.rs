//! The two kinds of connections: control, which carries a session, and data, which carries payload.

pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod data_connections;
pub(crate) mod sessions;
pub(crate) mod survey;
