//! The modification time of a file, to the nanosecond.

use crate::wire::command::parse_number;
use std::fmt;

/// Nanoseconds in a second.
const SECOND_NS: u32 = 1_000_000_000;
/// Digits of a fraction that is told to the nanosecond.
const FRACTION_DIGITS: usize = 9;

/// A time since 1970-01-01 00:00 UTC: whole seconds, rounded down, and the nanoseconds from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime {
    seconds: i64,
    nanoseconds: u32,
}

impl FileTime {
    /// Nanoseconds that are none of a second, which a file system may tell, count as 0.
    pub fn new(seconds: i64, nanoseconds: impl TryInto<u32>) -> Self {
        let nanoseconds = nanoseconds.try_into().ok().filter(|&nanoseconds| nanoseconds < SECOND_NS);
        Self { seconds, nanoseconds: nanoseconds.unwrap_or(0) }
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// From the whole second on; less than a second.
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Understands what [`FileTime`] is displayed as, and a fraction with zeros at its end.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let (is_negative, number) = match word.strip_prefix(b"-") {
            Some(number) => (true, number),
            None => (false, word),
        };
        let mut parts = number.splitn(2, |&byte| byte == b'.');
        let seconds = parse_number(parts.next()?)?;
        let nanoseconds = parts.next().map_or(Some(0), parse_fraction)?;
        if !is_negative {
            return Some(Self { seconds: seconds.try_into().ok()?, nanoseconds });
        }
        // Rounded down, a negative number with a fraction is further from 0.
        let seconds = 0_i64.checked_sub_unsigned(seconds)?;
        match nanoseconds {
            0 => Some(Self { seconds, nanoseconds }),
            _ => Some(Self { seconds: seconds.checked_sub(1)?, nanoseconds: SECOND_NS - nanoseconds }),
        }
    }
}

/// As a decimal number of seconds, without zeros at the end of its fraction.
impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, nanoseconds } = *self;
        let (sign, whole, fraction) = match (seconds < 0, nanoseconds) {
            (_, 0) => return write!(f, "{seconds}"),
            (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
            (true, _) => ("-", seconds.unsigned_abs() - 1, SECOND_NS - nanoseconds),
        };
        let digits = format!("{fraction:0FRACTION_DIGITS$}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// One to nine digits behind the point, as nanoseconds.
fn parse_fraction(digits: &[u8]) -> Option<u32> {
    let missing = FRACTION_DIGITS.checked_sub(digits.len())?;
    let number = u32::try_from(parse_number(digits)?).ok()?;
    Some(number * 10_u32.pow(u32::try_from(missing).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_decimal_number_of_seconds() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1764000000", 1_764_000_000, 0),
            ("1764000000.5", 1_764_000_000, 500_000_000),
            ("0.000000001", 0, 1),
            ("0.999999999", 0, 999_999_999),
            ("-1", -1, 0),
            ("-0.000000001", -1, 999_999_999),
            ("-0.75", -1, 250_000_000),
            ("-1.5", -2, 500_000_000),
            ("9223372036854775807.999999999", i64::MAX, 999_999_999),
            ("-9223372036854775808", i64::MIN, 0),
            ("-9223372036854775807.000000001", i64::MIN, 999_999_999),
        ] {
            let time = FileTime::new(seconds, nanoseconds);
            assert_eq!(FileTime::parse(text.as_bytes()), Some(time), "{text}");
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "-.5",
            "+1",
            "1.-5",
            "1.5.5",
            "1.0000000000",
            "1e9",
            " 1",
            "1 ",
            "1,5",
            "9223372036854775808",
            "-9223372036854775808.5",
            "-9223372036854775809",
        ] {
            assert_eq!(FileTime::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(FileTime::parse(b"1.500"), Some(FileTime::new(1, 500_000_000)));
        assert_eq!(FileTime::parse(b"-0.0"), Some(FileTime::default()));
    }

    #[test]
    fn nanoseconds_that_are_none_of_a_second_are_left_out() {
        assert_eq!(FileTime::new(5, 1_000_000_000), FileTime::from_seconds(5));
        assert_eq!(FileTime::new(5, -1_i64), FileTime::from_seconds(5));
    }
}
