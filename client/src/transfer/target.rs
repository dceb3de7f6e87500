//! Where a download is to appear on this host: chosen with care for what is there already, and touched
//! only by renaming a whole file to it.

use crate::failure::{Failure, show_path};
use crate::terminal::screen;
use crate::transfer::attributes::{self, Owner, Wanted};
use crate::tree::facts::Sighting;
use crate::tree::over::Over;
use ferry_common::path::RemotePath;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, PersistError};

/// See the module's documentation.
pub(crate) struct Target {
    pub(crate) directory: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) name: OsString,
    /// What it may take the place of. At first this is what was there when it was chosen.
    pub(crate) over: Over,
}

impl Target {
    /// The name comes from the user alone, and what is in its way is left alone but for a regular file or
    /// a link to one, and these too unless `overwrite` is set.
    pub(crate) fn choose(
        remote: &RemotePath,
        local: Option<&Path>,
        overwrite: bool,
    ) -> Result<Self, Failure> {
        let own_name = remote.file_name().map(OsStr::from_bytes);
        let own_name =
            || own_name.ok_or_else(|| Failure::Usage("The shared folder itself is not a file".to_owned()));
        let path = match local {
            None => PathBuf::from(own_name()?),
            Some(local) if local.is_dir() => local.join(own_name()?),
            Some(local) => local.to_owned(),
        };
        let shown = show_path(&path);
        let name = path.file_name().map(OsStr::to_owned);
        let Some(name) = name.filter(|_| !path.as_os_str().as_bytes().ends_with(b"/")) else {
            return Err(Failure::Local(format!("There is no local directory {shown}")));
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        if !directory.is_dir() {
            return Err(Failure::Local(format!("There is no local directory {}", show_path(&directory))));
        }
        let over = if overwrite { Over::of(Sighting::at(&path)) } else { Over::Nothing };
        let target = Self { directory, path, name, over };
        match fs::metadata(&target.path) {
            Ok(metadata) if metadata.is_dir() => Err(Failure::Local(format!(
                "{shown} is a local directory; name another file for it to become"
            ))),
            Ok(metadata) if !metadata.is_file() => Err(Failure::Local(format!(
                "{shown} exists locally and is not a regular file; it is left alone"
            ))),
            Ok(_) | Err(_) if !overwrite && fs::symlink_metadata(&target.path).is_ok() => {
                Err(target.exists())
            }
            Ok(_) | Err(_) => Ok(target),
        }
    }

    /// Refuses what the disk has no room for before any of it is written.
    pub(crate) fn check_room(&self, file: &File, length: u64) -> Result<(), Failure> {
        // A file system that cannot tell is one to be tried.
        let Ok(facts) = rustix::fs::fstatvfs(file) else { return Ok(()) };
        let free_bytes = facts.f_bavail.saturating_mul(facts.f_frsize);
        if facts.f_blocks == 0 || free_bytes >= length {
            return Ok(());
        }
        let directory = show_path(&self.directory);
        Err(Failure::Local(format!(
            "The file has {length} bytes, but {directory} has room for {free_bytes} only"
        )))
    }

    /// The whole file appears under its name, and stays there after a power cut. Where it cannot have the name
    /// the file comes back.
    pub(crate) fn publish(
        &self,
        file: NamedTempFile,
        wanted: Wanted,
    ) -> Result<(), (Failure, Option<NamedTempFile>)> {
        let cannot_write = |error: &io::Error| Failure::local("write", &self.path, error);
        if let Err(error) = self.dress(file.as_file(), wanted) {
            return Err((cannot_write(&error), Some(file)));
        }
        if !is_at(file.as_file(), file.path()) {
            let (hidden, shown) = (show_path(file.path()), show_path(&self.path));
            let failure = Failure::Local(format!(
                "{hidden} was removed or replaced during the download; nothing was saved as {shown}"
            ));
            return Err((failure, Some(file)));
        }
        let file = match self.persist(file) {
            Ok(file) => file,
            Err((PersistError { error, file }, is_new)) => {
                let failure = if is_new && error.kind() == io::ErrorKind::AlreadyExists {
                    self.taken()
                } else if is_new && error.kind() == io::ErrorKind::Unsupported {
                    self.cannot_be_new()
                } else {
                    cannot_write(&error)
                };
                return Err((failure, Some(file)));
            }
        };
        self.flush_name(&file).map_err(|error| (Failure::local("flush", &self.directory, &error), None))
    }

    /// Gives the file its name, where what has that may be replaced. An error comes with whether nothing was to be.
    fn persist(&self, file: NamedTempFile) -> Result<File, (PersistError, bool)> {
        let found = Sighting::at(&self.path);
        let is_new = match (self.over, found) {
            (Over::Anything, _) => false,
            (Over::Nothing | Over::Free, _) | (Over::Seen(_), None) => true,
            (Over::Seen(seen), Some(found)) if seen == found => false,
            (Over::Seen(_), Some(_)) => {
                let error = io::ErrorKind::AlreadyExists.into();
                return Err((PersistError { error, file }, true));
            }
        };
        if !is_new {
            return file.persist(&self.path).map_err(|error| (error, false));
        }
        match self.persist_new(file) {
            // The next best: nothing had the name a moment ago.
            Err(PersistError { error, file })
                if error.kind() == io::ErrorKind::Unsupported
                    && self.over != Over::Nothing
                    && Sighting::at(&self.path).is_none() =>
            {
                file.persist(&self.path).map_err(|error| (error, false))
            }
            result => result.map_err(|error| (error, true)),
        }
    }

    /// Gives the file what is wanted of that on the server and what the one that it replaces has, and brings it to the disk.
    fn dress(&self, file: &File, wanted: Wanted) -> io::Result<()> {
        if let Some(mtime) = wanted.mtime {
            attributes::set_mtime(file, mtime);
        }
        if attributes::take_over(file, &self.path, wanted.executable)? == Owner::Changed {
            let shown = show_path(&self.path);
            screen::message(&format!("{shown} belonged to another user, and belongs to you now"));
        }
        match file.sync_all() {
            Err(error) if is_unsupported(&error) => {
                let directory = show_path(&self.directory);
                screen::message(&format!("The file system of {directory} cannot flush files to the disk"));
                Ok(())
            }
            result => result,
        }
    }

    /// Some file systems (NFS, many of FUSE) have no rename that replaces nothing; a second name does as well.
    fn persist_new(&self, file: NamedTempFile) -> Result<File, PersistError> {
        let error = match file.persist_noclobber(&self.path) {
            Err(PersistError { error, file }) if is_unsupported(&error) => {
                match fs::hard_link(file.path(), &self.path) {
                    // Dropping the path removes the first name.
                    Ok(()) => return Ok(file.into_file()),
                    Err(error) => PersistError { error, file },
                }
            }
            Err(error) => error,
            Ok(file) => return Ok(file),
        };
        // Whether links are what is lacking, one that is taken tells as well as any.
        let is_lacking =
            is_unsupported(&error.error) || error.error.raw_os_error() == Some(Errno::PERM.raw_os_error());
        let PersistError { error, file } = error;
        let error = if is_lacking { io::ErrorKind::Unsupported.into() } else { error };
        Err(PersistError { error, file })
    }

    fn flush_name(&self, file: &File) -> io::Result<()> {
        match File::open(&self.directory).and_then(|directory| directory.sync_all()) {
            // Not every file system can.
            Err(error) if is_unsupported(&error) => Ok(()),
            // One may write to a directory that one may not read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(rustix::fs::syncfs(file)?),
            result => result,
        }
    }

    fn cannot_be_new(&self) -> Failure {
        let (directory, shown) = (show_path(&self.directory), show_path(&self.path));
        Failure::Local(format!(
            "The file system of {directory} cannot give a file the name {shown} without the risk of replacing \
             another; do without --no-overwrite"
        ))
    }

    fn taken(&self) -> Failure {
        match self.over {
            Over::Nothing => self.exists(),
            Over::Anything | Over::Free | Over::Seen(_) => Failure::Local(format!(
                "{} changed here meanwhile; it is left alone (-f replaces it)",
                show_path(&self.path)
            )),
        }
    }

    fn exists(&self) -> Failure {
        Failure::Local(format!("{} exists locally already; it is left alone", show_path(&self.path)))
    }
}

/// True where this path still leads to this file. Any program that may write to the directory could have changed that.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (opened.dev(), opened.ino()) == (named.dev(), named.ino())
}

