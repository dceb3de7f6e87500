//! Tab completion: commands, names on the server, names on this host. Quotes what it completes by the
//! grammar of words, asks the server for a short time only, and keeps a bounded number of names.

use crate::failure::Failure;
use crate::limits::{COMPLETION_FRESH, COMPLETION_MAX_DIRECTORIES, COMPLETION_MAX_NAMES, COMPLETION_TIMEOUT};
use crate::prompt::input::PromptVerb;
use crate::session::Session;
use crate::session::link::Handler;
use ferry_common::limits::NAME_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::words;
use rustyline::completion::Pair;
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// The prompt's helper.
#[derive(Helper, Highlighter, Hinter, Validator)]
pub(crate) struct Completer {
    session: Rc<RefCell<Session>>,
    cache: RefCell<HashMap<RemotePath, Listed>>,
}

/// The names of a directory, and when they were so.
struct Listed {
    at: Instant,
    names: Rc<Vec<Name>>,
}

/// A file, or a directory that leads on to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    bytes: Vec<u8>,
    is_directory: bool,
}

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
struct Typed {
    /// The words that are complete.
    words: Vec<Vec<u8>>,
    /// Where the word under the cursor begins.
    start: usize,
    /// What that word means so far.
    partial: Vec<u8>,
    is_quoted: bool,
}

/// What may stand under the cursor.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Command,
    RemoteName,
    LocalName,
    Nothing,
}

impl Completer {
    pub(crate) fn new(session: Rc<RefCell<Session>>) -> Self {
        Self { session, cache: RefCell::default() }
    }

    /// What is known of the server's files may no longer be so.
    pub(crate) fn forget(&self) {
        self.cache.borrow_mut().clear();
    }

    fn remote_names(&self, directory: &[u8]) -> Rc<Vec<Name>> {
        let directory =
            if directory.is_empty() { Ok(RemotePath::root()) } else { RemotePath::parse(directory) };
        let Ok(directory) = directory else { return Rc::default() };
        let now = Instant::now();
        self.cache.borrow_mut().retain(|_, listed| now.duration_since(listed.at) < COMPLETION_FRESH);
        if let Some(listed) = self.cache.borrow().get(&directory) {
            return Rc::clone(&listed.names);
        }
        let Some(names) = self.ask_server(&directory) else { return Rc::default() };
        let names = Rc::new(names);
        let mut cache = self.cache.borrow_mut();
        if cache.len() >= COMPLETION_MAX_DIRECTORIES {
            cache.clear();
        }
        cache.insert(directory, Listed { at: Instant::now(), names: Rc::clone(&names) });
        names
    }

    /// `None` where the server is not there, refuses, or takes too long. The next command will say so.
    fn ask_server(&self, directory: &RemotePath) -> Option<Vec<Name>> {
        let mut session = self.session.try_borrow_mut().ok()?;
        let interrupts = session.interrupts().clone();
        let _running = interrupts.begin();
        let mut collected = Collected(Vec::new());
        let command = Command::Ls { path: directory.clone() };
        session.exchange_if_connected(command, &mut collected, COMPLETION_TIMEOUT).ok()?;
        Some(collected.0)
    }
}

impl rustyline::completion::Completer for Completer {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(typed) = line.get(..cursor).and_then(read_typed) else { return Ok((cursor, Vec::new())) };
        let (directory, prefix) = split_path(&typed.partial);
        let candidates = match expected(&typed.words) {
            Expected::Command => command_candidates(&typed),
            Expected::RemoteName => {
                name_candidates(&self.remote_names(directory), directory, prefix, typed.is_quoted)
            }
            Expected::LocalName => {
                name_candidates(&local_names(directory, prefix), directory, prefix, typed.is_quoted)
            }
            Expected::Nothing => Vec::new(),
        };
        Ok((typed.start, candidates))
    }
}

/// Names of a listing that can be names of files at all.
struct Collected(Vec<Name>);

impl Handler for Collected {
    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        let is_name = !matches!(entry.name.as_slice(), b"" | b"." | b"..")
            && entry.name.len() <= NAME_MAX_BYTES
            && !entry.name.iter().any(|byte| matches!(byte, b'/' | 0));
        if is_name && self.0.len() < COMPLETION_MAX_NAMES {
            self.0.push(Name { bytes: entry.name, is_directory: entry.kind == EntryKind::Dir });
        }
        Ok(())
    }
}

