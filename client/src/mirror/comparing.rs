//! Files of one size at both ends, compared by their digests: the server is asked for many ahead, and those of this host are
//! computed on threads meanwhile. In bounded memory.

use crate::engine::Session;
use crate::exit_code::ExitCode;
use crate::failure::describe;
use crate::limits::{COMPARED_AHEAD_FILES, COMPARED_FILES_MAX, TREE_FILE_TRIES_MAX};
use crate::mirror::hashing::{Hashed, Hashers};
use crate::mirror::load::FIRST_MOVER;
use crate::mirror::plan::{Planned, Queue};
use crate::mirror::pool::Member;
use crate::mirror::{Verdict, judge, status_of};
use crate::tree::error::TreeError;
use crate::tree::source::Source;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::Digest;
use mio::Waker;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

/// See the module's documentation.
pub(crate) struct Comparing {
    waker: Arc<Waker>,
    /// Started with the first file.
    hashers: Option<Hashers>,
    waiting: Queue,
    again: VecDeque<Planned>,
    pairs: HashMap<u64, Pair>,
    asked: HashMap<(Member, RequestId), u64>,
    last_ticket: u64,
    results: VecDeque<Compared>,
}

/// A file that is being compared.
struct Pair {
    file: Planned,
    server: Answer,
    own: Answer,
}

/// What one end says.
enum Answer {
    Awaited,
    /// Of so many bytes.
    Digest(u64, Digest),
    /// It was written to meanwhile.
    Changed,
    Failed(String, ExitCode),
}

/// What has come of a comparison.
#[derive(Debug)]
pub(crate) enum Compared {
    Same(Planned),
    Different(Planned),
    Failed { file: Planned, why: String, status: ExitCode },
}

