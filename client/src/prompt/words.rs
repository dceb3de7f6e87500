//! The grammar of typed lines: words in double quotes, in single quotes or bare, backslashes, comments.
//!
//! It takes what the protocol's grammar takes, and what people know from shells beside it. A word knows which
//! of its bytes were quoted: those stand for themselves, the others may make an option or a pattern of it.
//! Single quotes begin where a name begins, or behind another quoted part: `don't.txt` is a plain name.

use ferry_common::wire::words;
use thiserror::Error;

/// Why a line is not a sequence of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum LineError {
    #[error("a control character; in double quotes it is written as \\xHH")]
    ControlByte,
    #[error("a closing quote is missing")]
    UnclosedQuote,
    #[error("nothing follows the last backslash")]
    NothingEscaped,
    #[error("an unknown escape; in double quotes there are \\\" \\\\ \\n \\r \\t \\xHH")]
    UnknownEscape,
}

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Word {
    bytes: Vec<u8>,
    /// For each byte, whether it was in quotes or behind a backslash.
    quoted: Vec<bool>,
}

/// How a word is, or begins to be, written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Bare,
    /// Bare, with backslashes.
    Backslash,
    Double,
    Single,
}

/// A line whose last word may be still in the making.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// The words that are complete.
    pub(crate) words: Vec<Word>,
    /// What the last word means so far; empty behind a blank.
    pub(crate) last: Word,
    /// Where in the line the last word begins.
    pub(crate) start: usize,
    pub(crate) style: Style,
}

/// The words of a whole line, without its comment.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Word>, LineError> {
    let mut lexer = Lexer::new(line);
    let mut words = Vec::new();
    while let Some(lexed) = lexer.next_word()? {
        match lexed.end {
            End::Blank | End::Line => words.push(lexed.word),
            End::OpenQuote => return Err(LineError::UnclosedQuote),
            End::OpenBackslash => return Err(LineError::NothingEscaped),
        }
    }
    Ok(words)
}

/// A line up to the cursor; `None` where it is in a comment, or nothing that can become a command.
pub(crate) fn split_unfinished(line: &[u8]) -> Option<Unfinished> {
    let mut lexer = Lexer::new(line);
    let mut words = Vec::new();
    while let Some(lexed) = lexer.next_word().ok()? {
        match lexed.end {
            End::Blank => words.push(lexed.word),
            End::Line | End::OpenQuote | End::OpenBackslash => {
                return Some(Unfinished { words, last: lexed.word, start: lexed.start, style: lexed.style });
            }
        }
    }
    let last = Word::default();
    (!lexer.is_in_comment).then_some(Unfinished { words, last, start: line.len(), style: Style::Bare })
}

/// The word for `bytes`, in this style where that is able to write them: reading it gives them back, and nothing
/// in it makes an option or a pattern.
pub(crate) fn quote_as(style: Style, bytes: &[u8]) -> String {
    let shown = words::display(bytes);
    let is_shown_as_it_is = shown == String::from_utf8_lossy(bytes)
        || shown.trim_matches('"').as_bytes() == bytes && !bytes.contains(&b'\\');
    match style {
        Style::Bare if is_bare(bytes) => shown,
        Style::Backslash if is_shown_as_it_is && !bytes.is_empty() => with_backslashes(bytes),
        Style::Single if is_shown_as_it_is && !bytes.contains(&b'\'') => format!("'{}'", as_text(bytes)),
        Style::Bare | Style::Backslash | Style::Double | Style::Single if shown.starts_with('"') => shown,
        Style::Bare | Style::Backslash | Style::Double | Style::Single => format!("\"{shown}\""),
    }
}

/// The beginning of a word that is to go on: its quote is left open.
pub(crate) fn quote_open(style: Style, bytes: &[u8]) -> String {
    let mut whole = quote_as(style, bytes);
    if whole.starts_with(['"', '\'']) {
        whole.pop();
    }
    whole
}

