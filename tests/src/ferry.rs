//! Runs of the real `ferry`, each place with a local folder and a state directory of its own.

use crate::binaries;
use crate::process::Process;
use crate::server::wait_for_exit;
use crate::wait::WAIT_LIMIT;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// The local side of a client: where it runs.
#[derive(Debug)]
pub struct Ferry {
    home: TempDir,
}

/// A client that runs, with its output being read.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// `None` after a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Default for Ferry {
    fn default() -> Self {
        Self::new()
    }
}

impl Ferry {
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// With its folders somewhere in this directory.
    pub fn within(parent: &Path) -> Self {
        let home = tempfile::tempdir_in(parent).expect("a temporary directory");
        std::fs::create_dir(home.path().join("local")).expect("a local folder");
        Self { home }
    }

    /// The folder in which it runs.
    pub fn local(&self) -> PathBuf {
        self.home.path().join("local")
    }

    /// Where it keeps its history.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Gives it a configuration.
    pub fn configure(&self, text: &str) {
        let folder = self.home.path().join(".config/ferry");
        std::fs::create_dir_all(&folder).expect("a folder for the configuration");
        std::fs::write(folder.join("config.toml"), text).expect("a configuration");
    }

    /// A file in the folder in which it runs.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.local().join(name)
    }

    pub fn put(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the local folder is writable");
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names in the folder in which it runs, hidden ones too.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.local()).expect("the local folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `ferry HOST PORT`, to be given more arguments and started by the caller.
    pub fn command(&self, server: SocketAddr) -> Command {
        let mut command = self.bare_command();
        command.arg(server.ip().to_string()).arg(server.port().to_string());
        command
    }

    /// `ferry` without arguments.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(binaries::ferry());
        command
            .current_dir(self.local())
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.state())
            .env("TERM", "xterm")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("FERRY_HOST")
            .env_remove("NO_COLOR")
            .env_remove("RUST_LOG");
        command
    }

    /// Runs commands by `-c`, with nothing on standard input.
    #[track_caller]
    pub fn run(&self, server: SocketAddr, commands: &[&str]) -> Finished {
        let mut command = self.command(server);
        commands.iter().for_each(|text| {
            command.args(["-c", text]);
        });
        Running::start(command, b"").finish()
    }

    /// Runs commands from a pipe on standard input.
    #[track_caller]
    pub fn run_piped(&self, server: SocketAddr, input: impl AsRef<[u8]>) -> Finished {
        Running::start(self.command(server), input.as_ref()).finish()
    }
}

impl Running {
    /// Starts it and writes all of `input`, which should be small, to its standard input.
    #[track_caller]
    pub fn start(mut command: Command, input: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ferry can be started");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // A client that has ended takes no more; its status tells.
        let _ = stdin.write_all(input);
        drop(stdin);
        let stdout = child.stdout.take().map(read_in_background);
        let stderr = child.stderr.take().map(read_in_background);
        Self { child, stdout, stderr }
    }

    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let status = wait_for_exit(&mut self.child, WAIT_LIMIT * 2);
        Finished {
            status: status.code(),
            stdout: text_of(self.stdout.take()),
            stderr: text_of(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended where `finish` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// The lines on standard output.
    pub fn stdout_lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    pub fn stderr_lines(&self) -> Vec<&str> {
        self.stderr.lines().collect()
    }

    #[track_caller]
    pub fn expect_status(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

fn read_in_background(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

fn text_of(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.map(|reader| reader.join().expect("the reader does not panic")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
