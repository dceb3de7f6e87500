//! The commands of a client: the one parser and the one encoder.

mod conditions;
mod verb;

use crate::error::ErrorCode;
use crate::limits::{EAGER_MAX_BYTES, FILE_MAX_BYTES, TRAILER_BYTES};
use crate::path::RemotePath;
use crate::wire::digest::Digest;
use crate::wire::file_time::FileTime;
use crate::wire::words::{self, WordsError};
pub use conditions::{Conditions, Was};
pub use verb::Verb;

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
    /// `digest` asks for the digest of the whole file behind the final `ok`.
    Download {
        path: RemotePath,
        offset: u64,
        digest: bool,
    },
    Upload {
        path: RemotePath,
        size: u64,
        options: UploadOptions,
    },
    /// The digest of a file, or of its first `length` bytes.
    Sum {
        path: RemotePath,
        length: Option<u64>,
    },
    /// What is kept of an upload that broke off.
    Partial {
        path: RemotePath,
    },
    /// How much room the file system of this path has.
    Df {
        path: RemotePath,
    },
    /// Only the first `follow` names of the path may be links.
    Mkdir {
        path: RemotePath,
        follow: Option<u32>,
    },
    Rm {
        path: RemotePath,
        conditions: Conditions,
    },
    Mv {
        from: RemotePath,
        to: RemotePath,
        replace: bool,
    },
    /// A file or directory is to have this modification time.
    Mtime {
        path: RemotePath,
        mtime: FileTime,
    },
    /// `version` is the highest that the client speaks, where it says so.
    Hello {
        version: Option<u64>,
    },
    /// Who has a session, and what they move.
    Who,
    Help,
    Exit,
}

/// What may follow the size of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadOptions {
    /// The digest of the whole file follows its bytes on the data connection.
    pub digest: bool,
    /// Refuse rather than replace an existing file.
    pub new: bool,
    /// The modification time that the file shall have.
    pub mtime: Option<FileTime>,
    /// Whether the file shall be executable.
    pub executable: Option<bool>,
    /// Go on behind what the server has kept.
    pub resume: Option<Resume>,
    /// Of what the name holds that the file is to get.
    pub conditions: Conditions,
}

/// What a client believes the server to have of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    pub offset: u64,
    /// Of the bytes before the offset, as the client has them.
    pub digest: Digest,
}

/// Why a line is not a command, and what to tell its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    pub code: ErrorCode,
    pub message: String,
    /// Payload that may be on its way all the same: the size of an upload that was refused for its name.
    pub eager_bytes: u64,
}

impl Command {
    /// Makes a directory, whatever the way to it.
    pub fn mkdir(path: RemotePath) -> Self {
        Self::Mkdir { path, follow: None }
    }

