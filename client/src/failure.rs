//! Why a command did not succeed, in words for a person, and which exit status that is.

use crate::exit_code::ExitCode;
use ferry_common::error::ErrorCode;
use ferry_common::wire::words;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use thiserror::Error;

/// The text of each is safe to show: names and what a server wrote are escaped when it is made.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    CannotConnect(String),
    /// The server is there, but not where it awaits file data.
    #[error("{0}")]
    DataUnreachable(String),
    #[error("{message}")]
    Refused { code: Option<ErrorCode>, message: String },
    #[error("{0}")]
    Local(String),
    /// A file of this host is not any more what it was when its transfer began.
    #[error("{0}")]
    LocalChanged(String),
    /// The digests of the two ends differ.
    #[error("{0}")]
    Mismatch(String),
    #[error("cannot write the results: {}", describe(.0))]
    Output(io::Error),
    #[error("{0}")]
    ConnectionLost(String),
    /// The server had ended the session before the command came to it, which therefore was not carried out.
    #[error("{0}")]
    SessionEnded(String),
    /// What is at the other end does not follow the protocol.
    #[error("{0}")]
    Violation(String),
    #[error("Interrupted")]
    Interrupted,
    /// Some of several files were not moved, each for a reason of its own, which was told.
    #[error("{not_moved} of them could not be moved")]
    Incomplete { status: ExitCode, not_moved: u64 },
}

impl Failure {
    /// Something went wrong with a file of this host: `cannot write a.txt: no space left`.
    pub(crate) fn local(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Local(format!("Cannot {doing} {}: {}", show_path(path), describe(error)))
    }

    /// The same, with the name of the file that it is about, where several were asked for.
    pub(crate) fn about(self, name: &str) -> Self {
        match self {
            Self::Refused { code, message } => Self::Refused { code, message: format!("{name}: {message}") },
            Self::Local(message) => Self::Local(format!("{name}: {message}")),
            other @ (Self::Usage(_)
            | Self::CannotConnect(_)
            | Self::DataUnreachable(_)
            | Self::LocalChanged(_)
            | Self::Mismatch(_)
            | Self::Output(_)
            | Self::ConnectionLost(_)
            | Self::SessionEnded(_)
            | Self::Violation(_)
            | Self::Incomplete { .. }
            | Self::Interrupted) => other,
        }
    }

    /// True where other files may fare better.
    pub(crate) fn concerns_one_file(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Local(_) | Self::LocalChanged(_) | Self::Mismatch(_) => true,
            Self::Usage(_)
            | Self::CannotConnect(_)
            | Self::DataUnreachable(_)
            | Self::Output(_)
            | Self::ConnectionLost(_)
            | Self::SessionEnded(_)
            | Self::Violation(_)
            | Self::Incomplete { .. }
            | Self::Interrupted => false,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::Usage,
            Self::CannotConnect(_) | Self::DataUnreachable(_) => ExitCode::CannotConnect,
            Self::Refused { code: Some(ErrorCode::Mismatch), .. } | Self::Mismatch(_) => ExitCode::Mismatch,
            Self::Refused { .. } => ExitCode::Refused,
            Self::Local(_) | Self::LocalChanged(_) | Self::Output(_) => ExitCode::Local,
            Self::ConnectionLost(_) | Self::SessionEnded(_) | Self::Violation(_) => ExitCode::ConnectionLost,
            Self::Interrupted => ExitCode::Interrupted,
            Self::Incomplete { status, .. } => *status,
        }
    }

    /// True where the reader of the output is gone, and would not read about it: `ferry -c ls | head -1`.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The system's words for an error, without its number.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})"));
    number.and_then(|number| text.strip_suffix(&number).map(str::to_owned)).unwrap_or(text)
}

/// A local path as it could be typed at the prompt.
pub(crate) fn show_path(path: &Path) -> String {
    words::display(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_this_host_says_what_happened_to_which_file_and_no_number() {
        let denied = io::Error::from_raw_os_error(13);
        let failure = Failure::local("write", Path::new("a b.txt"), &denied);
        assert_eq!(failure.to_string(), "Cannot write \"a b.txt\": Permission denied");
        assert_eq!(describe(&io::Error::other("out of patience")), "out of patience");
    }
}
