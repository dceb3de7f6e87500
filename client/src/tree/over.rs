//! What a file may take the place of where it gets its name. Names change hands while files come: what was not there when the
//! name was looked at, or is not any more what it was then, is the work of another program.

use crate::tree::error::TreeError;
use crate::tree::facts::Sighting;

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Of whatever can be replaced.
    Anything,
    /// Of nothing, and where the file system has no safe way to that, the file does not get its name.
    Nothing,
    /// Of nothing, as nothing had the name. Where the file system has no safe way to that, a look right before is enough.
    Free,
    /// Of what was seen, or of nothing.
    Seen(Sighting),
}

impl Over {
    /// How a file of these may take the place of what had the name when it was looked at.
    pub(crate) fn of(before: Option<Sighting>) -> Self {
        before.map_or(Self::Free, Self::Seen)
    }

    /// This has the name now.
    pub(crate) fn admits(&self, found: &Sighting) -> Result<(), TreeError> {
        match self {
            Self::Anything => Ok(()),
            Self::Nothing => Err(TreeError::Exists),
            Self::Seen(seen) if seen == found => Ok(()),
            Self::Free | Self::Seen(_) => Err(TreeError::Changed),
        }
    }

    /// Why a file cannot have a name that is taken.
    pub(crate) fn taken(&self) -> TreeError {
        match self {
            Self::Nothing => TreeError::Exists,
            Self::Anything | Self::Free | Self::Seen(_) => TreeError::Changed,
        }
    }
}
