//! The one place where an error of the operating system becomes one of the protocol.

use ferry_common::error::ErrorCode;
use rustix::io::Errno;

/// What a client is told when a call on the folder failed with `errno`.
pub(crate) fn code_of(errno: Errno) -> ErrorCode {
    match errno {
        Errno::NOENT => ErrorCode::NotFound,
        Errno::ISDIR => ErrorCode::IsDirectory,
        Errno::NOTDIR => ErrorCode::NotDirectory,
        // openat2: a link or `..` would have left the root; too many links, or a magic one.
        Errno::XDEV | Errno::LOOP => ErrorCode::BadLink,
        Errno::ACCESS | Errno::PERM => ErrorCode::Denied,
        Errno::ROFS => ErrorCode::ReadOnly,
        Errno::EXIST => ErrorCode::Exists,
        Errno::NOTEMPTY => ErrorCode::NotEmpty,
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => ErrorCode::NoSpace,
        Errno::NAMETOOLONG | Errno::INVAL => ErrorCode::BadPath,
        // Opening a socket, or a device that is not there.
        Errno::NXIO | Errno::NODEV => ErrorCode::NotRegular,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => ErrorCode::Busy,
        _ => ErrorCode::Io,
    }
}

/// [`code_of`] for the errors of the standard library.
pub(crate) fn code_of_io(error: &std::io::Error) -> ErrorCode {
    Errno::from_io_error(error).map_or(ErrorCode::Io, code_of)
}
