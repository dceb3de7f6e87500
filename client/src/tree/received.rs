//! A file that has come whole, on its way to its name: it is given what it has beside its content, flushed, and named, in
//! this order. At every moment its name holds what it held before, or all of the new file.
//!
//! What is in the way is left alone but for a regular file and a link to one or to nothing, of which the link itself is
//! replaced.

use crate::transfer::attributes::{self, Owner};
use crate::transfer::hidden;
use crate::tree::directory::Directory;
use crate::tree::error::TreeError;
use crate::tree::facts::{Facts, Kind, Sighting};
use crate::tree::file_system::{self, FileSystem};
use crate::tree::over::Over;
use crate::tree::receiving::Receiving;
use crate::tree::temporary::{Fate, Temporary};
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{AtFlags, CWD, Mode, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

const PERMISSION_BITS: u32 = 0o777;

/// What a file is to be, beside its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// `None` leaves it the time at which it came.
    pub(crate) mtime: Option<FileTime>,
    /// `None` where the other end does not tell.
    pub(crate) is_executable: Option<bool>,
    /// What it may take the place of.
    pub(crate) over: Over,
}

/// See the module's documentation. Removed when it is dropped without a name.
#[derive(Debug)]
pub(crate) struct Received {
    temporary: Option<Temporary>,
    file: File,
    path: RemotePath,
    directory: Arc<Directory>,
    file_system: Arc<FileSystem>,
    length_bytes: u64,
    ending: Ending,
}

/// What has the name that a file is to get, where it can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    File,
    Link,
}

impl Receiving {
    /// The file is whole.
    pub(crate) fn finish(self, ending: Ending) -> Received {
        let Self { file, path, directory, file_system, temporary, length_bytes, .. } = self;
        Received { file, path, directory, file_system, temporary, length_bytes, ending }
    }
}

impl Received {
    pub(crate) fn path(&self) -> &RemotePath {
        &self.path
    }

    pub(super) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    pub(super) fn file_system(&self) -> &Arc<FileSystem> {
        &self.file_system
    }

    pub(super) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Gives the file its permissions and its time. Fails where it cannot have its name.
    pub(super) fn dress(&self) -> Result<Owner, TreeError> {
        let mut owner = Owner::Kept;
        let before = self.look_at_name()?;
        // One that has had no name is of this run, and has the permissions of any new file.
        let is_plain = before != Before::File && self.temporary.is_none();
        if self.temporary.is_some() {
            self.trim().map_err(TreeError::system("written"))?;
        }
        if !is_plain {
            let name = OsStr::from_bytes(self.name());
            // The kernel resolves this to the open folder, whatever has become of its name.
            let place = Path::new(&descriptor_path(&*self.directory)).join(name);
            owner = attributes::take_over(&self.file, &place, None)
                .map_err(|error| TreeError::System { doing: "given its permissions", error })?;
        }
        // A new file cannot be executed.
        if let Some(is_executable) = self.ending.is_executable.filter(|&wanted| wanted || !is_plain) {
            self.set_executable(is_executable).map_err(TreeError::system("given its permissions"))?;
        }
        if let Some(mtime) = self.ending.mtime {
            attributes::set_mtime(&self.file, mtime);
        }
        Ok(owner)
    }

    /// What an earlier run has left may be longer than what counts of it.
    fn trim(&self) -> Result<(), Errno> {
        let length = u64::try_from(rustix::fs::fstat(&self.file)?.st_size).unwrap_or(0);
        if length > self.length_bytes { rustix::fs::ftruncate(&self.file, self.length_bytes) } else { Ok(()) }
    }

    /// Brings the content and what belongs to it to the disk.
    pub(super) fn flush(&self) -> Result<(), TreeError> {
        file_system::flush(&self.file).map_err(TreeError::system("flushed to the disk"))
    }

