//! What has to be so for a command to be done. A client that has looked at a name tells what it saw there, so that nothing
//! goes that came meanwhile.

use super::parse_number;
use crate::limits::FILE_MAX_BYTES;
use crate::wire::file_time::FileTime;
use std::fmt;

/// What a name holds, itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// A regular file of this size and time, as `ls` and `stat` tell them.
    File { size_bytes: u64, mtime: FileTime },
    /// A symbolic link, whatever it leads to.
    Link,
    /// A directory.
    Dir,
}

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// The last name of the path holds this.
    pub was: Option<Was>,
    /// Only the first so many names of the path may be links that are followed.
    pub follow: Option<u32>,
}

impl Was {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"link" => Some(Self::Link),
            b"dir" => Some(Self::Dir),
            text => {
                let colon = text.iter().position(|&byte| byte == b':')?;
                let size_bytes = parse_number(&text[..colon]).filter(|&size| size <= FILE_MAX_BYTES)?;
                Some(Self::File { size_bytes, mtime: FileTime::parse(&text[colon + 1..])? })
            }
        }
    }
}

/// As behind `was=`.
impl fmt::Display for Was {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { size_bytes, mtime } => write!(formatter, "{size_bytes}:{mtime}"),
            Self::Link => formatter.write_str("link"),
            Self::Dir => formatter.write_str("dir"),
        }
    }
}

impl Conditions {
    pub const NONE: Self = Self { was: None, follow: None };

    /// Takes in one word; `None` where it is no condition, or one of a kind that was there before.
    pub(super) fn take(&mut self, word: &[u8]) -> Option<()> {
        let is_first = if let Some(text) = word.strip_prefix(b"was=") {
            self.was.replace(Was::parse(text)?).is_none()
        } else {
            let names = parse_number(word.strip_prefix(b"follow=")?)?;
            self.follow.replace(u32::try_from(names).ok()?).is_none()
        };
        is_first.then_some(())
    }

    pub(super) fn parse(words: &[Vec<u8>]) -> Option<Self> {
        let mut conditions = Self::NONE;
        words.iter().try_for_each(|word| conditions.take(word))?;
        Some(conditions)
    }

    /// Each with a space before it.
    pub(super) fn encode(&self, line: &mut Vec<u8>) {
        if let Some(was) = self.was {
            line.extend_from_slice(format!(" was={was}").as_bytes());
        }
        if let Some(names) = self.follow {
            line.extend_from_slice(format!(" follow={names}").as_bytes());
        }
    }
}
