//! The options of commands: how each is typed, what follows it, and what it does.

/// What may follow a command with a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    OneALine,
    All,
    Long,
    Human,
    Exact,
    ByTime,
    BySize,
    Reverse,
    Force,
    Replace,
    To,
    Recursive,
    Parents,
    Depth,
    SumOnly,
    DryRun,
    Jobs,
    Exclude,
    Up,
    Down,
    Checksum,
    Delete,
}

impl Flag {
    /// `None` where a slip of the finger would cost too much.
    pub(crate) fn letter(self) -> Option<char> {
        Some(match self {
            Self::OneALine => '1',
            Self::All => 'a',
            Self::Long => 'l',
            Self::Human => 'h',
            Self::Exact => 'b',
            Self::ByTime => 't',
            Self::BySize => 'S',
            Self::Reverse => 'r',
            Self::Force | Self::Replace => 'f',
            Self::To => 'o',
            Self::Recursive => 'r',
            Self::Parents => 'p',
            Self::Depth => 'L',
            Self::SumOnly => 's',
            Self::DryRun => 'n',
            Self::Jobs => 'j',
            Self::Exclude => 'x',
            Self::Up => 'u',
            Self::Down => 'd',
            Self::Checksum => 'c',
            Self::Delete => return None,
        })
    }

    /// The other name, behind two dashes.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::To => Some("to"),
            Self::Force | Self::Replace => Some("force"),
            Self::DryRun => Some("dry-run"),
            Self::Jobs => Some("jobs"),
            Self::Exclude => Some("exclude"),
            Self::Up => Some("up"),
            Self::Down => Some("down"),
            Self::Checksum => Some("checksum"),
            Self::Delete => Some("delete"),
            Self::OneALine
            | Self::All
            | Self::Long
            | Self::Human
            | Self::Exact
            | Self::ByTime
            | Self::BySize
            | Self::Reverse
            | Self::Recursive
            | Self::Parents
            | Self::Depth
            | Self::SumOnly => None,
        }
    }

    /// The list of all commands has no room for it.
    pub(crate) fn is_rare(self) -> bool {
        matches!(self, Self::Jobs | Self::Exclude)
    }

    /// As it is typed: by its letter, or else its word.
    pub(crate) fn typed(self) -> String {
        match (self.letter(), self.word()) {
            (Some(letter), _) => format!("-{letter}"),
            (None, word) => format!("--{}", word.unwrap_or_default()),
        }
    }

    /// What follows it, as the usage shows it.
    pub(crate) fn value(self) -> Option<&'static str> {
        match self {
            Self::To => Some("WHERE"),
            Self::Depth => Some("LEVELS"),
            Self::Jobs => Some("N"),
            Self::Exclude => Some("PATTERN"),
            Self::OneALine
            | Self::All
            | Self::Long
            | Self::Human
            | Self::Exact
            | Self::ByTime
            | Self::BySize
            | Self::Reverse
            | Self::Force
            | Self::Replace
            | Self::Recursive
            | Self::Parents
            | Self::SumOnly
            | Self::DryRun
            | Self::Up
            | Self::Down
            | Self::Checksum
            | Self::Delete => None,
        }
    }

    pub(crate) fn summary(self) -> &'static str {
        match self {
            Self::OneALine => "one name a line",
            Self::All => "with names that begin with a dot",
            Self::Long => "with sizes and times",
            Self::Human => "sizes as 41.9 MB, as on a terminal",
            Self::Exact => "sizes in bytes, as in a pipe",
            Self::ByTime => "the newest first",
            Self::BySize => "the largest first",
            Self::Reverse => "in the opposite order",
            Self::Force => "without asking",
            Self::Replace => "over a file that has the name",
            Self::Recursive => "folders with all that is in them",
            Self::Parents => "with the folders that it is in; fine if it is there",
            Self::Depth => "no deeper than this",
            Self::SumOnly => "only the sum",
            Self::DryRun => "only tell what would be done",
            Self::Up => "FROM is here, TO on the server",
            Self::Down => "FROM is on the server, TO here",
            Self::Checksum => "compare files by content, not by time",
            Self::Delete => "then remove from TO what FROM lacks: asks, or needs -f",
            Self::Jobs => "files at the same time: 4, or so many",
            Self::Exclude => "but not names that match; may be repeated",
            Self::To => "the folder to put them into, or the name for one file",
        }
    }
}
