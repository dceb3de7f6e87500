//! What is offered for a word, and what each choice puts into the line. Pure.
//!
//! Several candidates put into the line what they have in common and nothing else, so that neither a quote nor a
//! backslash comes before there is a reason for it.

use crate::prompt::complete::expected::Choice;
use crate::prompt::words::{Style, quote_as, quote_open};
use crate::terminal::layout;
use ferry_common::wire::words;
use rustyline::completion::Pair;

/// A file, or a directory that leads on to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_directory: bool,
}

/// The word under the cursor.
pub(crate) struct Typed<'a> {
    /// Up to its last slash.
    pub(crate) directory: &'a [u8],
    pub(crate) prefix: &'a [u8],
    pub(crate) style: Style,
    /// Nothing of the word is behind the cursor.
    pub(crate) is_at_end: bool,
}

/// Names that are shown longer than this are cut in their middle, so that one does not take a line of its own.
const SHOWN_COLUMNS: usize = 38;

/// True where a name may be what is meant by this beginning. What is hidden is offered where the beginning has the dot.
pub(crate) fn fits(name: &[u8], prefix: &[u8]) -> bool {
    let is_meant = !name.starts_with(b".") || prefix.starts_with(b".");
    is_meant && (name.starts_with(prefix) || lower(name).starts_with(&lower(prefix)))
}

/// A path up to its last slash, and what follows it.
pub(crate) fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

pub(crate) fn of_words(choices: &[Choice], typed: &Typed<'_>) -> Vec<Pair> {
    let fitting = choices.iter().filter(|choice| choice.word.as_bytes().starts_with(typed.prefix));
    let space = |choice: &Choice| if choice.goes_on && typed.is_at_end { " " } else { "" };
    fitting
        .map(|choice| Pair {
            display: choice.display.clone(),
            replacement: format!("{}{}", choice.word, space(choice)),
        })
        .collect()
}

/// Candidates for names that [fit](fits). Those that are so by their case too come before all others.
pub(crate) fn of_names(mut names: Vec<Name>, typed: &Typed<'_>, only_folders: bool) -> Vec<Pair> {
    names.retain(|name| name.is_directory || !only_folders);
    if names.iter().any(|name| name.bytes.starts_with(typed.prefix)) {
        names.retain(|name| name.bytes.starts_with(typed.prefix));
    }
    names.sort_unstable();
    names.dedup();
    if let [name] = &names[..] {
        return vec![Pair { display: shown(name), replacement: whole(name, typed) }];
    }
    let common = common_prefix(&names);
    let replacement = if common.len() > typed.prefix.len() || !common.starts_with(typed.prefix) {
        quote_open(typed.style, &[typed.directory, common].concat())
    } else {
        String::new()
    };
    names.iter().map(|name| Pair { display: shown(name), replacement: replacement.clone() }).collect()
}

/// A folder leads on; behind a file something else comes.
fn whole(name: &Name, typed: &Typed<'_>) -> String {
    let slash: &[u8] = if name.is_directory { b"/" } else { b"" };
    let word = quote_as(typed.style, &[typed.directory, &name.bytes, slash].concat());
    if name.is_directory || !typed.is_at_end { word } else { word + " " }
}

fn shown(name: &Name) -> String {
    let slash = if name.is_directory { "/" } else { "" };
    layout::shortened(&(words::escape_text(&name.bytes) + slash), SHOWN_COLUMNS)
}

/// What all names begin with, up to the end of a character.
fn common_prefix(names: &[Name]) -> &[u8] {
    let Some((first, others)) = names.split_first() else { return b"" };
    let same =
        |one: &[u8], other: &[u8]| one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let length =
        others.iter().map(|other| same(&first.bytes, &other.bytes)).min().unwrap_or(first.bytes.len());
    let common = &first.bytes[..length];
    match str::from_utf8(common) {
        // The last character is one of several that begin alike.
        Err(error) if error.error_len().is_none() => &common[..error.valid_up_to()],
        Ok(_) | Err(_) => common,
    }
}

