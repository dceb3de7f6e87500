//! Random numbers that follow from a seed, for simulations.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Tells the seed when a test fails.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see this again: FERRY_SEED={}", self.0);
        }
    }
}

/// Runs with the seed that `FERRY_SEED` names, or with all below `count`. True where it was the one.
pub(crate) fn for_each_seed(count: u64, mut run: impl FnMut(u64)) -> bool {
    match std::env::var("FERRY_SEED") {
        Ok(seed) => run(seed.parse().expect("FERRY_SEED is a whole number")),
        Err(_) => {
            (0..count).for_each(run);
            return false;
        }
    }
    true
}
