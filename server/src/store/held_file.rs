//! A file that is open for reading, and where it is closed. Never reads or writes it.

use super::lane_id::LaneId;
use super::mounts::Medium;
use crossbeam_channel::{Receiver, Sender};
use std::fs::File;

/// Takes files whose closing may wait, to a thread that may wait.
#[derive(Debug, Clone)]
pub(crate) struct Closer {
    files: Sender<File>,
    lane: LaneId,
}

/// An open file. Whatever thread drops the last reference, the descriptor is closed where that may wait: on a
/// foreign file system `close` asks a daemon or a network, and on a local one the last `close` of a removed file
/// frees its blocks, which takes the longer the larger it is.
#[derive(Debug)]
pub(crate) struct HeldFile {
    /// `None` only while it is dropped.
    file: Option<File>,
    medium: Medium,
    closer: Closer,
}

impl Closer {
    /// A closer, and the files that come to it. They are to be dropped until no more can come.
    pub(crate) fn new(lane: LaneId) -> (Self, Receiver<File>) {
        // Bounded by the descriptors that the process may have.
        let (sender, files) = crossbeam_channel::unbounded();
        (Self { files: sender, lane }, files)
    }
}

impl HeldFile {
    pub(crate) fn new(file: File, medium: Medium, closer: &Closer) -> Self {
        Self { file: Some(file), medium, closer: closer.clone() }
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("only drop takes it")
    }

    /// Whose threads do what may wait for it.
    pub(crate) fn lane(&self) -> LaneId {
        self.closer.lane
    }

    pub(crate) fn medium(&self) -> Medium {
        self.medium
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let may_wait = match self.medium {
            Medium::Foreign => true,
            Medium::Memory | Medium::Local => rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink == 0),
        };
        if may_wait {
            // Where the closing thread is gone, so is the reactor.
            drop(self.closer.files.send(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_or_removed_file_is_closed_elsewhere_and_a_local_one_at_once() {
        let (closer, closing) = Closer::new(LaneId::ROOT);
        let named = tempfile::NamedTempFile::new().unwrap();
        drop(HeldFile::new(named.reopen().unwrap(), Medium::Local, &closer));
        assert!(closing.is_empty());
        drop(HeldFile::new(named.reopen().unwrap(), Medium::Foreign, &closer));
        assert_eq!(closing.len(), 1);
        drop(HeldFile::new(tempfile::tempfile().unwrap(), Medium::Local, &closer));
        assert_eq!(closing.len(), 2);
    }
}
