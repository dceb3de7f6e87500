//! Changes of names, `mkdir`, `rm` and `mv`, and of what has one: its time, `mtime`, and whether it is executable, `chmod`.
//! Each is answered only when it is on the disk, as far as the durability in force and the file system go. None ever leaves
//! a file without a name.

use super::target::{Target, flush_change, is, is_same_inode};
use super::{Folder, Lookup};
use crate::config::Durability;
use crate::store::attributes;
use crate::store::errors::Call;
use crate::store::names::{self, Name, Renamed};
use crate::store::staging::Superseded;
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::Conditions;
use ferry_common::wire::file_time::FileTime;
use ferry_session::access::Cleared;
use ferry_session::action::{Change, Removable};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::fmt::{self, Display};

/// One `mv`, with the directories that it concerns.
struct Move<'a> {
    from: &'a Cleared,
    to: &'a Cleared,
    source: Target,
    target: Target,
    from_name: &'a [u8],
    to_name: &'a [u8],
    /// What is to be moved.
    moved: Stat,
}

impl Folder {
    pub(crate) fn change(&self, change: &Change) -> Result<(), ErrorCode> {
        match change {
            Change::Mkdir { path, follow } => self.make_directory(path, *follow),
            Change::Rm { path, what, conditions } => self.remove(path, *what, *conditions),
            Change::Mv { from, to, replace } => self.rename(from, to, *replace),
            Change::Mtime { path, mtime } => self.set_mtime(path, *mtime),
            Change::Chmod { path, executable } => self.set_executable(path, *executable),
        }
    }

    fn make_directory(&self, path: &Cleared, follow: Option<u32>) -> Result<(), ErrorCode> {
        // The root, like any other directory, exists.
        let name = path.file_name().ok_or(ErrorCode::Exists)?;
        let target = self.target(path, follow)?;
        let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        rustix::fs::mkdirat(target.directory(), name, mode).map_err(Call::Mkdir.of(path))?;
        self.flush_names(&target)
    }

    fn remove(&self, path: &Cleared, what: Removable, conditions: Conditions) -> Result<(), ErrorCode> {
        let name = path.file_name().ok_or(ErrorCode::Denied)?;
        let target = self.source(path, conditions.follow)?;
        let removed = target.look_at(name)?;
        if self.is_staging(&removed) {
            return Err(ErrorCode::BadPath);
        }
        let flags = match (kind_of(&removed), what) {
            (FileType::Directory, Removable::File) => return Err(ErrorCode::IsDirectory),
            (FileType::RegularFile | FileType::Symlink, Removable::Directory) => {
                return Err(ErrorCode::NotDirectory);
            }
            (FileType::Directory, Removable::Directory | Removable::Any) => AtFlags::REMOVEDIR,
            (FileType::RegularFile | FileType::Symlink, Removable::File | Removable::Any) => AtFlags::empty(),
            (
                FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown,
                _,
            ) => return Err(ErrorCode::NotRegular),
        };
        let superseded = self.superseded(path, &target);
        if let Some(was) = conditions.was
            && !is(&target.look_at(name)?, was)
        {
            return Err(ErrorCode::Changed);
        }
        rustix::fs::unlinkat(target.directory(), name, flags).map_err(Call::Rm.of(path))?;
        self.flush_names(&target)?;
        superseded.into_iter().for_each(Superseded::remove);
        Ok(())
    }

    fn rename(&self, from: &Cleared, to: &Cleared, replace: bool) -> Result<(), ErrorCode> {
        let from_name = from.file_name().ok_or(ErrorCode::Denied)?;
        let to_name = to.file_name().ok_or(ErrorCode::Exists)?;
        let source = self.source(from, None)?;
        let target = self.target(to, None)?;
        let moved = source.look_at(from_name)?;
        if self.is_staging(&moved) {
            return Err(ErrorCode::BadPath);
        }
        let is_directory = match kind_of(&moved) {
            FileType::Directory => true,
            FileType::RegularFile | FileType::Symlink => false,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(ErrorCode::NotRegular),
        };
        let superseded = self.superseded(to, &target).filter(|_| from != to);
        let change = Move { from, to, source, target, from_name, to_name, moved };
        if replace {
            self.rename_over(&change)?;
        } else if is_directory {
            names::rename_directory(change.old_name(), change.new_name()).map_err(Call::Mv.of(&change))?;
        } else {
            match names::rename_file(change.old_name(), change.new_name()).map_err(Call::Mv.of(&change))? {
                Renamed::Done => {}
                Renamed::Linked => self.remove_old_name(&change)?,
            }
        }
        self.flush_names(&change.target)?;
        self.flush_names(&change.source)?;
        superseded.into_iter().for_each(Superseded::remove);
        Ok(())
    }

