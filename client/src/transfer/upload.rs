//! `upload`: a regular file of this host goes to the server, which gives it its name once all of it has
//! come and is what was sent. Goes on where an earlier upload broke off, if the server kept what it got.

use crate::failure::{Failure, show_path};
use crate::session::Session;
use crate::terminal::screen;
use crate::transfer::digests::{self, Sum};
use crate::transfer::looking::{self, There};
use crate::transfer::sending::Sending;
use crate::transfer::source::Source;
use crate::transfer::{self, Reached, Transfer, TransferOptions};
use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Conditions, Resume, UploadOptions};
use ferry_common::wire::digest::{Digest, Hasher};
use std::path::Path;

/// Sends `local` to be stored as `remote`, and tells how much that was. `asked` is what a person was asked about, and agreed
/// to have replaced.
pub(crate) fn run(
    session: &mut Session,
    options: &TransferOptions,
    local: &Path,
    remote: &RemotePath,
    asked: Option<There>,
) -> Result<u64, Failure> {
    let mut upload = Upload {
        before: asked,
        is_plain: false,
        local,
        remote,
        options,
        has_begun: false,
        is_sent: false,
        reached: Reached { bytes: 0, of_bytes: None },
    };
    transfer::run_with_retries(session, options.retry_for, &mut upload)
        .map_err(|failure| explain(failure, &upload))?;
    screen::step("File upload done...");
    Ok(upload.reached.of_bytes.unwrap_or(0))
}

struct Upload<'a> {
    local: &'a Path,
    remote: &'a RemotePath,
    options: &'a TransferOptions,
    /// What the server had under the name, once that is known.
    before: Option<There>,
    /// The file system of the server has no safe way to replace nothing.
    is_plain: bool,
    has_begun: bool,
    /// Everything is, or was once, on its way; what became of it only the server knows.
    is_sent: bool,
    reached: Reached,
}

impl Transfer for Upload<'_> {
    /// Looks at the file anew each time: it may be another one by now.
    fn attempt(&mut self, session: &mut Session) -> Result<(), Failure> {
        let source = Source::open(self.local)?;
        // A server that does not know conditions is sent the file without any.
        let may_ask = self.options.overwrite && !self.options.force;
        if may_ask && self.before.is_none() && session.knows_conditions()? {
            self.before = Some(looking::look(session, self.remote)?);
        }
        self.reached.of_bytes = Some(source.size);
        let beginning = self.find_beginning(session, &source)?;
        let resumes = beginning.length() > 0;
        match self.send(session, &source, beginning) {
            Err(Failure::Refused { code: Some(ErrorCode::NoPartial), .. }) if resumes => {
                screen::message("The server does not have the beginning of the file any more; starting over");
                self.send(session, &source, Hasher::default())
            }
            Err(Failure::Refused { code: Some(ErrorCode::Unsupported), .. })
                if self.is_new() && !self.is_plain =>
            {
                self.is_plain = true;
                self.attempt(session)
            }
            Err(failure) => self.explain_refusal(session, &source, failure),
            Ok(()) => Ok(()),
        }
    }

    fn reached(&self) -> Reached {
        self.reached
    }
}

