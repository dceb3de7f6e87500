//! What a thread does with a job.

use super::lane::{Kind, Lane};
use super::publishing::{Commit, Place, Request, Upload};
use super::{Job, Outcome, committer};
use crate::asker::Asker;
use crate::limits::WARM_WINDOW_BYTES;
use crate::store::digest_cache::FileIdentity;
use crate::store::errors::Call;
use crate::store::folder::{Lookup, OpenFile};
use crate::store::staging::StagedFile;
use ferry_common::error::ErrorCode;
use ferry_session::action::{Found, ListQuery, Publication, Query};
use rustix::fs::Advice;
use rustix::thread::sched_yield;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Size of the pieces in which a cold part of a file is read.
const WARM_READ_BYTES: usize = 256 * 1024;

/// Works until no sender of jobs is left.
pub(super) fn run(lane: &Lane, kind: Kind) {
    let queue = lane.queue(kind);
    while let Some((asker, job)) = queue.take() {
        lane.perform_or_pass_on(asker, job);
        queue.finish();
    }
    lane.handle_thread_end(kind);
}

impl Lane {
    /// Does a job, or passes it on where a link leads to a file system that this lane must not touch.
    fn perform_or_pass_on(&self, asker: Asker, job: Job) {
        let links = self.links.as_ref();
        let again = links.and_then(|_| job.again());
        let Some(outcome) = self.perform(asker, job) else { return };
        if outcome.leads_out()
            && let (Some(job), Some(lane)) = (again, links.and_then(|links| links.lane()))
        {
            return lane.submit(asker, job, Instant::now());
        }
        self.reports.complete(asker, outcome);
    }

    /// Does a job; `None` where its outcome is reported elsewhere, or not at all.
    fn perform(&self, asker: Asker, job: Job) -> Option<Outcome> {
        match job {
            Job::List(query) => {
                self.list(&query);
                None
            }
            Job::Query(Query::Stat { path }) => {
                Some(Outcome::Found(self.folder.entry(&path).map(Found::Entry)))
            }
            Job::Query(Query::Sum { path, length }) => {
                Some(Outcome::SumOpened(self.folder.open_for_sum(&path, length, &self.closer)))
            }
            Job::Query(Query::Partial { path }) => {
                Some(Outcome::SumOpened(self.folder.open_partial(&path, &self.closer)))
            }
            Job::Query(Query::Df { path }) => Some(Outcome::Found(self.folder.space(&path))),
            Job::Change(change) => Some(Outcome::Changed(self.folder.change(&change))),
            Job::Open { path } => {
                let open = self
                    .folder
                    .open_file(&path, Lookup::MayBlock, &self.closer)
                    .map_err(Call::Open.of(&path));
                Some(Outcome::Opened(open.and_then(OpenFile::with_known_size)))
            }
            Job::Stage { path, size, new, conditions, beginning } => {
                let upload = (size, new, beginning);
                let staged = self.folder.stage(&path, upload, conditions, asker.address, &self.closer);
                Some(Outcome::Staged(staged.map(|file| {
                    let beginning_bytes = file.beginning_bytes();
                    (Arc::new(file), beginning_bytes)
                })))
            }
            Job::Write { staged, buffers } => Some(write(&staged, buffers)),
            Job::Warm { file, part, reading } => match warm(file.file(), part, self.reading_time()) {
                Ok(Some(part)) => {
                    self.put(asker, Job::Warm { file, part, reading });
                    None
                }
                done => Some(Outcome::Warmed(done.map(drop))),
            },
            Job::Read { file, offset, mut buffer, reading: _reading } => {
                let result = buffer.fill_from(file.file(), offset).map(|()| buffer);
                Some(Outcome::Read { offset, result })
            }
            Job::Inspect { file } => Some(Outcome::Inspected(FileIdentity::of(file.file()))),
            Job::Publish { staged, publication } => self.publish(asker, staged, publication),
            Job::Discard { staged } => {
                drop(staged);
                None
            }
            Job::Keep { staged } => {
                let path = staged.path().clone();
                staged.keep();
                drop(staged);
                Some(Outcome::Kept { path, next: self.folder.sweep_partials() })
            }
            Job::Sweep => Some(Outcome::Swept(self.folder.sweep_partials())),
        }
    }

