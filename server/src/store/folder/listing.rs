//! Listing a directory, part by part.

use super::{Folder, Lookup, entry_of};
use crate::limits::LISTING_PART_ENTRIES;
use crate::store::errors::Call;
use crate::store::lane_id::LaneId;
use ferry_common::error::ErrorCode;
use ferry_common::path::{HIDDEN_NAME, RemotePath};
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_session::action::{Cursor, DirectoryIdentity, ListQuery, ListingPart};
use ferry_session::entry_format::EntryFormat;
use ferry_session::limits::LISTING_PART_BYTES;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, SeekFrom, StatxFlags, makedev};
use rustix::io::Errno;
use std::time::{SystemTime, UNIX_EPOCH};

/// About what one part takes.
const DIRENT_BUFFER_BYTES: usize = 16 * 1024;

const EMPTY_PART: ListingPart = ListingPart { text: Vec::new(), entries: 0, left_out: 0, next: None };

impl Folder {
    /// One part of a listing, bounded in entries and bytes. The directory is opened anew for each part,
    /// so that a client that reads slowly holds no descriptor. Where another directory has come there, or none is
    /// left, the listing cannot go on.
    pub(crate) fn list(&self, query: &ListQuery) -> Result<ListingPart, ErrorCode> {
        let ListQuery { path, cursor, format } = query;
        match self.resolve_to_read(path, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::MayBlock) {
            Ok((directory, _)) => {
                let identity = identity_of(&directory).map_err(Call::Read.of(path))?;
                if cursor.is_some_and(|cursor| cursor.directory != identity) {
                    return Err(ErrorCode::Changed);
                }
                self.list_directory(&directory, identity, query)
            }
            Err(Errno::NOTDIR | Errno::NOENT) if cursor.is_some() => Err(ErrorCode::Changed),
            Err(Errno::NOTDIR) => {
                let entry = self.stat(path)?;
                if !format.lists_files() {
                    return Err(ErrorCode::NotDirectory);
                }
                let mut part = EMPTY_PART;
                write_entry(*format, &entry, now(), &mut part);
                Ok(part)
            }
            Err(errno) => Err(Call::Open.of(path)(errno)),
        }
    }

    fn list_directory(
        &self,
        directory: &OwnedFd,
        identity: DirectoryIdentity,
        query: &ListQuery,
    ) -> Result<ListingPart, ErrorCode> {
        let ListQuery { path, cursor, format } = query;
        if let Some(cursor) = cursor {
            rustix::fs::seek(directory, SeekFrom::Start(cursor.position)).map_err(Call::Read.of(path))?;
        }
        let (mut part, now) = (EMPTY_PART, now());
        let mut buffer = Vec::with_capacity(DIRENT_BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        for examined in 1.. {
            let Some(entry) = entries.next() else { return Ok(part) };
            let entry = entry.map_err(Call::Read.of(path))?;
            if let Some(found) =
                self.look_at(directory, path, entry.file_name().to_bytes(), entry.file_type())?
            {
                write_entry(*format, &found, now, &mut part);
            }
            if examined >= LISTING_PART_ENTRIES || part.text.len() >= LISTING_PART_BYTES {
                part.next = Some(Cursor { directory: identity, position: entry.next_entry_cookie() });
                break;
            }
        }
        Ok(part)
    }

    /// What a directory entry is, or `None` where it is not served, or gone already.
    fn look_at(
        &self,
        directory: &OwnedFd,
        path: &RemotePath,
        name: &[u8],
        kind: FileType,
    ) -> Result<Option<Entry>, ErrorCode> {
        if matches!(name, b"." | b".." | HIDDEN_NAME) {
            return Ok(None);
        }
        match kind {
            FileType::Directory => return Ok(self.look_at_directory(directory, name)),
            FileType::Symlink => return self.follow(path, name),
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                return Ok(None);
            }
            FileType::RegularFile | FileType::Unknown => {}
        }
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(None);
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return self.follow(path, name);
        }
        Ok(if self.is_staging(&stat) { None } else { entry_of(&stat, name) })
    }

    /// A directory may be a mount point: then what its file system remembers has to do, since asking that may wait for
    /// ever.
    fn look_at_directory(&self, directory: &OwnedFd, name: &[u8]) -> Option<Entry> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS).ok()?;
        let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
        if self.is_staging_inode(device, stat.stx_ino) {
            return None;
        }
        let is_directory = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory;
        let mtime = FileTime::new(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec);
        let (kind, executable, name) = (EntryKind::Dir, false, name.to_vec());
        is_directory.then_some(Entry { kind, size_bytes: 0, mtime, executable, link: false, name })
    }

    /// A link is listed as what it leads to, if that is inside the folder. Where it leads out of the folder's own file
    /// system, another lane must find that out.
    fn follow(&self, directory: &RemotePath, name: &[u8]) -> Result<Option<Entry>, ErrorCode> {
        let whole = [directory.as_bytes(), name].join(&b'/');
        let Ok(whole) = RemotePath::parse(&whole) else { return Ok(None) };
        match self.stat(&whole) {
            Ok(entry) => Ok(Some(Entry { name: name.to_vec(), link: true, ..entry })),
            Err(ErrorCode::BadLink) if self.lane == LaneId::ROOT => Err(ErrorCode::BadLink),
            Err(_) => Ok(None),
        }
    }
}

