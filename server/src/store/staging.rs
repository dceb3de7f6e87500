//! Where uploads wait until they are whole: a hidden directory at the top of each file system that the
//! folder spans, so that a rename publishes them.
//!
//! Each server process has a subdirectory of its own there, which it holds locked while it lives. What a
//! dead server left is looked through when the next one starts: large uploads are kept for their clients to
//! go on with, the rest is removed. What a living one holds is left alone.

mod home;
mod partials;

use ferry_common::digest::{Digest, Hasher};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, UPLOAD_UNFLUSHED_BYTES};
use ferry_common::path::RemotePath;
pub(crate) use home::Home;
pub(crate) use partials::Retention;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::attributes::Attributes;
use crate::store::errors::Call;
use crate::store::names::{self, Name, Renamed};
use crate::store::shortfalls::{Shortfall, is_unsupported_flush};

/// A file that has no name that a client could use. It is removed when dropped, unless it was renamed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    home: Arc<Home>,
    name: String,
    /// What it is to become.
    path: RemotePath,
    size: u64,
    /// Data is brought to the disk while it comes.
    flush: bool,
    /// What was there already of a resumed upload.
    resumed_bytes: u64,
    content: Mutex<Content>,
    renamed: AtomicBool,
}

#[derive(Debug)]
struct Content {
    /// Closed when everything is written, so that an upload that waits for its flush holds no descriptor.
    file: Option<File>,
    hasher: Hasher,
    unflushed_bytes: u64,
}

impl StagedFile {
    /// Makes an empty file, with the space that it will need where it is large.
    pub(crate) fn create(
        home: &Arc<Home>,
        path: &RemotePath,
        size: u64,
        flush: bool,
    ) -> Result<Self, ErrorCode> {
        let name = home.new_name(path);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // As any new file; the directory around it keeps others out until it is published.
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = rustix::fs::openat(home.directory(), &name, flags, mode).map_err(Call::Stage.of(path))?;
        let staged = Self::new(home, name, path, size, flush, File::from(file));
        staged.reserve(0)?;
        staged.close_if_whole();
        Ok(staged)
    }

