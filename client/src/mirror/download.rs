//! Files and folders of the server become files and folders beneath one folder of this host.

mod considering;

use crate::engine::{Announcement, Session as Engine, Stop};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, show_path};
use crate::limits::{TREE_FILE_TRIES_MAX, TREE_LARGE_AHEAD_FILES};
use crate::mirror::beginnings::{Beginnings, Compared};
use crate::mirror::board::{Arrived, Board};
use crate::mirror::comparing::Comparing;
use crate::mirror::fetching::{Fetch, Running};
use crate::mirror::folder_times::FolderTimes;
use crate::mirror::held::Held;
use crate::mirror::load::{self, FIRST_MOVER, SCOUT};
use crate::mirror::plan::{Before, Class, Plan, Planned};
use crate::mirror::pool::{Course, Job, Member, Pool, Tick};
use crate::mirror::server_walk::ServerWalk;
use crate::mirror::steps::{self, Steps};
use crate::mirror::summary::{Direction, Summary};
use crate::mirror::surplus::Ends;
use crate::mirror::{Asker, Options, Verdict, is_lost, judge, spool_failed, status_of};
use crate::session::Session;
use crate::terminal::screen::Results;
use crate::tree::committer::{Committer, Outcome};
use crate::tree::error::TreeError;
use crate::tree::folder::Folder;
use crate::tree::over::Over;
use crate::tree::received::Ending;
use crate::tree::receiving::Receiving;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::{Digest, Hasher};
use ferry_common::wire::entry::Entry;
use mio::Waker;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Something of the server that is to be fetched.
pub(crate) struct Item {
    pub(crate) path: RemotePath,
    pub(crate) entry: Entry,
    /// What is in the folder goes beneath the local one, rather than the folder itself.
    pub(crate) content_only: bool,
}

/// Fetches the items to beneath `to`, which exists. Where the ends are given, what only this host has is removed.
pub(crate) fn run(
    session: &mut Session,
    options: &Options,
    items: &[Item],
    to: &Path,
    ends: Option<&mut Ends>,
    asker: &mut Asker<'_>,
) -> Result<(), Failure> {
    let peer = session.peer()?;
    let members = FIRST_MOVER + options.jobs;
    let mut pool = Pool::new(peer, members, options.transfer.retry_for, session.interrupts())?;
    let mut download = Download::new(options, &pool, to)?;
    for item in items {
        download.begin(item)?;
    }
    steps::see_through(options, &mut pool, &mut download, ends, asker)
}

/// See the module's documentation.
struct Download<'a> {
    options: &'a Options,
    folder: Folder,
    walk: ServerWalk,
    plan: Plan,
    held: Held,
    comparing: Comparing,
    running: Vec<Running>,
    beginnings: Beginnings,
    /// Whole files that have no name yet, or one that is not on the disk, by their names here. Two may be to have the same: the
    /// same file too, as what was listed when a connection was lost is listed again.
    committing: HashMap<RemotePath, VecDeque<Committing>>,
    committer: Committer,
    folder_times: FolderTimes,
    summary: Summary,
    board: Board,
    results: Results,
}

/// What is known of a whole file.
struct Committing {
    file: Planned,
    weight: Weight,
}

/// How a file counts in the summary.
struct Weight {
    /// Those that have come.
    bytes: u64,
    replaces: bool,
}

impl<'a> Download<'a> {
    fn new(options: &'a Options, pool: &Pool, to: &Path) -> Result<Self, Failure> {
        let mut folder =
            Folder::open(to).map_err(|error| Failure::Local(format!("{}: {error}", show_path(to))))?;
        if !options.dry_run {
            folder.sweep(&RemotePath::root());
        }
        let committer = Committer::start(wake(pool.waker()))
            .map_err(|error| Failure::local("start a thread for", to, &error))?;
        Ok(Self {
            options,
            folder,
            walk: ServerWalk::default(),
            plan: Plan::default(),
            held: Held::default(),
            comparing: Comparing::new(pool.waker()),
            running: std::iter::repeat_with(Running::default).take(FIRST_MOVER + options.jobs).collect(),
            beginnings: Beginnings::new(pool.waker()),
            committing: HashMap::new(),
            committer,
            folder_times: FolderTimes::default(),
            summary: Summary::default(),
            board: Board::new(),
            results: Results::new(),
        })
    }

