//! What may be typed at the prompt: the parser of these commands and the help about them. Never runs one.

use crate::failure::Failure;
use ferry_common::path::RemotePath;
use ferry_common::wire::words;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A command of a person, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PromptCommand {
    Ls {
        path: RemotePath,
        long: bool,
    },
    Stat {
        path: RemotePath,
    },
    Download {
        remote: RemotePath,
        local: Option<PathBuf>,
    },
    /// The remote name is the one that was given, or made from the local one.
    Upload {
        local: PathBuf,
        remote: RemotePath,
    },
    Sum {
        path: RemotePath,
    },
    Df {
        path: RemotePath,
    },
    Mkdir {
        path: RemotePath,
    },
    Rm {
        path: RemotePath,
    },
    Mv {
        from: RemotePath,
        to: RemotePath,
        replace: bool,
    },
    Who,
    Help,
    Exit,
}

/// The commands without their arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptVerb {
    Ls,
    Download,
    Upload,
    Stat,
    Sum,
    Df,
    Mkdir,
    Rm,
    Mv,
    Who,
    Help,
    Exit,
    Quit,
}

impl PromptVerb {
    pub(crate) const ALL: &[Self] = &[
        Self::Ls,
        Self::Download,
        Self::Upload,
        Self::Stat,
        Self::Sum,
        Self::Df,
        Self::Mkdir,
        Self::Rm,
        Self::Mv,
        Self::Who,
        Self::Help,
        Self::Exit,
        Self::Quit,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ls => "ls",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Stat => "stat",
            Self::Sum => "sum",
            Self::Df => "df",
            Self::Mkdir => "mkdir",
            Self::Rm => "rm",
            Self::Mv => "mv",
            Self::Who => "who",
            Self::Help => "help",
            Self::Exit => "exit",
            Self::Quit => "quit",
        }
    }

    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.word().as_bytes() == word)
    }

    pub(crate) fn takes_arguments(self) -> bool {
        match self {
            Self::Ls
            | Self::Download
            | Self::Upload
            | Self::Stat
            | Self::Sum
            | Self::Df
            | Self::Mkdir
            | Self::Rm
            | Self::Mv => true,
            Self::Who | Self::Help | Self::Exit | Self::Quit => false,
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Ls => "ls [-l] [PATH]",
            Self::Download => "download REMOTE [LOCAL]",
            Self::Upload => "upload LOCAL [REMOTE]",
            Self::Stat => "stat PATH",
            Self::Sum => "sum PATH",
            Self::Df => "df [PATH]",
            Self::Mkdir => "mkdir PATH",
            Self::Rm => "rm PATH",
            Self::Mv => "mv [-f] FROM TO",
            Self::Who => "who",
            Self::Help => "help",
            Self::Exit => "exit",
            Self::Quit => "quit",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Ls => "list the folder, or PATH; -l adds kind, size, time",
            Self::Download => "fetch a file, as LOCAL or under its own name",
            Self::Upload => "send a file, as REMOTE or under its own name",
            Self::Stat => "tell kind, size and time of a file or directory",
            Self::Sum => "tell the digest of a file, as xxh128sum would",
            Self::Df => "tell how much room the server has for uploads",
            Self::Mkdir => "make a directory on the server",
            Self::Rm => "remove a file or an empty directory on the server",
            Self::Mv => "rename on the server; -f replaces a file named TO",
            Self::Who => "tell how many are connected, and what they move",
            Self::Help => "this list",
            Self::Exit => "end the session",
            Self::Quit => "the same",
        }
    }

    fn usage_failure(self) -> Failure {
        let hint = match self {
            Self::Download => "; a name with spaces goes in double quotes: download \"my file.txt\"",
            Self::Upload => "; a name with spaces goes in double quotes: upload \"my file.txt\"",
            Self::Ls => "; a name with spaces goes in double quotes: ls \"my folder\"",
            Self::Stat => "; a name with spaces goes in double quotes: stat \"my file.txt\"",
            Self::Sum => "; a name with spaces goes in double quotes: sum \"my file.txt\"",
            Self::Df => "; a name with spaces goes in double quotes: df \"my folder\"",
            Self::Mkdir => "; a name with spaces goes in double quotes: mkdir \"my folder\"",
            Self::Rm => "; a name with spaces goes in double quotes: rm \"my file.txt\"",
            Self::Mv => "; a name with spaces goes in double quotes: mv \"my file.txt\" other.txt",
            Self::Who | Self::Help | Self::Exit | Self::Quit => "",
        };
        Failure::Usage(format!("Usage: {}{hint}", self.usage()))
    }
}

