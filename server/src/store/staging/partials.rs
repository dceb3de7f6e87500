//! What is kept of uploads that broke off: how long, how much, and which it is. The index is read once from the
//! directory; every change by this process goes through here. Of what other servers on the same folder keep it
//! knows nothing, and touches nothing: each server looks after its own.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, Stat};
use std::collections::HashMap;
use std::time::Duration;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Seconds since 1970: the change time, which the rename that kept the upload has set. The modification time
    /// would not do, since clients choose it.
    since_s: u64,
    bytes: u64,
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

    /// Removes what is too old, then the oldest until the rest is not too much. Tells when the next will be too
    /// old, if there is any left.
    pub(super) fn sweep(
        &mut self,
        directory: &OwnedFd,
        retention: Retention,
        now_s: u64,
    ) -> Option<Duration> {
        let mut by_age: Vec<(Vec<u8>, Entry)> =
            self.entries.iter().map(|(name, entry)| (name.clone(), *entry)).collect();
        by_age.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.since_s));
        let mut total_bytes: u64 = 0;
        let mut oldest_s = None;
        for (name, entry) in by_age {
            let age_s = now_s.saturating_sub(entry.since_s);
            let grown = total_bytes.saturating_add(entry.bytes);
            if (age_s >= retention.age_s || grown > retention.bytes) && self.remove(directory, &name, entry) {
                continue;
            }
            total_bytes = grown;
            oldest_s = oldest_s.max(Some(age_s));
        }
        oldest_s.map(|age_s| Duration::from_secs(retention.age_s.saturating_sub(age_s)))
    }

    /// True where the index has it no more; what cannot be removed is left for the next start. What another server
    /// has kept under the name since is left alone, too.
    fn remove(&mut self, directory: &OwnedFd, name: &[u8], entry: Entry) -> bool {
        let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        if let Ok(stat) = &there
            && Entry::of(stat) != entry
        {
            self.entries.insert(name.to_vec(), Entry::of(stat));
            return false;
        }
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        self.entries.remove(name);
        true
    }
}

impl Entry {
    fn of(stat: &Stat) -> Self {
        Self {
            since_s: u64::try_from(stat.st_ctime).unwrap_or(0),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
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
    use rustix::fs::{Mode, OFlags};
    use std::fs::File;
    use std::time::UNIX_EPOCH;

    #[test]
    fn old_and_surplus_ones_go_and_the_times_that_clients_choose_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = rustix::fs::open(folder.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b", "c", "d"] {
            let file = File::create(path(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(UNIX_EPOCH).unwrap();
        }
        let mut kept = Kept::read(&directory);
        let now_s = kept.entries[b"a".as_slice()].since_s;
        let retention = Retention { age_s: 1000, bytes: 250 };
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
        assert_eq!(left(&kept), (2, 2), "two of them are 200 bytes");
        assert_eq!(kept.sweep(&directory, retention, now_s + 1000), None);
        assert_eq!(left(&kept), (0, 0));
    }
}
