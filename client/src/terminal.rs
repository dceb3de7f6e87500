//! What a person sees, and what the keyboard does beside typing.

pub(crate) mod console;
pub(crate) mod drawn;
pub(crate) mod interrupt;
mod job_control;
pub(crate) mod json;
pub(crate) mod layout;
pub(crate) mod live;
pub(crate) mod meter;
pub(crate) mod palette;
pub(crate) mod progress;
pub(crate) mod rate;
pub(crate) mod screen;
pub(crate) mod settings;
pub(crate) mod signals;
