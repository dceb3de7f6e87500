//! `download`: a file of the server becomes a file of this host, whole or not at all. What comes goes into
//! a partial file beside the target, which gets the target's name when it is known to be the server's file.

use crate::engine::Announcement;
use crate::failure::{Failure, show_path};
use crate::limits::KEPT_DOWNLOAD_MIN_BYTES;
use crate::session::Session;
use crate::session::link::Handler;
use crate::terminal::meter::Meter;
use crate::terminal::screen;
use crate::transfer::attributes::Wanted;
use crate::transfer::digests::{self, Sum};
use crate::transfer::partial::Partial;
use crate::transfer::target::Target;
use crate::transfer::{self, Reached, Transfer, TransferOptions};
use crate::tree::facts::Sighting;
use crate::tree::over::Over;
use ferry_common::dialogue::Success;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::words;
use std::path::Path;
use std::time::Instant;

/// Fetches `remote` as `local`, or into it where it is a directory, or into the current directory. `asked` is what a
/// person was asked about, and agreed to have replaced. Tells how much that was.
pub(crate) fn run(
    session: &mut Session,
    options: &TransferOptions,
    remote: &RemotePath,
    local: Option<&Path>,
    asked: Option<Sighting>,
) -> Result<u64, Failure> {
    let mut target = Target::choose(remote, local, options.overwrite)?;
    if options.overwrite && options.force {
        target.over = Over::Anything;
    } else if let Some(asked) = asked.filter(|_| options.overwrite) {
        target.over = Over::Seen(asked);
    }
    let mut download = Download {
        remote,
        target: &target,
        verify: options.verify,
        has_looked: false,
        partial: None,
        announced: None,
        meter: None,
        reached_bytes: 0,
    };
    let result = transfer::run_with_retries(session, options.retry_for, &mut download);
    result.and_then(|()| download.publish(options.keep_times)).map_err(|failure| {
        download.leave();
        explain(failure, &target)
    })?;
    Ok(download.announced.map_or(0, |announced| announced.size))
}

struct Download<'a> {
    remote: &'a RemotePath,
    target: &'a Target,
    verify: bool,
    /// What an earlier run may have left was looked for.
    has_looked: bool,
    partial: Option<Partial>,
    announced: Option<Announced>,
    /// Of the last attempt, once its bytes were announced.
    meter: Option<Meter>,
    reached_bytes: u64,
}

/// What the server says of the file.
#[derive(Clone, Copy)]
struct Announced {
    size: u64,
    mtime: FileTime,
    executable: bool,
}

impl Transfer for Download<'_> {
    fn attempt(&mut self, session: &mut Session) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.has_looked, true) {
            self.partial = Partial::find(self.target, session.interrupts())?;
        } else if let Some(partial) = &self.partial {
            digests::tell_comparison(partial.length());
        }
        self.agree_on_beginning(session)?;
        let offset = self.partial.as_ref().map_or(0, Partial::length);
        // The file may become another one after its beginning was compared.
        let digest = self.verify || offset > 0;
        let command = Command::Download { path: self.remote.clone(), offset, digest };
        match session.exchange(command, self) {
            Ok(success) => self.check(success, digest),
            Err(failure) => {
                self.meter = None;
                if matches!(failure, Failure::Refused { code: Some(ErrorCode::Changed), .. }) {
                    self.restart()?;
                }
                Err(failure)
            }
        }
    }

    fn reached(&self) -> Reached {
        Reached { bytes: self.reached_bytes, of_bytes: self.announced.map(|announced| announced.size) }
    }
}

impl Handler for Download<'_> {
    fn announce(&mut self, announced: Announcement) -> Result<(), Failure> {
        let Announcement { length, mtime, executable } = announced;
        let partial = match self.partial.take() {
            Some(partial) => partial,
            None => Partial::create(self.target)?,
        };
        let partial = self.partial.insert(partial);
        let size = partial.length().saturating_add(length);
        if self
            .announced
            .replace(Announced { size, mtime, executable })
            .is_none_or(|before| before.size != size)
        {
            screen::step("Start downloading..");
            screen::step(&format!("file size: {size}"));
        }
        self.target.check_room(partial.file(), length)?;
        let name = words::escape_text(self.remote.file_name().unwrap_or_default());
        self.meter = Some(Meter::new(name, size, partial.length()));
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        // Both are there since the bytes were announced.
        let (Some(partial), Some(meter)) = (&mut self.partial, &mut self.meter) else { return Ok(()) };
        partial.append(bytes).map_err(|error| Failure::local("write", &self.target.path, &error))?;
        self.reached_bytes = self.reached_bytes.max(partial.length());
        meter.advance(bytes.len() as u64);
        Ok(())
    }

    fn pulse(&mut self, _: u64) -> Option<Instant> {
        self.meter.as_mut().and_then(Meter::pulse)
    }
}

