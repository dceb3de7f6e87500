//! Why something in a local tree could not be done. One sentence for the line of a summary that begins with the path.

use crate::failure::describe;
use crate::tree::facts::Kind;
use rustix::io::Errno;
use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum TreeError {
    /// What has the name cannot be replaced, or passed through.
    #[error("{0} has this name here; it is left alone")]
    InTheWay(Kind),
    #[error("exists already; it is left alone")]
    Exists,
    /// What has the name is not what was there when it was looked at.
    #[error("changed here meanwhile; it is left alone")]
    Changed,
    /// The file system can only replace, and that was not allowed.
    #[error("the file system cannot give it this name without the risk of replacing another file")]
    CannotBeNew,
    #[error("a symbolic link or a file stands where a folder should be")]
    NoFolder,
    #[error("it is {0}, not a file")]
    NotAFile(Kind),
    #[error("it does not tell its size")]
    UnknownSize,
    #[error("its temporary file was removed or replaced by another program")]
    TemporaryLost,
    #[error("cannot be {doing}: {}", describe(.error))]
    System { doing: &'static str, error: io::Error },
}

impl TreeError {
    /// What the system refused: `cannot be written: No space left on device`.
    pub(crate) fn system(doing: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| match errno {
            Errno::LOOP | Errno::NOTDIR => Self::NoFolder,
            errno => Self::System { doing, error: errno.into() },
        }
    }
}
