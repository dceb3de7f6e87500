//! A download: from the page cache to the socket inside the kernel, where the pages are in memory.

use super::{Step, clamp};
use crate::net::socket::Socket;
use crate::store::errors::Call;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{WARM_PROBE_STRIDE_BYTES, WARM_WINDOW_BYTES};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Sending {
    file: Arc<File>,
    offset: u64,
    end: u64,
    /// Up to here the file is known to be in memory.
    warm_until: u64,
    /// A disk thread is bringing more of it in.
    warming: bool,
}

impl Sending {
    pub(super) fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self { file, offset, end: offset.saturating_add(length), warm_until: offset, warming: false }
    }

    pub(super) fn is_warming(&self) -> bool {
        self.warming
    }

    pub(super) fn is_done(&self) -> bool {
        self.offset >= self.end
    }

    /// A disk thread has brought in what was cold.
    pub(super) fn handle_warmed(&mut self) {
        self.warming = false;
        self.warm_until = self.window_end();
    }

    pub(super) fn step(&mut self, socket: &mut Socket, budget_bytes: u64) -> Step {
        if self.is_done() {
            return Step::Blocked;
        }
        if self.offset >= self.warm_until {
            match is_in_memory(&self.file, self.offset, self.window_end()) {
                Ok(true) => self.warm_until = self.window_end(),
                Ok(false) => {
                    self.warming = true;
                    let length = self.window_end() - self.offset;
                    return Step::Cold { file: Arc::clone(&self.file), offset: self.offset, length };
                }
                Err(code) => return Step::SendFailed(code),
            }
        }
        let length = (self.warm_until - self.offset).min(budget_bytes);
        let mut offset = self.offset;
        match socket.send_file(&self.file, &mut offset, clamp(length, usize::MAX)) {
            // Bytes are owed, but the file has no more.
            Ok(0) => Step::SendFailed(ErrorCode::Changed),
            Ok(count) => {
                self.offset += count as u64;
                Step::Moved(count as u64)
            }
            Err(Errno::AGAIN) => Step::Blocked,
            Err(Errno::INTR) => Step::Moved(0),
            Err(Errno::IO | Errno::NOMEM | Errno::OVERFLOW) => Step::SendFailed(ErrorCode::Io),
            Err(_) => Step::Lost,
        }
    }

    /// Windows lie at multiples of their size, so that a resumed download warms no page twice.
    fn window_end(&self) -> u64 {
        ((self.offset / WARM_WINDOW_BYTES + 1) * WARM_WINDOW_BYTES).min(self.end)
    }
}

/// Probes single bytes of `start..end` without waiting for a disk. Pages are read and dropped in runs far
/// longer than the stride, so a hit is as good as certain; a page that is missing all the same costs one
/// wait for the disk.
fn is_in_memory(file: &File, start: u64, end: u64) -> Result<bool, ErrorCode> {
    let mut at = start;
    loop {
        let mut byte = [0];
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(ErrorCode::Changed),
            Ok(_) => {}
            // The file system cannot tell, or it would have to read.
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => return Ok(false),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Call::Read.of_file(file)(errno)),
        }
        if at + 1 >= end {
            return Ok(true);
        }
        at = (at + WARM_PROBE_STRIDE_BYTES).min(end - 1);
    }
}
