//! Names for what is there for a moment only: hidden, and free.

use crate::limits::TREE_TEMPORARY_NAMES_MAX;
use crate::tree::directory::Directory;
use ferry_common::limits::NAME_MAX_BYTES;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use std::sync::Arc;

/// The hidden name of a file, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) directory: Arc<Directory>,
    pub(super) name: Vec<u8>,
    /// False when the file has another name, or what has this one is another program's.
    pub(super) is_ours: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_ours {
            // What cannot be removed now could not be by anybody else.
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Has something made under a free name that tells what it is for: `.NAME.ferry-XXXXXXXX`. `make` fails with `EEXIST`
/// where the name is taken.
pub(super) fn with_name<T>(
    name: &[u8],
    mut make: impl FnMut(&[u8]) -> Result<T, Errno>,
) -> Result<(Vec<u8>, T), Errno> {
    let mut result = Err(Errno::EXIST);
    for _ in 0..TREE_TEMPORARY_NAMES_MAX {
        let hidden = random_name(name)?;
        match make(&hidden) {
            Err(Errno::EXIST) => {}
            made => {
                result = made.map(|made| (hidden, made));
                break;
            }
        }
    }
    result
}

fn random_name(name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
    let end = format!(".ferry-{:08x}", u32::from_ne_bytes(random)).into_bytes();
    // A long name goes as a whole: a part of it may not be text any more, which some file systems refuse.
    Ok(if 1 + name.len() + end.len() > NAME_MAX_BYTES { end } else { [b".", name, &end].concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_hidden_fits_and_differs_each_time() {
        for name in [&b"a"[..], b"", &[b'n'; NAME_MAX_BYTES]] {
            let mut tried = Vec::new();
            let made = with_name(name, |hidden| {
                tried.push(hidden.to_vec());
                if tried.len() < 3 { Err(Errno::EXIST) } else { Ok(()) }
            });
            assert_eq!(made.unwrap().0, tried[2]);
            assert!(tried.iter().all(|hidden| hidden.starts_with(b".") && hidden.len() <= NAME_MAX_BYTES));
            assert!(tried[0] != tried[1] && tried[1] != tried[2]);
        }
        assert!(with_name(b"a", |_| Ok(())).unwrap().0.starts_with(b".a.ferry-"));
    }

    #[test]
    fn a_failure_ends_the_search_and_so_does_a_folder_that_has_every_name() {
        assert_eq!(with_name(b"a", |_| Err::<(), _>(Errno::ACCESS)), Err(Errno::ACCESS));
        assert_eq!(with_name(b"a", |_| Err::<(), _>(Errno::EXIST)), Err(Errno::EXIST));
    }
}
