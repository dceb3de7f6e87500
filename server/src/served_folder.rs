//! Which folder is served: the one that is named, else the current one. A home folder or the root of the file system is
//! served only where the operator has said so.

use crate::limits::CONSENT_MAX_BYTES;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A folder that is shared by mistake rather than on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delicate {
    Root,
    Home,
}

impl Delicate {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "the whole file system",
            Self::Home => "your home folder",
        }
    }

    /// What to type for it.
    fn argument(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Home => "~",
        }
    }
}

/// The folder to serve. `rights` says what everybody may do there, for the question at a terminal; an error is one line that
/// says what to do.
pub(crate) fn choose(named: Option<&Path>, rights: &str) -> Result<PathBuf, String> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let current = PathBuf::from(".");
    let Some(delicate) = delicate(&current, std::env::home_dir().as_deref()) else { return Ok(current) };
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(format!(
            "the current folder is {}, which is served only if it is named: ferryd {}",
            delicate.name(),
            delicate.argument()
        ));
    }
    if has_consent(delicate, rights) {
        Ok(current)
    } else {
        Err("nothing is shared; name a folder, such as: ferryd ~/Public".to_owned())
    }
}

/// Asks once. A terminal that has gone says nothing, which is no consent.
fn has_consent(delicate: Delicate, rights: &str) -> bool {
    let name = delicate.name();
    let question = format!("This shares {name}, hidden files included.\n{rights}\nGo on? [y/N] ");
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = Vec::new();
    let read = io::stdin().lock().take(CONSENT_MAX_BYTES).read_until(b'\n', &mut answer);
    let answer = answer.trim_ascii();
    read.is_ok() && (answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes"))
}

fn delicate(folder: &Path, home: Option<&Path>) -> Option<Delicate> {
    if is_same(folder, Path::new("/")) {
        Some(Delicate::Root)
    } else if home.is_some_and(|home| is_same(folder, home)) {
        Some(Delicate::Home)
    } else {
        None
    }
}

/// True for two names of one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_known_by_any_of_its_names() {
        let place = tempfile::tempdir().unwrap();
        let (home, link) = (place.path().join("home"), place.path().join("link"));
        fs::create_dir_all(home.join("Public")).unwrap();
        std::os::unix::fs::symlink(&home, &link).unwrap();
        assert_eq!(delicate(&link, Some(&home)), Some(Delicate::Home));
        assert_eq!(delicate(&home.join("Public"), Some(&home)), None);
        assert_eq!(delicate(&home, None), None);
        assert_eq!(delicate(&home.join("missing"), Some(&home.join("missing"))), None);
        assert_eq!(delicate(Path::new("/"), Some(Path::new("/"))), Some(Delicate::Root));
    }
}
