//! The times that the folders of a tree are to have, which are set when everything in them has its name: each change of its
//! entries sets the time of a folder, too.

use crate::tree::folder::Folder;
use crate::tree::spool::{Spool, push_time, take_time};
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;
use std::io;

/// See the module's documentation. In bounded memory.
#[derive(Debug, Default)]
pub(crate) struct FolderTimes(Spool);

impl FolderTimes {
    pub(crate) fn push(&mut self, path: &RemotePath, mtime: FileTime) -> io::Result<()> {
        let mut record = Vec::with_capacity(12 + path.as_bytes().len());
        push_time(&mut record, mtime);
        record.extend_from_slice(path.as_bytes());
        self.0.push(&record)
    }

    pub(crate) fn set(&mut self, folder: &mut Folder) -> io::Result<()> {
        while let Some(record) = self.0.pop()? {
            let Some((mtime, path)) = take_time(&record) else { continue };
            if let Ok(path) = RemotePath::parse(path) {
                // A time that cannot be set is no reason to call the folder not received.
                let _ = folder.set_folder_time(&path, mtime);
            }
        }
        Ok(())
    }
}