impl Comparing {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self {
            waker,
            hashers: None,
            waiting: Queue::default(),
            again: VecDeque::new(),
            pairs: HashMap::new(),
            asked: HashMap::new(),
            last_ticket: 0,
            results: VecDeque::new(),
        }
    }

    /// Has the file compared, of which both ends have one of its size.
    pub(crate) fn push(&mut self, file: &Planned) -> io::Result<()> {
        self.waiting.push(file)
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.has_waiting() && self.pairs.is_empty() && self.results.is_empty()
    }

    fn has_waiting(&self) -> bool {
        self.waiting.files() > 0 || !self.again.is_empty()
    }

    /// True where there is enough for this session to be worth its connection.
    pub(crate) fn wants(&self, member: Member) -> bool {
        let more = if member == FIRST_MOVER { 0 } else { COMPARED_AHEAD_FILES as u64 };
        self.waiting.files() + self.again.len() as u64 > more
    }

    /// Asks for as many digests as may be on their way in this session. `find` opens the file here, and tells what the
    /// server calls it.
    pub(crate) fn refill(
        &mut self,
        member: Member,
        session: &mut Session,
        mut find: impl FnMut(&Planned) -> Result<(Source, RemotePath), TreeError>,
    ) -> io::Result<()> {
        if !self.has_waiting() {
            return Ok(());
        }
        let mut asked = self.asked.keys().filter(|(asked, _)| *asked == member).count();
        while asked < COMPARED_AHEAD_FILES
            && self.pairs.len() < COMPARED_FILES_MAX
            && let Some(file) = self.next()?
        {
            match find(&file) {
                Ok((source, _)) if source.facts.size_bytes != file.size_bytes => {
                    self.results.push_back(Compared::Different(file));
                }
                Ok((source, path)) => {
                    asked += 1;
                    self.last_ticket += 1;
                    let ticket = self.last_ticket;
                    self.hashers()?.push(ticket, source);
                    let id = session.request(Command::Sum { path, length: None });
                    self.asked.insert((member, id), ticket);
                    self.pairs.insert(ticket, Pair { file, server: Answer::Awaited, own: Answer::Awaited });
                }
                Err(error) => {
                    let why = format!("cannot be compared: {error}");
                    self.results.push_back(Compared::Failed { file, why, status: ExitCode::Local });
                }
            }
        }
        Ok(())
    }

    fn hashers(&mut self) -> io::Result<&Hashers> {
        if self.hashers.is_none() {
            self.hashers = Some(Hashers::start(&self.waker)?);
        }
        self.hashers.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn next(&mut self) -> io::Result<Option<Planned>> {
        if let Some(file) = self.again.pop_front() {
            return Ok(Some(file));
        }
        self.waiting.pop()
    }

    /// The server has told a digest.
    pub(crate) fn digest(&mut self, member: Member, id: RequestId, length: u64, digest: Digest) {
        if let Some(pair) = self.asked.get(&(member, id)).and_then(|ticket| self.pairs.get_mut(ticket)) {
            pair.server = Answer::Digest(length, digest);
        }
    }

    /// True where the request was one of these.
    pub(crate) fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: &Result<Success, dialogue::Failure>,
    ) -> bool {
        let Some(ticket) = self.asked.remove(&(member, id)) else { return false };
        let Some(pair) = self.pairs.get_mut(&ticket) else { return true };
        match result {
            Err(failure) if judge(failure) == Verdict::Again && pair.file.tries + 1 < TREE_FILE_TRIES_MAX => {
                self.ask_again(ticket, 1);
                return true;
            }
            Err(failure) => {
                let why = format!("cannot be compared: {failure}");
                pair.server = Answer::Failed(why, status_of(failure));
            }
            Ok(_) if matches!(pair.server, Answer::Awaited) => {
                let why = "the server told no digest of it".to_owned();
                pair.server = Answer::Failed(why, ExitCode::ConnectionLost);
            }
            Ok(_) => {}
        }
        self.judge(ticket);
        true
    }

    /// The session is gone, with all that it was asked.
    pub(crate) fn lost(&mut self, member: Member) {
        let mut lost: Vec<_> = self.asked.extract_if(|(asked, _), _| *asked == member).collect();
        lost.sort_unstable_by_key(|((_, id), _)| *id);
        for (place, (_, ticket)) in lost.into_iter().enumerate() {
            // Only the oldest can be what the session has broken on.
            self.ask_again(ticket, u32::from(place == 0));
        }
    }

    fn ask_again(&mut self, ticket: u64, tries: u32) {
        let Some(Pair { file, .. }) = self.pairs.remove(&ticket) else { return };
        let tries = file.tries + tries;
        if tries < TREE_FILE_TRIES_MAX {
            self.again.push_back(Planned { tries, ..file });
        } else {
            let why = "cannot be compared: the connection was lost each time".to_owned();
            self.results.push_back(Compared::Failed { file, why, status: ExitCode::ConnectionLost });
        }
    }

    /// The next result.
    pub(crate) fn poll(&mut self) -> Option<Compared> {
        while let Some(Hashed { ticket, digest }) = self.hashers.as_ref().and_then(Hashers::poll) {
            // It may have been asked for anew meanwhile, and has another ticket then.
            let Some(pair) = self.pairs.get_mut(&ticket) else { continue };
            pair.own = match digest {
                Ok(Some(digest)) => Answer::Digest(pair.file.size_bytes, digest),
                Ok(None) => Answer::Changed,
                Err(error) => {
                    let why = format!("cannot be compared: {}", describe(&error));
                    Answer::Failed(why, ExitCode::Local)
                }
            };
            self.judge(ticket);
        }
        self.results.pop_front()
    }

    /// Both ends may have said what they have.
    fn judge(&mut self, ticket: u64) {
        let Some(Pair { server, own, .. }) = self.pairs.get(&ticket) else { return };
        if matches!(server, Answer::Awaited) || matches!(own, Answer::Awaited) {
            return;
        }
        let Some(Pair { file, server, own }) = self.pairs.remove(&ticket) else { return };
        self.results.push_back(match (server, own) {
            (Answer::Failed(why, status), _) | (_, Answer::Failed(why, status)) => {
                Compared::Failed { file, why, status }
            }
            (Answer::Digest(length, digest), Answer::Digest(own_length, own))
                if (length, digest) == (own_length, own) =>
            {
                Compared::Same(file)
            }
            (
                Answer::Digest(..) | Answer::Changed | Answer::Awaited,
                Answer::Digest(..) | Answer::Changed | Answer::Awaited,
            ) => Compared::Different(file),
        });
    }
}