    fn rename_over(&self, change: &Move<'_>) -> Result<(), ErrorCode> {
        change.target.admits(change.to_name, false)?;
        let (old, new) = (change.old_name(), change.new_name());
        rustix::fs::renameat(old.directory, old.name, new.directory, new.name)
            .map_err(Call::Mv.of(change))?;
        // rename(2) succeeds and does nothing where both names lead to one inode.
        if !change.source.has(change.from_name, &change.moved)? {
            return Ok(());
        }
        if !change.target.has(change.to_name, &change.moved)? {
            return Err(ErrorCode::Changed);
        }
        match change.spelling()? {
            Spelling::SameName => Ok(()),
            // One entry of the directory with two spellings, and the file system keeps the old one.
            Spelling::OneEntry => Err(ErrorCode::Exists),
            Spelling::TwoEntries => self.remove_old_name(change),
        }
    }

    /// Removes the old name of a file that has the new one already. Another file may come to have the old
    /// name at any time, so what has the name is first moved to the staging directory, and looked at there.
    fn remove_old_name(&self, change: &Move<'_>) -> Result<(), ErrorCode> {
        let home = self.home_of(change.from, &change.source)?;
        let aside_name = home.new_aside_name();
        let aside = Name { directory: home.directory(), name: aside_name.as_bytes() };
        match rustix::fs::renameat(change.source.directory(), change.from_name, aside.directory, aside.name) {
            // Removed or moved on by another process.
            Err(Errno::NOENT) => return Ok(()),
            result => result.map_err(Call::Mv.of(change))?,
        }
        let taken = rustix::fs::statat(aside.directory, aside.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Call::Stage.of(change.from))?;
        if !is_same_inode(&taken, &change.moved) {
            // A newer file, which goes back. Where an even newer one is there, that has replaced it.
            match names::rename_file(aside, change.old_name()) {
                Ok(Renamed::Done) => return Ok(()),
                Ok(Renamed::Linked) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Call::Mv.of(change)(errno)),
            }
        }
        // What cannot be removed now is removed at the next start.
        let _ = rustix::fs::unlinkat(aside.directory, aside.name, AtFlags::empty());
        Ok(())
    }

    /// Opens what the path leads to, as `stat` tells it, where `check` has nothing against that.
    fn open_to_change(
        &self,
        path: &Cleared,
        check: fn(&Stat) -> Result<(), ErrorCode>,
    ) -> Result<OwnedFd, ErrorCode> {
        let cannot_open = Call::Open.of(path);
        let seen = self.resolve(path, OFlags::PATH, Lookup::MayBlock).map_err(&cannot_open)?;
        // What is neither file nor directory is not even opened.
        check(&rustix::fs::fstat(&seen).map_err(&cannot_open)?)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.resolve(path, flags, Lookup::MayBlock).map_err(&cannot_open)?;
        check(&rustix::fs::fstat(&opened).map_err(&cannot_open)?)?;
        Ok(opened)
    }

    fn set_executable(&self, path: &Cleared, executable: bool) -> Result<(), ErrorCode> {
        let opened = self.open_to_change(path, check_file)?;
        attributes::set_executable(&opened, executable, path)?;
        if self.durability == Durability::Full { flush_change(&opened, path) } else { Ok(()) }
    }

    fn set_mtime(&self, path: &Cleared, mtime: FileTime) -> Result<(), ErrorCode> {
        let opened = self.open_to_change(path, check_served)?;
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let last_modification = Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanoseconds().into() };
        let times = Timestamps { last_access, last_modification };
        rustix::fs::futimens(&opened, &times).map_err(Call::Touch.of(path))?;
        if self.durability == Durability::Full { flush_change(&opened, path) } else { Ok(()) }
    }

    fn flush_names(&self, target: &Target) -> Result<(), ErrorCode> {
        if self.durability == Durability::Full { target.flush() } else { Ok(()) }
    }
}

/// How two names of one inode stand to each other.
enum Spelling {
    /// The names are the same.
    SameName,
    /// The names differ, but the file system takes them for the same.
    OneEntry,
    /// There are two names.
    TwoEntries,
}

impl Move<'_> {
    fn old_name(&self) -> Name<'_> {
        Name { directory: self.source.directory(), name: self.from_name }
    }

    fn new_name(&self) -> Name<'_> {
        Name { directory: self.target.directory(), name: self.to_name }
    }

    /// Only the entries themselves tell whether a name is one of its own or another spelling of one.
    fn spelling(&self) -> Result<Spelling, ErrorCode> {
        let directories = [&self.source, &self.target].map(|target| rustix::fs::fstat(target.directory()));
        let [Ok(source), Ok(target)] = directories else { return Err(ErrorCode::Changed) };
        if !is_same_inode(&source, &target) {
            return Ok(Spelling::TwoEntries);
        }
        if self.from_name == self.to_name {
            return Ok(Spelling::SameName);
        }
        let (mut has_old, mut has_new) = (false, false);
        let entries = Dir::read_from(self.source.directory()).map_err(Call::Read.of(self))?;
        for entry in entries {
            let entry = entry.map_err(Call::Read.of(self))?;
            has_old |= entry.file_name().to_bytes() == self.from_name;
            has_new |= entry.file_name().to_bytes() == self.to_name;
        }
        Ok(match (has_old, has_new) {
            (true, true) => Spelling::TwoEntries,
            // The file system has changed the spelling of the entry.
            (false, true) => Spelling::SameName,
            (_, false) => Spelling::OneEntry,
        })
    }
}