fn lower(name: &[u8]) -> Vec<u8> {
    match str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::words::split_unfinished;

    fn name(text: &str) -> Name {
        let is_directory = text.ends_with('/');
        Name { bytes: text.trim_end_matches('/').as_bytes().to_vec(), is_directory }
    }

    /// The line after Tab, and what is listed where that leaves a choice.
    fn after_tab(line: &str, names: &[&str]) -> (String, Vec<String>) {
        let unfinished = split_unfinished(line.as_bytes()).unwrap();
        let (directory, prefix) = split_path(unfinished.last.bytes());
        let names = names.iter().map(|text| name(text)).filter(|name| fits(&name.bytes, prefix)).collect();
        let typed = Typed { directory, prefix, style: unfinished.style, is_at_end: true };
        let pairs = of_names(names, &typed, false);
        let common = rustyline::completion::longest_common_prefix(&pairs).unwrap_or_default();
        let is_longer = common.len() > line.len() - unfinished.start || pairs.len() == 1;
        let line = if is_longer { format!("{}{common}", &line[..unfinished.start]) } else { line.to_owned() };
        (line, pairs.into_iter().map(|pair| pair.display).collect())
    }

    #[test]
    fn a_name_is_completed_in_the_style_in_which_it_was_begun() {
        for (line, names, expected) in [
            ("get a", &["ab.txt"][..], "get ab.txt "),
            ("get a", &["a b.txt", "x"], "get \"a b.txt\" "),
            ("get \"a", &["a b.txt"], "get \"a b.txt\" "),
            ("get \"a ", &["a b.txt"], "get \"a b.txt\" "),
            ("get \"a", &["ab.txt"], "get \"ab.txt\" "),
            ("get 'a", &["a b.txt"], "get 'a b.txt' "),
            ("get 'a", &["a'b"], "get \"a'b\" "),
            ("get a\\ ", &["a b.txt"], "get a\\ b.txt "),
            ("get a", &["a*"], "get \"a*\" "),
            ("get a", &["a&b"], "get \"a&b\" "),
            ("get a&", &["a&b"], "get \"a&b\" "),
            ("get a\\&", &["a&b"], "get a\\&b "),
            ("get -- -", &["-x"], "get -- \"-x\" "),
            ("stat ", &["a\u{1b}[2J"], "stat \"a\\x1b[2J\" "),
            ("stat \"a\\x1", &["a\u{1b}"], "stat \"a\\x1b\" "),
            ("get im", &["IMG_1.jpg"], "get IMG_1.jpg "),
        ] {
            assert_eq!(after_tab(line, names).0, expected, "{line}");
        }
    }

    #[test]
    fn several_names_give_what_they_have_in_common_and_no_more() {
        for (line, names, expected) in [
            ("get ", &["a b", "x"][..], "get "),
            ("get a", &["a b", "a c"], "get \"a "),
            ("get 'a", &["a b", "a c"], "get 'a "),
            ("get a", &["abc", "abd"], "get ab"),
            ("get a", &["a", "ab"], "get a"),
            ("get gr", &["grün", "gräb"], "get gr"),
            ("get im", &["IMG_1.jpg", "IMG_2.jpg"], "get IMG_"),
            ("get im", &["IMG_1.jpg", "image"], "get image "),
        ] {
            assert_eq!(after_tab(line, names).0, expected, "{line}");
        }
        assert_eq!(after_tab("get ", &["b/", "a"]).1, ["a", "b/"]);
    }

    #[test]
    fn directories_lead_on() {
        assert_eq!(after_tab("ls ph", &["photos/"]).0, "ls photos/");
        assert_eq!(after_tab("ls photos/", &["a b"]).0, "ls \"photos/a b\" ");
        assert_eq!(after_tab("ls \"my dir/\"", &["a"]).0, "ls \"my dir/a\" ");
        assert_eq!(after_tab("ls \"my dir/\"a", &["ab", "c"]).0, "ls \"my dir/ab\" ");
        assert_eq!(after_tab("ls ../", &["d/"]).0, "ls ../d/");
    }

    #[test]
    fn hidden_names_are_offered_to_those_who_ask_for_them() {
        assert_eq!(after_tab("ls ", &[".git/", "a"]).0, "ls a ");
        assert_eq!(after_tab("ls .", &[".git/", "a"]).0, "ls .git/");
    }

    #[test]
    fn candidates_are_shown_without_control_characters_and_not_too_long() {
        let long = "x".repeat(200);
        let (_, shown) = after_tab("get ", &["a\u{1b}]0;x\u{7}", "d\u{9b}/", &long]);
        assert!(shown.iter().all(|text| !text.chars().any(char::is_control)));
        assert!(shown[1].ends_with('/'));
        assert!(shown[2].chars().count() <= SHOWN_COLUMNS);
    }
}
