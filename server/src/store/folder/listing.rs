//! Listing a directory, part by part.

use super::{Folder, Lookup, entry_of};
use crate::store::errors::Call;
use ferry_common::action::ListingPart;
use ferry_common::entry::Entry;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{LISTING_PART_BYTES, LISTING_PART_ENTRIES};
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::reply::Reply;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

const DIRENT_BUFFER_BYTES: usize = 32 * 1024;

impl Folder {
    /// One part of a listing, bounded in entries and bytes. The directory is opened anew for each part,
    /// so that a client that reads slowly holds no descriptor; the cursor is the directory's own.
    pub(crate) fn list(&self, path: &RemotePath, cursor: u64) -> Result<ListingPart, ErrorCode> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::MayBlock) {
            Ok(directory) => self.list_directory(&directory, path, cursor).map_err(Call::Read.of(path)),
            Err(Errno::NOTDIR) => {
                let entry = self.stat(path)?;
                Ok(ListingPart { lines: Reply::entry("ls", &entry), entries: 1, next: None })
            }
            Err(errno) => Err(Call::Open.of(path)(errno)),
        }
    }

    fn list_directory(
        &self,
        directory: &OwnedFd,
        path: &RemotePath,
        cursor: u64,
    ) -> Result<ListingPart, Errno> {
        if cursor != 0 {
            rustix::fs::seek(directory, SeekFrom::Start(cursor))?;
        }
        let mut part = ListingPart { lines: Vec::new(), entries: 0, next: None };
        let mut buffer = Vec::with_capacity(DIRENT_BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        for examined in 1.. {
            let Some(entry) = entries.next() else { return Ok(part) };
            let entry = entry?;
            if let Some(found) =
                self.look_at(directory, path, entry.file_name().to_bytes(), entry.file_type())
            {
                part.lines.extend_from_slice(&Reply::entry("ls", &found));
                part.entries += 1;
            }
            if examined >= LISTING_PART_ENTRIES || part.lines.len() >= LISTING_PART_BYTES {
                part.next = Some(entry.next_entry_cookie());
                break;
            }
        }
        Ok(part)
    }

    /// What a directory entry is, or `None` where it is not served, or gone already.
    fn look_at(&self, directory: &OwnedFd, path: &RemotePath, name: &[u8], kind: FileType) -> Option<Entry> {
        if matches!(name, b"." | b".." | HIDDEN_NAME) {
            return None;
        }
        let stat = match kind {
            FileType::RegularFile | FileType::Directory | FileType::Unknown => {
                rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?
            }
            FileType::Symlink => return self.follow(path, name),
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                return None;
            }
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return self.follow(path, name);
        }
        entry_of(&stat, name)
    }

    /// A link is listed as what it leads to, if that is inside the folder.
    fn follow(&self, directory: &RemotePath, name: &[u8]) -> Option<Entry> {
        let whole = [directory.as_bytes(), name].join(&b'/');
        let entry = self.stat(&RemotePath::parse(&whole).ok()?).ok()?;
        Some(Entry { name: name.to_vec(), ..entry })
    }
}
