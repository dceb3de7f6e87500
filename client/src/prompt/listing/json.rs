//! An entry as one line of JSON, for programs.

use crate::terminal::json;
use ferry_common::wire::entry::Entry;
use jiff::Timestamp;
use serde::Serialize;

/// What is told of an entry. The keys are stable.
#[derive(Serialize)]
struct Told<'a> {
    /// The folder, where several were listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    name: &'a str,
    /// The bytes of a name that is not UTF-8, which `name` can only resemble.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
    kind: &'static str,
    size: u64,
    /// In the form of RFC 3339; absent for a time beyond the calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
}

pub(crate) fn line(entry: &Entry, folder: Option<&[u8]>) -> String {
    let nanoseconds = i32::try_from(entry.mtime.nanoseconds()).unwrap_or(0);
    json::line(&Told {
        folder: folder.map(|folder| String::from_utf8_lossy(folder).into_owned()),
        name: &String::from_utf8_lossy(&entry.name),
        name_hex: json::name_hex(&entry.name),
        kind: entry.kind.word(),
        size: entry.size_bytes,
        modified: Timestamp::new(entry.mtime.seconds(), nanoseconds).ok().map(|time| time.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::wire::entry::EntryKind;
    use ferry_common::wire::file_time::FileTime;

    fn told(name: &[u8], folder: Option<&[u8]>) -> String {
        let mtime = FileTime::new(1_764_000_000, 5_000_000_u32);
        line(
            &Entry {
                kind: EntryKind::File,
                size_bytes: 5,
                mtime,
                executable: false,
                link: false,
                name: name.to_vec(),
            },
            folder,
        )
    }

    #[test]
    fn an_entry_is_one_line_that_any_program_reads() {
        let rest = r#""kind":"file","size":5,"modified":"2025-11-24T16:00:00.005Z"}"#;
        assert_eq!(told(b"a \"b\"\n", None), format!("{{\"name\":\"a \\\"b\\\"\\n\",{rest}"));
        assert_eq!(told(b"a", Some(b"d")), format!("{{\"folder\":\"d\",\"name\":\"a\",{rest}"));
        assert_eq!(
            told("ü\u{202e}\u{e0001}".as_bytes(), None),
            format!("{{\"name\":\"ü\\u202e\\udb40\\udc01\",{rest}")
        );
        assert_eq!(told(b"a\xff", None), format!("{{\"name\":\"a\u{fffd}\",\"name_hex\":\"61ff\",{rest}"));
    }
}
