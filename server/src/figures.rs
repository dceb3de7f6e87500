//! Sizes, times and rates as a person reads them: one system of units, and no more digits than say something.

use humansize::{DECIMAL, SizeFormatter};
use std::fmt;
use std::time::Duration;

/// A rate over less than this time says nothing of a file smaller than [`RATED_MIN_BYTES`].
const RATED_MIN_TIME: Duration = Duration::from_millis(100);
const RATED_MIN_BYTES: u64 = 1_000_000;

/// `3.6 kB`, in powers of a thousand, as disks and networks are sold by.
pub(crate) struct Size(pub(crate) u64);

/// `0.4 s`, `2 min 5 s`
pub(crate) struct Time(pub(crate) Duration);

/// `  2.1 MB/s`, with the space before it; nothing for what was over too soon.
pub(crate) struct Rate {
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bytes are whole.
        let decimals = if self.0 < 1000 { 0 } else { 1 };
        let options = DECIMAL.decimal_places(decimals).decimal_zeroes(decimals);
        SizeFormatter::new(self.0, options).fmt(formatter)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tenths, seconds) = (rounded(self.0, 100), rounded(self.0, 1000));
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        match (rounded(self.0, 1), tenths) {
            (0..100, _) => write!(formatter, "{} ms", rounded(self.0, 1).max(1)),
            (_, 0..600) => write!(formatter, "{}.{} s", tenths / 10, tenths % 10),
            _ if hours == 0 => write!(formatter, "{minutes} min {} s", seconds % 60),
            _ => write!(formatter, "{hours} h {} min", minutes % 60),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, elapsed } = *self;
        let says_something = elapsed >= RATED_MIN_TIME || bytes >= RATED_MIN_BYTES;
        if bytes == 0 || !says_something || elapsed.is_zero() {
            return Ok(());
        }
        write!(formatter, "  {}/s", Size((bytes as f64 / elapsed.as_secs_f64()) as u64))
    }
}

/// In units of so many milliseconds, to the nearest.
fn rounded(time: Duration, unit_ms: u128) -> u128 {
    let unit_us = unit_ms * 1000;
    (time.as_micros() + unit_us / 2) / unit_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (3552, "3.6 kB"),
            (41_943_040, "41.9 MB"),
            (1 << 40, "1.1 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), expected);
        }
    }

    #[test]
    fn times_have_the_units_that_people_count_in() {
        for (ms, expected) in [
            (0, "1 ms"),
            (42, "42 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (412, "0.4 s"),
            (20_400, "20.4 s"),
            (59_940, "59.9 s"),
            (59_960, "1 min 0 s"),
            (125_000, "2 min 5 s"),
            (3_599_400, "59 min 59 s"),
            (3_599_600, "1 h 0 min"),
            (90_000_000, "25 h 0 min"),
        ] {
            assert_eq!(Time(Duration::from_millis(ms)).to_string(), expected, "{ms}");
        }
    }

    #[test]
    fn only_a_rate_that_says_something_is_told() {
        let rate = |bytes, ms| Rate { bytes, elapsed: Duration::from_millis(ms) }.to_string();
        assert_eq!(rate(41_943_040, 20_400), "  2.1 MB/s");
        assert_eq!(rate(67_108_864, 50), "  1.3 GB/s");
        assert_eq!(rate(3552, 2000), "  1.8 kB/s");
        assert_eq!(rate(3552, 4), "");
        assert_eq!(rate(0, 2000), "");
        assert_eq!(rate(5_000_000, 0), "");
    }
}