    /// Removes whatever has the name.
    pub fn rm(path: RemotePath) -> Self {
        Self::Rm { path, conditions: Conditions::NONE }
    }

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
            (Verb::Download, [path, options @ ..]) => Self::parse_download(path, options),
            (Verb::Upload, [path, size, options @ ..]) => Self::parse_upload(path, size, options),
            (Verb::Sum, [path]) => Ok(Self::Sum { path: parse_path(path)?, length: None }),
            (Verb::Sum, [path, length]) => {
                Ok(Self::Sum { path: parse_path(path)?, length: Some(parse_size("LENGTH", length)?) })
            }
            (Verb::Partial, [path]) => Ok(Self::Partial { path: parse_path(path)? }),
            (Verb::Df, []) => Ok(Self::Df { path: RemotePath::root() }),
            (Verb::Df, [path]) => Ok(Self::Df { path: parse_path(path)? }),
            (Verb::Mkdir, [path, words @ ..]) => Self::parse_mkdir(path, words),
            (Verb::Rm, [path, words @ ..]) => {
                let conditions = Conditions::parse(words).ok_or_else(|| CommandError::usage(Verb::Rm))?;
                Ok(Self::Rm { path: parse_path(path)?, conditions })
            }
            (Verb::Mv, [from, to]) => {
                Ok(Self::Mv { from: parse_path(from)?, to: parse_path(to)?, replace: false })
            }
            (Verb::Mv, [from, to, word]) if word == b"replace" => {
                Ok(Self::Mv { from: parse_path(from)?, to: parse_path(to)?, replace: true })
            }
            (Verb::Mtime, [path, mtime]) => {
                Ok(Self::Mtime { path: parse_path(path)?, mtime: parse_time("MTIME", mtime)? })
            }
            (Verb::Hello, []) => Ok(Self::Hello { version: None }),
            (Verb::Hello, [version]) => Ok(Self::Hello { version: Some(parse_version(version)?) }),
            (Verb::Who, []) => Ok(Self::Who),
            (Verb::Help, []) => Ok(Self::Help),
            (Verb::Exit, []) => Ok(Self::Exit),
            (
                Verb::Ls
                | Verb::Stat
                | Verb::Download
                | Verb::Upload
                | Verb::Sum
                | Verb::Partial
                | Verb::Df
                | Verb::Mkdir
                | Verb::Rm
                | Verb::Mv
                | Verb::Mtime
                | Verb::Hello
                | Verb::Who
                | Verb::Help
                | Verb::Exit,
                _,
            ) => Err(CommandError::usage(verb)),
        }
    }

    fn parse_download(path: &[u8], options: &[Vec<u8>]) -> Result<Self, CommandError> {
        let (offset, options) = match options {
            [offset, options @ ..] if offset != b"digest" => (parse_size("OFFSET", offset)?, options),
            options => (0, options),
        };
        let digest = match options {
            [] => false,
            [word] if word == b"digest" => true,
            _ => return Err(CommandError::usage(Verb::Download)),
        };
        Ok(Self::Download { path: parse_path(path)?, offset, digest })
    }

    fn parse_mkdir(path: &[u8], words: &[Vec<u8>]) -> Result<Self, CommandError> {
        match Conditions::parse(words) {
            Some(Conditions { was: None, follow }) => Ok(Self::Mkdir { path: parse_path(path)?, follow }),
            Some(Conditions { was: Some(_), .. }) | None => Err(CommandError::usage(Verb::Mkdir)),
        }
    }

    fn parse_upload(path: &[u8], size: &[u8], options: &[Vec<u8>]) -> Result<Self, CommandError> {
        let size = parse_size("SIZE", size)?;
        let options = UploadOptions::parse(options).ok_or_else(|| CommandError::usage(Verb::Upload))?;
        let eager_bytes = options.eager_bytes(size);
        let path = parse_path(path).map_err(|error| CommandError { eager_bytes, ..error })?;
        Ok(Self::Upload { path, size, options })
    }

    pub fn verb(&self) -> Verb {
        match self {
            Self::Ls { .. } => Verb::Ls,
            Self::Stat { .. } => Verb::Stat,
            Self::Download { .. } => Verb::Download,
            Self::Upload { .. } => Verb::Upload,
            Self::Sum { .. } => Verb::Sum,
            Self::Partial { .. } => Verb::Partial,
            Self::Df { .. } => Verb::Df,
            Self::Mkdir { .. } => Verb::Mkdir,
            Self::Rm { .. } => Verb::Rm,
            Self::Mv { .. } => Verb::Mv,
            Self::Mtime { .. } => Verb::Mtime,
            Self::Hello { .. } => Verb::Hello,
            Self::Who => Verb::Who,
            Self::Help => Verb::Help,
            Self::Exit => Verb::Exit,
        }
    }

    /// The line with its LF.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = self.verb().word().as_bytes().to_vec();
        match self {
            Self::Ls { path } | Self::Df { path } if path.is_root() => {}
            Self::Ls { path } | Self::Df { path } | Self::Stat { path } | Self::Partial { path } => {
                push_word(&mut line, path.as_bytes())
            }
            Self::Mkdir { path, follow } => {
                push_word(&mut line, path.as_bytes());
                Conditions { was: None, follow: *follow }.encode(&mut line);
            }
            Self::Rm { path, conditions } => {
                push_word(&mut line, path.as_bytes());
                conditions.encode(&mut line);
            }
            Self::Download { path, offset, digest } => {
                push_word(&mut line, path.as_bytes());
                if *offset > 0 {
                    push_word(&mut line, offset.to_string().as_bytes());
                }
                if *digest {
                    push_word(&mut line, b"digest");
                }
            }
            Self::Upload { path, size, options } => {
                push_word(&mut line, path.as_bytes());
                push_word(&mut line, size.to_string().as_bytes());
                options.encode(&mut line);
            }
            Self::Sum { path, length } => {
                push_word(&mut line, path.as_bytes());
                if let Some(length) = length {
                    push_word(&mut line, length.to_string().as_bytes());
                }
            }
            Self::Mv { from, to, replace } => {
                push_word(&mut line, from.as_bytes());
                push_word(&mut line, to.as_bytes());
                if *replace {
                    push_word(&mut line, b"replace");
                }
            }
            Self::Mtime { path, mtime } => {
                push_word(&mut line, path.as_bytes());
                push_word(&mut line, mtime.to_string().as_bytes());
            }
            Self::Hello { version } => {
                if let Some(version) = version {
                    push_word(&mut line, version.to_string().as_bytes());
                }
            }
            Self::Who | Self::Help | Self::Exit => {}
        }
        line.push(b'\n');
        line
    }
}

