//! The parts of a pattern for one name, and the regular expression that they make. Pure.

use crate::limits::{PATTERN_DEPTH_MAX, PATTERN_MAX_BYTES};
use ferry_common::limits::PATH_MAX_BYTES;
use std::fmt::Write as _;
use thiserror::Error;

/// The first of 256 characters for private use, at the very end of what there is.
const BYTES_AS_CHARACTERS: u32 = 0x10_ff00;

/// One byte of what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub(crate) byte: u8,
    /// It stands for itself.
    pub(crate) is_quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PatternError {
    #[error("the pattern is too long or too complicated")]
    TooComplex,
    #[error("a / cannot stand within {{}}")]
    SlashInBraces,
    #[error("the pattern is empty")]
    Empty,
    #[error("a [ or {{ is not closed; with a backslash before it, it stands for itself")]
    NotClosed,
}

/// Parts one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `{a,b}`
    Either(Vec<Sequence>),
}

/// A character of what was typed, and whether it was quoted.
type Typed = (char, bool);

impl Symbol {
    /// For text in which a backslash quotes what follows it.
    pub(crate) fn of_escaped(text: &[u8]) -> Vec<Self> {
        let mut bytes = text.iter().copied();
        let mut symbols = Vec::with_capacity(text.len());
        while let Some(byte) = bytes.next() {
            let next = if byte == b'\\' { bytes.next() } else { None };
            symbols.push(Self { byte: next.unwrap_or(byte), is_quoted: next.is_some() });
        }
        symbols
    }
}

impl Sequence {
    pub(super) fn parse(name: &[Symbol]) -> Result<Self, PatternError> {
        if name.len() > PATTERN_MAX_BYTES {
            return Err(PatternError::TooComplex);
        }
        let bytes: Vec<u8> = name.iter().map(|symbol| symbol.byte).collect();
        let typed: Vec<Typed> =
            characters(&bytes).map(|(place, character)| (character, name[place].is_quoted)).collect();
        let mut parts = Vec::new();
        let mut rest = &typed[..];
        while !rest.is_empty() {
            rest = parse_part(rest, 0, &mut parts)?;
        }
        Ok(Self(parts))
    }

    pub(super) fn is_literal(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// What of it begins with a dot that is written there; `None` where nothing does.
    pub(super) fn beginning_with_dot(&self) -> Option<Self> {
        let (first, rest) = self.0.split_first()?;
        match first {
            Part::Literal('.') => Some(self.clone()),
            Part::Either(branches) => {
                let with_dot: Vec<_> = branches.iter().filter_map(Self::beginning_with_dot).collect();
                let mut ways = Vec::new();
                if !with_dot.is_empty() {
                    let mut way = vec![Part::Either(with_dot)];
                    way.extend_from_slice(rest);
                    ways.push(Self(way));
                }
                if branches.iter().any(Self::can_be_empty) {
                    ways.extend(Self(rest.to_vec()).beginning_with_dot());
                }
                (!ways.is_empty()).then(|| Self(vec![Part::Either(ways)]))
            }
            Part::Literal(_) | Part::One | Part::Many | Part::Class { .. } => None,
        }
    }

    /// Without any wildcard, that is: `*` can be empty, but is written before the dot.
    fn can_be_empty(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Either(branches) => branches.iter().any(Self::can_be_empty),
            Part::Literal(_) | Part::One | Part::Many | Part::Class { .. } => false,
        })
    }

    pub(super) fn to_regex(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        for (place, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(character) => write_escaped(*character, out),
                Part::One => out.push_str("[^/]"),
                // As many of them as there are say no more than one.
                Part::Many if place > 0 && self.0[place - 1] == Part::Many => {}
                Part::Many => out.push_str("[^/]*"),
                Part::Class { is_negated, ranges } => write_class(*is_negated, ranges, out),
                Part::Either(branches) => {
                    out.push_str("(?:");
                    for (place, branch) in branches.iter().enumerate() {
                        if place > 0 {
                            out.push('|');
                        }
                        branch.write(out);
                    }
                    out.push(')');
                }
            }
        }
    }
}

/// Names are parts of a path, and alternatives parts of a name, so none can have a slash.
pub(super) fn check_braces(path: &[Symbol]) -> Result<(), PatternError> {
    if path.len() > PATH_MAX_BYTES {
        return Err(PatternError::TooComplex);
    }
    // No byte of a longer character looks like one of the marks.
    let typed: Vec<Typed> = path.iter().map(|symbol| (symbol.byte.into(), symbol.is_quoted)).collect();
    for (place, _) in typed.iter().enumerate().filter(|(_, typed)| **typed == ('{', false)) {
        let braces = &typed[place..];
        if brace_end(braces).is_some_and(|end| braces[..end].iter().any(|typed| typed.0 == '/')) {
            return Err(PatternError::SlashInBraces);
        }
    }
    Ok(())
}

