//! Names on the server. A folder that is not too large is remembered for a while; of a larger one only what fits is
//! kept, so that it is asked again for each beginning.

use crate::failure::Failure;
use crate::limits::{COMPLETION_FRESH, COMPLETION_MAX_DIRECTORIES, COMPLETION_MAX_NAMES, COMPLETION_TIMEOUT};
use crate::prompt::complete::candidates::{Name, fits};
use crate::prompt::place::Place;
use crate::session::Session;
use crate::session::link::Handler;
use ferry_common::limits::NAME_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// See the module's documentation.
pub(crate) struct RemoteNames {
    session: Rc<RefCell<Session>>,
    cache: RefCell<HashMap<RemotePath, Listed>>,
    /// Set by a transfer that has ended in the background.
    is_outdated: Arc<AtomicBool>,
}

/// The names of a directory, and when they were so.
struct Listed {
    at: Instant,
    names: Vec<Name>,
}

impl RemoteNames {
    pub(crate) fn new(session: Rc<RefCell<Session>>) -> Self {
        Self { session, cache: RefCell::default(), is_outdated: Arc::default() }
    }

    /// To be set where names may have changed.
    pub(crate) fn is_outdated(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_outdated)
    }

    pub(crate) fn forget(&self) {
        self.cache.borrow_mut().clear();
    }

    /// The names in a directory that may be meant by this beginning.
    pub(crate) fn fitting(&self, place: &Place, directory: &[u8], prefix: &[u8]) -> Vec<Name> {
        let directory =
            if directory.is_empty() { Ok(place.here().clone()) } else { place.resolve(directory) };
        let Ok(directory) = directory else { return Vec::new() };
        let now = Instant::now();
        let mut cache = self.cache.borrow_mut();
        if self.is_outdated.swap(false, Ordering::Acquire) {
            cache.clear();
        }
        cache.retain(|_, listed| now.duration_since(listed.at) < COMPLETION_FRESH);
        if let Some(listed) = cache.get(&directory) {
            return listed.names.iter().filter(|name| fits(&name.bytes, prefix)).cloned().collect();
        }
        let (collected, is_whole) = self.ask_server(&directory, prefix);
        if is_whole && !collected.is_too_long {
            if cache.len() >= COMPLETION_MAX_DIRECTORIES {
                cache.clear();
            }
            cache.insert(directory, Listed { at: Instant::now(), names: collected.all });
        }
        collected.fitting
    }

    /// What came, and whether that is all: the server may not be there, refuse, or take too long. The next command
    /// will say so.
    fn ask_server(&self, directory: &RemotePath, prefix: &[u8]) -> (Collected, bool) {
        let mut collected = Collected::for_prefix(prefix);
        let Ok(mut session) = self.session.try_borrow_mut() else { return (collected, false) };
        let interrupts = Arc::clone(session.interrupts());
        let _running = interrupts.begin_within(COMPLETION_TIMEOUT);
        session.connect_if_new();
        let command = Command::Ls { path: directory.clone() };
        let result = session.exchange_if_connected(command, &mut collected, COMPLETION_TIMEOUT);
        (collected, result.is_ok())
    }
}

/// Names of a listing that can be names of files at all.
struct Collected {
    prefix: Vec<u8>,
    /// Filtered first, and bounded after that.
    fitting: Vec<Name>,
    /// Whatever the beginning is.
    all: Vec<Name>,
    is_too_long: bool,
}

impl Collected {
    fn for_prefix(prefix: &[u8]) -> Self {
        Self { prefix: prefix.to_vec(), fitting: Vec::new(), all: Vec::new(), is_too_long: false }
    }
}

impl Handler for Collected {
    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        let is_name = !matches!(entry.name.as_slice(), b"" | b"." | b"..")
            && entry.name.len() <= NAME_MAX_BYTES
            && !entry.name.iter().any(|byte| matches!(byte, b'/' | 0));
        if !is_name {
            return Ok(());
        }
        let name = Name { bytes: entry.name, is_directory: entry.kind == EntryKind::Dir };
        if fits(&name.bytes, &self.prefix) && self.fitting.len() < COMPLETION_MAX_NAMES {
            self.fitting.push(name.clone());
        }
        if self.all.len() < COMPLETION_MAX_NAMES {
            self.all.push(name);
        } else {
            self.is_too_long = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::wire::file_time::FileTime;

    fn collect(names: impl Iterator<Item = Vec<u8>>, prefix: &[u8]) -> Collected {
        let mut collected = Collected::for_prefix(prefix);
        for name in names {
            collected
                .entry(Entry {
                    kind: EntryKind::File,
                    size_bytes: 0,
                    mtime: FileTime::default(),
                    executable: false,
                    link: false,
                    name,
                })
                .unwrap();
        }
        collected
    }

    #[test]
    fn hostile_names_are_never_offered() {
        let names = [&b"../x"[..], b"/etc", b"", b".", b"..", b"a\0b", &[b'a'; 300], b"fine"];
        let collected = collect(names.into_iter().map(<[u8]>::to_vec), b"");
        assert_eq!(collected.fitting, [Name { bytes: b"fine".to_vec(), is_directory: false }]);
    }

    #[test]
    fn what_fits_is_found_in_a_folder_of_very_many() {
        let names = (0..3 * COMPLETION_MAX_NAMES).map(|number| format!("file {number}").into_bytes());
        let last = format!("file {}", 3 * COMPLETION_MAX_NAMES - 1).into_bytes();
        let collected = collect(names, &last);
        assert_eq!(collected.fitting, [Name { bytes: last, is_directory: false }]);
        assert!(collected.is_too_long && collected.all.len() == COMPLETION_MAX_NAMES);
    }
}
