//! Looks at both ends of a tree, after all of it was moved, for what only the receiving end has. Changes nothing.
//!
//! Where a connection is lost, or a folder changes while it is listed, all of it is looked at anew: what was found of half
//! a folder is not relied on.

use crate::engine::Session as Engine;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, show_path};
use crate::limits::{
    SURPLUS_LOOKS_MAX, SURPLUS_NAMES_MAX, SURPLUS_UNSURE_MAX, TREE_AHEAD_QUESTIONS, WALK_ENTRIES_MAX,
};
use crate::mirror::board::Board;
use crate::mirror::load::SCOUT;
use crate::mirror::plan::common;
use crate::mirror::pool::{Course, Job, Member, Tick};
use crate::mirror::server_walk::ServerWalk;
use crate::mirror::summary::Direction;
use crate::mirror::surplus::Ends;
use crate::mirror::surplus::found::{Found, Surplus, What};
use crate::mirror::surplus::names::{Names, Spelling, Standing, TooMany};
use crate::mirror::{Options, Verdict, judge, spool_failed};
use crate::terminal::interrupt::Interrupts;
use crate::terminal::layout::grouped;
use crate::transfer::hidden;
use crate::tree::case::folded;
use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind};
use crate::tree::spool::Spool;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PATH_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// See the module's documentation.
pub(crate) struct Look<'a> {
    options: &'a Options,
    interrupts: Arc<Interrupts>,
    ends: &'a mut Ends,
    walk: ServerWalk,
    /// The folder whose listing comes at this moment.
    current: Option<Listed>,
    /// Folders of this host that only it has, and that were not looked into yet.
    folders: Spool,
    /// Of a dry run: names of the server that go if it tells the case of letters apart. It is asked for their other spelling.
    spellings: VecDeque<Surplus>,
    spellings_asked: HashMap<RequestId, (Surplus, Option<Entry>)>,
    pub(crate) found: Found,
    names: u64,
    looks: u32,
    board: &'a mut Board,
}

