//! The lanes of all mounted file systems, and which of them a job is for. A lane is made when its file system is first
//! asked for something, and ends when it was not used for a while, so that its mount can go. Only names decide here;
//! no file system is asked anything.

use super::lane::{Lane, Links};
use super::publishing::Request;
use super::{Job, Outcome, Reports, threads};
use crate::asker::Asker;
use crate::limits::{LANE_IDLE_TIME, LANES_MAX};
use crate::store::folder::Folder;
use crate::store::lane_id::LaneId;
use crate::store::mount_table::MountTable;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_session::access::Cleared;
use ferry_session::action::{Change, ListQuery, Query};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Lanes {
    folder: Arc<Folder>,
    reports: Reports,
    root: Arc<Lane>,
    links: Arc<Links>,
    mounts: Mutex<Mounts>,
}

#[derive(Debug)]
struct Mounts {
    /// `None` where the kernel has none to read: then all jobs begin in the root's lane.
    table: Option<MountTable>,
    lanes: HashMap<LaneId, Used>,
}

#[derive(Debug)]
struct Used {
    lane: Arc<Lane>,
    /// When it was last given something, or seen at work.
    last: Instant,
}

/// Where a job is to be done.
enum Place<'a> {
    At(&'a Cleared),
    Between(&'a Cleared, &'a Cleared),
    In(LaneId),
}

impl Lanes {
    pub(super) fn start(folder: &Arc<Folder>, reports: &Reports) -> io::Result<Self> {
        let links = Arc::new(Links::new(folder.for_lane(LaneId::LINKS), reports, threads::start));
        let root = threads::start(LaneId::ROOT, folder, reports, Some(Arc::clone(&links)))?;
        let table = MountTable::open()
            .inspect_err(|error| log::warn!("Cannot tell which directories are mount points: {error}"))
            .ok();
        let mounts = Mutex::new(Mounts { table, lanes: HashMap::new() });
        let lanes = Self { folder: Arc::clone(folder), reports: reports.clone(), root, links, mounts };
        lanes.read_mounts();
        Ok(lanes)
    }

    pub(super) fn root(&self) -> &Lane {
        &self.root
    }

    /// The descriptor by which a poll for priority events tells that mounts have changed.
    pub(super) fn mounts_fd(&self) -> Option<i32> {
        self.mounts().table.as_ref().map(MountTable::raw_fd)
    }

    /// Mounts have changed: lets go of those that are gone.
    pub(super) fn read_mounts(&self) {
        let mut mounts = self.mounts();
        let Mounts { table: Some(table), lanes } = &mut *mounts else { return };
        let read = self.folder.location().and_then(|root| table.read(&root));
        match read {
            Ok(gone) => gone.into_iter().filter_map(|id| lanes.remove(&id)).for_each(let_go),
            Err(error) => log::warn!("Cannot tell which directories are mount points: {error}"),
        }
    }

    pub(super) fn submit(&self, asker: Asker, job: Job, now: Instant) {
        let id = match job.place() {
            Place::In(id) => id,
            Place::At(path) => self.lane_of(path),
            Place::Between(from, to) => {
                let (source, target) = (self.lane_of(from), self.lane_of(to));
                if source != target {
                    let is_held = self.is_mount_point(from) || self.is_mount_point(to);
                    let code = if is_held { ErrorCode::InUse } else { ErrorCode::CrossDevice };
                    return self.reports.complete(asker, Outcome::Changed(Err(code)));
                }
                source
            }
        };
        self.get(id, now).submit(asker, job, now);
    }

    /// Has every lane remove what is kept beyond its bounds.
    pub(super) fn sweep(&self, now: Instant) {
        for lane in self.all() {
            lane.submit(Asker::server(), Job::Sweep, now);
        }
    }

    pub(super) fn commit(&self, asker: Asker, id: Option<LaneId>, request: Request, now: Instant) {
        let id = id.unwrap_or_else(|| self.lane_of(&request.publication.path));
        self.get(id, now).commit(asker, request, now);
    }

