//! Files and folders of this host become files and folders of the server.

use crate::engine::{Session as Engine, Stop};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::limits::TREE_FILE_TRIES_MAX;
use crate::mirror::board::{Arrived, Board, Moving};
use crate::mirror::comparing::{Compared, Comparing};
use crate::mirror::hashing::Hashing;
use crate::mirror::held::Held;
use crate::mirror::load::{self, FIRST_MOVER, Load, SCOUT};
use crate::mirror::plan::{Before, Class, Plan, Planned};
use crate::mirror::pool::{Course, Job, Member, Pool, Tick};
use crate::mirror::remote_times::RemoteTimes;
use crate::mirror::report::would;
use crate::mirror::scout::{Before as FolderBefore, Finding, Scout, Start, too_long};
use crate::mirror::sending::{Failed, Sending, Terms};
use crate::mirror::steps::{self, Steps};
use crate::mirror::summary::{Direction, Summary};
use crate::mirror::surplus::Ends;
use crate::mirror::{Asker, Options, Verdict, code_of, judge, spool_failed, status_of};
use crate::session::Session;
use crate::terminal::screen::Results;
use crate::transfer::{TransferOptions, looking};
use crate::tree::error::TreeError;
use crate::tree::folder::Folder;
use crate::tree::same::{Comparison, Version, compare};
use crate::tree::source::Source;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Conditions};
use ferry_common::wire::digest::{Digest, Hasher};
use ferry_common::wire::entry::{Entry, EntryKind};
use mio::Waker;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// A session asks how much the server has of a large file before it sends that.
const LARGE_AHEAD_FILES: usize = 1;

/// A local folder that files are sent from, and where on the server they go.
pub(crate) struct Root {
    pub(crate) folder: Folder,
    pub(crate) base: RemotePath,
    /// How many names of the base the user has given, be they links. None is followed behind them.
    pub(crate) names: u32,
}

/// Sends what the starts lead to. Where the ends are given, what only the server has is removed.
pub(crate) fn run(
    session: &mut Session,
    options: &Options,
    roots: Vec<Root>,
    starts: Vec<Start>,
    ends: Option<&mut Ends>,
    asker: &mut Asker<'_>,
) -> Result<(), Failure> {
    let peer = session.peer()?;
    let members = FIRST_MOVER + options.jobs;
    let mut pool = Pool::new(peer, members, options.transfer.retry_for, session.interrupts())?;
    let bases = roots.iter().map(|root| (root.base.clone(), root.names)).collect();
    let mut upload = Upload {
        options,
        folders: roots.into_iter().map(|root| root.folder).collect(),
        scout: Scout::new(bases, starts, options.dry_run),
        folder_times: RemoteTimes::default(),
        plan: Plan::default(),
        held: Held::default(),
        comparing: Comparing::new(pool.waker()),
        running: std::iter::repeat_with(Running::default).take(members).collect(),
        waker: pool.waker(),
        cannot_be_new: false,
        summary: Summary::default(),
        found_bytes: 0,
        board: Board::new(),
        results: Results::new(),
    };
    steps::see_through(options, &mut pool, &mut upload, ends, asker)
}

/// See the module's documentation.
struct Upload<'a> {
    options: &'a Options,
    folders: Vec<Folder>,
    scout: Scout,
    folder_times: RemoteTimes,
    plan: Plan,
    held: Held,
    comparing: Comparing,
    running: Vec<Running>,
    waker: Arc<Waker>,
    /// The server has a file system without a safe way to replace nothing: what was free is replaced unasked there.
    cannot_be_new: bool,
    summary: Summary,
    /// What the server had before of the files that it has now.
    found_bytes: u64,
    board: Board,
    results: Results,
}

/// What one session has to do.
#[derive(Default)]
struct Running {
    sendings: HashMap<RequestId, Sending>,
    load: Load,
    preparing: Option<Preparing>,
}

/// A large file before its upload: how much of it does the server have?
struct Preparing {
    file: Planned,
    /// What the server is to call it.
    path: RemotePath,
    source: Source,
    stage: Stage,
}

enum Stage {
    Asking {
        id: RequestId,
        kept: Option<(u64, Digest)>,
    },
    Hashing {
        kept: (u64, Digest),
        hashing: Hashing,
    },
    /// Both ends have this.
    Agreed(Box<Hasher>),
}

