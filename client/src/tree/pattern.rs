//! Patterns for names: `*`, `?`, `[...]` and `{a,b}`, matched in time that grows with the length of the name alone.
//!
//! A `?` and the inside of `[]` stand for whole characters; a byte that is part of none counts as one. A bracket or a
//! brace that is not closed stands for itself, as does everything that was quoted.
//!
//! Patterns become regular expressions here, not by `globset`, which is for bytes: its `?` does not match an `ü`. Those
//! expressions are of characters, so each byte that is no text becomes a character
//! that no text has a use for.

mod syntax;

use crate::limits::PATTERN_PROGRAM_MAX_BYTES;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::borrow::Cow;
pub(crate) use syntax::{PatternError, Symbol};
use syntax::{Sequence, characters};

/// What was typed as one path, with something in it that is not literal.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// The folders before the first component that is a pattern, as they were typed: with the slash at their end, or empty.
    pub(crate) prefix: Vec<u8>,
    /// From there on; never empty.
    pub(crate) components: Vec<Component>,
}

/// One name of a path.
#[derive(Debug)]
pub(crate) enum Component {
    Literal(Vec<u8>),
    Matcher(Matcher),
}

/// Matches the names of one folder.
#[derive(Debug)]
pub(crate) struct Matcher {
    any: Regex,
    /// For names that begin with a dot, which only a dot in the pattern can match.
    hidden: Option<Regex>,
}

/// Patterns of what is left out of a tree. One without a slash concerns every name; any other the whole path from the top.
/// `**` stands for any number of folders. They concern hidden names like all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excludes {
    all: RegexSet,
    /// Those with a slash at the end.
    folders: RegexSet,
}

impl Pattern {
    /// `None` where everything stands for itself.
    pub(crate) fn parse(path: &[Symbol]) -> Result<Option<Self>, PatternError> {
        syntax::check_braces(path)?;
        let mut prefix = Vec::new();
        let mut components = Vec::new();
        for typed in names_of(path) {
            match Component::parse(typed)? {
                Component::Literal(name) if components.is_empty() => {
                    prefix.extend(name);
                    prefix.push(b'/');
                }
                Component::Literal(name) if name.is_empty() || name == b"." => {}
                component @ (Component::Literal(_) | Component::Matcher(_)) => components.push(component),
            }
        }
        Ok((!components.is_empty()).then_some(Self { prefix, components }))
    }
}

impl Component {
    fn parse(typed: &[Symbol]) -> Result<Self, PatternError> {
        let sequence = Sequence::parse(typed)?;
        if sequence.is_literal() {
            return Ok(Self::Literal(typed.iter().map(|symbol| symbol.byte).collect()));
        }
        let compile = |sequence: &Sequence| compile(&format!("^{}$", sequence.to_regex()));
        let hidden = sequence.beginning_with_dot().map(|sequence| compile(&sequence)).transpose()?;
        Ok(Self::Matcher(Matcher { any: compile(&sequence)?, hidden }))
    }
}

impl Matcher {
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let text = as_text(name);
        if name.starts_with(b".") {
            self.hidden.as_ref().is_some_and(|hidden| hidden.is_match(&text))
        } else {
            self.any.is_match(&text)
        }
    }
}

impl Excludes {
    /// A backslash in them quotes.
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, PatternError> {
        let (mut all, mut folders) = (Vec::new(), Vec::new());
        for pattern in patterns {
            let symbols = Symbol::of_escaped(pattern);
            let is_for_folders = symbols.last().is_some_and(|last| last.byte == b'/');
            let regex = regex_of_excluded(&symbols)?;
            (if is_for_folders { &mut folders } else { &mut all }).push(regex);
        }
        Ok(Self { all: compile_set(&all)?, folders: compile_set(&folders)? })
    }

    /// `path` is relative to the top of the tree.
    pub(crate) fn matches(&self, path: &[u8], is_folder: bool) -> bool {
        if self.all.is_empty() && self.folders.is_empty() {
            return false;
        }
        let text = as_text(path);
        self.all.is_match(&text) || is_folder && self.folders.is_match(&text)
    }
}

