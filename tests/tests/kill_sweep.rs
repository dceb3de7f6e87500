//! `kill -9` at every system call of an upload, of a start, and of the client: whatever the call, a name
//! has the old content, none, or the whole new one, `ok` is kept, and the next try completes it.
//! Run by `tests/checks`. With `FERRY_SWEEP=full` the client is killed at the calls as well that have
//! nothing to do with files or sockets.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

use ferry_common::digest::Digest;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_tests::attempt::{Attempt, Ended};
use ferry_tests::binaries;
use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use ferry_tests::tracer::{Aim, Call, Point, Tracer};
use ferry_tests::wait::{PATIENCE, wait_at_most, wait_for, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const NAME: &str = "a.txt";
const HIDDEN: &str = ".ferry-staging";
const SMALL: Content = Content { seed: 1, size_bytes: 1000 };
const OLD: Content = Content { seed: 2, size_bytes: 700 };
const LARGE: Content = Content { seed: 3, size_bytes: 3 << 20 };
/// Sent of an upload that is then broken off.
const SENT_BYTES: u64 = 2 << 20;

const SWEEPERS: usize = 2;
/// A call that threads happen to make or not is tried this often.
const TRIES: usize = 8;
/// Calls by which threads wait for each other or manage memory: how often they are made is up to chance.
const CHANCE_CALLS: &[&str] =
    &["futex", "sched_yield", "madvise", "mmap", "munmap", "mprotect", "mremap", "brk", "restart_syscall"];
/// What else a program does without touching a file or a socket.
const INNER_CALLS: &[&str] = &[
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "prlimit64",
    "rseq",
    "set_robust_list",
    "set_tid_address",
    "arch_prctl",
    "sched_getaffinity",
    "gettid",
    "getrandom",
];

/// What a run under the knife came to.
struct Run {
    counts: BTreeMap<Call, usize>,
    has_fired: bool,
}

#[derive(Default)]
struct Tally {
    tried: usize,
    fired: usize,
    unreached: Vec<Point>,
    fired_calls: BTreeSet<&'static str>,
}

/// Makes one reference run, then one for each call in it.
fn sweep(title: &str, wanted: impl Fn(Call) -> bool, run: impl Fn(Aim) -> Run + Sync) {
    let reference = run(Aim::Watch).counts;
    let points: Vec<Point> = reference
        .iter()
        .filter(|(call, _)| wanted(**call))
        .flat_map(|(&call, &count)| (1..=count).map(move |occurrence| Point { call, occurrence }))
        .collect();
    assert!(!points.is_empty(), "nothing was traced");
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..SWEEPERS {
            scope.spawn(|| {
                while let Some(&point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let has_fired = (0..TRIES).any(|_| run(Aim::Kill(point)).has_fired);
                    let mut tally = tally.lock().unwrap();
                    tally.tried += 1;
                    if has_fired {
                        tally.fired += 1;
                        tally.fired_calls.insert(point.call.name());
                    } else {
                        tally.unreached.push(point);
                    }
                }
            });
        }
    });
    let Tally { tried, fired, unreached, fired_calls } = tally.into_inner().unwrap();
    println!("{title}: {tried} calls, killed at {fired}, not reached {}", unreached.len());
    assert_eq!(tried, points.len());
    for point in &unreached {
        println!("  not reached: {point}");
    }
    for point in &points {
        let name = point.call.name();
        assert!(fired_calls.contains(name) || CHANCE_CALLS.contains(&name), "never killed at {name}");
    }
    let missed = unreached.iter().filter(|point| !CHANCE_CALLS.contains(&point.call.name())).count();
    assert!(missed * 10 <= tried, "too many calls were not reached");
}

fn any(_: Call) -> bool {
    true
}

fn of_files_and_sockets(call: Call) -> bool {
    std::env::var_os("FERRY_SWEEP").is_some_and(|value| value == "full")
        || !(CHANCE_CALLS.contains(&call.name()) || INNER_CALLS.contains(&call.name()))
}

