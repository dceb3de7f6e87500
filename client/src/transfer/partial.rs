//! The file that a download is written to before it gets its name: hidden beside the target, under a name
//! that the next run finds again. One client at a time has it, by a lock; a second one that wants the same
//! target at the same time gets a file of its own.
//!
//! Nothing in it is trusted: a download that goes on with one compares digests first.

use crate::failure::{Failure, show_path};
use crate::limits::SWEPT_NAMES_MAX;
use crate::terminal::interrupt::Interrupts;
use crate::transfer::attributes::Wanted;
use crate::transfer::target::{self, Target};
use crate::transfer::{digests, hidden};
use ferry_common::wire::digest::{Digest, Hasher};
use rustix::fs::CWD;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// See the module's documentation. Removed when it is dropped, but for one that an earlier run has left.
pub(crate) struct Partial {
    file: NamedTempFile,
    /// Of everything in it that counts. The file may be longer where writing it failed.
    hasher: Box<Hasher>,
    /// The file has the name under which the next run looks for it.
    is_findable: bool,
}

impl Partial {
    /// What an earlier run has left of this target, if it is free and fit to be gone on with. Takes its digest,
    /// with which its comparison begins. What killed runs have left beside it is removed.
    pub(crate) fn find(target: &Target, interrupts: &Interrupts) -> Result<Option<Self>, Failure> {
        if let Ok(directory) = File::open(&target.directory) {
            hidden::sweep(&directory, SWEPT_NAMES_MAX);
        }
        let path = path_for(target);
        let Some(file) = hidden::find_part(CWD, &path) else { return Ok(None) };
        digests::tell_comparison(file.metadata().map_or(0, |metadata| metadata.len()));
        let hasher = Box::new(digests::hash_beginning(&file, &path, u64::MAX, interrupts)?);
        let mut file = adopt(file, &path).map_err(|error| Failure::local("use", &path, &error))?;
        file.disable_cleanup(true);
        Ok(Some(Self { file, hasher, is_findable: true }))
    }

    /// An empty one, under its predictable name where that is free, else under any.
    pub(crate) fn create(target: &Target) -> Result<Self, Failure> {
        let path = path_for(target);
        let (path, file, is_findable) = match hidden::create_part(CWD, &path) {
            Some(file) => (path, file, true),
            None => {
                let place = |name: &[u8]| target.directory.join(OsStr::from_bytes(name));
                let (name, file) = hidden::create_free(CWD, target.name.as_bytes(), place)
                    .map_err(|errno| Failure::local("create a file in", &target.directory, &errno.into()))?;
                (place(&name), file, false)
            }
        };
        let file = adopt(file, &path).map_err(|error| Failure::local("use", &path, &error))?;
        Ok(Self { file, hasher: Box::default(), is_findable })
    }

    pub(crate) fn length(&self) -> u64 {
        self.hasher.length()
    }

