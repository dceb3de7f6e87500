//! What a file has beside its content when it gets its name: that of the file which it replaces, or what a new
//! file gets in its directory. All of it is set while only the server reaches the file.
//!
//! What only adorns a file never fails its upload. What protects it does: no upload gives a user a right that
//! the file before it did not give. The bits that make a program run as its owner, and capabilities, are
//! never kept: what clients upload must not run with another user's rights.

use crate::store::acl::{ACCESS_NAME, Acl, DEFAULT_NAME};
use crate::store::errors::Call;
use crate::store::shortfalls::Shortfall;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{KEPT_ATTRIBUTES_MAX_BYTES, XATTR_MAX_BYTES};
use ferry_common::path::RemotePath;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

/// The mode with which programs make files, before the umask.
const NEW_FILE_MODE: u32 = 0o666;
const PERMISSION_BITS: u32 = 0o777;
const EXECUTE_BITS: u32 = 0o111;
const ALL_MODE_BITS: u32 = 0o7777;
const SETGID: u32 = 0o2000;
/// The attributes of most files, their names, and their access lists are no longer.
const USUAL_XATTR_BYTES: usize = 256;
/// The namespace of attributes that mean nothing to the kernel.
const USER_PREFIX: &[u8] = b"user.";

/// Where the attributes of a file come from.
#[derive(Debug)]
pub(crate) enum Attributes<'a> {
    OfNewFile(&'a Inherited),
    Of(Replaced),
}

/// What a new file gets in a directory, beyond what it has from being staged.
#[derive(Debug)]
pub(crate) struct Inherited {
    group: Option<Gid>,
    acl: Option<Acl>,
}

/// A file that is to be replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    stat: Stat,
    /// `None` where it cannot be read.
    file: Option<OwnedFd>,
    acl: Result<Option<Acl>, Errno>,
}

/// What a file is like that was given no attributes yet.
#[derive(Debug)]
pub(crate) struct Undressed(Stat);

impl Undressed {
    pub(crate) fn of(file: &OwnedFd) -> Result<Self, Errno> {
        rustix::fs::fstat(file).map(Self)
    }

    /// Takes back from a file what it was given, but for what only adorns it: the file that it was to replace may not be
    /// there any more when it gets its name, and until then its server has to be able to write to it.
    pub(crate) fn give_back_to(&self, directory: &OwnedFd, name: &str) {
        let mode = Mode::from_raw_mode(self.0.st_mode & PERMISSION_BITS);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let given_back = rustix::fs::chmodat(directory, name, mode, AtFlags::empty()).and_then(|()| {
            let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            let has = rustix::fs::fstat(&file)?;
            if (has.st_uid, has.st_gid) != (self.0.st_uid, self.0.st_gid) {
                let (uid, gid) = (Uid::from_raw(self.0.st_uid), Gid::from_raw(self.0.st_gid));
                rustix::fs::fchown(&file, Some(uid), Some(gid))?;
            }
            match rustix::fs::fremovexattr(&file, ACCESS_NAME) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(errno) => return Err(errno),
            }
            rustix::fs::fchmod(&file, mode)
        });
        if let Err(errno) = given_back {
            log::debug!("What is kept of an upload has attributes that were for its name ({errno})");
        }
    }
}

impl Attributes<'_> {
    /// True where a file that is staged has them already, and is as executable as it is to be.
    pub(crate) fn are_there(&self, executable: Option<bool>) -> bool {
        match self {
            Self::OfNewFile(Inherited { group, acl }) => {
                group.is_none() && acl.is_none() && executable != Some(true)
            }
            Self::Of(_) => false,
        }
    }

    /// Gives them to a staged file that is to become `path`, and makes it executable or not, where that is asked for.
    pub(crate) fn give_to(
        &self,
        file: &OwnedFd,
        executable: Option<bool>,
        path: &RemotePath,
    ) -> Result<(), ErrorCode> {
        match self {
            Self::OfNewFile(inherited) => inherited.give_to(file, executable, path),
            Self::Of(replaced) => replaced.give_to(file, executable, path),
        }
    }
}

