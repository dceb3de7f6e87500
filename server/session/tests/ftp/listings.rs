//! The lines of listings, checked against their grammar for whatever names and times there may be.

use crate::desk::{MTIME, NOW};
use ferry_common::limits::NAME_MAX_BYTES;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_session::entry_format::EntryFormat;
use ferry_session::entry_format::facts::{FactName, FactSet};
use proptest::collection::vec;
use proptest::prelude::*;

fn file(name: &[u8]) -> Entry {
    let (kind, name) = (EntryKind::File, name.to_vec());
    Entry { kind, size_bytes: 3552, mtime: MTIME, executable: false, link: false, name }
}

fn written(format: EntryFormat, entry: &Entry) -> Option<Vec<u8>> {
    let mut text = b"before".to_vec();
    let is_told = format.write(entry, NOW, &mut text);
    let line = text.strip_prefix(b"before").unwrap().to_vec();
    assert_eq!(is_told, !line.is_empty());
    is_told.then_some(line)
}

fn shown(format: EntryFormat, entry: &Entry) -> String {
    String::from_utf8(written(format, entry).unwrap()).unwrap()
}

#[test]
fn a_line_of_unix_has_nine_columns() {
    let unix = |entry: &Entry| shown(EntryFormat::Unix, entry);
    let entry = file(b"a.txt");
    assert_eq!(unix(&entry), "-rw-r--r--   1 owner group         3552 Nov 24 16:00 a.txt\r\n");
    let entry = Entry { executable: true, size_bytes: u64::MAX, ..entry };
    assert_eq!(unix(&entry), "-rwxr-xr-x   1 owner group 18446744073709551615 Nov 24 16:00 a.txt\r\n");
    // A link is what it leads to.
    let folder = Entry { kind: EntryKind::Dir, size_bytes: 0, link: true, ..file(b" a b") };
    assert_eq!(unix(&folder), "drwxr-xr-x   1 owner group            0 Nov 24 16:00  a b\r\n");
    for (seconds, when) in [
        (NOW.seconds(), "Nov 24 16:01"),
        (NOW.seconds() + 1, "Nov 24  2025"),
        (NOW.seconds() - 180 * 86_400, "May 28 16:01"),
        (NOW.seconds() - 180 * 86_400 - 1, "May 28  2025"),
        (0, "Jan  1  1970"),
        (-1, "Dec 31  1969"),
        (i64::MIN, "Jan  1     0"),
        (i64::MAX, "Dec 31  9999"),
    ] {
        let line = unix(&Entry { mtime: FileTime::from_seconds(seconds), ..file(b"x") });
        assert_eq!(line, format!("-rw-r--r--   1 owner group         3552 {when} x\r\n"));
    }
}

#[test]
fn names_are_told_alone() {
    assert_eq!(written(EntryFormat::Names, &file(b" \xff ")), Some(b" \xff \r\n".to_vec()));
}

