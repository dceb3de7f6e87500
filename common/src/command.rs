//! The commands of a client: the one parser and the one encoder.

use crate::error::ErrorCode;
use crate::limits::{EAGER_MAX_BYTES, FILE_MAX_BYTES};
use crate::path::RemotePath;
use crate::words::{self, WordsError};

/// What most wrong arguments come from.
const QUOTING: &str = "; a name with spaces goes in double quotes";

/// One line of a client, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Ls {
        path: RemotePath,
    },
    Stat {
        path: RemotePath,
    },
    Download {
        path: RemotePath,
        offset: u64,
    },
    Upload {
        path: RemotePath,
        size: u64,
    },
    /// `version` is the highest that the client speaks, where it says so.
    Hello {
        version: Option<u64>,
    },
    Help,
    Exit,
}

/// The commands without their arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    Ls,
    Stat,
    Download,
    Upload,
    Hello,
    Help,
    Exit,
}

/// Why a line is not a command, and what to tell its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    pub code: ErrorCode,
    pub message: String,
    /// Payload that may be on its way all the same: the size of an upload that was refused for its name.
    pub eager_bytes: u64,
}

impl Verb {
    pub const ALL: &[Self] =
        &[Self::Ls, Self::Stat, Self::Download, Self::Upload, Self::Hello, Self::Help, Self::Exit];

    /// The word that a client types.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ls => "ls",
            Self::Stat => "stat",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Hello => "hello",
            Self::Help => "help",
            Self::Exit => "exit",
        }
    }

    /// The verb and its arguments.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Ls => "ls [PATH]",
            Self::Stat => "stat PATH",
            Self::Download => "download PATH [OFFSET]",
            Self::Upload => "upload PATH SIZE",
            Self::Hello => "hello [VERSION]",
            Self::Help => "help",
            Self::Exit => "exit",
        }
    }

    /// What it does, in a line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Ls => "list a directory (the served folder if none is named)",
            Self::Stat => "tell kind, size and time of one file or directory",
            Self::Download => "send a file, from OFFSET on",
            Self::Upload => "receive SIZE bytes as a file; an existing one is replaced when all have come",
            Self::Hello => "agree on the protocol's version and tell the limits",
            Self::Help => "this list",
            Self::Exit => "end the session",
        }
    }

    fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.word().as_bytes() == word)
    }
}

impl Command {
    /// Understands a line without its ending.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let words = words::split(line).map_err(CommandError::syntax)?;
        let Some((first, arguments)) = words.split_first() else {
            return Err(CommandError::new(ErrorCode::Syntax, "an empty line; try help"));
        };
        let verb = Verb::from_word(first).ok_or_else(CommandError::unknown)?;
        match (verb, arguments) {
            (Verb::Ls, []) => Ok(Self::Ls { path: RemotePath::root() }),
            (Verb::Ls, [path]) => Ok(Self::Ls { path: parse_path(path)? }),
            (Verb::Stat, [path]) => Ok(Self::Stat { path: parse_path(path)? }),
            (Verb::Download, [path]) => Ok(Self::Download { path: parse_path(path)?, offset: 0 }),
            (Verb::Download, [path, offset]) => {
                Ok(Self::Download { path: parse_path(path)?, offset: parse_size("OFFSET", offset)? })
            }
            (Verb::Upload, [path, size]) => {
                let size = parse_size("SIZE", size)?;
                let eager_bytes = if size <= EAGER_MAX_BYTES { size } else { 0 };
                let path = parse_path(path).map_err(|error| CommandError { eager_bytes, ..error })?;
                Ok(Self::Upload { path, size })
            }
            (Verb::Hello, []) => Ok(Self::Hello { version: None }),
            (Verb::Hello, [version]) => {
                let version = parse_number(version)
                    .ok_or_else(|| CommandError::new(ErrorCode::Usage, "VERSION must be a whole number"))?;
                Ok(Self::Hello { version: Some(version) })
            }
            (Verb::Help, []) => Ok(Self::Help),
            (Verb::Exit, []) => Ok(Self::Exit),
            (
                Verb::Ls | Verb::Stat | Verb::Download | Verb::Upload | Verb::Hello | Verb::Help | Verb::Exit,
                _,
            ) => Err(CommandError::usage(verb)),
        }
    }

    pub fn verb(&self) -> Verb {
        match self {
            Self::Ls { .. } => Verb::Ls,
            Self::Stat { .. } => Verb::Stat,
            Self::Download { .. } => Verb::Download,
            Self::Upload { .. } => Verb::Upload,
            Self::Hello { .. } => Verb::Hello,
            Self::Help => Verb::Help,
            Self::Exit => Verb::Exit,
        }
    }

    /// The line with its LF.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = self.verb().word().as_bytes().to_vec();
        match self {
            Self::Ls { path } if path.is_root() => {}
            Self::Ls { path } | Self::Stat { path } => push_word(&mut line, path.as_bytes()),
            Self::Download { path, offset } => {
                push_word(&mut line, path.as_bytes());
                if *offset > 0 {
                    push_word(&mut line, offset.to_string().as_bytes());
                }
            }
            Self::Upload { path, size } => {
                push_word(&mut line, path.as_bytes());
                push_word(&mut line, size.to_string().as_bytes());
            }
            Self::Hello { version } => {
                if let Some(version) = version {
                    push_word(&mut line, version.to_string().as_bytes());
                }
            }
            Self::Help | Self::Exit => {}
        }
        line.push(b'\n');
        line
    }
}