fn regex_of_excluded(symbols: &[Symbol]) -> Result<String, PatternError> {
    syntax::check_braces(symbols)?;
    let names: Vec<_> = names_of(symbols).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(PatternError::Empty);
    }
    names.iter().try_for_each(|name| syntax::check_closed(name))?;
    let is_anchored = symbols.first().is_some_and(|first| first.byte == b'/') || names.len() > 1;
    let mut regex = (if is_anchored { "^" } else { "^(?:.*/)?" }).to_owned();
    for (place, typed) in names.iter().enumerate() {
        let is_last = place + 1 == names.len();
        let is_any_depth = typed.iter().all(|symbol| symbol.byte == b'*' && !symbol.is_quoted);
        match (is_any_depth && typed.len() == 2, is_last) {
            (true, true) => regex.push_str(".+"),
            (true, false) => regex.push_str("(?:[^/]+/)*"),
            (false, true) => regex.push_str(&Sequence::parse(typed)?.to_regex()),
            (false, false) => {
                regex.push_str(&Sequence::parse(typed)?.to_regex());
                regex.push('/');
            }
        }
    }
    regex.push('$');
    Ok(regex)
}

/// The names between slashes. A slash at the end begins no further name.
fn names_of(path: &[Symbol]) -> impl Iterator<Item = &[Symbol]> {
    let path = path.split_last().filter(|(last, _)| last.byte == b'/').map_or(path, |(_, names)| names);
    path.split(|symbol| symbol.byte == b'/')
}

fn compile(regex: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(regex);
    builder.dot_matches_new_line(true).size_limit(PATTERN_PROGRAM_MAX_BYTES);
    builder.build().map_err(|_| PatternError::TooComplex)
}

fn compile_set(regexes: &[String]) -> Result<RegexSet, PatternError> {
    let mut builder = RegexSetBuilder::new(regexes);
    builder.dot_matches_new_line(true).size_limit(PATTERN_PROGRAM_MAX_BYTES);
    builder.build().map_err(|_| PatternError::TooComplex)
}

