//! A real `ferryd` in a folder of its own, with its log at hand. It is killed and reaped when dropped.

use crate::binaries;
use crate::process::Process;
use crate::wait::{WAIT_LIMIT, wait_at_most};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Arguments of a `ferryd` that nothing outside of this machine reaches, and that takes no port from another one.
pub const ON_FREE_PORTS: &[&str] =
    &["--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--ftp-port", "0"];

/// What the log says before the port for FTP clients.
const FTP_LABEL: &str = "FTP Port: ";

/// How to start a server. The default serves an empty folder that goes away with it.
#[derive(Debug, Default)]
pub struct Options {
    arguments: Vec<String>,
    root: Option<PathBuf>,
    parent: Option<PathBuf>,
    open_files: Option<u64>,
    program: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Log>,
    root: PathBuf,
    control_port: u16,
    data_port: u16,
    ftp_port: u16,
    /// What surrounds the served folder; `None` where the folder is the caller's.
    home: Option<TempDir>,
}

/// What a process wrote to standard error, line by line.
#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    ended: bool,
}

impl Options {
    /// More arguments for `ferryd`.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Serves this folder instead of a new one.
    pub fn root(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self
    }

    /// Makes the new folder somewhere in this directory instead of the usual one for temporary files.
    pub fn within(mut self, parent: &Path) -> Self {
        self.parent = Some(parent.to_owned());
        self
    }

    /// Starts another `ferryd` than the one that the tests build.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Lets the server have this many descriptors and no more.
    pub fn open_files(mut self, limit: u64) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Starts the server and waits until it is ready to receive.
    #[track_caller]
    pub fn start(self) -> Server {
        let (home, root) = match self.root {
            Some(root) => (None, root),
            None => {
                let parent = self.parent.unwrap_or_else(std::env::temp_dir);
                let home = tempfile::tempdir_in(parent).expect("a temporary directory");
                let root = home.path().join("served");
                std::fs::create_dir(&root).expect("a folder to serve");
                (Some(home), root)
            }
        };
        let program = self.program.unwrap_or_else(binaries::ferryd);
        let mut ferryd = ferryd(&program, &root, &self.arguments);
        if let Some(limit) = self.open_files {
            ferryd = limited(&ferryd, limit);
        }
        let mut server = Server::of(ferryd, &root);
        server.home = home;
        server
    }
}

/// A `ferryd` on free ports of the loopback interface (but for those in the arguments), for the folder `root`.
fn ferryd(program: &Path, root: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    let has = |name: &str| arguments.iter().any(|argument| argument.as_ref() == name);
    command
        .args(["--listen", "127.0.0.1", "--data-port", "0"])
        .args(if has("--port") { &[][..] } else { &["--port", "0"] })
        .args(if has("--ftp-port") || has("--no-ftp") { &[][..] } else { &["--ftp-port", "0"] })
        .args(arguments)
        .arg(root);
    command
}

/// The same with a limit on open files.
fn limited(command: &Command, open_files: u64) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {open_files}; exec \"$@\""), "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    shell
}

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        Options::default().start()
    }

    /// Starts a `ferryd` that serves `root`, and waits until it is ready to receive.
    #[track_caller]
    pub fn of(mut ferryd: Command, root: &Path) -> Self {
        ferryd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ferryd.spawn().expect("ferryd can be started");
        let log = Log::follow(&mut child);
        let mut server = Self {
            child,
            log,
            root: root.to_owned(),
            control_port: 0,
            data_port: 0,
            ftp_port: 0,
            home: None,
        };
        server.control_port = server.port_after("Server Port: ");
        server.data_port = server.port_after("File Transfer Port: ");
        server.wait_for_log("The server is ready to receive");
        if server.log().iter().any(|line| line.contains(FTP_LABEL)) {
            server.ftp_port = server.port_after(FTP_LABEL);
        }
        server
    }

    /// The served folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder in the served folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Puts a file into the served folder, past the server.
    pub fn put(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the served folder is writable");
    }

    pub fn control_port(&self) -> u16 {
        self.control_port
    }

    pub fn control_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.control_port).into()
    }

    /// Where FTP clients connect to.
    pub fn ftp_address(&self) -> SocketAddr {
        assert_ne!(self.ftp_port, 0, "FTP is not served");
        (Ipv4Addr::LOCALHOST, self.ftp_port).into()
    }

    pub fn data_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.data_port).into()
    }

    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Waits for a line with this text, from the start of the log on, and gives it.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        self.log.wait_for(text)
    }

    /// All that has been logged.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child, WAIT_LIMIT)
    }

    pub fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process().signal(Signal::KILL);
        self.wait_for_exit();
    }

    /// Another server for the same folder at the same address, after this one has ended.
    #[track_caller]
    pub fn start_again(&self) -> Self {
        let port = self.control_port.to_string();
        Options::default().root(&self.root).arguments(&["--port", &port]).start()
    }

    /// Everything in the served folder, the server's own hidden directory included but for its locks, as relative
    /// paths. A directory ends in a slash.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![self.root.clone()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(&directory).expect("a readable folder") {
                let entry = entry.expect("a readable folder");
                let path = entry.path();
                let name =
                    path.strip_prefix(&self.root).expect("a path beneath the root").display().to_string();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(format!("{name}/"));
                    left.push(path);
                } else {
                    found.push(name);
                }
            }
        }
        let hidden = String::from_utf8_lossy(ferry_common::path::HIDDEN_NAME).into_owned();
        found.retain(|name| !(name.starts_with(&hidden) && name.ends_with("/lock")));
        found.sort();
        found
    }

    /// The files that uploads have left unfinished.
    pub fn staged_files(&self) -> Vec<String> {
        let hidden = String::from_utf8_lossy(ferry_common::path::HIDDEN_NAME).into_owned();
        let is_staged =
            |name: &String| name.starts_with(&hidden) && !name.ends_with('/') && !name.ends_with("/lock");
        self.files().into_iter().filter(is_staged).collect()
    }

    #[track_caller]
    fn port_after(&self, label: &str) -> u16 {
        let line = self.wait_for_log(label);
        let (_, rest) = line.split_once(label).expect("the label was found");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("no port in {line:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of ferryd:");
            let lines = self.log.lines();
            lines.iter().rev().take(40).rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// Waits for a child to end by itself; kills it and panics when it does not.
#[track_caller]
pub fn wait_for_exit(child: &mut Child, limit: Duration) -> ExitStatus {
    let status = wait_at_most(limit, || child.try_wait().expect("a child can be waited for"));
    status.unwrap_or_else(|| {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the process did not end within {limit:?}")
    })
}

impl Log {
    /// Reads a child's standard error to its end, in a thread of its own.
    fn follow(child: &mut Child) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let stderr = child.stderr.take().expect("standard error is piped");
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.state.lock().expect("no reader panics").lines.push(line);
                writer.changed.notify_all();
            }
            writer.state.lock().expect("no reader panics").ended = true;
            writer.changed.notify_all();
        });
        log
    }

    fn lines(&self) -> Vec<String> {
        self.state.lock().expect("no reader panics").lines.clone()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + WAIT_LIMIT;
        let mut state = self.state.lock().expect("no reader panics");
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                let lines = state.lines.join("\n");
                drop(state);
                panic!("no {text:?} in the log:\n{lines}");
            }
            (state, _) = self.changed.wait_timeout(state, left).expect("no reader panics");
        }
    }
}
