//! Files that would replace different ones, and wait until a person has said whether they may.

use crate::mirror::plan::{Planned, Queue};
use crate::terminal::layout::grouped;
use std::io;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Held {
    files: Queue,
    /// Named in the question.
    first: Option<String>,
}

impl Held {
    pub(crate) fn push(&mut self, file: &Planned) -> io::Result<()> {
        self.first.get_or_insert_with(|| file.path.to_string());
        self.files.push(file)
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Planned>> {
        self.files.pop()
    }

    pub(crate) fn files(&self) -> u64 {
        self.files.files()
    }

    /// One question for all of them.
    pub(crate) fn question(&self, receiving: &str, sending: &str) -> String {
        let first = self.first.as_deref().unwrap_or_default();
        match self.files() {
            1 => format!("{first} {receiving} differs from that {sending}. Replace it? [y/N] "),
            count => {
                let files = grouped(count);
                format!("{files} files {receiving} differ, such as {first}. Replace them? [y/N/each] ")
            }
        }
    }
}

/// The question for one of several.
pub(crate) fn question_of(file: &Planned, receiving: &str, sending: &str) -> String {
    format!("{} {receiving} differs from that {sending}. Replace it? [y/N/all] ", file.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_asked_for_all() {
        let mut held = Held::default();
        let file = |name: &str| Planned { replaces: true, ..Planned::new_file(name, 1) };
        held.push(&file("a b")).unwrap();
        assert_eq!(
            held.question("here", "on the server"),
            "\"a b\" here differs from that on the server. Replace it? [y/N] "
        );
        held.push(&file("c")).unwrap();
        let question = held.question("on the server", "here");
        assert_eq!(question, "2 files on the server differ, such as \"a b\". Replace them? [y/N/each] ");
        let question = question_of(&file("c"), "here", "on the server");
        assert_eq!(question, "c here differs from that on the server. Replace it? [y/N/all] ");
        assert_eq!(held.pop().unwrap(), Some(file("a b")));
        assert_eq!(held.files(), 1);
    }
}
