//! The daemon of an odd file system: turns each request of FUSE into one operation on the backing directory,
//! once the gate lets it pass. Decides nothing itself.

use super::gate::{Call, Gate};
use super::nodes::{Changes, Entry, Maker, Nodes};
use super::{Flock, Quirks};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::StatVfs;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const GENERATION: Generation = Generation(0);

pub(super) struct Passthrough {
    gate: Arc<Gate>,
    nodes: Arc<Nodes>,
}

/// The error of a system call, as FUSE has it.
pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

/// A reply that is waited for, and what it can say.
trait Answer: Send + 'static {
    type Value;

    fn answer(self, result: Result<Self::Value, Errno>, quirks: &Quirks);
}

/// The value of an extended attribute, and how much of it the caller has room for.
struct Xattr {
    value: Vec<u8>,
    room: u32,
}

impl Passthrough {
    pub(super) fn new(gate: Arc<Gate>, nodes: Nodes) -> Self {
        Self { gate, nodes: Arc::new(nodes) }
    }

    fn serve<A: Answer>(
        &self,
        call: Call,
        request: &Request,
        reply: A,
        work: impl FnOnce(&Nodes) -> rustix::io::Result<A::Value> + Send + 'static,
    ) {
        let nodes = Arc::clone(&self.nodes);
        let finish = move |verdict: Result<(), Errno>| {
            let result = verdict.and_then(|()| work(&nodes).map_err(errno));
            reply.answer(result, &nodes.quirks);
        };
        self.gate.pass(call, request.pid(), Box::new(finish));
    }
}

impl Filesystem for Passthrough {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if self.nodes.quirks.flock != Flock::Local {
            config
                .add_capabilities(InitFlags::FUSE_FLOCK_LOCKS)
                .map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.serve(Call::Lookup, request, reply, move |nodes| nodes.lookup(parent.0, &name));
    }

    fn forget(&self, _: &Request, inode: INodeNo, lookups: u64) {
        self.nodes.forget(inode.0, lookups);
    }

    fn getattr(&self, request: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.serve(Call::Getattr, request, reply, move |nodes| nodes.attributes(inode.0));
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, user, group, size, atime, mtime };
        let handle = handle.map(|handle| handle.0);
        self.serve(Call::Setattr, request, reply, move |nodes| nodes.change(inode.0, handle, &changes));
    }

    fn readlink(&self, request: &Request, inode: INodeNo, reply: ReplyData) {
        self.serve(Call::Readlink, request, reply, move |nodes| nodes.link_target(inode.0));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let (name, maker) = (name.to_owned(), maker(request, mode));
        self.serve(Call::Mknod, request, reply, move |nodes| nodes.make_node(parent.0, &name, maker));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let (name, maker) = (name.to_owned(), maker(request, mode));
        self.serve(Call::Mkdir, request, reply, move |nodes| nodes.make_directory(parent.0, &name, maker));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.serve(Call::Unlink, request, reply, move |nodes| nodes.remove(parent.0, &name, false));
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.serve(Call::Rmdir, request, reply, move |nodes| nodes.remove(parent.0, &name, true));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (name, target) = (name.to_owned(), target.to_owned());
        self.serve(Call::Symlink, request, reply, move |nodes| nodes.make_link(parent.0, &name, &target));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new_name) = (name.to_owned(), new_name.to_owned());
        self.serve(Call::Rename, request, reply, move |nodes| {
            nodes.rename((parent.0, &name), (new_parent.0, &new_name), flags.bits())
        });
    }

    fn link(&self, request: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.serve(Call::Link, request, reply, move |nodes| nodes.link(inode.0, parent.0, &name));
    }

    fn open(&self, request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.serve(Call::Open, request, reply, move |nodes| nodes.open(inode.0, flags.0));
    }

    fn read(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        self.serve(Call::Read, request, reply, move |nodes| nodes.read(handle.0, offset, size));
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let bytes = bytes.to_vec();
        self.serve(Call::Write, request, reply, move |nodes| nodes.write(handle.0, offset, &bytes));
    }

    fn flush(&self, request: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.serve(Call::Flush, request, reply, |_| Ok(()));
    }

    fn release(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.serve(Call::Release, request, reply, move |nodes| {
            nodes.close(handle.0);
            Ok(())
        });
    }

    fn fsync(&self, request: &Request, _: INodeNo, handle: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.serve(Call::Fsync, request, reply, move |nodes| nodes.flush(handle.0, datasync));
    }

    fn opendir(&self, request: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.serve(Call::Opendir, request, reply, move |nodes| nodes.open_directory(inode.0));
    }

    fn readdir(&self, request: &Request, _: INodeNo, handle: FileHandle, offset: u64, reply: ReplyDirectory) {
        let nodes = Arc::clone(&self.nodes);
        let finish = move |verdict: Result<(), Errno>| {
            let mut reply = reply;
            let add = |entry: &Entry| !reply.add(entry.inode, entry.next, entry.kind, &entry.name);
            match verdict.and_then(|()| nodes.entries(handle.0, offset, add).map_err(errno)) {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
        };
        self.gate.pass(Call::Readdir, request.pid(), Box::new(finish));
    }

    fn releasedir(&self, request: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.serve(Call::Releasedir, request, reply, move |nodes| {
            nodes.close(handle.0);
            Ok(())
        });
    }

    fn fsyncdir(&self, request: &Request, _: INodeNo, handle: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.serve(Call::Fsyncdir, request, reply, move |nodes| nodes.flush(handle.0, datasync));
    }

    fn statfs(&self, request: &Request, inode: INodeNo, reply: ReplyStatfs) {
        self.serve(Call::Statfs, request, reply, move |nodes| nodes.space(inode.0));
    }

    fn setxattr(
        &self,
        request: &Request,
        inode: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let (name, value) = (name.to_owned(), value.to_vec());
        let set = move |nodes: &Nodes| nodes.set_xattr(inode.0, &name, &value, flags);
        self.serve(Call::Setxattr, request, reply, set);
    }

    fn getxattr(&self, request: &Request, inode: INodeNo, name: &OsStr, room: u32, reply: ReplyXattr) {
        let name = name.to_owned();
        self.serve(Call::Getxattr, request, reply, move |nodes| {
            Ok(Xattr { value: nodes.xattr(inode.0, &name)?, room })
        });
    }

    fn listxattr(&self, request: &Request, inode: INodeNo, room: u32, reply: ReplyXattr) {
        self.serve(Call::Listxattr, request, reply, move |nodes| {
            Ok(Xattr { value: nodes.xattr_names(inode.0)?, room })
        });
    }

    fn removexattr(&self, request: &Request, inode: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.serve(Call::Removexattr, request, reply, move |nodes| nodes.remove_xattr(inode.0, &name));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (name, maker) = (name.to_owned(), maker(request, mode));
        self.serve(Call::Create, request, reply, move |nodes| nodes.create(parent.0, &name, maker, flags));
    }

    fn setlk(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: LockOwner,
        _: u64,
        _: u64,
        kind: i32,
        _: u32,
        may_wait: bool,
        reply: ReplyEmpty,
    ) {
        self.serve(Call::Setlk, request, reply, move |nodes| nodes.lock_file(handle.0, kind, may_wait));
    }

    fn fallocate(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let preallocate = move |nodes: &Nodes| nodes.preallocate(handle.0, mode, offset, length);
        self.serve(Call::Fallocate, request, reply, preallocate);
    }
}

