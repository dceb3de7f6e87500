//! Which directories of the served folder are mount points, by the kernel's own table: reading that asks no file
//! system anything.

use super::lane_id::LaneId;
use ferry_common::path::RemotePath;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const TABLE: &str = "/proc/self/mountinfo";
/// The place of the mount point among the fields of a line; see `proc_pid_mountinfo(5)`.
const MOUNT_POINT_FIELD: usize = 4;

/// The table, which a poll for priority events watches.
#[derive(Debug)]
pub(crate) struct MountTable {
    file: File,
    /// Mount points beneath the folder, each with the lane of its file system.
    mounts: Vec<(RemotePath, LaneId)>,
    next_lane: u32,
}

impl MountTable {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { file: File::open(TABLE)?, mounts: Vec::new(), next_lane: LaneId::FIRST_OF_MOUNTS })
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads the table anew. A mount point that stays keeps its lane. Gives the lanes of those that are gone.
    pub(crate) fn read(&mut self, root: &Path) -> io::Result<Vec<LaneId>> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut text)?;
        let before = std::mem::take(&mut self.mounts);
        for path in mounts_beneath(root, &text) {
            let known = before.iter().find(|(other, _)| *other == path).map(|(_, lane)| *lane);
            let lane = known.unwrap_or_else(|| {
                self.next_lane = self.next_lane.wrapping_add(1).max(LaneId::FIRST_OF_MOUNTS);
                LaneId(self.next_lane)
            });
            self.mounts.push((path, lane));
        }
        let is_gone = |lane: &LaneId| !self.mounts.iter().any(|(_, other)| other == lane);
        Ok(before.into_iter().map(|(_, lane)| lane).filter(is_gone).collect())
    }

    /// True where something is mounted on exactly this directory.
    pub(crate) fn is_mount_point(&self, path: &RemotePath) -> bool {
        self.mounts.iter().any(|(mount, _)| mount == path)
    }

    /// The lane of the file system that a path lies on as far as its names tell, links aside. The mount point
    /// itself belongs to what is mounted there.
    pub(crate) fn lane_of(&self, path: &RemotePath) -> LaneId {
        let path = path.as_bytes();
        let is_on = |mount: &RemotePath| {
            path.strip_prefix(mount.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let deepest = self.mounts.iter().filter(|(mount, _)| is_on(mount));
        deepest.max_by_key(|(mount, _)| mount.as_bytes().len()).map_or(LaneId::ROOT, |(_, lane)| *lane)
    }
}

/// The mount points beneath a directory, relative to it.
fn mounts_beneath(root: &Path, table: &[u8]) -> Vec<RemotePath> {
    let root = root.as_os_str().as_bytes();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let mut found: Vec<RemotePath> = table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(MOUNT_POINT_FIELD))
        .map(unescape)
        .filter_map(|point| RemotePath::parse(point.strip_prefix(root)?.strip_prefix(b"/")?).ok())
        .collect();
    found.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    // What is mounted over another has the same point.
    found.dedup();
    found
}

/// Space, tab, newline and backslash are `\` and three octal digits in the table.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| byte == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[3..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:40 / /srv/drive rw - fuse drive rw\n\
        31 22 0:41 / /srv/two\\040words rw shared:1 - tmpfs tmpfs rw\n\
        32 30 0:42 / /srv/drive/inner rw - tmpfs tmpfs rw\n\
        33 22 0:43 / /srvx rw - tmpfs tmpfs rw\n";

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn mount_points_beneath_the_folder_are_found_with_their_own_names() {
        let found = mounts_beneath(Path::new("/srv"), TEXT);
        assert_eq!(found, [path("drive"), path("drive/inner"), path("two words")]);
        assert_eq!(mounts_beneath(Path::new("/srv/drive"), TEXT), [path("inner")]);
        assert_eq!(mounts_beneath(Path::new("/"), TEXT).len(), 4);
        assert_eq!(mounts_beneath(Path::new("/elsewhere"), TEXT), []);
    }

    #[test]
    fn a_path_belongs_to_the_deepest_mount_on_its_way() {
        let mounts = ["drive", "drive/inner"].map(path).into_iter().zip([LaneId(7), LaneId(8)]).collect();
        let table = MountTable { file: File::open(TABLE).unwrap(), mounts, next_lane: 9 };
        for (text, lane) in
            [("a", LaneId::ROOT), ("driver/a", LaneId::ROOT), ("drive", LaneId(7)), ("drive/a", LaneId(7))]
        {
            assert_eq!(table.lane_of(&path(text)), lane, "{text}");
        }
        assert_eq!(table.lane_of(&path("drive/inner/a")), LaneId(8));
        assert_eq!(table.lane_of(&RemotePath::root()), LaneId::ROOT);
    }
}
