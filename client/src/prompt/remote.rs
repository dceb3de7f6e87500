//! What commands ask of the server, in terms of files: the one place of the prompt that speaks to the session.

use crate::engine::Announcement;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::link::{Handler, Ignore};
pub(crate) use crate::transfer::looking::stat;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::Hasher;
use ferry_common::wire::entry::Entry;
use std::io::Write;

/// Hands on each entry of a folder, in the order of the server; a file is its own only entry. An error of `take`
/// costs the connection, as a listing cannot be stopped in another way.
pub(crate) fn list(
    session: &mut Session,
    path: &RemotePath,
    take: &mut dyn FnMut(Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    struct Taker<'a>(&'a mut dyn FnMut(Entry) -> Result<(), Failure>);
    impl Handler for Taker<'_> {
        fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
            (self.0)(entry)
        }
    }
    session.exchange(Command::Ls { path: path.clone() }, &mut Taker(take)).map(|_| ())
}

/// Writes a whole file to `out` as it comes. Where `verify` is set, it fails at the end if that was not the file.
pub(crate) fn read(
    session: &mut Session,
    path: &RemotePath,
    verify: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    struct Reader<'a> {
        out: &'a mut dyn Write,
        hasher: Hasher,
    }
    impl Handler for Reader<'_> {
        fn announce(&mut self, _announced: Announcement) -> Result<(), Failure> {
            Ok(())
        }

        fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
            self.hasher.update(bytes);
            self.out.write_all(bytes).map_err(Failure::Output)
        }
    }
    let mut reader = Reader { out, hasher: Hasher::default() };
    let command = Command::Download { path: path.clone(), offset: 0, digest: verify };
    let success = session.exchange(command, &mut reader)?;
    match success.digest {
        Some(digest) if verify && digest != reader.hasher.digest() => {
            Err(Failure::Mismatch(format!("What arrived of {path} is not what the server has sent")))
        }
        None if verify => Err(Failure::Violation(
            "The server told no digest to check the file by (--no-verify does without)".to_owned(),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Has the server change names. `path` is what the change is about.
pub(crate) fn change(session: &mut Session, command: Command, path: &RemotePath) -> Result<(), Failure> {
    match session.exchange(command, &mut Ignore) {
        Ok(_) => Ok(()),
        Err(Failure::ConnectionLost(reason)) => Err(Failure::ConnectionLost(format!(
            "{reason} before the server answered; whether it was done tells: stat /{path}"
        ))),
        Err(failure) => Err(failure),
    }
}
