//! Where one stands on this computer, and what the names that one types there mean. The folder that the process runs in never
//! changes: a transfer in the background keeps the folder that it was begun in, wherever `lcd` goes meanwhile.

use crate::failure::Failure;
use crate::prompt::words::Word;
use rustix::fs::Access;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// See the module's documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalPlace {
    /// `None` in the folder that the program was started in: names stay as short as they are typed.
    here: Option<PathBuf>,
    /// For `lcd -`; the inner one as above.
    before: Option<Option<PathBuf>>,
}

impl LocalPlace {
    /// Where it is not that in which the program was started.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.here.as_deref()
    }

    /// The folder, by a path that any program would understand.
    pub(crate) fn here(&self) -> &Path {
        self.here.as_deref().unwrap_or(Path::new("."))
    }

    pub(crate) fn whole_path(&self) -> io::Result<PathBuf> {
        self.here.clone().map_or_else(env::current_dir, Ok)
    }

    /// Goes to a folder, which this path leads to now.
    pub(crate) fn go(&mut self, path: &Path) -> Result<(), Failure> {
        let cannot_go = |error: &io::Error| Failure::local("go to", path, error);
        let whole = fs::canonicalize(path).map_err(|error| cannot_go(&error))?;
        if !whole.is_dir() {
            return Err(cannot_go(&io::ErrorKind::NotADirectory.into()));
        }
        rustix::fs::access(&whole, Access::EXEC_OK).map_err(|error| cannot_go(&error.into()))?;
        self.before = Some(self.here.replace(whole));
        Ok(())
    }

    pub(crate) fn go_back(&mut self) -> Result<(), Failure> {
        let before = self.before.take();
        let before =
            before.ok_or_else(|| Failure::Usage("There is no folder to go back to yet".to_owned()))?;
        self.before = Some(std::mem::replace(&mut self.here, before));
        Ok(())
    }

    /// A name of this computer. As in a shell, `~` is the home folder; in quotes it is a file of that name.
    pub(crate) fn resolve(&self, word: &Word) -> Result<PathBuf, Failure> {
        let is_home = word.marked().eq([(b'~', false)]);
        let word = word.bytes();
        if word.is_empty() {
            return Err(Failure::Usage("A name is empty".to_owned()));
        }
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let beneath = if is_home { Some(&b""[..]) } else { word.strip_prefix(b"~/") };
        match (beneath, etcetera::home_dir()) {
            (Some(beneath), Ok(home)) => Ok(home.join(path(beneath))),
            (Some(_), Err(_)) | (None, _) => Ok(self.join(path(word))),
        }
    }

    /// A path as it would be typed here.
    pub(crate) fn relative(&self, path: &Path) -> PathBuf {
        let beneath = self.here.as_ref().and_then(|here| path.strip_prefix(here).ok());
        match beneath {
            Some(beneath) if beneath.as_os_str().is_empty() => PathBuf::from("."),
            Some(beneath) => beneath.to_owned(),
            None => path.to_owned(),
        }
    }

    fn join(&self, path: PathBuf) -> PathBuf {
        match &self.here {
            Some(here) => here.join(path),
            None => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::words::split;

    fn resolved(place: &LocalPlace, typed: &str) -> PathBuf {
        place.resolve(&split(typed.as_bytes()).unwrap()[0]).unwrap()
    }

    #[test]
    fn a_local_name_may_begin_at_home() {
        let home = etcetera::home_dir().unwrap();
        let place = LocalPlace::default();
        assert_eq!(resolved(&place, "\"~/a b\""), home.join("a b"));
        assert_eq!(resolved(&place, "~"), home);
        assert_eq!(resolved(&place, "'~'"), PathBuf::from("~"));
        assert_eq!(resolved(&place, "~other/a"), PathBuf::from("~other/a"));
        assert!(place.resolve(&Word::literal(b"")).is_err());
    }

    #[test]
    fn names_are_beneath_the_folder_that_one_has_gone_to() {
        let home = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(home.path()).unwrap();
        fs::create_dir(top.join("d")).unwrap();
        fs::write(top.join("f"), "").unwrap();
        let mut place = LocalPlace::default();
        assert_eq!(resolved(&place, "a/b"), PathBuf::from("a/b"), "as it was typed");
        place.go(&top).unwrap();
        place.go(&resolved(&place.clone(), "d")).unwrap();
        assert_eq!(resolved(&place, "a"), top.join("d/a"));
        assert_eq!(resolved(&place, "/a"), PathBuf::from("/a"));
        assert_eq!(place.relative(&top.join("d/a")), PathBuf::from("a"));
        assert_eq!(place.relative(&top.join("d")), PathBuf::from("."));
        place.go_back().unwrap();
        assert_eq!(place.here(), top);
        place.go_back().unwrap();
        assert_eq!(place.here(), top.join("d"));
        for name in ["../f", "none"] {
            assert!(place.go(&resolved(&place.clone(), name)).is_err(), "{name}");
        }
    }

    #[test]
    fn one_may_go_back_to_where_the_program_was_started() {
        let home = tempfile::tempdir().unwrap();
        let mut place = LocalPlace::default();
        assert!(place.go_back().is_err());
        place.go(home.path()).unwrap();
        place.go_back().unwrap();
        assert_eq!((place.folder(), place.here()), (None, Path::new(".")));
    }
}
