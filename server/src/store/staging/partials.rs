//! What is kept of uploads that broke off: how long, how much, and which it is. The index is read once from the
//! directory; every change by this process goes through here. Of what other servers on the same folder keep it
//! knows nothing, and touches nothing: each server looks after its own.

use crate::limits::{KEPT_UPLOAD_MIN_BYTES, KEPT_UPLOADS_MAX};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, OFlags, Stat};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// How a directory of Ferry's own is opened.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) age_s: u64,
    pub(crate) bytes: u64,
}

/// Of each kept upload, by its name, since when and how much it is.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: HashMap<Vec<u8>, Entry>,
}

/// Tells something that is kept from whatever else was, or will be, kept under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Seconds since 1970, and nanoseconds: the change time, which the rename that kept the upload has set. The modification
    /// time would not do, since clients choose it.
    since_s: u64,
    since_ns: u64,
    bytes: u64,
    inode: u64,
}

impl Kept {
    /// Looks through the directory.
    pub(super) fn read(directory: &OwnedFd) -> Self {
        let mut kept = Self::default();
        for name in names_in(directory.as_fd()) {
            kept.look_at(directory, &name);
        }
        kept
    }

    /// Something was kept under this name, or taken away.
    pub(super) fn look_at(&mut self, directory: &OwnedFd, name: &[u8]) {
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => _ = self.entries.insert(name.to_vec(), Entry::of(&stat)),
            Err(_) => _ = self.entries.remove(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is kept under this name, as far as this process knows.
    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        self.entries.get(name.as_bytes()).copied()
    }

    /// Removes what is too old, then the oldest until the rest is not too much, and not too many. Tells when the next will
    /// be too old, if there is any left.
    pub(super) fn sweep(
        &mut self,
        directory: &OwnedFd,
        retention: Retention,
        now_s: u64,
    ) -> Option<Duration> {
        let mut by_age: Vec<(&[u8], Entry)> =
            self.entries.iter().map(|(name, entry)| (name.as_slice(), *entry)).collect();
        by_age.sort_unstable_by_key(|(_, entry)| Reverse((entry.since_s, entry.since_ns)));
        let (mut total_bytes, mut count): (u64, usize) = (0, 0);
        let mut surplus = Vec::new();
        for (name, entry) in by_age {
            let grown = total_bytes.saturating_add(entry.bytes.max(KEPT_UPLOAD_MIN_BYTES));
            let is_old = now_s.saturating_sub(entry.since_s) >= retention.age_s;
            if is_old || grown > retention.bytes || count >= KEPT_UPLOADS_MAX {
                surplus.push((name.to_vec(), entry));
            } else {
                total_bytes = grown;
                count += 1;
            }
        }
        for (name, entry) in surplus {
            self.remove(directory, &name, entry);
        }
        let oldest_s = self.entries.values().map(|entry| now_s.saturating_sub(entry.since_s)).max();
        oldest_s.map(|age_s| Duration::from_secs(retention.age_s.saturating_sub(age_s)))
    }

    /// Removes what is kept, if it is still this; what cannot be removed is left for the next start. What was kept under the
    /// name since, by this server or another, is left alone.
    pub(super) fn remove(&mut self, directory: &OwnedFd, name: &[u8], entry: Entry) {
        let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        if let Ok(stat) = &there
            && Entry::of(stat) != entry
        {
            self.entries.insert(name.to_vec(), Entry::of(stat));
            return;
        }
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        self.entries.remove(name);
    }
}

impl Entry {
    fn of(stat: &Stat) -> Self {
        Self {
            since_s: u64::try_from(stat.st_ctime).unwrap_or(0),
            since_ns: stat.st_ctime_nsec,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
        }
    }
}

pub(super) fn names_in(directory: BorrowedFd<'_>) -> Vec<Vec<u8>> {
    let Ok(entries) = Dir::read_from(directory) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_bytes().to_vec())
        .filter(|name| !matches!(name.as_slice(), b"." | b".."))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::Mode;
    use std::fs::File;
    use std::time::UNIX_EPOCH;

    #[test]
    fn old_and_surplus_ones_go_and_the_times_that_clients_choose_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = rustix::fs::open(folder.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b", "c", "d"] {
            let file = File::create(path(name)).unwrap();
            file.set_len(10_000).unwrap();
            file.set_modified(UNIX_EPOCH).unwrap();
        }
        let mut kept = Kept::read(&directory);
        let now_s = kept.entries[b"a".as_slice()].since_s;
        let retention = Retention { age_s: 1000, bytes: 25_000 };
        assert_eq!(kept.entries.len(), 4);
        for (name, age_s) in [("a", 5000), ("b", 300), ("c", 200)] {
            // As if it had been there for so long; what is on the disk is of the same age.
            kept.entries.get_mut(name.as_bytes()).unwrap().since_s -= age_s;
        }
        // What differs from the disk was kept anew by another server, so nothing goes.
        kept.sweep(&directory, retention, now_s);
        assert!(path("a").exists() && path("b").exists());

        let mut kept = Kept::read(&directory);
        let left = |kept: &Kept| {
            let mut names: Vec<_> = kept.entries.keys().cloned().collect();
            names.sort();
            (names.len(), std::fs::read_dir(folder.path()).unwrap().count())
        };
        assert_eq!(kept.sweep(&directory, retention, now_s + 10), Some(Duration::from_secs(990)));
        assert_eq!(left(&kept), (2, 2), "two of them are 20 000 bytes");
        assert_eq!(kept.sweep(&directory, retention, now_s + 1000), None);
        assert_eq!(left(&kept), (0, 0));
    }

    #[test]
    fn empty_ones_count_and_of_very_many_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let directory = rustix::fs::open(folder.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        for number in 0..4 {
            File::create(folder.path().join(number.to_string())).unwrap();
        }
        let mut kept = Kept::read(&directory);
        let now_s = kept.entries[b"0".as_slice()].since_s;
        let retention = Retention { age_s: 1000, bytes: 3 * KEPT_UPLOAD_MIN_BYTES };
        kept.sweep(&directory, retention, now_s);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);

        for number in 0..KEPT_UPLOADS_MAX + 5 {
            let since_s = now_s - (number as u64 % 500);
            let entry = Entry { since_s, since_ns: 0, bytes: 0, inode: number as u64 };
            kept.entries.insert(format!("more-{number}").into_bytes(), entry);
        }
        kept.sweep(&directory, Retention { age_s: 1000, bytes: u64::MAX }, now_s);
        assert_eq!(kept.entries.len(), KEPT_UPLOADS_MAX);
        // Each of those seconds has some dozens of them.
        let oldest_s = kept.entries.values().map(|entry| now_s.saturating_sub(entry.since_s)).max();
        assert_eq!(oldest_s, Some(499), "only some of the oldest went");
        assert!((0..4).any(|number| kept.entries.contains_key(number.to_string().as_bytes())));
    }
}
