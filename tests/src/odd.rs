//! A FUSE file system for tests that is odd in chosen ways, and that can stop answering. Owns the mount, its
//! daemon and its backing directory; never anything of the test's but the directory that is mounted on.
//!
//! The daemon runs in the test's own process. Each request of the kernel is either served on the backing
//! directory, or refused, delayed or held back as the test asks. Requests that are held back occupy no thread.

mod gate;
mod nodes;
mod passthrough;

pub use gate::Call;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use gate::Gate;
use nodes::Nodes;
use passthrough::Passthrough;
use rustix::mount::{UnmountFlags, unmount};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long the daemon may take to end after its file system was unmounted, before the connection is aborted.
const UNMOUNT_PATIENCE: Duration = Duration::from_secs(2);

/// What is odd about a file system. The default is an ordinary one.
#[derive(Debug, Clone, Default)]
pub struct Quirks {
    /// A flush of a directory fails with EINVAL, as on CIFS, 9p and vboxsf.
    pub fsyncdir_invalid: bool,
    /// Setting times fails with EPERM, as where files belong to one fixed owner.
    pub utimes_denied: bool,
    /// `chmod` and `chown` fail with EPERM.
    pub chmod_denied: bool,
    /// Every file says that it can be executed, as on vfat.
    pub all_executable: bool,
    /// A rename with flags, such as `RENAME_NOREPLACE`, fails with EINVAL, as on NFS.
    pub rename_flags_invalid: bool,
    /// Hard links fail with EPERM, as on vfat.
    pub link_denied: bool,
    /// Files say that they have 0 bytes, though they have content, as in `/proc`.
    pub sizes_zero: bool,
    /// The file system says that it has 0 blocks of which 0 are free.
    pub statfs_zero: bool,
    /// The mtime and ctime of a file are other ones each time that they are asked for.
    pub times_flap: bool,
    /// Preallocation is not known (ENOSYS, which callers see as EOPNOTSUPP).
    pub no_fallocate: bool,
    /// Names are found in upper or lower case, as on vfat. ASCII only.
    pub case_insensitive: bool,
    /// Names are found by a short form as well, as on vfat: `.long-name` by `LONGNA~1`.
    pub short_names: bool,
    /// All files belong to this user and group.
    pub fixed_owner: Option<(u32, u32)>,
    /// What becomes of `flock`.
    pub flock: Flock,
    /// How long the kernel may go on with names and attributes that it knows. Zero has every call reach the
    /// daemon.
    pub cache: Duration,
}

/// What becomes of a `flock` of a regular file. The kernel keeps those of directories to itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flock {
    /// The kernel sees to it: it holds among the users of one mount.
    #[default]
    Local,
    /// It is passed on to the backing file: it holds among all mounts of one backing directory. Waiting for a
    /// lock is refused.
    Forwarded,
    /// It is granted always, also to several at once.
    Granted,
}

/// A mounted odd file system. It is unmounted when dropped, also by a panic and while requests are stalled.
pub struct OddMount {
    path: PathBuf,
    backing: PathBuf,
    gate: Arc<Gate>,
    session: Option<BackgroundSession>,
    interrupter: Option<JoinHandle<()>>,
    /// The number of the connection in fusectl.
    connection: Option<u32>,
    _home: TempDir,
}

impl OddMount {
    /// A file system with an empty backing directory of its own, in a place of its own. Tells why where it
    /// cannot be mounted.
    pub fn new(quirks: Quirks) -> Result<Self, String> {
        Self::mounted(None, None, quirks)
    }

    /// The same over a directory of the caller's.
    pub fn over(at: &Path, quirks: Quirks) -> Result<Self, String> {
        Self::mounted(Some(at), None, quirks)
    }

    /// Another mount with the same backing directory, as a cluster file system has on another machine. It may
    /// not outlive the first.
    pub fn twin(&self, quirks: Quirks) -> Result<Self, String> {
        Self::mounted(None, Some(&self.backing), quirks)
    }