    pub(crate) fn digest(&self) -> Digest {
        self.hasher.digest()
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Nothing in it counts any more.
    pub(crate) fn restart(&mut self) -> Result<(), Failure> {
        *self.hasher = Hasher::default();
        self.file().set_len(0).map_err(|error| Failure::local("write", self.file.path(), &error))
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file().write_all_at(bytes, self.length())?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Where the next run will find it.
    pub(crate) fn findable_as(&self) -> Option<String> {
        self.is_findable.then(|| show_path(Path::new(self.file.path().file_name().unwrap_or_default())))
    }

    /// Leaves it for the next run.
    pub(crate) fn keep(mut self) {
        self.file.disable_cleanup(true);
    }

    pub(crate) fn discard(self) {
        drop(self.into_file());
    }

    /// Gives the whole file, still locked, its name. Where it cannot have that it stays what it is.
    pub(crate) fn publish(self, target: &Target, wanted: Wanted) -> Result<(), (Failure, Option<Self>)> {
        let length = self.length();
        let trimmed = match self.file().metadata() {
            Ok(metadata) if metadata.len() == length => Ok(()),
            Ok(_) => self.file().set_len(length),
            Err(error) => Err(error),
        };
        if let Err(error) = trimmed {
            return Err((Failure::local("write", &target.path, &error), Some(self)));
        }
        let Self { file, hasher, is_findable } = self;
        target.publish(file, wanted).map_err(|(failure, file)| {
            let partial = file.and_then(|mut file| {
                // What is there in its place is another client's.
                let is_ours = target::is_at(file.as_file(), file.path());
                file.disable_cleanup(!is_ours);
                is_ours.then_some(Self { file, hasher, is_findable })
            });
            (failure, partial)
        })
    }

    fn into_file(mut self) -> NamedTempFile {
        self.file.disable_cleanup(false);
        self.file
    }
}

/// Hidden beside the target.
fn path_for(target: &Target) -> PathBuf {
    let hidden = hidden::part_name(target.name.as_bytes());
    target.directory.join(OsStr::from_bytes(&hidden))
}

fn adopt(file: File, path: &Path) -> io::Result<NamedTempFile> {
    Ok(NamedTempFile::from_parts(file, TempPath::try_from_path(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::over::Over;
    use ferry_common::limits::NAME_MAX_BYTES;
    use ferry_common::path::RemotePath;
    use rustix::fs::{FileType, Mode};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    fn target(directory: &Path, name: &str) -> Target {
        let remote = RemotePath::parse(name.as_bytes()).unwrap();
        Target { over: Over::Anything, ..Target::choose(&remote, Some(directory), true).ok().unwrap() }
    }

    fn interrupts() -> Arc<Interrupts> {
        Interrupts::alone()
    }

    #[test]
    fn what_is_kept_is_found_again_and_by_one_at_a_time() {
        for name in ["a", &"n".repeat(NAME_MAX_BYTES)] {
            let directory = tempfile::tempdir().unwrap();
            let target = target(directory.path(), name);
            assert!(Partial::find(&target, &interrupts()).ok().unwrap().is_none());
            let mut partial = Partial::create(&target).ok().unwrap();
            partial.append(b"ferry").unwrap();
            assert!(Partial::find(&target, &interrupts()).ok().unwrap().is_none(), "it is in use");
            let second = Partial::create(&target).ok().unwrap();
            assert!(partial.is_findable && !second.is_findable);
            drop(second);
            partial.keep();
            let found = Partial::find(&target, &interrupts()).ok().unwrap().unwrap();
            assert_eq!((found.length(), found.digest()), (5, Digest::of(b"ferry")));
            found.discard();
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn no_link_is_followed_and_nothing_of_others_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        let (precious, path) = (directory.path().join("precious"), path_for(&target));
        fs::write(&precious, "precious").unwrap();
        let is_left_alone = || {
            assert!(Partial::find(&target, &interrupts()).ok().unwrap().is_none());
            assert!(!Partial::create(&target).ok().unwrap().is_findable);
            assert_eq!(fs::read(&precious).unwrap(), b"precious");
            fs::remove_file(&path).unwrap();
        };
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        is_left_alone();
        fs::hard_link(&precious, &path).unwrap();
        is_left_alone();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        is_left_alone();
    }

    #[test]
    fn bytes_that_were_not_counted_do_not_reach_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        let mut partial = Partial::create(&target).ok().unwrap();
        partial.append(b"ferry").unwrap();
        partial.file().write_all_at(b"half", 5).unwrap();
        assert!(partial.publish(&target, Wanted::default()).is_ok());
        assert_eq!(fs::read(&target.path).unwrap(), b"ferry");
    }

    /// The folder may have been tidied up, and another client begun anew there.
    #[test]
    fn what_took_its_place_is_neither_published_nor_removed() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        let mut partial = Partial::create(&target).ok().unwrap();
        partial.append(b"ferry").unwrap();
        fs::remove_file(path_for(&target)).unwrap();
        fs::write(path_for(&target), "of somebody else").unwrap();
        let Err((failure, None)) = partial.publish(&target, Wanted::default()) else { panic!() };
        assert!(failure.to_string().contains("was removed or replaced"), "{failure}");
        assert!(!target.path.exists());
        assert_eq!(fs::read(path_for(&target)).unwrap(), b"of somebody else");
    }

    #[test]
    fn what_cannot_have_its_name_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        let mut partial = Partial::create(&target).ok().unwrap();
        partial.append(b"ferry").unwrap();
        fs::create_dir(&target.path).unwrap();
        let Err((_, Some(partial))) = partial.publish(&target, Wanted::default()) else { panic!() };
        assert!(partial.is_findable);
        partial.keep();
        assert_eq!(fs::read(path_for(&target)).unwrap(), b"ferry");
    }

    /// Whatever the directory and the umask give to new files: it is compared to one.
    #[test]
    fn it_is_private_until_it_is_published_and_then_like_any_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        fs::write(directory.path().join("ordinary"), "").unwrap();
        let target = target(directory.path(), "a");
        fs::write(path_for(&target), "what an earlier run has left").unwrap();
        let interrupts = interrupts();
        let found = Partial::find(&target, &interrupts).ok().unwrap().unwrap();
        assert_eq!(mode(&path_for(&target)), 0o600);
        found.into_file();
        let partial = Partial::create(&target).ok().unwrap();
        assert_eq!(mode(&path_for(&target)), 0o600);
        assert!(partial.publish(&target, Wanted::default()).is_ok());
        assert_eq!(mode(&target.path), mode(&directory.path().join("ordinary")));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left there");
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        fs::write(&target.path, "old").unwrap();
        fs::set_permissions(&target.path, Permissions::from_mode(0o4600)).unwrap();
        let partial = Partial::create(&target).ok().unwrap();
        assert!(partial.publish(&target, Wanted::default()).is_ok());
        assert_eq!(fs::metadata(&target.path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn it_becomes_executable_for_all_who_may_read_it_or_for_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let target = target(directory.path(), "a");
        fs::write(&target.path, "old").unwrap();
        for (before, executable, after) in [
            (0o640, Some(true), 0o750),
            (0o744, Some(true), 0o744),
            (0o755, None, 0o755),
            (0o4755, Some(false), 0o644),
            (0o611, Some(false), 0o611),
        ] {
            fs::set_permissions(&target.path, Permissions::from_mode(before)).unwrap();
            let partial = Partial::create(&target).ok().unwrap();
            assert!(partial.publish(&target, Wanted { executable, ..Wanted::default() }).is_ok());
            let mode = fs::metadata(&target.path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, after, "{before:o} {executable:?}");
        }
        fs::remove_file(&target.path).unwrap();
        let partial = Partial::create(&target).ok().unwrap();
        assert!(partial.publish(&target, Wanted { executable: Some(true), ..Wanted::default() }).is_ok());
        let mode = fs::metadata(&target.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o100 | (mode & 0o444) >> 2, "{mode:o}");
    }
}
