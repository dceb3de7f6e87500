//! The control connections that can go on: those that have just become ready, and those that had a turn already and have
//! more to do. A single command is not to be behind everybody's pipeline. It serves none of them.

use super::rotation::Rotation;

#[derive(Debug, Default)]
pub(super) struct ReadyList {
    pub(super) fresh: Rotation,
    pub(super) continuing: Rotation,
}

impl ReadyList {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.continuing.is_empty()
    }
}
