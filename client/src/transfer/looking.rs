//! What the server has under a name.

use crate::failure::Failure;
use crate::session::Session;
use crate::session::link::Handler;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Was};
use ferry_common::wire::entry::{Entry, EntryKind};

/// What an upload may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    Nothing,
    Was(Was),
    /// It is nothing that a file takes the place of, or cannot be told: the server says what is wrong.
    Untold,
}

impl There {
    pub(crate) fn of(entry: &Entry) -> Self {
        match entry.kind {
            EntryKind::File => Self::Was(was_of_file(entry)),
            EntryKind::Dir => Self::Untold,
        }
    }
}

/// What is to be there still, of a file or a link to one that was listed.
pub(crate) fn was_of_file(entry: &Entry) -> Was {
    if entry.link { Was::Link } else { Was::File { size_bytes: entry.size_bytes, mtime: entry.mtime } }
}

/// What the server tells of one file or folder.
pub(crate) fn stat(session: &mut Session, path: &RemotePath) -> Result<Entry, Failure> {
    /// The last entry that came; an honest server sends one.
    struct Facts(Option<Entry>);
    impl Handler for Facts {
        fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
            self.0 = Some(entry);
            Ok(())
        }
    }
    let mut facts = Facts(None);
    session.exchange(Command::Stat { path: path.clone() }, &mut facts)?;
    facts.0.ok_or_else(|| Failure::ConnectionLost("The server told nothing about it".to_owned()))
}

/// What has the name that an upload is to get.
pub(crate) fn look(session: &mut Session, path: &RemotePath) -> Result<There, Failure> {
    match stat(session, path) {
        Ok(entry) => Ok(There::of(&entry)),
        Err(Failure::Refused { code: Some(ErrorCode::NotFound), .. }) => Ok(There::Nothing),
        Err(Failure::Refused { .. }) => Ok(There::Untold),
        Err(failure) => Err(failure),
    }
}
