//! A listing as lines of text: plain for pipes, one name a line or in columns for a terminal, or with sizes and
//! times. Pure: the width, the zone and today are given to it.

use crate::terminal::layout::{self, shortened, width};
use crate::terminal::palette::Palette;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::words;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use term_grid::{Direction, Filling, Grid, GridOptions};

/// How a listing is to look.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) long: bool,
    pub(crate) one_a_line: bool,
    /// A line of JSON for each.
    pub(crate) json: bool,
    /// What begins with a dot is shown.
    pub(crate) all: bool,
    pub(crate) sizes: Sizes,
    pub(crate) palette: Palette,
    /// `None` where no person looks at it.
    pub(crate) screen: Option<Screen>,
    pub(crate) zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    Bytes,
    Rounded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) today: Date,
}

/// What was seen of a folder, shown or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) folders: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) hidden: u64,
}

/// How to see what is left out.
const HINT: &str = " (ls -a)";
/// Lines that the command and the next prompt take.
const ROWS_AROUND: usize = 2;
/// Of a screen on which a time has its place.
const COLUMNS_FOR_TIME: usize = 40;
/// Of the size, the time and what is between them.
const LONG_COLUMNS: usize = 25;
const LONG_COLUMNS_WITHOUT_TIME: usize = 11;

impl Look {
    /// True where this entry is left out, and counted.
    pub(crate) fn hides(&self, entry: &Entry) -> bool {
        self.screen.is_some() && !self.all && entry.name.starts_with(b".")
    }

    /// The entry by itself, in a listing that is too long to be laid out.
    pub(crate) fn line(&self, entry: &Entry) -> String {
        match &self.screen {
            Some(screen) if self.long => self.long_line(entry, screen, self.size(entry).len().max(9)),
            Some(_) => self.coloured(entry, &shown_name(entry)),
            None if self.long => self.plain_line(entry),
            None => shown_name(entry),
        }
    }

    /// The whole of a listing, in its order.
    pub(crate) fn lines(&self, entries: &[Entry], totals: &Totals) -> Vec<String> {
        let Some(screen) = &self.screen else {
            return entries.iter().map(|entry| self.line(entry)).collect();
        };
        let mut lines = Vec::new();
        let fits = entries.len() + ROWS_AROUND + usize::from(totals.hidden > 0) <= screen.rows;
        if self.long {
            let size_columns = entries.iter().map(|entry| self.size(entry).len()).max().unwrap_or(0).max(9);
            lines.extend(entries.iter().map(|entry| self.long_line(entry, screen, size_columns)));
            lines.push(self.palette.aside(&totals.summary(screen.columns)));
        } else if self.one_a_line || fits {
            lines.extend(entries.iter().map(|entry| self.line(entry)));
            if !self.one_a_line && totals.hidden > 0 {
                lines.push(self.palette.aside(&format!("{} hidden{HINT}", totals.hidden)));
            }
        } else {
            for kind in [EntryKind::Dir, EntryKind::File] {
                let cells: Vec<String> = entries
                    .iter()
                    .filter(|entry| entry.kind == kind)
                    .map(|entry| self.coloured(entry, &cell(entry, screen.columns / 2)))
                    .collect();
                lines.extend(in_columns(cells, screen.columns));
            }
            lines.push(self.palette.aside(&totals.summary(screen.columns)));
        }
        lines
    }

    /// For pipes and files: columns that never move.
    fn plain_line(&self, entry: &Entry) -> String {
        let size = self.size(entry);
        let time = local_time(entry.mtime, &self.zone);
        format!("{:<4} {size:>15}  {time:<16}  {}", entry.kind.word(), shown_name(entry))
    }

    fn long_line(&self, entry: &Entry, screen: &Screen, size_columns: usize) -> String {
        let size = self.size(entry);
        let (time, taken) = if screen.columns >= COLUMNS_FOR_TIME {
            let time = short_time(entry.mtime, screen.today, &self.zone);
            (format!("{time:>13}"), LONG_COLUMNS)
        } else {
            (String::new(), LONG_COLUMNS_WITHOUT_TIME)
        };
        let room = screen.columns.saturating_sub(taken + size_columns.saturating_sub(9)).max(8);
        format!("{size:>size_columns$}{time}   {}", self.coloured(entry, &cell(entry, room)))
    }

    fn size(&self, entry: &Entry) -> String {
        match (entry.kind, self.sizes) {
            (EntryKind::Dir, Sizes::Bytes | Sizes::Rounded) => "-".to_owned(),
            (EntryKind::File, Sizes::Bytes) => entry.size_bytes.to_string(),
            (EntryKind::File, Sizes::Rounded) => layout::size(entry.size_bytes),
        }
    }

