//! A local folder that a tree is read from or written to. It is opened once, and every further name is resolved beneath
//! it, without following a link.

use crate::limits::{TREE_FILE_SYSTEMS_MAX, TREE_FOLDERS_MAX};
use crate::transfer::hidden;
use crate::tree::directory::Directory;
use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind};
use crate::tree::file_system::FileSystem;
use crate::tree::receiving::Receiving;
use crate::tree::resolve;
use crate::tree::source::Source;
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What programs ask for where they make a folder; the umask and the folder around it limit it.
const NEW_FOLDER_MODE: u32 = 0o777;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
    /// Trees come folder by folder. The one that was used last is the first.
    recent: VecDeque<Arc<Directory>>,
    file_systems: Vec<Arc<FileSystem>>,
}

/// What became of a wish for a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    /// A folder has the name already.
    Existing,
}

impl Folder {
    /// The path is the user's own: links in it are followed.
    pub(crate) fn open(path: &Path) -> Result<Self, TreeError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(TreeError::system("opened"))?;
        Ok(Self { root, recent: VecDeque::new(), file_systems: Vec::new() })
    }

    /// A descriptor of its own, for a walk.
    pub(super) fn root(&self) -> Result<OwnedFd, TreeError> {
        self.root.try_clone().map_err(|error| TreeError::System { doing: "opened", error })
    }

    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What has this name, be it a link; `None` where nothing has it.
    pub(crate) fn facts(&mut self, path: &RemotePath) -> Result<Option<Facts>, TreeError> {
        let cannot_look = TreeError::system("looked at");
        let result = match path.file_name() {
            None => rustix::fs::fstat(&self.root).map(|stat| Some(Facts::of(&stat))),
            Some(name) => self.parent(path).and_then(|directory| directory.look_at(name)),
        };
        match result {
            Err(Errno::NOENT) => Ok(None),
            result => result.map_err(cannot_look),
        }
    }

    /// Makes one folder, in one that exists.
    pub(crate) fn make_folder(&mut self, path: &RemotePath) -> Result<Made, TreeError> {
        let cannot_make = TreeError::system("made");
        let Some(name) = path.file_name() else { return Ok(Made::Existing) };
        let directory = self.parent(path).map_err(&cannot_make)?;
        match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(NEW_FOLDER_MODE)) {
            Ok(()) => Ok(Made::New),
            Err(Errno::EXIST) => match directory.look_at(name).map_err(&cannot_make)? {
                Some(Facts { kind: Kind::Folder, .. }) => Ok(Made::Existing),
                Some(facts) => Err(TreeError::InTheWay(facts.kind)),
                None => Err(cannot_make(Errno::NOENT)),
            },
            Err(errno) => Err(cannot_make(errno)),
        }
    }

    /// To be done when everything in the folder has its name: each change of its entries sets the time, too.
    pub(crate) fn set_folder_time(&mut self, path: &RemotePath, mtime: FileTime) -> Result<(), TreeError> {
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let last_modification = Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanoseconds().into() };
        let times = Timestamps { last_access, last_modification };
        let set = |directory: BorrowedFd<'_>, name: &[u8]| {
            rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        };
        let result = match path.file_name() {
            None => set(self.root.as_fd(), b"."),
            Some(name) => self.parent(path).and_then(|directory| set(directory.as_fd(), name)),
        };
        result.map_err(TreeError::system("given its time"))
    }

    /// Opens a file to be sent.
    pub(crate) fn open_source(&mut self, path: &RemotePath) -> Result<Source, TreeError> {
        let name = path.file_name().ok_or(TreeError::NotAFile(Kind::Folder))?;
        let directory = self.parent(path).map_err(TreeError::system("read"))?;
        Source::open(directory.as_fd(), name)
    }

    /// Those that the folder is on, and every file that was begun in it.
    pub(crate) fn file_systems(&mut self) -> Vec<Arc<FileSystem>> {
        if let Ok(top) = self.directory(&RemotePath::root()) {
            self.file_system_of(&top);
        }
        self.file_systems.clone()
    }

    /// Begins a file of this size, in a folder that exists.
    pub(crate) fn receive(&mut self, path: &RemotePath, size_bytes: u64) -> Result<Receiving, TreeError> {
        if path.is_root() {
            return Err(TreeError::InTheWay(Kind::Folder));
        }
        let directory = self.parent(path).map_err(TreeError::system("written"))?;
        let file_system = self.file_system_of(&directory);
        Receiving::create(path.clone(), directory, file_system, size_bytes)
    }

    /// What an earlier run has left of a large file, if it can be gone on with.
    pub(crate) fn find_part(&mut self, path: &RemotePath) -> Option<Receiving> {
        path.file_name()?;
        let directory = self.parent(path).ok()?;
        let file_system = self.file_system_of(&directory);
        Receiving::find(path.clone(), directory, file_system)
    }

    /// The file is whole here: what an earlier run has left of it is of no more use.
    pub(crate) fn discard_part(&mut self, path: &RemotePath) {
        if let Some(part) = self.find_part(path) {
            part.discard();
        }
    }

    /// Removes what killed runs have left in a folder.
    pub(crate) fn sweep(&mut self, path: &RemotePath) {
        if let Ok(directory) = self.directory(path) {
            hidden::sweep(&directory, usize::MAX);
        }
    }

    /// True where the disk takes names in this folder for the same that differ in case only. Makes a file for a moment;
    /// where it cannot, nothing else can be written there either.
    pub(crate) fn is_case_folding(&mut self, path: &RemotePath) -> bool {
        let Ok(directory) = self.directory(path) else { return false };
        let place = |name: &[u8]| PathBuf::from(OsStr::from_bytes(name));
        let Ok((name, _held)) = hidden::create_free(&directory, b"case", place) else { return false };
        let [made, other] = [&name, &name.to_ascii_uppercase()].map(|name| directory.look_at(name));
        // What cannot be removed was hardly made.
        let _ = rustix::fs::unlinkat(&directory, &name, AtFlags::empty());
        matches!((made, other), (Ok(Some(made)), Ok(Some(other))) if made.is_same_file(&other))
    }

    /// The folder that holds this. The root is held by itself.
    fn parent(&mut self, path: &RemotePath) -> Result<Arc<Directory>, Errno> {
        self.directory(&path.parent().unwrap_or_else(RemotePath::root))
    }

    fn directory(&mut self, path: &RemotePath) -> Result<Arc<Directory>, Errno> {
        if let Some(place) = self.recent.iter().position(|directory| directory.path == *path) {
            if let Some(directory) = (place > 0).then(|| self.recent.remove(place)).flatten() {
                self.recent.push_front(directory);
            }
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let descriptor = resolve::open(self.root.as_fd(), path, flags)?;
            let device = rustix::fs::fstat(&descriptor)?.st_dev;
            self.recent.truncate(TREE_FOLDERS_MAX - 1);
            self.recent.push_front(Arc::new(Directory { descriptor, path: path.clone(), device }));
        }
        self.recent.front().map(Arc::clone).ok_or(Errno::NOENT)
    }

    fn file_system_of(&mut self, directory: &Directory) -> Arc<FileSystem> {
        let device = directory.device;
        if let Some(known) = self.file_systems.iter().find(|known| known.device() == device) {
            return Arc::clone(known);
        }
        if self.file_systems.len() == TREE_FILE_SYSTEMS_MAX {
            return Arc::new(FileSystem::of(device, None));
        }
        let found = Arc::new(FileSystem::of(device, directory.to_read().ok()));
        self.file_systems.push(Arc::clone(&found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn path(text: &str) -> RemotePath {
        RemotePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn folders_are_made_once_and_never_in_place_or_beyond_of_something_else() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut folder = Folder::open(top.path()).unwrap();
        assert_eq!(folder.make_folder(&path("a")).unwrap(), Made::New);
        assert_eq!(folder.make_folder(&path("a/b")).unwrap(), Made::New);
        assert_eq!(folder.make_folder(&path("a/b")).unwrap(), Made::Existing);
        assert_eq!(folder.make_folder(&path(".")).unwrap(), Made::Existing);
        fs::write(top.path().join("file"), "").unwrap();
        symlink(outside.path(), top.path().join("link")).unwrap();
        for (name, kind) in [("file", Kind::File), ("link", Kind::Link)] {
            let made = folder.make_folder(&path(name));
            assert!(matches!(made, Err(TreeError::InTheWay(found)) if found == kind), "{made:?}");
            let within = folder.make_folder(&path(&format!("{name}/x")));
            assert!(matches!(within, Err(TreeError::NoFolder)), "{within:?}");
        }
        assert!(matches!(folder.make_folder(&path("none/x")), Err(TreeError::System { .. })));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn facts_are_of_what_has_the_name_itself() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        fs::write(top.path().join("a/file"), "ferry").unwrap();
        symlink("file", top.path().join("a/link")).unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let mut facts = |text: &str| folder.facts(&path(text)).unwrap();
        let file = facts("a/file").unwrap();
        assert_eq!((file.kind, file.size_bytes, file.is_executable), (Kind::File, 5, false));
        assert_eq!(facts("a/link").unwrap().kind, Kind::Link);
        assert_eq!(facts(".").unwrap().kind, Kind::Folder);
        assert_eq!((facts("a/none"), facts("none/none")), (None, None));
    }

    #[test]
    fn a_folder_gets_its_time_to_the_nanosecond() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        folder.make_folder(&path("a")).unwrap();
        for (name, at) in [("a", top.path().join("a")), (".", top.path().to_owned())] {
            let mtime = FileTime::new(-5, 123_456_789_u32);
            folder.set_folder_time(&path(name), mtime).unwrap();
            let metadata = fs::metadata(at).unwrap();
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-5, 123_456_789));
        }
    }

    /// A tree whose path is longer than any that the system takes at once is refused by the type of the path.
    #[test]
    fn many_folders_need_few_descriptors() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        for number in 0..100 {
            folder.make_folder(&path(&format!("{number}"))).unwrap();
            assert_eq!(folder.facts(&path(&format!("{number}/none"))).unwrap(), None);
        }
        assert_eq!(folder.recent.len(), TREE_FOLDERS_MAX);
        assert!(folder.recent[0].path == path("99"));
        folder.facts(&path("90/x")).unwrap();
        assert!(folder.recent[0].path == path("90") && folder.recent[1].path == path("99"));
    }

    #[test]
    fn the_probe_for_folding_leaves_nothing_and_finds_none_on_a_disk_of_linux() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        assert!(!folder.is_case_folding(&path(".")));
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn sources_are_found_beneath_the_folder_only() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        fs::write(top.path().join("a/file"), "ferry").unwrap();
        symlink("a", top.path().join("link")).unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        assert!(folder.open_source(&path("a/file")).is_ok());
        assert!(matches!(folder.open_source(&path("link/file")), Err(TreeError::NoFolder)));
        assert!(matches!(folder.open_source(&path(".")), Err(TreeError::NotAFile(Kind::Folder))));
    }
}