impl Inherited {
    /// Asks the directory; `staging` is that in which the file is staged.
    pub(crate) fn of(directory: &OwnedFd, staging: &OwnedFd) -> Result<Self, Errno> {
        let (around, staged_in) = (rustix::fs::fstat(directory)?, rustix::fs::fstat(staging)?);
        let own = rustix::process::getegid().as_raw();
        // The staging directory is made by this process, so another group without the bit comes from the mount:
        // every file has that of its directory there.
        let is_always = staged_in.st_mode & SETGID == 0 && staged_in.st_gid != own;
        let group_in = |directory: &Stat| {
            if is_always || directory.st_mode & SETGID != 0 { directory.st_gid } else { own }
        };
        let group = group_in(&around);
        let group = (group != group_in(&staged_in)).then(|| Gid::from_raw(group));
        let acl = read_acl(directory, DEFAULT_NAME).unwrap_or(None);
        Ok(Self { group, acl: acl.map(|acl| acl.of_new_file(NEW_FILE_MODE)) })
    }

    fn give_to(&self, file: &OwnedFd, executable: Option<bool>, path: &RemotePath) -> Result<(), ErrorCode> {
        if self.group.is_some()
            && let Err(errno) = rustix::fs::fchown(file, None, self.group)
        {
            Shortfall::Owner.tell(file, path, errno);
        }
        let mut acl = match &self.acl {
            Some(acl) => acl.clone(),
            // Of itself no new file is executable.
            None if executable != Some(true) => return Ok(()),
            None => {
                let staged = rustix::fs::fstat(file).map_err(Call::Stage.of(path))?;
                Acl::of_mode(staged.st_mode & PERMISSION_BITS)
            }
        };
        if let Some(executable) = executable {
            acl.set_executable(executable);
        }
        set_rights(file, &acl, executable, path)
    }
}

impl Replaced {
    /// Opens the file that has a name now and looked like `stat`: never a link, and never waiting for the other end
    /// of a FIFO. Only a lack of descriptors or memory is a failure.
    pub(crate) fn open(
        directory: &OwnedFd,
        name: &[u8],
        stat: Stat,
        path: &RemotePath,
    ) -> Result<Self, ErrorCode> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(file) => Some(file),
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
                return Err(Call::Open.of(path)(errno));
            }
            Err(_) => None,
        };
        let acl = match &file {
            Some(file) => read_acl(file, ACCESS_NAME),
            None => read_acl_unopened(directory, name),
        };
        Ok(Self { stat, file, acl })
    }

    /// Gives a staged file what the replaced one has. The owner comes last: afterwards the file may be none of
    /// the server's.
    fn give_to(&self, file: &OwnedFd, executable: Option<bool>, path: &RemotePath) -> Result<(), ErrorCode> {
        let staged = rustix::fs::fstat(file).map_err(Call::Stage.of(path))?;
        if let Some(replaced) = &self.file
            && let Err(errno) = copy_user_attributes(replaced, file)
        {
            Shortfall::Attributes.tell(file, path, errno);
        }
        let mut acl = self.rights(file, path);
        if let Some(executable) = executable {
            acl.set_executable(executable);
        }
        if !(acl.is_mode() && staged.st_mode & ALL_MODE_BITS == acl.to_mode()) {
            set_rights(file, &acl, executable, path)?;
        }
        let (has_owner, has_group) = self.give_owner(file, &staged, path);
        if !has_group {
            acl.name_group(self.stat.st_gid);
        }
        if !has_owner {
            acl.name_owner(self.stat.st_uid);
            let uid = self.stat.st_uid;
            log::warn!("{path} belonged to user {uid}, and now to the server, which may not give it away");
        }
        if has_owner && has_group { Ok(()) } else { set_rights(file, &acl, executable, path) }
    }

    /// The access list of the file. Where its list cannot be read, its mode may tell the mask in place of what the
    /// group may, and the group gets no more than others have.
    fn rights(&self, file: &OwnedFd, path: &RemotePath) -> Acl {
        let mut of_mode = Acl::of_mode(self.stat.st_mode & PERMISSION_BITS);
        match &self.acl {
            Ok(acl) => acl.clone().unwrap_or(of_mode),
            Err(errno) => {
                Shortfall::Permissions.tell(file, path, *errno);
                of_mode.limit_group();
                of_mode
            }
        }
    }

    /// Tells whether the file has the owner, and whether it has the group of the replaced one.
    fn give_owner(&self, file: &OwnedFd, staged: &Stat, path: &RemotePath) -> (bool, bool) {
        let (has_owner, has_group) = (staged.st_uid == self.stat.st_uid, staged.st_gid == self.stat.st_gid);
        let owner = (!has_owner).then(|| Uid::from_raw(self.stat.st_uid));
        let group = (!has_group).then(|| Gid::from_raw(self.stat.st_gid));
        if has_owner && has_group {
            return (true, true);
        }
        let Err(errno) = rustix::fs::fchown(file, owner, group) else { return (true, true) };
        Shortfall::Owner.tell(file, path, errno);
        let gets_group = has_group || !has_owner && rustix::fs::fchown(file, None, group).is_ok();
        (has_owner, gets_group)
    }
}

