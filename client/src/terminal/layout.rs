//! Text on a screen of so many columns: how wide it is, and where it is cut. Pure.

use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where something was cut out.
const CUT: char = '…';
const MINUTE: Duration = Duration::from_secs(60);

/// The columns that a printable text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most this many columns: what is too long loses its middle, as the ends of names tell more.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let left = columns.saturating_sub(1);
    let tail_columns = left / 2;
    let head = take(text.chars(), left - tail_columns);
    let tail = take(text.chars().rev(), tail_columns);
    head + &CUT.to_string() + &tail.chars().rev().collect::<String>()
}

/// The text in lines of at most this many columns, as far as its words allow that: they are never broken.
pub(crate) fn broken(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut taken = 0;
    for word in text.split_inclusive(' ') {
        let bare = width(word.trim_end());
        if taken > 0 && taken + bare > columns {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            taken = 0;
        }
        lines.push_str(word);
        taken += width(word);
    }
    lines
}

/// `41.9 MB`: three digits and a unit of a thousand, as disks and networks have them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut unit, mut scale) = (0, 1_u64);
    // What would be rounded to a thousand is told as one of the next unit.
    while unit + 1 < UNITS.len() && bytes as f64 / scale as f64 >= if unit == 0 { 1000.0 } else { 999.5 } {
        unit += 1;
        scale *= 1000;
    }
    let number = bytes as f64 / scale as f64;
    let decimals = usize::from(unit > 0 && number < 99.95);
    format!("{number:.decimals$} {}", UNITS[unit])
}

/// `84.2 MB in 1.3 s (64.8 MB/s)`.
pub(crate) fn amount_in(bytes: u64, time: Duration) -> String {
    let rate = bytes as f64 / time.as_secs_f64().max(0.001);
    format!("{} in {} ({}/s)", size(bytes), duration(time), size(rate as u64))
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.4 s`, `3 min 5 s`.
pub(crate) fn duration(time: Duration) -> String {
    if time < MINUTE { format!("{:.1} s", time.as_secs_f64()) } else { seconds(time) }
}

/// `26 s`, `3 min 5 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else if seconds < 3600 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
    }
}

/// The first characters, as long as there is room.
fn take(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut taken = 0;
    characters
        .take_while(|character| {
            taken += character.width().unwrap_or(0);
            taken <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_goes_where_there_is_no_room() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("a very long name.pdf", 10), "a ver….pdf");
        assert_eq!(shortened("日本語のファイル名.txt", 12), "日本語….txt");
        assert!(width(&shortened("日本語のファイル名", 6)) <= 6);
        assert_eq!(shortened("abc", 0), "…");
    }

    #[test]
    fn a_text_is_broken_between_its_words() {
        assert_eq!(broken("Remove them? [y/N] ", 80), "Remove them? [y/N] ");
        assert_eq!(broken("Remove them? [y/N] ", 18), "Remove them? [y/N] ");
        assert_eq!(broken("Remove them? [y/N] ", 17), "Remove them?\n[y/N] ");
        assert_eq!(broken("a-very-long-name and 日本 語", 8), "a-very-long-name\nand 日本\n語");
    }

    #[test]
    fn sizes_are_rounded_and_never_wide() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (52_311, "52.3 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (41_943_040, "41.9 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_read_well() {
        let said = |time: f64| duration(Duration::from_secs_f64(time));
        assert_eq!(
            [said(0.04), said(7.25), said(65.9), said(3700.0)],
            ["0.0 s", "7.2 s", "1 min 5 s", "1 h 1 min"]
        );
        assert_eq!(seconds(Duration::from_millis(26_900)), "26 s");
    }

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }
}
