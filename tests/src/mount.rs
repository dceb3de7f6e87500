//! Small file systems of a test's own, which go away with it. Making one needs the right to mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A mounted file system. It is unmounted when dropped, also by a panic; a server of it is to be
/// dropped before, which the order of declarations takes care of.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    /// What surrounds the place where it is mounted, and the image; `None` where the place is the caller's.
    _home: Option<TempDir>,
}

impl Mount {
    /// A file system in memory, in a place of its own. Tells why where it cannot be mounted.
    pub fn tmpfs(size_bytes: u64) -> Result<Self, String> {
        let (home, path) = place();
        let mount = Self::tmpfs_at(&path, size_bytes)?;
        Ok(Self::moved(mount, home))
    }

    /// A file system in memory over a directory of the caller's.
    pub fn tmpfs_at(path: &Path, size_bytes: u64) -> Result<Self, String> {
        let options = format!("size={size_bytes}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path))?;
        Ok(Self { path: path.to_owned(), _home: None })
    }

    /// A file system in memory that does not tell how large it is.
    pub fn ramfs() -> Result<Self, String> {
        let (home, path) = place();
        run(Command::new("mount").args(["-t", "ramfs", "ramfs"]).arg(&path))?;
        Ok(Self { path, _home: Some(home) })
    }

    /// An ext4 in a file.
    pub fn ext4(size_bytes: u64) -> Result<Self, String> {
        let (home, path) = place();
        let mount = Self::ext4_at(&home.path().join("image"), &path, size_bytes)?;
        Ok(Self::moved(mount, home))
    }

    /// An ext4 in this new file, which is the caller's: a disk that is as slow as the file system of the file.
    pub fn ext4_in(image: &Path, size_bytes: u64) -> Result<Self, String> {
        let (home, path) = place();
        let mount = Self::ext4_at(image, &path, size_bytes)?;
        Ok(Self::moved(mount, home))
    }

    /// An ext4 in a new file, over a directory of the caller's.
    pub fn ext4_at(image: &Path, path: &Path, size_bytes: u64) -> Result<Self, String> {
        let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(size_bytes).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-F"]).arg(image))?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(path))?;
        Ok(Self { path: path.to_owned(), _home: None })
    }

    /// An XFS in a file, where files share what they have in common: of the package `xfsprogs`, and no smaller than 300 MiB.
    pub fn xfs(size_bytes: u64) -> Result<Self, String> {
        let (home, path) = place();
        let image = home.path().join("image");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(size_bytes).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.xfs").args(["-q", "-f"]).arg(&image))?;
        run(Command::new("mount").args(["-t", "xfs", "-o", "loop"]).arg(&image).arg(&path))?;
        Ok(Self { path, _home: Some(home) })
    }

    /// What is written goes to `upper`, and what is not there is read from `lower`. `work` is an empty directory beside
    /// `upper`.
    pub fn overlay(lower: &Path, upper: &Path, work: &Path) -> Result<Self, String> {
        let (home, path) = place();
        let part = |name: &str, place: &Path| format!("{name}={}", place.display());
        let options = [part("lowerdir", lower), part("upperdir", upper), part("workdir", work)].join(",");
        run(Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(&path))?;
        Ok(Self { path, _home: Some(home) })
    }

    /// Shows another directory, all of it as the property of the user 1234: FUSE of the package `bindfs`.
    pub fn with_fixed_owner(shown: &Path) -> Result<Self, String> {
        let (home, path) = place();
        let options = ["--force-user=1234", "--force-group=1234", "--chown-deny", "--chmod-deny"];
        run(Command::new("bindfs").args(options).arg(shown).arg(&path))?;
        Ok(Self { path, _home: Some(home) })
    }

    /// From now on nothing can be changed.
    pub fn make_read_only(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.path))
    }

    /// Has everything that would change the file system wait until what this gives is dropped.
    pub fn freeze(&self) -> Result<Frozen, String> {
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.path))?;
        Ok(Frozen { path: self.path.clone() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that can still be written.
    pub fn free_bytes(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.path).expect("a mounted file system");
        space.f_bavail * space.f_frsize
    }

    fn moved(mut self, home: TempDir) -> Self {
        self._home = Some(home);
        self
    }
}

/// A frozen file system; see [`Mount::freeze`].
#[derive(Debug)]
pub struct Frozen {
    path: PathBuf,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(why) = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.path)) {
            eprintln!("{why}");
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = run(Command::new("umount").arg(&self.path));
        if let Err(why) = unmounted {
            eprintln!("{why}; it is taken out of sight");
            if let Err(why) = run(Command::new("umount").arg("--lazy").arg(&self.path)) {
                eprintln!("{why}");
            }
        }
    }
}

/// A directory to mount something on, and what surrounds it.
fn place() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = home.path().join("mounted");
    std::fs::create_dir(&path).expect("a directory to mount on");
    (home, path)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
