//! What the words of a command stand for: names, or all that match the patterns in them (`* ? [..] {a,b}` outside of
//! quotes), on the server and on this host.

use crate::failure::Failure;
use crate::limits::PATTERN_MATCHES_MAX;
use crate::prompt::local_place::LocalPlace;
use crate::prompt::place::Place;
use crate::prompt::remote;
use crate::prompt::words::Word;
use crate::session::Session;
use crate::tree;
use crate::tree::pattern::{Component, Matcher, Symbol};
use ferry_common::path::RemotePath;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::words;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a word stands for on the server.
pub(crate) struct Found {
    pub(crate) path: RemotePath,
    /// Known where it was looked for.
    pub(crate) entry: Option<Entry>,
}

/// One name of a path, as it was typed.
enum Part {
    Name(Vec<u8>),
    Pattern(Pattern),
}

/// A pattern of names.
pub(crate) struct Pattern {
    matcher: Matcher,
    /// What was typed, for a name that is the pattern itself.
    text: Vec<u8>,
}

impl Pattern {
    /// `None` where the word is a plain name, of more than one folder, or too complicated to be a pattern.
    pub(crate) fn of(word: &Word) -> Option<Self> {
        let symbols: Vec<_> = word.marked().map(|(byte, is_quoted)| Symbol { byte, is_quoted }).collect();
        let parsed = tree::pattern::Pattern::parse(&symbols).ok()??;
        match <[Component; 1]>::try_from(parsed.components) {
            Ok([Component::Matcher(matcher)]) if parsed.prefix.is_empty() => {
                Some(Self { matcher, text: word.bytes().to_vec() })
            }
            Ok([Component::Matcher(_) | Component::Literal(_)]) | Err(_) => None,
        }
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        name == self.text || self.matcher.matches(name)
    }
}

/// The paths on the server that a word names: one, or those that match it, in the order of their bytes. A pattern
/// that matches nothing is taken for a name.
pub(crate) fn expand_remote(
    session: &mut Session,
    place: &Place,
    word: &Word,
) -> Result<Vec<Found>, Failure> {
    let own = || Ok(vec![Found { path: place.resolve(word.bytes())?, entry: None }]);
    let Some(parts) = parts(word) else { return own() };
    let start = if word.bytes().starts_with(b"/") { RemotePath::root() } else { place.here().clone() };
    let mut found = vec![Found { path: start, entry: None }];
    for (at, part) in parts.iter().enumerate() {
        // A slash at the end means folders only.
        let is_last = at + 1 == parts.len() && !word.bytes().ends_with(b"/");
        let mut next = Vec::new();
        for Found { path: folder, .. } in found {
            match part {
                Part::Name(name) => {
                    let mut from = Place::default();
                    from.go(folder);
                    next.push(Found { path: from.resolve(name)?, entry: None });
                }
                Part::Pattern(pattern) => {
                    match_entries(session, &folder, pattern, is_last, &mut next)?;
                    check_bound(next.len(), word)?;
                }
            }
        }
        found = next;
    }
    if found.is_empty() {
        return own();
    }
    found.sort_unstable_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
    Ok(found)
}

fn match_entries(
    session: &mut Session,
    folder: &RemotePath,
    pattern: &Pattern,
    is_last: bool,
    found: &mut Vec<Found>,
) -> Result<(), Failure> {
    let listed = remote::list(session, folder, &mut |entry| {
        let fits = (is_last || entry.kind == EntryKind::Dir) && pattern.matches(&entry.name);
        if fits && found.len() <= PATTERN_MATCHES_MAX {
            let path = folder.join(&entry.name).ok();
            found.extend(path.map(|path| Found { path, entry: Some(entry) }));
        }
        Ok(())
    });
    match listed {
        // Something that a pattern before this one matched is no folder, or is gone.
        Err(Failure::Refused { .. }) => Ok(()),
        result => result,
    }
}

/// The same for names of this host.
pub(crate) fn expand_local(place: &LocalPlace, word: &Word) -> Result<Vec<PathBuf>, Failure> {
    let own = || Ok(vec![place.resolve(word)?]);
    let Some(parts) = parts(word) else { return own() };
    let start =
        if word.bytes().starts_with(b"/") { Path::new("/") } else { place.folder().unwrap_or(Path::new("")) };
    let start = start.to_owned();
    let mut found = vec![start];
    for (at, part) in parts.iter().enumerate() {
        // A slash at the end means folders only.
        let is_last = at + 1 == parts.len() && !word.bytes().ends_with(b"/");
        let mut next = Vec::new();
        for folder in found {
            match part {
                Part::Name(name) if name == b"~" && at == 0 => next.push(place.resolve(&Word::plain(b"~"))?),
                Part::Name(name) => next.push(folder.join(OsStr::from_bytes(name))),
                Part::Pattern(pattern) => {
                    let directory = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
                    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                        let name = entry.file_name();
                        if pattern.matches(name.as_bytes()) && (is_last || entry.path().is_dir()) {
                            next.push(folder.join(name));
                        }
                        check_bound(next.len(), word)?;
                    }
                }
            }
        }
        found = next;
    }
    if found.is_empty() {
        return own();
    }
    found.sort_unstable();
    Ok(found)
}

