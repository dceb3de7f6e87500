//! Which session may have a data connection or an open file now, and how many descriptors there are for that.

pub(crate) mod data_slots;
pub(crate) mod descriptors;
pub(crate) mod file_queue;
pub(crate) mod giving_way;
pub(crate) mod input_budget;
mod lines;
pub(crate) mod payload_memory;
pub(crate) mod roster;
pub(crate) mod rotation;
mod shares;
pub(crate) mod unticketed;