struct Listed {
    id: RequestId,
    /// What the sending end has in it.
    names: Names,
    /// Names of the receiving end that are judged when all of them are known.
    unsure: Vec<Surplus>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        options: &'a Options,
        interrupts: &Arc<Interrupts>,
        ends: &'a mut Ends,
        board: &'a mut Board,
    ) -> Result<Self, Failure> {
        let mut look = Self {
            options,
            interrupts: Arc::clone(interrupts),
            ends,
            walk: ServerWalk::default(),
            current: None,
            folders: Spool::default(),
            spellings: VecDeque::new(),
            spellings_asked: HashMap::new(),
            found: Found::default(),
            names: 0,
            looks: 0,
            board,
        };
        look.begin()?;
        Ok(look)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.looks += 1;
        self.walk = ServerWalk::default();
        self.current = None;
        self.folders = Spool::default();
        self.spellings = VecDeque::new();
        self.spellings_asked = HashMap::new();
        self.found = Found::default();
        self.names = 0;
        self.walk.push(&self.ends.base, self.ends.common_at(), false).map_err(spool_failed)
    }

    /// The folder that is listed, as both ends call it, and whether only the server has it.
    fn place(&self, id: RequestId) -> Option<(RemotePath, bool)> {
        let listing = self.walk.listing(id)?;
        Some((common(&listing.path, listing.common_at), listing.is_new))
    }

    fn listed(
        &mut self,
        id: RequestId,
        place: &RemotePath,
        is_surplus: bool,
    ) -> Result<&mut Listed, Failure> {
        if self.current.as_ref().is_none_or(|current| current.id != id) {
            let names = match self.ends.direction {
                // They are still to come.
                Direction::Down => Names::default(),
                Direction::Up if is_surplus => Names::default(),
                Direction::Up => self.local_names(place)?,
            };
            self.current = Some(Listed { id, names, unsure: Vec::new() });
        }
        // It was set just now, if not before.
        self.current
            .as_mut()
            .ok_or_else(|| Failure::Violation("a listing has ended before its time".to_owned()))
    }

    fn local_names(&self, place: &RemotePath) -> Result<Names, Failure> {
        let failed = |error| self.cannot_look(place, &error);
        let mut names = Names::default();
        let mut entries = self.ends.folder.entries(place).map_err(failed)?;
        while let Some(name) = entries.next_name().map_err(failed)? {
            self.interrupts.check()?;
            names.insert(&name).map_err(|TooMany| too_many(place))?;
            if self.options.dry_run {
                let facts = entries.look_at(&name).map_err(failed)?;
                let is_sent = |kind| matches!(kind, Kind::File | Kind::Folder);
                let is_excluded =
                    |kind| place.join(&name).is_ok_and(|path| self.stays(&path, kind == Kind::Folder));
                if facts.is_some_and(|facts| is_sent(facts.kind) && !is_excluded(facts.kind)) {
                    names.expect(&name);
                }
            }
        }
        Ok(names)
    }

    fn cannot_look(&self, place: &RemotePath, error: &TreeError) -> Failure {
        Failure::Local(format!("{}: {error}", show_path(&self.ends.here(place))))
    }

    /// True for what is left alone at both ends.
    fn stays(&self, path: &RemotePath, is_folder: bool) -> bool {
        self.options.excludes.matches(path.as_bytes(), is_folder)
            || path.file_name().is_some_and(hidden::is_of_a_transfer)
    }

    /// What has a name at the receiving end; `None` where that stays, and its folder with it.
    fn judged(
        &mut self,
        place: &RemotePath,
        name: &[u8],
        is_folder: bool,
        standing: Standing,
    ) -> Option<RemotePath> {
        let path = place.join(name);
        match path {
            Ok(path) if self.stays(&path, is_folder) => {}
            Ok(path) if self.ends.direction == Direction::Down || self.ends.there(&path).is_some() => {
                return Some(path);
            }
            Ok(_) | Err(_) if standing != Standing::Common && !hidden::is_of_a_transfer(name) => {
                self.complain_of_length(place);
            }
            Ok(_) | Err(_) => {}
        }
        self.found.stay_in(place);
        None
    }

    fn complain_of_length(&mut self, place: &RemotePath) {
        let why = format!("something in it has a path of more than {PATH_MAX_BYTES} bytes; it stays");
        self.found.complaints_mut().complain(&self.ends.received(place), why, ExitCode::Local);
    }

    fn count_name(&mut self) -> Result<(), Failure> {
        self.names += 1;
        if self.names > WALK_ENTRIES_MAX {
            return Err(Failure::Usage(format!("There are more than {WALK_ENTRIES_MAX} names to compare")));
        }
        Ok(())
    }

    /// A name of the sending end.
    fn consider_sent(&mut self, id: RequestId, place: &RemotePath, entry: &Entry) -> Result<(), Failure> {
        let is_folder = entry.kind == EntryKind::Dir;
        let is_excluded = place.join(&entry.name).is_ok_and(|path| self.stays(&path, is_folder));
        let comes = self.options.dry_run && !(is_folder && entry.link) && !is_excluded;
        let listed = self.listed(id, place, false)?;
        listed.names.insert(&entry.name).map_err(|TooMany| too_many(place))?;
        if comes {
            listed.names.expect(&entry.name);
        }
        if entry.kind != EntryKind::Dir || entry.link {
            return Ok(());
        }
        let Ok(path) = place.join(&entry.name) else { return Ok(()) };
        if !self.stays(&path, true) && self.is_folder_here(&path)? {
            self.descend(id, &entry.name, false)?;
        }
        Ok(())
    }

    /// A name of the receiving end, which is the server.
    fn consider_received(
        &mut self,
        id: RequestId,
        (place, is_surplus): (&RemotePath, bool),
        entry: &Entry,
    ) -> Result<(), Failure> {
        let standing = match is_surplus {
            true => Standing::Surplus,
            false => self.listed(id, place, false)?.names.meet(&entry.name),
        };
        let is_folder = entry.kind == EntryKind::Dir;
        let Some(path) = self.judged(place, &entry.name, is_folder, standing) else { return Ok(()) };
        let what = match (entry.kind, entry.link) {
            (EntryKind::File, false) => What::File,
            (EntryKind::Dir, false) => What::Folder,
            (EntryKind::File, true) => What::Link,
            (EntryKind::Dir, true) => What::LinkToFolder,
        };
        let (size_bytes, mtime) = (entry.size_bytes, entry.mtime);
        let surplus = Surplus::new(path, what, !is_surplus, size_bytes, mtime);
        match standing {
            Standing::Common if what == What::Folder && self.is_folder_here(&surplus.path)? => {
                self.descend(id, &entry.name, false)
            }
            Standing::Common => Ok(()),
            Standing::Surplus => {
                if what == What::Folder {
                    self.descend(id, &entry.name, true)?;
                }
                self.found.add(&surplus).map_err(spool_failed)
            }
            Standing::Unsure => {
                self.keep_unsure(surplus);
                Ok(())
            }
        }
    }

    fn is_folder_here(&mut self, path: &RemotePath) -> Result<bool, Failure> {
        match self.ends.folder.facts(path) {
            Ok(facts) => Ok(facts.is_some_and(|facts| facts.kind == Kind::Folder)),
            Err(error) => Err(self.cannot_look(path, &error)),
        }
    }

    /// Has a folder of the server listed that is in the one that is listed.
    fn descend(&mut self, id: RequestId, name: &[u8], is_surplus: bool) -> Result<(), Failure> {
        let Some(listing) = self.walk.listing(id) else { return Ok(()) };
        let common_at = listing.common_at;
        let Ok(path) = listing.path.join(name) else { return Ok(()) };
        self.walk.push(&path, common_at, is_surplus).map_err(spool_failed)
    }

    fn keep_unsure(&mut self, surplus: Surplus) {
        match &mut self.current {
            Some(listed) if listed.unsure.len() < SURPLUS_UNSURE_MAX => listed.unsure.push(surplus),
            Some(_) | None => self.stay_unsure(&surplus),
        }
    }

    fn stay_unsure(&mut self, surplus: &Surplus) {
        let why = "FROM has a name that differs from it in case only; it stays".to_owned();
        self.found.complaints_mut().note(&self.ends.received(&surplus.path), why);
    }

    /// All names of the receiving end in a folder are known.
    fn judge_unsure(&mut self) -> Result<(), Failure> {
        let Some(Listed { names, unsure, .. }) = self.current.take() else { return Ok(()) };
        for surplus in unsure {
            let name = surplus.path.file_name().unwrap_or_default();
            match names.judge(name) {
                Spelling::Other => self.take_in(&surplus)?,
                Spelling::Same => self.stay_unsure(&surplus),
                Spelling::Expected => self.foresee(surplus)?,
            }
        }
        Ok(())
    }

    /// Whether it goes in a real run depends on the disk of the receiving end, which shows by the other spelling: there it has
    /// nothing, or the same.
    fn foresee(&mut self, surplus: Surplus) -> Result<(), Failure> {
        match self.ends.direction {
            Direction::Up if self.spellings.len() < SURPLUS_UNSURE_MAX => {
                self.spellings.push_back(surplus);
                Ok(())
            }
            Direction::Up => {
                self.stay_unsure(&surplus);
                Ok(())
            }
            Direction::Down => {
                let facts = match other_spelling(&surplus.path) {
                    Some(path) => {
                        self.ends.folder.facts(&path).map_err(|error| self.cannot_look(&path, &error))?
                    }
                    None => None,
                };
                let other = facts.map(|facts| (facts.size_bytes, facts.mtime));
                self.settle_spelling(&surplus, other)
            }
        }
    }

    fn settle_spelling(&mut self, surplus: &Surplus, other: Option<(u64, FileTime)>) -> Result<(), Failure> {
        if other == Some((surplus.size_bytes, surplus.mtime)) {
            self.stay_unsure(surplus);
            return Ok(());
        }
        self.take_in(surplus)
    }

    /// The server has told what has the other spelling.
    fn hear_of_spelling(
        &mut self,
        surplus: &Surplus,
        answer: Option<&Entry>,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<(), Failure> {
        match result {
            Ok(_) => self.settle_spelling(surplus, answer.map(|entry| (entry.size_bytes, entry.mtime))),
            Err(dialogue::Failure::Refused { code: Some(ErrorCode::NotFound), .. }) => {
                self.settle_spelling(surplus, None)
            }
            Err(_) => {
                self.stay_unsure(surplus);
                Ok(())
            }
        }
    }

    fn ask_for_spellings(&mut self, session: &mut Engine) -> Result<(), Failure> {
        while self.spellings_asked.len() < TREE_AHEAD_QUESTIONS
            && let Some(surplus) = self.spellings.pop_front()
        {
            match other_spelling(&surplus.path).and_then(|path| self.ends.there(&path)) {
                Some(path) => {
                    let id = session.request(Command::Stat { path });
                    self.spellings_asked.insert(id, (surplus, None));
                }
                None => self.take_in(&surplus)?,
            }
        }
        Ok(())
    }

    /// Something goes, and a folder is looked into.
    fn take_in(&mut self, surplus: &Surplus) -> Result<(), Failure> {
        if surplus.what == What::Folder {
            match (self.ends.direction, self.ends.there(&surplus.path)) {
                (Direction::Up, Some(path)) => {
                    self.walk.push(&path, self.ends.common_at(), true).map_err(spool_failed)?;
                }
                (Direction::Up, None) => {}
                (Direction::Down, _) => self.push_folder(&surplus.path)?,
            }
        }
        self.found.add(surplus).map_err(spool_failed)
    }

    /// Compares a folder of this host with what the server has in it.
    fn compare_here(&mut self, place: &RemotePath) -> Result<(), Failure> {
        let mut entries = self.ends.folder.entries(place).map_err(|error| self.cannot_look(place, &error))?;
        loop {
            let name = entries.next_name().map_err(|error| self.cannot_look(place, &error))?;
            let Some(name) = name else { break };
            let standing = match &mut self.current {
                Some(listed) => listed.names.meet(&name),
                // Without the names of the server nothing is known.
                None => Standing::Common,
            };
            if standing != Standing::Common {
                let facts = entries.look_at(&name).map_err(|error| self.cannot_look(place, &error))?;
                self.consider_here(place, &name, facts, (standing, true))?;
            }
        }
        self.judge_unsure()
    }

    /// A name of the receiving end, which is this host.
    fn consider_here(
        &mut self,
        place: &RemotePath,
        name: &[u8],
        facts: Option<Facts>,
        (standing, is_uppermost): (Standing, bool),
    ) -> Result<(), Failure> {
        self.interrupts.check()?;
        self.count_name()?;
        let Some(facts) = facts else { return Ok(()) };
        let is_folder = facts.kind == Kind::Folder;
        let Some(path) = self.judged(place, name, is_folder, standing) else { return Ok(()) };
        let what = match facts.kind {
            Kind::File => What::File,
            Kind::Folder => What::Folder,
            Kind::Link => What::Link,
            kind @ (Kind::Fifo | Kind::Socket | Kind::Device | Kind::Unknown) => {
                self.found.stay_in(place);
                self.found
                    .complaints_mut()
                    .note(&self.ends.received(&path), format!("it is {kind}; it stays"));
                return Ok(());
            }
        };
        let surplus = Surplus::new(path, what, is_uppermost, facts.size_bytes, facts.mtime);
        if standing == Standing::Unsure {
            self.keep_unsure(surplus);
            return Ok(());
        }
        if what == What::Folder {
            self.push_folder(&surplus.path)?;
        }
        self.found.add(&surplus).map_err(spool_failed)
    }

    fn push_folder(&mut self, path: &RemotePath) -> Result<(), Failure> {
        self.folders.push(path.as_bytes()).map_err(spool_failed)
    }

    /// Looks into a folder that only this host has.
    fn look_into(&mut self, place: &RemotePath) -> Result<(), Failure> {
        let mut entries = self.ends.folder.entries(place).map_err(|error| self.cannot_look(place, &error))?;
        while let Some(name) = entries.next_name().map_err(|error| self.cannot_look(place, &error))? {
            let facts = entries.look_at(&name).map_err(|error| self.cannot_look(place, &error))?;
            self.consider_here(place, &name, facts, (Standing::Surplus, false))?;
        }
        Ok(())
    }

    fn end_listing(&mut self, id: RequestId) -> Result<(), Failure> {
        let Some((place, is_surplus)) = self.place(id) else { return Ok(()) };
        // Of an empty folder no entry has come.
        let is_empty = self.listed(id, &place, is_surplus)?.names.is_empty();
        if place.is_root() {
            self.found.is_sender_empty = is_empty;
        }
        match self.ends.direction {
            Direction::Up => self.judge_unsure()?,
            Direction::Down => self.compare_here(&place)?,
        }
        self.walk.end(id);
        Ok(())
    }

    fn fail_listing(&mut self, id: RequestId, failure: dialogue::Failure) -> Result<(), Failure> {
        let Some((place, _)) = self.place(id) else { return Ok(()) };
        let (code, message) = match failure {
            // That of the session is told next.
            dialogue::Failure::ControlLost | dialogue::Failure::DataLost => return Ok(()),
            dialogue::Failure::Refused { code: Some(ErrorCode::NotFound), .. }
                if self.ends.direction == Direction::Up =>
            {
                // Then nothing is in it that could go.
                self.walk.end(id);
                return Ok(());
            }
            failure if judge(&failure) == Verdict::Again && self.looks < SURPLUS_LOOKS_MAX => {
                return self.begin();
            }
            dialogue::Failure::Refused { code, message } => (code, message),
        };
        let place = self.ends.there(&place).unwrap_or(place);
        Err(Failure::Refused { code, message: format!("{place}: {message}") })
    }
}