/// See the module's documentation.
fn as_text(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(characters(name).map(|(_, character)| character).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn parse(text: &str) -> Result<Option<Pattern>, PatternError> {
        Pattern::parse(&Symbol::of_escaped(text.as_bytes()))
    }

    fn matcher(text: &str) -> Matcher {
        match parse(text).unwrap().unwrap().components.pop() {
            Some(Component::Matcher(matcher)) => matcher,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn check(pattern: &str, matched: &[&str], others: &[&str]) {
        let matcher = matcher(pattern);
        for name in matched {
            assert!(matcher.matches(name.as_bytes()), "{pattern} does not match {name}");
        }
        for name in others {
            assert!(!matcher.matches(name.as_bytes()), "{pattern} matches {name}");
        }
    }

    #[test]
    fn wildcards_stand_for_characters() {
        check("*.jpg", &["a.jpg", "a.b.jpg", "a\n.jpg", "Ä.jpg"], &["a.JPG", "jpg", "a.jpg2"]);
        check("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "abcd"]);
        check("a?c", &["abc", "aüc", "a日c", "a\nc"], &["ac", "abbc", "aüüc"]);
        check("[ä-öx]?", &["äa", "öa", "xa"], &["a", "za", "ä"]);
        check("[!a-c]", &["d", "ä", "]"], &["a", "b", "", "dd"]);
        check("[^a]", &["b", "^"], &["a"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[z-a]*", &[], &["z", "a", "b", "z-a"]);
        check("[a^&&b~~c\"-]", &["a", "^", "&", "b", "~", "c", "-"], &["d"]);
        check("a.[ch]", &["a.c", "a.h"], &["axc", "a.cc"]);
        check("*(+)$|", &["x(+)$|"], &["x"]);
    }

    #[test]
    fn braces_stand_for_alternatives() {
        check(
            "IMG_{1,2}*.{jpg,CR3}",
            &["IMG_1.jpg", "IMG_23.CR3"],
            &["IMG_3.jpg", "IMG_1.png", "IMG_1.jpg,"],
        );
        check("{a,b{c,d}}", &["a", "bc", "bd"], &["b", "ac"]);
        check("a{,b}", &["a", "ab"], &["b", "abb"]);
        check("{*}a?", &["{x}ab"], &["xab", "ab"]);
        check("{a,b*", &["{a,bc"], &["a", "bc"]);
        check("[a*", &["[ab"], &["ab", "a"]);
        check("a,b}*", &["a,b}"], &["a"]);
    }

    #[test]
    fn what_is_quoted_stands_for_itself() {
        check(r"\**", &["*", "*a"], &["a"]);
        check(r"[\]a]*", &["]", "a"], &["\\"]);
        check(r"{a\,b,c}", &["a,b", "c"], &["a", "b"]);
        check(r"a\{b,c}?", &["a{b,c}x"], &["abx", "acx"]);
        check(r"[a\-c]", &["a", "-", "c"], &["b"]);
        check(r"[\!a]", &["!", "a"], &["b"]);
        for literal in ["plain", r"a\*b", "[a", "{a}", "a,b", "[]", "a/b", "..", r"\[a]"] {
            assert!(parse(literal).unwrap().is_none(), "{literal}");
        }
    }

    #[test]
    fn hidden_names_are_matched_by_a_dot_only() {
        check("*", &["a", "a.b"], &[".a", "."]);
        check("?a*", &["xa"], &[".a"]);
        check("[!x]a", &["ya"], &[".a"]);
        check("*.txt", &["a.txt"], &[".txt", ".a.txt"]);
        check(".*", &[".a"], &["a"]);
        check("{.,x}a*", &[".a", "xab"], &["a"]);
        check("{*,.b}c", &["xc", ".bc"], &[".xc"]);
        check("{,x}{,.}a*", &[".ab", "ab", "xa", "x.a"], &["..a"]);
    }

    #[test]
    fn bytes_that_are_no_text_count_one_by_one() {
        let any = matcher("a?");
        assert!(any.matches(b"a\xff") && !any.matches(b"a\xff\xfe") && !any.matches(b"a\xc3"[..1].as_ref()));
        let mut typed = Symbol::of_escaped(b"*\xff");
        typed.push(Symbol { byte: 0xc3, is_quoted: true });
        let Some(Component::Matcher(matcher)) = Pattern::parse(&typed).unwrap().unwrap().components.pop()
        else {
            panic!()
        };
        assert!(matcher.matches(b"x\xff\xc3") && !matcher.matches("xÿ".as_bytes()));
    }

    #[test]
    fn a_path_is_split_so_that_only_what_is_needed_is_walked() {
        let pattern = parse("../Photos/my dir/*/x/IMG_{1,2}*.jpg").unwrap().unwrap();
        assert_eq!(pattern.prefix, b"../Photos/my dir/");
        let [Component::Matcher(_), Component::Literal(name), Component::Matcher(images)] =
            &pattern.components[..]
        else {
            panic!("{pattern:?}")
        };
        assert!(name == b"x" && images.matches(b"IMG_17.jpg"));
        let pattern = parse("/*//./b/").unwrap().unwrap();
        assert_eq!((&pattern.prefix[..], pattern.components.len()), (&b"/"[..], 2));
        assert_eq!(parse("{a/b,c}").unwrap_err(), PatternError::SlashInBraces);
    }

    #[test]
    fn excluded_are_names_anywhere_or_paths_from_the_top() {
        let excludes =
            |patterns: &[&str]| Excludes::new(patterns.iter().map(|text| text.as_bytes())).unwrap();
        let plain = excludes(&["*.tmp", "cache/", "/top", "a/*/c", "x[--0]y", "/x[!a]z", "/x?w"]);
        let is_excluded = |path: &str, is_folder| plain.matches(path.as_bytes(), is_folder);
        for path in ["x.tmp", "a/b/.x.tmp", "top", "a/b/c", "x.y", "xbz"] {
            assert!(is_excluded(path, false), "{path}");
        }
        for path in ["x.tmpx", "cache", "a/top", "b/a/b/c", "a/b/b/c", "a/b/c/d", "x/y", "x/z", "x/w"] {
            assert!(!is_excluded(path, false), "{path}");
        }
        assert!(is_excluded("cache", true) && is_excluded("a/cache", true));
        let deep = excludes(&["a/**/z", "b/**", "**/q/r"]);
        for path in ["a/z", "a/b/c/z", "b/x", "b/x/y", "q/r", "x/y/q/r"] {
            assert!(deep.matches(path.as_bytes(), false), "{path}");
        }
        for path in ["b", "z", "x/a/z", "r"] {
            assert!(!deep.matches(path.as_bytes(), false), "{path}");
        }
        assert!(!Excludes::default().matches(b"a", true));
    }

    #[test]
    fn what_is_no_pattern_excludes_nothing() {
        let refused = |pattern: &str| Excludes::new([pattern.as_bytes()]).unwrap_err();
        for pattern in ["[", "a[b", "[]", "x/[a/b]", "{a,b", "a{", "[!"] {
            assert_eq!(refused(pattern), PatternError::NotClosed, "{pattern}");
        }
        for pattern in ["", "/", "//"] {
            assert_eq!(refused(pattern), PatternError::Empty, "{pattern}");
        }
        for pattern in ["\\[", "[[]", "[]a]", "{a}", "a]", "a}", "\\{a", "[{]", "[a]/[b]"] {
            assert!(Excludes::new([pattern.as_bytes()]).is_ok(), "{pattern}");
        }
    }

    /// Each is matched for every one of a million names, so what takes a long name a second would take for ever.
    #[test]
    fn no_pattern_takes_long() {
        let name = vec![b'a'; ferry_common::limits::NAME_MAX_BYTES];
        let begun = Instant::now();
        for pattern in ["*a".repeat(100) + "b", "{a,aa}".repeat(100) + "?b", "*?".repeat(200)] {
            let matcher = matcher(&pattern);
            (0..100).for_each(|_| assert!(!matcher.matches(&name) || pattern.ends_with('?')));
        }
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(20), "{taken:?}");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        for pattern in ["*".repeat(5000), "{".repeat(20) + "*" + &",}".repeat(20)] {
            assert_eq!(parse(&pattern).unwrap_err(), PatternError::TooComplex);
        }
    }

    /// Tries every way to split the name.
    fn matches_by_trying(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|skipped| matches_by_trying(rest, &name[skipped..])),
            ['?', rest @ ..] => !name.is_empty() && matches_by_trying(rest, &name[1..]),
            [first, rest @ ..] => name.first() == Some(first) && matches_by_trying(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_what_trying_finds(pattern in "[*?aäb.]{0,6}[*?]", name in "[aäb.]{0,8}") {
            let (typed, letters): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            let is_hidden = name.starts_with('.') && !pattern.starts_with('.');
            let expected = !is_hidden && matches_by_trying(&typed, &letters);
            prop_assert_eq!(matcher(&pattern).matches(name.as_bytes()), expected);
        }

        #[test]
        fn nothing_that_is_typed_or_named_panics(
            typed in proptest::collection::vec((any::<u8>(), any::<bool>()), 0..60),
            marks in "[*?\\[\\]{},!^/a-]{0,40}",
            name in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let typed = typed.into_iter().map(|(byte, is_quoted)| Symbol { byte, is_quoted });
            let symbols: Vec<_> = typed.chain(Symbol::of_escaped(marks.as_bytes())).collect();
            if let Ok(Some(pattern)) = Pattern::parse(&symbols) {
                for component in pattern.components {
                    if let Component::Matcher(matcher) = component {
                        matcher.matches(&name);
                    }
                }
            }
            if let Ok(excludes) = Excludes::new([marks.as_bytes()]) {
                excludes.matches(&name, true);
            }
        }

        #[test]
        fn a_quoted_name_is_a_literal_of_itself(name in proptest::collection::vec(1..=255_u8, 1..40)) {
            prop_assume!(!name.contains(&b'/'));
            let quoted: Vec<_> = name.iter().map(|&byte| Symbol { byte, is_quoted: true }).collect();
            prop_assert!(Pattern::parse(&quoted).unwrap().is_none());
            let mut typed = quoted;
            typed.push(Symbol { byte: b'*', is_quoted: false });
            let pattern = Pattern::parse(&typed).unwrap().unwrap();
            let Component::Matcher(matcher) = &pattern.components[0] else { panic!() };
            prop_assert!(matcher.matches(&name));
        }
    }
}