/// Understands a line without its ending; `None` for one without words.
pub(crate) fn parse(line: &[u8]) -> Result<Option<PromptCommand>, Failure> {
    let words = words::split(line).map_err(|error| {
        let hint = "a name with spaces or other special characters goes in double quotes: \"my file.txt\"";
        Failure::Usage(format!("Cannot read this line: {error} ({hint})"))
    })?;
    let Some((first, arguments)) = words.split_first() else { return Ok(None) };
    let verb = PromptVerb::from_word(first).ok_or_else(|| unknown(first))?;
    let command = match (verb, arguments) {
        (PromptVerb::Ls, arguments) => parse_ls(arguments)?,
        (PromptVerb::Stat, [path]) => PromptCommand::Stat { path: remote_path(path)? },
        (PromptVerb::Sum, [path]) => PromptCommand::Sum { path: remote_path(path)? },
        (PromptVerb::Df, []) => PromptCommand::Df { path: RemotePath::root() },
        (PromptVerb::Df, [path]) => PromptCommand::Df { path: remote_path(path)? },
        (PromptVerb::Mkdir, [path]) => PromptCommand::Mkdir { path: remote_path(path)? },
        (PromptVerb::Rm, [path]) => PromptCommand::Rm { path: remote_path(path)? },
        (PromptVerb::Mv, [option, from, to]) if option == b"-f" => parse_mv(from, to, true)?,
        (PromptVerb::Mv, [from, to]) => parse_mv(from, to, false)?,
        (PromptVerb::Download, [remote]) => {
            PromptCommand::Download { remote: remote_path(remote)?, local: None }
        }
        (PromptVerb::Download, [remote, local]) => {
            PromptCommand::Download { remote: remote_path(remote)?, local: Some(local_path(local)?) }
        }
        (PromptVerb::Upload, [local]) => parse_upload(local, b"")?,
        (PromptVerb::Upload, [_, remote]) if remote.is_empty() => return Err(empty_name()),
        (PromptVerb::Upload, [local, remote]) => parse_upload(local, remote)?,
        (PromptVerb::Who, []) => PromptCommand::Who,
        (PromptVerb::Help, []) => PromptCommand::Help,
        (PromptVerb::Exit | PromptVerb::Quit, []) => PromptCommand::Exit,
        (
            PromptVerb::Download
            | PromptVerb::Upload
            | PromptVerb::Stat
            | PromptVerb::Sum
            | PromptVerb::Df
            | PromptVerb::Mkdir
            | PromptVerb::Rm
            | PromptVerb::Mv
            | PromptVerb::Who
            | PromptVerb::Help
            | PromptVerb::Exit
            | PromptVerb::Quit,
            _,
        ) => return Err(verb.usage_failure()),
    };
    Ok(Some(command))
}

/// The answer to `help`, without a newline at its end.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for verb in PromptVerb::ALL {
        text += &format!("  {:<25} {}\n", verb.usage(), verb.summary());
    }
    text + "\n\
        A name with spaces goes in double quotes: download \"my file.txt\"\n\
        Inside quotes \\\" \\\\ \\n \\r \\t \\xHH stand for what cannot be typed.\n\
        At the prompt, Tab completes commands and names, Ctrl-C stops a transfer,\n\
        Ctrl-D exits."
}

fn parse_ls(arguments: &[Vec<u8>]) -> Result<PromptCommand, Failure> {
    let (long, paths) = match arguments.split_first() {
        Some((first, rest)) if first == b"-l" => (true, rest),
        Some(_) | None => (false, arguments),
    };
    match paths {
        [] => Ok(PromptCommand::Ls { path: RemotePath::root(), long }),
        [path] => Ok(PromptCommand::Ls { path: remote_path(path)?, long }),
        [_, ..] => Err(PromptVerb::Ls.usage_failure()),
    }
}

/// `remote` may be empty: then the name is that of the local file. After a slash it is so too.
fn parse_upload(local: &[u8], remote: &[u8]) -> Result<PromptCommand, Failure> {
    let local = local_path(local)?;
    let mut remote = remote.to_vec();
    if remote.is_empty() || remote.ends_with(b"/") || remote == b"." {
        let Some(name) = local.file_name() else {
            return Err(Failure::Usage(format!(
                "{} is not a file",
                words::display(local.as_os_str().as_bytes())
            )));
        };
        if remote == b"." {
            remote.clear();
        }
        remote.extend_from_slice(name.as_bytes());
    }
    Ok(PromptCommand::Upload { remote: remote_path(&remote)?, local })
}

/// A target that ends in a slash, or is `.`, is the directory to move into.
fn parse_mv(from: &[u8], to: &[u8], replace: bool) -> Result<PromptCommand, Failure> {
    let from = remote_path(from)?;
    let mut target = to.to_vec();
    if (to.ends_with(b"/") || to == b".")
        && let Some(name) = from.file_name()
    {
        target.push(b'/');
        target.extend_from_slice(name);
    }
    Ok(PromptCommand::Mv { to: remote_path(&target)?, from, replace })
}

fn remote_path(word: &[u8]) -> Result<RemotePath, Failure> {
    RemotePath::parse(word).map_err(|code| {
        let reason = "names on the server are relative to the shared folder, without ..";
        Failure::Usage(format!("{}: {} ({reason})", words::display(word), code.message()))
    })
}

