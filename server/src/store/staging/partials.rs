//! How long what broke off is kept, and how much of it.

use super::home::{Home, names_in};
use rustix::fd::AsFd;
use rustix::fs::AtFlags;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) age_s: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Kept {
    name: Vec<u8>,
    age_s: u64,
    bytes: u64,
}

impl Home {
    /// Removes what is too old, then the oldest until the rest is not too much. Tells when the next will be
    /// too old, if there is any left.
    pub(crate) fn sweep_partials(&self, retention: Retention) -> Option<Duration> {
        let directory = self.partial_directory();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut kept: Vec<Kept> = names_in(directory.as_fd())
            .into_iter()
            .filter_map(|name| {
                let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                let mtime_s = u64::try_from(stat.st_mtime).unwrap_or(0);
                let bytes = u64::try_from(stat.st_size).unwrap_or(0);
                Some(Kept { name, age_s: now_s.saturating_sub(mtime_s), bytes })
            })
            .collect();
        kept.sort_by_key(|kept| kept.age_s);
        let mut total_bytes: u64 = 0;
        let mut oldest_s = None;
        for Kept { name, age_s, bytes } in kept {
            let grown = total_bytes.saturating_add(bytes);
            if age_s >= retention.age_s || grown > retention.bytes {
                // Somebody may have gone on with it meanwhile.
                let _ = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
            } else {
                total_bytes = grown;
                oldest_s = Some(age_s);
            }
        }
        oldest_s.map(|age_s| Duration::from_secs(retention.age_s - age_s))
    }
}
