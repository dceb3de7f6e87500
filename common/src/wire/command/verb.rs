//! The words that commands begin with.

/// The commands without their arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    Ls,
    Stat,
    Download,
    Upload,
    Sum,
    Partial,
    Df,
    Mkdir,
    Rm,
    Mv,
    Mtime,
    Hello,
    Who,
    Help,
    Exit,
}

impl Verb {
    pub const ALL: &[Self] = &[
        Self::Ls,
        Self::Stat,
        Self::Download,
        Self::Upload,
        Self::Sum,
        Self::Partial,
        Self::Df,
        Self::Mkdir,
        Self::Rm,
        Self::Mv,
        Self::Mtime,
        Self::Hello,
        Self::Who,
        Self::Help,
        Self::Exit,
    ];

    /// The word that a client types.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ls => "ls",
            Self::Stat => "stat",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Sum => "sum",
            Self::Partial => "partial",
            Self::Df => "df",
            Self::Mkdir => "mkdir",
            Self::Rm => "rm",
            Self::Mv => "mv",
            Self::Mtime => "mtime",
            Self::Hello => "hello",
            Self::Who => "who",
            Self::Help => "help",
            Self::Exit => "exit",
        }
    }

    /// The verb and its arguments.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Ls => "ls [PATH]",
            Self::Stat => "stat PATH",
            Self::Download => "download PATH [OFFSET] [digest]",
            Self::Upload => {
                "upload PATH SIZE [digest] [new] [mtime=MTIME] [exec=yes|no] [resume=OFFSET:DIGEST] [was=SIZE:MTIME|link] [follow=NAMES]"
            }
            Self::Sum => "sum PATH [LENGTH]",
            Self::Partial => "partial PATH",
            Self::Df => "df [PATH]",
            Self::Mkdir => "mkdir PATH [follow=NAMES]",
            Self::Rm => "rm PATH [was=SIZE:MTIME|link|dir] [follow=NAMES]",
            Self::Mv => "mv FROM TO [replace]",
            Self::Mtime => "mtime PATH MTIME",
            Self::Hello => "hello [VERSION]",
            Self::Who => "who",
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
            Self::Sum => "tell the digest of a file, or of its first LENGTH bytes",
            Self::Partial => "tell what is kept of an upload that broke off, and its digest",
            Self::Df => {
                "tell the free and the whole room of a file system (that of the served folder if none is named)"
            }
            Self::Mkdir => "make a directory",
            Self::Rm => "remove a file or an empty directory",
            Self::Mv => "rename, never over an existing name unless told to replace a file",
            Self::Mtime => "set the modification time of a file or directory",
            Self::Hello => "agree on the protocol's version and tell the limits",
            Self::Who => {
                "tell how many sessions there are and what they move, and which, where the operator lets everybody see that"
            }
            Self::Help => "this list",
            Self::Exit => "end the session",
        }
    }

    pub(super) fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.word().as_bytes() == word)
    }
}
