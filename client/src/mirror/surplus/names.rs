//! Which names of a folder of the receiving end the sending end lacks. Pure.
//!
//! A disk that does not tell the case of letters apart may hold a file of the sending end under another spelling. So a name
//! that differs from one of the sending end in case only is surplus only where the receiving end has that one as well.

use crate::limits::SURPLUS_NAMES_MAX;
use crate::tree::case::folded;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// The names that the sending end has in one folder, as hashes. Where two have the same, a name stays that could go.
#[derive(Debug, Default)]
pub(crate) struct Names {
    state: RandomState,
    exact: HashSet<u64>,
    folded: HashSet<u64>,
    /// Of those in `folded`, which the receiving end has to the letter.
    matched: HashSet<u64>,
    /// Of those in `folded`, which the receiving end would have to the letter after a run that is only told of.
    expected: HashSet<u64>,
}

/// A folder has more names than are kept in mind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// How a name of the receiving end stands to those of the sending end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Both ends have it.
    Common,
    Surplus,
    /// Depends on which other names the receiving end has; see [`Names::judge`].
    Unsure,
}

/// How a name that was unsure stands to the one that differs from it in case only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// The receiving end has that one, too: they are two.
    Other,
    /// They may be one.
    Same,
    /// The receiving end would have that one, too, if they are two for it.
    Expected,
}

impl Names {
    pub(crate) fn insert(&mut self, name: &[u8]) -> Result<(), TooMany> {
        if self.exact.len() >= SURPLUS_NAMES_MAX {
            return Err(TooMany);
        }
        self.exact.insert(self.state.hash_one(name));
        self.folded.insert(self.state.hash_one(folded(name)));
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// A name of the sending end is to come to the receiving end.
    pub(crate) fn expect(&mut self, name: &[u8]) {
        self.expected.insert(self.state.hash_one(folded(name)));
    }

    /// Takes in a name of the receiving end.
    pub(crate) fn meet(&mut self, name: &[u8]) -> Standing {
        let folded = self.state.hash_one(folded(name));
        if self.exact.contains(&self.state.hash_one(name)) {
            self.matched.insert(folded);
            Standing::Common
        } else if self.folded.contains(&folded) {
            Standing::Unsure
        } else {
            Standing::Surplus
        }
    }

    /// What was unsure, when all names of the receiving end were met.
    pub(crate) fn judge(&self, name: &[u8]) -> Spelling {
        let folded = self.state.hash_one(folded(name));
        if self.matched.contains(&folded) {
            Spelling::Other
        } else if self.expected.contains(&folded) {
            Spelling::Expected
        } else {
            Spelling::Same
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Names {
        let mut names = Names::default();
        all.iter().for_each(|name| names.insert(name.as_bytes()).unwrap());
        names
    }

    #[test]
    fn what_only_the_receiving_end_has_is_surplus() {
        let mut names = names(&["a", "b"]);
        assert_eq!(names.meet(b"a"), Standing::Common);
        assert_eq!(names.meet(b"c"), Standing::Surplus);
        assert!(!names.is_empty() && Names::default().is_empty());
    }

    #[test]
    fn another_spelling_stays_unless_both_ends_have_the_right_one_beside_it() {
        let mut folding = names(&["readme", "Makefile"]);
        assert_eq!(folding.meet(b"README"), Standing::Unsure);
        assert_eq!(folding.meet("Makefile".as_bytes()), Standing::Common);
        assert_eq!(folding.judge(b"README"), Spelling::Same, "the disk holds readme under this name");
        folding.expect(b"readme");
        assert_eq!(folding.judge(b"README"), Spelling::Expected);

        let mut renamed = names(&["readme", "\u{e4}rger"]);
        assert_eq!(renamed.meet(b"README"), Standing::Unsure);
        assert_eq!(renamed.meet(b"readme"), Standing::Common);
        assert_eq!(renamed.judge(b"README"), Spelling::Other);
        assert_eq!(renamed.meet("\u{c4}rger".as_bytes()), Standing::Unsure);
        assert_eq!(renamed.judge("\u{c4}rger".as_bytes()), Spelling::Same);
    }
}
