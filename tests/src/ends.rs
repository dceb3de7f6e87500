//! Two folders of which one is to become like the other, at the two ends of a client and a server.

use crate::ferry::{Ferry, Finished};
use crate::server::Server;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Both directions: the folder of the sending end is `from`, that of the receiving end `to`.
#[derive(Debug)]
pub struct Ends {
    pub ferry: Ferry,
    pub server: Server,
    pub is_up: bool,
}

impl Ends {
    pub fn both() -> [Self; 2] {
        [true, false].map(|is_up| {
            let ends = Self { ferry: Ferry::new(), server: Server::start(), is_up };
            fs::create_dir(ends.from("")).expect("an empty folder");
            fs::create_dir(ends.to("")).expect("an empty folder");
            ends
        })
    }

    pub fn from(&self, name: &str) -> PathBuf {
        if self.is_up { self.ferry.path("from").join(name) } else { self.server.path("from").join(name) }
    }

    pub fn to(&self, name: &str) -> PathBuf {
        if self.is_up { self.server.path("to").join(name) } else { self.ferry.path("to").join(name) }
    }

    pub fn run(&self, line: &str) -> Finished {
        self.ferry.run(self.server.control_address(), &[line])
    }

    /// The names at the receiving end.
    pub fn there(&self) -> Vec<String> {
        let there = harvest_names(&self.to(""));
        there.iter().map(|path| path.to_str().expect("what a test has made").to_owned()).collect()
    }
}

/// What is beneath a folder, without a look at what links lead to.
fn harvest_names(top: &Path) -> Vec<PathBuf> {
    let (mut names, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).expect("what a test has made") {
            let entry = entry.expect("what a test has made");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("what a test has made").is_dir() {
                folders.push(path.clone());
            }
            names.push(path);
        }
    }
    names.sort();
    names
}

pub fn put(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().expect("what a test has made")).expect("what a test has made");
    fs::write(path, content).expect("what a test has made");
}

pub fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

pub fn set_time(path: &Path, time: SystemTime) {
    File::open(path).expect("what a test has made").set_modified(time).expect("what a test has made");
}