fn expected(words: &[Vec<u8>]) -> Expected {
    let Some((verb, arguments)) = words.split_first() else { return Expected::Command };
    match (PromptVerb::from_word(verb), arguments) {
        (
            Some(
                PromptVerb::Ls
                | PromptVerb::Stat
                | PromptVerb::Download
                | PromptVerb::Sum
                | PromptVerb::Df
                | PromptVerb::Mkdir
                | PromptVerb::Rm
                | PromptVerb::Mv,
            ),
            [],
        )
        | (Some(PromptVerb::Upload | PromptVerb::Mv), [_]) => Expected::RemoteName,
        (Some(PromptVerb::Ls), [option]) if option == b"-l" => Expected::RemoteName,
        (Some(PromptVerb::Mv), [option, _]) if option == b"-f" => Expected::RemoteName,
        (Some(PromptVerb::Upload), []) | (Some(PromptVerb::Download), [_]) => Expected::LocalName,
        (
            Some(
                PromptVerb::Ls
                | PromptVerb::Stat
                | PromptVerb::Download
                | PromptVerb::Upload
                | PromptVerb::Sum
                | PromptVerb::Df
                | PromptVerb::Mkdir
                | PromptVerb::Rm
                | PromptVerb::Mv
                | PromptVerb::Who
                | PromptVerb::Help
                | PromptVerb::Exit
                | PromptVerb::Quit,
            )
            | None,
            _,
        ) => Expected::Nothing,
    }
}

/// Reads what has been typed so far, which the grammar need not allow yet.
fn read_typed(line: &str) -> Option<Typed> {
    let bytes = line.as_bytes();
    let mut start = 0;
    loop {
        start += bytes[start..].iter().take_while(|&&byte| byte == b' ').count();
        match word_length(&bytes[start..]) {
            Some(length) => start += length,
            None => break,
        }
    }
    let (before, partial) = bytes.split_at(start);
    let is_quoted = partial.first() == Some(&b'"');
    let partial = if is_quoted { read_quoted(partial)? } else { read_word(partial)? };
    Some(Typed { words: words::split(before).ok()?, start, partial, is_quoted })
}

/// The length of the word that `bytes` begins with, or `None` where the cursor is still in it.
fn word_length(bytes: &[u8]) -> Option<usize> {
    let (mut in_quotes, mut escaped) = (false, false);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_quotes,
            b'"' => in_quotes = !in_quotes,
            b' ' if !in_quotes => return Some(at),
            _ => {}
        }
    }
    None
}

/// What a quoted word means, wherever it breaks off: in the open, in an escape, or with more behind the
/// closing quote of a directory that was completed before.
fn read_quoted(raw: &[u8]) -> Option<Vec<u8>> {
    if let Some(word) = read_word(raw) {
        return Some(word);
    }
    let closed = |raw: &[u8]| [raw, b"\""].concat();
    for cut in 0..=raw.len().min(3) {
        let (kept, cut) = raw.split_at(raw.len() - cut);
        if cut.first().is_none_or(|&byte| byte == b'\\')
            && let Some(word) = read_word(&closed(kept))
        {
            return Some(word);
        }
    }
    let quote = raw.iter().rposition(|&byte| byte == b'"').filter(|&quote| quote > 0)?;
    Some([read_word(&raw[..=quote])?, read_word(&raw[quote + 1..])?].concat())
}

/// The one word that `raw` is, or the empty one.
fn read_word(raw: &[u8]) -> Option<Vec<u8>> {
    let mut words = words::split(raw).ok()?;
    match words.len() {
        0 => Some(Vec::new()),
        1 => words.pop(),
        _ => None,
    }
}

/// A path up to its last slash, and what follows it.
fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

fn command_candidates(typed: &Typed) -> Vec<Pair> {
    let fitting = PromptVerb::ALL.iter().filter(|verb| verb.word().as_bytes().starts_with(&typed.partial));
    fitting
        .map(|verb| {
            let space = if verb.takes_arguments() { " " } else { "" };
            Pair { display: verb.word().to_owned(), replacement: format!("{}{space}", verb.word()) }
        })
        .collect()
}

/// All candidates are quoted where one of them has to be, so that they have a beginning in common.
fn name_candidates(names: &[Name], directory: &[u8], prefix: &[u8], is_quoted: bool) -> Vec<Pair> {
    let mut fitting: Vec<_> = names.iter().filter(|name| name.bytes.starts_with(prefix)).collect();
    fitting.sort_unstable();
    let encoded: Vec<_> = fitting
        .iter()
        .map(|name| {
            let slash: &[u8] = if name.is_directory { b"/" } else { b"" };
            (
                words::display(&[directory, &name.bytes, slash].concat()),
                words::escape_text(&name.bytes),
                slash,
            )
        })
        .collect();
    let quote_all = is_quoted || encoded.iter().any(|(word, _, _)| word.starts_with('"'));
    encoded
        .into_iter()
        .map(|(word, name, slash)| {
            let replacement = if quote_all && !word.starts_with('"') { format!("\"{word}\"") } else { word };
            Pair { display: name + if slash.is_empty() { "" } else { "/" }, replacement }
        })
        .collect()
}

