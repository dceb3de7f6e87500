//! A scripted server and a way to run `ferry` against it. The script decides about every byte, so that it
//! can be as honest, broken or hostile as a test needs.

use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take.
const WAIT_LIMIT: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A ticket such as servers give.
pub(crate) const TICKET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a script has in its hands: a control connection, and a listener for data connections.
pub(crate) struct Server {
    control: BufReader<TcpStream>,
    data: TcpListener,
}

/// The running scripts. Dropped, it waits for them, and fails the test where one of them did not get what
/// it expected.
pub(crate) struct Scripted {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    /// Where it serves as many as come: that is over.
    is_over: Option<Arc<AtomicBool>>,
}

/// What a server does for one client.
pub(crate) type Script = Box<dyn FnOnce(Server) + Send>;

/// Runs `script` for the first client that comes, in a thread.
pub(crate) fn serve(script: impl FnOnce(Server) + Send + 'static) -> Scripted {
    serve_each(vec![Box::new(script)])
}

/// Runs each script for one client, in the order that they come.
pub(crate) fn serve_each(scripts: Vec<Script>) -> Scripted {
    serve_at("127.0.0.1:0".parse().unwrap(), scripts)
}

/// The same at this address.
pub(crate) fn serve_at(address: SocketAddr, scripts: Vec<Script>) -> Scripted {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        for script in scripts {
            let (control, _) = listener.accept().unwrap();
            script(Server::new(control));
        }
    });
    Scripted { address, thread: Some(thread), is_over: None }
}

/// Runs `script` for one client after the other, as many as come.
pub(crate) fn serve_every(script: impl Fn(Server) + Send + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let thread = thread::spawn(move || {
        loop {
            let (control, _) = listener.accept().unwrap();
            if seen.load(Ordering::Acquire) {
                return;
            }
            script(Server::new(control));
        }
    });
    Scripted { address, thread: Some(thread), is_over: Some(is_over) }
}

impl Scripted {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(is_over) = &self.is_over {
            is_over.store(true, Ordering::Release);
            // Wakes one that waits for the next client.
            TcpStream::connect(self.address).unwrap();
        }
        let result = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(result, Some(Ok(()))), "the script did not run to its end");
        }
    }
}

impl Server {
    fn new(control: TcpStream) -> Self {
        control.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
        let data = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { control: BufReader::new(control), data }
    }

    /// False when the client has gone, which shows after a moment.
    pub(crate) fn is_connected(&mut self) -> bool {
        self.control.get_mut().set_read_timeout(Some(LOOK_INTERVAL)).unwrap();
        let is_connected = match self.control.get_mut().peek(&mut [0]) {
            Ok(count) => count > 0,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        };
        self.control.get_mut().set_read_timeout(Some(WAIT_LIMIT)).unwrap();
        is_connected
    }

    /// Answers `hello` as a server does.
    pub(crate) fn greet(&mut self) {
        self.expect("hello 1");
        self.say("(hello) line-max 16892\nok 1\n");
    }

    /// The next line of the client, or the empty string when it has gone.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap_or(0);
        line.trim_end().to_owned()
    }

    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// An upload keeps its time, which differs from run to run, and that it is not executable.
    pub(crate) fn expect_upload(&mut self, command: &str) {
        let line = self.line();
        let mtime = line.strip_prefix(command).and_then(|rest| rest.strip_prefix(" mtime="));
        let mtime = mtime.and_then(|rest| rest.strip_suffix(" exec=no"));
        assert!(mtime.is_some_and(|mtime| FileTime::parse(mtime.as_bytes()).is_some()), "{line}");
    }

    /// The client may have gone; what it makes of that is the test's affair.
    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.control.get_mut().write_all(text.as_ref());
    }

    /// Asks for a data connection and takes it.
    pub(crate) fn open_data(&mut self) -> TcpStream {
        let port = self.data.local_addr().unwrap().port();
        self.say(format!("(data) {port} {TICKET}\n"));
        let mut data = accept_in_time(&self.data);
        data.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
        let mut ticket = vec![0; TICKET.len() + 1];
        data.read_exact(&mut ticket).unwrap();
        assert_eq!(ticket, format!("{TICKET}\n").as_bytes());
        data
    }

    /// Waits until the client has gone.
    pub(crate) fn wait_for_end(&mut self) {
        loop {
            match self.line().as_str() {
                "" => break,
                "exit" => self.say("ok\n"),
                _ => {}
            }
        }
    }
}