    fn count(&mut self, weight: &Weight) {
        self.summary.bytes += weight.bytes;
        if weight.replaces {
            self.summary.changed_files += 1;
        } else {
            self.summary.new_files += 1;
        }
    }

    fn fetch_mut(&mut self, member: Member, id: RequestId) -> Option<&mut Fetch> {
        self.running.get_mut(member)?.fetches.get_mut(&id)
    }

    /// Asks for as many files as may be on their way in this session.
    fn refill_mover(&mut self, member: Member, session: &mut Engine) -> io::Result<()> {
        if let Some(file) = self.beginnings.go_on(member, session) {
            self.running[member].load.remove(&file);
            self.plan.push_again(file);
        }
        let folder = &mut self.folder;
        self.comparing.refill(member, session, |file| {
            Ok((folder.open_source(&file.common_path())?, file.path.clone()))
        })?;
        for class in load::classes(member) {
            while self.committer.has_room()
                && self.running[member].load.has_room(class, TREE_LARGE_AHEAD_FILES)
                && !self.beginnings.is_comparing(member)
            {
                let Some(file) = self.plan.pop(class)? else { break };
                self.ask(member, file, session);
            }
        }
        Ok(())
    }

    fn ask(&mut self, member: Member, file: Planned, session: &mut Engine) {
        self.running[member].load.add(&file);
        let started = self.beginnings.start(member, file, &mut self.folder);
        let Some((file, beginning)) = started else { return };
        let (receiving, hasher) = beginning.unzip();
        let hasher = hasher.unwrap_or_default();
        let offset = receiving.as_ref().map_or(0, Receiving::length_bytes);
        // The file may have become another one since its beginning came.
        let digest = self.options.transfer.verify || offset > 0;
        let id = session.request(Command::Download { path: file.path.clone(), offset, digest });
        let running = &mut self.running[member];
        running.fetches.insert(id, Fetch { file, receiving, hasher, is_checked: digest, failed: None });
    }

    /// All of the file has come.
    fn finish(&mut self, fetch: Fetch, digest: Option<Digest>) {
        let Fetch { file, receiving, hasher, is_checked, failed } = fetch;
        let receiving = match (failed, receiving) {
            (Some(error), _) => {
                return self.summary.complain(file.path.as_bytes(), error.to_string(), ExitCode::Local);
            }
            (None, None) => return,
            (None, Some(receiving)) => receiving,
        };
        if is_checked && digest != Some(hasher.digest()) {
            receiving.discard();
            return self.ask_again(file, "what arrived is not what the server has sent", ExitCode::Mismatch);
        }
        let options = &self.options.transfer;
        let ending = Ending {
            mtime: options.keep_times.then_some(file.mtime),
            is_executable: file.is_executable,
            over: match file.before {
                _ if !options.overwrite => Over::Nothing,
                _ if options.force => Over::Anything,
                Before::Nothing => Over::Free,
                Before::Here(seen) => Over::Seen(seen),
                // That is the other end.
                Before::There(_) => Over::Free,
            },
        };
        let found_bytes = receiving.found_bytes();
        self.summary.resumed_files += u64::from(found_bytes > 0);
        self.summary.found_bytes += found_bytes;
        let bytes = receiving.length_bytes().saturating_sub(found_bytes);
        let weight = Weight { bytes, replaces: file.replaces };
        let ahead = self.committing.entry(receiving.path().clone()).or_default();
        ahead.push_back(Committing { file, weight });
        self.committer.commit(receiving.finish(ending));
    }

    /// The file is to be asked for once more, but not for ever.
    fn ask_again(&mut self, file: Planned, why: &str, status: ExitCode) {
        if file.tries + 1 < TREE_FILE_TRIES_MAX {
            self.plan.push_again(Planned { tries: file.tries + 1, ..file });
        } else {
            self.beginnings.forget(&file.path);
            self.summary.complain(file.path.as_bytes(), why.to_owned(), status);
        }
    }