/// Regular files and directories; nothing else can be uploaded.
fn local_names(directory: &[u8], prefix: &[u8]) -> Vec<Name> {
    let directory =
        if directory.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(directory)) };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| {
        let bytes = entry.file_name().as_bytes().to_vec();
        if !bytes.starts_with(prefix) {
            return None;
        }
        let metadata = fs::metadata(entry.path()).ok()?;
        (metadata.is_file() || metadata.is_dir()).then(|| Name { bytes, is_directory: metadata.is_dir() })
    });
    names.take(COMPLETION_MAX_NAMES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::wire::file_time::FileTime;

    fn name(text: &str) -> Name {
        let is_directory = text.ends_with('/');
        Name { bytes: text.trim_end_matches('/').as_bytes().to_vec(), is_directory }
    }

    /// What each candidate would put into the line.
    fn completed(line: &str, names: &[&str]) -> Vec<String> {
        let typed = read_typed(line).unwrap();
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let (directory, prefix) = split_path(&typed.partial);
        let pairs = name_candidates(&names, directory, prefix, typed.is_quoted);
        pairs.into_iter().map(|pair| format!("{}{}", &line[..typed.start], pair.replacement)).collect()
    }

    #[test]
    fn names_are_quoted_where_needed() {
        assert_eq!(completed("download a", &["a b.txt", "x"]), ["download \"a b.txt\""]);
        assert_eq!(completed("download \"a", &["a b.txt"]), ["download \"a b.txt\""]);
        assert_eq!(completed("download \"a ", &["a b.txt"]), ["download \"a b.txt\""]);
        assert_eq!(completed("download \"a", &["ab.txt"]), ["download \"ab.txt\""]);
        assert_eq!(completed("download a", &["ab.txt"]), ["download ab.txt"]);
        assert_eq!(completed("ls ", &["my dir/", "x"]), ["ls \"my dir/\"", "ls \"x\""]);
        assert_eq!(completed("stat ", &["a\u{1b}[2J"]), ["stat \"a\\x1b[2J\""]);
    }

    #[test]
    fn directories_lead_on() {
        assert_eq!(completed("ls ph", &["photos/"]), ["ls photos/"]);
        assert_eq!(completed("ls photos/", &["a b", "c"]), ["ls \"photos/a b\"", "ls \"photos/c\""]);
        assert_eq!(completed("ls \"my dir/\"", &["a"]), ["ls \"my dir/a\""]);
        assert_eq!(completed("ls \"my dir/\"a", &["ab", "c"]), ["ls \"my dir/ab\""]);
    }

    #[test]
    fn an_escape_that_breaks_off_is_no_obstacle() {
        for line in ["stat \"a\\x1", "stat \"a\\x", "stat \"a\\"] {
            assert_eq!(completed(line, &["a\u{1b}", "b"]), ["stat \"a\\x1b\""], "{line}");
        }
        assert_eq!(read_typed("stat \"a\\x1b").unwrap().partial, b"a\x1b");
    }

    #[test]
    fn each_place_of_a_line_expects_its_kind() {
        for (line, kind) in [
            ("", Expected::Command),
            ("down", Expected::Command),
            ("download ", Expected::RemoteName),
            ("download \"a b\" ", Expected::LocalName),
            ("download \"a b", Expected::RemoteName),
            ("upload x", Expected::LocalName),
            ("upload x y", Expected::RemoteName),
            ("ls -l x", Expected::RemoteName),
            ("mkdir ", Expected::RemoteName),
            ("rm x", Expected::RemoteName),
            ("rm x ", Expected::Nothing),
            ("mv x ", Expected::RemoteName),
            ("mv -f x ", Expected::RemoteName),
            ("mv x y ", Expected::Nothing),
            ("sum ", Expected::RemoteName),
            ("ls x y", Expected::Nothing),
            ("help x", Expected::Nothing),
            ("frobnicate x", Expected::Nothing),
        ] {
            assert_eq!(expected(&read_typed(line).unwrap().words), kind, "{line}");
        }
        assert_eq!(read_typed("\"a\"b c \"d"), None, "what is no word before the cursor is left alone");
    }

    #[test]
    fn candidates_are_shown_without_control_characters() {
        let pairs = name_candidates(&[name("a\u{1b}]0;x\u{7}"), name("d\u{9b}/")], b"", b"", false);
        assert!(pairs.iter().all(|pair| !pair.display.chars().any(char::is_control)));
        assert!(pairs[1].display.ends_with('/'));
    }

    #[test]
    fn hostile_names_are_never_offered() {
        let mut collected = Collected(Vec::new());
        for bytes in [&b"../x"[..], b"/etc", b"", b".", b"..", b"a\0b", &[b'a'; 300], b"fine"] {
            let (kind, name) = (EntryKind::File, bytes.to_vec());
            collected
                .entry(Entry { kind, size_bytes: 0, mtime: FileTime::default(), executable: false, name })
                .unwrap();
        }
        assert_eq!(collected.0, [name("fine")]);
    }
}