    /// The file appears under its name. That the name outlasts the loss of power is for a flush of its folder.
    pub(super) fn publish(mut self) -> Result<(), TreeError> {
        match self.temporary.take() {
            Some(temporary) => {
                let temporary = self.check_temporary(temporary)?;
                match self.ending.over {
                    Over::Anything | Over::Seen(_) => self.rename(temporary),
                    Over::Nothing | Over::Free => self.rename_to_new(temporary),
                }
            }
            None => match self.link(self.name()) {
                Err(Errno::EXIST) if matches!(self.ending.over, Over::Anything | Over::Seen(_)) => {
                    hidden::hold(&self.file);
                    let linked = hidden::with_free_name(self.name(), |hidden| self.link(hidden));
                    let (name, ()) = linked.map_err(TreeError::system("written"))?;
                    let directory = Arc::clone(&self.directory);
                    self.rename(Temporary { directory, name, fate: Fate::Removed })
                }
                Err(Errno::EXIST) => Err(self.ending.over.taken()),
                result => result.map_err(TreeError::system("written")),
            },
        }
    }

    fn name(&self) -> &[u8] {
        self.path.file_name().unwrap_or_default()
    }

    fn look_at_name(&self) -> Result<Before, TreeError> {
        let cannot_write = TreeError::system("written");
        let Some(facts) = self.directory.look_at(self.name()).map_err(&cannot_write)? else {
            return Ok(Before::Nothing);
        };
        self.ending.over.admits(&Sighting::of(&facts))?;
        match facts.kind {
            Kind::File => Ok(Before::File),
            Kind::Link => match rustix::fs::statat(&self.directory, self.name(), AtFlags::NO_AUTOMOUNT) {
                Ok(stat) if Facts::of(&stat).kind != Kind::File => Err(TreeError::InTheWay(Kind::Link)),
                Ok(_) | Err(_) => Ok(Before::Link),
            },
            kind @ (Kind::Folder | Kind::Fifo | Kind::Socket | Kind::Device | Kind::Unknown) => {
                Err(TreeError::InTheWay(kind))
            }
        }
    }

    /// A program can be run by all who may read it.
    fn set_executable(&self, is_executable: bool) -> Result<(), Errno> {
        let mode = rustix::fs::fstat(&self.file)?.st_mode & PERMISSION_BITS;
        let wanted = attributes::with_executable(mode, Some(is_executable));
        if wanted == mode {
            return Ok(());
        }
        match rustix::fs::fchmod(&self.file, Mode::from_raw_mode(wanted)) {
            // Some file systems have the same permissions for all files.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => result,
        }
    }

