//! What `ls` and `stat` tell of a file or directory.

use crate::wire::file_time::FileTime;

/// The kinds that are served; everything else is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    File,
    Dir,
}

impl EntryKind {
    /// The stable word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
        }
    }
}

/// One file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    /// Size of a file; 0 for a directory.
    pub size_bytes: u64,
    /// Last modification.
    pub mtime: FileTime,
    /// True for a file that its owner may execute.
    pub executable: bool,
    /// The name is a link to it, as far as the server tells that.
    pub link: bool,
    /// The name inside the listed directory; for a file that was named itself, its last component; `.`
    /// for the root.
    pub name: Vec<u8>,
}