impl Upload<'_> {
    /// What both ends agree to have of it.
    fn find_beginning(&self, session: &mut Session, source: &Source) -> Result<Hasher, Failure> {
        if source.size <= EAGER_MAX_BYTES {
            return Ok(Hasher::default());
        }
        let kept = match digests::ask(session, Command::Partial { path: self.remote.clone() }) {
            Ok(kept) if kept.length > 0 => kept,
            Ok(_) | Err(Failure::Refused { code: Some(ErrorCode::NoPartial), .. }) => {
                if self.reached.bytes > 0 {
                    screen::message("The server has kept nothing of the upload; starting over");
                }
                return Ok(Hasher::default());
            }
            // Where something is wrong with the name, the upload says so.
            Err(Failure::Refused { .. }) => return Ok(Hasher::default()),
            Err(failure) => return Err(failure),
        };
        if kept.length <= source.size {
            digests::tell_comparison(kept.length);
            let own = digests::hash_beginning(&source.file, self.local, kept.length, session.interrupts())?;
            if kept == (Sum { length: own.length(), digest: own.digest() }) {
                screen::message(&format!("Resuming at byte {}", kept.length));
                return Ok(own);
            }
        }
        screen::message(
            "What the server has kept of an earlier upload is not the beginning of this file; starting over",
        );
        Ok(Hasher::default())
    }

    /// The name is to be free only because it was.
    fn is_new(&self) -> bool {
        self.options.overwrite && !self.options.force && self.before == Some(There::Nothing)
    }

    /// What has the name may be this very file, whose answer to an earlier attempt was lost. Else it has come, or changed, since
    /// the name was looked at.
    fn explain_refusal(
        &self,
        session: &mut Session,
        source: &Source,
        failure: Failure,
    ) -> Result<(), Failure> {
        let Failure::Refused { code: Some(code), .. } = &failure else { return Err(failure) };
        // The folder may be what has changed.
        let is_taken = *code == ErrorCode::Exists
            || *code == ErrorCode::Changed
                && self.before.is_some()
                && self.before != Some(looking::look(session, self.remote)?);
        if !is_taken {
            return Err(failure);
        }
        if self.is_sent && self.is_stored(session, source)? {
            return Ok(());
        }
        if !self.options.overwrite || self.before.is_none() {
            return Err(failure);
        }
        let message =
            format!("{} changed on the server meanwhile; it is left alone (-f replaces it)", self.remote);
        Err(Failure::Refused { code: Some(ErrorCode::Exists), message })
    }

    fn send(&mut self, session: &mut Session, source: &Source, beginning: Hasher) -> Result<(), Failure> {
        let are_known = session.knows_conditions()?;
        let was = match self.before {
            Some(There::Was(was)) if are_known && !self.options.force => Some(was),
            Some(There::Was(_) | There::Nothing | There::Untold) | None => None,
        };
        let resume = (beginning.length() > 0)
            .then(|| Resume { offset: beginning.length(), digest: beginning.digest() });
        let options = UploadOptions {
            digest: self.options.verify,
            new: !self.options.overwrite || (self.is_new() && !self.is_plain),
            mtime: self.options.keep_times.then_some(source.mtime),
            executable: Some(source.executable),
            resume,
            conditions: Conditions { was: was.filter(|_| self.options.overwrite), follow: None },
        };
        let mut sending = Sending::new(source, self.local, beginning, &options, self.has_begun);
        let command = Command::Upload { path: self.remote.clone(), size: source.size, options };
        let result = session.exchange(command, &mut sending);
        let sent = sending.end();
        self.has_begun |= sent.has_begun;
        self.is_sent |= sent.is_complete;
        self.reached.bytes = self.reached.bytes.max(sent.reached_bytes);
        check(result?.digest, sent.digest, self.remote)?;
        if let Some(meter) = sent.meter {
            meter.finish("Sent");
        }
        Ok(())
    }

    fn is_stored(&self, session: &mut Session, source: &Source) -> Result<bool, Failure> {
        let own = digests::hash_beginning(&source.file, self.local, source.size, session.interrupts())?;
        let stored = digests::ask(session, Command::Sum { path: self.remote.clone(), length: None })?;
        Ok(stored == Sum { length: own.length(), digest: own.digest() })
    }
}

/// The server has published the file. It must be the one that was sent.
fn check(stored: Option<Digest>, sent: Option<Digest>, remote: &RemotePath) -> Result<(), Failure> {
    match (stored, sent) {
        (_, None) => Ok(()),
        (Some(stored), Some(sent)) if stored == sent => Ok(()),
        (Some(_), Some(_)) => {
            Err(Failure::Mismatch(format!("What the server has stored as {remote} is not what was sent")))
        }
        (None, Some(_)) => Err(Failure::Violation(
            "The server told no digest of what it has stored (--no-verify does without)".to_owned(),
        )),
    }
}

fn explain(failure: Failure, upload: &Upload<'_>) -> Failure {
    let (local, remote) = (show_path(upload.local), upload.remote);
    match failure {
        Failure::ConnectionLost(reason) if upload.is_sent => Failure::ConnectionLost(format!(
            "{reason} before the server confirmed the upload; whether it has the file tells: stat {remote}"
        )),
        Failure::ConnectionLost(reason) => {
            tell_kept(upload);
            Failure::ConnectionLost(format!("{reason}; {remote} was not uploaded"))
        }
        Failure::LocalChanged(reason) => Failure::LocalChanged(format!("{reason}; {local} was not uploaded")),
        Failure::Interrupted if upload.is_sent => {
            screen::message(&format!(
                "The server may have stored the file; whether it has tells: stat {remote}"
            ));
            Failure::Interrupted
        }
        Failure::Interrupted => {
            tell_kept(upload);
            Failure::Interrupted
        }
        other @ (Failure::Usage(_)
        | Failure::CannotConnect(_)
        | Failure::DataUnreachable(_)
        | Failure::Refused { .. }
        | Failure::Local(_)
        | Failure::Mismatch(_)
        | Failure::Output(_)
        | Failure::SessionEnded(_)
        | Failure::Incomplete { .. }
        | Failure::Violation(_)) => other,
    }
}

fn tell_kept(upload: &Upload<'_>) {
    if upload.reached.bytes > EAGER_MAX_BYTES {
        screen::message("The server keeps for a while what it has got; the same upload goes on from there");
    }
}