/// Makes a file that has its name executable, or not, as an upload would be.
pub(crate) fn set_executable(file: &OwnedFd, executable: bool, path: &RemotePath) -> Result<(), ErrorCode> {
    let refused = Call::Chmod.of(path);
    let stat = rustix::fs::fstat(file).map_err(&refused)?;
    let of_mode = Acl::of_mode(stat.st_mode & PERMISSION_BITS);
    let before = read_acl(file, ACCESS_NAME).map_err(&refused)?.unwrap_or(of_mode);
    let mut acl = before.clone();
    acl.set_executable(executable);
    if acl == before {
        Ok(())
    } else if acl.is_mode() {
        rustix::fs::fchmod(file, Mode::from_raw_mode(acl.to_mode())).map_err(&refused)
    } else {
        rustix::fs::fsetxattr(file, ACCESS_NAME, &acl.encode(), XattrFlags::empty()).map_err(&refused)
    }
}

/// Sets the access control list, or the mode where that says it all or the file system has no lists. Fails
/// where the file would give a user more than that: but to execute a file that is asked not to be executable does no harm, and
/// on some file systems (vfat) every file can be.
fn set_rights(
    file: &OwnedFd,
    acl: &Acl,
    executable: Option<bool>,
    path: &RemotePath,
) -> Result<(), ErrorCode> {
    if !acl.is_mode() {
        match rustix::fs::fsetxattr(file, ACCESS_NAME, &acl.encode(), XattrFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(errno) => Shortfall::Permissions.tell(file, path, errno),
        }
    }
    let mode = acl.to_mode();
    let Err(errno) = rustix::fs::fchmod(file, Mode::from_raw_mode(mode)) else { return Ok(()) };
    let has = rustix::fs::fstat(file).map_err(Call::Stage.of(path))?.st_mode & PERMISSION_BITS;
    let spared = if executable == Some(false) { EXECUTE_BITS } else { 0 };
    if has & !(mode | spared) == 0 {
        Shortfall::Permissions.tell(file, path, errno);
        return Ok(());
    }
    log::warn!("Cannot set the permissions of {path} to {mode:o}: {errno}; it would have {has:o}");
    Err(ErrorCode::Denied)
}

/// `None` where there is no list, because none was set or the file system has none.
fn read_acl(file: &OwnedFd, name: &str) -> Result<Option<Acl>, Errno> {
    acl_of(read_whole(|value| rustix::fs::fgetxattr(file, name, value)))
}

/// The list of a file that may not be opened, which every user may read. No call reads it beneath a directory, so
/// this needs `/proc`.
fn read_acl_unopened(directory: &OwnedFd, name: &[u8]) -> Result<Option<Acl>, Errno> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend(name);
    acl_of(read_whole(|value| rustix::fs::lgetxattr(&path, ACCESS_NAME, value)))
}

fn acl_of(read: Result<Vec<u8>, Errno>) -> Result<Option<Acl>, Errno> {
    match read {
        Ok(value) => Acl::parse(&value).map(Some).ok_or(Errno::INVAL),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What a call gives that fails where it gets too little room. Most files have little of the kind, or nothing, and no
/// memory is taken for it.
fn read_whole(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut usual = [0; USUAL_XATTR_BYTES];
    match read(&mut usual) {
        Err(Errno::RANGE) => {}
        length => return length.map(|length| usual[..length].to_vec()),
    }
    let mut bytes = vec![0; XATTR_MAX_BYTES];
    let length = read(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// All of them or, where they are more than [`KEPT_ATTRIBUTES_MAX_BYTES`], as many as fit.
fn copy_user_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let names = match read_whole(|names| rustix::fs::flistxattr(from, names)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        names => names?,
    };
    let mut copied_bytes = 0;
    let names = names.split(|&byte| byte == 0).filter(|name| name.starts_with(USER_PREFIX));
    for name in names {
        let value = match read_whole(|value| rustix::fs::fgetxattr(from, name, value)) {
            // Removed meanwhile.
            Err(Errno::NODATA) => continue,
            value => value?,
        };
        copied_bytes += name.len() + value.len();
        if copied_bytes > KEPT_ATTRIBUTES_MAX_BYTES {
            return Err(Errno::TOOBIG);
        }
        rustix::fs::fsetxattr(to, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}