    fn coloured(&self, entry: &Entry, text: &str) -> String {
        match entry.kind {
            EntryKind::Dir => self.palette.folder(text),
            EntryKind::File => text.to_owned(),
        }
    }
}

impl Totals {
    pub(crate) fn count(&mut self, entry: &Entry) {
        match entry.kind {
            EntryKind::Dir => self.folders += 1,
            EntryKind::File => self.files += 1,
        }
        self.bytes = self.bytes.saturating_add(entry.size_bytes);
    }

    /// `6 folders, 20 files`
    pub(crate) fn counts(&self) -> String {
        let counted = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let folders = (self.folders > 0).then(|| counted(self.folders, "folder"));
        let files = (self.files > 0 || self.folders == 0).then(|| counted(self.files, "file"));
        folders.into_iter().chain(files).collect::<Vec<_>>().join(", ")
    }

    /// `6 folders, 20 files, 58.1 MB; 3 hidden (ls -a)`
    pub(crate) fn summary(&self, columns: usize) -> String {
        let mut text = self.counts();
        if self.files > 0 || self.folders == 0 {
            text += &format!(", {}", layout::size(self.bytes));
        }
        let hidden = if self.hidden > 0 { format!("; {} hidden", self.hidden) } else { String::new() };
        text += &hidden;
        let hint = if hidden.is_empty() || width(&text) + HINT.len() > columns { "" } else { HINT };
        text + hint
    }
}

/// The slash goes inside the quotes, so that the word can be typed back.
pub(crate) fn shown_name(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::File => words::display(&entry.name),
        EntryKind::Dir => words::display(&[entry.name.as_slice(), b"/"].concat()),
    }
}

/// In the time zone of this host. Times beyond the calendar stay seconds.
pub(crate) fn local_time(mtime: FileTime, zone: &TimeZone) -> String {
    match Timestamp::from_second(mtime.seconds()) {
        Ok(timestamp) => timestamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => format!("@{}", mtime.seconds()),
    }
}

/// A name among others: in quotes only where the eye could be misled.
pub(crate) fn cell(entry: &Entry, columns: usize) -> String {
    let slash = if entry.kind == EntryKind::Dir { "/" } else { "" };
    let shown = words::escape_text(&entry.name);
    let is_clear = shown.as_bytes() == entry.name && shown.trim() == shown && !shown.is_empty();
    let text = if is_clear { shown + slash } else { shown_name(entry) };
    shortened(&text, columns)
}