fn check_bound(count: usize, word: &Word) -> Result<(), Failure> {
    if count <= PATTERN_MATCHES_MAX {
        return Ok(());
    }
    let shown = words::display(word.bytes());
    Err(Failure::Usage(format!(
        "{shown} matches more than {PATTERN_MATCHES_MAX} names; name their folder instead"
    )))
}

/// The names of the path; `None` where none of them is a pattern.
fn parts(word: &Word) -> Option<Vec<Part>> {
    let names = word.split_at_slashes();
    let mut has_pattern = false;
    let parts =
        names.into_iter().filter(|name| !name.bytes().is_empty()).map(|name| match Pattern::of(&name) {
            Some(pattern) => {
                has_pattern = true;
                Part::Pattern(pattern)
            }
            None => Part::Name(name.bytes().to_vec()),
        });
    let parts = parts.collect();
    has_pattern.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::words::split;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Option<Pattern> {
        Pattern::of(&split(text.as_bytes()).unwrap()[0])
    }

    #[test]
    fn patterns_are_those_of_shells() {
        for (text, fitting, others) in [
            ("*.jpg", &["a.jpg", "a b.jpg"][..], &["a.jpeg", ".jpg", ".a.jpg"][..]),
            (".*", &[".a"], &["a"]),
            ("?", &["a", "ü"], &["ab", ""]),
            ("[a-c]1", &["a1", "c1"], &["d1"]),
            ("[!a]1", &["b1"], &["a1"]),
            ("{a,b}.txt", &["a.txt", "b.txt"], &["c.txt", "a,b.txt"]),
            ("\"a b\"*", &["a b", "a b c"], &["a"]),
            ("\"*\"*", &["*", "*a"], &["a"]),
            ("\\[*", &["[1]"], &["1"]),
            ("[1].txt", &["1.txt", "[1].txt"], &["11.txt"]),
        ] {
            let pattern = pattern(text).unwrap();
            assert!(fitting.iter().all(|name| pattern.matches(name.as_bytes())), "{text}");
            assert!(others.iter().all(|name| !pattern.matches(name.as_bytes())), "{text}");
        }
        assert!(pattern("*").unwrap().matches(b"\xff"));
    }

    #[test]
    fn what_is_quoted_is_no_pattern() {
        for text in ["a.txt", "\"*.txt\"", "'[a]'", "\\*", "a]b", "a,b"] {
            assert!(pattern(text).is_none(), "{text}");
        }
        // A bracket that is never closed is an ordinary one.
        assert!(pattern("a[b").is_none());
    }

    #[test]
    fn local_patterns_lead_through_folders() {
        let home = tempfile::tempdir().unwrap();
        for name in ["d1/a.txt", "d2/a.txt", "d2/b.txt", "f/.hidden"] {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let expand = |text: &str| {
            let line = format!("{}/{text}", home.path().display());
            let found = expand_local(&LocalPlace::default(), &split(line.as_bytes()).unwrap()[0]).unwrap();
            found.iter().map(|path| path.strip_prefix(home.path()).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(expand("d*/a.txt"), [Path::new("d1/a.txt"), Path::new("d2/a.txt")]);
        assert_eq!(expand("d2/*"), [Path::new("d2/a.txt"), Path::new("d2/b.txt")]);
        assert_eq!(expand("none*"), [Path::new("none*")]);
        let mut place = LocalPlace::default();
        place.go(home.path()).unwrap();
        let found = expand_local(&place, &split(b"d*/a.txt").unwrap()[0]).unwrap();
        assert_eq!(found, [place.here().join("d1/a.txt"), place.here().join("d2/a.txt")]);
        assert_eq!(expand("*/*"), [Path::new("d1/a.txt"), Path::new("d2/a.txt"), Path::new("d2/b.txt")]);
    }

    proptest! {
        #[test]
        fn no_pattern_is_too_odd(text in "[a*?\\[\\]{},!^\\-]{1,12}", name in "[a\\[\\]{},!^\\-]{1,8}") {
            if let Some(pattern) = pattern(&text) {
                pattern.matches(name.as_bytes());
                prop_assert!(pattern.matches(text.as_bytes()), "a name that is the pattern itself");
            }
        }
    }
}
