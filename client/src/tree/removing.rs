//! Removing what a local folder has too much, and only as long as it is what was seen. Its folder is found again from the
//! top each time, without following a link: one that was moved away or became a link meanwhile leads nowhere.

use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind};
use crate::tree::folder::Folder;
use crate::tree::resolve;
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

/// What was seen under a name that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) size_bytes: u64,
    pub(crate) mtime: FileTime,
}

/// What became of a wish to remove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// Nothing has the name any more.
    Gone,
    /// What has the name is not what was seen, and stays.
    Changed,
    /// Something is in the folder, which stays.
    NotEmpty,
}

impl From<&Facts> for Seen {
    fn from(facts: &Facts) -> Self {
        Self { kind: facts.kind, size_bytes: facts.size_bytes, mtime: facts.mtime }
    }
}

impl Seen {
    /// A folder has another time with each change in it, the removal of what it held among them.
    fn is(&self, facts: &Facts) -> bool {
        let seen = Self::from(facts);
        if self.kind == Kind::Folder { seen.kind == Kind::Folder } else { seen == *self }
    }
}

impl Folder {
    /// Removes a file, a link itself, or an empty folder.
    pub(crate) fn remove(&self, path: &RemotePath, seen: &Seen) -> Result<Removal, TreeError> {
        let cannot_remove = TreeError::system("removed");
        let Some(name) = path.file_name() else { return Ok(Removal::NotEmpty) };
        let parent = path.parent().unwrap_or_else(RemotePath::root);
        let directory = match resolve::open(self.top(), &parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Removal::Gone),
            Err(errno) => return Err(cannot_remove(errno)),
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match rustix::fs::statat(&directory, name, flags) {
            Ok(stat) if seen.is(&Facts::of(&stat)) => {}
            Ok(_) => return Ok(Removal::Changed),
            Err(Errno::NOENT) => return Ok(Removal::Gone),
            Err(errno) => return Err(cannot_remove(errno)),
        }
        let flags = if seen.kind == Kind::Folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rustix::fs::unlinkat(&directory, name, flags) {
            Ok(()) => Ok(Removal::Done),
            Err(Errno::NOENT) => Ok(Removal::Gone),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removal::NotEmpty),
            // A folder became a file, or a file a folder, after the look.
            Err(Errno::NOTDIR | Errno::ISDIR) => Ok(Removal::Changed),
            Err(errno) => Err(cannot_remove(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    fn seen(folder: &mut Folder, text: &str) -> Seen {
        Seen::from(&folder.facts(&path(text)).unwrap().unwrap())
    }

    fn is_there(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    #[test]
    fn files_links_and_empty_folders_go_and_nothing_that_they_lead_to() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("precious"), "").unwrap();
        fs::create_dir(top.path().join("folder")).unwrap();
        fs::write(top.path().join("folder/file"), "ferry").unwrap();
        symlink(outside.path(), top.path().join("link")).unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let [a, file, link] = ["folder", "folder/file", "link"].map(|name| seen(&mut folder, name));
        assert_eq!(folder.remove(&path("folder"), &a).unwrap(), Removal::NotEmpty);
        assert_eq!(folder.remove(&path("folder/file"), &file).unwrap(), Removal::Done);
        assert_eq!(folder.remove(&path("folder/file"), &file).unwrap(), Removal::Gone);
        assert_eq!(folder.remove(&path("folder"), &a).unwrap(), Removal::Done);
        assert_eq!(folder.remove(&path("link"), &link).unwrap(), Removal::Done);
        assert_eq!(folder.remove(&path("folder/file"), &file).unwrap(), Removal::Gone);
        assert_eq!(folder.remove(&path("."), &a).unwrap(), Removal::NotEmpty);
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
        assert!(is_there(&outside.path().join("precious")));
    }

    #[test]
    fn what_is_not_any_more_what_was_seen_stays() {
        let top = tempfile::tempdir().unwrap();
        for name in ["longer", "newer", "folder now", "link now"] {
            fs::write(top.path().join(name), "ferry").unwrap();
        }
        fs::create_dir(top.path().join("file now")).unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let names = ["longer", "newer", "folder now", "link now", "file now"];
        let all = names.map(|name| (name, seen(&mut folder, name)));
        let before = fs::metadata(top.path().join("longer")).unwrap().modified().unwrap();
        fs::write(top.path().join("longer"), "ferries").unwrap();
        fs::File::open(top.path().join("longer")).unwrap().set_modified(before).unwrap();
        let later = before + std::time::Duration::from_nanos(4_000_000);
        fs::File::open(top.path().join("newer")).unwrap().set_modified(later).unwrap();
        fs::remove_file(top.path().join("folder now")).unwrap();
        fs::create_dir(top.path().join("folder now")).unwrap();
        fs::remove_file(top.path().join("link now")).unwrap();
        symlink("longer", top.path().join("link now")).unwrap();
        fs::remove_dir(top.path().join("file now")).unwrap();
        fs::write(top.path().join("file now"), "").unwrap();
        for (name, seen) in all {
            assert_eq!(folder.remove(&path(name), &seen).unwrap(), Removal::Changed, "{name}");
            assert!(is_there(&top.path().join(name)), "{name}");
        }
    }

    /// The same file, at the same place behind the link, and of the same size and time.
    #[test]
    fn a_folder_that_became_a_link_or_was_moved_away_leads_nowhere() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["moved", "swapped"] {
            fs::create_dir(top.path().join(name)).unwrap();
            fs::write(top.path().join(name).join("file"), "ferry").unwrap();
        }
        let mut folder = Folder::open(top.path()).unwrap();
        let all = ["moved/file", "swapped/file"].map(|name| (name, seen(&mut folder, name)));
        for name in ["moved", "swapped"] {
            fs::rename(top.path().join(name), outside.path().join(name)).unwrap();
        }
        symlink(outside.path().join("swapped"), top.path().join("swapped")).unwrap();
        let results = all.map(|(name, seen)| folder.remove(&path(name), &seen));
        assert!(
            matches!(&results, [Ok(Removal::Gone), Err(TreeError::NoFolder)]),
            "a folder is found again each time, and no link followed: {results:?}"
        );
        for name in ["moved/file", "swapped/file"] {
            assert!(is_there(&outside.path().join(name)), "{name}");
        }
    }
}
