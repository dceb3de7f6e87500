//! Pseudo-random choices that a seed determines, so that what a seed has found can be found again.

use crate::content::mix;

#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    step: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed), step: 0 }
    }

    pub fn number(&mut self) -> u64 {
        self.step += 1;
        mix(self.seed ^ mix(self.step))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A number from `start` up to and without `end`.
    pub fn between(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end - start)
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(choices.len() as u64)).expect("an index");
        &choices[index]
    }
}