    /// Gives a file that has no name this one.
    fn link(&self, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::linkat(CWD, descriptor_path(&self.file), &self.directory, name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Replaces what has the name at this moment, where that may be.
    fn rename(&self, temporary: Temporary) -> Result<(), TreeError> {
        if self.look_at_name()? == Before::Nothing && matches!(self.ending.over, Over::Seen(_)) {
            // What was seen is gone, and what comes in its place is something else.
            return self.rename_to_new(temporary);
        }
        self.rename_after_look(temporary)
    }

    fn rename_after_look(&self, mut temporary: Temporary) -> Result<(), TreeError> {
        self.look_at_name()?;
        match rustix::fs::renameat(&self.directory, &temporary.name, &self.directory, self.name()) {
            Ok(()) => {
                temporary.fate = Fate::Left;
                Ok(())
            }
            Err(Errno::ISDIR | Errno::NOTEMPTY) => Err(TreeError::InTheWay(Kind::Folder)),
            Err(errno) => Err(TreeError::system("written")(errno)),
        }
    }

    /// Some file systems (NFS, many of FUSE) have no rename that replaces nothing; a second name does as well.
    fn rename_to_new(&self, mut temporary: Temporary) -> Result<(), TreeError> {
        let (directory, name) = (&self.directory, self.name());
        match rustix::fs::renameat_with(directory, &temporary.name, directory, name, RenameFlags::NOREPLACE) {
            Ok(()) => {
                temporary.fate = Fate::Left;
                Ok(())
            }
            Err(Errno::EXIST) => Err(self.ending.over.taken()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::linkat(directory, &temporary.name, directory, name, AtFlags::empty()) {
                    Ok(()) => {
                        temporary.fate = Fate::Removed;
                        Ok(())
                    }
                    Err(Errno::EXIST) => Err(self.ending.over.taken()),
                    Err(_) => match self.ending.over {
                        Over::Nothing => Err(TreeError::CannotBeNew),
                        Over::Anything | Over::Free | Over::Seen(_) => self.rename_after_look(temporary),
                    },
                }
            }
            Err(errno) => Err(TreeError::system("written")(errno)),
        }
    }

    /// Any program that may write to the folder could have put another file in its place.
    fn check_temporary(&self, mut temporary: Temporary) -> Result<Temporary, TreeError> {
        let cannot_write = TreeError::system("written");
        let own = Facts::of(&rustix::fs::fstat(&self.file).map_err(&cannot_write)?);
        let named = self.directory.look_at(&temporary.name).map_err(&cannot_write)?;
        if named.is_some_and(|named| named.is_same_file(&own)) {
            Ok(temporary)
        } else {
            temporary.fate = Fate::Left;
            Err(TreeError::TemporaryLost)
        }
    }
}

fn descriptor_path(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::folder::Folder;
    use rustix::fs::FileType;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    const PLAIN: Ending = Ending { mtime: None, is_executable: None, over: Over::Anything };
    const NEW: Ending = Ending { over: Over::Nothing, ..PLAIN };
    const FREE: Ending = Ending { over: Over::Free, ..PLAIN };

    /// Receives `content` in both ways in which files can be kept until they are whole, each in a folder that `prepare`
    /// has filled, and has `check` look at the folder and at what came of it.
    fn in_both_ways(ending: Ending, prepare: impl Fn(&Path), check: impl Fn(&Path, Result<(), TreeError>)) {
        for is_hidden in [false, true] {
            let top = tempfile::tempdir().unwrap();
            prepare(top.path());
            let path = RemotePath::parse(b"a").unwrap();
            let mut receiving = Folder::open(top.path()).unwrap().receive(&path, 3).unwrap();
            assert!(receiving.temporary.is_none(), "the tests need a file system with nameless files");
            if is_hidden {
                let (directory, file_system) = (receiving.directory, receiving.file_system);
                receiving = Receiving::create_with_hidden_name(path, directory, file_system);
            }
            receiving.write(b"new").unwrap();
            let received = receiving.finish(ending);
            let result = received.dress().and_then(|_| received.flush()).and_then(|()| received.publish());
            check(top.path(), result);
            let left = fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(left.filter(|name| name.as_bytes().starts_with(b".")).count(), 0, "no name is left");
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_file_is_like_any_other_and_has_its_time() {
        let mtime = Some(FileTime::new(1_000_000_000, 123_456_789_u32));
        let prepare = |top: &Path| fs::write(top.join("ordinary"), "").unwrap();
        in_both_ways(Ending { mtime, ..PLAIN }, prepare, |top, result| {
            result.unwrap();
            let metadata = fs::metadata(top.join("a")).unwrap();
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000_000, 123_456_789));
            assert_eq!(mode(&top.join("a")), mode(&top.join("ordinary")));
            assert_eq!(fs::read(top.join("a")).unwrap(), b"new");
        });
    }

    #[test]
    fn a_program_can_be_run_by_those_who_may_read_it() {
        let prepare = |top: &Path| fs::write(top.join("ordinary"), "").unwrap();
        in_both_ways(Ending { is_executable: Some(true), ..PLAIN }, prepare, |top, result| {
            result.unwrap();
            let readable = mode(&top.join("ordinary"));
            assert_eq!(mode(&top.join("a")), readable | (readable & 0o444) >> 2);
        });
        let prepare = |top: &Path| {
            fs::write(top.join("a"), "old").unwrap();
            fs::set_permissions(top.join("a"), Permissions::from_mode(0o750)).unwrap();
        };
        for (is_executable, expected) in [(None, 0o750), (Some(true), 0o750), (Some(false), 0o640)] {
            in_both_ways(Ending { is_executable, ..PLAIN }, prepare, |top, result| {
                result.unwrap();
                assert_eq!(mode(&top.join("a")), expected, "{is_executable:?}");
            });
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_its_other_names_keep_the_old_one() {
        let prepare = |top: &Path| {
            fs::write(top.join("a"), "the old one").unwrap();
            fs::set_permissions(top.join("a"), Permissions::from_mode(0o600)).unwrap();
            fs::hard_link(top.join("a"), top.join("other")).unwrap();
        };
        in_both_ways(PLAIN, prepare, |top, result| {
            result.unwrap();
            assert_eq!(fs::read(top.join("a")).unwrap(), b"new");
            assert_eq!(mode(&top.join("a")), 0o600);
            assert_eq!(fs::read(top.join("other")).unwrap(), b"the old one");
        });
        in_both_ways(NEW, prepare, |top, result| {
            assert!(matches!(result, Err(TreeError::Exists)), "{result:?}");
            assert_eq!(fs::read(top.join("a")).unwrap(), b"the old one");
        });
    }

    #[test]
    fn a_link_is_replaced_itself_or_left_alone() {
        for leads_to in ["elsewhere", "nowhere"] {
            let prepare = |top: &Path| {
                fs::write(top.join("elsewhere"), "precious").unwrap();
                symlink(leads_to, top.join("a")).unwrap();
            };
            in_both_ways(PLAIN, prepare, |top, result| {
                result.unwrap();
                assert!(fs::symlink_metadata(top.join("a")).unwrap().is_file());
                assert_eq!(fs::read(top.join("elsewhere")).unwrap(), b"precious");
                assert!(!top.join("nowhere").exists());
            });
        }
        for leads_to in [".", "/dev/null"] {
            let prepare = |top: &Path| symlink(leads_to, top.join("a")).unwrap();
            in_both_ways(PLAIN, prepare, |top, result| {
                assert!(matches!(result, Err(TreeError::InTheWay(Kind::Link))), "{result:?}");
                assert!(fs::symlink_metadata(top.join("a")).unwrap().is_symlink());
            });
        }
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let is_left = |prepare: &dyn Fn(&Path), kind| {
            in_both_ways(PLAIN, prepare, |top, result| {
                assert!(matches!(result, Err(TreeError::InTheWay(found)) if found == kind), "{result:?}");
                assert!(!fs::symlink_metadata(top.join("a")).unwrap().is_file());
            });
        };
        is_left(&|top| fs::create_dir(top.join("a")).unwrap(), Kind::Folder);
        is_left(
            &|top| rustix::fs::mknodat(CWD, top.join("a"), FileType::Fifo, Mode::RUSR, 0).unwrap(),
            Kind::Fifo,
        );
    }

    /// Between the first look at the name and the moment at which the file gets it.
    #[test]
    fn what_comes_at_the_last_moment_is_replaced_only_where_it_may_be() {
        let publish = |ending: Ending, come: &dyn Fn(&Path)| {
            let top = tempfile::tempdir().unwrap();
            let path = RemotePath::parse(b"a").unwrap();
            let received = Folder::open(top.path()).unwrap().receive(&path, 0).unwrap().finish(ending);
            assert_eq!(received.dress().unwrap(), Owner::Kept);
            come(&top.path().join("a"));
            let result = received.publish();
            (result, fs::metadata(top.path().join("a")).unwrap().len())
        };
        let file = |path: &Path| fs::write(path, "late").unwrap();
        assert!(matches!(publish(PLAIN, &file), (Ok(()), 0)));
        assert!(matches!(publish(NEW, &file), (Err(TreeError::Exists), 4)));
        assert!(matches!(publish(FREE, &file), (Err(TreeError::Changed), 4)));
        let folder = |path: &Path| fs::create_dir(path).unwrap();
        assert!(matches!(publish(PLAIN, &folder), (Err(TreeError::InTheWay(Kind::Folder)), _)));
        assert!(matches!(publish(NEW, &folder), (Err(TreeError::Exists), _)));
        let fifo = |path: &Path| rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(publish(PLAIN, &fifo), (Err(TreeError::InTheWay(Kind::Fifo)), _)));
    }

    /// Which file it is, its size and its time all count; one that is gone is no obstacle.
    #[test]
    fn only_what_was_seen_is_replaced() {
        let replace = |change: &dyn Fn(&Path)| {
            let top = tempfile::tempdir().unwrap();
            let (path, place) = (RemotePath::parse(b"a").unwrap(), top.path().join("a"));
            fs::write(&place, "old").unwrap();
            let over = Over::of(Sighting::at(&place));
            let receiving = Folder::open(top.path()).unwrap().receive(&path, 0).unwrap();
            let received = receiving.finish(Ending { over, ..PLAIN });
            assert_eq!(received.dress().unwrap(), Owner::Kept);
            change(&place);
            let result = received.publish();
            assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1, "nothing else is left");
            (result, fs::metadata(&place).unwrap().len())
        };
        assert!(matches!(replace(&|_| {}), (Ok(()), 0)));
        assert!(matches!(replace(&|place| fs::remove_file(place).unwrap()), (Ok(()), 0)));
        let longer = |place: &Path| fs::write(place, "longer").unwrap();
        assert!(matches!(replace(&longer), (Err(TreeError::Changed), 6)));
        let time = |place: &Path| {
            let file = File::options().write(true).open(place).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        assert!(matches!(replace(&time), (Err(TreeError::Changed), 3)));
        let other = |place: &Path| {
            let other = place.with_file_name("b");
            fs::write(&other, "new").unwrap();
            let time = fs::metadata(place).unwrap().modified().unwrap();
            File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
            fs::rename(other, place).unwrap();
        };
        assert!(matches!(replace(&other), (Err(TreeError::Changed), 3)));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing_and_a_lost_temporary_file_is_told() {
        let top = tempfile::tempdir().unwrap();
        let path = RemotePath::parse(b"a").unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let hidden = |folder: &mut Folder| {
            let Receiving { directory, file_system, .. } = folder.receive(&path, 0).unwrap();
            Receiving::create_with_hidden_name(path.clone(), directory, file_system)
        };
        let receiving = hidden(&mut folder);
        let name = fs::read_dir(top.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(mode(&name.path()), 0o600, "private while it comes");
        drop(receiving);
        drop(folder.receive(&path, 0).unwrap().finish(PLAIN));
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
        for ending in [PLAIN, NEW, FREE] {
            let receiving = hidden(&mut folder);
            let name = top.path().join(OsStr::from_bytes(&receiving.temporary.as_ref().unwrap().name));
            fs::rename(&name, top.path().join("aside")).unwrap();
            fs::write(&name, "of another program").unwrap();
            let result = receiving.finish(ending).publish();
            assert!(matches!(result, Err(TreeError::TemporaryLost)), "{result:?}");
            assert!(name.exists() && !top.path().join("a").exists());
        }
    }

    #[test]
    fn a_size_that_no_disk_has_is_refused_before_anything_is_written() {
        let top = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(top.path()).unwrap();
        let path = RemotePath::parse(b"a").unwrap();
        assert!(matches!(folder.receive(&path, 1 << 46), Err(TreeError::System { .. })));
        let receiving = folder.receive(&path, 2 * 1024 * 1024).unwrap();
        receiving.finish(PLAIN).publish().unwrap();
        assert_eq!(fs::metadata(top.path().join("a")).unwrap().len(), 0);
    }
}
