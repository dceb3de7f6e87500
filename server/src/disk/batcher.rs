//! The thread that puts uploads together into batches, to be published by the next one. It brings those that
//! are still in memory into files, and prepares all for their names. While the committing thread is busy,
//! whatever comes joins the batch.

use super::flushes::{Flushes, Next};
use super::lane::Lane;
use super::publishing::{Commit, Place, Request, Upload};
use super::{Outcome, Reports};
use crate::asker::Asker;
use crate::limits::{BATCH_DIRECTORIES_MAX, BATCH_UPLOADS_MAX};
use crate::store::folder::{Destination, Folder};
use ferry_common::error::ErrorCode;
use ferry_session::action::{Length, Publication};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// The thread's work.
pub(super) struct Batcher<'a> {
    pub(super) lane: &'a Lane,
    pub(super) folder: &'a Folder,
    pub(super) flushes: &'a Flushes,
    pub(super) reports: &'a Reports,
}

/// A batch on its way, and the directories that it goes to. They are known only while one upload comes right
/// behind the other: an upload that waits could meanwhile find another directory under the name.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    places: HashSet<Place>,
    destinations: HashMap<Place, Destination>,
}

impl Batcher<'_> {
    /// Works until no sender of requests is left.
    pub(super) fn run(self) {
        let mut batch = Batch::default();
        loop {
            // Uploads that are there already join the batch, whether or not a flush thread waits for it.
            if batch.commits.len() >= BATCH_UPLOADS_MAX {
                self.hand_over(&mut batch);
            } else if let Some((asker, request)) = self.flushes.try_next() {
                self.add(&mut batch, asker, request);
                continue;
            }
            batch.destinations.clear();
            match self.flushes.next(!batch.commits.is_empty()) {
                Next::Add(asker, request) => self.add(&mut batch, asker, request),
                Next::HandOver => self.hand_over(&mut batch),
                Next::End => break,
            }
        }
        self.hand_over(&mut batch);
        self.flushes.end();
    }

    /// Takes an upload in; one that cannot be is answered.
    fn add(&self, batch: &mut Batch, asker: Asker, request: Request) {
        if self.leads_out(batch, &request.publication)
            && let Some(links) = self.lane.links.as_ref().and_then(|links| links.lane())
        {
            links.commit(asker, request, Instant::now());
            return self.flushes.finish(1);
        }
        let Request { upload, publication } = request;
        let id = publication.id;
        let small_bytes = upload.small_bytes();
        match self.prepare(batch, asker, upload, publication, small_bytes) {
            Ok(commit) => batch.commits.push(commit),
            Err(code) => {
                let result = Err(code);
                self.reports.complete(asker, Outcome::Published { id, result, small_bytes });
                self.flushes.finish(1);
            }
        }
    }

    /// True where the directory of an upload lies on a file system that this lane must not touch.
    fn leads_out(&self, batch: &mut Batch, publication: &Publication) -> bool {
        let Some(place) = Place::of(publication) else { return false };
        if self.lane.links.is_none() || batch.destinations.contains_key(&place) {
            return false;
        }
        match self.folder.destination(&publication.path, publication.conditions.follow) {
            Ok(destination) => {
                batch.destinations.insert(place, destination);
                false
            }
            Err(code) => code == ErrorCode::BadLink,
        }
    }

    fn prepare(
        &self,
        batch: &mut Batch,
        asker: Asker,
        upload: Upload,
        publication: Publication,
        small_bytes: u64,
    ) -> Result<Commit, ErrorCode> {
        let place = Place::of(&publication).ok_or(ErrorCode::IsDirectory)?;
        if batch.places.len() >= BATCH_DIRECTORIES_MAX && !batch.places.contains(&place) {
            self.hand_over(batch);
        }
        batch.places.insert(place.clone());
        let destination = match batch.destinations.entry(place.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(self.folder.destination(&publication.path, publication.conditions.follow)?)
            }
        };
        let (staged, is_flushed) = match upload {
            Upload::Staged { staged, is_flushed } => (staged, is_flushed),
            Upload::Small { content } => {
                let size = Length::Exact(small_bytes);
                let staged = destination.stage(&publication.path, size, asker.address)?;
                staged.append(&content)?;
                (Arc::new(staged), false)
            }
        };
        if !is_flushed {
            // What is flushed was prepared before.
            destination.prepare(&staged, &publication)?;
        }
        Ok(Commit { asker, staged, publication, place, is_flushed, small_bytes, result: Ok(()) })
    }

    fn hand_over(&self, batch: &mut Batch) {
        let Batch { commits, .. } = std::mem::take(batch);
        if !commits.is_empty() {
            self.flushes.hand_over(commits);
        }
    }
}
