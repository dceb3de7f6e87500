//! One step of a turn: pieces of one kind of work, for as long as the time of the step lasts. Whatever a single piece
//! costs, other steps are not kept waiting by the number of pieces.

use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// No piece is left.
    Done,
    /// The time was over, and pieces may be left.
    CutShort,
}

/// Calls `piece` until it tells that there was none, or until `time` is over by `clock`; once at least.
pub(super) fn run(time: Duration, clock: impl Fn() -> Instant, mut piece: impl FnMut() -> bool) -> Ended {
    let until = clock() + time;
    while piece() {
        if clock() >= until {
            return Ended::CutShort;
        }
    }
    Ended::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Runs a step of 200 us in which each of `pieces` takes `piece_us`; tells how many were done.
    fn run_pieces(pieces: usize, piece_us: u64) -> (usize, Ended) {
        let now = Cell::new(Instant::now());
        let done = Cell::new(0);
        let ended = run(
            Duration::from_micros(200),
            || now.get(),
            || {
                let is_left = done.get() < pieces;
                if is_left {
                    done.set(done.get() + 1);
                    now.set(now.get() + Duration::from_micros(piece_us));
                }
                is_left
            },
        );
        (done.get(), ended)
    }

    #[test]
    fn a_step_ends_with_its_last_piece_or_with_the_first_that_its_time_is_over_after() {
        assert_eq!(run_pieces(0, 30), (0, Ended::Done));
        assert_eq!(run_pieces(6, 30), (6, Ended::Done));
        assert_eq!(run_pieces(15_000, 30), (7, Ended::CutShort));
        assert_eq!(run_pieces(15_000, 100), (2, Ended::CutShort));
    }

    #[test]
    fn a_step_does_one_piece_at_least_whatever_that_costs() {
        assert_eq!(run_pieces(2, 1_000_000), (1, Ended::CutShort));
    }
}
