//! Small file systems of a test's own, which go away with it. Making one needs the right to mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A mounted file system. It is unmounted when dropped, also by a panic; whoever serves from it is to be
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
        let mount = Self::ext4_from(&home.path().join("image"), &path, size_bytes)?;
        Ok(Self::moved(mount, home))
    }

    /// An ext4 in this new file, which is the caller's: a disk that is as slow as the file system of the file.
    pub fn ext4_in(image: &Path, size_bytes: u64) -> Result<Self, String> {
        let (home, path) = place();
        let mount = Self::ext4_from(image, &path, size_bytes)?;
        Ok(Self::moved(mount, home))
    }

    fn ext4_from(image: &Path, path: &Path, size_bytes: u64) -> Result<Self, String> {
        let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(size_bytes).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-F"]).arg(image))?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(path))?;
        Ok(Self { path: path.to_owned(), _home: None })
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