fn in_columns(cells: Vec<String>, columns: usize) -> Vec<String> {
    if cells.is_empty() {
        return Vec::new();
    }
    let options =
        GridOptions { direction: Direction::TopToBottom, filling: Filling::Spaces(2), width: columns };
    Grid::new(cells, options).to_string().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A day, or the time of one that is today.
pub(crate) fn short_time(mtime: FileTime, today: Date, zone: &TimeZone) -> String {
    let Ok(timestamp) = Timestamp::from_second(mtime.seconds()) else {
        return format!("@{}", mtime.seconds());
    };
    let time = timestamp.to_zoned(zone.clone());
    let format = if time.date() == today { "today %H:%M" } else { "%-d %b %Y" };
    let text = time.strftime(format).to_string();
    debug_assert!(width(&text) <= 13, "{text}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::palette::ColorChoice;

    fn look(columns: usize, rows: usize, choice: ColorChoice) -> Look {
        let today = jiff::civil::date(2026, 11, 25);
        let screen = Some(Screen { columns, rows, today });
        Look {
            long: false,
            one_a_line: false,
            json: false,
            all: false,
            sizes: Sizes::Rounded,
            palette: Palette::new(choice),
            screen,
            zone: TimeZone::UTC,
        }
    }

    fn entry(name: &str, size_bytes: u64, seconds: i64) -> Entry {
        let kind = if name.ends_with('/') { EntryKind::Dir } else { EntryKind::File };
        Entry {
            kind,
            size_bytes,
            mtime: FileTime::from_seconds(seconds),
            executable: false,
            link: false,
            name: name.trim_end_matches('/').as_bytes().to_vec(),
        }
    }

    fn some() -> (Vec<Entry>, Totals) {
        let entries = vec![
            entry("many/", 0, 1_795_571_580),
            entry("big.iso", 41_943_040, 1_649_462_400),
            entry("a very long name of a film that is hard to remember.mp4", 8_388_608, 1_648_598_400),
            entry("two  spaces ", 900, 1_614_384_000),
            entry("日本語のファイル名.txt", 52_311, -1),
        ];
        let mut totals = Totals { hidden: 3, ..Totals::default() };
        entries.iter().for_each(|entry| totals.count(entry));
        (entries, totals)
    }

    fn shown(look: &Look) -> String {
        let (entries, totals) = some();
        look.lines(&entries, &totals).join("\n")
    }

    #[test]
    fn a_long_listing_on_80_columns() {
        let look = Look { long: true, ..look(80, 24, ColorChoice::Never) };
        let expected = "        -  today 01:53   many/
  41.9 MB   9 Apr 2022   big.iso
   8.4 MB  30 Mar 2022   a very long name of a film that is hard to remember.mp4
    900 B  27 Feb 2021   \"two  spaces \"
  52.3 kB  31 Dec 1969   日本語のファイル名.txt
1 folder, 4 files, 50.4 MB; 3 hidden (ls -a)";
        assert_eq!(shown(&look), expected);
    }

    #[test]
    fn a_long_listing_on_40_columns_and_fewer() {
        let narrow = Look { long: true, ..look(40, 24, ColorChoice::Never) };
        let expected = "        -  today 01:53   many/
  41.9 MB   9 Apr 2022   big.iso
   8.4 MB  30 Mar 2022   a very …ber.mp4
    900 B  27 Feb 2021   \"two  spaces \"
  52.3 kB  31 Dec 1969   日本語…名.txt
1 folder, 4 files, 50.4 MB; 3 hidden";
        assert_eq!(shown(&narrow), expected);
        let look = Look { long: true, ..look(30, 24, ColorChoice::Never) };
        assert!(shown(&look).starts_with("        -   many/\n  41.9 MB   big.iso\n"), "{}", shown(&look));
        assert!(shown(&narrow).lines().chain(shown(&look).lines().take(5)).all(|line| width(line) <= 40));
    }

    #[test]
    fn few_names_stand_one_a_line_and_more_in_columns() {
        let few = "many/
big.iso
\"a very long name of a film that is hard to remember.mp4\"
\"two  spaces \"
日本語のファイル名.txt
3 hidden (ls -a)";
        assert_eq!(shown(&look(80, 8, ColorChoice::Never)), few);
        let many = "many/
big.iso                                  \"two  spaces \"
a very long name of…ard to remember.mp4  日本語のファイル名.txt
1 folder, 4 files, 50.4 MB; 3 hidden (ls -a)";
        assert_eq!(shown(&look(78, 7, ColorChoice::Never)), many);
        let one = Look { one_a_line: true, ..look(80, 5, ColorChoice::Never) };
        assert_eq!(shown(&one).lines().count(), 5);
    }

    #[test]
    fn folders_are_coloured_and_columns_stay_straight() {
        let entries: Vec<_> = ["a/", "b/", "c/", "d/", "e/", "f", "g"].map(|name| entry(name, 1, 0)).into();
        let lines = look(10, 4, ColorChoice::Always).lines(&entries, &Totals::default());
        assert_eq!(lines[0].matches("\x1b[1m\x1b[34m").count(), 3, "{lines:?}");
        let plain = look(10, 4, ColorChoice::Never).lines(&entries, &Totals::default());
        assert_eq!(plain[..3], ["a/  c/  e/", "b/  d/", "f  g"]);
    }

    #[test]
    fn in_a_pipe_nothing_is_hidden_or_rounded() {
        let mut look = Look { screen: None, sizes: Sizes::Bytes, ..look(80, 24, ColorChoice::Never) };
        assert!(!look.hides(&entry(".git/", 0, 0)));
        assert_eq!(shown(&look).lines().nth(3), Some("\"two  spaces \""));
        look.long = true;
        let lines = shown(&look);
        assert_eq!(lines.lines().next().unwrap(), "dir                -  2026-11-25 01:53  many/");
        assert_eq!(lines.lines().nth(1).unwrap(), "file        41943040  2022-04-09 00:00  big.iso");
        assert_eq!(lines.lines().count(), 5);
    }

    #[test]
    fn names_are_shown_so_that_they_can_be_typed_back() {
        let named = |kind, name: &[u8]| Entry {
            kind,
            size_bytes: 0,
            mtime: FileTime::default(),
            executable: false,
            link: false,
            name: name.to_vec(),
        };
        assert_eq!(shown_name(&named(EntryKind::File, b"a.txt")), "a.txt");
        assert_eq!(shown_name(&named(EntryKind::Dir, b"photos")), "photos/");
        assert_eq!(shown_name(&named(EntryKind::Dir, b"my photos")), "\"my photos/\"");
        assert_eq!(shown_name(&named(EntryKind::File, b"\x1b]0;x\x07")), "\"\\x1b]0;x\\x07\"");
        assert_eq!(cell(&named(EntryKind::File, b"\x1b]0;x\x07"), 80), "\"\\x1b]0;x\\x07\"");
        assert_eq!(local_time(FileTime::from_seconds(i64::MAX), &TimeZone::UTC), format!("@{}", i64::MAX));
    }
}
