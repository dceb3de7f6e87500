//! The grammar of a line: words split at spaces, each bare or in double quotes.
//!
//! A bare word is made of any bytes but space, `"`, `\` and control bytes. A quoted word may hold any
//! bytes; inside it `\" \\ \n \r \t \xHH` stand for the bytes that could not be written plainly. The same
//! grammar serves the wire and the client's prompt. [`encode`] writes a word so that it is harmless on
//! any terminal: what is not [printable] text is escaped.

use crate::wire::printable;
use thiserror::Error;

/// Why a line is not a sequence of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WordsError {
    #[error("a control byte outside a \\x escape")]
    ControlByte,
    #[error("a closing quote is missing")]
    UnclosedQuote,
    #[error("a quote inside a bare word; put the whole word in quotes")]
    QuoteInWord,
    #[error("no space after a closing quote")]
    NoSpaceAfterQuote,
    #[error("a backslash outside quotes; write \"\\\\\"")]
    BareBackslash,
    #[error("an unknown escape; known are \\\" \\\\ \\n \\r \\t \\xHH")]
    UnknownEscape,
}

/// Splits a line into its words. Runs of spaces count as one; an empty line has no words.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, WordsError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_prefix_spaces();
        match rest.first() {
            None => return Ok(words),
            Some(b'"') => {
                let (word, after) = quoted_word(&rest[1..])?;
                words.push(word);
                rest = after;
            }
            Some(_) => {
                let (word, after) = bare_word(rest)?;
                words.push(word);
                rest = after;
            }
        }
    }
}

/// Appends `word` to `out`, bare where that is possible. One that begins like the version of HTTP is quoted,
/// so that no line of ours looks like a request of that protocol.
pub fn encode(word: &[u8], out: &mut Vec<u8>) {
    if !word.is_empty()
        && !word.starts_with(b"HTTP/")
        && word.utf8_chunks().all(|chunk| chunk.invalid().is_empty() && is_bare(chunk.valid()))
    {
        out.extend_from_slice(word);
    } else {
        encode_quoted(word, out);
    }
}