impl Upload<'_> {
    fn take_findings(&mut self) -> Result<(), Failure> {
        while let Some(finding) = self.scout.poll_finding() {
            match finding {
                Finding::Missing(file) => self.plan_file(file)?,
                Finding::There(file, entry) => self.compare(file, &entry)?,
                Finding::Folder { path, mtime, before } => {
                    self.summary.folders += u64::from(before == FolderBefore::Nothing);
                    if self.options.transfer.keep_times && !self.options.dry_run {
                        self.folder_times.push(&path, mtime, before).map_err(spool_failed)?;
                    }
                }
                Finding::Failed { path, why, status } => self.summary.complain(&path, why, status),
                Finding::Skipped { path, why } => self.summary.note(&path, why),
            }
        }
        Ok(())
    }

    fn compare(&mut self, file: Planned, entry: &Entry) -> Result<(), Failure> {
        if entry.kind == EntryKind::Dir {
            let why = "a folder of this name is on the server".to_owned();
            self.complain(&file, why, ExitCode::Refused);
            return Ok(());
        }
        let file = Planned { before: Before::There(looking::was_of_file(entry)), ..file };
        let from = Version { size_bytes: file.size_bytes, mtime: file.mtime };
        let to = Version { size_bytes: entry.size_bytes, mtime: entry.mtime };
        if self.options.checksum && from.size_bytes == to.size_bytes {
            return self.comparing.push(&file).map_err(spool_failed);
        }
        self.settle_file(file, compare(from, Some(to)))
    }

    /// It is known whether the server has the file already.
    fn settle_file(&mut self, file: Planned, comparison: Comparison) -> Result<(), Failure> {
        let file = Planned { replaces: true, tries: 0, ..file };
        match comparison {
            Comparison::Same => self.summary.same_files += 1,
            Comparison::New | Comparison::Different if !self.options.transfer.overwrite => {
                let why = "a different file is on the server; it is left alone (--no-overwrite)";
                self.complain(&file, why.to_owned(), ExitCode::Refused);
            }
            Comparison::New | Comparison::Different if self.options.ask && !self.options.dry_run => {
                self.held.push(&file).map_err(spool_failed)?;
            }
            Comparison::New | Comparison::Different => self.plan_file(file)?,
        }
        Ok(())
    }

    fn take_compared(&mut self) -> Result<(), Failure> {
        while let Some(compared) = self.comparing.poll() {
            match compared {
                // It is this very file: the answer to an earlier attempt was lost.
                Compared::Same(file) if file.is_refused => {
                    self.board.finish_file();
                    self.count(&file);
                }
                Compared::Different(file) | Compared::Failed { file, .. } if file.is_refused => {
                    let why = "changed on the server meanwhile; it is left alone".to_owned();
                    self.complain(&file, why, ExitCode::Refused);
                }
                Compared::Same(file) => self.settle_file(file, Comparison::Same)?,
                Compared::Different(file) => self.settle_file(file, Comparison::Different)?,
                Compared::Failed { file, why, status } => self.complain(&file, why, status),
            }
        }
        Ok(())
    }

    fn plan_file(&mut self, file: Planned) -> Result<(), Failure> {
        if self.options.dry_run {
            let shown = self.scout.shown(file.root, file.path.as_bytes());
            self.results.line(&would(self.options.json, "upload", &shown))?;
            self.count(&file);
            return Ok(());
        }
        self.folder_times.expect_changes();
        self.board.plan(file.size_bytes);
        self.plan.push(&file).map_err(spool_failed)
    }

    fn complain(&mut self, file: &Planned, why: String, status: ExitCode) {
        let shown = self.scout.shown(file.root, file.path.as_bytes());
        self.summary.complain(&shown, why, status);
    }

    fn count(&mut self, file: &Planned) {
        self.summary.bytes += file.size_bytes;
        if file.replaces {
            self.summary.changed_files += 1;
        } else {
            self.summary.new_files += 1;
        }
    }

    /// Asks for as many files to be taken as may be on their way in this session.
    fn refill_mover(&mut self, member: Member, session: &mut Engine) -> io::Result<()> {
        let (folders, scout) = (&mut self.folders, &self.scout);
        self.comparing.refill(member, session, |file| {
            // The server has told of it by this name.
            let path = scout.remote(file.root, &file.path).unwrap_or_else(RemotePath::root);
            let folder = folders.get_mut(file.root as usize).ok_or(TreeError::NoFolder)?;
            Ok((folder.open_source(&file.path)?, path))
        })?;
        self.go_on_preparing(member, session);
        for class in load::classes(member) {
            while self.running[member].load.has_room(class, LARGE_AHEAD_FILES) {
                let Some(file) = self.plan.pop(class)? else { break };
                self.start(member, file, session);
            }
        }
        Ok(())
    }

    fn start(&mut self, member: Member, mut file: Planned, session: &mut Engine) {
        let Some(path) = self.scout.remote(file.root, &file.path) else {
            return self.complain(&file, too_long(), ExitCode::Usage);
        };
        let opened = match self.folders.get_mut(file.root as usize) {
            Some(folder) => folder.open_source(&file.path),
            None => return,
        };
        let source = match opened {
            Ok(source) => source,
            Err(error) => {
                return self.complain(&file, error.to_string(), ExitCode::Local);
            }
        };
        file.mtime = source.facts.mtime;
        file.is_executable = Some(source.facts.is_executable);
        file.size_bytes = source.facts.size_bytes;
        if file.class() == Class::Small {
            match Sending::small(file, &source, self.options.transfer.verify) {
                Ok(sending) => {
                    self.running[member].load.add(&sending.file);
                    self.send(member, path, sending, session);
                }
                Err(kept) => {
                    let (file, failed) = *kept;
                    self.fail_locally(file, failed);
                }
            }
        } else {
            let id = session.request(Command::Partial { path: path.clone() });
            let stage = Stage::Asking { id, kept: None };
            let running = &mut self.running[member];
            running.load.add(&file);
            running.preparing = Some(Preparing { file, path, source, stage });
        }
    }

    fn send(&mut self, member: Member, path: RemotePath, sending: Sending, session: &mut Engine) {
        let terms = self.terms(&sending.file, session.knows_conditions());
        let options = sending.options(terms, self.options.transfer.keep_times);
        let id = session.request(Command::Upload { path, size: sending.file.size_bytes, options });
        self.running[member].sendings.insert(id, sending);
    }

    /// What was free is to be free, and what was seen is to be that; no link is followed behind what the user has named.
    fn terms(&self, file: &Planned, are_known: bool) -> Terms {
        let TransferOptions { overwrite, force, .. } = self.options.transfer;
        let (new, was) = match file.before {
            _ if !overwrite => (true, None),
            _ if force => (false, None),
            Before::Nothing => (!self.cannot_be_new, None),
            Before::There(was) => (false, Some(was)),
            // That is the other end.
            Before::Here(_) => (true, None),
        };
        let conditions = Conditions { was, follow: Some(self.scout.names(file.root)) };
        Terms { new, conditions: if are_known { conditions } else { Conditions::NONE } }
    }

    /// The server has something else under the name of a file than what was there, unless it is the file itself.
    fn is_taken(&self, file: &Planned, failure: &dialogue::Failure) -> bool {
        let TransferOptions { overwrite, force, .. } = self.options.transfer;
        let code = match file.before {
            Before::Nothing => ErrorCode::Exists,
            Before::There(_) | Before::Here(_) => ErrorCode::Changed,
        };
        overwrite && !force && code_of(failure) == Some(code)
    }

    /// A large file whose beginning is compared is sent when that is done.
    fn go_on_preparing(&mut self, member: Member, session: &mut Engine) {
        let verify = self.options.transfer.verify;
        let Some(mut preparing) = self.running[member].preparing.take() else { return };
        if let Stage::Hashing { kept, hashing } = &preparing.stage {
            match hashing.result() {
                None => {}
                Some(Ok(own)) if (own.length(), own.digest()) == *kept => {
                    preparing.stage = Stage::Agreed(Box::new(own))
                }
                // What the server has is not the beginning of this file.
                Some(_) => preparing.stage = Stage::Agreed(Box::default()),
            }
        }
        let Preparing { file, path, source, stage } = preparing;
        match stage {
            Stage::Agreed(beginning) => {
                self.send(member, path, Sending::large(file, source, verify, *beginning), session);
            }
            stage @ (Stage::Asking { .. } | Stage::Hashing { .. }) => {
                self.running[member].preparing = Some(Preparing { file, path, source, stage });
            }
        }
    }

    /// The server has told what it has of a large file.
    fn end_asking(&mut self, member: Member) {
        let waker = Arc::clone(&self.waker);
        let Some(preparing) = &mut self.running[member].preparing else { return };
        let Stage::Asking { kept, .. } = &preparing.stage else { return };
        let kept = kept.filter(|&(length, _)| length > 0 && length <= preparing.source.facts.size_bytes);
        let hashing = kept.and_then(|kept| {
            let file = preparing.source.file.try_clone().ok()?;
            Some((kept, Hashing::start(file, kept.0, waker).ok()?))
        });
        preparing.stage = match hashing {
            Some((kept, hashing)) => Stage::Hashing { kept, hashing },
            None => Stage::Agreed(Box::default()),
        };
    }

    fn fail_locally(&mut self, file: Planned, failed: Failed) {
        match failed {
            Failed::Changed(why) => self.try_again(file, why, ExitCode::Local),
            Failed::Final(why) => self.complain(&file, why, ExitCode::Local),
        }
    }

    fn try_again(&mut self, file: Planned, why: String, status: ExitCode) {
        if file.tries + 1 < TREE_FILE_TRIES_MAX {
            self.plan.push_again(Planned { tries: file.tries + 1, ..file });
        } else {
            self.complain(&file, why, status);
        }
    }

    fn finish(&mut self, sending: Sending, result: Result<Success, dialogue::Failure>) -> io::Result<()> {
        let digest = sending.digest();
        let found_bytes = sending.moving(0).found_bytes;
        let Sending { file, failed, .. } = sending;
        match (result, failed) {
            (_, Some(failed)) => self.fail_locally(file, failed),
            (Ok(success), None) if digest.is_some() && success.digest != digest => {
                let why = "what the server has stored is not what was sent".to_owned();
                self.try_again(file, why, ExitCode::Mismatch);
            }
            (Ok(_), None) => {
                self.found_bytes += found_bytes;
                self.board.finish_file();
                self.count(&file);
            }
            (Err(failure), None) if self.is_taken(&file, &failure) => {
                self.comparing.push(&Planned { is_refused: true, ..file })?;
            }
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::Unsupported), .. }), None)
                if self.options.transfer.overwrite && file.before == Before::Nothing && file.tries == 0 =>
            {
                self.cannot_be_new = true;
                self.plan.push_again(Planned { tries: 1, ..file });
            }
            (Err(dialogue::Failure::Refused { code: Some(ErrorCode::NoPartial), message }), None) => {
                self.try_again(file, message, ExitCode::Refused);
            }
            (Err(failure), None) if judge(&failure) == Verdict::Again => {
                self.try_again(file, failure.to_string(), status_of(&failure));
            }
            (Err(failure), None) => {
                self.complain(&file, failure.to_string(), status_of(&failure));
            }
        }
        Ok(())
    }

    /// Every file is done with, but for those that wait for an answer.
    fn is_idle(&self) -> bool {
        self.scout.is_over()
            && self.comparing.is_over()
            && self.plan.len() == 0
            && self.running.iter().all(Running::is_idle)
    }

    fn sending_mut(&mut self, member: Member, id: RequestId) -> Result<&mut Sending, Stop> {
        self.running.get_mut(member).and_then(|running| running.sendings.get_mut(&id)).ok_or(Stop)
    }
}

