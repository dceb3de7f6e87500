//! Whether a part of a file is in memory, so that sending it does not wait for a disk. Never reads from a disk.
//!
//! `cachestat(2)` (Linux 6.5) answers for every page in one call. The kernel refuses it to a process that neither
//! owns the file nor may write it, and a sandbox may refuse it as well; then each page is probed by a read of one
//! byte with `RWF_NOWAIT`, which costs ten times as much.
//!
//! The wrapper of `cachestat` comes from `pagers-core`, of which nothing else is used; rustix has none yet.

use super::held_file::HeldFile;
use super::mounts::Medium;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::param::page_size;
use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::AsFd;

/// How the pages of one file are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Residency {
    Counted,
    Probed,
}

/// What is known of a part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Resident,
    /// A part is not in memory, or its file system cannot tell.
    Cold,
    /// The file ends before the part does.
    Short,
}

impl Residency {
    pub(crate) fn new() -> Self {
        if *pagers_core::cachestat::SUPPORTED { Self::Counted } else { Self::Probed }
    }

    /// Looks for a part, which must not be empty. What is in memory may leave it right behind the answer.
    ///
    /// Pages that are being read count as present. Those of one reader become readable in order, so that the last
    /// page of the part answers for all; where threads of this process read the file, each page is probed.
    pub(crate) fn look(
        &mut self,
        file: &File,
        part: &Range<u64>,
        is_being_read: bool,
    ) -> Result<Found, Errno> {
        let page_bytes = page_size() as u64;
        if *self == Self::Counted {
            match pagers_core::cachestat::cached_pages(file.as_fd(), part.start, part.end - part.start) {
                Ok(cached) if cached < pages(part, page_bytes) => return Ok(Found::Cold),
                Ok(_) if !is_being_read => return probe(file, part.end - 1),
                Ok(_) => {}
                Err(_) => *self = Self::Probed,
            }
        }
        let mut at = part.start;
        while at < part.end {
            match probe(file, at)? {
                Found::Resident => at = (at / page_bytes + 1) * page_bytes,
                other @ (Found::Cold | Found::Short) => return Ok(other),
            }
        }
        probe(file, part.end - 1)
    }
}

/// Fills the buffer from the beginning of a file, if all of that is in memory; what is in the buffer counts for nothing if not.
pub(crate) fn read_resident(file: &HeldFile, into: &mut [u8]) -> bool {
    let flags = match file.medium() {
        // Its file system does not know the flag.
        Medium::Memory => ReadWriteFlags::empty(),
        Medium::Local => ReadWriteFlags::NOWAIT,
        Medium::Foreign => return false,
    };
    let length = into.len();
    rustix::io::preadv2(file.file(), &mut [IoSliceMut::new(into)], 0, flags) == Ok(length)
}

fn pages(part: &Range<u64>, page_bytes: u64) -> u64 {
    part.end.div_ceil(page_bytes) - part.start / page_bytes
}

/// Reads one byte if that does not wait.
fn probe(file: &File, at: u64) -> Result<Found, Errno> {
    loop {
        let mut byte = [0];
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Ok(Found::Short),
            Ok(_) => return Ok(Found::Resident),
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => return Ok(Found::Cold),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::Advice;
    use std::io::Write;
    use std::num::NonZeroU64;
    use std::os::unix::fs::FileExt;

    /// In the build directory: a temporary one may be in memory, where nothing is ever cold.
    fn file_of(pages: usize) -> File {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        // One by one, and later read without reading ahead: the kernel only drops as much as it has taken in at once.
        for _ in 0..pages {
            file.write_all(&vec![7; page_size()]).unwrap();
        }
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::Random).unwrap();
        file
    }

    /// The kernel keeps a page that it looks at itself, and drops others at any time: then once more.
    fn expect(expected: Found, prepare: impl Fn(), mut look: impl FnMut() -> Result<Found, Errno>) {
        let is_seen = (0..100).any(|_| {
            prepare();
            look() == Ok(expected)
        });
        assert!(is_seen, "never {expected:?}");
    }

    #[test]
    fn a_single_page_that_is_missing_is_found_both_ways() {
        let page_bytes = page_size() as u64;
        let file = file_of(64);
        for (kind, is_being_read) in
            [(Residency::new(), false), (Residency::new(), true), (Residency::Probed, false)]
        {
            let mut residency = kind;
            let (whole, before) = (0..64 * page_bytes, 0..37 * page_bytes);
            let warm = || {
                rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
                (0..64).for_each(|page| file.read_exact_at(&mut [0], page * page_bytes).unwrap());
            };
            expect(Found::Resident, warm, || residency.look(&file, &whole, is_being_read));
            let hole = NonZeroU64::new(page_bytes);
            let make_hole = || {
                warm();
                rustix::fs::fadvise(&file, 37 * page_bytes, hole, Advice::DontNeed).unwrap();
            };
            expect(Found::Cold, make_hole, || residency.look(&file, &whole, is_being_read));
            expect(Found::Resident, warm, || residency.look(&file, &before, is_being_read));
            assert_eq!(residency, kind);
        }
    }

    #[test]
    fn the_end_of_a_file_is_told() {
        let page_bytes = page_size() as u64;
        let file = file_of(2);
        for mut residency in [Residency::new(), Residency::Probed] {
            let found = residency.look(&file, &(page_bytes..2 * page_bytes + 1), false).unwrap();
            assert_ne!(found, Found::Resident);
        }
    }

    #[test]
    fn partial_pages_count() {
        assert_eq!(pages(&(0..1), 4096), 1);
        assert_eq!(pages(&(4095..4097), 4096), 2);
        assert_eq!(pages(&(4096..8192), 4096), 1);
    }
}
