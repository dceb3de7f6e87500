//! The exit statuses of `ferry`; the help text lists them.

/// How the whole run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Every command succeeded, or the session at the prompt was ended.
    Success,
    /// A command or option that this client does not understand. clap uses the same number.
    Usage,
    /// No session with the server came about.
    CannotConnect,
    /// The server refused a command or failed to carry it out.
    Refused,
    /// A file of this host could not be read or written.
    Local,
    /// The connection ended, or the server broke the protocol, in the middle of a command.
    ConnectionLost,
    /// What arrived is not what was sent, each time that it was tried.
    Mismatch,
    /// Ctrl-C: 128 and the number of SIGINT, as shells have it.
    Interrupted,
}

/// For the end of `--help`.
pub(crate) const EXIT_STATUS_HELP: &str = "\
Exit status:
  0    every command succeeded
  2    wrong usage: an unknown option or command, or wrong arguments
  3    cannot connect
  4    the server refused a command
  5    a local file cannot be read or written
  6    the connection was lost, and could not be made again in time
  7    what arrived is not what was sent
  130  interrupted by Ctrl-C";

impl ExitCode {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Usage => 2,
            Self::CannotConnect => 3,
            Self::Refused => 4,
            Self::Local => 5,
            Self::ConnectionLost => 6,
            Self::Mismatch => 7,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_distinct_and_documented() {
        let all = [
            ExitCode::Success,
            ExitCode::Usage,
            ExitCode::CannotConnect,
            ExitCode::Refused,
            ExitCode::Local,
            ExitCode::ConnectionLost,
            ExitCode::Mismatch,
            ExitCode::Interrupted,
        ];
        for (at, code) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other.number() != code.number()));
            assert!(EXIT_STATUS_HELP.contains(&format!("\n  {:<3}  ", code.number())), "{code:?}");
        }
    }
}
