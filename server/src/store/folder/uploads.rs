//! Where uploads go, and where they wait until they are whole.

use super::target::Target;
use super::{Folder, Lookup, size_of_file};
use crate::config::Durability;
use crate::net::address::Address;
use crate::store::attributes::{Attributes, Inherited, Replaced};
use crate::store::errors::Call;
use crate::store::held_file::{Closer, HeldFile};
use crate::store::lane_id::LaneId;
use crate::store::mounts::Medium;
use crate::store::staging::{Home, Room, StagedFile, StagingError, Superseded};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Was;
use ferry_session::access::Cleared;
use ferry_session::action::{Found, Length, Publication};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, FileType, OFlags, Stat, StatxFlags};
use rustix::io::Errno;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The staging place of each mounted file system.
#[derive(Debug)]
pub(super) struct Homes {
    places: Mutex<HashMap<MountId, Arc<Home>>>,
    keep_free_bytes: Option<u64>,
}

/// The kernel's number of a mounted file system.
type MountId = u64;

/// A directory that receives uploads, and the place on its file system where they are staged.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(super) target: Target,
    pub(super) home: Arc<Home>,
    durability: Durability,
    /// What new files get here, once one has come.
    inherited: OnceCell<Inherited>,
}

impl Folder {
    /// Finds where an upload to this path goes, and that uploads may go there.
    pub(crate) fn destination(&self, path: &Cleared, follow: Option<u32>) -> Result<Destination, ErrorCode> {
        let target = self.target(path, follow)?;
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(target.directory(), ".", access, AtFlags::empty())
            .map_err(Call::Open.of(path))?;
        let home = self.home_of(path, &target)?;
        Ok(Destination { target, home, durability: self.durability, inherited: OnceCell::new() })
    }

    /// What is kept of uploads to a path that has got another file just now, or none. Only of a file system to which
    /// something was uploaded since the start: what is kept on others is on record until it is old.
    pub(super) fn superseded(&self, path: &Cleared, target: &Target) -> Option<Superseded> {
        let homes = self.homes.as_ref()?;
        let mount = mount_of(target.directory()).ok()?;
        let home = homes.lock().get(&mount).cloned()?;
        home.superseded(path)
    }

    /// Opens what is kept of an upload to this path, and tells how much it is. That one broke off of which nothing has come
    /// is of no use to a client that wants to go on.
    pub(crate) fn open_partial(&self, path: &Cleared, closer: &Closer) -> Result<(HeldFile, u64), ErrorCode> {
        let target = self.target(path, None)?;
        let partial = self.home_of(path, &target)?.open_partial(path).map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoPartial,
            other => Call::Stage.of(path)(other),
        })?;
        let stat = rustix::fs::fstat(&partial).map_err(Call::Stage.of(path))?;
        if size_of_file(&stat) == 0 {
            return Err(ErrorCode::NoPartial);
        }
        let medium = Medium::of(&partial);
        Ok((HeldFile::new(File::from(partial), medium, closer), size_of_file(&stat)))
    }

    /// How much room there is where a path leads, for uploads and in all. Where nothing may be uploaded, the usual part of
    /// the file system counts as kept free.
    pub(crate) fn space(&self, path: &Cleared) -> Result<Found, ErrorCode> {
        let place = self.resolve(path, OFlags::PATH, Lookup::MayBlock).map_err(Call::Open.of(path))?;
        let keep_free_bytes = self.homes.as_ref().and_then(|homes| homes.keep_free_bytes);
        let room = Room::of(&place, keep_free_bytes).map_err(Call::Open.of(path))?;
        let Room { free_bytes, total_bytes } = room.ok_or(ErrorCode::Unsupported)?;
        Ok(Found::Space { free_bytes, total_bytes })
    }

    /// Removes what is kept beyond its bounds; tells when the next will be too old.
    pub(crate) fn sweep_partials(&self) -> Option<Duration> {
        let homes: Vec<_> = match &self.homes {
            Some(homes) => homes.lock().values().cloned().collect(),
            None => Vec::new(),
        };
        homes.iter().filter_map(|home| home.sweep_partials(self.retention)).min()
    }

    /// Where uploads to a directory are staged: at the top of its file system. What was removed from there is made
    /// again.
    pub(super) fn home_of(&self, path: &RemotePath, target: &Target) -> Result<Arc<Home>, ErrorCode> {
        let homes = self.homes.as_ref().ok_or(ErrorCode::Denied)?;
        let mount = mount_of(target.directory()).map_err(Call::Open.of(path))?;
        let before = homes.lock().get(&mount).cloned();
        if let Some(home) = before {
            if home.is_there() {
                return Ok(home);
            }
            log::warn!("What uploads to the file system of {path} are staged in is gone; it is made again");
            homes.lock().retain(|_, other| !Arc::ptr_eq(other, &home));
        }
        // Prepared without holding the lock: a slow mount delays only its own uploads. Where two came first, one
        // place is used, and the other goes.
        let top = self.top_of_mount(path, mount).map_err(Call::Open.of(path))?;
        let home = Home::prepare(top.as_fd(), homes.keep_free_bytes, self.lane).map_err(|error| {
            log::warn!("Uploads to the file system of {path} are refused: {error}");
            match error {
                StagingError::Call(errno) => Call::Stage.of(path)(errno),
                StagingError::LockedTwice
                | StagingError::NoLocks(_)
                | StagingError::Occupied(_)
                | StagingError::OfAnotherUser { .. } => ErrorCode::CannotStage,
            }
        })?;
        Ok(Arc::clone(homes.lock().entry(mount).or_insert_with(|| Arc::new(home))))
    }

    /// True for the directory in which uploads are staged, by whatever name it was found: some file systems have
    /// several spellings of one name.
    pub(super) fn is_staging(&self, stat: &Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && self.is_staging_inode(stat.st_dev, stat.st_ino)
    }

    pub(super) fn is_staging_inode(&self, device: u64, inode: u64) -> bool {
        let is_home = |homes: &Homes| homes.lock().values().any(|home| home.is_top(device, inode));
        self.homes.as_ref().is_some_and(is_home)
    }

    /// The first directory on the way to a path that is on this file system.
    fn top_of_mount(&self, path: &RemotePath, mount: MountId) -> Result<OwnedFd, Errno> {
        let ancestors = std::iter::successors(path.parent(), RemotePath::parent);
        let mut top = Err(Errno::XDEV);
        for ancestor in ancestors {
            let directory = self.resolve(&ancestor, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::MayBlock)?;
            if mount_of(&directory)? != mount {
                break;
            }
            top = Ok(directory);
        }
        top
    }
}