/// A client that does not come must not hold up the end of the test.
fn accept_in_time(listener: &TcpListener) -> TcpStream {
    let mut accepted = None;
    listener.set_nonblocking(true).unwrap();
    wait_until(|| {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// How a server ends a transfer of this whole file.
pub(crate) fn ok(file: &[u8]) -> String {
    format!("ok {} {}\n", file.len(), Digest::of(file))
}

/// How a server ends the download of what is behind `offset` of this file.
pub(crate) fn ok_rest(file: &[u8], offset: usize) -> String {
    format!("ok {} {}\n", file.len() - offset, Digest::of(file))
}

/// What an upload of this file is on the data connection.
pub(crate) fn with_trailer(file: &[u8]) -> Vec<u8> {
    [file, format!("{}\n", Digest::of(file)).as_bytes()].concat()
}

/// Exactly so many bytes.
pub(crate) fn read(data: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    data.read_exact(&mut bytes).unwrap();
    bytes
}

/// What comes until the client ends the connection, by a reset or not. A reset may cost some of what was on its way.
pub(crate) fn read_until_end(data: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = data.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    bytes
}

/// `ferry` with its commands, started in `directory`. It does not wait for lost connections.
pub(crate) fn spawn(directory: &Path, server: SocketAddr, commands: &[&str]) -> Child {
    spawn_with(directory, server, &["--retry-for", "0"], commands)
}

/// The same with these options.
pub(crate) fn spawn_with(directory: &Path, server: SocketAddr, options: &[&str], commands: &[&str]) -> Child {
    let mut ferry = Command::new(env!("CARGO_BIN_EXE_ferry"));
    ferry.current_dir(directory).env("XDG_STATE_HOME", directory.join("state"));
    ferry.args(options).args([server.ip().to_string(), server.port().to_string()]);
    commands.iter().for_each(|command| {
        ferry.args(["-c", command]);
    });
    ferry.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs it to its end.
pub(crate) fn run(directory: &Path, server: SocketAddr, commands: &[&str]) -> Finished {
    Finished::from(spawn(directory, server, commands).wait_with_output().unwrap())
}

/// The same with these options.
pub(crate) fn run_with(
    directory: &Path,
    server: SocketAddr,
    options: &[&str],
    commands: &[&str],
) -> Finished {
    Finished::from(spawn_with(directory, server, options, commands).wait_with_output().unwrap())
}

/// Reads its messages until there is one with this text.
pub(crate) fn wait_for_message(ferry: &mut Child, text: &str) {
    let (messages, mut seen) = (ferry.stderr.as_mut().unwrap(), Vec::new());
    while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
        let mut byte = [0];
        messages.read_exact(&mut byte).unwrap();
        seen.extend(byte);
    }
}

/// Waits until it has done all that it can do, and sleeps.
pub(crate) fn wait_until_asleep(ferry: &Child) {
    let threads = format!("/proc/{}/task", ferry.id());
    wait_until(|| {
        let threads: Vec<_> = std::fs::read_dir(&threads).unwrap().flatten().collect();
        threads.iter().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state stands behind the name, which is in parentheses.
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
        })
    });
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "what was waited for did not come");
        thread::sleep(LOOK_INTERVAL);
    }
}

/// How a run of `ferry` ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: i32,
    pub(crate) results: String,
    pub(crate) messages: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let finished = Self {
            status: output.status.code().unwrap_or(-1),
            results: String::from_utf8(output.stdout).unwrap(),
            messages: String::from_utf8(output.stderr).unwrap(),
        };
        let shown = finished.results.chars().chain(finished.messages.chars());
        assert!(
            !shown.clone().any(|character| character.is_control() && character != '\n'),
            "a control character was shown: {finished:?}"
        );
        finished
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