    /// The request has failed.
    fn fail(&mut self, fetch: Fetch, failure: &dialogue::Failure) {
        if let Some(error) = fetch.failed {
            return self.summary.complain(fetch.file.path.as_bytes(), error.to_string(), ExitCode::Local);
        }
        let (is_lost, status) = (is_lost(failure), status_of(failure));
        match judge(failure) {
            Verdict::Final => {
                self.summary.complain(fetch.file.path.as_bytes(), failure.to_string(), status);
            }
            Verdict::Again => {
                if is_lost {
                    self.keep_beginning(fetch.file.clone(), fetch.receiving, fetch.hasher);
                } else if let Some(receiving) = fetch.receiving {
                    // The file has become another one.
                    receiving.discard();
                }
                self.ask_again(fetch.file, &failure.to_string(), status);
            }
        }
    }

    /// What has come of a large file is gone on with.
    fn keep_beginning(&mut self, file: Planned, receiving: Option<Receiving>, hasher: Hasher) {
        if file.class() == Class::Large
            && let Some(receiving) = receiving.filter(|receiving| receiving.length_bytes() > 0)
        {
            self.beginnings.keep(file.path, (receiving, hasher));
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        let Some(ahead) = self.committing.get_mut(&outcome.path) else { return };
        // Of several with one name, the first has it, and what comes behind fails, which may be told before.
        let committed = if outcome.result.is_ok() { ahead.pop_front() } else { ahead.pop_back() };
        if ahead.is_empty() {
            self.committing.remove(&outcome.path);
        }
        let Some(Committing { file, weight }) = committed else { return };
        match outcome.result {
            Ok(()) => {
                self.board.finish_file();
                self.count(&weight);
            }
            // What has the name may be this very file, of which this run was told twice.
            Err(TreeError::Changed)
                if self.comparing.push(&Planned { is_refused: true, ..file.clone() }).is_ok() => {}
            Err(error) => self.summary.complain(file.path.as_bytes(), error.to_string(), ExitCode::Local),
        }
    }

    /// Names what can have its name, and hears of what has.
    fn commit(&mut self) -> Tick {
        let has_more = self.committer.turn();
        while let Some(outcome) = self.committer.next_outcome() {
            self.take_outcome(outcome);
        }
        while let Some(path) = self.committer.next_changed_owner() {
            self.summary.changed_owners.add(path.as_bytes());
        }
        match (has_more, self.committer.is_idle()) {
            (true, _) => Tick::More,
            (false, false) => Tick::Waiting,
            (false, true) => Tick::Over,
        }
    }

    fn is_all_asked(&self) -> bool {
        self.walk.is_over()
            && self.comparing.is_over()
            && self.plan.len() == 0
            && self.beginnings.is_idle()
            && self.running.iter().all(|running| running.fetches.is_empty())
    }
}

impl Steps for Download<'_> {
    fn direction(&self) -> Direction {
        Direction::Down
    }

    fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    fn release(&mut self, file: &Planned) -> io::Result<()> {
        self.board.plan(file.size_bytes);
        self.plan.push(file)
    }

    fn leave(&mut self, file: &Planned) {
        let why = "a different file is here; it is left alone".to_owned();
        self.summary.note(file.path.as_bytes(), why);
    }

    /// What is whole gets its name all the same.
    fn settle(&mut self, pool: &mut Pool) -> Result<(), Failure> {
        pool.settle(|| self.commit())
    }

    fn expect_changes(&mut self) {}

    fn close(&mut self, pool: &mut Pool) -> Result<Option<String>, Failure> {
        self.folder_times.set(&mut self.folder).map_err(spool_failed)?;
        self.committer.flush_folders(self.folder.file_systems());
        self.settle(pool)?;
        Ok(None)
    }

    fn clear_display(&mut self) {
        self.board.clear();
    }

    fn outcome(&mut self) -> (&mut Summary, &mut Results) {
        (&mut self.summary, &mut self.results)
    }
}

