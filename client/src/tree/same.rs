//! Whether a file is already at the other end, by what is known without reading it. Pure.

use ferry_common::wire::file_time::FileTime;

/// Size and time of a file at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size_bytes: u64,
    pub(crate) mtime: FileTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Only the sending end has the file.
    New,
    Same,
    Different,
}

/// Files are the same if their sizes and times are equal. There is no tolerance but one: where either end keeps whole
/// seconds only (or the other end tells no more), equal seconds are enough.
///
/// A file system whose times are coarser still (FAT: two seconds) makes files look different that are not, which costs
/// a transfer. Any tolerance would take an edited file for the old one, which costs the edit.
pub(crate) fn compare(from: Version, to: Option<Version>) -> Comparison {
    match to {
        None => Comparison::New,
        Some(to) if from.size_bytes == to.size_bytes && is_same_time(from.mtime, to.mtime) => {
            Comparison::Same
        }
        Some(_) => Comparison::Different,
    }
}

/// See [`compare`].
pub(crate) fn is_same_time(one: FileTime, other: FileTime) -> bool {
    let has_whole_seconds = one.nanoseconds() == 0 || other.nanoseconds() == 0;
    one.seconds() == other.seconds() && (has_whole_seconds || one.nanoseconds() == other.nanoseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_time_decide_and_whole_seconds_are_enough_for_an_end_that_has_no_more() {
        let version = |size_bytes, seconds, nanoseconds| Version {
            size_bytes,
            mtime: FileTime::new(seconds, nanoseconds),
        };
        let file = version(5, 100, 7);
        assert_eq!(compare(file, None), Comparison::New);
        for (other, expected) in [
            (version(5, 100, 7), Comparison::Same),
            (version(5, 100, 0), Comparison::Same),
            (version(5, 100, 8), Comparison::Different),
            (version(5, 101, 7), Comparison::Different),
            (version(5, 99, 0), Comparison::Different),
            (version(4, 100, 7), Comparison::Different),
        ] {
            assert_eq!(compare(file, Some(other)), expected, "{other:?}");
            assert_eq!(compare(other, Some(file)), expected, "{other:?} the other way");
        }
    }
}
