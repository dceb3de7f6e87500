//! Removes what only the receiving end has, many at a time. Right before, both ends are asked about each: what the sending
//! end has by now stays, and so does what is not any more what was counted. A server that knows conditions compares once more
//! at the removal itself.

use crate::engine::Session as Engine;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::limits::{TREE_AHEAD_QUESTIONS, TREE_FILE_TRIES_MAX};
use crate::mirror::board::Board;
use crate::mirror::complaints::Complaints;
use crate::mirror::pool::{Course, Job, Member, Tick};
use crate::mirror::summary::Direction;
use crate::mirror::surplus::Ends;
use crate::mirror::surplus::found::{Counts, Found, Stage, Surplus, What};
use crate::mirror::{Verdict, code_of, judge, spool_failed, status_of};
use crate::terminal::layout::grouped;
use crate::tree::facts::Kind;
use crate::tree::removing::{Removal as Removed, Seen};
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::{Command, Conditions, Was};
use ferry_common::wire::entry::{Entry, EntryKind};
use std::collections::{BTreeMap, VecDeque};
use std::io;

/// See the module's documentation.
pub(crate) struct Removal<'a> {
    ends: &'a mut Ends,
    found: Found,
    /// `None` when all is done.
    stage: Option<Stage>,
    /// What each session was asked, in the order of the questions.
    asked: Vec<BTreeMap<RequestId, Question>>,
    /// What each session is to have removed: it is what was counted.
    checked: Vec<VecDeque<Surplus>>,
    /// What was asked in vain.
    again: VecDeque<Surplus>,
    pub(crate) removed: Counts,
    board: &'a mut Board,
}

enum Question {
    /// What has this name?
    Look {
        surplus: Surplus,
        answer: Option<Entry>,
    },
    Remove(Surplus),
}

impl<'a> Removal<'a> {
    pub(crate) fn new(ends: &'a mut Ends, found: Found, members: usize, board: &'a mut Board) -> Self {
        Self {
            ends,
            found,
            stage: Some(Stage::FIRST),
            asked: std::iter::repeat_with(BTreeMap::new).take(members).collect(),
            checked: std::iter::repeat_with(VecDeque::new).take(members).collect(),
            again: VecDeque::new(),
            removed: Counts::default(),
            board,
        }
    }

    pub(crate) fn into_complaints(self) -> Complaints {
        self.found.into_complaints()
    }

    /// Something may have been removed that the server has not told of.
    pub(crate) fn is_unanswered(&self) -> bool {
        let is_removal = |question: &Question| matches!(question, Question::Remove(_));
        let is_uncertain = |surplus: &Surplus| surplus.may_be_gone;
        self.asked.iter().flat_map(BTreeMap::values).any(is_removal)
            || self.checked.iter().flatten().chain(&self.again).any(is_uncertain)
    }

    fn next(&mut self) -> io::Result<Option<Surplus>> {
        if let Some(surplus) = self.again.pop_front() {
            return Ok(Some(surplus));
        }
        match self.stage {
            Some(stage) => self.found.pop(stage),
            None => Ok(None),
        }
    }

    /// A folder goes after what is in it, and so on the session that had that removed.
    fn may_ask(&self, member: Member) -> bool {
        match self.stage {
            Some(Stage::Links | Stage::Files) => true,
            Some(Stage::Folders) => member == 0,
            None => false,
        }
    }

    /// What the server is to find where it removes something: what was counted, and no link on the way but in TO itself.
    fn conditions(&self, surplus: &Surplus, are_known: bool) -> Conditions {
        if !are_known {
            return Conditions::NONE;
        }
        let was = match surplus.what {
            What::File => Was::File { size_bytes: surplus.size_bytes, mtime: surplus.mtime },
            What::Folder => Was::Dir,
            What::Link | What::LinkToFolder => Was::Link,
        };
        Conditions { was: Some(was), follow: Some(self.ends.base.names()) }
    }

    fn note(&mut self, surplus: &Surplus, why: &str) {
        self.found.complaints_mut().note(&self.ends.received(&surplus.path), why.to_owned());
    }

    fn complain(&mut self, surplus: &Surplus, why: String, status: ExitCode) {
        self.found.complaints_mut().complain(&self.ends.received(&surplus.path), why, status);
    }

    fn came_meanwhile(&mut self, surplus: &Surplus) {
        self.note(surplus, "FROM has something of this name by now; it stays");
    }

