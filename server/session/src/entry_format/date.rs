//! Dates and times of day in UTC, as the listings of FTP have them.

use ferry_common::wire::file_time::FileTime;

/// Digits of a date with its time of day: `YYYYMMDDHHMMSS`.
const STAMP_DIGITS: usize = 14;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// 400 years have as many days as the next 400.
const ERA_YEARS: i64 = 400;
const ERA_DAYS: i64 = 146_097;
/// From the first of March of the year 0 to 1970-01-01.
const EPOCH_DAY: i64 = 719_468;
/// 0000-01-01 00:00:00, which is the first that has four digits for its year...
const FIRST_SECOND: i64 = -62_167_219_200;
/// ...and 9999-12-31 23:59:59, which is the last.
const LAST_SECOND: i64 = 253_402_300_799;

/// A second of a day. Its year has four digits at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// From 1 to 12.
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl Date {
    /// The nearest that can be told.
    pub(crate) fn of(time: FileTime) -> Self {
        let seconds = time.seconds().clamp(FIRST_SECOND, LAST_SECOND);
        let (days, of_day) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        // Years begin in March here, so that the day that some have more is the last.
        let days = days + EPOCH_DAY;
        let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / (ERA_DAYS - 1);
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - days_before_year(year_of_era);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * ERA_YEARS + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - days_before_month(month_from_march) + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// `YYYYMMDDHHMMSS`, as RFC 3659 has it.
    pub(crate) fn stamp(self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }

    /// Three letters, in English.
    pub(crate) fn month_name(self) -> &'static str {
        const NAMES: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        usize::try_from(self.month - 1).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or("Jan")
    }

    fn seconds(self) -> i64 {
        let Self { year, month, day, hour, minute, second } = self;
        let year = year - i64::from(month <= 2);
        let month_from_march = if month > 2 { month - 3 } else { month + 9 };
        let year_of_era = year.rem_euclid(ERA_YEARS);
        let day_of_era = days_before_year(year_of_era) + days_before_month(month_from_march) + day - 1;
        let days = year.div_euclid(ERA_YEARS) * ERA_DAYS + day_of_era - EPOCH_DAY;
        days * DAY_SECONDS + hour * 3600 + minute * 60 + second
    }
}

/// Understands a [stamp](Date::stamp), with a fraction of a second or without one. `None` for days that there are not.
pub(crate) fn parse_stamp(text: &[u8]) -> Option<FileTime> {
    let (digits, fraction) = text.split_at_checked(STAMP_DIGITS)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| {
        digits[from..to].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    };
    let date = Date {
        year: number(0, 4),
        month: number(4, 6),
        day: number(6, 8),
        hour: number(8, 10),
        minute: number(10, 12),
        // A leap second is no second of its own here.
        second: number(12, 14).min(59),
    };
    let time = FileTime::from_seconds(date.seconds());
    let is_there = (1..=12).contains(&date.month) && number(12, 14) <= 60 && Date::of(time) == date;
    if !is_there {
        return None;
    }
    match fraction {
        [] => Some(time),
        // A file time understands fractions by itself.
        [b'.', ..] => {
            let fraction = FileTime::parse(&[b"0", fraction].concat())?;
            Some(FileTime::new(time.seconds(), fraction.nanoseconds()))
        }
        _ => None,
    }
}

/// Of years of an era that begin in March.
fn days_before_year(year_of_era: i64) -> i64 {
    365 * year_of_era + year_of_era / 4 - year_of_era / 100
}

/// Of a year that begins in March.
fn days_before_month(month_from_march: i64) -> i64 {
    (153 * month_from_march + 2) / 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(seconds: i64) -> String {
        Date::of(FileTime::from_seconds(seconds)).stamp()
    }

    #[test]
    fn known_times_have_their_stamps() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (-1, "19691231235959"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (951_868_800, "20000301000000"),
            (1_078_012_800, "20040229000000"),
            (4_107_542_400, "21000301000000"),
            (4_107_542_399, "21000228235959"),
            (1_764_000_000, "20251124160000"),
            (FIRST_SECOND, "00000101000000"),
            (LAST_SECOND, "99991231235959"),
        ] {
            assert_eq!(stamp(seconds), text);
            assert_eq!(parse_stamp(text.as_bytes()), Some(FileTime::from_seconds(seconds)), "{text}");
        }
        assert_eq!((stamp(i64::MIN), stamp(i64::MAX)), (stamp(FIRST_SECOND), stamp(LAST_SECOND)));
        assert_eq!(Date::of(FileTime::from_seconds(1_764_000_000)).month_name(), "Nov");
    }

    #[test]
    fn fractions_are_understood_and_what_is_no_time_is_refused() {
        assert_eq!(parse_stamp(b"19700101000001.25"), Some(FileTime::new(1, 250_000_000)));
        assert_eq!(parse_stamp(b"19700101000060"), Some(FileTime::from_seconds(59)));
        for text in [
            "",
            "2017092",
            "B017092101341A",
            "20170921013410x",
            "20170921013410.",
            "20170921013410.1x",
            "20170921013410.1234567891",
            "20170021013410",
            "20171321013410",
            "20170900013410",
            "20170931013410",
            "20170229013410",
            "20170921243410",
            "20170921016010",
            "20170921013461",
            "-0170921013410",
        ] {
            assert_eq!(parse_stamp(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_what_its_stamp_says(seconds in FIRST_SECOND..=LAST_SECOND) {
            let time = FileTime::from_seconds(seconds);
            prop_assert_eq!(parse_stamp(stamp(seconds).as_bytes()), Some(time));
            let date = Date::of(time);
            prop_assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day));
        }
    }
}