impl Homes {
    /// Prepares the one of the root's own file system.
    pub(super) fn new(root: &OwnedFd, keep_free_bytes: Option<u64>) -> Result<Self, StagingError> {
        let home = Arc::new(Home::prepare(root.as_fd(), keep_free_bytes, LaneId::ROOT)?);
        Ok(Self { places: Mutex::new(HashMap::from([(mount_of(root)?, home)])), keep_free_bytes })
    }

    /// None yet, for another lane.
    pub(super) fn beside(&self) -> Self {
        Self { places: Mutex::default(), keep_free_bytes: self.keep_free_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MountId, Arc<Home>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destination {
    /// Fails where no file may have the name of `path` here; `new` where no file may have it already.
    pub(crate) fn admit(&self, path: &Cleared, new: bool, was: Option<Was>) -> Result<(), ErrorCode> {
        let name = file_name(path)?;
        self.target.admits(name, new)?;
        self.target.check_was(name, was).map(drop)
    }

    /// Makes an empty staged file that is to become `path`.
    pub(crate) fn stage(
        &self,
        path: &Cleared,
        size: Length,
        address: Address,
    ) -> Result<StagedFile, ErrorCode> {
        StagedFile::create(&self.home, path, size, self.flushes(), address)
    }

    pub(super) fn flushes(&self) -> bool {
        self.durability != Durability::None
    }

    /// Checks and dresses a staged file for its name.
    pub(crate) fn prepare(&self, staged: &StagedFile, publication: &Publication) -> Result<(), ErrorCode> {
        let path = &publication.path;
        let name = file_name(path)?;
        let replaced = self.target.admits(name, publication.new)?;
        self.target.check_was(name, publication.conditions.was)?;
        if publication.expected.is_some_and(|expected| expected != staged.digest()) {
            return Err(ErrorCode::Mismatch);
        }
        staged.complete()?;
        let attributes = match replaced {
            None => Attributes::OfNewFile(self.inherited(path)?),
            Some(stat) => Attributes::Of(Replaced::open(self.target.directory(), name, stat, path)?),
        };
        staged.apply_attributes(&attributes, publication.mtime, publication.executable)
    }

    fn inherited(&self, path: &RemotePath) -> Result<&Inherited, ErrorCode> {
        if let Some(inherited) = self.inherited.get() {
            return Ok(inherited);
        }
        let inherited =
            Inherited::of(self.target.directory(), self.home.directory()).map_err(Call::Stage.of(path))?;
        Ok(self.inherited.get_or_init(|| inherited))
    }

    /// Prepares and flushes a staged file before it is committed; tells whether it is flushed.
    pub(crate) fn flush_ahead(
        &self,
        staged: &StagedFile,
        publication: &Publication,
    ) -> Result<bool, ErrorCode> {
        if self.durability == Durability::None {
            return Ok(false);
        }
        self.prepare(staged, publication)?;
        staged.sync()?;
        Ok(true)
    }

    /// Gives a prepared file its name, where its client still wants that.
    pub(crate) fn receive(&self, staged: &StagedFile, publication: &Publication) -> Result<(), ErrorCode> {
        let name = file_name(&publication.path)?;
        if publication.consent.as_ref().is_some_and(|consent| !consent.holds()) {
            staged.keep();
            return Err(ErrorCode::BrokenOff);
        }
        if staged.is_copy() {
            staged.check_replaced(self.target.state_of(name)?, Medium::of(self.target.directory()))?;
        }
        // What is gone meanwhile cannot be replaced, nor may what comes in its place.
        let was = publication.conditions.was;
        let is_gone = was.is_some() && !self.target.check_was(name, was)?;
        staged.rename_to(self.target.directory(), name, publication.new || is_gone)
    }

    /// Brings the names here to the disk.
    pub(crate) fn flush(&self) -> Result<(), ErrorCode> {
        self.target.flush()
    }
}

pub(super) fn file_name(path: &RemotePath) -> Result<&[u8], ErrorCode> {
    path.file_name().ok_or(ErrorCode::IsDirectory)
}

fn mount_of(directory: &OwnedFd) -> rustix::io::Result<MountId> {
    let flags = AtFlags::EMPTY_PATH;
    Ok(rustix::fs::statx(directory, "", flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}