impl Running {
    fn is_idle(&self) -> bool {
        self.sendings.is_empty() && self.preparing.is_none()
    }

    /// The files on their way, for a display.
    fn moving(&self) -> impl Iterator<Item = Moving<'_>> {
        let preparing = self.preparing.iter().map(|preparing| {
            let file = &preparing.file;
            Moving { id: 0, file, moved_bytes: 0, found_bytes: 0 }
        });
        let sendings = self.sendings.iter().map(|(&id, sending)| sending.moving(id));
        preparing.chain(sendings)
    }
}

impl Steps for Upload<'_> {
    fn direction(&self) -> Direction {
        Direction::Up
    }

    fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    fn release(&mut self, file: &Planned) -> io::Result<()> {
        self.folder_times.expect_changes();
        self.board.plan(file.size_bytes);
        self.plan.push(file)
    }

    fn leave(&mut self, file: &Planned) {
        let shown = self.scout.shown(file.root, file.path.as_bytes());
        self.summary.note(&shown, "a different file is on the server; it is left alone".to_owned());
    }

    fn settle(&mut self, _pool: &mut Pool) -> Result<(), Failure> {
        Ok(())
    }

    fn expect_changes(&mut self) {
        self.folder_times.expect_changes();
    }

    fn close(&mut self, pool: &mut Pool) -> Result<Option<String>, Failure> {
        pool.run(&mut self.folder_times.setting(&mut self.board))?;
        Ok(self.folder_times.remark())
    }

    fn clear_display(&mut self) {
        self.board.clear();
    }

    fn outcome(&mut self) -> (&mut Summary, &mut Results) {
        (&mut self.summary, &mut self.results)
    }
}

