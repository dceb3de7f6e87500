//! The one place where an error of the operating system becomes one of the protocol: by the call that failed,
//! since one errno means different things of different calls. The errno never gets lost: it goes to the log.

use ferry_common::error::ErrorCode;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::io;
use std::os::unix::ffi::OsStrExt;

/// What was asked of a file system. A client's name is involved in all of these but [`Call::Stage`], so only
/// that one never says anything about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Finding, looking at or opening what has a name.
    Open,
    /// Reading a file or the entries of a directory.
    Read,
    /// Writing a staged file, or having space set aside for it.
    Write,
    /// Bringing content to the disk.
    Flush,
    /// Bringing a change of names or times, which is done already, to the disk.
    FlushChange,
    Mkdir,
    Rm,
    Mv,
    /// Setting the time of what has a name.
    Touch,
    /// Setting the permissions of what has a name.
    Chmod,
    /// Giving a staged file its name.
    Publish,
    /// Whatever concerns Ferry's own files alone.
    Stage,
}

impl Call {
    /// For `map_err`: tells the log of a failure, and gives the code for the peer.
    pub(crate) fn of<Subject: Display>(self, subject: Subject) -> impl Fn(Errno) -> ErrorCode {
        move |errno| self.refused(&subject, errno)
    }

    /// [`Call::of`] where only an open file is at hand, whose name is found out for the log.
    pub(crate) fn of_file<File: AsFd>(self, file: &File) -> impl Fn(Errno) -> ErrorCode + use<'_, File> {
        move |errno| self.refused(&NameOf(file.as_fd()), errno)
    }

    /// [`Call::of_file`] for the errors of the standard library.
    pub(crate) fn of_file_io<File: AsFd>(
        self,
        file: &File,
    ) -> impl Fn(io::Error) -> ErrorCode + use<'_, File> {
        move |error| self.of_file(file)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    fn refused(self, subject: &dyn Display, errno: Errno) -> ErrorCode {
        let code = self.code_of(errno);
        if matches!(code, ErrorCode::Io | ErrorCode::CannotStage) {
            log::warn!("Cannot {self} {subject}: {errno}");
        } else {
            log::debug!("Cannot {self} {subject}: {errno}; answered {}", code.word());
        }
        code
    }

    /// What a peer is told when this call failed with `errno`.
    fn code_of(self, errno: Errno) -> ErrorCode {
        let own = match self {
            Self::Open => of_open(errno),
            Self::Mkdir => match errno {
                // mkdir(2): the file system cannot express this name.
                Errno::INVAL => Some(ErrorCode::BadPath),
                Errno::EXIST => Some(ErrorCode::Exists),
                // The directory around it was open already, and is removed.
                Errno::NOENT => Some(ErrorCode::NoParent),
                _ => of_naming(errno),
            },
            Self::Rm => match errno {
                Errno::NOTEMPTY | Errno::EXIST => Some(ErrorCode::NotEmpty),
                _ => of_naming(errno),
            },
            Self::Mv => match errno {
                Errno::XDEV => Some(ErrorCode::CrossDevice),
                _ => of_renaming(errno),
            },
            Self::Touch | Self::Chmod => of_naming(errno),
            Self::Publish => match errno {
                // The file was staged on the file system of its directory, so another directory has come there.
                Errno::XDEV => Some(ErrorCode::Changed),
                Errno::NOENT => Some(ErrorCode::NoParent),
                _ => of_renaming(errno),
            },
            Self::Write | Self::Flush => match errno {
                Errno::FBIG => Some(ErrorCode::NoSpace),
                _ => None,
            },
            // Whatever it is, the change is made, so that a code which says that it was refused is wrong.
            Self::FlushChange => return ErrorCode::Io,
            Self::Read => None,
            Self::Stage => match errno {
                Errno::ACCESS
                | Errno::PERM
                | Errno::NOENT
                | Errno::NOTDIR
                | Errno::ISDIR
                | Errno::EXIST
                | Errno::LOOP
                | Errno::INVAL
                | Errno::OPNOTSUPP => Some(ErrorCode::CannotStage),
                _ => None,
            },
        };
        own.unwrap_or_else(|| of_any_call(errno))
    }
}

/// What the call has to do with a name that a client gave: [`fmt::Display`] completes "cannot".
impl Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::FlushChange => "flush what was changed of",
            Self::Mkdir => "make the directory",
            Self::Rm => "remove",
            Self::Mv => "rename",
            Self::Touch => "set the time of",
            Self::Chmod => "set the permissions of",
            Self::Publish => "give its name to",
            Self::Stage => "stage",
        })
    }
}

/// The name by which the kernel knows an open file, for the log.
struct NameOf<'a>(BorrowedFd<'a>);

impl Display for NameOf<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd())) {
            Ok(path) => formatter.write_str(&ferry_common::wire::words::display(path.as_os_str().as_bytes())),
            Err(_) => formatter.write_str("an open file"),
        }
    }
}

