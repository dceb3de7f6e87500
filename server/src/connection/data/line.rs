//! A line of a length that is known beforehand. No byte beyond it is read: what follows is payload.

use super::{Step, read};
use crate::net::socket::Socket;

/// The line as far as it has come, its LF included in `BYTES`.
#[derive(Debug)]
pub(crate) struct FixedLine<const BYTES: usize> {
    line: [u8; BYTES],
    filled: usize,
}

impl<const BYTES: usize> FixedLine<BYTES> {
    pub(super) const EMPTY: Self = Self { line: [0; BYTES], filled: 0 };

    pub(super) fn missing_bytes(&self) -> usize {
        BYTES - self.filled
    }

    /// What has come of the line.
    pub(super) fn filled(&self) -> &[u8] {
        &self.line[..self.filled]
    }

    /// Reads on. Once the line is whole, `complete` makes something of its text, or of the lack of a LF.
    pub(super) fn step(&mut self, socket: &mut Socket, complete: impl FnOnce(Option<&[u8]>) -> Step) -> Step {
        match read(socket, &mut self.line[self.filled..]) {
            Ok(count) => self.filled += count,
            Err(step) => return step,
        }
        if self.missing_bytes() > 0 { Step::Moved(0) } else { complete(self.line.strip_suffix(b"\n")) }
    }
}