    /// Answers every session that waits for this part of a listing.
    fn list(&self, query: &ListQuery) {
        let waiters = self.listings.begin(query);
        let part = Arc::new(self.folder.list(query));
        let outcome = || Outcome::Listed(Arc::clone(&part));
        if outcome().leads_out()
            && let Some(lane) = self.links.as_ref().and_then(|links| links.lane())
        {
            for waiter in waiters {
                lane.submit(waiter, Job::List(query.clone()), Instant::now());
            }
            return;
        }
        waiters.into_iter().for_each(|waiter| self.reports.complete(waiter, outcome()));
        if part.as_ref().as_ref().is_ok_and(|part| part.next.is_some()) {
            // Where processors are few, a thread that the system has set aside in the middle of a job goes on
            // before this one begins the next part: its session waits for less.
            sched_yield();
        }
    }

    /// Flushes a file here, so that the small ones do not wait for it. It gets its name here as well where no other waits
    /// for this thread, so that it does not wait for a batch of small ones either; else it shares their flush of the
    /// directory.
    fn publish(&self, asker: Asker, staged: Arc<StagedFile>, publication: Publication) -> Option<Outcome> {
        let destination = self.folder.destination(&publication.path, publication.conditions.follow);
        let is_flushed = match destination.and_then(|found| found.flush_ahead(&staged, &publication)) {
            Ok(is_flushed) => is_flushed,
            Err(code) => {
                let result = Err(code);
                return Some(Outcome::Published { id: publication.id, result, small_bytes: 0 });
            }
        };
        match Place::of(&publication) {
            Some(place) if is_flushed && !self.has_flush_waiting() => {
                let (small_bytes, result) = (0, Ok(()));
                let commit = Commit { asker, staged, publication, place, is_flushed, small_bytes, result };
                committer::commit(vec![commit], &self.folder, &self.reports);
            }
            Some(_) | None => {
                let upload = Upload::Staged { staged, is_flushed };
                self.commit(asker, Request { upload, publication }, Instant::now());
            }
        }
        None
    }
}

fn write(staged: &StagedFile, buffers: Vec<(Vec<u8>, usize)>) -> Outcome {
    let mut result = Ok(0);
    let mut emptied = Vec::with_capacity(buffers.len());
    for (buffer, length) in buffers {
        result = result.and_then(|written| {
            staged.append(&buffer[..length])?;
            Ok(written + length as u64)
        });
        emptied.push(buffer);
    }
    Outcome::Written { buffers: emptied, result }
}

/// Reads a part of a file for its side effect on the page cache, and has the system read on behind it. Gives what is left
/// after this time: what is mostly there already is not to wait more than once for what is not.
fn warm(file: &File, part: Range<u64>, time: Duration) -> Result<Option<Range<u64>>, ErrorCode> {
    let mut scratch = vec![0; WARM_READ_BYTES];
    let began = Instant::now();
    let mut at = part.start;
    while at < part.end {
        let wanted = usize::try_from(part.end - at).unwrap_or(usize::MAX).min(WARM_READ_BYTES);
        match file.read_at(&mut scratch[..wanted], at) {
            // The end of the file came early; sending will find out the same.
            Ok(0) => break,
            Ok(count) => at += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Call::Read.of_file_io(file)(error)),
        }
        if at < part.end && began.elapsed() >= time {
            return Ok(Some(at..part.end));
        }
    }
    // Only advice: what comes of it does not matter.
    let _ = rustix::fs::fadvise(file, part.end, NonZeroU64::new(WARM_WINDOW_BYTES), Advice::WillNeed);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_whose_time_is_over_is_read_on_from_there_and_never_in_vain() {
        let file = tempfile::tempfile().unwrap();
        let piece = WARM_READ_BYTES as u64;
        file.set_len(3 * piece).unwrap();
        let mut left = Some(piece / 2..3 * piece);
        let mut turns = 0;
        while let Some(part) = left {
            left = warm(&file, part.clone(), Duration::ZERO).unwrap();
            assert!(left.as_ref().is_none_or(|left| left.start > part.start && left.end == part.end));
            turns += 1;
        }
        assert_eq!(turns, 3);
        assert_eq!(warm(&file, 0..3 * piece, Duration::MAX), Ok(None));
        assert_eq!(warm(&file, 2 * piece..9 * piece, Duration::ZERO), Ok(Some(3 * piece..9 * piece)));
        assert_eq!(warm(&file, 3 * piece..9 * piece, Duration::ZERO), Ok(None), "the file ends there");
    }
}
