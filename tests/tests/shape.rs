//! What the README says of the shape: imports point one way, no file is longer than a room, and the walks name functions
//! that are there.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;

/// The folders of the server as the README's table has them, from the one that uses all others to the one that uses none.
/// What is beside them is used by all (`limits`, `config`, `asker`, `figures`, `logging`, `peer_log`), is used by `lib` alone
/// (`banner`, `served_folder`), or uses all (`lib`, `main`).
const SERVER: &[&str] =
    &["reactor", "connection", "rendezvous", "files", "seat", "admission", "disk", "store", "net"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below a folder, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The modules at the top of its crate that a source names.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split("crate::").skip(1).map(move |rest| rest.split(|character| !is_name(character)).next().unwrap())
}

#[test]
fn the_folders_of_the_server_import_one_way() {
    let source = root().join("server/src");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let place = |name: &str| SERVER.iter().position(|folder| *folder == name);
    let mut before = 0;
    for folder in SERVER {
        let told = readme.find(&format!("| `server/src/{folder}")).unwrap_or_else(|| panic!("{folder}"));
        assert!(told > before, "{folder} is elsewhere in the README's table");
        before = told;
    }
    for (path, text) in sources(&source) {
        let beneath = path.strip_prefix(&source).unwrap().with_extension("");
        let top = beneath.iter().next().unwrap().to_str().unwrap();
        let Some(own) = place(top) else { continue };
        // Tests may look around.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for name in used(code) {
            assert!(place(name).is_none_or(|other| other >= own), "{} imports {name}", path.display());
        }
    }
}

#[test]
fn a_dialect_knows_no_work_and_the_work_no_text() {
    let source = root().join("server/session/src");
    for (path, text) in sources(&source.join("dialect")) {
        assert!(used(&text).all(|name| name != "work"), "{}", path.display());
    }
    for (path, text) in sources(&source.join("work")) {
        for text_of_ferry in ["wire::reply", "wire::line", "wire::words", "command::Command", "dialect::Any"]
        {
            assert!(!text.contains(text_of_ferry), "{}: {text_of_ferry}", path.display());
        }
    }
}

/// Only where a connection comes in is it known which dialect it speaks.
#[test]
fn the_shell_has_no_match_on_a_dialect() {
    let mut places: BTreeSet<OsString> = BTreeSet::new();
    for (path, text) in sources(&root().join("server/src")) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        if code.contains("AnyDialect") {
            places.insert(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(places, BTreeSet::from(["accepting.rs".into()]));
}

#[test]
fn no_file_is_longer_than_a_room() {
    for folder in ["common", "server", "client", "tests"] {
        for (path, text) in sources(&root().join(folder)) {
            let lines = text.lines().count();
            assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
        }
    }
}

/// `file.rs function` in the walks: each is a function of that file.
#[test]
fn the_walks_name_what_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let walks =
        &readme[readme.find("**The way of an upload.**").unwrap()..readme.find("## What is").unwrap()];
    let all: Vec<_> = ["server", "common", "client"].map(|folder| sources(&root().join(folder))).concat();
    let mut steps = 0;
    for quoted in walks.split('`').skip(1).step_by(2) {
        let Some((file, function)) = quoted.split_once(".rs ") else { continue };
        let name = format!("/{file}.rs");
        let is_there = |(path, text): &(PathBuf, String)| {
            path.to_str().unwrap().ends_with(&name)
                && ["fn ", "enum ", "struct "].iter().any(|kind| text.contains(&format!("{kind}{function}")))
        };
        assert!(all.iter().any(is_there), "{quoted}");
        steps += 1;
    }
    assert!(steps >= 20, "only {steps} steps");
}
