//! Trees of files with everything that makes trees hard: awkward names, empty folders, odd times and sizes, programs. And
//! what two of them differ in.

use crate::content::Content;
use crate::random::Random;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Names that have misled programs.
pub const AWKWARD_NAMES: &[&[u8]] = &[
    b"with space",
    b" leading",
    b"trailing ",
    b"-rf",
    b"--",
    b"#hash",
    b"~tilde",
    b"a\"quote",
    b"an'apostrophe",
    b"back\\slash",
    b"new\nline",
    b"carriage\rreturn",
    b"tab\there",
    b"esc\x1b[31mape",
    b"not\xffutf8",
    b"*",
    b"?",
    b"[a-z]",
    b"{a,b}",
    b"$HOME",
    b"`id`",
    b"a;b&c|d",
    b"...",
    b".hidden",
    "n\u{308}a\u{ef}ve caf\u{e9}".as_bytes(),
    "\u{65e5}\u{672c}\u{8a9e}".as_bytes(),
    "\u{1f468}\u{200d}\u{1f469}".as_bytes(),
    "right\u{202e}left".as_bytes(),
    b"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
      nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
      nnnnnnnnnnn",
];

/// What is known of one file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Folder { mtime: Option<(i64, i64)> },
    File { content: Vec<u8>, mtime: (i64, i64), is_executable: bool },
}

/// Makes a tree of so many files beneath `top`, the same for the same seed.
pub fn plant(top: &Path, files: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut folders = vec![top.to_owned()];
    fs::create_dir_all(top).expect("the tree can be made");
    for name in AWKWARD_NAMES {
        let folder = top.join(OsStr::from_bytes(name));
        fs::create_dir(&folder).expect("the folder can be made");
        folders.push(folder);
    }
    let empty = ["empty", "empty/within"].map(|name| top.join(name));
    fs::create_dir_all(&empty[1]).expect("the folder can be made");
    for number in 0..files {
        if number % 97 == 96 {
            let parent = folders[random.below(folders.len() as u64) as usize].clone();
            let folder = parent.join(format!("d{number}"));
            if folder.as_os_str().len() < 2000 {
                fs::create_dir(&folder).expect("the folder can be made");
                folders.push(folder);
            }
        }
        let folder = &folders[random.below(folders.len() as u64) as usize];
        let name = match AWKWARD_NAMES.get(number) {
            Some(name) => [*name, b"f"].concat(),
            None => format!("file {number}").into_bytes(),
        };
        let name = &name[name.len().saturating_sub(255)..];
        plant_file(&folder.join(OsStr::from_bytes(name)), size(number, &mut random), &mut random);
    }
    for (number, folder) in folders.iter().chain(&empty).enumerate() {
        // Some long before 1970.
        let seconds = if number % 3 == 1 { -2_000_000_000 } else { 1_500_000_000 };
        set_mtime(folder, seconds + number as i64, 987_654_321);
    }
}

/// What is beneath `top`, by path.
pub fn harvest(top: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let path = folder.join(entry.file_name());
            let metadata = entry.metadata().expect("the entry can be looked at");
            let mtime = (metadata.mtime(), metadata.mtime_nsec());
            let node = if metadata.is_dir() {
                folders.push(path.clone());
                Node::Folder { mtime: Some(mtime) }
            } else {
                let is_executable = metadata.permissions().mode() & 0o100 != 0;
                Node::File {
                    content: fs::read(entry.path()).expect("the file can be read"),
                    mtime,
                    is_executable,
                }
            };
            nodes.insert(path, node);
        }
    }
    nodes
}

/// The same without the times of folders.
pub fn without_folder_times(mut nodes: BTreeMap<PathBuf, Node>) -> BTreeMap<PathBuf, Node> {
    for node in nodes.values_mut() {
        if let Node::Folder { mtime } = node {
            *mtime = None;
        }
    }
    nodes
}

/// Tells the first differences in place of two whole trees.
pub fn assert_same(expected: &BTreeMap<PathBuf, Node>, found: &BTreeMap<PathBuf, Node>) {
    let differing = |(path, node): &(&PathBuf, &Node)| found.get(*path) != Some(*node);
    let different: Vec<_> = expected.iter().filter(differing).map(|(path, _)| path).take(5).collect();
    let surplus: Vec<_> = found.keys().filter(|path| !expected.contains_key(*path)).take(5).collect();
    assert!(
        different.is_empty() && surplus.is_empty(),
        "missing or different: {different:?}; surplus: {surplus:?}"
    );
}

fn plant_file(path: &Path, size_bytes: u64, random: &mut Random) {
    fs::write(path, Content::new(random.below(u64::MAX), size_bytes).bytes())
        .expect("the file can be written");
    if random.below(5) == 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .expect("the file can be made executable");
    }
    let (seconds, nanoseconds) = match random.below(4) {
        0 => (-(random.below(1_000_000_000) as i64), random.below(1_000_000_000) as i64),
        1 => (random.below(4_000_000_000) as i64, 0),
        _ => (random.below(4_000_000_000) as i64, random.below(1_000_000_000) as i64),
    };
    set_mtime(path, seconds, nanoseconds);
}

/// Mostly small, some empty, a few over what goes without a wait.
fn size(number: usize, random: &mut Random) -> u64 {
    match number % 200 {
        0 => 0,
        1 => 1,
        2 => 1024 * 1024 + random.below(1_000_000),
        3..20 => random.below(100_000),
        _ => random.below(8_000),
    }
}

pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access, last_modification };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("the time can be set");
}