impl CommandError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), eager_bytes: 0 }
    }

    fn syntax(error: WordsError) -> Self {
        Self::new(ErrorCode::Syntax, error.to_string())
    }

    fn unknown() -> Self {
        Self::new(ErrorCode::UnknownCommand, ErrorCode::UnknownCommand.message())
    }

    fn usage(verb: Verb) -> Self {
        let quoting = if verb.usage().contains("PATH") { QUOTING } else { "" };
        Self::new(ErrorCode::Usage, format!("usage: {}{quoting}", verb.usage()))
    }
}

/// Decimal digits only: no sign, no space, nothing beyond 64 bits.
pub(crate) fn parse_number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn parse_path(word: &[u8]) -> Result<RemotePath, CommandError> {
    RemotePath::parse(word).map_err(|code| {
        let shown = &word[..word.len().min(crate::limits::ECHO_MAX_BYTES / 4)];
        let reason = "names are relative to the served folder, without ..";
        CommandError::new(code, format!("{}: {} ({reason})", code.message(), words::display(shown)))
    })
}

fn parse_size(argument: &str, word: &[u8]) -> Result<u64, CommandError> {
    parse_number(word).filter(|&number| number <= FILE_MAX_BYTES).ok_or_else(|| {
        let message =
            format!("{argument} must be a whole number of bytes, at most {FILE_MAX_BYTES}{QUOTING}");
        CommandError::new(ErrorCode::Usage, message)
    })
}

fn push_word(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b' ');
    words::encode(word, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    fn code(line: &[u8]) -> ErrorCode {
        Command::parse(line).unwrap_err().code
    }

    #[test]
    fn understands_each_verb() {
        for (line, command) in [
            ("ls", Command::Ls { path: RemotePath::root() }),
            ("ls photos/", Command::Ls { path: path("photos") }),
            ("stat a", Command::Stat { path: path("a") }),
            ("download \"a b\"", Command::Download { path: path("a b"), offset: 0 }),
            ("download a 12", Command::Download { path: path("a"), offset: 12 }),
            ("upload a 0", Command::Upload { path: path("a"), size: 0 }),
            ("hello", Command::Hello { version: None }),
            ("hello 1", Command::Hello { version: Some(1) }),
            ("help", Command::Help),
            ("exit", Command::Exit),
        ] {
            assert_eq!(Command::parse(line.as_bytes()).as_ref(), Ok(&command), "{line}");
            let encoded = command.encode();
            assert_eq!(Command::parse(encoded.strip_suffix(b"\n").unwrap()), Ok(command));
        }
    }

    #[test]
    fn numbers_are_checked_at_their_edges() {
        assert!(Command::parse(b"upload x 9223372036854775807").is_ok());
        for size in ["-1", "+1", "18446744073709551616", "9223372036854775808", "abc", "\"\"", "1.5", "0x10"]
        {
            assert_eq!(code(format!("upload x {size}").as_bytes()), ErrorCode::Usage, "{size}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(code(b""), ErrorCode::Syntax);
        assert_eq!(code(b"ls \"a"), ErrorCode::Syntax);
        assert_eq!(code(b"\x16\x03\x01\x02"), ErrorCode::Syntax);
        assert_eq!(code(b"LS"), ErrorCode::UnknownCommand);
        assert_eq!(code(b"GET / HTTP/1.1"), ErrorCode::UnknownCommand);
        assert_eq!(code(b"upload x"), ErrorCode::Usage);
        assert_eq!(code(b"download a b c"), ErrorCode::Usage);
        assert_eq!(code(b"download my file.txt"), ErrorCode::Usage);
        assert_eq!(code(b"download ../../etc/passwd"), ErrorCode::BadPath);
        assert_eq!(code(b"download \"a\\x00b\""), ErrorCode::BadPath);
    }
}