impl Job for Download<'_> {
    fn refill(&mut self, member: Member, session: &mut Engine) -> Result<(), Failure> {
        let refilled =
            if member == SCOUT { self.walk.refill(session) } else { self.refill_mover(member, session) };
        refilled.map_err(spool_failed)
    }

    fn wants(&self, member: Member) -> bool {
        match member {
            SCOUT => !self.walk.is_over(),
            _ => load::is_wanted(member, &self.plan) || self.comparing.wants(member),
        }
    }

    fn announce(&mut self, member: Member, id: RequestId, announced: Announcement) -> Result<(), Stop> {
        let Some(fetch) = self.running[member].fetches.get_mut(&id) else { return Ok(()) };
        let Announcement { length, mtime, executable } = announced;
        fetch.file.mtime = mtime;
        fetch.file.is_executable = Some(executable);
        let prepared = match &fetch.receiving {
            Some(receiving) => receiving.reserve(length),
            None => self.folder.receive(&fetch.file.common_path(), length).map(|receiving| {
                fetch.receiving = Some(receiving);
            }),
        };
        prepared.or_else(|error| fetch.refuse(error, length))
    }

    fn take(&mut self, member: Member, id: RequestId, bytes: &[u8]) -> Result<(), Stop> {
        let is_verified = self.options.transfer.verify;
        let Some(fetch) = self.fetch_mut(member, id) else { return Ok(()) };
        let Some(receiving) = fetch.receiving.as_mut().filter(|_| fetch.failed.is_none()) else {
            return Ok(());
        };
        if let Err(error) = receiving.write(bytes) {
            let left = fetch.file.size_bytes.saturating_sub(receiving.length_bytes());
            return fetch.refuse(error, left);
        }
        if is_verified || fetch.file.class() == Class::Large {
            fetch.hasher.update(bytes);
        }
        Ok(())
    }

    fn entry(&mut self, _member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        self.consider(id, &entry)
    }

    fn digest(&mut self, member: Member, id: RequestId, length: u64, digest: Digest) {
        self.beginnings.digest(member, id, length, digest);
        self.comparing.digest(member, id, length, digest);
    }

    fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        let is_ok = result.is_ok();
        if member == SCOUT {
            self.end_listing(id, result);
        } else if self.comparing.done(member, id, &result) {
            self.take_compared()?;
        } else if let Some(fetch) = self.running[member].remove(id) {
            match result {
                Ok(success) => self.finish(fetch, success.digest),
                Err(failure) => self.fail(fetch, &failure),
            }
        } else if let Compared::Again(file) = self.beginnings.done(member, id, &result) {
            self.running[member].load.remove(&file);
            self.plan.push_again(file);
        }
        Ok(is_ok)
    }

    fn lost(&mut self, member: Member) -> Result<(), Failure> {
        if member == SCOUT {
            self.walk.lose();
            return Ok(());
        }
        self.comparing.lost(member);
        if let Some(file) = self.beginnings.lose(member) {
            self.plan.push_again(file);
        }
        let Running { fetches, .. } = std::mem::take(&mut self.running[member]);
        let oldest = fetches.keys().min().copied();
        for (id, Fetch { file, receiving, hasher, failed, .. }) in fetches {
            if let Some(error) = failed {
                self.summary.complain(file.path.as_bytes(), error.to_string(), ExitCode::Local);
                continue;
            }
            self.keep_beginning(file.clone(), receiving, hasher);
            // Only the oldest can be what the session has broken on.
            if Some(id) == oldest {
                self.ask_again(file, "the connection was lost each time", ExitCode::ConnectionLost);
            } else {
                self.plan.push_again(file);
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        self.take_compared()?;
        match self.commit() {
            Tick::Over if self.is_all_asked() => Ok(Tick::Over),
            Tick::Over => Ok(Tick::Waiting),
            tick @ (Tick::More | Tick::Waiting) => Ok(tick),
        }
    }

    fn show(&mut self, course: Course) {
        if self.board.is_due() {
            let found_bytes = self.summary.found_bytes;
            let committing: u64 =
                self.committing.values().flatten().map(|committing| committing.weight.bytes).sum();
            let bytes = self.summary.bytes + found_bytes + committing;
            let mut arrived = Arrived { bytes, found_bytes };
            let moving = || self.running.iter().flat_map(Running::moving);
            moving().for_each(|moving| arrived.add(&moving));
            self.board.show(course, arrived, moving());
        }
    }
}

fn wake(waker: Arc<Waker>) -> Box<dyn Fn() + Send> {
    Box::new(move || {
        // Where it fails, the job looks a little later.
        let _ = waker.wake();
    })
}
