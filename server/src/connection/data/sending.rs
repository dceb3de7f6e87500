//! A download: from the page cache to the socket inside the kernel, where that does not wait for a disk, and else
//! through buffers that disk threads fill. Never calls a foreign file system.

mod course;

use super::{Step, Turn, clamp};
use crate::disk::read_buffers::ReadBuffer;
use crate::limits::WARM_WINDOW_BYTES;
use crate::net::socket::Socket;
use crate::store::digest_cache::FileIdentity;
use crate::store::errors::Call;
use crate::store::held_file::HeldFile;
use crate::store::readers::Reading;
use crate::store::residency::Residency;
use course::{Course, Next};
use ferry_common::error::ErrorCode;
use ferry_session::action::End;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Sending {
    file: Arc<HeldFile>,
    identity: FileIdentity,
    residency: Residency,
    course: Course,
    pieces: VecDeque<Piece>,
    /// What is read ahead behind a part that was brought in, until all of it is sent: up to here.
    ahead: Option<(u64, Arc<Reading>)>,
}

/// A part of the file that was read into a buffer.
#[derive(Debug)]
struct Piece {
    buffer: ReadBuffer,
    /// How much of it the socket has.
    written: usize,
}

impl Sending {
    pub(super) fn new(file: Arc<HeldFile>, identity: FileIdentity, offset: u64, length: u64) -> Self {
        let course = Course::new(file.medium(), offset, offset.saturating_add(length));
        Self { file, identity, residency: Residency::new(), course, pieces: VecDeque::new(), ahead: None }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.course.is_waiting()
    }

    pub(super) fn is_done(&self) -> bool {
        self.course.is_done()
    }

    pub(super) fn holds_pieces(&self) -> bool {
        self.course.holds_pieces()
    }

    /// A disk thread has brought in what was cold.
    pub(super) fn handle_warmed(&mut self) {
        self.course.handle_warmed();
    }

    /// A disk thread has read a part.
    pub(super) fn handle_read(&mut self, offset: u64, buffer: ReadBuffer) {
        if self.course.handle_read(offset, buffer.bytes().len() as u64) {
            self.pieces.push_back(Piece { buffer, written: 0 });
        }
    }

    /// Leaves the buffers to others.
    pub(super) fn give_up_pieces(&mut self) {
        self.pieces.clear();
        self.course.handle_given_up();
    }

    pub(super) fn step(&mut self, socket: &mut Socket, turn: &mut Turn<'_>) -> Step {
        let is_slow = turn.slow_files.has(self.identity.file_key(), turn.now);
        let Self { file, residency, course, ahead, .. } = self;
        let key = self.identity.file_key();
        let look = |part: &Range<u64>| {
            ahead.take_if(|(until, _)| *until <= part.start);
            residency.look(file.file(), part, turn.readers.has(key))
        };
        match course.next(turn.budget_bytes, is_slow, look) {
            Ok(next) => self.perform(next, socket, turn),
            Err(errno) => Step::SendFailed(Call::Read.of_file(self.file.file())(errno)),
        }
    }

    fn perform(&mut self, next: Next, socket: &mut Socket, turn: &mut Turn<'_>) -> Step {
        match &next {
            Next::Send(part) => self.send(part, socket, turn),
            Next::Warm(part) => {
                self.course.handle_submitted(&next);
                let reading = turn.readers.begin(self.identity.file_key());
                self.ahead = Some((part.end.saturating_add(WARM_WINDOW_BYTES), Arc::clone(&reading)));
                Step::Cold { file: Arc::clone(&self.file), part: part.clone(), reading }
            }
            Next::Read(part) => {
                let device = self.identity.device();
                match turn.read_buffers.take(device, part.end - part.start) {
                    Some(buffer) => {
                        self.course.handle_submitted(&next);
                        let reading = turn.readers.begin(self.identity.file_key());
                        Step::Read { file: Arc::clone(&self.file), offset: part.start, buffer, reading }
                    }
                    None if self.course.next_without_buffer() == Next::Write => self.write(socket),
                    None => Step::Starved { device },
                }
            }
            Next::Write => self.write(socket),
            Next::Wait => Step::Blocked,
            Next::Short => Step::SendFailed(ErrorCode::Changed),
        }
    }

    fn send(&mut self, part: &Range<u64>, socket: &mut Socket, turn: &mut Turn<'_>) -> Step {
        let (mut offset, length) = (part.start, clamp(part.end - part.start, usize::MAX));
        let begun = Instant::now();
        let sent = socket.send_file(self.file.file(), &mut offset, length);
        // A page may have been reclaimed in between, or be in the middle of being read.
        turn.slow_files.handle_sent(self.identity.file_key(), begun.elapsed(), turn.now);
        match sent {
            // Bytes are owed, but the file has no more.
            Ok(0) => Step::SendFailed(ErrorCode::Changed),
            Ok(count) => {
                self.course.handle_sent(count as u64);
                Step::Moved(count as u64)
            }
            Err(Errno::AGAIN) => Step::Blocked,
            Err(Errno::INTR) => Step::Moved(0),
            Err(Errno::IO | Errno::NOMEM | Errno::OVERFLOW) => Step::SendFailed(ErrorCode::Io),
            Err(_) => Step::Ended(End::Torn),
        }
    }

    fn write(&mut self, socket: &mut Socket) -> Step {
        let Some(piece) = self.pieces.front_mut() else { return Step::Blocked };
        let left = &piece.buffer.bytes()[piece.written..];
        if left.is_empty() {
            // A read that brought nothing: bytes are owed, but the file has no more.
            return Step::SendFailed(ErrorCode::Changed);
        }
        match socket.write(left) {
            Ok(0) => Step::Blocked,
            Ok(count) => {
                let is_emptied = count == left.len();
                piece.written += count;
                self.course.handle_written(count as u64, is_emptied);
                if is_emptied {
                    self.pieces.pop_front();
                }
                Step::Moved(count as u64)
            }
            Err(_) => Step::Ended(End::Torn),
        }
    }
}
