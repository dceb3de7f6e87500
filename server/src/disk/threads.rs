//! The threads of a lane: how many there are of each kind, and what each does until the lane is closed.

use super::batcher::Batcher;
use super::lane::{Kind, Lane, Links};
use super::{Reports, committer, digester, worker};
use crate::limits::{
    CHANGE_THREADS, DIGEST_THREADS, DISK_THREAD_NICENESS, FLUSH_THREADS, NAME_THREADS, READ_THREADS,
    WRITE_THREADS,
};
use crate::store::folder::Folder;
use crate::store::held_file::Closer;
use crate::store::lane_id::LaneId;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use std::io;
use std::sync::Arc;

/// Makes a lane and starts its threads. `links` does what leads out of the file system of the lane.
pub(super) fn start(
    id: LaneId,
    folder: &Arc<Folder>,
    reports: &Reports,
    links: Option<Arc<Links>>,
) -> io::Result<Arc<Lane>> {
    let (closer, files) = Closer::new(id);
    let lane = Arc::new(Lane::new(folder, reports, closer, links));
    for kind in Kind::ALL {
        for number in 0..kind.threads() {
            spawn(&lane, format!("{}-{number}", kind.name()), move |lane| worker::run(lane, kind))?;
        }
    }
    for number in 0..DIGEST_THREADS {
        spawn(&lane, format!("digest-{number}"), |lane| digester::run(lane.digests(), &lane.reports))?;
    }
    std::thread::Builder::new().name("close".to_owned()).spawn(move || files.iter().for_each(drop))?;
    spawn(&lane, "batch".to_owned(), |lane| {
        Batcher { lane, folder: &lane.folder, flushes: &lane.flushes, reports: &lane.reports }.run();
    })?;
    spawn(&lane, "commit".to_owned(), |lane| committer::run(&lane.folder, &lane.flushes, &lane.reports))?;
    Ok(lane)
}

fn spawn(lane: &Arc<Lane>, name: String, work: impl FnOnce(&Lane) + Send + 'static) -> io::Result<()> {
    let lane = Arc::clone(lane);
    let work = move || {
        yield_to_the_reactor();
        work(&lane);
    };
    std::thread::Builder::new().name(name).spawn(work).map(drop)
}

impl Kind {
    fn threads(self) -> usize {
        match self {
            Self::Names => NAME_THREADS,
            Self::Changes => CHANGE_THREADS,
            Self::Reads => READ_THREADS,
            Self::Writes => WRITE_THREADS,
            Self::Flushes => FLUSH_THREADS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Changes => "changes",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Flushes => "flush",
        }
    }
}

/// Has this thread wait where there are fewer processors than threads that want one: every session waits for the reactor,
/// and only one session for a job.
fn yield_to_the_reactor() {
    // Linux counts niceness by thread. Where it cannot be had, the system shares as it likes.
    let _ = setpriority_process(Some(gettid()), DISK_THREAD_NICENESS);
}