impl Word {
    /// Every byte stands for itself.
    pub(crate) fn literal(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), quoted: vec![true; bytes.len()] }
    }

    /// As if it had been typed without quotes.
    pub(crate) fn plain(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), quoted: vec![false; bytes.len()] }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True for `-x` and `--`; a quoted dash begins a name, and so does a lone one.
    pub(crate) fn is_option(&self) -> bool {
        self.bytes.len() > 1 && self.bytes[0] == b'-' && !self.quoted[0]
    }

    /// True where a `&` is in it that is not quoted.
    pub(crate) fn has_ampersand(&self) -> bool {
        self.marked().any(|marked| marked == AMPERSAND)
    }

    /// The word before the `&` at its end, which may be empty; `None` where there is none that is not quoted.
    pub(crate) fn before_ampersand(&self) -> Option<Self> {
        let length = self.bytes.len().checked_sub(1)?;
        let (bytes, quoted) = (self.bytes[..length].to_vec(), self.quoted[..length].to_vec());
        (self.marked().last() == Some(AMPERSAND)).then_some(Self { bytes, quoted })
    }

    /// The rest of the word behind its first bytes.
    pub(crate) fn without_first(&self, count: usize) -> Self {
        let count = count.min(self.bytes.len());
        Self { bytes: self.bytes[count..].to_vec(), quoted: self.quoted[count..].to_vec() }
    }

    /// The names of a path, empty ones included.
    pub(crate) fn split_at_slashes(&self) -> Vec<Self> {
        let mut names = vec![Self::default()];
        for (byte, quoted) in self.marked() {
            match names.last_mut() {
                Some(name) if byte != b'/' => name.push(byte, quoted),
                Some(_) | None => names.push(Self::default()),
            }
        }
        names
    }

    /// Each byte, and whether it was quoted.
    pub(crate) fn marked(&self) -> impl Iterator<Item = (u8, bool)> {
        self.bytes.iter().copied().zip(self.quoted.iter().copied())
    }

    fn push(&mut self, byte: u8, quoted: bool) {
        self.bytes.push(byte);
        self.quoted.push(quoted);
    }
}

/// Behind a command, it has that run in the background.
const AMPERSAND: (u8, bool) = (b'&', false);
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads words from the left to the right.
struct Lexer<'a> {
    line: &'a [u8],
    at: usize,
    is_in_comment: bool,
}

struct Lexed {
    word: Word,
    start: usize,
    style: Style,
    end: End,
}

/// What ends a word.
enum End {
    Blank,
    Line,
    OpenQuote,
    OpenBackslash,
}

/// A piece of a double-quoted part.
enum Escape {
    Byte {
        byte: u8,
        length: usize,
    },
    /// The line ends in it.
    Incomplete,
}

impl<'a> Lexer<'a> {
    fn new(line: &'a [u8]) -> Self {
        // Editors of other systems put it before the first line of a file.
        let at = if line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self { line, at, is_in_comment: false }
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn next_word(&mut self) -> Result<Option<Lexed>, LineError> {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        self.is_in_comment = self.peek() == Some(b'#');
        if self.is_in_comment || self.peek().is_none() {
            return Ok(None);
        }
        let start = self.at;
        let style = match self.line[start] {
            b'"' => Style::Double,
            b'\'' => Style::Single,
            _ => Style::Bare,
        };
        let mut lexed = Lexed { word: Word::default(), start, style, end: End::Line };
        lexed.end = self.read_parts(&mut lexed)?;
        Ok(Some(lexed))
    }

    fn read_parts(&mut self, lexed: &mut Lexed) -> Result<End, LineError> {
        let mut opens_single = true;
        while let Some(byte) = self.peek() {
            self.at += 1;
            let is_closed = match byte {
                _ if is_blank(byte) => return Ok(End::Blank),
                b'"' => self.read_double(&mut lexed.word)?,
                b'\'' if opens_single => self.read_single(&mut lexed.word)?,
                b'\\' => {
                    let Some(escaped) = self.peek() else { return Ok(End::OpenBackslash) };
                    check(escaped)?;
                    self.at += 1;
                    lexed.word.push(escaped, true);
                    if lexed.style == Style::Bare {
                        lexed.style = Style::Backslash;
                    }
                    true
                }
                _ => {
                    check(byte)?;
                    lexed.word.push(byte, false);
                    opens_single = byte == b'/';
                    continue;
                }
            };
            if !is_closed {
                return Ok(End::OpenQuote);
            }
            opens_single = true;
        }
        Ok(End::Line)
    }

    /// False where the line ends before the quote.
    fn read_single(&mut self, word: &mut Word) -> Result<bool, LineError> {
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'\'' {
                return Ok(true);
            }
            check(byte)?;
            word.push(byte, true);
        }
        Ok(false)
    }

    fn read_double(&mut self, word: &mut Word) -> Result<bool, LineError> {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return Ok(true),
                b'\\' => match escape(&self.line[self.at..])? {
                    Escape::Byte { byte, length } => {
                        word.push(byte, true);
                        self.at += length;
                    }
                    Escape::Incomplete => {
                        self.at = self.line.len();
                        return Ok(false);
                    }
                },
                _ => {
                    check(byte)?;
                    word.push(byte, true);
                }
            }
        }
        Ok(false)
    }
}