#[test]
fn facts_are_told_as_they_were_chosen() {
    let all = EntryFormat::Facts(FactSet::all(true));
    let entry = Entry { executable: true, ..file(b"a b") };
    let expected = "type=file;perm=adfrw;size=3552;modify=20251124160000;unix.mode=0755; a b\r\n";
    assert_eq!(shown(all, &entry), expected);
    let folder = Entry { kind: EntryKind::Dir, ..file(b"d") };
    assert_eq!(shown(all, &folder), "type=dir;perm=cdeflmp;modify=20251124160000;unix.mode=0755; d\r\n");
    let read_only = EntryFormat::Facts(FactSet::all(false));
    assert!(shown(read_only, &entry).contains(";perm=r;") && shown(read_only, &folder).contains(";perm=el;"));
    let few = FactSet::none(true).with(FactName::Size).with(FactName::Type);
    assert_eq!(shown(EntryFormat::Facts(few), &entry), "type=file;size=3552; a b\r\n");
    assert_eq!(shown(EntryFormat::Facts(FactSet::none(true)), &entry), " a b\r\n");
    assert!(!all.lists_files() && EntryFormat::Unix.lists_files() && EntryFormat::Names.lists_files());
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop_oneof![
        Just(b" ".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" leading".to_vec()),
        Just(b"; ".to_vec()),
        Just("é".as_bytes().to_vec()),
        Just(vec![b'x'; NAME_MAX_BYTES]),
    ];
    let any_bytes = vec(any::<u8>().prop_filter("no name has them", |byte| !matches!(byte, 0 | b'/')), 1..40);
    prop_oneof![odd, any_bytes, "[ -.0-~]{1,20}".prop_map(String::into_bytes)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let fields =
        (any::<bool>(), any::<u64>(), any::<i64>(), -5_000_000_000..5_000_000_000_i64, any::<bool>());
    (fields, any::<bool>(), name()).prop_map(
        |((is_file, size_bytes, far, near, is_far), executable, name)| {
            let kind = if is_file { EntryKind::File } else { EntryKind::Dir };
            let mtime = FileTime::from_seconds(if is_far { far } else { near });
            Entry { kind, size_bytes, mtime, executable, link: false, name }
        },
    )
}

proptest! {
    #[test]
    fn a_line_ends_where_it_ends_or_is_not_there(entry in entry()) {
        let is_tellable = !entry.name.contains(&b'\r') && !entry.name.contains(&b'\n');
        for format in [EntryFormat::Unix, EntryFormat::Names, EntryFormat::Facts(FactSet::all(true))] {
            let line = written(format, &entry);
            prop_assert_eq!(line.is_some(), is_tellable);
            let Some(line) = line else { continue };
            prop_assert!(line.ends_with(&[&entry.name[..], b"\r\n"].concat()));
            prop_assert_eq!(line.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count(), 2);
        }
    }

    /// As parsers of `ls -l` take it apart: eight columns, one space, and the name.
    #[test]
    fn a_line_of_unix_can_be_taken_apart(entry in entry()) {
        let Some(line) = written(EntryFormat::Unix, &entry) else { return Ok(()) };
        let columns = &line[..line.len() - entry.name.len() - 2];
        let columns = std::str::from_utf8(columns).unwrap();
        prop_assert!(columns.ends_with(' ') && !columns.ends_with("  "));
        let words: Vec<&str> = columns.split_whitespace().collect();
        let [mode, links, owner, group, size, month, day, when] = words[..] else {
            return Err(TestCaseError::fail(columns.to_owned()));
        };
        prop_assert!(mode.len() == 10 && (mode.starts_with('d') == (entry.kind == EntryKind::Dir)));
        prop_assert_eq!((links, owner, group), ("1", "owner", "group"));
        prop_assert_eq!(size.parse(), Ok(entry.size_bytes));
        prop_assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(month) && month.len() == 3);
        prop_assert!((1..=31).contains(&day.parse::<u8>().unwrap()));
        match when.split_once(':') {
            Some((hour, minute)) => {
                prop_assert!(hour.parse::<u8>().unwrap() < 24 && minute.parse::<u8>().unwrap() < 60);
            }
            None => prop_assert!(when.parse::<u16>().unwrap() <= 9999),
        }
    }

    /// RFC 3659, 7.2: facts with a semicolon behind each, one space, and the name.
    #[test]
    fn a_line_of_facts_follows_its_grammar(entry in entry()) {
        let Some(line) = written(EntryFormat::Facts(FactSet::all(true)), &entry) else { return Ok(()) };
        let space = line.iter().position(|&byte| byte == b' ').unwrap();
        prop_assert_eq!(&line[space + 1..line.len() - 2], &entry.name[..]);
        let facts = std::str::from_utf8(&line[..space]).unwrap();
        let facts = facts.strip_suffix(';').unwrap();
        for fact in facts.split(';') {
            let (name, value) = fact.split_once('=').unwrap();
            let is_right = match name {
                "type" => value == entry.kind.word(),
                "size" => value.parse() == Ok(entry.size_bytes) && entry.kind == EntryKind::File,
                "modify" => value.len() == 14 && value.bytes().all(|byte| byte.is_ascii_digit()),
                "perm" => value.bytes().all(|byte| b"acdeflmprw".contains(&byte)),
                "unix.mode" => matches!(value, "0644" | "0755"),
                _ => false,
            };
            prop_assert!(is_right, "{}", fact);
        }
    }
}
