//! Files that would replace different ones, and wait until a person has said whether they may.

use crate::mirror::board::Board;
use crate::mirror::plan::{Plan, Planned};
use crate::terminal::layout::grouped;
use crate::tree::spool::Spool;
use std::io;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Held {
    files: Spool,
    count: u64,
    /// Named in the question.
    first: Option<String>,
}

impl Held {
    pub(crate) fn push(&mut self, file: &Planned) -> io::Result<()> {
        self.count += 1;
        self.first.get_or_insert_with(|| file.path.to_string());
        self.files.push(&file.encode())
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Planned>> {
        let Some(record) = self.files.pop()? else { return Ok(None) };
        self.count = self.count.saturating_sub(1);
        Planned::decode(&record).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(crate) fn files(&self) -> u64 {
        self.count
    }

    /// One question for all of them.
    pub(crate) fn question(&self, receiving: &str, sending: &str) -> String {
        let first = self.first.as_deref().unwrap_or_default();
        match self.count {
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

/// It may be replaced: it is to be moved like all others.
pub(crate) fn release(file: &Planned, plan: &mut Plan, board: &mut Board) -> io::Result<()> {
    board.plan(file.size_bytes);
    plan.push(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::path::RemotePath;
    use ferry_common::wire::file_time::FileTime;

    #[test]
    fn one_question_is_asked_for_all() {
        let mut held = Held::default();
        let file = |name: &str| Planned {
            root: 0,
            path: RemotePath::parse(name.as_bytes()).unwrap(),
            common_at: 0,
            size_bytes: 1,
            mtime: FileTime::default(),
            is_executable: None,
            replaces: true,
            tries: 0,
        };
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
