//! What a downloaded file has beside its content: that of the local file which it replaces. A file that replaces
//! none has what any new file in its directory would have.
//!
//! What only adorns the file is kept as far as this user may, and is never a reason to do without the file. What
//! protects it is: no download gives a user a right that the file before it did not give.

use ferry_common::limits::{KEPT_ATTRIBUTES_MAX_BYTES, XATTR_MAX_BYTES};
use ferry_common::wire::file_time::FileTime;
use rustix::fs::{CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permissions; never the bits that make a program run as its owner.
const PERMISSION_BITS: u32 = 0o777;
const EXECUTE_BITS: u32 = 0o111;
/// What a program asks for where it makes a new file.
const NEW_FILE_MODE: u32 = 0o666;
/// The access control list of a file.
const ACL_NAME: &str = "system.posix_acl_access";
/// The namespace of attributes that mean nothing to the kernel.
const USER_PREFIX: &[u8] = b"user.";
/// What only the owner may read: for the time in which the content comes.
pub(crate) const PRIVATE_MODE: u32 = 0o600;

/// What a downloaded file is to have of that on the server, where that is wanted and told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) mtime: Option<FileTime>,
    pub(crate) executable: Option<bool>,
}

/// Whose a file is by now that has taken the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Owner {
    Kept,
    /// This user; the file that it replaces belonged to another one.
    Changed,
}

/// A regular file that is to be replaced, or to be like.
struct Replaced {
    metadata: Metadata,
    /// `None` where it cannot be read.
    file: Option<File>,
}

/// Keeps other users from a file whose content is still to come.
pub(crate) fn shield(file: &File) {
    // Where it cannot be set, the file system has the same permissions for all files.
    let _ = rustix::fs::fchmod(file, Mode::from_raw_mode(PRIVATE_MODE));
}

/// Gives a whole file what the regular file at `path` has, if there is one, and makes it executable or not, where that is
/// told. The owner comes last: afterwards the file may be none of this user's.
pub(crate) fn take_over(file: &File, path: &Path, executable: Option<bool>) -> io::Result<Owner> {
    let Some(metadata) = replaced_by(path) else {
        unshield(file, path.parent().unwrap_or(Path::new(".")), executable)?;
        return Ok(Owner::Kept);
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
    let replaced = Replaced { metadata, file: opened.ok().map(File::from) };
    if let Some(from) = &replaced.file {
        // As many as the file system takes.
        let _ = copy_user_attributes(from, file);
    }
    let own = file.metadata()?;
    let mode = replaced.metadata.mode() & PERMISSION_BITS;
    let has_group = own.gid() == replaced.metadata.gid() || {
        rustix::fs::fchown(file, None, Some(Gid::from_raw(replaced.metadata.gid()))).is_ok()
    };
    let keeps_acl = has_group && replaced.copy_acl(file);
    // Another group, or the one that the list limits, must not get more than it had.
    let mode = if keeps_acl { mode } else { without_group(mode) };
    set_mode(file, mode, executable)?;
    let owner = Uid::from_raw(replaced.metadata.uid());
    let is_kept = own.uid() == owner.as_raw() || rustix::fs::fchown(file, Some(owner), None).is_ok();
    Ok(if is_kept { Owner::Kept } else { Owner::Changed })
}

/// A time that this file system cannot express or set is no reason to do without the file.
pub(crate) fn set_mtime(file: &File, mtime: FileTime) {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanoseconds().into() };
    let _ = rustix::fs::futimens(file, &Timestamps { last_access, last_modification });
}

impl Replaced {
    /// False where the file has, or may have, a list that the new one cannot be given.
    fn copy_acl(&self, to: &File) -> bool {
        let Some(from) = &self.file else { return false };
        let mut value = vec![0; XATTR_MAX_BYTES];
        match rustix::fs::fgetxattr(from, ACL_NAME, &mut value) {
            Ok(length) => rustix::fs::fsetxattr(to, ACL_NAME, &value[..length], XattrFlags::empty()).is_ok(),
            Err(Errno::NODATA) => {
                // One that its directory has given it would say something else than the mode.
                let removed = rustix::fs::fremovexattr(to, ACL_NAME);
                matches!(removed, Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP))
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => true,
            Err(_) => false,
        }
    }
}

fn replaced_by(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file)
}

/// Gives a file that replaces none what any new file in the directory has. The umask and the directory's list decide about
/// that together, so it is seen by making one, which has no name that a kill could leave behind.
fn unshield(file: &File, directory: &Path, executable: Option<bool>) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(NEW_FILE_MODE)) {
        Ok(ordinary) => {
            let ordinary = File::from(ordinary);
            let like = Replaced { metadata: ordinary.metadata()?, file: Some(ordinary) };
            let has_acl = like.copy_acl(file);
            let mode = like.metadata.mode() & PERMISSION_BITS;
            let mode = if has_acl { mode } else { without_group(mode) };
            set_mode(file, mode, executable)
        }
        // A file system that knows no files without a name has hardly lists of access either.
        Err(_) => umask().map_or(Ok(()), |umask| set_mode(file, NEW_FILE_MODE & !umask, executable)),
    }
}

fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// The group gets no more than others have.
fn without_group(mode: u32) -> u32 {
    mode & !0o070 | mode & (mode & 0o007) << 3
}

/// The mode of a file that its owner, and all who may read it, may execute; or no user. Where that is so of the owner
/// already, the others have what they are to have.
pub(crate) fn with_executable(mode: u32, executable: Option<bool>) -> u32 {
    match (executable, mode & 0o100 != 0) {
        (Some(true), false) => mode | 0o100 | (mode & 0o444) >> 2,
        (Some(false), true) => mode & !EXECUTE_BITS,
        (Some(_) | None, _) => mode,
    }
}

/// Sets the mode, with what is told of executing. Fails where the file would give a user more than that: but to execute a file
/// that is told not to be executable does no harm, and on some file systems (vfat) every file can be.
fn set_mode(file: &File, mode: u32, executable: Option<bool>) -> io::Result<()> {
    let mode = with_executable(mode, executable);
    let Err(errno) = rustix::fs::fchmod(file, Mode::from_raw_mode(mode)) else { return Ok(()) };
    let has = file.metadata()?.mode() & PERMISSION_BITS;
    let spared = if executable == Some(false) { EXECUTE_BITS } else { 0 };
    if has & !(mode | spared) == 0 { Ok(()) } else { Err(errno.into()) }
}

fn copy_user_attributes(from: &File, to: &File) -> Result<(), Errno> {
    let mut names = vec![0; XATTR_MAX_BYTES];
    let length = rustix::fs::flistxattr(from, &mut names)?;
    let mut value = vec![0; XATTR_MAX_BYTES];
    let mut copied_bytes = 0;
    let names = names[..length].split(|&byte| byte == 0).filter(|name| name.starts_with(USER_PREFIX));
    for name in names {
        let length = match rustix::fs::fgetxattr(from, name, &mut value) {
            // Removed meanwhile.
            Err(Errno::NODATA) => continue,
            length => length?,
        };
        copied_bytes += name.len() + length;
        if copied_bytes > KEPT_ATTRIBUTES_MAX_BYTES {
            break;
        }
        rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}