impl Job for Look<'_> {
    fn refill(&mut self, member: Member, session: &mut Engine) -> Result<(), Failure> {
        if member != SCOUT {
            return Ok(());
        }
        self.ask_for_spellings(session)?;
        self.walk.refill(session).map_err(spool_failed)
    }

    fn wants(&self, member: Member) -> bool {
        member == SCOUT && !(self.walk.is_over() && self.spellings.is_empty())
    }

    fn entry(&mut self, _member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        if let Some((_, answer)) = self.spellings_asked.get_mut(&id) {
            *answer = Some(entry);
            return Ok(());
        }
        let Some((place, is_surplus)) = self.place(id) else { return Ok(()) };
        self.count_name()?;
        match self.ends.direction {
            Direction::Down => self.consider_sent(id, &place, &entry),
            Direction::Up => self.consider_received(id, (&place, is_surplus), &entry),
        }
    }

    fn done(
        &mut self,
        _member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        if matches!(result, Err(dialogue::Failure::ControlLost | dialogue::Failure::DataLost)) {
            // That of the session is told next.
            return Ok(false);
        }
        if let Some((surplus, answer)) = self.spellings_asked.remove(&id) {
            return self.hear_of_spelling(&surplus, answer.as_ref(), result).map(|()| true);
        }
        match result {
            Ok(_) => self.end_listing(id).map(|()| true),
            Err(failure) => self.fail_listing(id, failure).map(|()| false),
        }
    }

    fn lost(&mut self, _member: Member) -> Result<(), Failure> {
        if self.looks < SURPLUS_LOOKS_MAX {
            return self.begin();
        }
        Err(Failure::ConnectionLost(
            "The connection was lost each time that both ends were compared".to_owned(),
        ))
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        if let Some(record) = self.folders.pop().map_err(spool_failed)? {
            let place = RemotePath::parse(&record).unwrap_or_else(|_| RemotePath::root());
            self.look_into(&place)?;
            return Ok(Tick::More);
        }
        let is_over = self.walk.is_over() && self.spellings.is_empty() && self.spellings_asked.is_empty();
        Ok(if is_over { Tick::Over } else { Tick::Waiting })
    }

    fn show(&mut self, _course: Course) {
        let names = self.names;
        self.board.tell(|| format!("comparing both ends: {} names", grouped(names)));
    }
}

/// A name that a disk takes for the same which does not tell the case of letters apart; `None` for one without letters.
fn other_spelling(path: &RemotePath) -> Option<RemotePath> {
    let name = path.file_name()?;
    let lower = folded(name);
    let other = if lower == name { String::from_utf8_lossy(name).to_uppercase().into_bytes() } else { lower };
    let folder = path.parent().unwrap_or_else(RemotePath::root);
    folder.join(&other).ok().filter(|other| other != path)
}

fn too_many(place: &RemotePath) -> Failure {
    Failure::Usage(format!("{place} has more than {} names", grouped(SURPLUS_NAMES_MAX as u64)))
}