impl Job for Upload<'_> {
    fn refill(&mut self, member: Member, session: &mut Engine) -> Result<(), Failure> {
        if member == SCOUT {
            self.scout.refill(session, self.plan.len());
            self.take_findings()
        } else {
            self.refill_mover(member, session).map_err(spool_failed)
        }
    }

    fn wants(&self, member: Member) -> bool {
        match member {
            SCOUT => !self.scout.is_over(),
            _ => load::is_wanted(member, &self.plan) || self.comparing.wants(member),
        }
    }

    fn begin(&mut self, member: Member, id: RequestId, offset: u64) -> Result<(), Stop> {
        self.sending_mut(member, id)?.begin(offset)
    }

    fn fill(&mut self, member: Member, id: RequestId, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        self.sending_mut(member, id)?.fill(offset, into)
    }

    fn trailer(&mut self, member: Member, id: RequestId) -> Result<Digest, Stop> {
        self.sending_mut(member, id)?.trailer()
    }

    fn entry(&mut self, member: Member, id: RequestId, entry: Entry) -> Result<(), Failure> {
        if member == SCOUT {
            self.scout.entry(id, entry);
        }
        Ok(())
    }

    fn digest(&mut self, member: Member, id: RequestId, length: u64, digest: Digest) {
        self.comparing.digest(member, id, length, digest);
        if let Some(Preparing { stage: Stage::Asking { id: asked, kept }, .. }) =
            &mut self.running[member].preparing
            && *asked == id
        {
            *kept = Some((length, digest));
        }
    }

    fn received(&mut self, member: Member, id: RequestId, bytes: u64) {
        if let Ok(sending) = self.sending_mut(member, id) {
            sending.handle_received(bytes);
        }
    }

    fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: Result<Success, dialogue::Failure>,
    ) -> Result<bool, Failure> {
        let is_ok = result.is_ok();
        if member == SCOUT {
            self.scout.done(id, result)?;
            self.take_findings()?;
        } else if self.comparing.done(member, id, &result) {
            self.take_compared()?;
        } else if let Some(sending) = self.running[member].sendings.remove(&id) {
            let running = &mut self.running[member];
            running.load.remove(&sending.file);
            self.finish(sending, result).map_err(spool_failed)?;
        } else {
            self.end_asking(member);
        }
        Ok(is_ok)
    }

    fn lost(&mut self, member: Member) -> Result<(), Failure> {
        if member == SCOUT {
            self.scout.lose();
            return Ok(());
        }
        self.comparing.lost(member);
        let Running { sendings, preparing, .. } = std::mem::take(&mut self.running[member]);
        let oldest = sendings.keys().min().copied();
        for (id, Sending { file, failed, .. }) in sendings {
            match failed {
                Some(failed) => self.fail_locally(file, failed),
                // Only the oldest can be what the session has broken on.
                None if Some(id) == oldest => {
                    let why = "the connection was lost each time".to_owned();
                    self.try_again(file, why, ExitCode::ConnectionLost);
                }
                None => self.plan.push_again(file),
            }
        }
        if let Some(Preparing { file, .. }) = preparing {
            self.plan.push_again(file);
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<Tick, Failure> {
        self.take_compared()?;
        Ok(if self.is_idle() { Tick::Over } else { Tick::Waiting })
    }

    fn show(&mut self, course: Course) {
        if self.board.is_due() {
            let mut arrived = Arrived { bytes: self.summary.bytes, found_bytes: self.found_bytes };
            let moving = || self.running.iter().flat_map(Running::moving);
            moving().for_each(|moving| arrived.add(&moving));
            self.board.show(course, arrived, moving());
        }
    }
}