    fn changed_meanwhile(&mut self, surplus: &Surplus) {
        self.note(surplus, "it is not any more what was counted; it stays");
    }

    fn is_not_empty(&mut self, surplus: &Surplus) {
        self.note(surplus, "something is in it that is not shown, or came meanwhile; it stays");
    }

    fn fail(&mut self, surplus: Surplus, failure: &dialogue::Failure) {
        if judge(failure) == Verdict::Again && surplus.tries + 1 < TREE_FILE_TRIES_MAX {
            self.again.push_back(Surplus { tries: surplus.tries + 1, ..surplus });
        } else {
            self.complain(&surplus, failure.to_string(), status_of(failure));
        }
    }

    /// The sending end is this host: it is looked at here.
    fn is_still_surplus(&mut self, surplus: &Surplus) -> bool {
        match self.ends.folder.facts(&surplus.path) {
            Ok(None) => true,
            Ok(Some(_)) => {
                self.came_meanwhile(surplus);
                false
            }
            Err(error) => {
                self.complain(surplus, error.to_string(), ExitCode::Local);
                false
            }
        }
    }

    /// The server, which is the sending end, has told whether it has the name.
    fn hear_of_sent(&mut self, surplus: Surplus, result: Result<Success, dialogue::Failure>) {
        match result {
            Err(dialogue::Failure::Refused { code: Some(ErrorCode::NotFound), .. }) => {
                self.remove_here(&surplus)
            }
            Err(failure) if judge(&failure) == Verdict::Again => self.fail(surplus, &failure),
            // It has something that it does not serve.
            Ok(_) | Err(_) => self.came_meanwhile(&surplus),
        }
    }

    fn remove_here(&mut self, surplus: &Surplus) {
        let kind = match surplus.what {
            What::File => Kind::File,
            What::Folder => Kind::Folder,
            What::Link | What::LinkToFolder => Kind::Link,
        };
        let seen = Seen { kind, size_bytes: surplus.size_bytes, mtime: surplus.mtime };
        match self.ends.folder.remove(&surplus.path, &seen) {
            Ok(Removed::Done) => self.removed.add(surplus),
            Ok(Removed::Gone) => {}
            Ok(Removed::Changed) => self.changed_meanwhile(surplus),
            Ok(Removed::NotEmpty) => self.is_not_empty(surplus),
            Err(error) => self.complain(surplus, error.to_string(), ExitCode::Local),
        }
    }

    /// The server, which is the receiving end, has told what has the name.
    fn hear_of_received(
        &mut self,
        member: Member,
        surplus: Surplus,
        answer: Option<&Entry>,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<(), Failure> {
        match (result, answer) {
            (Ok(_), Some(entry)) if surplus.is(entry) => self.checked[member].push_back(surplus),
            (Ok(_), Some(_)) => self.changed_meanwhile(&surplus),
            (Ok(_), None) => {
                return Err(Failure::Violation(format!("The server told nothing of {}", surplus.path)));
            }
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::NotFound), .. }), _) => {
                match surplus.what {
                    // It leads to something that has gone before it.
                    What::Link | What::LinkToFolder => self.checked[member].push_back(surplus),
                    What::File | What::Folder if surplus.may_be_gone => self.removed.add(&surplus),
                    What::File | What::Folder => {}
                }
            }
            (Err(failure), _) => self.fail(surplus, &failure),
        }
        Ok(())
    }

    /// The server has removed it, or not.
    fn hear_of_removal(&mut self, surplus: Surplus, result: Result<Success, dialogue::Failure>) {
        let code = result.as_ref().err().and_then(code_of);
        match (result, code) {
            (Ok(_), _) => self.removed.add(&surplus),
            (Err(_), Some(ErrorCode::NotFound)) if surplus.may_be_gone => self.removed.add(&surplus),
            (Err(_), Some(ErrorCode::NotFound)) => {}
            (Err(_), Some(ErrorCode::NotEmpty)) => self.is_not_empty(&surplus),
            // Also where a link stands by now on the way to it.
            (Err(_), Some(ErrorCode::Changed | ErrorCode::BadLink)) => self.changed_meanwhile(&surplus),
            (Err(failure), _) => self.fail(Surplus { may_be_gone: true, ..surplus }, &failure),
        }
    }
}