/// What follows a backslash in double quotes.
fn escape(input: &[u8]) -> Result<Escape, LineError> {
    let hexadecimal = |byte: u8| char::from(byte).to_digit(16).ok_or(LineError::UnknownEscape);
    let (byte, length) = match input {
        [] => return Ok(Escape::Incomplete),
        [byte @ (b'"' | b'\\'), ..] => (*byte, 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'x', high, low, ..] => {
            let value = hexadecimal(*high)? * 16 + hexadecimal(*low)?;
            (u8::try_from(value).map_err(|_| LineError::UnknownEscape)?, 3)
        }
        [b'x', digits @ ..] => {
            digits.iter().try_for_each(|&digit| hexadecimal(digit).map(|_| ()))?;
            return Ok(Escape::Incomplete);
        }
        [_, ..] => return Err(LineError::UnknownEscape),
    };
    Ok(Escape::Byte { byte, length })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn check(byte: u8) -> Result<(), LineError> {
    if byte.is_ascii_control() && byte != b'\t' { Err(LineError::ControlByte) } else { Ok(()) }
}

/// True where the bytes mean themselves without any quote.
fn is_bare(bytes: &[u8]) -> bool {
    let is_special = |byte: &u8| matches!(byte, b'\'' | b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'&');
    let begins_specially = matches!(bytes, [b'#' | b'-', ..]);
    !begins_specially && !bytes.iter().any(is_special) && !words::display(bytes).starts_with('"')
}

/// For bytes that are printable text.
fn with_backslashes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, character) in as_text(bytes).chars().enumerate() {
        let is_special =
            matches!(character, ' ' | '"' | '\'' | '\\' | '*' | '?' | '[' | ']' | '{' | '}' | '&');
        if is_special || at == 0 && matches!(character, '#' | '-') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        let words = split(line.as_bytes()).unwrap();
        words.iter().map(|word| String::from_utf8(word.bytes().to_vec()).unwrap()).collect()
    }

    #[test]
    fn quotes_and_backslashes_are_those_of_shells() {
        for (line, expected) in [
            ("  ls   a.txt ", &["ls", "a.txt"][..]),
            ("ls\ta", &["ls", "a"]),
            (r#"get "a b" 'c d' e\ f"#, &["get", "a b", "c d", "e f"]),
            (r#"get "a b"/"c d" x"y z"w"#, &["get", "a b/c d", "xy zw"]),
            (r#"get 'it'\''s' don't '' """#, &["get", "it's", "don't", "", ""]),
            (r#"get dir/'a b' "\"\\\n\x41""#, &["get", "dir/a b", "\"\\\nA"]),
            (r"get '\n' \\ \# \*", &["get", "\\n", "\\", "#", "*"]),
            ("ls # what is there", &["ls"]),
            ("ls a#b '#c' #d", &["ls", "a#b", "#c"]),
            ("# nothing", &[]),
            ("\u{feff}ls", &["ls"]),
            ("", &[]),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
        assert_eq!(split(b"get \xff\xfe").unwrap()[1].bytes(), b"\xff\xfe");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (line, error) in [
            (&b"get \"a b"[..], LineError::UnclosedQuote),
            (b"get 'a b", LineError::UnclosedQuote),
            (b"get \"a\\", LineError::UnclosedQuote),
            (b"get a\\", LineError::NothingEscaped),
            (b"get a\x1b", LineError::ControlByte),
            (b"get '\0'", LineError::ControlByte),
            (b"get \"\\q\"", LineError::UnknownEscape),
            (b"get \"\\xg0\"", LineError::UnknownEscape),
            (b"get \"\\x4\"", LineError::UnknownEscape),
        ] {
            assert_eq!(split(line), Err(error), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn only_what_is_not_quoted_makes_an_option() {
        let is_option = |line: &str| split(line.as_bytes()).unwrap()[0].is_option();
        assert!(is_option("-x") && is_option("--") && is_option("-\"x\""));
        assert!(!is_option("\"-x\"") && !is_option("\\-x") && !is_option("-") && !is_option("./-x"));
    }

    #[test]
    fn an_ampersand_that_is_not_quoted_is_none_of_a_name() {
        let last = |line: &str| split(line.as_bytes()).unwrap().pop().unwrap();
        for (line, before) in [("get a &", ""), ("get a\t& # x", ""), ("get a&", "a"), ("get 'a&b'&", "a&b")]
        {
            assert_eq!(last(line).before_ampersand().unwrap().bytes(), before.as_bytes(), "{line}");
            assert!(last(line).has_ampersand(), "{line}");
        }
        for line in ["get a '&'", "get a \\&", "get a \"&\"", "get \"a&\""] {
            assert!(last(line).before_ampersand().is_none() && !last(line).has_ampersand(), "{line}");
        }
        assert!(last("get a&b").before_ampersand().is_none() && last("get a&b").has_ampersand());
    }

    #[test]
    fn a_line_in_the_making_keeps_its_style() {
        for (line, words, last, start, style) in [
            ("", 0, "", 0, Style::Bare),
            ("get ", 1, "", 4, Style::Bare),
            ("get a", 1, "a", 4, Style::Bare),
            ("get a\\ b", 1, "a b", 4, Style::Backslash),
            ("get a\\", 1, "a", 4, Style::Bare),
            ("get \"a b", 1, "a b", 4, Style::Double),
            ("get \"a b/\"c", 1, "a b/c", 4, Style::Double),
            ("get \"a\\x1", 1, "a", 4, Style::Double),
            ("get 'a b", 1, "a b", 4, Style::Single),
            ("get 'a' b", 2, "b", 8, Style::Bare),
        ] {
            let unfinished = split_unfinished(line.as_bytes()).unwrap();
            let seen = (unfinished.words.len(), unfinished.last.bytes(), unfinished.start, unfinished.style);
            assert_eq!(seen, (words, last.as_bytes(), start, style), "{line}");
        }
        assert_eq!(split_unfinished(b"ls # a"), None);
        assert_eq!(split_unfinished(b"\"\\q\" c"), None);
    }

    #[test]
    fn each_style_writes_what_it_can() {
        for (style, name, expected) in [
            (Style::Bare, "a.txt", "a.txt"),
            (Style::Bare, "a b", "\"a b\""),
            (Style::Bare, "-x", "\"-x\""),
            (Style::Bare, "[1].txt", "\"[1].txt\""),
            (Style::Backslash, "a b", "a\\ b"),
            (Style::Backslash, "don't", "don\\'t"),
            (Style::Single, "a b", "'a b'"),
            (Style::Single, "don't", "\"don't\""),
            (Style::Double, "a", "\"a\""),
            (Style::Single, "a\u{1b}", "\"a\\x1b\""),
            (Style::Backslash, "a\u{1b}", "\"a\\x1b\""),
            (Style::Bare, "&", "\"&\""),
            (Style::Backslash, "&", "\\&"),
            (Style::Bare, "a&b", "\"a&b\""),
            (Style::Backslash, "a&b", "a\\&b"),
            (Style::Single, "a&b", "'a&b'"),
        ] {
            assert_eq!(quote_as(style, name.as_bytes()), expected);
        }
        assert_eq!(quote_open(Style::Bare, b"a "), "\"a ");
        assert_eq!(quote_open(Style::Single, b"a "), "'a ");
        assert_eq!(quote_open(Style::Backslash, b"a "), "a\\ ");
    }

    fn any_style() -> impl Strategy<Value = Style> {
        prop_oneof![Just(Style::Bare), Just(Style::Backslash), Just(Style::Double), Just(Style::Single)]
    }

    /// Of characters that mean something, and of any.
    fn any_name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[-#'\"\\\\ *?\\[\\]{}!~/&a]{0,12}".prop_map(String::into_bytes)
        ]
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back_as_one_literal_word(name in any_name(), style in any_style()) {
            let line = format!("get {} next", quote_as(style, &name));
            let words = split(line.as_bytes()).unwrap();
            prop_assert_eq!(words.len(), 3, "{}", line);
            prop_assert_eq!(words[1].bytes(), &name[..]);
            prop_assert!(!words[1].is_option() && !words[1].has_ampersand(), "{}", line);
        }

        #[test]
        fn what_is_left_open_reads_back_too(name in any_name(), style in any_style()) {
            let line = format!("get {}", quote_open(style, &name));
            let unfinished = split_unfinished(line.as_bytes()).unwrap();
            prop_assert_eq!(unfinished.last.bytes(), &name[..]);
        }

        #[test]
        fn no_line_is_too_odd(line in any_name()) {
            let whole = split(&line);
            let unfinished = split_unfinished(&line);
            prop_assert!(whole.is_err() || unfinished.is_some() || line.contains(&b'#'));
        }
    }
}
