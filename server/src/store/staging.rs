//! Where uploads wait until they are whole: a hidden directory at the top of each file system that the
//! folder spans, so that a rename publishes them.
//!
//! Each server process has a subdirectory of its own there, which it claims by a lock while it lives. What a
//! dead server left is looked through when the next one starts: large uploads are kept for their clients to
//! go on with, as are small ones of which it must be known that they broke off, and the rest is removed. What a living one has is left alone. Nothing is ever written to a file that
//! has got its name.

mod abandoned;
mod beginning;
mod claim;
mod error;
mod home;
mod naming;
mod partials;
mod permits;
mod space;

use crate::limits::{SPACE_STEP_BYTES, UPLOAD_UNFLUSHED_BYTES};
use crate::net::address::Address;
use crate::store::attributes::{Attributes, Undressed};
use crate::store::errors::Call;
use crate::store::lane_id::LaneId;
use crate::store::names::{self, Name, Renamed};
use crate::store::shortfalls::{Shortfall, is_unsupported_flush};
pub(crate) use beginning::{KeptPart, Original, Replaceable};
use beginning::{Lead, Origin, Source};
pub(crate) use error::StagingError;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, FILE_MAX_BYTES};
use ferry_common::wire::digest::{Digest, Hasher};
use ferry_common::wire::file_time::FileTime;
use ferry_session::access::Cleared;
use ferry_session::action::Length;
pub(crate) use home::{Home, Superseded};
use naming::Remains;
pub(crate) use partials::Retention;
use permits::{OPEN_WHOLE, Permit};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use space::Announcement;
pub(crate) use space::Room;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file that has no name that a client could use. When it is dropped and was not renamed, a new one is removed, and
/// one that was kept before is kept again.
#[derive(Debug)]
pub(crate) struct StagedFile {
    home: Arc<Home>,
    name: String,
    /// What it is to become.
    path: Cleared,
    size: Length,
    /// Data is brought to the disk while it comes.
    flush: bool,
    origin: Origin,
    content: Mutex<Content>,
    renamed: AtomicBool,
}

#[derive(Debug)]
struct Content {
    /// Where bytes can still be written, or flushed.
    file: Option<File>,
    hasher: Hasher,
    unflushed_bytes: u64,
    /// Up to here space was set aside, where the file system can do that.
    reserved_bytes: u64,
    announcement: Option<Announcement>,
    flushing: Flushing,
    /// To have the file open though it is whole; held until the file is let go of.
    _permit: Option<Permit>,
    lead: Lead,
    /// From where it is copied, until that is done.
    source: Option<Source>,
    /// What it was like before it was given what belongs to its name.
    undressed: Option<Undressed>,
    /// What was kept before of uploads to the name that it has got.
    superseded: Option<Superseded>,
}

/// How a whole file is to come to the disk.
#[derive(Debug)]
enum Flushing {
    /// By the descriptor that it was written by.
    ByFile,
    /// With its whole file system, which tells of errors whatever was closed meanwhile.
    WithAll,
    /// Its content is there already.
    Done,
}

impl StagedFile {
    /// Makes an empty file, where its file system has room for what it is to become.
    pub(crate) fn create(
        home: &Arc<Home>,
        path: &Cleared,
        size: Length,
        flush: bool,
        address: Address,
    ) -> Result<Self, ErrorCode> {
        let staged = Self::make(home, path, size, flush, Origin::Nothing, address)?;
        staged.close_if_whole()?;
        Ok(staged)
    }

    fn make(
        home: &Arc<Home>,
        path: &Cleared,
        size: Length,
        flush: bool,
        origin: Origin,
        address: Address,
    ) -> Result<Self, ErrorCode> {
        let announcement = match size {
            Length::Exact(bytes) if bytes <= EAGER_MAX_BYTES => {
                home.space().take(home.directory(), bytes)?;
                None
            }
            Length::Exact(_) | Length::UntilClose => {
                Some(home.space().announce(home.directory(), address, announced_bytes(size, 0))?)
            }
        };
        let name = home.new_name(path, origin.remains(size));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // As any new file; the directory around it keeps others out until it is published.
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = rustix::fs::openat(home.directory(), &name, flags, mode).map_err(Call::Stage.of(path))?;
        let staged = Self::new(home, name, path, size, flush, origin, File::from(file));
        staged.content().announcement = announcement;
        Ok(staged)
    }

