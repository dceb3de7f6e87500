//! The times of the folders of a tree that is sent. The server is asked to set them when nothing is left to be changed in any
//! folder, as each new name in one changes its time. What has the right time already is not asked for.

use crate::engine::Session as Engine;
use crate::failure::Failure;
use crate::limits::{TREE_AHEAD_TIMES, TREE_FILE_TRIES_MAX};
use crate::mirror::board::Board;
use crate::mirror::load::SCOUT;
use crate::mirror::pool::{Course, Job, Member, Tick};
use crate::mirror::scout::Before;
use crate::mirror::summary::Tally;
use crate::mirror::{Verdict, code_of, judge, spool_failed};
use crate::terminal::layout::grouped;
use crate::tree::same::is_same_time;
use crate::tree::spool::{Spool, push_time, take_time};
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::file_time::FileTime;
use std::collections::{HashMap, VecDeque};
use std::io;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct RemoteTimes {
    folders: Spool,
    left: u64,
    asked: HashMap<(Member, RequestId), Question>,
    /// Questions that were lost with their session, or that another answer led to.
    again: VecDeque<Question>,
    /// Something in the folders of the server is changed by this run.
    is_changing: bool,
    support: Support,
    /// The folders whose times the server did not set.
    failed: Tally,
    /// Why the first of them has not.
    first_failure: Option<String>,
}

/// Has the server set the times.
pub(crate) struct Setting<'a> {
    times: &'a mut RemoteTimes,
    board: &'a mut Board,
}

/// Whether the server knows the verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Support {
    /// To be seen from one answer: a server closes a session that sends many lines which are no commands to it.
    #[default]
    Unknown,
    Given,
    Missing,
}

/// What the server was asked.
#[derive(Debug)]
struct Question {
    folder: Folder,
    kind: Kind,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Which time does it have?
    Look(Option<FileTime>),
    Set,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: RemotePath,
    mtime: FileTime,
    standing: Standing,
}

/// What is known of the time that a folder of the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It was right when it was asked for.
    WasRight,
    Unknown,
    Wrong,
}

impl RemoteTimes {
    /// Remembers what a folder is to have.
    pub(crate) fn push(&mut self, path: &RemotePath, mtime: FileTime, before: Before) -> io::Result<()> {
        let standing = match before {
            Before::Folder(there) if is_same_time(mtime, there) => Standing::WasRight,
            Before::Root => Standing::Unknown,
            Before::Folder(_) | Before::Nothing => Standing::Wrong,
        };
        self.is_changing |= before == Before::Nothing;
        self.left += 1;
        self.folders.push(&Folder { path: path.clone(), mtime, standing }.encode())
    }

    /// Something is put into a folder.
    pub(crate) fn expect_changes(&mut self) {
        self.is_changing = true;
    }

    /// The job of having them set.
    pub(crate) fn setting<'a>(&'a mut self, board: &'a mut Board) -> Setting<'a> {
        Setting { times: self, board }
    }

    fn is_over(&self) -> bool {
        self.left == 0 && self.asked.is_empty() && self.again.is_empty()
    }

    /// Asks for the next times.
    fn refill(&mut self, member: Member, session: &mut Engine) -> io::Result<()> {
        let mut ahead = self.asked.keys().filter(|(asked_by, _)| *asked_by == member).count();
        while ahead < TREE_AHEAD_TIMES
            && let Some(question) = self.next()?
        {
            if question.kind == Kind::Set && self.support == Support::Unknown && self.has_set_asked() {
                self.again.push_front(question);
                break;
            }
            let Folder { path, mtime, .. } = &question.folder;
            let id = session.request(match question.kind {
                Kind::Look(_) => Command::Stat { path: path.clone() },
                Kind::Set => Command::Mtime { path: path.clone(), mtime: *mtime },
            });
            self.asked.insert((member, id), question);
            ahead += 1;
        }
        Ok(())
    }

    fn has_set_asked(&self) -> bool {
        self.asked.values().any(|question| question.kind == Kind::Set)
    }

    fn next(&mut self) -> io::Result<Option<Question>> {
        if let Some(question) = self.again.pop_front() {
            return Ok(Some(question));
        }
        while let Some(record) = self.folders.pop()? {
            self.left = self.left.saturating_sub(1);
            let folder = Folder::decode(&record).ok_or(io::ErrorKind::InvalidData)?;
            let kind = match folder.standing {
                Standing::WasRight if !self.is_changing => continue,
                Standing::WasRight | Standing::Unknown => Kind::Look(None),
                Standing::Wrong => Kind::Set,
            };
            return Ok(Some(Question { folder, kind, tries: 0 }));
        }
        Ok(None)
    }

    /// What the server has under a name.
    fn entry(&mut self, member: Member, id: RequestId, entry: &Entry) {
        if let Some(Question { kind: Kind::Look(answer), .. }) = self.asked.get_mut(&(member, id)) {
            *answer = Some(entry.mtime);
        }
    }

