//! `download`: a file of the server becomes a file of this host, whole or not at all. Writes to a temporary
//! file beside the target, and touches the target only by renaming over it.

use crate::failure::{Failure, show_path};
use crate::limits::RECEIVE_BUFFER_BYTES;
use crate::link::{Broken, Handler};
use crate::progress::Meter;
use crate::screen;
use crate::session::Session;
use ferry_common::command::Command;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Fetches `remote` as `local`, or into it where it is a directory, or into the current directory.
pub(crate) fn run(session: &mut Session, remote: &RemotePath, local: Option<&Path>) -> Result<(), Failure> {
    let target = Target::choose(remote, local)?;
    let mut download = Download { target: &target, received: None };
    let command = Command::Download { path: remote.clone(), offset: 0 };
    session.exchange(command, &mut download).map_err(|failure| explain(failure, &target))?;
    let Some(Received { file, meter }) = download.received else {
        return Err(Failure::ConnectionLost("The server sent no file".to_owned()));
    };
    target.publish(file)?;
    meter.finish("Total Received");
    screen::message("Download is finished!");
    Ok(())
}

/// Where the file is to appear.
struct Target {
    directory: PathBuf,
    path: PathBuf,
}

struct Download<'a> {
    target: &'a Target,
    received: Option<Received>,
}

/// A file of which every announced byte has come.
struct Received {
    file: NamedTempFile,
    meter: Meter,
}

impl Target {
    /// The name comes from the user alone, and what is in its way is left alone but for a regular file or
    /// a link to one.
    fn choose(remote: &RemotePath, local: Option<&Path>) -> Result<Self, Failure> {
        let own_name = remote.file_name().map(OsStr::from_bytes);
        let own_name =
            || own_name.ok_or_else(|| Failure::Usage("The shared folder itself is not a file".to_owned()));
        let path = match local {
            None => PathBuf::from(own_name()?),
            Some(local) if local.is_dir() => local.join(own_name()?),
            Some(local) => local.to_owned(),
        };
        let shown = show_path(&path);
        if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Failure::Local(format!("There is no local directory {shown}")));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        if !directory.is_dir() {
            return Err(Failure::Local(format!("There is no local directory {}", show_path(&directory))));
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(Failure::Local(format!(
                "{shown} is a local directory; name another file for it to become"
            ))),
            Ok(metadata) if !metadata.is_file() => Err(Failure::Local(format!(
                "{shown} exists locally and is not a regular file; it is left alone"
            ))),
            Ok(_) | Err(_) => Ok(Self { directory, path }),
        }
    }

    /// Made as any program would make a new file: the umask decides about its mode.
    fn create_temporary(&self) -> Result<NamedTempFile, Failure> {
        tempfile::Builder::new()
            .prefix(".ferry-")
            .suffix(".part")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&self.directory)
            .map_err(|error| Failure::local("create a file in", &self.directory, &error))
    }

    /// Refuses what the disk has no room for before any of it is written.
    fn check_room(&self, file: &File, length: u64) -> Result<(), Failure> {
        // A file system that cannot tell is one to be tried.
        let Ok(facts) = rustix::fs::fstatvfs(file) else { return Ok(()) };
        let free_bytes = facts.f_bavail.saturating_mul(facts.f_frsize);
        if free_bytes >= length {
            return Ok(());
        }
        let directory = show_path(&self.directory);
        Err(Failure::Local(format!(
            "The file has {length} bytes, but {directory} has room for {free_bytes} only"
        )))
    }

    /// The whole file appears under its name, and stays there after a power cut.
    fn publish(&self, file: NamedTempFile) -> Result<(), Failure> {
        let cannot_write = |error: &io::Error| Failure::local("write", &self.path, error);
        file.as_file().sync_all().map_err(|error| cannot_write(&error))?;
        file.persist(&self.path).map_err(|error| cannot_write(&error.error))?;
        match File::open(&self.directory).and_then(|directory| directory.sync_all()) {
            // Not every file system can, and those that cannot have no need to.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            result => result.map_err(|error| Failure::local("flush", &self.directory, &error)),
        }
    }
}

impl Handler for Download<'_> {
    fn receive(&mut self, data: &mut dyn Read, length: u64) -> Result<(), Broken> {
        screen::message("Start downloading..");
        screen::message(&format!("file size: {length}"));
        let mut file = self.target.create_temporary().map_err(Broken::Local)?;
        self.target.check_room(file.as_file(), length).map_err(Broken::Local)?;
        let mut meter = Meter::new(length);
        self.copy(data, file.as_file_mut(), length, &mut meter)?;
        self.received = Some(Received { file, meter });
        Ok(())
    }
}

impl Download<'_> {
    fn copy(
        &self,
        data: &mut dyn Read,
        file: &mut File,
        length: u64,
        meter: &mut Meter,
    ) -> Result<(), Broken> {
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        let mut buffer = vec![0; most.clamp(1, RECEIVE_BUFFER_BYTES)];
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = match data.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(Broken::Data(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Data(error)),
            };
            file.write_all(&buffer[..read])
                .map_err(|error| Broken::Local(Failure::local("write", &self.target.path, &error)))?;
            left -= read as u64;
            meter.advance(read as u64);
        }
        Ok(())
    }
}

fn explain(failure: Failure, target: &Target) -> Failure {
    match failure {
        Failure::Refused { code: code @ Some(ErrorCode::NotFound), .. } => {
            Failure::Refused { code, message: "No such file found on the server!".to_owned() }
        }
        Failure::ConnectionLost(reason) => {
            Failure::ConnectionLost(format!("{reason}; nothing was saved as {}", show_path(&target.path)))
        }
        other @ (Failure::Usage(_)
        | Failure::CannotConnect(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::Output(_)
        | Failure::Interrupted) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(remote: &str, local: Option<&Path>) -> Result<PathBuf, Failure> {
        Target::choose(&RemotePath::parse(remote.as_bytes()).unwrap(), local).map(|target| target.path)
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
}
