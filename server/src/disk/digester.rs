//! The threads that compute digests, a step of each run in turn.

use super::{Digested, Outcome, Reports};
use crate::asker::Asker;
use crate::store::digest_cache::{FileIdentity, read_step};
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use crate::store::readers::Reading;
use crate::store::staging::StagedFile;
use crossbeam_channel::Receiver;
use ferry_common::digest::{Digest, Hasher};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{DIGEST_REPORT_INTERVAL, DIGEST_STEP_BYTES};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

const READ_BYTES: usize = 256 * 1024;

/// One digest on its way. It holds nothing open: when those who wanted it are gone, it ends.
#[derive(Debug)]
pub(super) struct DigestRun {
    asker: Asker,
    source: Source,
    end: u64,
    identity: Option<FileIdentity>,
    /// The file is still in the state of `identity`, now that it was read.
    is_lasting: bool,
    /// When its progress was last told.
    reported: Instant,
    _reading: Option<Arc<Reading>>,
}

#[derive(Debug)]
enum Source {
    File {
        file: Weak<HeldFile>,
        hasher: Box<Hasher>,
    },
    /// Keeps the hasher itself, to go on with what is yet to come.
    Staged(Weak<StagedFile>),
}

impl DigestRun {
    pub(super) fn of_file(
        asker: Asker,
        file: &Arc<HeldFile>,
        end: u64,
        identity: Option<FileIdentity>,
        reading: Option<Arc<Reading>>,
    ) -> Self {
        let source = Source::File { file: Arc::downgrade(file), hasher: Box::default() };
        Self { asker, source, end, identity, is_lasting: false, reported: Instant::now(), _reading: reading }
    }

    pub(super) fn of_staged(asker: Asker, staged: &Arc<StagedFile>, end: u64) -> Self {
        Self {
            asker,
            source: Source::Staged(Arc::downgrade(staged)),
            end,
            identity: None,
            is_lasting: false,
            reported: Instant::now(),
            _reading: None,
        }
    }

    /// One step; the digest when it was the last.
    fn step(&mut self, scratch: &mut [u8]) -> Result<Option<Digest>, ErrorCode> {
        match &mut self.source {
            Source::File { file, hasher } => {
                let file = file.upgrade().ok_or(ErrorCode::BrokenOff)?;
                read_step(file.file(), hasher, self.end, DIGEST_STEP_BYTES, scratch)?;
                if hasher.length() < self.end {
                    return Ok(None);
                }
                self.is_lasting = self.identity.is_some_and(|identity| is_still(&file, &identity));
                Ok(Some(hasher.digest()))
            }
            Source::Staged(staged) => {
                let staged = staged.upgrade().ok_or(ErrorCode::BrokenOff)?;
                let done = staged.hash_step(DIGEST_STEP_BYTES, scratch)?;
                Ok(done.then(|| staged.digest()))
            }
        }
    }
}

/// False also where the file system does not keep the times itself: they may stay while the content changes.
fn is_still(file: &HeldFile, identity: &FileIdentity) -> bool {
    match file.medium() {
        Medium::Foreign => false,
        Medium::Memory | Medium::Local => {
            FileIdentity::of(file.file()).is_ok_and(|now| now.has_content_of(identity))
        }
    }
}

/// Works until nobody can ask any more.
pub(super) fn run(runs: &Receiver<DigestRun>, reports: &Reports) {
    let mut scratch = vec![0; READ_BYTES];
    let mut turns = VecDeque::new();
    loop {
        if turns.is_empty() {
            match runs.recv() {
                Ok(run) => turns.push_back(run),
                Err(_) => return,
            }
        }
        turns.extend(runs.try_iter());
        let Some(mut run) = turns.pop_front() else { continue };
        match run.step(&mut scratch).transpose() {
            None => {
                if run.reported.elapsed() >= DIGEST_REPORT_INTERVAL {
                    run.reported = Instant::now();
                    reports.complete(run.asker, Outcome::Progress { identity: run.identity });
                }
                turns.push_back(run);
            }
            Some(result) => {
                let (identity, length, is_lasting) = (run.identity, run.end, run.is_lasting);
                let digested = Digested { identity, length, result, is_lasting };
                reports.complete(run.asker, Outcome::Digested(digested));
            }
        }
    }
}
