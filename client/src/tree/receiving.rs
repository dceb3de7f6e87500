//! A file that is being received: out of everybody's reach until it is whole. Where the file system allows it has no
//! name at all, so that nothing is left of it after a kill; elsewhere it has a hidden one, and is private.

use crate::limits::TREE_RESERVED_MIN_BYTES;
use crate::tree::directory::Directory;
use crate::tree::error::TreeError;
use crate::tree::file_system::FileSystem;
use crate::tree::temporary::{self, Temporary};
use ferry_common::path::RemotePath;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

/// What programs ask for where they make a file. Nobody reaches one without a name, so it can have from the beginning
/// what the umask and the access list of its folder make of that.
const NEW_FILE_MODE: u32 = 0o666;
/// For a file that has a name while its content comes.
const PRIVATE_MODE: u32 = 0o600;

/// A file without a name is given one by its path there.
static HAS_PROC: LazyLock<bool> = LazyLock::new(|| std::fs::exists("/proc/self/fd").unwrap_or(false));

/// See the module's documentation. Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(super) file: File,
    pub(super) path: RemotePath,
    pub(super) directory: Arc<Directory>,
    pub(super) file_system: Arc<FileSystem>,
    /// `None` where the file has no name yet.
    pub(super) temporary: Option<Temporary>,
    pub(super) length_bytes: u64,
}

impl Receiving {
    /// Begins a file that is to become `path`, whose folder this is.
    pub(super) fn create(
        path: RemotePath,
        directory: Arc<Directory>,
        file_system: Arc<FileSystem>,
        size_bytes: u64,
    ) -> Result<Self, TreeError> {
        let cannot_write = TreeError::system("written");
        let nameless = if *HAS_PROC { create_nameless(&directory) } else { Ok(None) };
        let (file, temporary) = match nameless.map_err(&cannot_write)? {
            Some(file) => (file, None),
            None => {
                let name = path.file_name().unwrap_or_default();
                let (file, temporary) = create_hidden(&directory, name).map_err(&cannot_write)?;
                (file, Some(temporary))
            }
        };
        if size_bytes >= TREE_RESERVED_MIN_BYTES {
            reserve(&file, size_bytes).map_err(&cannot_write)?;
        }
        Ok(Self { file, path, directory, file_system, temporary, length_bytes: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| TreeError::System { doing: "written", error })?;
        self.length_bytes += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn path(&self) -> &RemotePath {
        &self.path
    }

    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
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

fn create_hidden(directory: &Arc<Directory>, name: &[u8]) -> Result<(File, Temporary), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (name, file) = temporary::with_name(name, |hidden| {
        rustix::fs::openat(directory, hidden, flags, Mode::from_raw_mode(PRIVATE_MODE))
    })?;
    let temporary = Temporary { directory: Arc::clone(directory), name, is_ours: true };
    Ok((File::from(file), temporary))
}

/// Has a full disk fail before anything moves. The length that the other end has told changes nothing in the file's own.
fn reserve(file: &File, size_bytes: u64) -> Result<(), Errno> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, size_bytes) {
        // A file system that cannot reserve is one to be tried.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        result => result,
    }
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
        Self { file, path, directory, file_system, temporary: Some(temporary), length_bytes: 0 }
    }
}