impl UploadOptions {
    pub const NONE: Self = Self {
        digest: false,
        new: false,
        mtime: None,
        executable: None,
        resume: None,
        conditions: Conditions::NONE,
    };

    /// Payload that may be on its way before the server has agreed: all of a small upload, with its trailer.
    pub fn eager_bytes(&self, size: u64) -> u64 {
        if self.resume.is_some() || size > EAGER_MAX_BYTES {
            return 0;
        }
        size + if self.digest { TRAILER_BYTES as u64 } else { 0 }
    }

    /// True where the bytes may be sent before the server has agreed.
    pub fn is_eager(&self, size: u64) -> bool {
        self.resume.is_none() && size <= EAGER_MAX_BYTES
    }

    fn parse(words: &[Vec<u8>]) -> Option<Self> {
        let mut options = Self::default();
        for word in words {
            let fresh = match word.as_slice() {
                b"digest" => !std::mem::replace(&mut options.digest, true),
                b"new" => !std::mem::replace(&mut options.new, true),
                b"exec=yes" => options.executable.replace(true).is_none(),
                b"exec=no" => options.executable.replace(false).is_none(),
                word => {
                    if let Some(time) = word.strip_prefix(b"mtime=") {
                        options.mtime.replace(FileTime::parse(time)?).is_none()
                    } else if let Some(resume) = word.strip_prefix(b"resume=") {
                        options.resume.replace(Resume::parse(resume)?).is_none()
                    } else {
                        options.conditions.take(word).is_some()
                    }
                }
            };
            // The same option twice has no one meaning.
            if !fresh {
                return None;
            }
        }
        // A file takes the place of no directory, and of nothing that is there where it is to be new.
        let is_possible = match options.conditions.was {
            None => true,
            Some(Was::File { .. } | Was::Link) => !options.new,
            Some(Was::Dir) => false,
        };
        is_possible.then_some(options)
    }

    fn encode(&self, line: &mut Vec<u8>) {
        if self.digest {
            push_word(line, b"digest");
        }
        if self.new {
            push_word(line, b"new");
        }
        if let Some(mtime) = self.mtime {
            push_word(line, format!("mtime={mtime}").as_bytes());
        }
        if let Some(executable) = self.executable {
            push_word(line, if executable { b"exec=yes" } else { b"exec=no" });
        }
        if let Some(Resume { offset, digest }) = self.resume {
            push_word(line, format!("resume={offset}:{digest}").as_bytes());
        }
        self.conditions.encode(line);
    }
}