fn write_entry(format: EntryFormat, entry: &Entry, now: FileTime, part: &mut ListingPart) {
    let is_told = format.write(entry, now, &mut part.text);
    *if is_told { &mut part.entries } else { &mut part.left_out } += 1;
}

/// Some formats tell recent times in another way than others.
fn now() -> FileTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    FileTime::from_seconds(since_epoch.as_secs().try_into().unwrap_or(i64::MAX))
}

fn identity_of(directory: &OwnedFd) -> Result<DirectoryIdentity, Errno> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let stat = rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, wanted)?;
    let is_dated = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(DirectoryIdentity {
        device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        made: is_dated.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::store::staging::Retention;
    use crate::store::tests::cleared;
    use ferry_session::entry_format::facts::FactSet;

    /// The file system may well give the second directory the inode of the first.
    #[test]
    fn a_listing_goes_on_in_its_own_directory_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let [many, moved] = ["many", "moved"].map(|name| root.path().join(name));
        let fill = || {
            std::fs::create_dir(&many).unwrap();
            (0..=LISTING_PART_ENTRIES).for_each(|name| {
                std::fs::File::create(many.join(name.to_string())).unwrap();
            });
        };
        let retention = Retention { age_s: 1, bytes: 1 };
        let folder = Folder::open(root.path(), Durability::None, retention).unwrap();
        let path = cleared("many");
        let list =
            |cursor| folder.list(&ListQuery { path: path.clone(), cursor, format: EntryFormat::Ferry });
        fill();
        let next = list(None).unwrap().next;
        assert!(next.is_some() && list(next).is_ok());

        std::fs::rename(&many, &moved).unwrap();
        assert_eq!(list(next).unwrap_err(), ErrorCode::Changed, "nothing has the name");
        fill();
        assert_eq!(list(next).unwrap_err(), ErrorCode::Changed, "another has the name");
        std::fs::remove_dir_all(&many).unwrap();
        std::fs::rename(&moved, &many).unwrap();
        assert!(list(next).is_ok(), "it is back");
        std::fs::remove_dir_all(&many).unwrap();
        fill();
        assert_eq!(list(next).unwrap_err(), ErrorCode::Changed, "made anew");
        std::fs::remove_dir_all(&many).unwrap();
        std::fs::write(&many, "").unwrap();
        assert_eq!(list(next).unwrap_err(), ErrorCode::Changed, "a file has the name");
    }

    #[test]
    fn names_that_a_format_cannot_tell_are_counted_and_files_are_listed_where_it_lists_them() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b\nb", "c\rc"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let retention = Retention { age_s: 1, bytes: 1 };
        let folder = Folder::open(root.path(), Durability::None, retention).unwrap();
        let list = |path, format| folder.list(&ListQuery { path: cleared(path), cursor: None, format });
        let facts = EntryFormat::Facts(FactSet::none(true));
        for (format, entries, left_out) in
            [(EntryFormat::Ferry, 3, 0), (EntryFormat::Unix, 1, 2), (EntryFormat::Names, 1, 2), (facts, 1, 2)]
        {
            let part = list(".", format).unwrap();
            assert_eq!((part.entries, part.left_out), (entries, left_out), "{format:?}");
        }
        assert_eq!(list("a", EntryFormat::Names).unwrap().text, b"a\r\n");
        assert_eq!(list("a", facts).unwrap_err(), ErrorCode::NotDirectory);
        let line = String::from_utf8(list("a", EntryFormat::Unix).unwrap().text).unwrap();
        assert!(line.ends_with(" a\r\n") && line.contains(':'), "it was made just now: {line}");
    }
}
