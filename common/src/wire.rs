//! What goes over the wire, as text: lines and the words in them, commands, replies, and the values that both have.

pub mod command;
pub mod digest;
pub mod entry;
pub mod file_time;
mod input_buffer;
pub mod line;
pub mod printable;
pub mod reply;
pub mod session_entry;
pub mod ticket;
pub mod words;
