//! Lines of the log as a person reads them at a terminal: with the local time of day, and with the level only where it is
//! not the usual one.

use jiff::Zoned;
use jiff::civil::Date;
use std::io::Write;

const USUAL_LEVEL: &[u8] = b"[INFO] ";

#[derive(Debug, Default)]
pub(super) struct TerminalLines {
    /// The day of the last line.
    day: Option<Date>,
}

impl TerminalLines {
    /// A line that begins with its level, as it is shown. The first of a new day has that day before it.
    pub(super) fn shown(&mut self, line: &[u8], now: &Zoned) -> Vec<u8> {
        let mut shown = Vec::with_capacity(line.len() + 16);
        let today = now.date();
        if self.day.replace(today).is_some_and(|day| day != today) {
            // Writing into memory does not fail, here and below.
            let _ = writeln!(shown, "{}", now.strftime("%A, %-d %B %Y"));
        }
        let _ = write!(shown, "{}  ", now.strftime("%H:%M:%S"));
        shown.extend_from_slice(line.strip_prefix(USUAL_LEVEL).unwrap_or(line));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    #[test]
    fn a_line_has_the_time_of_day_and_a_new_day_a_line_of_its_own() {
        let mut lines = TerminalLines::default();
        let at = |day, hour| date(2026, 11, day).at(hour, 5, 9, 0).to_zoned(TimeZone::UTC).unwrap();
        let mut shown = |line: &[u8], now| String::from_utf8(lines.shown(line, &now)).unwrap();
        assert_eq!(shown(b"[INFO] one\n", at(27, 23)), "23:05:09  one\n");
        assert_eq!(shown(b"[WARN] two\n", at(27, 23)), "23:05:09  [WARN] two\n");
        assert_eq!(shown(b"[INFO] three\n", at(28, 0)), "Saturday, 28 November 2026\n00:05:09  three\n");
        assert_eq!(shown(b"[INFO] four\n", at(28, 1)), "01:05:09  four\n");
    }
}
