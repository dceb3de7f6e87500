//! The requests of a client that have not ended: what each is about, the bytes of it, and whether what the server calls a
//! success is one.

use super::plan::Kind;
use super::report::FailureKind;
use crate::content::Content;
use ferry_client::engine::{Announcement, Payloads, Stop};
use ferry_common::dialogue::{Failure, RequestId};
use ferry_common::path::HIDDEN_NAME;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::collections::VecDeque;
use std::time::Instant;

pub(crate) struct Running {
    /// `None` for what is not measured.
    pub(crate) kind: Option<Kind>,
    pub(crate) content: Content,
    pub(crate) started: Instant,
    /// What was wrong although the server did not say so.
    pub(crate) wrong: Option<String>,
    entries: u64,
    saw_shared: bool,
}

impl Running {
    pub(crate) fn begin(kind: Option<Kind>, content: Content) -> Self {
        Self { kind, content, started: Instant::now(), wrong: None, entries: 0, saw_shared: false }
    }

    /// Takes in one line of a listing, in which the shared file should be.
    pub(crate) fn examine(&mut self, entry: &Entry, shared_name: &[u8], shared_size: u64) {
        self.entries += 1;
        if entry.name == shared_name {
            self.saw_shared |= entry.kind == EntryKind::File && entry.size_bytes == shared_size;
        }
        let is_single_name = !entry.name.is_empty()
            && !entry.name.iter().any(|byte| matches!(byte, b'/' | 0))
            && ![&b"."[..], b"..", HIDDEN_NAME].contains(&entry.name.as_slice());
        if !is_single_name {
            self.wrong = Some(format!("listed as {}", entry.name.escape_ascii()));
        }
    }

    /// A download has this length.
    pub(crate) fn announce(&mut self, length: u64) {
        let expected = self.content.size_bytes;
        if length != expected {
            self.note_wrong(format!("announced {length} bytes instead of {expected}"));
        }
    }

    fn note_wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// To be called after `ok`, with its number.
    pub(crate) fn verdict(&self, number: Option<u64>) -> Result<(), (FailureKind, String)> {
        let expected = match self.kind {
            None => number,
            Some(Kind::Ls) if !self.saw_shared => {
                return Err((FailureKind::Mismatch, "ls without the shared file".to_owned()));
            }
            Some(Kind::Ls) => Some(self.entries),
            Some(Kind::Download | Kind::Upload | Kind::ReadBack) => Some(self.content.size_bytes),
        };
        if let Some(wrong) = &self.wrong {
            return Err((FailureKind::Mismatch, wrong.clone()));
        }
        if number != expected {
            return Err((FailureKind::Mismatch, format!("ok {number:?} instead of {expected:?}")));
        }
        Ok(())
    }
}

/// The oldest first.
#[derive(Default)]
pub(crate) struct Requests(VecDeque<(RequestId, Running)>);

impl Requests {
    pub(crate) fn push(&mut self, id: RequestId, running: Running) {
        self.0.push_back((id, running));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Running> {
        self.0.iter().map(|(_, running)| running)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Running> {
        self.0.iter_mut().find(|(other, _)| *other == id).map(|(_, running)| running)
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Running> {
        let at = self.0.iter().position(|(other, _)| *other == id)?;
        self.0.remove(at).map(|(_, running)| running)
    }
}

impl Payloads for Requests {
    fn announce(&mut self, id: RequestId, announced: Announcement) -> Result<(), Stop> {
        if let Some(running) = self.get_mut(id) {
            running.announce(announced.length);
        }
        Ok(())
    }

    fn take(&mut self, id: RequestId, offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        if let Some(running) = self.get_mut(id)
            && let Some(at) = running.content.first_mismatch(offset, bytes)
        {
            running.note_wrong(format!("wrong byte at {at}"));
        }
        Ok(())
    }

    fn begin(&mut self, _id: RequestId, _offset: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn fill(&mut self, id: RequestId, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        if let Some(running) = self.get_mut(id) {
            running.content.fill(offset, into);
        }
        Ok(into.len())
    }

    fn trailer(&mut self, _id: RequestId) -> Result<Digest, Stop> {
        // No upload of a client is asked for with one.
        Err(Stop)
    }
}

/// A failure as the report counts it.
pub(crate) fn reported(failure: &Failure) -> (FailureKind, String) {
    let kind = match failure {
        Failure::Refused { code: Some(code), .. } => FailureKind::Refused(code.word().to_owned()),
        Failure::Refused { code: None, .. } => FailureKind::Refused("unknown code".to_owned()),
        Failure::DataLost => FailureKind::DataLost,
        Failure::ControlLost => FailureKind::ControlLost,
    };
    (kind, failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::wire::file_time::FileTime;

    fn entry(name: &[u8], size_bytes: u64) -> Entry {
        Entry {
            kind: EntryKind::File,
            size_bytes,
            mtime: FileTime::default(),
            executable: false,
            link: false,
            name: name.to_vec(),
        }
    }

    #[test]
    fn a_listing_must_be_whole_and_have_the_shared_file() {
        let mut running = Running::begin(Some(Kind::Ls), Content::new(0, 0));
        running.examine(&entry(b"other", 5), b"shared", 7);
        assert!(running.verdict(Some(1)).is_err());
        running.examine(&entry(b"shared", 7), b"shared", 7);
        assert!(running.verdict(Some(2)).is_ok());
        assert!(running.verdict(Some(3)).is_err());
        assert!(running.verdict(None).is_err());
        running.examine(&entry(b"../out", 7), b"shared", 7);
        assert!(running.verdict(Some(3)).is_err());
    }

    #[test]
    fn a_transfer_must_have_its_size_and_no_wrong_byte() {
        let mut running = Running::begin(Some(Kind::Upload), Content::new(0, 9));
        assert!(running.verdict(Some(9)).is_ok());
        assert!(running.verdict(Some(8)).is_err());
        running.wrong = Some("wrong byte at 4".to_owned());
        assert!(running.verdict(Some(9)).is_err());
    }
}
