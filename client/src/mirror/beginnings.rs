//! What is here already of large files that are to be fetched: from a connection that this run has lost, or from a run that
//! was killed. The latter is gone on with where its digest is that of the server's beginning, and begun anew otherwise.

use crate::engine::Session;
use crate::limits::TREE_FILE_TRIES_MAX;
use crate::mirror::hashing::Hashing;
use crate::mirror::plan::{Class, Planned};
use crate::mirror::pool::Member;
use crate::mirror::{Verdict, judge};
use crate::tree::folder::Folder;
use crate::tree::receiving::Receiving;
use ferry_common::dialogue::{self, RequestId, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::{Digest, Hasher};
use mio::Waker;
use std::collections::HashMap;
use std::sync::Arc;

/// A beginning, with the digest of it.
type Beginning = (Receiving, Hasher);

/// See the module's documentation.
pub(crate) struct Beginnings {
    waker: Arc<Waker>,
    /// Of files that are to be asked for next; `None` for one of which nothing can be used.
    known: HashMap<RemotePath, Option<Beginning>>,
    /// Those that members compare with the server's.
    compared: HashMap<Member, Comparing>,
}

struct Comparing {
    file: Planned,
    receiving: Receiving,
    stage: Stage,
}

enum Stage {
    Hashing(Hashing),
    Asking { id: RequestId, own: Box<Hasher>, told: Option<(u64, Digest)> },
}

/// What becomes of a file whose beginning was compared.
pub(crate) enum Compared {
    /// To be asked for, or compared, by any member.
    Again(Planned),
    /// The answer belongs to something else.
    Unrelated,
}

impl Beginnings {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { waker, known: HashMap::new(), compared: HashMap::new() }
    }

    pub(crate) fn keep(&mut self, path: RemotePath, beginning: Beginning) {
        self.known.insert(path, Some(beginning));
    }

    pub(crate) fn forget(&mut self, path: &RemotePath) {
        self.known.remove(path);
    }

    /// True while a member has something to compare. It begins nothing large meanwhile.
    pub(crate) fn is_comparing(&self, member: Member) -> bool {
        self.compared.contains_key(&member)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.compared.is_empty()
    }

    /// How the file is to be asked for; `None` where what is here of it is compared first.
    pub(crate) fn start(
        &mut self,
        member: Member,
        file: Planned,
        folder: &mut Folder,
    ) -> Option<(Planned, Option<Beginning>)> {
        if let Some(known) = self.known.remove(&file.path) {
            return Some((file, known));
        }
        if file.class() == Class::Small {
            return Some((file, None));
        }
        let Some(receiving) = folder.find_part(&file.common_path()) else { return Some((file, None)) };
        let length = receiving.length_bytes();
        if length == 0 {
            return Some((file, Some((receiving, Hasher::default()))));
        }
        let waker = Arc::clone(&self.waker);
        let hashing = receiving.file().and_then(|content| Hashing::start(content, length, waker));
        match hashing {
            Ok(hashing) if length <= file.size_bytes => {
                self.compared.insert(member, Comparing { file, receiving, stage: Stage::Hashing(hashing) });
                None
            }
            Ok(_) | Err(_) => Some((file, begun_anew(receiving))),
        }
    }

    /// Asks the server for its digest when that of this end is known. Gives a file back whose beginning is of no use.
    pub(crate) fn go_on(&mut self, member: Member, session: &mut Session) -> Option<Planned> {
        let Comparing { file, receiving, stage } = self.compared.get_mut(&member)?;
        let Stage::Hashing(hashing) = stage else { return None };
        match hashing.result()? {
            Ok(own) if own.length() == receiving.length_bytes() => {
                let (path, length) = (file.path.clone(), Some(own.length()));
                let id = session.request(Command::Sum { path, length });
                *stage = Stage::Asking { id, own: Box::new(own), told: None };
                None
            }
            Ok(_) | Err(_) => {
                let Comparing { file, receiving, .. } = self.compared.remove(&member)?;
                self.known.insert(file.path.clone(), begun_anew(receiving));
                Some(file)
            }
        }
    }

    /// The server has told a digest.
    pub(crate) fn digest(&mut self, member: Member, id: RequestId, length: u64, digest: Digest) {
        if let Some(Comparing { stage: Stage::Asking { id: asked, told, .. }, .. }) =
            self.compared.get_mut(&member)
            && *asked == id
        {
            *told = Some((length, digest));
        }
    }

    /// A request has ended.
    pub(crate) fn done(
        &mut self,
        member: Member,
        id: RequestId,
        result: &Result<Success, dialogue::Failure>,
    ) -> Compared {
        let is_asked = |comparing: &Comparing| matches!(&comparing.stage, Stage::Asking { id: asked, .. } if *asked == id);
        let Some(comparing) = self.compared.remove(&member) else { return Compared::Unrelated };
        if !is_asked(&comparing) {
            self.compared.insert(member, comparing);
            return Compared::Unrelated;
        }
        let Comparing { file, receiving, stage } = comparing;
        let Stage::Asking { own, told, .. } = stage else { return Compared::Again(file) };
        match result {
            Ok(_) if told == Some((own.length(), own.digest())) => {
                self.known.insert(file.path.clone(), Some((receiving, *own)));
            }
            Ok(_)
            | Err(dialogue::Failure::Refused {
                code: Some(ErrorCode::BadOffset | ErrorCode::Changed), ..
            }) => {
                self.known.insert(file.path.clone(), begun_anew(receiving));
            }
            Err(failure) if judge(failure) == Verdict::Again && file.tries + 1 < TREE_FILE_TRIES_MAX => {
                return Compared::Again(Planned { tries: file.tries + 1, ..file });
            }
            // What is wrong with the file is told when it is asked for. The part stays for a better time.
            Err(_) => {
                self.known.insert(file.path.clone(), None);
            }
        }
        Compared::Again(file)
    }

    /// The session is gone, with what it was asked.
    pub(crate) fn lose(&mut self, member: Member) -> Option<Planned> {
        self.compared.remove(&member).map(|comparing| comparing.file)
    }
}

/// The part without its content, as far as it can be emptied.
fn begun_anew(mut receiving: Receiving) -> Option<Beginning> {
    receiving.restart().ok().map(|()| (receiving, Hasher::default()))
}
