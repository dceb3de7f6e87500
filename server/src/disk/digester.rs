//! The threads that compute digests, a step of each run in turn.

use super::turns::Turns;
use super::{Digested, Outcome, Reports};
use crate::limits::{DIGEST_REPORT_INTERVAL, DIGEST_STEP_BYTES, DIGEST_STEP_TIME};
use crate::store::digest_cache::{FileIdentity, read_step};
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use crate::store::readers::Reading;
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::{Digest, Hasher};
use std::sync::{Arc, Weak};
use std::time::Instant;

const READ_BYTES: usize = 256 * 1024;

/// One digest on its way. It holds nothing open: when the sessions that wanted it are gone, the run ends.
#[derive(Debug)]
pub(super) struct DigestRun {
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
    /// Goes through what it begins with, and keeps the hasher itself, to go on with what is yet to come.
    Staged(Weak<StagedFile>),
}

impl DigestRun {
    pub(super) fn of_file(
        file: &Arc<HeldFile>,
        end: u64,
        identity: Option<FileIdentity>,
        reading: Option<Arc<Reading>>,
    ) -> Self {
        let source = Source::File { file: Arc::downgrade(file), hasher: Box::default() };
        Self { source, end, identity, is_lasting: false, reported: Instant::now(), _reading: reading }
    }

    pub(super) fn of_staged(staged: &Arc<StagedFile>, end: u64) -> Self {
        let source = Source::Staged(Arc::downgrade(staged));
        Self { source, end, identity: None, is_lasting: false, reported: Instant::now(), _reading: None }
    }

    /// What its end is told with, but for the result.
    pub(super) fn described(&self) -> Digested {
        let (identity, length, is_lasting) = (self.identity, self.end, self.is_lasting);
        Digested { identity, length, result: Err(ErrorCode::BrokenOff), is_lasting }
    }

    /// One step; the digest when it was the last.
    fn step(&mut self, scratch: &mut [u8]) -> Result<Option<Digest>, ErrorCode> {
        match &mut self.source {
            Source::File { file, hasher } => {
                let file = file.upgrade().ok_or(ErrorCode::BrokenOff)?;
                let until = Instant::now() + DIGEST_STEP_TIME;
                let stop = hasher.length().saturating_add(DIGEST_STEP_BYTES).min(self.end);
                while hasher.length() < stop && Instant::now() < until {
                    read_step(file.file(), hasher, stop, scratch.len() as u64, scratch)?;
                }
                if hasher.length() < self.end {
                    return Ok(None);
                }
                self.is_lasting = self.identity.is_some_and(|identity| is_still(&file, &identity));
                Ok(Some(hasher.digest()))
            }
            Source::Staged(staged) => {
                let staged = staged.upgrade().ok_or(ErrorCode::BrokenOff)?;
                let done = staged.begin_step(DIGEST_STEP_BYTES, scratch)?;
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

/// Works until no sender of requests is left.
pub(super) fn run(runs: &Turns<DigestRun>, reports: &Reports) {
    let mut scratch = vec![0; READ_BYTES];
    while let Some((asker, mut run)) = runs.take() {
        match run.step(&mut scratch).transpose() {
            None => {
                if run.reported.elapsed() >= DIGEST_REPORT_INTERVAL {
                    run.reported = Instant::now();
                    reports.complete(asker, Outcome::Progress { identity: run.identity });
                }
                runs.put_back(asker, run);
            }
            Some(result) => {
                let digested = Digested { result, ..run.described() };
                reports.complete(asker, Outcome::Digested(digested));
                runs.finish();
            }
        }
    }
}
