//! Names that differ in the case of letters only, of which a disk that does not tell them apart can hold one.

use crate::limits::{TREE_FOLDED_NAMES_BEFORE_PROBE, TREE_FOLDED_NAMES_MAX};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// The names that one folder is about to be given. The disk is asked about itself only where that matters, as asking
/// makes a file.
#[derive(Debug, Default)]
pub(crate) struct FoldedNames {
    hashes: HashSet<u64>,
    state: RandomState,
    /// `None` until it was asked.
    is_folding: Option<bool>,
}

impl FoldedNames {
    /// True where the disk can hold this name beside the ones before it, which do not have it. Of a folder with more
    /// than [`TREE_FOLDED_NAMES_MAX`] names the last are not compared.
    pub(crate) fn claim(&mut self, name: &[u8], is_folding: impl FnOnce() -> bool) -> bool {
        if self.is_folding == Some(false) {
            return true;
        }
        let is_new = if self.hashes.len() < TREE_FOLDED_NAMES_MAX {
            self.hashes.insert(self.state.hash_one(folded(name)))
        } else {
            !self.hashes.contains(&self.state.hash_one(folded(name)))
        };
        if is_new && self.hashes.len() < TREE_FOLDED_NAMES_BEFORE_PROBE {
            return true;
        }
        let is_folding = *self.is_folding.get_or_insert_with(is_folding);
        if !is_folding {
            self.hashes = HashSet::new();
        }
        is_new || !is_folding
    }
}

/// A name without regard to case. What is no text has letters of ASCII at most.
pub(crate) fn folded(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folding_disk_holds_one_of_the_names_that_differ_in_case() {
        let mut names = FoldedNames::default();
        let mut claim = |name: &[u8]| names.claim(name, || true);
        assert!(claim(b"Makefile") && claim("Ärger".as_bytes()) && claim(b"\xffA"));
        assert!(!claim(b"makefile") && !claim("äRGER".as_bytes()) && !claim(b"\xffa"));
        assert!(claim(b"Makefile2") && claim(b"\xfea"));
    }

    #[test]
    fn any_other_disk_is_asked_once_and_only_where_names_meet() {
        let mut names = FoldedNames::default();
        assert!(
            names.claim(b"a", || panic!("asked in vain")) && names.claim(b"b", || panic!("asked in vain"))
        );
        assert!(names.claim(b"A", || false));
        assert!(names.claim(b"B", || panic!("asked again")));
        assert!(names.hashes.is_empty());
    }

    #[test]
    fn a_folder_of_many_names_is_asked_about_before_they_fill_the_memory() {
        let mut names = FoldedNames::default();
        let mut asked = 0;
        for number in 0..2 * TREE_FOLDED_NAMES_BEFORE_PROBE {
            assert!(names.claim(number.to_string().as_bytes(), || {
                asked += 1;
                false
            }));
        }
        assert_eq!((asked, names.hashes.len()), (1, 0));
    }
}