/// Refuses what stands for itself as a part of a name, but was meant as a part of a pattern.
pub(super) fn check_closed(path: &[Symbol]) -> Result<(), PatternError> {
    let typed: Vec<Typed> = path.iter().map(|symbol| (symbol.byte.into(), symbol.is_quoted)).collect();
    let mut rest = &typed[..];
    while let Some((&first, behind)) = rest.split_first() {
        rest = match first {
            ('[', false) => parse_class(behind).ok_or(PatternError::NotClosed)?.1,
            ('{', false) if !behind.contains(&('}', false)) => return Err(PatternError::NotClosed),
            _ => behind,
        };
    }
    Ok(())
}

/// Takes one part, and gives what is left.
fn parse_part<'a>(
    typed: &'a [Typed],
    depth: usize,
    parts: &mut Vec<Part>,
) -> Result<&'a [Typed], PatternError> {
    let Some((&first, rest)) = typed.split_first() else { return Ok(typed) };
    match first {
        ('*', false) => parts.push(Part::Many),
        ('?', false) => parts.push(Part::One),
        ('[', false) => {
            if let Some((class, rest)) = parse_class(rest) {
                parts.push(class);
                return Ok(rest);
            }
            parts.push(Part::Literal('['));
        }
        ('{', false) => {
            if let Some(end) = brace_end(typed) {
                parts.push(parse_braces(&typed[1..end], depth)?);
                return Ok(&typed[end + 1..]);
            }
            parts.push(Part::Literal('{'));
        }
        (character, _) => parts.push(Part::Literal(character)),
    }
    Ok(rest)
}

/// `inside` has a comma of its own.
fn parse_braces(inside: &[Typed], depth: usize) -> Result<Part, PatternError> {
    if depth == PATTERN_DEPTH_MAX {
        return Err(PatternError::TooComplex);
    }
    let (mut branches, mut parts, mut rest) = (Vec::new(), Vec::new(), inside);
    while let Some(first) = rest.first() {
        if *first == (',', false) {
            branches.push(Sequence(std::mem::take(&mut parts)));
            rest = &rest[1..];
        } else {
            rest = parse_part(rest, depth + 1, &mut parts)?;
        }
    }
    branches.push(Sequence(parts));
    Ok(Part::Either(branches))
}

/// Where the brace at the beginning is closed, if there is a comma in between that belongs to it.
fn brace_end(typed: &[Typed]) -> Option<usize> {
    let (mut depth, mut has_comma) = (0, false);
    for (place, typed) in typed.iter().enumerate() {
        match typed {
            ('{', false) => depth += 1,
            ('}', false) => depth -= 1,
            (',', false) if depth == 1 => has_comma = true,
            _ => {}
        }
        if depth == 0 {
            return has_comma.then_some(place);
        }
    }
    None
}

/// What follows an opening bracket; `None` where that is not closed.
fn parse_class(typed: &[Typed]) -> Option<(Part, &[Typed])> {
    let is_negated = is_mark(typed, '!') || is_mark(typed, '^');
    let mut rest = if is_negated { &typed[1..] } else { typed };
    let mut ranges = Vec::new();
    loop {
        let (&(from, is_quoted), after) = rest.split_first()?;
        // A bracket at the very beginning is one of the characters.
        if from == ']' && !is_quoted && !ranges.is_empty() {
            return Some((Part::Class { is_negated, ranges }, after));
        }
        match after {
            [('-', false), (to, to_quoted), beyond @ ..] if (*to, *to_quoted) != (']', false) => {
                ranges.push((from, *to));
                rest = beyond;
            }
            _ => {
                ranges.push((from, from));
                rest = after;
            }
        }
    }
}

fn is_mark(typed: &[Typed], mark: char) -> bool {
    typed.first() == Some(&(mark, false))
}

fn write_escaped(character: char, out: &mut String) {
    // A `String` takes everything.
    let _ = write!(out, "\\x{{{:x}}}", u32::from(character));
}

/// A range from a greater to a lesser character has none. No class has a slash.
fn write_class(is_negated: bool, ranges: &[(char, char)], out: &mut String) {
    let ranges: Vec<_> = ranges.iter().filter(|(from, to)| from <= to).collect();
    if ranges.is_empty() {
        out.push_str(if is_negated { "[^/]" } else { "[^\\x{0}-\\x{10ffff}]" });
        return;
    }
    out.push_str(if is_negated { "[[^" } else { "[[" });
    for (from, to) in ranges {
        write_escaped(*from, out);
        out.push('-');
        write_escaped(*to, out);
    }
    out.push_str("]&&[^/]]");
}

/// Characters, and the place of the first byte of each.
pub(super) fn characters(bytes: &[u8]) -> impl Iterator<Item = (usize, char)> {
    let mut place = 0;
    bytes.utf8_chunks().flat_map(move |chunk| {
        let start = place;
        let invalid_start = start + chunk.valid().len();
        place = invalid_start + chunk.invalid().len();
        let of_byte = |byte: u8| char::from_u32(BYTES_AS_CHARACTERS + u32::from(byte)).unwrap_or('\u{fffd}');
        let text = chunk.valid().char_indices().map(move |(offset, character)| (start + offset, character));
        let rest = chunk.invalid().iter().enumerate();
        text.chain(rest.map(move |(offset, &byte)| (invalid_start + offset, of_byte(byte))))
    })
}