    /// What it is to become.
    pub(crate) fn path(&self) -> &Cleared {
        &self.path
    }

    /// Whose threads do what may wait for it.
    pub(crate) fn lane(&self) -> LaneId {
        self.home.lane()
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Writes what comes next. The bytes of a file come in their order, one call at a time.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), ErrorCode> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut content = self.content();
        let offset = content.hasher.length();
        // The session has let go of it.
        if content.file.is_none() || content.lead == Lead::Unread {
            return Err(ErrorCode::BrokenOff);
        }
        self.drop_rest(&mut content)?;
        self.make_room(&mut content, bytes.len() as u64)?;
        let Some(file) = &content.file else { return Err(ErrorCode::BrokenOff) };
        file.write_all_at(bytes, offset).map_err(Call::Write.of_file_io(file))?;
        content.hasher.update(bytes);
        self.note_written(&mut content, bytes.len() as u64)?;
        drop(content);
        self.close_if_whole()
    }

    /// Now and then, what is written is brought to the disk while more comes.
    fn note_written(&self, content: &mut Content, bytes: u64) -> Result<(), ErrorCode> {
        content.unflushed_bytes += bytes;
        if self.flush && content.unflushed_bytes >= UPLOAD_UNFLUSHED_BYTES {
            if let Some(file) = &content.file {
                self.flushed(rustix::fs::fdatasync(file))?;
            }
            content.unflushed_bytes = 0;
        }
        Ok(())
    }

    /// Nothing follows what is written: an upload whose size was not known is whole.
    pub(crate) fn complete(&self) -> Result<(), ErrorCode> {
        let mut content = self.content();
        if content.lead == Lead::Unread {
            return Err(ErrorCode::BrokenOff);
        }
        self.drop_rest(&mut content)?;
        if self.size == Length::UntilClose
            && let Content { file: Some(file), hasher, .. } = &*content
        {
            // Gives back the space that was set aside for more.
            rustix::fs::ftruncate(file, hasher.length()).map_err(Call::Write.of(&self.path))?;
            content.announcement = None;
        }
        Ok(())
    }

    /// The digest of what is written.
    pub(crate) fn digest(&self) -> Digest {
        self.content().hasher.digest()
    }

    /// Gives it what it is to have beside its content, the time and the executable bit that its client asked for included.
    pub(crate) fn apply_attributes(
        &self,
        attributes: &Attributes<'_>,
        mtime: Option<FileTime>,
        executable: Option<bool>,
    ) -> Result<(), ErrorCode> {
        let directory = self.home.directory();
        if let Some(mtime) = mtime {
            let time = Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanoseconds().into() };
            let times = Timestamps { last_access: time, last_modification: time };
            let set = rustix::fs::utimensat(directory, &self.name, &times, AtFlags::SYMLINK_NOFOLLOW);
            if let Err(errno) = set {
                Shortfall::Time.tell(directory, &self.path, errno);
            }
        }
        if attributes.are_there(executable) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &self.name, flags, Mode::empty())
            .map_err(Call::Stage.of(&self.path))?;
        let undressed = Undressed::of(&file).map_err(Call::Stage.of(&self.path))?;
        self.content().undressed.get_or_insert(undressed);
        attributes.give_to(&file, executable, &self.path)
    }

    /// Brings the content to the disk, where its file system can do that.
    pub(crate) fn sync(&self) -> Result<(), ErrorCode> {
        let mut content = self.content();
        if let Content { file: Some(file), flushing: Flushing::ByFile, .. } = &*content {
            self.flushed(rustix::fs::fsync(file))?;
            content.file = None;
            content._permit = None;
            content.flushing = Flushing::Done;
            return Ok(());
        }
        if matches!(content.flushing, Flushing::WithAll) {
            // Where it was told of an error once, a success proves nothing any more.
            if !self.home.flush_all().map_err(Call::Flush.of(&self.path))? {
                return Err(Call::Flush.of(&self.path)(Errno::IO));
            }
            content.flushing = Flushing::Done;
            return Ok(());
        }
        // Its content is there, but not what it was given since.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(self.home.directory(), &self.name, flags, Mode::empty()) {
            Ok(file) => self.flushed(rustix::fs::fsync(file)),
            // The file has the permissions of the one that it replaces, by which even its owner may not read it.
            Err(Errno::ACCESS) => self.flushed(rustix::fs::syncfs(self.home.directory())),
            Err(errno) => Err(Call::Stage.of(&self.path)(errno)),
        }
    }

    /// What came of a flush, but for file systems that have none.
    fn flushed(&self, result: rustix::io::Result<()>) -> Result<(), ErrorCode> {
        match result {
            Err(errno) if is_unsupported_flush(errno) => {
                Shortfall::FileFlush.tell(self.home.directory(), &self.path, errno);
                Ok(())
            }
            result => result.map_err(Call::Flush.of(&self.path)),
        }
    }

    /// Gives the file its name; `new` where it must be free, else in place of whatever file has it.
    pub(crate) fn rename_to(&self, directory: &OwnedFd, name: &[u8], new: bool) -> Result<(), ErrorCode> {
        // From now on nothing can be written to it.
        self.content().file = None;
        let superseded = self.home.superseded(&self.path);
        let from = Name { directory: self.home.directory(), name: self.name.as_bytes() };
        let to = Name { directory, name };
        let renamed = if new {
            names::rename_file(from, to)
        } else {
            rustix::fs::renameat(from.directory, from.name, to.directory, to.name).map(|()| Renamed::Done)
        };
        match renamed {
            Ok(Renamed::Done) => self.renamed.store(true, Ordering::Relaxed),
            Ok(Renamed::Linked) => {
                let removed = rustix::fs::unlinkat(from.directory, from.name, AtFlags::empty());
                self.renamed.store(removed.is_ok(), Ordering::Relaxed);
            }
            // Either the directory is removed, or the staged file.
            Err(Errno::NOENT) if !self.is_staged() => return Err(Call::Stage.of(&self.path)(Errno::NOENT)),
            Err(errno) => return Err(Call::Publish.of(&self.path)(errno)),
        }
        self.content().superseded = superseded;
        Ok(())
    }

    /// Its name is on the disk: what was kept before of uploads to it is of no more use.
    pub(crate) fn remove_superseded(&self) {
        let superseded = self.content().superseded.take();
        superseded.into_iter().for_each(Superseded::remove);
    }

    fn is_staged(&self) -> bool {
        rustix::fs::statat(self.home.directory(), &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// True where something is kept of it, be it nothing but that it broke off, when it ends without being published.
    pub(crate) fn leaves_record(&self) -> bool {
        self.remains() == Remains::Any
    }

    fn remains(&self) -> Remains {
        self.origin.remains(self.size)
    }

    /// Puts what has come of it where its client can find it again, as far as [`Remains`] says.
    pub(crate) fn keep(&self) {
        let mut content = self.content();
        // A write that is still on its way must not reach a file that another session goes on with.
        let file = content.file.take();
        let written = content.hasher.length();
        let is_worth = match self.remains() {
            Remains::Nothing => false,
            Remains::Large => written > EAGER_MAX_BYTES,
            Remains::Any => true,
        };
        if content.lead != Lead::Done || !is_worth {
            return;
        }
        if let Some(file) = file {
            // Gives back the space that was set aside for more; a matter of tidiness only.
            let _ = rustix::fs::ftruncate(&file, written);
            // A client that goes on with it may not be able to tell what is missing after a power cut.
            if self.leaves_record() && self.flush && self.flushed(rustix::fs::fsync(&file)).is_err() {
                return;
            }
        }
        if let Some(undressed) = content.undressed.take() {
            undressed.give_back_to(self.home.directory(), &self.name);
        }
        if self.home.keep(&self.name, &self.path).is_ok() {
            self.renamed.store(true, Ordering::Relaxed);
        }
    }

    fn new(
        home: &Arc<Home>,
        name: String,
        path: &Cleared,
        size: Length,
        flush: bool,
        origin: Origin,
        file: File,
    ) -> Self {
        let (lead, kept_bytes) = match &origin {
            Origin::Kept(kept) => (Lead::Unread, kept.offset),
            Origin::Copy(..) if origin.bytes().is_some() => (Lead::Unread, 0),
            Origin::Nothing | Origin::Copy(..) => (Lead::Done, 0),
        };
        let content = Content {
            file: Some(file),
            hasher: Hasher::default(),
            unflushed_bytes: 0,
            reserved_bytes: kept_bytes,
            announcement: None,
            flushing: Flushing::ByFile,
            _permit: None,
            lead,
            source: None,
            undressed: None,
            superseded: None,
        };
        let (home, path, content) = (Arc::clone(home), path.clone(), Mutex::new(content));
        Self { home, name, path, size, flush, origin, content, renamed: AtomicBool::new(false) }
    }

    /// Sees that so much more can be written, and has space set aside for it and some of what follows. A small
    /// file was asked for when it was made.
    fn make_room(&self, content: &mut Content, bytes: u64) -> Result<(), ErrorCode> {
        let end = content.hasher.length().saturating_add(bytes);
        let most_bytes = match self.size {
            Length::Exact(bytes) if bytes <= EAGER_MAX_BYTES => return Ok(()),
            Length::Exact(bytes) => bytes,
            Length::UntilClose => FILE_MAX_BYTES,
        };
        if end <= content.reserved_bytes {
            return Ok(());
        }
        let Some(file) = &content.file else { return Ok(()) };
        let (start, space) = (content.reserved_bytes, self.home.space());
        let needed_bytes = end - start;
        let step_bytes = needed_bytes.max(SPACE_STEP_BYTES).min(most_bytes.saturating_sub(start));
        let reserved_bytes = match space.take(file, step_bytes) {
            Ok(()) => step_bytes,
            Err(_) => space.take(file, needed_bytes).map(|()| needed_bytes)?,
        };
        // Where it cannot be set aside, the writes themselves tell whether there is room.
        let _ = rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, start, reserved_bytes)
        });
        content.reserved_bytes = start + reserved_bytes;
        if let Some(announcement) = &mut content.announcement {
            let copied_later = self.origin.bytes().unwrap_or(0).saturating_sub(start + reserved_bytes);
            let later_bytes = announced_bytes(self.size, start + reserved_bytes);
            announcement.shrink_to(copied_later.saturating_add(later_bytes));
        }
        Ok(())
    }

    /// A whole file has its descriptor closed while it waits for its flush, but for a few, and but for those whose
    /// errors could be told by nothing else.
    fn close_if_whole(&self) -> Result<(), ErrorCode> {
        let mut content = self.content();
        let is_whole = matches!(self.size, Length::Exact(bytes) if content.hasher.length() >= bytes);
        if !is_whole || content.lead == Lead::Unread {
            return Ok(());
        }
        self.drop_rest(&mut content)?;
        content.announcement = None;
        let Some(file) = &content.file else { return Ok(()) };
        if !self.flush {
            content.flushing = Flushing::Done;
        } else if let Some(permit) = OPEN_WHOLE.try_take() {
            content._permit = Some(permit);
            return Ok(());
        } else if self.home.is_flushable() {
            content.flushing = Flushing::WithAll;
        } else {
            self.flushed(rustix::fs::fdatasync(file))?;
            content.flushing = Flushing::Done;
        }
        content.file = None;
        Ok(())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an upload of this size may still write behind the offset, as far as that is known.
fn announced_bytes(size: Length, offset: u64) -> u64 {
    match size {
        Length::Exact(bytes) => bytes.saturating_sub(offset),
        Length::UntilClose => SPACE_STEP_BYTES,
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.renamed.load(Ordering::Relaxed) || self.restore() {
            return;
        }
        // It is on record before nothing else tells of it, where there is room for that yet.
        let record = || !self.leaves_record() || self.home.record(&self.path).is_ok();
        let is_recorded = record();
        // What cannot be removed now is looked at again at the next start.
        let _ = rustix::fs::unlinkat(self.home.directory().as_fd(), &self.name, AtFlags::empty());
        if !is_recorded && !record() {
            log::warn!("It is not on record that an upload to {} broke off", self.path);
        }
    }
}
