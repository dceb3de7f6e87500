//! Which system calls there are, and what can go wrong with them.

use ferry_tests::tracing::injector::{Call, On, Point};
use nix::errno::Errno;
use std::collections::BTreeMap;

pub(crate) const ERRORS: &[Errno] = &[
    Errno::EIO,
    Errno::ENOSPC,
    Errno::EDQUOT,
    Errno::EINTR,
    Errno::EAGAIN,
    Errno::EMFILE,
    Errno::ENOMEM,
    Errno::EACCES,
];

const FILE_CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "read",
    "pread64",
    "preadv2",
    "cachestat",
    "write",
    "pwrite64",
    "pwritev",
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "ftruncate",
    "fallocate",
    "unlink",
    "unlinkat",
    "mkdirat",
    "statx",
    "fstat",
    "newfstatat",
    "faccessat",
    "faccessat2",
    "fchmodat",
    "fchmod",
    "fchown",
    "fgetxattr",
    "flistxattr",
    "fsetxattr",
    "fremovexattr",
    "utimensat",
    "getdents64",
    "lseek",
    "ioctl",
    "copy_file_range",
    "fstatfs",
    "fcntl",
    "flock",
];
const SOCKET_CALLS: &[&str] =
    &["accept4", "read", "recvfrom", "write", "writev", "sendto", "sendfile", "epoll_ctl", "shutdown"];

/// Calls by which threads wait for each other or manage memory: how often they are made is up to chance.
pub(crate) const CHANCE_CALLS: &[&str] =
    &["futex", "sched_yield", "madvise", "mmap", "munmap", "mprotect", "mremap", "brk", "restart_syscall"];
/// Not the first call of each kind only, but all.
fn is_full() -> bool {
    std::env::var_os("FERRY_SWEEP").is_some_and(|value| value == "full")
}

/// A call on a file or a socket, which can be made to fail.
fn can_fail(call: Call) -> bool {
    let is_file_call = FILE_CALLS.contains(&call.name()) && !matches!(call.on(), On::Socket | On::Other);
    is_file_call || is_socket_call(call)
}

pub(crate) fn is_socket_call(call: Call) -> bool {
    SOCKET_CALLS.contains(&call.name()) && !matches!(call.on(), On::File | On::Other)
}

/// The points of a run at which calls are made to fail.
pub(crate) fn failing_points(counts: &BTreeMap<Call, usize>) -> Vec<Point> {
    let wanted = counts.iter().filter(|(call, _)| can_fail(**call));
    wanted
        .flat_map(|(&call, &count)| {
            (1..=if is_full() { count } else { 1 }).map(move |occurrence| Point { call, occurrence })
        })
        .collect()
}