/// [`encode`] as text, for messages and logs.
pub fn display(word: &[u8]) -> String {
    let mut out = Vec::with_capacity(word.len());
    encode(word, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `text` for a terminal or a log: as it is, but with every character that is not printable replaced by
/// its escape. For text that is shown, not parsed; [`encode`] is for words.
pub fn escape_text(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for (character, is_shown) in printable::of(chunk.valid()) {
            push_shown_or_escape(character, is_shown, &mut out);
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(byte, &mut out));
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_bare(text: &str) -> bool {
    printable::of(text).all(|(character, is_shown)| is_shown && !matches!(character, ' ' | '"' | '\\'))
}

fn bare_word(input: &[u8]) -> Result<(Vec<u8>, &[u8]), WordsError> {
    let end = input.iter().position(|&byte| byte == b' ').unwrap_or(input.len());
    let (word, after) = input.split_at(end);
    for &byte in word {
        match byte {
            b'"' => return Err(WordsError::QuoteInWord),
            b'\\' => return Err(WordsError::BareBackslash),
            _ if byte.is_ascii_control() => return Err(WordsError::ControlByte),
            _ => {}
        }
    }
    Ok((word.to_vec(), after))
}

/// Parses what follows an opening quote.
fn quoted_word(input: &[u8]) -> Result<(Vec<u8>, &[u8]), WordsError> {
    let mut word = Vec::new();
    let mut at = 0;
    loop {
        match input.get(at) {
            None => return Err(WordsError::UnclosedQuote),
            Some(b'"') => break,
            Some(b'\\') => {
                let (byte, length) = escape(&input[at + 1..])?;
                word.push(byte);
                at += 1 + length;
            }
            Some(byte) if byte.is_ascii_control() => return Err(WordsError::ControlByte),
            Some(&byte) => {
                word.push(byte);
                at += 1;
            }
        }
    }
    let after = &input[at + 1..];
    match after.first() {
        None | Some(b' ') => Ok((word, after)),
        Some(_) => Err(WordsError::NoSpaceAfterQuote),
    }
}

/// The byte that an escape stands for, and the escape's length after its backslash.
fn escape(input: &[u8]) -> Result<(u8, usize), WordsError> {
    match input {
        [b'"', ..] => Ok((b'"', 1)),
        [b'\\', ..] => Ok((b'\\', 1)),
        [b'n', ..] => Ok((b'\n', 1)),
        [b'r', ..] => Ok((b'\r', 1)),
        [b't', ..] => Ok((b'\t', 1)),
        [b'x', high, low, ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(WordsError::UnknownEscape);
            let value = digit(high)? * 16 + digit(low)?;
            Ok((u8::try_from(value).map_err(|_| WordsError::UnknownEscape)?, 3))
        }
        [] => Err(WordsError::UnclosedQuote),
        [_, ..] => Err(WordsError::UnknownEscape),
    }
}

fn encode_quoted(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in word.utf8_chunks() {
        for (character, is_shown) in printable::of(chunk.valid()) {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => push_shown_or_escape(character, is_shown, out),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(byte, out));
    }
    out.push(b'"');
}

fn push_shown_or_escape(character: char, is_shown: bool, out: &mut Vec<u8>) {
    let mut utf8 = [0; 4];
    let bytes = character.encode_utf8(&mut utf8).as_bytes();
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if is_shown => out.extend_from_slice(bytes),
        _ => bytes.iter().for_each(|&byte| push_hex(byte, out)),
    }
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

trait TrimPrefixSpaces {
    fn trim_prefix_spaces(&self) -> &Self;
}

impl TrimPrefixSpaces for [u8] {
    fn trim_prefix_spaces(&self) -> &[u8] {
        let spaces = self.iter().take_while(|&&byte| byte == b' ').count();
        &self[spaces..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split(line.as_bytes()).unwrap()
    }

    #[test]
    fn splits_at_runs_of_spaces() {
        assert_eq!(words("  download   a.txt "), vec![b"download".to_vec(), b"a.txt".to_vec()]);
        assert!(words("").is_empty());
        assert!(words("   ").is_empty());
    }

    #[test]
    fn reads_quotes_and_escapes() {
        assert_eq!(
            words(r#""a b" "" "\"\\\n\r\t\x00\xfF""#),
            vec![b"a b".to_vec(), b"".to_vec(), b"\"\\\n\r\t\x00\xff".to_vec()]
        );
    }

    #[test]
    fn refuses_what_is_outside_the_grammar() {
        for (line, error) in [
            (&b"a\0b"[..], WordsError::ControlByte),
            (b"a\tb", WordsError::ControlByte),
            (b"\"a\x1b\"", WordsError::ControlByte),
            (b"\"abc", WordsError::UnclosedQuote),
            (b"\"abc\\", WordsError::UnclosedQuote),
            (b"a\"b\"", WordsError::QuoteInWord),
            (b"\"a\"b", WordsError::NoSpaceAfterQuote),
            (b"a\\b", WordsError::BareBackslash),
            (b"\"\\q\"", WordsError::UnknownEscape),
            (b"\"\\x4\"", WordsError::UnknownEscape),
            (b"\"\\xg0\"", WordsError::UnknownEscape),
            (b"\"\\x", WordsError::UnknownEscape),
        ] {
            assert_eq!(split(line), Err(error), "{}", escape_text(line));
        }
    }

    #[test]
    fn encodes_bare_where_possible_and_harmless_always() {
        assert_eq!(display(b"a.txt"), "a.txt");
        assert_eq!(display("grüße".as_bytes()), "grüße");
        assert_eq!(display(b""), "\"\"");
        assert_eq!(display(b"a b"), "\"a b\"");
        assert_eq!(display(b"a\nb\x1b[2J"), r#""a\nb\x1b[2J""#);
        assert_eq!(display(b"\xff\xfe"), r#""\xff\xfe""#);
        assert_eq!(display("a\u{202e}b".as_bytes()), r#""a\xe2\x80\xaeb""#);
        assert_eq!(display("\u{9b}31m".as_bytes()), r#""\xc2\x9b31m""#);
    }

    #[test]
    fn text_keeps_its_spaces_and_loses_its_controls() {
        assert_eq!(escape_text(b"no such file: \"a b\"\x07\xff"), "no such file: \"a b\"\\x07\\xff");
    }
}
