//! What a downloaded file has beside its content: that of the local file which it replaces. A file that replaces
//! none is made in its directory like any other, and has what it is to have.
//!
//! What only adorns the file is kept as far as this user may, and is never a reason to do without the file. What
//! protects it is: no download gives a user a right that the file before it did not give.

use ferry_common::limits::{KEPT_ATTRIBUTES_MAX_BYTES, XATTR_MAX_BYTES};
use rustix::fs::{CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permissions; never the bits that make a program run as its owner.
const PERMISSION_BITS: u32 = 0o777;
/// The access control list of a file.
const ACL_NAME: &str = "system.posix_acl_access";
/// The namespace of attributes that mean nothing to the kernel.
const USER_PREFIX: &[u8] = b"user.";
/// What only the owner may read: for the time in which the content comes.
const PRIVATE_MODE: u32 = 0o600;

/// A regular file that is to be replaced.
struct Replaced {
    metadata: Metadata,
    /// `None` where it cannot be read.
    file: Option<File>,
}

/// Keeps others from reading a file that is to replace one, until it has the permissions of that.
pub(crate) fn shield(file: &File, replaced: &Path) {
    if replaced_by(replaced).is_some() {
        // Where it cannot be set, the file system has the same permissions for all files.
        let _ = rustix::fs::fchmod(file, Mode::from_raw_mode(PRIVATE_MODE));
    }
}

/// Gives a whole file what the regular file at `path` has, if there is one. The owner comes last: afterwards the
/// file may be none of this user's.
pub(crate) fn take_over(file: &File, path: &Path) -> io::Result<()> {
    let Some(metadata) = replaced_by(path) else {
        unshield(file);
        return Ok(());
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
    // Another group, or the one that the list limits, gets no more than others have.
    let mode = if keeps_acl { mode } else { mode & !0o070 | mode & (mode & 0o007) << 3 };
    set_mode(file, mode)?;
    if own.uid() != replaced.metadata.uid() {
        let owner = Uid::from_raw(replaced.metadata.uid());
        if rustix::fs::fchown(file, Some(owner), None).is_err() {
            let shown = crate::failure::show_path(path);
            crate::terminal::screen::message(&format!(
                "{shown} belonged to another user, and belongs to you now"
            ));
        }
    }
    Ok(())
}

/// A time that this file system cannot express or set is no reason to do without the file.
pub(crate) fn set_mtime(file: &File, mtime_s: i64) {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec: mtime_s, tv_nsec: 0 };
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

/// The file that was to be replaced when the content began to come is gone, so this one is like any new file.
fn unshield(file: &File) {
    let is_shielded = file.metadata().is_ok_and(|metadata| metadata.mode() & PERMISSION_BITS == PRIVATE_MODE);
    let umask = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
        u32::from_str_radix(line.trim(), 8).ok()
    };
    if is_shielded && let Some(umask) = umask() {
        let _ = rustix::fs::fchmod(file, Mode::from_raw_mode(0o666 & !umask));
    }
}

/// Fails where the file would give a user more than `mode` does.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let Err(errno) = rustix::fs::fchmod(file, Mode::from_raw_mode(mode)) else { return Ok(()) };
    let has = file.metadata()?.mode() & PERMISSION_BITS;
    if has & !mode == 0 { Ok(()) } else { Err(errno.into()) }
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
