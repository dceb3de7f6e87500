//! What the attacks need in the served folder. It removes nothing: the folder is its owner's.

use super::plan::{COLD_BYTES, COLD_FILES, LARGE_BYTES, LARGE_FOLDER_ENTRIES, SPARSE_BYTES};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A folder in the served one for all that the attacks need and make.
pub(super) const FOLDER: &str = "attack";

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Fixtures {
    /// Entries of the large folder.
    pub entries: usize,
    pub cold_files: usize,
    pub cold_bytes: u64,
}

impl Fixtures {
    pub const WHOLE: Self =
        Self { entries: LARGE_FOLDER_ENTRIES, cold_files: COLD_FILES, cold_bytes: COLD_BYTES };

    /// Makes it, and brings it to the disk: what is not there stays in memory whatever is done about it.
    pub fn prepare(&self, served: &Path) -> io::Result<()> {
        let attack = served.join(FOLDER);
        fs::create_dir_all(attack.join("big"))?;
        for number in 0..self.entries {
            File::create(attack.join(format!("big/entry{number}")))?;
        }
        fs::write(attack.join("large"), vec![b'l'; LARGE_BYTES as usize])?;
        let cold = vec![b'c'; self.cold_bytes as usize];
        for number in 0..self.cold_files {
            fs::write(attack.join(format!("cold{number}")), &cold)?;
        }
        File::create(attack.join("sparse"))?.set_len(SPARSE_BYTES)?;
        rustix::fs::sync();
        Ok(())
    }
}