/// What an upload finds.
#[derive(Clone, Copy)]
struct Upload<'a> {
    content: Content,
    old: Option<Content>,
    kept_bytes: u64,
    /// A folder to begin with.
    template: &'a Path,
}

fn template<T>(prepare: impl FnOnce(&Path) -> T) -> (TempDir, T) {
    let folder = tempfile::tempdir().unwrap();
    let result = prepare(folder.path());
    (folder, result)
}

fn copy_of(template: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(template, folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Has a server keep about that much of the beginning of [`LARGE`]; tells how much it is.
fn keep_beginning(folder: &Path) -> u64 {
    let server = Options::default().root(folder).start();
    let mut attempt = Attempt::with(server.control_address(), PATIENCE).unwrap();
    let ended = attempt.upload_beginning(NAME, LARGE, SENT_BYTES);
    assert!(matches!(ended, Ended::Refused(_)), "{ended:?}");
    wait_for("kept upload", || attempt.kept(NAME).unwrap()).offset
}

fn upload_killed(upload: Upload<'_>, aim: Aim) -> Run {
    let folder = copy_of(upload.template);
    let server = Options::default().root(folder.path()).start();
    wait_until("sleep of the threads", || server.process().is_asleep());
    let idle = server.process().descriptors();
    let mut tracer = Tracer::attach(server.process(), aim);
    let ended = match Attempt::with(server.control_address(), PATIENCE) {
        Ok(mut attempt) => attempt.upload(NAME, upload.content, upload.kept_bytes),
        Err(error) => Ended::of(&error),
    };
    let descriptors = Path::new("/proc").join(server.process().pid().to_string()).join("fd");
    let is_idle = || fs::read_dir(&descriptors).map_or(0, Iterator::count) <= idle;
    wait_at_most(PATIENCE, || (tracer.has_fired() || is_idle()).then_some(())).unwrap();
    let (counts, has_fired) = (tracer.counts(), tracer.has_fired());
    tracer.kill();
    drop(server);

    let context = format!("{aim:?}, which ended the upload in {ended:?}");
    assert!(has_fired || ended == Ended::Ok, "{context}");
    assert!(matches!(ended, Ended::Ok | Ended::Closed), "{context}");
    expect_one_of(folder.path(), upload.old, upload.content, ended == Ended::Ok, &context);
    let server = Options::default().root(folder.path()).start();
    expect_one_of(folder.path(), upload.old, upload.content, ended == Ended::Ok, &context);
    complete(&server, upload.content, &context);
    Run { counts, has_fired }
}

/// The served folder has the old content, none, or the new under the name, and nothing else.
#[track_caller]
fn expect_one_of(folder: &Path, old: Option<Content>, new: Content, must_be_new: bool, context: &str) {
    let found = fs::read(folder.join(NAME)).ok();
    let is_new = found.as_ref().is_some_and(|found| *found == new.bytes());
    let is_old = found == old.map(|old| old.bytes());
    assert!(is_new || (is_old && !must_be_new), "{context}: a wrong file, or `ok` is not kept");
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        assert!(name == NAME || name == HIDDEN, "{context}: {name:?} is left over");
    }
}

/// The next try does as a client does: it asks what is kept, goes on with that, and has the file in the end.
#[track_caller]
fn complete(server: &Server, content: Content, context: &str) {
    let mut attempt = Attempt::with(server.control_address(), PATIENCE).unwrap();
    let mut kept_bytes = 0;
    if content.size_bytes > EAGER_MAX_BYTES
        && let Some(kept) = attempt.kept(NAME).unwrap()
    {
        kept_bytes = kept.offset;
        let beginning = &content.bytes()[..usize::try_from(kept_bytes).unwrap()];
        assert_eq!(kept.digest, Digest::of(beginning), "{context}: what is kept is no beginning of the file");
    }
    assert_eq!(attempt.upload(NAME, content, kept_bytes), Ended::Ok, "{context}");
    assert!(fs::read(server.path(NAME)).unwrap() == content.bytes(), "{context}");
    assert_eq!(server.staged_files(), Vec::<String>::new(), "{context}");
    assert_eq!(attempt.download(NAME, content), Ended::Ok, "{context}");
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_new_small_upload_survives_a_kill_at_every_call() {
    let (template, _) = template(|_| {});
    let upload = Upload { content: SMALL, old: None, kept_bytes: 0, template: template.path() };
    sweep("server, small upload of a new name", any, |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_overwritten_file_survives_a_kill_at_every_call() {
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let upload = Upload { content: SMALL, old: Some(OLD), kept_bytes: 0, template: template.path() };
    sweep("server, small upload over a file", any, |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_large_upload_survives_a_kill_at_every_call() {
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let upload = Upload { content: LARGE, old: Some(OLD), kept_bytes: 0, template: template.path() };
    sweep("server, large upload over a file", any, |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_a_kill_at_every_call() {
    let (template, kept_bytes) = template(keep_beginning);
    let upload = Upload { content: LARGE, old: None, kept_bytes, template: template.path() };
    sweep("server, resumed upload", any, |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_start_with_a_kept_upload_survives_a_kill_at_every_call() {
    // One that a killed server has left, and that this one must take up.
    let (template, kept_bytes) = template(|folder| {
        let kept_bytes = keep_beginning(folder);
        let hidden = folder.join(HIDDEN);
        let partial = hidden.join("partial");
        let kept = fs::read_dir(&partial).unwrap().next().unwrap().unwrap().file_name();
        fs::create_dir(hidden.join("dead")).unwrap();
        let name = format!("{}-0", kept.to_str().unwrap());
        fs::rename(partial.join(&kept), hidden.join("dead").join(name)).unwrap();
        fs::write(folder.join(NAME), OLD.bytes()).unwrap();
        kept_bytes
    });
    let run = |aim| start_killed(template.path(), kept_bytes, aim);
    sweep("server, start", of_files_and_sockets, run);
}

fn start_killed(template: &Path, kept_bytes: u64, aim: Aim) -> Run {
    let folder = copy_of(template);
    let mut command = Command::new(binaries::ferryd());
    command.args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0"]).arg(folder.path());
    let (mut tracer, mut child) = Tracer::launch(&command, aim);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let is_ready = log.any(|line| line.contains("The server is ready to receive"));
    tracer.kill();
    let (counts, has_fired) = (tracer.counts(), tracer.has_fired());

    let context = format!("{aim:?}");
    assert!(is_ready || has_fired, "{context}");
    expect_one_of(folder.path(), Some(OLD), LARGE, false, &context);
    let server = Options::default().root(folder.path()).start();
    let mut attempt = Attempt::with(server.control_address(), PATIENCE).unwrap();
    let kept = attempt.kept(NAME).unwrap().map(|kept| kept.offset);
    assert_eq!(kept, Some(kept_bytes), "{context}: what was kept is lost");
    complete(&server, LARGE, &context);
    Run { counts, has_fired }
}

/// The local side of a client that is to be killed.
#[derive(Clone, Copy)]
struct Local<'a> {
    /// Its command.
    line: &'a str,
    content: Content,
    old: Option<Content>,
    /// Its folder to begin with.
    template: &'a Path,
}

fn run_client(ferry: &Ferry, server: &Server, line: &str, aim: Aim) -> (Run, Option<i32>) {
    let mut command = ferry.command(server.control_address());
    command.args(["-c", line]);
    let (mut tracer, mut child) = Tracer::launch(&command, aim);
    let messages: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    let status = tracer.wait();
    let run = Run { counts: tracer.counts(), has_fired: tracer.has_fired() };
    assert!(run.has_fired || status == Some(0), "{aim:?}: {status:?} {messages:?}");
    (run, status)
}

fn download_killed(server: &Server, local: Local<'_>, aim: Aim) -> Run {
    let ferry = Ferry::new();
    copy(local.template, &ferry.local());
    let (run, status) = run_client(&ferry, server, local.line, aim);
    let context = format!("{aim:?}, status {status:?}");
    let check = |must_be_new: bool| {
        let found = fs::read(ferry.path(NAME)).ok();
        let is_new = found.as_ref().is_some_and(|found| *found == local.content.bytes());
        let is_old = found == local.old.map(|old| old.bytes());
        assert!(is_new || (is_old && !must_be_new), "{context}: a wrong file");
        for name in ferry.files() {
            assert!(name == NAME || name.starts_with('.'), "{context}: {name:?} is left over");
        }
    };
    check(status == Some(0));
    ferry.run(server.control_address(), &[local.line]).expect_status(0);
    check(true);
    assert_eq!(ferry.files(), [NAME], "{context}");
    run
}

fn upload_by_killed(local: Local<'_>, aim: Aim) -> Run {
    let folder = tempfile::tempdir().unwrap();
    copy(local.template, folder.path());
    let server = Options::default().root(folder.path()).start();
    let ferry = Ferry::new();
    ferry.put(NAME, local.content.bytes());
    let (run, status) = run_client(&ferry, &server, local.line, aim);
    let context = format!("{aim:?}, status {status:?}");
    expect_one_of(server.root(), local.old, local.content, status == Some(0), &context);
    ferry.run(server.control_address(), &[local.line]).expect_status(0);
    expect_one_of(server.root(), local.old, local.content, true, &context);
    assert_eq!(ferry.files(), [NAME], "{context}");
    drop(server);
    // The killed client's upload may have been kept only after the second one had begun.
    let server = Options::default().root(folder.path()).start();
    expect_one_of(server.root(), local.old, local.content, true, &context);
    let mut staged = server.staged_files();
    staged.retain(|name| !name.starts_with(&format!("{HIDDEN}/partial/")));
    assert_eq!(staged, Vec::<String>::new(), "{context}");
    run
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_download_survives_a_kill_of_the_client_at_every_call() {
    let server = Server::start();
    server.put(NAME, SMALL.bytes());
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let line = format!("download {NAME}");
    let local = Local { line: &line, content: SMALL, old: Some(OLD), template: template.path() };
    let run = |aim| download_killed(&server, local, aim);
    sweep("client, small download over a file", of_files_and_sockets, run);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_download_survives_a_kill_of_the_client_at_every_call() {
    let server = Server::start();
    server.put(NAME, LARGE.bytes());
    let line = format!("download {NAME}");
    let (template, _) = template(|folder| {
        // One that is killed when it has written half.
        let ferry = Ferry::new();
        let (whole, _) = run_client(&ferry, &server, &line, Aim::Watch);
        fs::remove_file(ferry.path(NAME)).unwrap();
        let (&call, &count) = whole.counts.iter().find(|(call, _)| call.name() == "pwrite64").unwrap();
        let half = Point { call, occurrence: count.div_ceil(2) };
        let (run, _) = run_client(&ferry, &server, &line, Aim::Kill(half));
        assert!(run.has_fired && ferry.files().len() == 1, "{:?}", ferry.files());
        copy(&ferry.local(), folder);
    });
    let local = Local { line: &line, content: LARGE, old: None, template: template.path() };
    let run = |aim| download_killed(&server, local, aim);
    sweep("client, resumed download", of_files_and_sockets, run);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_upload_survives_a_kill_of_the_client_at_every_call() {
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let line = format!("upload {NAME}");
    let local = Local { line: &line, content: SMALL, old: Some(OLD), template: template.path() };
    sweep("client, small upload over a file", of_files_and_sockets, |aim| upload_by_killed(local, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_a_kill_of_the_client_at_every_call() {
    let (template, _) = template(keep_beginning);
    let line = format!("upload {NAME}");
    let local = Local { line: &line, content: LARGE, old: None, template: template.path() };
    sweep("client, resumed upload", of_files_and_sockets, |aim| upload_by_killed(local, aim));
}