fn local_path(word: &[u8]) -> Result<PathBuf, Failure> {
    if word.is_empty() {
        return Err(empty_name());
    }
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    // As in a shell; a file may have the name ~ all the same.
    match (word.strip_prefix(b"~/"), etcetera::home_dir()) {
        (Some(beneath), Ok(home)) => Ok(home.join(path(beneath))),
        (Some(_), Err(_)) | (None, _) => Ok(path(word)),
    }
}

fn empty_name() -> Failure {
    Failure::Usage("A name is empty".to_owned())
}

fn unknown(word: &[u8]) -> Failure {
    let words: Vec<_> = PromptVerb::ALL.iter().map(|verb| verb.word()).collect();
    Failure::Usage(format!("Unknown command: {}. Known are: {}", words::display(word), words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    fn command(line: &str) -> PromptCommand {
        parse(line.as_bytes()).unwrap().unwrap()
    }

    fn failure(line: &[u8]) -> String {
        parse(line).unwrap_err().to_string()
    }

    #[test]
    fn understands_each_command() {
        assert_eq!(command("ls"), PromptCommand::Ls { path: RemotePath::root(), long: false });
        assert_eq!(command("ls -l a/"), PromptCommand::Ls { path: remote("a"), long: true });
        assert_eq!(command("ls ./-l"), PromptCommand::Ls { path: remote("-l"), long: false });
        assert_eq!(command("stat \"a b\""), PromptCommand::Stat { path: remote("a b") });
        assert_eq!(command("download a"), PromptCommand::Download { remote: remote("a"), local: None });
        assert_eq!(
            command(" download  a/b ../c "),
            PromptCommand::Download { remote: remote("a/b"), local: Some("../c".into()) }
        );
        assert_eq!(command("sum a"), PromptCommand::Sum { path: remote("a") });
        assert_eq!(command("df"), PromptCommand::Df { path: RemotePath::root() });
        assert_eq!(command("df a"), PromptCommand::Df { path: remote("a") });
        assert_eq!(command("mkdir a/b"), PromptCommand::Mkdir { path: remote("a/b") });
        assert_eq!(command("rm a"), PromptCommand::Rm { path: remote("a") });
        for (line, from, to, replace) in [
            ("mv a b", "a", "b", false),
            ("mv -f a b", "a", "b", true),
            ("mv d/a e/", "d/a", "e/a", false),
            ("mv d/a .", "d/a", "a", false),
            ("mv ./-f b", "-f", "b", false),
        ] {
            assert_eq!(command(line), PromptCommand::Mv { from: remote(from), to: remote(to), replace });
        }
        assert!(parse(b"mv a /b/").is_err());
        assert!(parse(b"mv -f a").is_ok(), "a file may be named -f");
        assert_eq!(command("who"), PromptCommand::Who);
        assert_eq!(command("help"), PromptCommand::Help);
        assert_eq!(command("exit"), PromptCommand::Exit);
        assert_eq!(command("quit"), PromptCommand::Exit);
        assert!(parse(b"  ").unwrap().is_none());
    }

    #[test]
    fn a_local_name_may_begin_at_home() {
        let home = etcetera::home_dir().unwrap();
        assert_eq!(local_path(b"~/a b").ok().unwrap(), home.join("a b"));
        assert_eq!(local_path(b"~").ok().unwrap(), PathBuf::from("~"));
        assert_eq!(local_path(b"~other/a").ok().unwrap(), PathBuf::from("~other/a"));
    }

    #[test]
    fn an_upload_is_named_after_its_file_where_no_name_is_given() {
        for (line, name) in [
            ("upload /tmp/x.txt", "x.txt"),
            ("upload x y", "y"),
            ("upload /tmp/x d/", "d/x"),
            ("upload /tmp/x .", "x"),
            ("upload /tmp/x ./", "x"),
        ] {
            let PromptCommand::Upload { remote: chosen, .. } = command(line) else { panic!("{line}") };
            assert_eq!(chosen, remote(name), "{line}");
        }
        assert!(parse(b"upload ..").is_err());
        assert!(parse(b"upload \"\"").is_err());
        assert!(parse(b"upload x \"\"").is_err());
    }

    #[test]
    fn says_what_to_do() {
        assert!(failure(b"download my holiday file.txt").contains("double quotes"));
        assert!(failure(b"download").starts_with("Usage: download REMOTE [LOCAL]"));
        assert!(failure(b"download \"a b").contains("closing quote"));
        assert!(failure(b"get a").contains("Unknown command: get"));
        assert!(failure(b"download ../a").contains("without .."));
        assert!(failure(b"exit now").starts_with("Usage: exit"));
        assert!(!failure(b"\"\\x1b[2J\"").contains('\x1b'));
        assert!(!failure(b"\x1b[2J").contains('\x1b'));
    }
}
