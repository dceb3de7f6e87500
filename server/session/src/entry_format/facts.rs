//! The facts of an entry (RFC 3659, 7): which there are, which a client wants, and how they are written.

use super::date::Date;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::fmt;

/// What can be told of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactName {
    Type,
    Perm,
    Size,
    Modify,
    UnixMode,
}

impl FactName {
    /// In the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Type, Self::Perm, Self::Size, Self::Modify, Self::UnixMode];

    pub fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Perm => "perm",
            Self::Size => "size",
            Self::Modify => "modify",
            Self::UnixMode => "unix.mode",
        }
    }

    /// The fact of a word, whatever the case of its letters.
    pub fn of_word(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word().as_bytes().eq_ignore_ascii_case(word))
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The facts that a client wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FactSet {
    bits: u8,
    /// Clients may change what there is, and are told so.
    may_change: bool,
}

impl FactSet {
    pub fn all(may_change: bool) -> Self {
        FactName::ALL.into_iter().fold(Self { bits: 0, may_change }, Self::with)
    }

    pub fn none(may_change: bool) -> Self {
        Self { bits: 0, may_change }
    }

    #[must_use]
    pub fn with(self, name: FactName) -> Self {
        Self { bits: self.bits | name.bit(), ..self }
    }

    pub fn has(self, name: FactName) -> bool {
        self.bits & name.bit() != 0
    }

    /// The facts of an entry, without the space and the name that follow.
    pub(crate) fn of<'a>(&'a self, entry: &'a Entry) -> impl fmt::Display + 'a {
        fmt::from_fn(move |text| {
            for name in FactName::ALL.into_iter().filter(|&name| self.has(name)) {
                self.write_fact(name, entry, text)?;
            }
            Ok(())
        })
    }

    fn write_fact(self, name: FactName, entry: &Entry, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = name.word();
        match name {
            FactName::Type => write!(text, "{word}={};", entry.kind.word()),
            FactName::Perm => write!(text, "{word}={};", self.permissions(entry)),
            FactName::Size => match entry.kind {
                EntryKind::File => write!(text, "{word}={};", entry.size_bytes),
                EntryKind::Dir => Ok(()),
            },
            FactName::Modify => write!(text, "{word}={};", Date::of(entry.mtime).stamp()),
            FactName::UnixMode => {
                write!(text, "{word}={};", if is_searchable_or_executable(entry) { "0755" } else { "0644" })
            }
        }
    }

    /// RFC 3659, 7.5.5: what may be done with it.
    fn permissions(self, entry: &Entry) -> &'static str {
        match (entry.kind, self.may_change) {
            (EntryKind::File, true) => "adfrw",
            (EntryKind::File, false) => "r",
            (EntryKind::Dir, true) => "cdeflmp",
            (EntryKind::Dir, false) => "el",
        }
    }
}

/// As the permissions of Unix have it.
pub(super) fn is_searchable_or_executable(entry: &Entry) -> bool {
    entry.executable || entry.kind == EntryKind::Dir
}
