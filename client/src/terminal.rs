//! What a person sees, and what the keyboard does beside typing.

pub(crate) mod interrupt;
pub(crate) mod layout;
pub(crate) mod palette;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod settings;