    /// A request has ended.
    fn done(&mut self, member: Member, id: RequestId, result: &Result<Success, dialogue::Failure>) {
        let Some(Question { folder, kind, tries }) = self.asked.remove(&(member, id)) else { return };
        if kind == Kind::Set && self.support == Support::Unknown {
            self.support = Support::of(result);
        }
        match (kind, result) {
            (Kind::Look(Some(there)), Ok(_)) if !is_same_time(folder.mtime, there) => {
                self.again.push_back(Question { folder, kind: Kind::Set, tries: 0 });
            }
            (_, Ok(_)) => {}
            (Kind::Set, Err(_)) if self.support == Support::Missing => self.give_up(),
            (_, Err(failure)) if judge(failure) == Verdict::Again && tries + 1 < TREE_FILE_TRIES_MAX => {
                self.again.push_back(Question { folder, kind: kind.anew(), tries: tries + 1 });
            }
            (_, Err(failure)) => {
                self.failed.add(folder.path.as_bytes());
                self.first_failure.get_or_insert_with(|| failure.to_string());
            }
        }
    }

    fn give_up(&mut self) {
        self.folders = Spool::default();
        self.left = 0;
        self.again.clear();
    }

    /// The session is gone, with its questions.
    fn lose(&mut self, member: Member) {
        let lost = self.asked.extract_if(|(asked_by, _), _| *asked_by == member);
        let lost = lost.map(|(_, question)| Question { kind: question.kind.anew(), ..question });
        self.again.extend(lost);
    }

    /// What a person is to know of it.
    pub(crate) fn remark(&self) -> Option<String> {
        if self.support == Support::Missing {
            return Some("This server sets no times of folders; those of the files are kept".to_owned());
        }
        let told = self.failed.sentence("could not have its time", "folders could not have their times")?;
        let why = self.first_failure.as_deref().unwrap_or_default();
        Some(format!("{told}: {why}"))
    }
}

impl Job for Setting<'_> {
    fn refill(&mut self, member: Member, session: &mut Engine) -> Result<(), Failure> {
        self.times.refill(member, session).map_err(spool_failed)
    }

    fn wants(&self, member: Member) -> bool {
        member == SCOUT && !self.times.is_over()
    }

    fn entry(&mut self, member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        self.times.entry(member, id, &entry);
        Ok(())
    }

    fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        self.times.done(member, id, &result);
        Ok(result.is_ok())
    }

    fn lost(&mut self, member: Member) -> Result<(), Failure> {
        self.times.lose(member);
        Ok(())
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        Ok(if self.times.is_over() { Tick::Over } else { Tick::Waiting })
    }

    fn show(&mut self, _course: Course) {
        let left = self.times.left;
        self.board.tell(|| format!("setting the times of folders: {} left", grouped(left)));
    }
}

impl Support {
    /// What one answer says of it.
    fn of(result: &Result<Success, dialogue::Failure>) -> Self {
        match result {
            Err(failure) if code_of(failure) == Some(ErrorCode::UnknownCommand) => Self::Missing,
            Ok(_) | Err(dialogue::Failure::Refused { .. }) => Self::Given,
            Err(dialogue::Failure::DataLost | dialogue::Failure::ControlLost) => Self::Unknown,
        }
    }
}

impl Kind {
    fn anew(self) -> Self {
        match self {
            Self::Look(_) => Self::Look(None),
            Self::Set => Self::Set,
        }
    }
}

impl Folder {
    fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(13 + self.path.as_bytes().len());
        push_time(&mut record, self.mtime);
        record.push(match self.standing {
            Standing::WasRight => 0,
            Standing::Unknown => 1,
            Standing::Wrong => 2,
        });
        record.extend_from_slice(self.path.as_bytes());
        record
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (mtime, record) = take_time(record)?;
        let (standing, path) = record.split_first()?;
        Some(Self {
            path: RemotePath::parse(path).ok()?,
            mtime,
            standing: match standing {
                0 => Standing::WasRight,
                1 => Standing::Unknown,
                2 => Standing::Wrong,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_back_as_it_went_in() {
        let path = RemotePath::parse(b"a/b").unwrap();
        for standing in [Standing::WasRight, Standing::Unknown, Standing::Wrong] {
            let folder = Folder { path: path.clone(), mtime: FileTime::new(-5, 17_u32), standing };
            assert_eq!(Folder::decode(&folder.encode()), Some(folder));
        }
        assert_eq!(Folder::decode(b"short"), None);
    }

    #[test]
    fn only_what_may_be_wrong_is_asked_for() {
        let path = RemotePath::root();
        let (old, new) = (FileTime::from_seconds(1), FileTime::from_seconds(2));
        let cases = [
            (Before::Folder(old), false, None),
            (Before::Folder(old), true, Some(Kind::Look(None))),
            (Before::Folder(new), false, Some(Kind::Set)),
            (Before::Nothing, false, Some(Kind::Set)),
            (Before::Root, false, Some(Kind::Look(None))),
        ];
        for (before, is_changing, expected) in cases {
            let mut times = RemoteTimes { is_changing, ..RemoteTimes::default() };
            times.push(&path, old, before).unwrap();
            assert!(!times.is_over());
            let asked = times.next().unwrap().map(|question| question.kind);
            assert_eq!((asked, times.is_over()), (expected, true), "{before:?} {is_changing}");
        }
    }
}
