//! Transfers of the client, to which something happens on the way. Whatever it is, the name at the receiving
//! end has the old file or the whole new one, and the next run completes it.

use crate::folders::{HIDDEN, LARGE, NAME, OLD, SMALL, copy, expect_one_of, keep_beginning, template};
use crate::kills::Run;
use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use ferry_tests::tracing::injector::{Aim, Injector, Point};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

const DOWNLOAD: &str = "download a.txt";
const UPLOAD: &str = "upload a.txt";

/// What is to be moved.
#[derive(Clone, Copy)]
struct Transfer<'a> {
    content: Content,
    old: Option<Content>,
    /// The folder of the receiving end to begin with.
    template: &'a Path,
}

/// A run of the client, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) run: Run,
    /// `None` where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) messages: Vec<String>,
}

/// Makes one run after another, each with something else in it.
pub(crate) type Runs<'a> = &'a (dyn Fn(Aim) -> Ran + Sync);

pub(crate) fn small_download_over_a_file(sweep: impl FnOnce(Runs<'_>)) {
    let server = Server::start();
    server.put(NAME, SMALL.bytes());
    let (template, ()) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let transfer = Transfer { content: SMALL, old: Some(OLD), template: template.path() };
    sweep(&|aim| download(&server, transfer, aim));
}

pub(crate) fn resumed_download(sweep: impl FnOnce(Runs<'_>)) {
    let server = Server::start();
    server.put(NAME, LARGE.bytes());
    let (template, ()) = template(|folder| {
        // One that is killed when it has written half.
        let ferry = Ferry::new();
        let whole = run(&ferry, &server, DOWNLOAD, Aim::Watch).run;
        fs::remove_file(ferry.path(NAME)).unwrap();
        let (&call, &count) = whole.counts.iter().find(|(call, _)| call.name() == "pwrite64").unwrap();
        // How many writes there are depends on how much each read brings: another run may have fewer.
        let is_killed = (1..=count.div_ceil(2)).rev().any(|occurrence| {
            let _ = fs::remove_file(ferry.path(NAME));
            run(&ferry, &server, DOWNLOAD, Aim::Kill(Point { call, occurrence })).run.has_fired
        });
        assert!(is_killed && ferry.files().len() == 1, "{:?}", ferry.files());
        copy(&ferry.local(), folder);
    });
    let transfer = Transfer { content: LARGE, old: None, template: template.path() };
    sweep(&|aim| download(&server, transfer, aim));
}

pub(crate) fn small_upload_over_a_file(sweep: impl FnOnce(Runs<'_>)) {
    let (template, ()) = template(|folder| fs::write(folder.join(NAME), OLD.bytes()).unwrap());
    let transfer = Transfer { content: SMALL, old: Some(OLD), template: template.path() };
    sweep(&|aim| upload(transfer, aim));
}

pub(crate) fn resumed_upload(sweep: impl FnOnce(Runs<'_>)) {
    let (template, _) = template(keep_beginning);
    let transfer = Transfer { content: LARGE, old: None, template: template.path() };
    sweep(&|aim| upload(transfer, aim));
}

/// A tree of a file that replaces another, three new ones, one of them large, and an empty folder.
const TREE: &[(&str, Content)] = &[
    ("tree/a.txt", SMALL),
    ("tree/folder/new", Content { seed: 11, size_bytes: 5000 }),
    ("tree/empty-file", Content { seed: 12, size_bytes: 0 }),
    ("tree/large", Content { seed: 13, size_bytes: 1_500_000 }),
];
const EMPTY_FOLDER: &str = "tree/empty-folder";
const REPLACED: &str = "tree/a.txt";

pub(crate) fn tree_download(sweep: impl FnOnce(Runs<'_>)) {
    let server = Server::start();
    plant(server.root());
    sweep(&|aim| {
        let ferry = Ferry::new();
        plant_old(&ferry.local());
        let ran = run(&ferry, &server, "download tree", aim);
        let context = format!("{aim:?}, status {:?}, {:?}", ran.status, ran.messages);
        expect_tree(&ferry.local(), ran.status == Some(0), &context);
        ferry.run(server.control_address(), &["download tree"]).expect_status(0);
        expect_tree(&ferry.local(), true, &context);
        let mut left = ferry_tests::tree::harvest(&ferry.local()).into_keys();
        let is_hidden =
            |path: &std::path::PathBuf| path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
        assert_eq!(left.find(is_hidden), None, "{context}: left over after the second run");
        ran
    });
}

pub(crate) fn tree_upload(sweep: impl FnOnce(Runs<'_>)) {
    sweep(&|aim| {
        let (server, ferry) = (Server::start(), Ferry::new());
        plant(&ferry.local());
        plant_old(server.root());
        let ran = run(&ferry, &server, "upload tree", aim);
        let context = format!("{aim:?}, status {:?}, {:?}", ran.status, ran.messages);
        expect_tree(server.root(), ran.status == Some(0), &context);
        ferry.run(server.control_address(), &["upload tree"]).expect_status(0);
        expect_tree(server.root(), true, &context);
        ran
    });
}

fn plant(folder: &Path) {
    fs::create_dir_all(folder.join(EMPTY_FOLDER)).unwrap();
    fs::create_dir_all(folder.join("tree/folder")).unwrap();
    for (name, content) in TREE {
        fs::write(folder.join(name), content.bytes()).unwrap();
    }
}

fn plant_old(folder: &Path) {
    fs::create_dir_all(folder.join("tree")).unwrap();
    fs::write(folder.join(REPLACED), OLD.bytes()).unwrap();
}

/// Each name has the old content, none, or the whole new one, and there are no others.
#[track_caller]
fn expect_tree(folder: &Path, must_be_new: bool, context: &str) {
    for &(name, content) in TREE {
        let found = fs::read(folder.join(name)).ok();
        let is_new = found.as_ref().is_some_and(|found| *found == content.bytes());
        let is_old = found == (name == REPLACED).then(|| OLD.bytes());
        assert!(is_new || (is_old && !must_be_new), "{context}: a wrong {name}");
    }
    assert!(!must_be_new || folder.join(EMPTY_FOLDER).is_dir(), "{context}: a folder is missing");
    let mut folders = vec![folder.to_owned()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(&within).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let known = path.strip_prefix(folder).unwrap();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            } else {
                let is_meant = TREE.iter().any(|(name, _)| Path::new(name) == known);
                assert!(is_meant, "{context}: {known:?} is left over");
            }
        }
    }
}

fn run(ferry: &Ferry, server: &Server, line: &str, aim: Aim) -> Ran {
    let mut command = ferry.command(server.control_address());
    command.args(["-c", line]);
    let (mut injector, mut child) = Injector::launch(&command, aim);
    let messages: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    let status = injector.wait();
    let run = Run { counts: injector.counts(), has_fired: injector.has_fired() };
    let ran = Ran { run, status, messages };
    assert!(ran.run.has_fired || status == Some(0), "{aim:?}: {ran:?}");
    ran
}

fn download(server: &Server, transfer: Transfer<'_>, aim: Aim) -> Ran {
    let ferry = Ferry::new();
    copy(transfer.template, &ferry.local());
    let ran = run(&ferry, server, DOWNLOAD, aim);
    let context = format!("{aim:?}, status {:?}, {:?}", ran.status, ran.messages);
    let check = |must_be_new: bool| {
        let found = fs::read(ferry.path(NAME)).ok();
        let is_new = found.as_ref().is_some_and(|found| *found == transfer.content.bytes());
        let is_old = found == transfer.old.map(|old| old.bytes());
        assert!(is_new || (is_old && !must_be_new), "{context}: a wrong file");
        for name in ferry.files() {
            assert!(name == NAME || name.starts_with('.'), "{context}: {name:?} is left over");
        }
    };
    check(ran.status == Some(0));
    ferry.run(server.control_address(), &[DOWNLOAD]).expect_status(0);
    check(true);
    assert_eq!(ferry.files(), [NAME], "{context}");
    ran
}

fn upload(transfer: Transfer<'_>, aim: Aim) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    copy(transfer.template, folder.path());
    let server = Options::default().root(folder.path()).start();
    let ferry = Ferry::new();
    ferry.put(NAME, transfer.content.bytes());
    let ran = run(&ferry, &server, UPLOAD, aim);
    let context = format!("{aim:?}, status {:?}, {:?}", ran.status, ran.messages);
    expect_one_of(
        server.root(),
        transfer.old.map(|old| old.bytes()).as_deref(),
        &transfer.content.bytes(),
        ran.status == Some(0),
        &context,
    );
    ferry.run(server.control_address(), &[UPLOAD]).expect_status(0);
    expect_one_of(
        server.root(),
        transfer.old.map(|old| old.bytes()).as_deref(),
        &transfer.content.bytes(),
        true,
        &context,
    );
    assert_eq!(ferry.files(), [NAME], "{context}");
    drop(server);
    // The killed client's upload may have been kept only after the second one had begun.
    let server = Options::default().root(folder.path()).start();
    expect_one_of(
        server.root(),
        transfer.old.map(|old| old.bytes()).as_deref(),
        &transfer.content.bytes(),
        true,
        &context,
    );
    let mut staged = server.staged_files();
    staged.retain(|name| !name.starts_with(&format!("{HIDDEN}/partial/")));
    assert_eq!(staged, Vec::<String>::new(), "{context}");
    ran
}
