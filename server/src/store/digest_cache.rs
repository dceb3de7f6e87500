//! Digests of the files that are served: reading a file for one, and remembering it as long as the file
//! does not change.

use crate::asker::Asker;
use crate::limits::{DIGEST_SETTLE_TIME, DIGESTS_KNOWN_MAX};
use crate::store::errors::Call;
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::{Digest, Hasher};
use rustix::fs::Stat;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells one state of one file from every other, as far as its file system's clock allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The digests that are known, and the sessions that wait for those being computed.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: HashMap<FileIdentity, Digest>,
    /// The keys of `known`, oldest first.
    order: VecDeque<FileIdentity>,
    running: HashMap<FileIdentity, Vec<Asker>>,
}

/// What to do about a digest that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Known(Digest),
    /// The run of another session will tell.
    Joined,
    /// A run is to be begun.
    Begin,
}

impl FileIdentity {
    pub(crate) fn of(file: &File) -> Result<Self, ErrorCode> {
        Ok(Self::from_stat(&rustix::fs::fstat(file).map_err(Call::Read.of_file(file))?))
    }

    pub(crate) fn from_stat(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
        }
    }

    /// The mounted file system, as far as its number tells.
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// Names the file, in whatever state, as long as it is open.
    pub(crate) fn file_key(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// True where nothing tells that the content of the file is another. Its name may be: a file that was
    /// renamed or removed while it is open is still the same.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        let content = |identity: &Self| (identity.device, identity.inode, identity.size, identity.modified);
        content(self) == content(other)
    }

    /// True where nothing tells that the file differs in what it had when it was opened: it may have grown. Times
    /// count only where the file system keeps them itself and no digest tells more.
    pub(crate) fn has_beginning_of(&self, opened: &Self, trusts_times: bool) -> bool {
        let is_same = self.size == opened.size && (!trusts_times || self.modified == opened.modified);
        self.size > opened.size || is_same
    }

    /// True when the last change is so long ago that the next one will show.
    fn is_settled(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = u64::try_from(seconds).map(Duration::from_secs).unwrap_or_default()
            + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
        SystemTime::now().duration_since(UNIX_EPOCH + changed).is_ok_and(|since| since >= DIGEST_SETTLE_TIME)
    }
}

impl Digests {
    /// Asks for the digest of a file in this state.
    pub(crate) fn want(&mut self, identity: FileIdentity, asker: Asker) -> Wanted {
        if let Some(digest) = self.known.get(&identity) {
            return Wanted::Known(*digest);
        }
        let waiting = self.running.entry(identity).or_default();
        waiting.push(asker);
        if waiting.len() > 1 { Wanted::Joined } else { Wanted::Begin }
    }

    /// The sessions that wait for a run.
    pub(crate) fn waiting(&self, identity: &FileIdentity) -> &[Asker] {
        self.running.get(identity).map_or(&[], Vec::as_slice)
    }

    /// A run has ended; gives the sessions that waited for it. The digest is remembered if `lasting` has it: the file was still
    /// in this state when it had been read, and its file system is one whose times tell that.
    pub(crate) fn finish(&mut self, identity: FileIdentity, lasting: Option<Digest>) -> Vec<Asker> {
        if let Some(digest) = lasting
            && identity.is_settled()
        {
            if self.known.insert(identity, digest).is_none() {
                self.order.push_back(identity);
            }
            if self.order.len() > DIGESTS_KNOWN_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        self.running.remove(&identity).unwrap_or_default()
    }
}

/// Reads on where the hasher is, up to `end` and at most `step_bytes`. A file that ends before has changed.
pub(crate) fn read_step(
    file: &File,
    hasher: &mut Hasher,
    end: u64,
    step_bytes: u64,
    scratch: &mut [u8],
) -> Result<(), ErrorCode> {
    let stop = hasher.length().saturating_add(step_bytes).min(end);
    while hasher.length() < stop {
        let wanted = usize::try_from(stop - hasher.length()).unwrap_or(usize::MAX).min(scratch.len());
        match file.read_at(&mut scratch[..wanted], hasher.length()) {
            Ok(0) => return Err(ErrorCode::Changed),
            Ok(count) => hasher.update(&scratch[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Call::Read.of_file_io(file)(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::slots::Key;
    use std::io::Write;

    fn asker(number: u64) -> Asker {
        Asker { session: Key::from_bits(number), ..Asker::server() }
    }

    #[test]
    fn a_digest_is_computed_once_for_all_who_ask_and_remembered_when_the_file_has_settled() {
        let mut digests = Digests::default();
        let settled = FileIdentity { device: 1, inode: 2, size: 3, modified: (4, 0), changed: (4, 0) };
        assert_eq!(digests.want(settled, asker(1)), Wanted::Begin);
        assert_eq!(digests.want(settled, asker(2)), Wanted::Joined);
        let digest = Digest::of(b"abc");
        assert_eq!(digests.finish(settled, Some(digest)), [asker(1), asker(2)]);
        assert_eq!(digests.want(settled, asker(3)), Wanted::Known(digest));
    }

    #[test]
    fn a_file_that_changed_just_now_is_read_again() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let identity = FileIdentity::of(&file).unwrap();
        let mut digests = Digests::default();
        assert_eq!(digests.want(identity, asker(1)), Wanted::Begin);
        digests.finish(identity, Some(Digest::of(b"abc")));
        assert_eq!(digests.want(identity, asker(1)), Wanted::Begin);
    }

    #[test]
    fn every_change_of_size_shows() {
        let mut file = tempfile::tempfile().unwrap();
        let before = FileIdentity::of(&file).unwrap();
        file.write_all(b"abc").unwrap();
        assert!(!FileIdentity::of(&file).unwrap().has_content_of(&before));
        let mut hasher = Hasher::default();
        let mut scratch = [0; 2];
        assert_eq!(read_step(&file, &mut hasher, 4, 100, &mut scratch), Err(ErrorCode::Changed));
    }
}
