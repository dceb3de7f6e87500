//! `kill -9` at every system call of the server: whatever the call, a name has the old content, none, or the
//! whole new one, `ok` is kept, and the next try completes it.

use crate::attempt::{Attempt, Ended};
use crate::folders::{
    HIDDEN, LARGE, NAME, OLD, SMALL, complete, copy_of, expect_one_of, keep_beginning, template,
};
use crate::kills::{Run, sweep};
use ferry_tests::binaries;
use ferry_tests::content::Content;
use ferry_tests::server::Options;
use ferry_tests::tracing::injector::{Aim, Injector};
use ferry_tests::wait::{WAIT_LIMIT, wait_at_most, wait_until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

/// What an upload finds.
#[derive(Clone, Copy)]
struct Upload<'a> {
    content: Content,
    old: Option<Content>,
    kept_bytes: u64,
    /// A folder to begin with.
    template: &'a Path,
}

fn upload_killed(upload: Upload<'_>, aim: Aim) -> Run {
    let folder = copy_of(upload.template);
    let server = Options::default().root(folder.path()).start();
    wait_until("sleep of the threads", || server.process().is_asleep());
    let idle = server.process().descriptors();
    let mut injector = Injector::attach(server.process(), aim);
    let ended = match Attempt::with(server.control_address(), WAIT_LIMIT) {
        Ok(mut attempt) => attempt.upload(NAME, upload.content, upload.kept_bytes),
        Err(ended) => ended,
    };
    let descriptors = Path::new("/proc").join(server.process().pid().to_string()).join("fd");
    let is_idle = || fs::read_dir(&descriptors).map_or(0, Iterator::count) <= idle;
    wait_at_most(WAIT_LIMIT, || (injector.has_fired() || is_idle()).then_some(())).unwrap();
    let (counts, has_fired) = (injector.counts(), injector.has_fired());
    injector.kill();
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

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_new_small_upload_survives_a_kill_at_every_call() {
    let (template, _) = template(|_| {});
    let upload = Upload { content: SMALL, old: None, kept_bytes: 0, template: template.path() };
    sweep("server, small upload of a new name", |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_overwritten_file_survives_a_kill_at_every_call() {
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let upload = Upload { content: SMALL, old: Some(OLD), kept_bytes: 0, template: template.path() };
    sweep("server, small upload over a file", |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_large_upload_survives_a_kill_at_every_call() {
    let (template, _) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let upload = Upload { content: LARGE, old: Some(OLD), kept_bytes: 0, template: template.path() };
    sweep("server, large upload over a file", |aim| upload_killed(upload, aim));
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_a_kill_at_every_call() {
    let (template, kept_bytes) = template(keep_beginning);
    let upload = Upload { content: LARGE, old: None, kept_bytes, template: template.path() };
    sweep("server, resumed upload", |aim| upload_killed(upload, aim));
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
        // The lock file that a dead server leaves, and no process holds.
        fs::write(hidden.join("dead/lock"), "").unwrap();
        let name = format!("{}-0", kept.to_str().unwrap());
        fs::rename(partial.join(&kept), hidden.join("dead").join(name)).unwrap();
        fs::write(folder.join(NAME), OLD.bytes()).unwrap();
        kept_bytes
    });
    let run = |aim| start_killed(template.path(), kept_bytes, aim);
    sweep("server, start", run);
}

fn start_killed(template: &Path, kept_bytes: u64, aim: Aim) -> Run {
    let folder = copy_of(template);
    let mut command = Command::new(binaries::ferryd());
    command.args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0"]).arg(folder.path());
    let (mut injector, mut child) = Injector::launch(&command, aim);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let is_ready = log.any(|line| line.contains("The server is ready to receive"));
    injector.kill();
    let (counts, has_fired) = (injector.counts(), injector.has_fired());

    let context = format!("{aim:?}");
    assert!(is_ready || has_fired, "{context}");
    expect_one_of(folder.path(), Some(OLD), LARGE, false, &context);
    let server = Options::default().root(folder.path()).start();
    let mut attempt = Attempt::with(server.control_address(), WAIT_LIMIT).unwrap();
    let kept = attempt.kept(NAME).map(|kept| kept.offset);
    assert_eq!(kept, Some(kept_bytes), "{context}: what was kept is lost");
    complete(&server, LARGE, &context);
    Run { counts, has_fired }
}
