//! What a person or a script types: lines, their completion, and what each command does.

pub(crate) mod batch;
pub(crate) mod commands;
pub(crate) mod complete;
pub(crate) mod input;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod repl;
pub(crate) mod status;
