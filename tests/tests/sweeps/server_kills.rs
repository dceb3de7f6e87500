//! `kill -9` at every system call of the server: whatever the call, a name has the old content, none, or the
//! whole new one, `ok` is kept, and the next try completes it.

use crate::attempt::{Attempt, Ended};
use crate::folders::{
    HIDDEN, LARGE, NAME, OLD, SMALL, complete, copy_of, expect_one_of, keep_beginning, template,
};
use crate::ftp;
use crate::kills::{Run, sweep};
use ferry_tests::binaries;
use ferry_tests::server::{ON_FREE_PORTS, Options, Server};
use ferry_tests::tracing::injector::{Aim, Injector};
use ferry_tests::wait::{WAIT_LIMIT, wait_at_most, wait_until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

/// What an upload finds, and how it goes.
#[derive(Clone, Copy)]
struct Upload<'a> {
    transfer: &'a (dyn Fn(&Server) -> Ended + Sync),
    /// What the file is to be.
    new: &'a [u8],
    old: Option<&'a [u8]>,
    /// A folder to begin with.
    template: &'a Path,
}

fn upload_killed(upload: Upload<'_>, aim: Aim) -> Run {
    let folder = copy_of(upload.template);
    let server = Options::default().root(folder.path()).start();
    wait_until("sleep of the threads", || server.process().is_asleep());
    let idle = server.process().descriptors();
    let mut injector = Injector::attach(server.process(), aim);
    let ended = (upload.transfer)(&server);
    let descriptors = Path::new("/proc").join(server.process().pid().to_string()).join("fd");
    let is_idle = || fs::read_dir(&descriptors).map_or(0, Iterator::count) <= idle;
    wait_at_most(WAIT_LIMIT, || (injector.has_fired() || is_idle()).then_some(())).unwrap();
    let (counts, has_fired) = (injector.counts(), injector.has_fired());
    injector.kill();
    drop(server);

    let context = format!("{aim:?}, which ended the upload in {ended:?}");
    assert!(has_fired || ended == Ended::Ok, "{context}");
    assert!(matches!(ended, Ended::Ok | Ended::Closed), "{context}");
    expect_one_of(folder.path(), upload.old, upload.new, ended == Ended::Ok, &context);
    let server = Options::default().root(folder.path()).start();
    expect_one_of(folder.path(), upload.old, upload.new, ended == Ended::Ok, &context);
    complete(&server, upload.new, &context);
    Run { counts, has_fired }
}

/// An upload by Ferry's own protocol, behind what is kept of it.
fn upload(server: &Server, content: &[u8], kept_bytes: u64) -> Ended {
    match Attempt::with(server.control_address(), WAIT_LIMIT) {
        Ok(mut attempt) => attempt.upload(NAME, content, kept_bytes),
        Err(ended) => ended,
    }
}

/// `template` has what the upload finds; it is to make `new` of the file.
fn sweep_uploads(title: &str, template: &Path, new: &[u8], transfer: &(dyn Fn(&Server) -> Ended + Sync)) {
    let old = fs::read(template.join(NAME)).ok();
    let upload = Upload { transfer, new, old: old.as_deref(), template };
    sweep(title, |aim| upload_killed(upload, aim));
}

fn with_old(folder: &Path) {
    fs::write(folder.join(NAME), OLD.bytes()).unwrap();
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_new_small_upload_survives_a_kill_at_every_call() {
    let (folder, small) = (template(|_| {}).0, SMALL.bytes());
    let transfer = |server: &Server| upload(server, &small, 0);
    sweep_uploads("server, small upload of a new name", folder.path(), &small, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_overwritten_file_survives_a_kill_at_every_call() {
    let (folder, small) = (template(with_old).0, SMALL.bytes());
    let transfer = |server: &Server| upload(server, &small, 0);
    sweep_uploads("server, small upload over a file", folder.path(), &small, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_large_upload_survives_a_kill_at_every_call() {
    let (folder, large) = (template(with_old).0, LARGE.bytes());
    let transfer = |server: &Server| upload(server, &large, 0);
    sweep_uploads("server, large upload over a file", folder.path(), &large, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn a_resumed_upload_survives_a_kill_at_every_call() {
    let ((folder, kept_bytes), large) = (template(keep_beginning), LARGE.bytes());
    let transfer = |server: &Server| upload(server, &large, kept_bytes);
    sweep_uploads("server, resumed upload", folder.path(), &large, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_ftp_upload_survives_a_kill_at_every_call() {
    let (folder, small) = (template(|_| {}).0, SMALL.bytes());
    let transfer =
        |server: &Server| ftp::upload(server.ftp_address(), WAIT_LIMIT, &format!("STOR {NAME}"), &small);
    sweep_uploads("server, FTP upload of a new name", folder.path(), &small, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_ftp_upload_over_a_file_survives_a_kill_at_every_call() {
    let (folder, small) = (template(with_old).0, SMALL.bytes());
    let transfer =
        |server: &Server| ftp::upload(server.ftp_address(), WAIT_LIMIT, &format!("STOR {NAME}"), &small);
    sweep_uploads("server, FTP upload over a file", folder.path(), &small, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn what_is_appended_over_ftp_survives_a_kill_at_every_call() {
    let (folder, small) = (template(with_old).0, SMALL.bytes());
    let whole = [OLD.bytes(), SMALL.bytes()].concat();
    let transfer =
        |server: &Server| ftp::upload(server.ftp_address(), WAIT_LIMIT, &format!("APPE {NAME}"), &small);
    sweep_uploads("server, FTP append", folder.path(), &whole, &transfer);
}

#[test]
#[ignore = "takes long, and traces; run tests/checks"]
fn an_ftp_upload_that_is_gone_on_with_survives_a_kill_at_every_call() {
    let ((folder, kept_bytes), large) = (template(keep_beginning), LARGE.bytes());
    let rest = &large[usize::try_from(kept_bytes).unwrap()..];
    let transfer = |server: &Server| ftp::resume(server.ftp_address(), WAIT_LIMIT, (NAME, kept_bytes), rest);
    sweep_uploads("server, FTP upload that is gone on with", folder.path(), &large, &transfer);
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
    command.args(ON_FREE_PORTS).arg(folder.path());
    let (mut injector, mut child) = Injector::launch(&command, aim);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let is_ready = log.any(|line| line.contains("The server is ready to receive"));
    injector.kill();
    let (counts, has_fired) = (injector.counts(), injector.has_fired());

    let context = format!("{aim:?}");
    assert!(is_ready || has_fired, "{context}");
    expect_one_of(folder.path(), Some(&OLD.bytes()), &LARGE.bytes(), false, &context);
    let server = Options::default().root(folder.path()).start();
    let mut attempt = Attempt::with(server.control_address(), WAIT_LIMIT).unwrap();
    let kept = attempt.kept(NAME).map(|kept| kept.offset);
    assert_eq!(kept, Some(kept_bytes), "{context}: what was kept is lost");
    complete(&server, &LARGE.bytes(), &context);
    Run { counts, has_fired }
}