impl Download<'_> {
    /// Only bytes that the server has too are built upon.
    fn agree_on_beginning(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some(partial) = &self.partial else { return Ok(()) };
        let kept = Sum { length: partial.length(), digest: partial.digest() };
        if kept.length == 0 {
            return Ok(());
        }
        let question = Command::Sum { path: self.remote.clone(), length: Some(kept.length) };
        match digests::ask(session, question) {
            Ok(sum) if sum == kept => {
                screen::message(&format!("Resuming at byte {}", kept.length));
                Ok(())
            }
            Ok(_) | Err(Failure::Refused { code: Some(ErrorCode::BadOffset | ErrorCode::Changed), .. }) => {
                screen::message(
                    "What is kept of an earlier download is not the beginning of the file on the server; \
                     starting over",
                );
                self.restart()
            }
            Err(failure) => Err(failure),
        }
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.partial.as_mut().map_or(Ok(()), Partial::restart)
    }

    /// Everything has come. Whether it is the server's file only the digests tell.
    fn check(&mut self, success: Success, verify: bool) -> Result<(), Failure> {
        let Some(partial) = &self.partial else {
            return Err(Failure::Violation("The server sent no file".to_owned()));
        };
        if !verify {
            return Ok(());
        }
        match success.digest {
            Some(digest) if digest == partial.digest() => Ok(()),
            Some(_) => {
                self.meter = None;
                self.restart()?;
                let path = self.remote;
                Err(Failure::Mismatch(format!("What arrived of {path} is not what the server has sent")))
            }
            None => Err(Failure::Violation(
                "The server told no digest to check the file by (--no-verify does without)".to_owned(),
            )),
        }
    }

    fn publish(&mut self, keep_times: bool) -> Result<(), Failure> {
        if let Some(partial) = self.partial.take() {
            let wanted = Wanted {
                mtime: self.announced.map(|announced| announced.mtime).filter(|_| keep_times),
                executable: self.announced.map(|announced| announced.executable),
            };
            if let Err((failure, partial)) = partial.publish(self.target, wanted) {
                self.partial = partial;
                return Err(failure);
            }
        }
        if let Some(meter) = self.meter.take() {
            meter.finish("Total Received");
        }
        screen::step("Download is finished!");
        Ok(())
    }

    /// After a failure: what has come of a large file is worth keeping.
    fn leave(&mut self) {
        self.meter = None;
        let Some(partial) = self.partial.take() else { return };
        let is_large = self.announced.is_none_or(|announced| announced.size > KEPT_DOWNLOAD_MIN_BYTES);
        match partial.findable_as() {
            Some(name) if is_large && partial.length() > 0 => {
                let length = partial.length();
                screen::message(&format!(
                    "{length} bytes are kept as {name}; the same download goes on from there"
                ));
                partial.keep();
            }
            Some(_) | None => partial.discard(),
        }
    }
}

/// What is said of a name that the server does not have.
pub(crate) fn explain_missing(failure: Failure) -> Failure {
    if let Failure::Refused { code: code @ Some(ErrorCode::NotFound), .. } = failure {
        return Failure::Refused { code, message: "No such file found on the server!".to_owned() };
    }
    failure
}

fn explain(failure: Failure, target: &Target) -> Failure {
    match explain_missing(failure) {
        Failure::ConnectionLost(reason) => {
            Failure::ConnectionLost(format!("{reason}; nothing was saved as {}", show_path(&target.path)))
        }
        Failure::Mismatch(reason) => {
            Failure::Mismatch(format!("{reason}; nothing was saved as {}", show_path(&target.path)))
        }
        other @ (Failure::Usage(_)
        | Failure::CannotConnect(_)
        | Failure::DataUnreachable(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::LocalChanged(_)
        | Failure::Output(_)
        | Failure::SessionEnded(_)
        | Failure::Violation(_)
        | Failure::Incomplete { .. }
        | Failure::Interrupted) => other,
    }
}