/// The file system has no such call, or not for this.
fn is_unsupported(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(remote: &str, local: Option<&Path>) -> Result<PathBuf, Failure> {
        Target::choose(&RemotePath::parse(remote.as_bytes()).unwrap(), local, true).map(|target| target.path)
    }

    #[test]
    fn the_local_name_is_the_last_part_of_the_remote_one() {
        assert_eq!(choose("photos/2024/a b", None).unwrap(), Path::new("a b"));
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(choose("photos/x", Some(directory.path())).unwrap(), directory.path().join("x"));
        let named = directory.path().join("y");
        assert_eq!(choose("photos/x", Some(&named)).unwrap(), named);
        assert!(choose(".", None).is_err());
    }

    #[test]
    fn what_is_in_the_way_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let beneath = directory.path().join("d");
        fs::create_dir(&beneath).unwrap();
        assert!(choose("d", Some(directory.path())).is_err());
        let link = directory.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(choose("x", Some(&link)).is_err());
        assert!(choose("x", Some(&directory.path().join("missing/"))).is_err());
        assert!(choose("x", Some(&directory.path().join("missing/y"))).is_err());
        let dangling = directory.path().join("dangling");
        std::os::unix::fs::symlink("/nonexistent/x", &dangling).unwrap();
        assert!(choose("x", Some(&dangling)).is_ok(), "the link itself will be replaced");
    }

    #[test]
    fn without_overwriting_anything_is_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let remote = RemotePath::parse(b"x").unwrap();
        let path = directory.path().join("x");
        let choose = || Target::choose(&remote, Some(&path), false);
        let target = choose().unwrap();
        std::os::unix::fs::symlink("/nonexistent/x", &path).unwrap();
        assert!(choose().is_err(), "even a link that leads nowhere");
        let file = NamedTempFile::new_in(directory.path()).unwrap();
        assert!(target.publish(file, Wanted::default()).is_err(), "and even where it has come meanwhile");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
