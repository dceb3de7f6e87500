//! What a person or a script types: lines, their completion, and what each command does.

pub(crate) mod batch;
pub(crate) mod commands;
pub(crate) mod complete;
pub(crate) mod context;
pub(crate) mod help;
pub(crate) mod input;
pub(crate) mod jobs;
pub(crate) mod listing;
pub(crate) mod local_place;
pub(crate) mod moving;
pub(crate) mod names;
pub(crate) mod overwrite;
pub(crate) mod pattern;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod reading;
pub(crate) mod recall;
pub(crate) mod remote;
pub(crate) mod repl;
pub(crate) mod status;
pub(crate) mod syncing;
pub(crate) mod table;
pub(crate) mod trees;
pub(crate) mod walk;
pub(crate) mod words;