    fn mounted(at: Option<&Path>, backing: Option<&Path>, quirks: Quirks) -> Result<Self, String> {
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let directory = |given: Option<&Path>, name: &str| {
            let path = given.map_or_else(|| home.path().join(name), Path::to_owned);
            match given {
                Some(_) => path.canonicalize(),
                None => std::fs::create_dir(&path).map(|()| path),
            }
            .map_err(|error| format!("{name}: {error}"))
        };
        let (path, backing) = (directory(at, "mounted")?, directory(backing, "backing")?);
        let gate = Arc::new(Gate::new());
        let nodes =
            Nodes::new(&backing, quirks).map_err(|error| format!("{}: {error}", backing.display()))?;
        let daemon = Passthrough::new(Arc::clone(&gate), nodes);
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("odd".to_owned()), MountOption::DefaultPermissions];
        config.acl = SessionACL::All;
        let session = fuser::spawn_mount(daemon, &path, &config).map_err(|error| format!("FUSE: {error}"))?;
        let watched = Arc::clone(&gate);
        let interrupter = std::thread::spawn(move || watched.interrupt_the_dying());
        let mut mount = Self {
            path,
            backing,
            gate,
            session: Some(session),
            interrupter: Some(interrupter),
            connection: None,
            _home: home,
        };
        let device = std::fs::metadata(&mount.path).map_err(|error| format!("FUSE: {error}"))?.dev();
        mount.connection = Some(rustix::fs::minor(device));
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it shows. What is done there goes past the daemon.
    pub fn backing(&self) -> &Path {
        &self.backing
    }

    /// Has requests of this kind hang from now on, until [`OddMount::release`]. A process that is killed while
    /// it waits for one is let go.
    pub fn stall(&self, call: Call) {
        self.gate.stall(call);
    }

    /// Has each request of this kind take so long from now on. Zero ends that.
    pub fn delay(&self, call: Call, time: Duration) {
        self.gate.delay(call, time);
    }

    /// Has requests of this kind fail from now on; `None` ends that.
    pub fn fail(&self, call: Call, error: Option<rustix::io::Errno>) {
        self.gate.fail(call, error);
    }

    /// Ends every stall, and serves what was stalled.
    pub fn release(&self) {
        self.gate.release();
    }

    /// How many requests are stalled now.
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// Waits until at least so many requests are stalled.
    #[track_caller]
    pub fn wait_until_waiting(&self, count: usize) {
        self.gate.wait_until_waiting(count);
    }

    /// How many requests of this kind have come so far.
    pub fn calls(&self, call: Call) -> u64 {
        self.gate.count(call)
    }
}

impl Drop for OddMount {
    fn drop(&mut self) {
        self.gate.close();
        if let Err(errno) = unmount(&self.path, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {errno}", self.path.display());
        }
        let Some(session) = self.session.take() else { return };
        let is_finished = || session.guard.is_finished().then_some(());
        if crate::wait::wait_at_most(UNMOUNT_PATIENCE, is_finished).is_none() {
            // A process still has a file open there.
            if let Some(why) = self.connection.and_then(|number| abort(number).err()) {
                eprintln!("cannot abort the file system: {why}");
            }
            if crate::wait::wait_at_most(UNMOUNT_PATIENCE, is_finished).is_none() {
                eprintln!("the daemon of {} goes on until its users end", self.path.display());
                return;
            }
        }
        if let Err(error) = session.join() {
            eprintln!("the daemon of {}: {error}", self.path.display());
        }
        if let Some(interrupter) = self.interrupter.take() {
            let _ = interrupter.join();
        }
    }
}

/// Has the kernel end a connection to a daemon, whatever waits for it.
fn abort(connection: u32) -> Result<(), String> {
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("fusectl", place.path(), "fusectl", flags, None)
        .map_err(|errno| format!("fusectl: {errno}"))?;
    let aborted = std::fs::write(place.path().join(connection.to_string()).join("abort"), "1");
    let unmounted = unmount(place.path(), UnmountFlags::DETACH);
    aborted.map_err(|error| error.to_string())?;
    unmounted.map_err(|errno| errno.to_string())
}
