//! The file that is uploaded: opened with care for what it is, and watched for changes.

use crate::failure::{Failure, show_path};
use ferry_common::limits::FILE_MAX_BYTES;
use ferry_common::wire::file_time::FileTime;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// See the module's documentation.
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) mtime: FileTime,
    pub(crate) executable: bool,
    stamp: Stamp,
}

/// What changes with every change of a file.
#[derive(PartialEq, Eq)]
struct Stamp {
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Source {
    /// Opens a file without ever waiting for the other end of a FIFO.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot_read = |error: io::Error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                Failure::Local("No such file found locally...".to_owned())
            } else {
                Failure::local("read", path, &error)
            }
        };
        // Before it is opened: to open a device may have effects.
        check_regular(path, &fs::metadata(path).map_err(cannot_read)?)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| cannot_read(error.into()))?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(cannot_read)?;
        check_regular(path, &metadata)?;
        // Files of /proc and the like do not tell their size.
        if metadata.len() == 0 && file.read_at(&mut [0], 0).map_err(cannot_read)? > 0 {
            let shown = show_path(path);
            return Err(Failure::Local(format!("{shown} does not tell its size; copy it to a file first")));
        }
        match metadata.len() {
            size @ 0..=FILE_MAX_BYTES => {
                let mtime = FileTime::new(metadata.mtime(), metadata.mtime_nsec());
                let executable = metadata.mode() & 0o100 != 0;
                Ok(Self { file, size, mtime, executable, stamp: Stamp::of(&metadata) })
            }
            _ => Err(Failure::Local(format!("{} is too large", show_path(path)))),
        }
    }

    /// Fails where the file is not what it was when it was opened: what was read of it may be half of the
    /// old and half of the new.
    pub(crate) fn check_unchanged(&self, path: &Path) -> Result<(), Failure> {
        let metadata = self.file.metadata().map_err(|error| Failure::local("read", path, &error))?;
        if Stamp::of(&metadata) == self.stamp {
            return Ok(());
        }
        Err(Failure::LocalChanged(format!("{} changed while it was being sent", show_path(path))))
    }

    /// What to say where the file ends before its size.
    pub(crate) fn shrank(&self, path: &Path) -> Failure {
        let (path_shown, size) = (show_path(path), self.size);
        match self.file.metadata() {
            Ok(metadata) => Failure::LocalChanged(format!(
                "{path_shown} shrank from {size} to {} bytes while it was being sent",
                metadata.len()
            )),
            Err(error) => Failure::local("read", path, &error),
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    let shown = show_path(path);
    if metadata.is_dir() {
        Err(Failure::Local(format!("{shown} is a directory; only files can be uploaded")))
    } else if !metadata.is_file() {
        Err(Failure::Local(format!("{shown} is not a regular file; only files can be uploaded")))
    } else {
        Ok(())
    }
}