impl Resume {
    fn parse(text: &[u8]) -> Option<Self> {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let offset = parse_number(&text[..colon]).filter(|&offset| offset <= FILE_MAX_BYTES)?;
        Some(Self { offset, digest: Digest::parse(&text[colon + 1..])? })
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
        let names_files = verb == Verb::Mv || verb.usage().contains("PATH");
        let quoting = if names_files { QUOTING } else { "" };
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

fn parse_time(argument: &str, word: &[u8]) -> Result<FileTime, CommandError> {
    FileTime::parse(word).ok_or_else(|| {
        let message = format!("{argument} must be a number of seconds since 1970{QUOTING}");
        CommandError::new(ErrorCode::Usage, message)
    })
}

fn parse_version(word: &[u8]) -> Result<u64, CommandError> {
    parse_number(word).ok_or_else(|| CommandError::new(ErrorCode::Usage, "VERSION must be a whole number"))
}

fn push_word(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b' ');
    words::encode(word, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_seen() -> Conditions {
        let mtime = FileTime::new(-6, 750_000_000);
        Conditions { was: Some(Was::File { size_bytes: 5, mtime }), follow: Some(0) }
    }

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
            ("download \"a b\"", Command::Download { path: path("a b"), offset: 0, digest: false }),
            ("download a 12", Command::Download { path: path("a"), offset: 12, digest: false }),
            ("upload a 0", Command::Upload { path: path("a"), size: 0, options: UploadOptions::default() }),
            ("download a digest", Command::Download { path: path("a"), offset: 0, digest: true }),
            ("download a 5 digest", Command::Download { path: path("a"), offset: 5, digest: true }),
            ("sum a", Command::Sum { path: path("a"), length: None }),
            ("sum a 10", Command::Sum { path: path("a"), length: Some(10) }),
            ("partial a", Command::Partial { path: path("a") }),
            ("df", Command::Df { path: RemotePath::root() }),
            ("df photos", Command::Df { path: path("photos") }),
            ("mkdir a/b", Command::Mkdir { path: path("a/b"), follow: None }),
            ("mkdir a/b follow=1", Command::Mkdir { path: path("a/b"), follow: Some(1) }),
            ("rm a", Command::Rm { path: path("a"), conditions: Conditions::NONE }),
            ("rm a was=5:-5.25 follow=0", Command::Rm { path: path("a"), conditions: as_seen() }),
            (
                "rm a was=link",
                Command::Rm {
                    path: path("a"),
                    conditions: Conditions { was: Some(Was::Link), follow: None },
                },
            ),
            (
                "rm a follow=7 was=dir",
                Command::Rm {
                    path: path("a"),
                    conditions: Conditions { was: Some(Was::Dir), follow: Some(7) },
                },
            ),
            ("mv a b", Command::Mv { from: path("a"), to: path("b"), replace: false }),
            ("mv a b replace", Command::Mv { from: path("a"), to: path("b"), replace: true }),
            ("mtime a -5.25", Command::Mtime { path: path("a"), mtime: FileTime::new(-6, 750_000_000) }),
            ("mtime . 0", Command::Mtime { path: RemotePath::root(), mtime: FileTime::default() }),
            ("hello", Command::Hello { version: None }),
            ("hello 1", Command::Hello { version: Some(1) }),
            ("who", Command::Who),
            ("help", Command::Help),
            ("exit", Command::Exit),
        ] {
            assert_eq!(Command::parse(line.as_bytes()).as_ref(), Ok(&command), "{line}");
            let encoded = command.encode();
            assert_eq!(Command::parse(encoded.strip_suffix(b"\n").unwrap()), Ok(command));
        }
    }

    #[test]
    fn the_options_of_an_upload_come_in_any_order_and_each_once() {
        let digest = Digest::of(b"abc");
        let line = format!("upload a 10 follow=0 resume=3:{digest} mtime=-5.25 was=5:-5.25 exec=no digest");
        let options = UploadOptions {
            digest: true,
            new: false,
            mtime: Some(FileTime::new(-6, 750_000_000)),
            executable: Some(false),
            resume: Some(Resume { offset: 3, digest }),
            conditions: as_seen(),
        };
        let command = Command::Upload { path: path("a"), size: 10, options };
        assert_eq!(Command::parse(line.as_bytes()).as_ref(), Ok(&command));
        let encoded = command.encode();
        assert_eq!(Command::parse(encoded.strip_suffix(b"\n").unwrap()), Ok(command));
        for options in [
            "new new",
            "exec",
            "exec=1",
            "exec=yes exec=no",
            "mtime=1 mtime=1",
            "mtime=",
            "mtime=1.",
            "mtime=1.5 mtime=2",
            "resume=3",
            "resume=3:xyz",
            "old",
            "was=5",
            "was=5:",
            "was=:5",
            "was=-5:5",
            "was=9223372036854775808:5",
            "was=dir",
            "was=file",
            "was=link was=link",
            "new was=link",
            "was=5:5 new",
            "follow=",
            "follow=-1",
            "follow=4294967296",
            "follow=1 follow=1",
        ] {
            assert_eq!(code(format!("upload a 10 {options}").as_bytes()), ErrorCode::Usage, "{options}");
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
        assert_eq!(code(b"mkdir a was=dir"), ErrorCode::Usage);
        assert_eq!(code(b"rm a b"), ErrorCode::Usage);
        assert_eq!(code(b"rm a was=dir was=dir"), ErrorCode::Usage);
        assert_eq!(code(b"mtime a"), ErrorCode::Usage);
        assert_eq!(code(b"mtime a now"), ErrorCode::Usage);
        assert_eq!(code(b"mtime a 9223372036854775808"), ErrorCode::Usage);
        assert_eq!(code(b"mtime ../a 1"), ErrorCode::BadPath);
        assert_eq!(code(b"download my file.txt"), ErrorCode::Usage);
        assert_eq!(code(b"download ../../etc/passwd"), ErrorCode::BadPath);
        assert_eq!(code(b"download \"a\\x00b\""), ErrorCode::BadPath);
    }
}
