//! A file that is being received: out of the reach of others until it is whole. Where the file system allows, a small one has
//! no name at all, so that nothing is left of it after a kill; elsewhere it has a hidden one, and is private. A large one is
//! a [part](hidden) that the next run finds and goes on with.

use crate::limits::{KEPT_DOWNLOAD_MIN_BYTES, TREE_RESERVED_MIN_BYTES};
use crate::transfer::hidden;
use crate::tree::directory::Directory;
use crate::tree::error::TreeError;
use crate::tree::file_system::FileSystem;
use crate::tree::temporary::{Fate, Temporary};
use ferry_common::path::RemotePath;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// What programs ask for where they make a file. One without a name is out of reach, so it can have from the beginning
/// what the umask and the access list of its folder make of that.
const NEW_FILE_MODE: u32 = 0o666;

/// A file without a name is given one by its path there.
static HAS_PROC: LazyLock<bool> = LazyLock::new(|| std::fs::exists("/proc/self/fd").unwrap_or(false));

/// See the module's documentation. Removed when it is dropped, but for a part with something in it.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// `None` where the file has no name yet. It goes before the file is closed, and with that unlocked.
    pub(super) temporary: Option<Temporary>,
    pub(super) file: File,
    pub(super) path: RemotePath,
    pub(super) directory: Arc<Directory>,
    pub(super) file_system: Arc<FileSystem>,
    pub(super) length_bytes: u64,
    /// The next run finds it.
    is_part: bool,
    /// What an earlier run has left of it.
    found_bytes: u64,
}

impl Receiving {
    /// Begins a file that is to become `path`, whose folder this is.
    pub(super) fn create(
        path: RemotePath,
        directory: Arc<Directory>,
        file_system: Arc<FileSystem>,
        size_bytes: u64,
    ) -> Result<Self, TreeError> {
        let name = path.file_name().unwrap_or_default();
        let part = (size_bytes > KEPT_DOWNLOAD_MIN_BYTES).then(|| create_part(&directory, name)).flatten();
        let is_part = part.is_some();
        let (file, temporary) = match part {
            Some((file, temporary)) => (file, Some(temporary)),
            None => create_other(&directory, name).map_err(TreeError::system("written"))?,
        };
        let (length_bytes, found_bytes) = (0, 0);
        let receiving =
            Self { temporary, file, path, directory, file_system, length_bytes, is_part, found_bytes };
        receiving.reserve(size_bytes)?;
        Ok(receiving)
    }

    /// What an earlier run has left of `path`; `None` where that is nothing, or another client goes on with it.
    pub(super) fn find(
        path: RemotePath,
        directory: Arc<Directory>,
        file_system: Arc<FileSystem>,
    ) -> Option<Self> {
        let name = hidden::part_name(path.file_name().unwrap_or_default());
        let file = hidden::find_part(&directory, as_path(&name))?;
        let found_bytes = file.metadata().ok()?.len();
        let (length_bytes, is_part) = (found_bytes, true);
        let temporary = Some(Temporary { directory: Arc::clone(&directory), name, fate: Fate::Left });
        Some(Self { temporary, file, path, directory, file_system, length_bytes, is_part, found_bytes })
    }

    /// Has a full disk fail before anything moves: so much more is to come.
    pub(crate) fn reserve(&self, more_bytes: u64) -> Result<(), TreeError> {
        if more_bytes < TREE_RESERVED_MIN_BYTES {
            return Ok(());
        }
        // The length that the other end has told changes nothing in the file's own.
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length_bytes, more_bytes) {
            // A file system that cannot reserve is one to be tried.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            result => result.map_err(TreeError::system("written")),
        }
    }

    /// For a thread that takes the digest of what is there.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Nothing in it counts any more.
    pub(crate) fn restart(&mut self) -> Result<(), TreeError> {
        self.file.set_len(0).map_err(|error| TreeError::System { doing: "written", error })?;
        (self.length_bytes, self.found_bytes) = (0, 0);
        self.set_fate(Fate::Removed);
        Ok(())
    }

    /// No run is to go on with it.
    pub(crate) fn discard(mut self) {
        self.set_fate(Fate::Removed);
    }

    fn set_fate(&mut self, fate: Fate) {
        if let Some(temporary) = &mut self.temporary {
            temporary.fate = fate;
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        let written = self.file.write_all_at(bytes, self.length_bytes);
        written.map_err(|error| TreeError::System { doing: "written", error })?;
        self.length_bytes += bytes.len() as u64;
        if self.is_part {
            self.set_fate(Fate::Left);
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &RemotePath {
        &self.path
    }

    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// What did not have to come again.
    pub(crate) fn found_bytes(&self) -> u64 {
        self.found_bytes
    }
}

/// `None` where the file system has no files without a name.
fn create_nameless(directory: &Directory) -> Result<Option<File>, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, ".", flags, Mode::from_raw_mode(NEW_FILE_MODE)) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn create_part(directory: &Arc<Directory>, name: &[u8]) -> Option<(File, Temporary)> {
    let name = hidden::part_name(name);
    let file = hidden::create_part(directory, as_path(&name))?;
    Some((file, Temporary { directory: Arc::clone(directory), name, fate: Fate::Removed }))
}

/// A file that no other run finds, without a name where that can be.
fn create_other(directory: &Arc<Directory>, name: &[u8]) -> Result<(File, Option<Temporary>), Errno> {
    let nameless = if *HAS_PROC { create_nameless(directory)? } else { None };
    match nameless {
        Some(file) => Ok((file, None)),
        None => create_hidden(directory, name).map(|(file, temporary)| (file, Some(temporary))),
    }
}

fn create_hidden(directory: &Arc<Directory>, name: &[u8]) -> Result<(File, Temporary), Errno> {
    let (name, file) = hidden::create_free(directory, name, |hidden| as_path(hidden).to_owned())?;
    let temporary = Temporary { directory: Arc::clone(directory), name, fate: Fate::Removed };
    Ok((file, temporary))
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

#[cfg(test)]
impl Receiving {
    /// As on a file system without files that have no name.
    pub(super) fn create_with_hidden_name(
        path: RemotePath,
        directory: Arc<Directory>,
        file_system: Arc<FileSystem>,
    ) -> Self {
        let (file, temporary) = create_hidden(&directory, path.file_name().unwrap()).unwrap();
        Self {
            file,
            path,
            directory,
            file_system,
            temporary: Some(temporary),
            length_bytes: 0,
            is_part: false,
            found_bytes: 0,
        }
    }
}