fn maker(request: &Request, mode: u32) -> Maker {
    Maker { user: request.uid(), group: request.gid(), mode }
}

impl Answer for ReplyEmpty {
    type Value = ();

    fn answer(self, result: Result<(), Errno>, _: &Quirks) {
        match result {
            Ok(()) => self.ok(),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyEntry {
    type Value = FileAttr;

    fn answer(self, result: Result<FileAttr, Errno>, quirks: &Quirks) {
        match result {
            Ok(attributes) => self.entry(&quirks.cache, &attributes, GENERATION),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyAttr {
    type Value = FileAttr;

    fn answer(self, result: Result<FileAttr, Errno>, quirks: &Quirks) {
        // What flaps is to flap, whatever the kernel may keep.
        let cache = if quirks.times_flap { Duration::ZERO } else { quirks.cache };
        match result {
            Ok(attributes) => self.attr(&cache, &attributes),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyData {
    type Value = Vec<u8>;

    fn answer(self, result: Result<Vec<u8>, Errno>, _: &Quirks) {
        match result {
            Ok(bytes) => self.data(&bytes),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyOpen {
    type Value = u64;

    fn answer(self, result: Result<u64, Errno>, quirks: &Quirks) {
        match result {
            Ok(handle) => self.opened(FileHandle(handle), open_flags(quirks)),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyCreate {
    type Value = (FileAttr, u64);

    fn answer(self, result: Result<(FileAttr, u64), Errno>, quirks: &Quirks) {
        match result {
            Ok((attributes, handle)) => {
                let (handle, flags) = (FileHandle(handle), open_flags(quirks));
                self.created(&quirks.cache, &attributes, GENERATION, handle, flags);
            }
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyWrite {
    type Value = u32;

    fn answer(self, result: Result<u32, Errno>, _: &Quirks) {
        match result {
            Ok(written) => self.written(written),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyStatfs {
    type Value = StatVfs;

    fn answer(self, result: Result<StatVfs, Errno>, _: &Quirks) {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        match result {
            Ok(space) => self.statfs(
                space.f_blocks,
                space.f_bfree,
                space.f_bavail,
                space.f_files,
                space.f_ffree,
                small(space.f_bsize),
                small(space.f_namemax),
                small(space.f_frsize),
            ),
            Err(error) => self.error(error),
        }
    }
}

impl Answer for ReplyXattr {
    type Value = Xattr;

    fn answer(self, result: Result<Xattr, Errno>, _: &Quirks) {
        let length = |value: &[u8]| u32::try_from(value.len()).unwrap_or(u32::MAX);
        match result {
            Ok(Xattr { value, room: 0 }) => self.size(length(&value)),
            Ok(Xattr { value, room }) if length(&value) > room => self.error(Errno::ERANGE),
            Ok(Xattr { value, .. }) => self.data(&value),
            Err(error) => self.error(error),
        }
    }
}

/// A file that says that it is empty is read past the page cache, which goes by the size.
fn open_flags(quirks: &Quirks) -> FopenFlags {
    if quirks.sizes_zero { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::empty() }
}