    /// Takes up the kept part of an upload, cut to `offset`. Its bytes are still to be hashed, by
    /// [`StagedFile::hash_step`].
    pub(crate) fn resume(
        home: &Arc<Home>,
        path: &RemotePath,
        size: u64,
        offset: u64,
        flush: bool,
    ) -> Result<Self, ErrorCode> {
        let name = home.new_name(path);
        home.claim_partial(path, &name).map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoPartial,
            other => Call::Stage.of(path)(other),
        })?;
        let file = open_kept(home, &name, path, offset).inspect_err(|_| {
            // It is as good as before, for the next who asks.
            home.put_back(&name, path);
        })?;
        let mut staged = Self::new(home, name, path, size, flush, file);
        staged.resumed_bytes = offset;
        staged
            .content()
            .file
            .as_ref()
            .map_or(Ok(()), |file| rustix::fs::ftruncate(file, offset))
            .map_err(Call::Stage.of(path))?;
        staged.reserve(offset)?;
        Ok(staged)
    }

    /// What it is to become.
    pub(crate) fn path(&self) -> &RemotePath {
        &self.path
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
        let Some(file) = &content.file else { return Err(ErrorCode::BrokenOff) };
        file.write_all_at(bytes, offset).map_err(Call::Write.of_file_io(file))?;
        content.hasher.update(bytes);
        content.unflushed_bytes += bytes.len() as u64;
        if self.flush && content.unflushed_bytes >= UPLOAD_UNFLUSHED_BYTES {
            if let Some(file) = &content.file {
                self.flushed(rustix::fs::fdatasync(file))?;
            }
            content.unflushed_bytes = 0;
        }
        drop(content);
        self.close_if_whole();
        Ok(())
    }

    /// Reads on what was there before, up to `end` and at most `step_bytes`; tells whether the end is reached.
    pub(crate) fn hash_step(&self, end: u64, step_bytes: u64, scratch: &mut [u8]) -> Result<bool, ErrorCode> {
        let mut content = self.content();
        let Content { file: Some(file), hasher, .. } = &mut *content else {
            return Err(ErrorCode::BrokenOff);
        };
        crate::store::digest_cache::read_step(file, hasher, end, step_bytes, scratch)?;
        let done = hasher.length() >= end;
        drop(content);
        if done {
            self.close_if_whole();
        }
        Ok(done)
    }

    /// The digest of what is written.
    pub(crate) fn digest(&self) -> Digest {
        self.content().hasher.digest()
    }

    /// Gives it what it is to have beside its content, the time that its client asked for included.
    pub(crate) fn dress(&self, attributes: &Attributes<'_>, mtime_s: Option<i64>) -> Result<(), ErrorCode> {
        let directory = self.home.directory();
        if let Some(mtime_s) = mtime_s {
            let time = Timespec { tv_sec: mtime_s, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            let set = rustix::fs::utimensat(directory, &self.name, &times, AtFlags::SYMLINK_NOFOLLOW);
            if let Err(errno) = set {
                Shortfall::Time.tell(directory, &self.path, errno);
            }
        }
        if attributes.are_there() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &self.name, flags, Mode::empty())
            .map_err(Call::Stage.of(&self.path))?;
        attributes.give_to(&file, &self.path)
    }

    /// Brings the content to the disk, where its file system can do that.
    pub(crate) fn sync(&self) -> Result<(), ErrorCode> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(self.home.directory(), &self.name, flags, Mode::empty()) {
            Ok(file) => self.flushed(rustix::fs::fsync(file)),
            // It has the permissions of the file that it replaces, by which even its owner may not read it.
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
        Ok(())
    }

    fn is_staged(&self) -> bool {
        rustix::fs::statat(self.home.directory(), &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Puts what has come of a large upload where its client can find it again. Of a small one nothing is
    /// kept: sending it again costs no more than asking.
    pub(crate) fn keep(&self) {
        let mut content = self.content();
        // A write that is still on its way must not reach a file that somebody else goes on with.
        let file = content.file.take();
        let written = content.hasher.length().max(self.resumed_bytes);
        if written <= EAGER_MAX_BYTES {
            return;
        }
        // Where it is not whole, gives back the space that was set aside for the rest; a matter of tidiness
        // only.
        if let Some(file) = file {
            let _ = rustix::fs::ftruncate(&file, written);
        }
        if self.home.keep(&self.name, &self.path).is_ok() {
            self.renamed.store(true, Ordering::Relaxed);
        }
    }

    fn new(home: &Arc<Home>, name: String, path: &RemotePath, size: u64, flush: bool, file: File) -> Self {
        let content = Content { file: Some(file), hasher: Hasher::default(), unflushed_bytes: 0 };
        let (home, path, content) = (Arc::clone(home), path.clone(), Mutex::new(content));
        Self { home, name, path, size, flush, resumed_bytes: 0, content, renamed: AtomicBool::new(false) }
    }

    /// Has the disk set the space of a large file aside, so that a lack of it shows at the start.
    fn reserve(&self, offset: u64) -> Result<(), ErrorCode> {
        let content = self.content();
        let Some(file) = &content.file else { return Ok(()) };
        if self.size <= EAGER_MAX_BYTES || offset >= self.size {
            return Ok(());
        }
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, self.size - offset) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let space = rustix::fs::fstatvfs(file).map_err(Call::Stage.of(&self.path))?;
                let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
                if free_bytes < self.size - offset { Err(ErrorCode::NoSpace) } else { Ok(()) }
            }
            Err(errno) => Err(Call::Write.of(&self.path)(errno)),
        }
    }

    fn close_if_whole(&self) {
        let mut content = self.content();
        if content.hasher.length() >= self.size {
            content.file = None;
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what was kept of an upload, if it has `offset` bytes at least.
fn open_kept(home: &Home, name: &str, path: &RemotePath, offset: u64) -> Result<File, ErrorCode> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(home.directory(), name, flags, Mode::empty()).map_err(Call::Stage.of(path))?;
    let kept = rustix::fs::fstat(&file).map_err(Call::Stage.of(path))?.st_size;
    if u64::try_from(kept).unwrap_or(0) < offset { Err(ErrorCode::NoPartial) } else { Ok(File::from(file)) }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.renamed.load(Ordering::Relaxed) {
            // What cannot be removed now is looked at again at the next start.
            let _ = rustix::fs::unlinkat(self.home.directory().as_fd(), &self.name, AtFlags::empty());
        }
    }
}
