//! Where the real binaries are. Cargo builds only the binaries of a test's own package, so the harness has
//! it build those of the others, once per test process, with the profile and into the target directory of
//! the test itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub fn ferryd() -> PathBuf {
    directory().join("ferryd")
}

pub fn ferry() -> PathBuf {
    directory().join("ferry")
}

pub fn swarm() -> PathBuf {
    directory().join("swarm")
}

fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build)
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    // TARGET/PROFILE/deps/TEST, or TARGET/PROFILE/PROGRAM
    let mut directory = test.parent().expect("a program lies in a directory");
    if directory.ends_with("deps") {
        directory = directory.parent().expect("a test lies in a profile's directory");
    }
    let target = directory.parent().expect("a profile's directory lies in the target directory");
    // Run by hand, the cargo of the path: rustup's tells the compiler which toolchain it belongs to.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--bins", "-p", "ferry-server", "-p", "ferry-client", "-p", "ferry-tests"])
        .arg("--target-dir")
        .arg(target);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "the binaries do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory.to_owned()
}
