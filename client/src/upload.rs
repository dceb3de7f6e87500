//! `upload`: a regular file of this host goes to the server. The bytes move inside the kernel; the server
//! gives them their name once all have come.

use crate::failure::{Failure, show_path};
use crate::limits::{RECEIVE_BUFFER_BYTES, SEND_STEP_BYTES};
use crate::link::{Broken, Handler};
use crate::progress::Meter;
use crate::screen;
use crate::session::Session;
use ferry_common::command::Command;
use ferry_common::limits::FILE_MAX_BYTES;
use ferry_common::path::RemotePath;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use socket2::Socket;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Sends `local` to be stored as `remote`.
pub(crate) fn run(session: &mut Session, local: &Path, remote: &RemotePath) -> Result<(), Failure> {
    let (file, size) = open_regular(local)?;
    let mut upload = Upload { path: local, file, meter: Meter::new(size), begun: false, sent: false };
    let command = Command::Upload { path: remote.clone(), size };
    session.exchange(command, &mut upload).map_err(|failure| explain(failure, remote, upload.sent))?;
    upload.meter.finish("Sent");
    screen::message("File upload done...");
    Ok(())
}

struct Upload<'a> {
    path: &'a Path,
    file: File,
    meter: Meter,
    begun: bool,
    /// Everything is on its way; what became of it only the server knows.
    sent: bool,
}

impl Handler for Upload<'_> {
    fn transmit(&mut self, data: &Socket, offset: u64, length: u64) -> Result<(), Broken> {
        if !std::mem::replace(&mut self.begun, true) {
            screen::message("FTP connection established commencing upload");
        }
        self.meter.rewind(offset);
        let (mut at, end) = (offset, offset.saturating_add(length));
        while at < end {
            let moved = self.send_some(data, at, (end - at).min(SEND_STEP_BYTES))?;
            at += moved;
            self.meter.advance(moved);
        }
        self.sent = true;
        Ok(())
    }
}

impl Upload<'_> {
    /// Moves at most `most` bytes and tells how many it were.
    fn send_some(&self, data: &Socket, offset: u64, most: u64) -> Result<u64, Broken> {
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let mut position = offset;
        match rustix::fs::sendfile(data, &self.file, Some(&mut position), count) {
            Ok(0) => Err(Broken::Local(self.shrank(offset))),
            Ok(moved) => Ok(moved as u64),
            Err(Errno::INTR) => Ok(0),
            // Some file systems have no way into the kernel's pipes.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.copy_some(data, offset, count),
            Err(error @ Errno::IO) => Err(Broken::Local(self.unreadable(&error.into()))),
            Err(error) => Err(Broken::Data(error.into())),
        }
    }

    fn copy_some(&self, mut data: &Socket, offset: u64, most: usize) -> Result<u64, Broken> {
        let mut buffer = vec![0; most.min(RECEIVE_BUFFER_BYTES)];
        match self.file.read_at(&mut buffer, offset) {
            Ok(0) => Err(Broken::Local(self.shrank(offset))),
            Ok(read) => data.write_all(&buffer[..read]).map(|()| read as u64).map_err(Broken::Data),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(Broken::Local(self.unreadable(&error))),
        }
    }

    fn shrank(&self, size: u64) -> Failure {
        let path = show_path(self.path);
        Failure::Local(format!("{path} shrank to {size} bytes while it was being sent; it was not uploaded"))
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::local("read", self.path, error)
    }
}

/// Opens a file without ever waiting for the other end of a FIFO.
fn open_regular(path: &Path) -> Result<(File, u64), Failure> {
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
    match metadata.len() {
        size @ 0..=FILE_MAX_BYTES => Ok((file, size)),
        _ => Err(Failure::Local(format!("{} is too large", show_path(path)))),
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

fn explain(failure: Failure, remote: &RemotePath, sent: bool) -> Failure {
    match failure {
        Failure::ConnectionLost(reason) if sent => Failure::ConnectionLost(format!(
            "{reason} before the server confirmed the upload; whether it has the file tells: stat {remote}"
        )),
        Failure::ConnectionLost(reason) => {
            Failure::ConnectionLost(format!("{reason}; {remote} was not uploaded"))
        }
        Failure::Interrupted if sent => {
            screen::message(&format!(
                "The server may have stored the file; whether it has tells: stat {remote}"
            ));
            Failure::Interrupted
        }
        other @ (Failure::Usage(_)
        | Failure::CannotConnect(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::Output(_)
        | Failure::Interrupted) => other,
    }
}