impl Display for Move<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.from, self.to)
    }
}

fn check_served(stat: &Stat) -> Result<(), ErrorCode> {
    match kind_of(stat) {
        FileType::Directory | FileType::RegularFile => Ok(()),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(ErrorCode::NotRegular),
    }
}

fn check_file(stat: &Stat) -> Result<(), ErrorCode> {
    check_served(stat)?;
    if kind_of(stat) == FileType::Directory { Err(ErrorCode::IsDirectory) } else { Ok(()) }
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::staging::Retention;
    use crate::store::tests::cleared;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let files = tempfile::tempdir().unwrap();
        let retention = Retention { age_s: 1000, bytes: u64::MAX };
        let folder = Folder::open(files.path(), Durability::Full, retention).unwrap();
        (files, folder)
    }

    #[test]
    fn what_is_removed_is_what_was_meant() {
        let (files, folder) = folder();
        let make = || {
            fs::create_dir_all(files.path().join("dir")).unwrap();
            fs::write(files.path().join("file"), "").unwrap();
            for (link, target) in [("to-dir", "dir"), ("to-file", "file"), ("to-nothing", "nothing")] {
                let _ = symlink(target, files.path().join(link));
            }
        };
        for (name, what, expected) in [
            ("file", Removable::File, Ok(())),
            ("file", Removable::Directory, Err(ErrorCode::NotDirectory)),
            ("file", Removable::Any, Ok(())),
            ("dir", Removable::File, Err(ErrorCode::IsDirectory)),
            ("dir", Removable::Directory, Ok(())),
            ("dir", Removable::Any, Ok(())),
            ("to-file", Removable::File, Ok(())),
            ("to-file", Removable::Directory, Err(ErrorCode::NotDirectory)),
            ("to-dir", Removable::File, Ok(())),
            ("to-dir", Removable::Directory, Err(ErrorCode::NotDirectory)),
            ("to-dir", Removable::Any, Ok(())),
            ("to-nothing", Removable::File, Ok(())),
            ("missing", Removable::Any, Err(ErrorCode::NotFound)),
        ] {
            make();
            let removed =
                folder.change(&Change::Rm { path: cleared(name), what, conditions: Conditions::NONE });
            assert_eq!(removed, expected, "{name} {what:?}");
            let is_there = files.path().join(name).symlink_metadata().is_ok();
            assert_eq!(is_there, expected.is_err() && name != "missing", "{name} {what:?}");
            if name.starts_with("to-") {
                assert!(files.path().join("dir").is_dir() && files.path().join("file").is_file());
            }
        }
        make();
        fs::write(files.path().join("dir/within"), "").unwrap();
        let removed = folder.change(&Change::Rm {
            path: cleared("dir"),
            what: Removable::Directory,
            conditions: Conditions::NONE,
        });
        assert_eq!(removed, Err(ErrorCode::NotEmpty));
    }

    #[test]
    fn a_file_is_made_executable_or_not_and_nothing_else_is() {
        let (files, folder) = folder();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("out"), "").unwrap();
        symlink(elsewhere.path().join("out"), files.path().join("leads-out")).unwrap();
        fs::create_dir(files.path().join("dir")).unwrap();
        let file = files.path().join("file");
        fs::write(&file, "").unwrap();
        symlink("file", files.path().join("link")).unwrap();
        let chmod =
            |name: &str, executable| folder.change(&Change::Chmod { path: cleared(name), executable });
        for (before, name, executable, after) in [
            (0o644, "file", true, 0o755),
            (0o640, "link", true, 0o750),
            (0o600, "file", false, 0o600),
            (0o755, "file", false, 0o644),
            (0o4644, "file", true, 0o755),
            (0o4755, "file", true, 0o4755),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(before)).unwrap();
            assert_eq!(chmod(name, executable), Ok(()));
            assert_eq!(file.metadata().unwrap().mode() & 0o7777, after, "{before:o} {executable}");
        }
        for (name, refused) in [
            ("dir", ErrorCode::IsDirectory),
            ("missing", ErrorCode::NotFound),
            ("leads-out", ErrorCode::BadLink),
        ] {
            assert_eq!(chmod(name, true), Err(refused), "{name}");
        }
        assert_eq!(elsewhere.path().join("out").metadata().unwrap().mode() & 0o111, 0);
    }
}
