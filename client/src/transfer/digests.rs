//! Digests: what the server says of its bytes, and what those of this host are.

use crate::failure::Failure;
use crate::limits::{HASH_BUFFER_BYTES, LONG_COMPARISON_MIN_BYTES};
use crate::session::Session;
use crate::session::link::Handler;
use crate::terminal::interrupt::Interrupts;
use crate::terminal::screen::{self, Results};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::{Digest, Hasher};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How many bytes were looked at, and their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) length: u64,
    pub(crate) digest: Digest,
}

/// `sum`: shows it as `xxh128sum` would.
pub(crate) fn show(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    let sum = ask(session, Command::Sum { path: path.clone(), length: None })?;
    let mut results = Results::new();
    results.line(&format!("{}  {path}", sum.digest))?;
    results.finish()
}

/// Has the server answer a `sum` or `partial`.
pub(crate) fn ask(session: &mut Session, command: Command) -> Result<Sum, Failure> {
    let mut answer = Answer(None);
    session.exchange(command, &mut answer)?;
    answer.0.ok_or_else(|| Failure::Violation("The server told no digest".to_owned()))
}

/// The last that came; an honest server sends one.
struct Answer(Option<Sum>);

impl Handler for Answer {
    fn digest(&mut self, length: u64, digest: Digest) {
        self.0 = Some(Sum { length, digest });
    }
}

/// Says what is going on before a beginning of this length is compared, where that takes a while.
pub(crate) fn tell_comparison(length: u64) {
    if length >= LONG_COMPARISON_MIN_BYTES {
        screen::message(&format!("Comparing the first {length} bytes with the server's"));
    }
}

/// Takes in the first `length` bytes of a file, or all of it where it is shorter.
pub(crate) fn hash_beginning(
    file: &File,
    path: &Path,
    length: u64,
    interrupts: &Interrupts,
) -> Result<Hasher, Failure> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    while hasher.length() < length {
        interrupts.check()?;
        let left = usize::try_from(length - hasher.length()).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        match file.read_at(&mut buffer[..wanted], hasher.length()) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::local("read", path, &error)),
        }
    }
    Ok(hasher)
}
