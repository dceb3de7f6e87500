//! Names on this host.

use crate::limits::COMPLETION_MAX_NAMES;
use crate::prompt::complete::candidates::{Name, fits};
use crate::prompt::local_place::LocalPlace;
use crate::prompt::words::Word;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Regular files and directories; nothing else can be uploaded.
pub(crate) fn fitting(place: &LocalPlace, directory: &[u8], prefix: &[u8]) -> Vec<Name> {
    let directory = if directory.is_empty() {
        Ok(place.here().to_owned())
    } else {
        place.resolve(&Word::plain(directory))
    };
    let Some(entries) = directory.ok().and_then(|directory| fs::read_dir(directory).ok()) else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| {
        let bytes = entry.file_name().as_bytes().to_vec();
        if !fits(&bytes, prefix) {
            return None;
        }
        let metadata = fs::metadata(entry.path()).ok()?;
        (metadata.is_file() || metadata.is_dir()).then(|| Name { bytes, is_directory: metadata.is_dir() })
    });
    names.take(COMPLETION_MAX_NAMES).collect()
}