impl Surplus {
    /// What the server tells of the name is what it told when it was counted. A folder has another time with each change in
    /// it; a link has nothing to lose but itself.
    fn is(&self, entry: &Entry) -> bool {
        match self.what {
            What::File | What::Link => {
                (entry.kind, entry.size_bytes, entry.mtime) == (EntryKind::File, self.size_bytes, self.mtime)
            }
            What::Folder | What::LinkToFolder => entry.kind == EntryKind::Dir,
        }
    }
}

impl Job for Removal<'_> {
    fn refill(&mut self, member: Member, session: &mut Engine) -> Result<(), Failure> {
        while let Some(surplus) = self.checked[member].pop_front() {
            if let Some(path) = self.ends.there(&surplus.path) {
                let conditions = self.conditions(&surplus, session.knows_conditions());
                let id = session.request(Command::Rm { path, conditions });
                self.asked[member].insert(id, Question::Remove(surplus));
            }
        }
        while self.may_ask(member)
            && self.asked[member].len() < TREE_AHEAD_QUESTIONS
            && let Some(surplus) = self.next().map_err(spool_failed)?
        {
            if self.ends.direction == Direction::Up && !self.is_still_surplus(&surplus) {
                continue;
            }
            match self.ends.there(&surplus.path) {
                Some(path) => {
                    let id = session.request(Command::Stat { path });
                    self.asked[member].insert(id, Question::Look { surplus, answer: None });
                }
                // The server cannot have what it cannot name.
                None => self.remove_here(&surplus),
            }
        }
        Ok(())
    }

    fn wants(&self, member: Member) -> bool {
        let is_worth_it = member == 0 || self.found.counts.files > TREE_AHEAD_QUESTIONS as u64;
        is_worth_it && self.may_ask(member)
    }

    fn entry(&mut self, member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        if let Some(Question::Look { answer, .. }) = self.asked[member].get_mut(&id) {
            *answer = Some(entry);
        }
        Ok(())
    }

    fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        if matches!(result, Err(dialogue::Failure::ControlLost | dialogue::Failure::DataLost)) {
            // The end of the session is told next, and what it was asked is asked again in its order.
            return Ok(false);
        }
        match (self.asked[member].remove(&id), self.ends.direction) {
            (Some(Question::Look { surplus, .. }), Direction::Down) => self.hear_of_sent(surplus, result),
            (Some(Question::Look { surplus, answer }), Direction::Up) => {
                self.hear_of_received(member, surplus, answer.as_ref(), result)?;
            }
            (Some(Question::Remove(surplus)), _) => self.hear_of_removal(surplus, result),
            (None, _) => {}
        }
        Ok(true)
    }

    fn lost(&mut self, member: Member) -> Result<(), Failure> {
        let (mut removed, mut looked_at) = (Vec::new(), Vec::new());
        for (place, question) in std::mem::take(&mut self.asked[member]).into_values().enumerate() {
            // Only the oldest can be what the session has broken on.
            let one = u32::from(place == 0);
            match question {
                Question::Remove(surplus) => {
                    removed.push(Surplus { tries: surplus.tries + one, may_be_gone: true, ..surplus });
                }
                Question::Look { surplus, .. } => {
                    looked_at.push(Surplus { tries: surplus.tries + one, ..surplus });
                }
            }
        }
        removed.extend(std::mem::take(&mut self.checked[member]));
        removed.extend(looked_at);
        for surplus in removed.into_iter().rev() {
            if surplus.tries < TREE_FILE_TRIES_MAX {
                self.again.push_front(surplus);
            } else {
                let why = "the connection was lost each time".to_owned();
                self.complain(&surplus, why, ExitCode::ConnectionLost);
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        let is_idle = |questions: &BTreeMap<_, _>| questions.is_empty();
        if !self.asked.iter().all(is_idle) || !self.checked.iter().all(VecDeque::is_empty) {
            return Ok(Tick::Waiting);
        }
        match self.stage.zip(self.next().map_err(spool_failed)?) {
            Some((_, next)) => {
                self.again.push_front(next);
                Ok(Tick::Waiting)
            }
            None => {
                self.stage = self.stage.and_then(Stage::next);
                Ok(if self.stage.is_some() { Tick::More } else { Tick::Over })
            }
        }
    }

    fn show(&mut self, _course: Course) {
        let (removed, all) = (self.removed.all(), self.found.counts.all());
        self.board.tell(|| format!("removing: {} of {}", grouped(removed), grouped(all)));
    }
}