fn of_open(errno: Errno) -> Option<ErrorCode> {
    match errno {
        // openat2: a link or `..` would have left the root; too many links, or a magic one.
        Errno::XDEV | Errno::LOOP => Some(ErrorCode::BadLink),
        // A socket, or a device that is not there.
        Errno::NXIO | Errno::NODEV => Some(ErrorCode::NotRegular),
        // The kernel gave up because of renames elsewhere in the tree.
        Errno::AGAIN => Some(ErrorCode::Busy),
        _ => of_naming(errno),
    }
}

/// Calls that take a name.
fn of_naming(errno: Errno) -> Option<ErrorCode> {
    match errno {
        Errno::NOENT => Some(ErrorCode::NotFound),
        Errno::ISDIR => Some(ErrorCode::IsDirectory),
        Errno::NOTDIR => Some(ErrorCode::NotDirectory),
        // The latter: not in the encoding that the file system insists on.
        Errno::NAMETOOLONG | Errno::ILSEQ => Some(ErrorCode::BadPath),
        _ => None,
    }
}

fn of_renaming(errno: Errno) -> Option<ErrorCode> {
    match errno {
        // rename(2): a directory into itself, or a name that the file system cannot express.
        Errno::INVAL => Some(ErrorCode::BadPath),
        // A directory that is not empty is there already.
        Errno::EXIST | Errno::NOTEMPTY => Some(ErrorCode::Exists),
        _ => of_naming(errno),
    }
}

fn of_any_call(errno: Errno) -> ErrorCode {
    match errno {
        Errno::ACCESS | Errno::PERM => ErrorCode::Denied,
        Errno::ROFS => ErrorCode::ReadOnly,
        Errno::NOSPC | Errno::DQUOT => ErrorCode::NoSpace,
        // A mount point, a swap file, a program that runs, what another host has open.
        Errno::BUSY | Errno::TXTBSY => ErrorCode::InUse,
        Errno::NOSYS | Errno::OPNOTSUPP => ErrorCode::Unsupported,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => ErrorCode::Busy,
        _ => ErrorCode::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: &[Call] = &[
        Call::Open,
        Call::Read,
        Call::Write,
        Call::Flush,
        Call::FlushChange,
        Call::Mkdir,
        Call::Rm,
        Call::Mv,
        Call::Touch,
        Call::Chmod,
        Call::Publish,
        Call::Stage,
    ];

    #[test]
    fn an_errno_is_read_by_its_call() {
        for (call, errno, code) in [
            (Call::Mv, Errno::INVAL, ErrorCode::BadPath),
            (Call::Read, Errno::INVAL, ErrorCode::Io),
            (Call::Flush, Errno::INVAL, ErrorCode::Io),
            (Call::Rm, Errno::INVAL, ErrorCode::Io),
            (Call::Open, Errno::XDEV, ErrorCode::BadLink),
            (Call::Mv, Errno::XDEV, ErrorCode::CrossDevice),
            (Call::Publish, Errno::XDEV, ErrorCode::Changed),
            (Call::Mkdir, Errno::EXIST, ErrorCode::Exists),
            (Call::Rm, Errno::EXIST, ErrorCode::NotEmpty),
            (Call::Mv, Errno::NOTEMPTY, ErrorCode::Exists),
            (Call::Rm, Errno::BUSY, ErrorCode::InUse),
            (Call::Publish, Errno::BUSY, ErrorCode::InUse),
            (Call::Write, Errno::FBIG, ErrorCode::NoSpace),
            (Call::Mkdir, Errno::DQUOT, ErrorCode::NoSpace),
            (Call::Touch, Errno::PERM, ErrorCode::Denied),
            (Call::FlushChange, Errno::NOSPC, ErrorCode::Io),
        ] {
            assert_eq!(call.code_of(errno), code, "{call:?} {errno}");
        }
    }

    #[test]
    fn what_fails_with_ferrys_own_files_says_nothing_of_the_clients_name() {
        let about_names = [
            ErrorCode::NotFound,
            ErrorCode::NoParent,
            ErrorCode::Exists,
            ErrorCode::IsDirectory,
            ErrorCode::NotDirectory,
            ErrorCode::NotEmpty,
            ErrorCode::NotRegular,
            ErrorCode::BadPath,
            ErrorCode::BadLink,
            ErrorCode::CrossDevice,
        ];
        for raw in 1..=133 {
            let code = Call::Stage.code_of(Errno::from_raw_os_error(raw));
            assert!(!about_names.contains(&code), "errno {raw}: {code:?}");
        }
    }

    /// `io` asks the operator to look at the log, so nothing that a client can bring about itself may be it.
    #[test]
    fn a_failed_device_is_one_to_every_call() {
        for call in CALLS {
            for errno in [Errno::IO, Errno::STALE, Errno::TIMEDOUT, Errno::NOTCONN, Errno::UCLEAN] {
                assert_eq!(call.code_of(errno), ErrorCode::Io, "{call:?} {errno}");
            }
        }
    }
}