    /// A lane by its name: one that has ended is made again.
    pub(super) fn get(&self, id: LaneId, now: Instant) -> Arc<Lane> {
        if id == LaneId::ROOT {
            return Arc::clone(&self.root);
        }
        let beside = || Arc::clone(self.links.lane().unwrap_or(&self.root));
        if id == LaneId::LINKS {
            return beside();
        }
        let mut mounts = self.mounts();
        if let Some(used) = mounts.lanes.get_mut(&id) {
            used.last = now;
            return Arc::clone(&used.lane);
        }
        if mounts.lanes.len() >= LANES_MAX {
            return beside();
        }
        let folder = Arc::new(self.folder.for_lane(id));
        match threads::start(id, &folder, &self.reports, None) {
            Ok(lane) => {
                mounts.lanes.insert(id, Used { lane: Arc::clone(&lane), last: now });
                lane
            }
            Err(error) => {
                log::error!("Cannot start threads for another file system: {error}");
                beside()
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        let mut lanes = vec![Arc::clone(&self.root)];
        lanes.extend(self.links.started().cloned());
        lanes.extend(self.mounts().lanes.values().map(|used| Arc::clone(&used.lane)));
        lanes
    }

    /// When [`Lanes::end_unused`] may have something to do.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.mounts().lanes.values().map(|used| used.last + LANE_IDLE_TIME).min()
    }

    /// Ends the lanes that were not used for a while.
    pub(super) fn end_unused(&self, now: Instant) {
        let mut mounts = self.mounts();
        let mut unused = Vec::new();
        for (id, used) in &mut mounts.lanes {
            if now < used.last + LANE_IDLE_TIME {
                continue;
            }
            if used.lane.is_idle() { unused.push(*id) } else { used.last = now }
        }
        unused.into_iter().filter_map(|id| mounts.lanes.remove(&id)).for_each(let_go);
    }

    fn lane_of(&self, path: &RemotePath) -> LaneId {
        self.mounts().table.as_ref().map_or(LaneId::ROOT, |table| table.lane_of(path))
    }

    fn is_mount_point(&self, path: &RemotePath) -> bool {
        self.mounts().table.as_ref().is_some_and(|table| table.is_mount_point(path))
    }

    fn mounts(&self) -> MutexGuard<'_, Mounts> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a lane. Whatever of it is on its file system goes on a thread of its own: that may wait.
fn let_go(used: Used) {
    used.lane.close();
    // Where no thread can be had, the lane's own threads are most likely the last to hold it.
    let _ = std::thread::Builder::new().name("let-go".to_owned()).spawn(move || drop(used));
}

impl Job {
    fn place(&self) -> Place<'_> {
        match self {
            Self::List(ListQuery { path, .. })
            | Self::Open { path }
            | Self::Stage { path, .. }
            | Self::Query(
                Query::Stat { path } | Query::Sum { path, .. } | Query::Partial { path } | Query::Df { path },
            )
            | Self::Change(
                Change::Mkdir { path, .. }
                | Change::Rm { path, .. }
                | Change::Mtime { path, .. }
                | Change::Chmod { path, .. },
            ) => Place::At(path),
            Self::Change(Change::Mv { from, to, .. }) => Place::Between(from, to),
            Self::Warm { file, .. } | Self::Read { file, .. } | Self::Inspect { file } => {
                Place::In(file.lane())
            }
            Self::Write { staged, .. }
            | Self::Publish { staged, .. }
            | Self::Discard { staged }
            | Self::Keep { staged } => Place::In(staged.lane()),
            Self::Sweep => Place::In(LaneId::ROOT),
        }
    }

    /// The same job once more, where it begins with a path that may lead to another file system.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::List(query) => Some(Self::List(query.clone())),
            Self::Query(query) => Some(Self::Query(query.clone())),
            Self::Change(change) => Some(Self::Change(change.clone())),
            Self::Open { path } => Some(Self::Open { path: path.clone() }),
            Self::Stage { path, size, new, conditions, beginning } => {
                let (path, size, new, beginning) = (path.clone(), *size, *new, *beginning);
                Some(Self::Stage { path, size, new, conditions: *conditions, beginning })
            }
            Self::Write { .. }
            | Self::Warm { .. }
            | Self::Read { .. }
            | Self::Inspect { .. }
            | Self::Publish { .. }
            | Self::Discard { .. }
            | Self::Keep { .. }
            | Self::Sweep => None,
        }
    }
}

impl Outcome {
    /// True where a link leads out of what the lane may enter: out of the folder, or to another file system in it.
    pub(super) fn leads_out(&self) -> bool {
        let code = match self {
            Self::Listed(part) => part.as_ref().as_ref().err(),
            Self::Found(result) => result.as_ref().err(),
            Self::Changed(result) => result.as_ref().err(),
            Self::SumOpened(result) => result.as_ref().err(),
            Self::Opened(result) => result.as_ref().err(),
            Self::Staged(result) => result.as_ref().err(),
            Self::Written { .. }
            | Self::Warmed(_)
            | Self::Read { .. }
            | Self::Inspected(_)
            | Self::Published { .. }
            | Self::Progress { .. }
            | Self::Digested(_)
            | Self::Kept { .. }
            | Self::Swept(_) => None,
        };
        code == Some(&ErrorCode::BadLink)
    }
}
