//! What a download does next: a pure state machine, which makes no call and knows no socket.

use crate::limits::{READ_BUFFER_BYTES, READ_PIECES_MAX, WARM_WINDOW_BYTES};
use crate::store::mounts::Medium;
use crate::store::residency::Found;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Course {
    medium: Medium,
    /// The first byte that the socket does not have yet.
    offset: u64,
    end: u64,
    /// A disk thread brings a part into memory, or reads one into a buffer.
    job: Option<Job>,
    /// Up to here the file was brought into memory: what is cold all the same goes through a buffer.
    warmed_until: u64,
    /// Up to here the file is read into buffers.
    copied_until: u64,
    /// Bytes in buffers that the socket does not have yet, from `offset` on, and in how many buffers.
    held_bytes: u64,
    held_pieces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Warm,
    Read,
}

/// The next thing to do. Parts are never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Send from the page cache.
    Send(Range<u64>),
    /// Have this part brought into memory.
    Warm(Range<u64>),
    /// Have this part read into a buffer.
    Read(Range<u64>),
    /// Write the oldest buffer to the socket.
    Write,
    /// A disk thread must be done first, or everything is sent.
    Wait,
    /// The file has less than was announced.
    Short,
}

impl Course {
    pub(super) fn new(medium: Medium, offset: u64, end: u64) -> Self {
        Self {
            medium,
            offset,
            end,
            job: None,
            warmed_until: offset,
            copied_until: offset,
            held_bytes: 0,
            held_pieces: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.offset >= self.end
    }

    /// True where nothing can be done before a disk thread is done.
    pub(super) fn is_waiting(&self) -> bool {
        self.job.is_some() && self.held_pieces == 0
    }

    pub(super) fn holds_pieces(&self) -> bool {
        self.held_pieces > 0
    }

    /// Decides. With `is_slow`, sending this file from the page cache has lately waited for a disk. `look` tells
    /// whether a part is in memory right now.
    pub(super) fn next<E>(
        &mut self,
        budget_bytes: u64,
        is_slow: bool,
        look: impl FnOnce(&Range<u64>) -> Result<Found, E>,
    ) -> Result<Next, E> {
        if self.is_done() || budget_bytes == 0 {
            return Ok(Next::Wait);
        }
        let is_copied = self.medium == Medium::Foreign || is_slow;
        if let Some(read) = self.part_to_read(is_copied) {
            return Ok(Next::Read(read));
        }
        if self.held_pieces > 0 {
            return Ok(Next::Write);
        }
        if self.job.is_some() {
            return Ok(Next::Wait);
        }
        let mut part = self.offset..self.end.min(self.offset.saturating_add(budget_bytes));
        if self.offset < self.warmed_until {
            // What lies behind has not been brought in yet.
            part.end = part.end.min(self.warmed_until);
        }
        if self.medium == Medium::Memory {
            return Ok(Next::Send(part));
        }
        match look(&part)? {
            Found::Resident => Ok(Next::Send(part)),
            Found::Short => Ok(Next::Short),
            Found::Cold if self.offset < self.warmed_until => {
                self.copied_until = part.end;
                Ok(self.part_to_read(false).map_or(Next::Wait, Next::Read))
            }
            Found::Cold => Ok(Next::Warm(self.offset..self.window_end())),
        }
    }

    /// Without this part nothing more can be had than what is in buffers: there is no buffer for it.
    pub(super) fn next_without_buffer(&self) -> Next {
        if self.held_pieces > 0 { Next::Write } else { Next::Wait }
    }

    pub(super) fn handle_submitted(&mut self, next: &Next) {
        self.job = match next {
            Next::Warm(part) => {
                self.warmed_until = part.end;
                Some(Job::Warm)
            }
            Next::Read(_) => Some(Job::Read),
            Next::Send(_) | Next::Write | Next::Wait | Next::Short => self.job,
        };
    }

    pub(super) fn handle_warmed(&mut self) {
        self.job = None;
    }

    /// A part was read into a buffer. False where it is not the one that follows what is held: it is dropped, and
    /// read again when it is its turn.
    pub(super) fn handle_read(&mut self, offset: u64, length: u64) -> bool {
        self.job = None;
        let is_next = offset == self.offset + self.held_bytes;
        if is_next {
            self.held_bytes += length;
            self.held_pieces += 1;
        }
        is_next
    }

    /// The socket took so much from the page cache.
    pub(super) fn handle_sent(&mut self, bytes: u64) {
        self.offset += bytes;
    }

    /// The socket took so much of the oldest buffer, which is empty now or not.
    pub(super) fn handle_written(&mut self, bytes: u64, is_emptied: bool) {
        self.offset += bytes;
        self.held_bytes -= bytes;
        self.held_pieces -= usize::from(is_emptied);
    }

    /// The buffers are given to others; their parts will be read again.
    pub(super) fn handle_given_up(&mut self) {
        self.copied_until = self.copied_until.max(self.offset + self.held_bytes);
        self.held_bytes = 0;
        self.held_pieces = 0;
    }

    fn part_to_read(&self, is_copied: bool) -> Option<Range<u64>> {
        let start = self.offset + self.held_bytes;
        let until = if is_copied { self.end } else { self.copied_until };
        let may_read = self.job.is_none() && self.held_pieces < READ_PIECES_MAX && start < until;
        may_read.then(|| start..until.min(start.saturating_add(READ_BUFFER_BYTES as u64)))
    }

    /// Windows lie at multiples of their size, so that a resumed download warms no page twice.
    fn window_end(&self) -> u64 {
        ((self.offset / WARM_WINDOW_BYTES + 1) * WARM_WINDOW_BYTES).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const PIECE: u64 = READ_BUFFER_BYTES as u64;
    const BUDGET: u64 = 256 * 1024;

    fn decide(course: &mut Course, is_slow: bool, found: Found) -> Next {
        let Ok(next) = course.next(BUDGET, is_slow, |_| Ok::<_, Infallible>(found));
        course.handle_submitted(&next);
        next
    }

    /// For decisions that may not depend on what is in memory.
    fn decide_blindly(course: &mut Course, is_slow: bool) -> Next {
        let Ok(next) = course.next(BUDGET, is_slow, |_| -> Result<Found, Infallible> { panic!("looked") });
        course.handle_submitted(&next);
        next
    }

    #[test]
    fn what_is_always_in_memory_is_sent_without_looking() {
        let mut course = Course::new(Medium::Memory, 5, 10);
        assert_eq!(decide_blindly(&mut course, false), Next::Send(5..10));
    }

    #[test]
    fn each_part_is_looked_for_right_before_it_is_sent() {
        let mut course = Course::new(Medium::Local, 0, 10 * BUDGET);
        let mut looks = Vec::new();
        for _ in 0..3 {
            let Ok(next) = course.next(BUDGET, false, |part| {
                looks.push(part.clone());
                Ok::<_, Infallible>(Found::Resident)
            });
            let Next::Send(part) = next else { panic!("{next:?}") };
            // The socket takes less than it was offered.
            course.handle_sent((part.end - part.start) / 2);
        }
        assert_eq!(looks, [0..BUDGET, BUDGET / 2..BUDGET * 3 / 2, BUDGET..2 * BUDGET]);
    }

    #[test]
    fn a_cold_part_is_warmed_once_and_then_read_into_a_buffer() {
        let mut course = Course::new(Medium::Local, 0, WARM_WINDOW_BYTES * 2);
        assert_eq!(decide(&mut course, false, Found::Cold), Next::Warm(0..WARM_WINDOW_BYTES));
        assert!(course.is_waiting());
        assert_eq!(decide(&mut course, false, Found::Resident), Next::Wait);
        course.handle_warmed();
        assert_eq!(decide(&mut course, false, Found::Cold), Next::Read(0..BUDGET));
        assert!(course.handle_read(0, BUDGET));
        assert_eq!(decide_blindly(&mut course, false), Next::Write);
        course.handle_written(BUDGET, true);
        assert_eq!(decide(&mut course, false, Found::Resident), Next::Send(BUDGET..2 * BUDGET));
    }

    #[test]
    fn a_part_ends_with_the_window_that_was_warmed() {
        let start = WARM_WINDOW_BYTES - 10;
        let mut course = Course::new(Medium::Local, start, WARM_WINDOW_BYTES * 2);
        assert_eq!(decide(&mut course, false, Found::Cold), Next::Warm(start..WARM_WINDOW_BYTES));
        course.handle_warmed();
        let next = decide(&mut course, false, Found::Resident);
        assert_eq!(next, Next::Send(start..WARM_WINDOW_BYTES));
        course.handle_sent(10);
        let next = decide(&mut course, false, Found::Cold);
        assert_eq!(next, Next::Warm(WARM_WINDOW_BYTES..2 * WARM_WINDOW_BYTES));
    }

    #[test]
    fn a_foreign_file_is_only_ever_read_into_buffers() {
        let end = 3 * PIECE + 7;
        let mut course = Course::new(Medium::Foreign, 0, end);
        assert_eq!(decide_blindly(&mut course, false), Next::Read(0..PIECE));
        assert_eq!(decide_blindly(&mut course, false), Next::Wait);
        assert!(course.handle_read(0, PIECE));
        assert_eq!(decide_blindly(&mut course, false), Next::Read(PIECE..2 * PIECE));
        assert_eq!(decide_blindly(&mut course, false), Next::Write);
        assert!(course.handle_read(PIECE, PIECE));
        // No more than two are held.
        assert_eq!(decide_blindly(&mut course, false), Next::Write);
        course.handle_written(PIECE, true);
        assert_eq!(decide_blindly(&mut course, false), Next::Read(2 * PIECE..3 * PIECE));
        course.handle_written(PIECE, true);
        assert!(course.handle_read(2 * PIECE, PIECE));
        course.handle_written(PIECE, true);
        assert_eq!(decide_blindly(&mut course, false), Next::Read(3 * PIECE..end));
        assert!(course.handle_read(3 * PIECE, 7));
        course.handle_written(7, true);
        assert!(course.is_done());
        assert_eq!(decide_blindly(&mut course, false), Next::Wait);
    }

    #[test]
    fn a_slow_file_goes_by_buffers_for_a_while_and_then_back() {
        let mut course = Course::new(Medium::Local, 0, 10 * PIECE);
        assert_eq!(decide_blindly(&mut course, true), Next::Read(0..PIECE));
        assert!(course.handle_read(0, PIECE));
        // What is in a buffer is written first, without reading more.
        assert_eq!(decide_blindly(&mut course, false), Next::Write);
        course.handle_written(PIECE, true);
        assert_eq!(decide(&mut course, false, Found::Resident), Next::Send(PIECE..PIECE + BUDGET));
    }

    #[test]
    fn buffers_that_are_given_up_are_read_again() {
        let mut course = Course::new(Medium::Foreign, 0, 10 * PIECE);
        assert_eq!(decide_blindly(&mut course, false), Next::Read(0..PIECE));
        assert!(course.handle_read(0, PIECE));
        assert_eq!(decide_blindly(&mut course, false), Next::Read(PIECE..2 * PIECE));
        course.handle_written(10, false);
        course.handle_given_up();
        assert!(!course.handle_read(PIECE, PIECE), "it is not the next part any more");
        assert_eq!(decide_blindly(&mut course, false), Next::Read(10..PIECE + 10));
    }

    #[test]
    fn a_file_that_ends_early_is_told() {
        let mut course = Course::new(Medium::Local, 0, 10);
        assert_eq!(decide(&mut course, false, Found::Short), Next::Short);
    }
}
