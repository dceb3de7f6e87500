//! Random sequences of everything that clients do, from several sessions, against a server and against a
//! model of it that is a map in memory. `FERRY_SEED` replays one of them.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::EntryKind;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::reply::Reply;
use ferry_tests::content::Content;
use ferry_tests::random::Random;
use ferry_tests::server::Server;
use ferry_tests::session::{Attempt, Failure, Session, path};
use ferry_tests::wait::{wait_for, wait_until};
use std::collections::BTreeMap;
use std::path::Path;

const SEEDS: u64 = 300;
const STEPS: usize = 40;
const SESSIONS: usize = 3;
/// Few, so that they meet.
const NAMES: &[&str] = &["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a"];
/// So much that it is kept when it breaks off near its end, whatever the server had not written by then.
const LARGE_BYTES: u64 = 3 * EAGER_MAX_BYTES;

/// What is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(Vec<u8>),
    Dir,
}

/// The folder as it should be: names to what is there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    nodes: BTreeMap<String, Node>,
}

impl Model {
    fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    fn has_entries(&self, name: &str) -> bool {
        self.nodes.keys().any(|other| is_beneath(other, name))
    }

    /// The directory that a name is to be in must be one.
    fn parent(&self, name: &str) -> Result<(), ErrorCode> {
        let mut ends = name.match_indices('/').map(|(end, _)| end);
        ends.try_for_each(|end| match self.get(&name[..end]) {
            None => Err(ErrorCode::NoParent),
            Some(Node::File(_)) => Err(ErrorCode::NotDirectory),
            Some(Node::Dir) => Ok(()),
        })
    }

    /// As [`Model::parent`], for what should be there already.
    fn parent_of_existing(&self, name: &str) -> Result<(), ErrorCode> {
        let not_found = |code| if code == ErrorCode::NoParent { ErrorCode::NotFound } else { code };
        self.parent(name).map_err(not_found)
    }

    /// What is there, for commands that want it to be.
    fn find(&self, name: &str) -> Result<&Node, ErrorCode> {
        self.parent_of_existing(name)?;
        self.get(name).ok_or(ErrorCode::NotFound)
    }

    fn file(&self, name: &str) -> Result<&Vec<u8>, ErrorCode> {
        match self.find(name)? {
            Node::File(content) => Ok(content),
            Node::Dir => Err(ErrorCode::IsDirectory),
        }
    }

    fn admits_upload(&self, name: &str, new: bool) -> Result<(), ErrorCode> {
        self.parent(name)?;
        match self.get(name) {
            Some(Node::Dir) => Err(ErrorCode::IsDirectory),
            Some(Node::File(_)) if new => Err(ErrorCode::Exists),
            Some(Node::File(_)) | None => Ok(()),
        }
    }

    fn make_directory(&mut self, name: &str) -> Result<(), ErrorCode> {
        self.parent(name)?;
        match self.get(name) {
            Some(_) => Err(ErrorCode::Exists),
            None => {
                self.nodes.insert(name.to_owned(), Node::Dir);
                Ok(())
            }
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), ErrorCode> {
        self.find(name)?;
        if self.has_entries(name) {
            return Err(ErrorCode::NotEmpty);
        }
        self.nodes.remove(name);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<(), ErrorCode> {
        self.parent_of_existing(from)?;
        self.parent(to)?;
        let moved = self.find(from)?.clone();
        match self.get(to) {
            Some(Node::Dir) if replace => return Err(ErrorCode::IsDirectory),
            Some(_) if !replace => return Err(ErrorCode::Exists),
            Some(_) if moved == Node::Dir => return Err(ErrorCode::NotDirectory),
            Some(_) => {}
            None if is_beneath(to, from) => return Err(ErrorCode::BadPath),
            None => {}
        }
        let names: Vec<String> =
            self.nodes.keys().filter(|name| *name == from || is_beneath(name, from)).cloned().collect();
        for name in names {
            let node = self.nodes.remove(&name).unwrap();
            self.nodes.insert(format!("{to}{}", &name[from.len()..]), node);
        }
        Ok(())
    }

    /// The names in a directory.
    fn entries(&self, name: &str) -> Vec<&str> {
        let of_root = name == ".";
        self.nodes
            .keys()
            .filter_map(|other| {
                let rest = if of_root { other } else { other.strip_prefix(name)?.strip_prefix('/')? };
                (!rest.contains('/')).then_some(rest)
            })
            .collect()
    }
}

fn is_beneath(name: &str, directory: &str) -> bool {
    name.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// One sequence. What it has done is shown when it fails.
struct Run<'a> {
    server: &'a Server,
    seed: u64,
    random: Random,
    sessions: Vec<Session>,
    model: Model,
    history: Vec<String>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FERRY_SEED={} does this again:\n  {}", self.seed, self.history.join("\n  "));
        }
    }
}

impl<'a> Run<'a> {
    fn new(server: &'a Server, seed: u64) -> Self {
        std::fs::create_dir(server.path(format!("s{seed}"))).unwrap();
        let sessions = (0..SESSIONS).map(|_| session(server)).collect();
        let (random, model) = (Random::new(seed), Model::default());
        Self { server, seed, random, sessions, model, history: Vec::new() }
    }

    fn step(&mut self) {
        match self.random.below(21) {
            0..6 => self.upload(),
            6 => self.upload_slowly(),
            7 => self.break_off(),
            8..11 => self.download(),
            11 => self.list(),
            12 => self.stat(),
            13 => self.sum(),
            14 | 15 => self.make_directory(),
            16 | 17 => self.remove(),
            18 => self.set_mtime(),
            _ => self.rename(),
        }
        if self.random.one_in(15) {
            self.leave();
        }
    }

    /// A name of this run, as the server knows it.
    fn real(&self, name: &str) -> String {
        format!("s{}/{name}", self.seed)
    }

    fn path(&self, name: &str) -> RemotePath {
        path(&self.real(name))
    }

    fn name(&mut self) -> &'static str {
        let name: &&'static str = self.random.pick(NAMES);
        name
    }

    fn session(&mut self) -> &mut Session {
        let index = usize::try_from(self.random.below(SESSIONS as u64)).unwrap();
        &mut self.sessions[index]
    }

    fn content(&mut self) -> Vec<u8> {
        let size = match self.random.below(40) {
            0 => LARGE_BYTES,
            1 => EAGER_MAX_BYTES,
            2..6 => 0,
            6..12 => self.random.below(100_000),
            _ => self.random.below(2000),
        };
        Content::new(self.random.number(), size).bytes()
    }

    fn note(&mut self, what: String) {
        self.history.push(what);
    }

    fn upload(&mut self) {
        let (name, content) = (self.name(), self.content());
        let options = UploadOptions {
            digest: self.random.one_in(2),
            new: self.random.one_in(4),
            ..UploadOptions::default()
        };
        let is_damaged = options.digest && self.random.one_in(6);
        self.note(format!("upload {name} {} {options:?}, damaged: {is_damaged}", content.len()));
        let trailer = if is_damaged { Digest::of(b"something else") } else { Digest::of(&content) };
        let real = self.real(name);
        let result = self.session().upload_with_trailer(&real, &content, options, trailer);
        let expected = self.model.admits_upload(name, options.new).and(if is_damaged {
            Err(ErrorCode::Mismatch)
        } else {
            Ok(Digest::of(&content))
        });
        assert_eq!(code_of(result), expected);
        if expected.is_ok() {
            self.model.nodes.insert(name.to_owned(), Node::File(content));
        }
    }

    /// An upload in a session of its own, in the middle of which others do other things.
    fn upload_slowly(&mut self) {
        let (name, content) = (self.name(), self.content());
        let new = self.random.one_in(2);
        let options = UploadOptions { new, ..UploadOptions::default() };
        self.note(format!("upload {name} {} slowly, new: {new}", content.len()));
        let mut session = session(self.server);
        let begun = session.begin_first_upload(&self.real(name), content.len() as u64, options);
        let admitted = self.model.admits_upload(name, new);
        assert_eq!(code_of(begun), admitted);
        if admitted.is_err() || content.is_empty() {
            // No bytes are waited for: it is done, or it never began.
            if admitted.is_ok() {
                session.finish_upload().unwrap();
                self.model.nodes.insert(name.to_owned(), Node::File(content));
            }
            return;
        }
        let middle = content.len() / 2;
        session.send_data(&content[..middle]);
        for _ in 0..self.random.below(3) {
            match self.random.below(4) {
                0 => self.upload(),
                1 => self.remove(),
                2 => self.rename(),
                _ => self.make_directory(),
            }
        }
        self.note(format!("the rest of {name}"));
        session.send_data(&content[middle..]);
        let expected = self.model.admits_upload(name, new);
        assert_eq!(code_of(session.finish_upload()), expected);
        if expected.is_ok() {
            self.model.nodes.insert(name.to_owned(), Node::File(content));
        }
    }

    /// An upload that the client breaks off, and perhaps goes on with later.
    fn break_off(&mut self) {
        let name = self.name();
        let size = if self.random.one_in(3) { LARGE_BYTES } else { 1 + self.random.below(5000) };
        let content = Content::new(self.random.number(), size).bytes();
        self.note(format!("upload {name} {size} in part"));
        let mut session = session(self.server);
        let begun = session.begin_first_upload(&self.real(name), size, UploadOptions::default());
        let admitted = self.model.admits_upload(name, false);
        assert_eq!(code_of(begun), admitted);
        if admitted.is_err() {
            return;
        }
        let end = content.len() - 1 - usize::try_from(self.random.below(size.min(1000))).unwrap();
        session.send_data(&content[..end]);
        let is_large = size == LARGE_BYTES;
        match self.random.below(3) {
            0 if !is_large => session.reset(),
            0 | 1 => drop(session),
            _ => {
                session.close_data();
                assert_eq!(code_of(session.finish_upload()), Err(ErrorCode::BrokenOff));
            }
        }
        if is_large {
            self.resume(name, &content);
        }
    }

    /// Goes on with what is kept, by what the client has; now and then first by what it has not, which changes nothing.
    fn resume(&mut self, name: &str, content: &[u8]) {
        let real = self.real(name);
        let (length, digest) = wait_for("part of the upload", || self.session().partial(&real).ok());
        let prefix = &content[..usize::try_from(length).unwrap()];
        assert_eq!(digest, Digest::of(prefix), "other bytes than were sent");
        let upload = |session: &mut Session, digest| {
            let resume = Some(Resume { offset: length, digest });
            session.upload(&real, content, UploadOptions { digest: true, resume, ..UploadOptions::default() })
        };
        self.note(format!("resume {name} from {length}"));
        if self.random.one_in(4) {
            let refused = upload(self.session(), Digest::of(b"something else"));
            assert_eq!(code_of(refused), Err(ErrorCode::NoPartial));
            let kept = wait_for("part of the upload", || self.session().partial(&real).ok());
            assert_eq!(kept, (length, digest));
        }
        let result = upload(self.session(), digest);
        assert_eq!(code_of(result), Ok(Digest::of(content)));
        self.model.nodes.insert(name.to_owned(), Node::File(content.to_vec()));
        let left = self.session().partial(&real).map(drop);
        assert_eq!(code_of(left), Err(ErrorCode::NoPartial));
    }

    fn download(&mut self) {
        let name = self.name();
        let expected = self.model.file(name).cloned();
        let size = expected.as_ref().map_or(0, |content| content.len() as u64);
        let offset = if self.random.one_in(3) { self.random.below(size + 2) } else { 0 };
        self.note(format!("download {name} from {offset}"));
        let real = self.real(name);
        let result = code_of(self.session().download(&real, offset));
        match expected {
            Err(code) => assert_eq!(result.map(|got| got.digest), Err(code)),
            Ok(_) if offset > size => assert_eq!(result.map(drop), Err(ErrorCode::BadOffset)),
            Ok(content) => {
                let got = result.unwrap();
                assert!(got.bytes == content[usize::try_from(offset).unwrap()..], "other bytes of {name}");
                assert_eq!(got.digest, Digest::of(&content));
            }
        }
    }

    fn list(&mut self) {
        let name = if self.random.one_in(2) { "." } else { self.name() };
        self.note(format!("ls {name}"));
        let command = Command::Ls { path: self.path(name) };
        let result = code_of(self.session().ask(&command)).map(|(replies, _)| names_of(replies));
        let node = if name == "." { Ok(&Node::Dir) } else { self.model.find(name) };
        let expected = node.map(|node| match node {
            Node::Dir => self.model.entries(name),
            Node::File(_) => vec![name.rsplit('/').next().unwrap()],
        });
        assert_eq!(result, expected.map(|names| names.iter().map(|&name| name.to_owned()).collect()));
    }

    fn stat(&mut self) {
        let name = self.name();
        self.note(format!("stat {name}"));
        let command = Command::Stat { path: self.path(name) };
        let result = code_of(self.session().ask(&command)).map(|(replies, _)| match &replies[..] {
            [Reply::Entry(entry)] => (entry.kind, entry.size_bytes),
            other => panic!("{other:?}"),
        });
        let expected = self.model.find(name).map(|node| match node {
            Node::File(content) => (EntryKind::File, content.len() as u64),
            Node::Dir => (EntryKind::Dir, 0),
        });
        assert_eq!(result, expected);
    }

    fn sum(&mut self) {
        let name = self.name();
        let wanted = self.random.one_in(2).then(|| self.random.below(3000));
        self.note(format!("sum {name} {wanted:?}"));
        let command = Command::Sum { path: self.path(name), length: wanted };
        let result = code_of(self.session().ask(&command)).map(|(replies, _)| match replies[..] {
            [Reply::Digest { length, digest }] => (length, digest),
            ref other => panic!("{other:?}"),
        });
        let expected = self.model.file(name).and_then(|content| {
            let length = wanted.unwrap_or(content.len() as u64);
            let part = content.get(..usize::try_from(length).unwrap()).ok_or(ErrorCode::BadOffset)?;
            Ok((length, Digest::of(part)))
        });
        assert_eq!(result, expected);
    }

    fn make_directory(&mut self) {
        let name = self.name();
        self.note(format!("mkdir {name}"));
        let command = Command::mkdir(self.path(name));
        let result = code_of(self.session().ask(&command)).map(drop);
        assert_eq!(result, self.model.make_directory(name));
    }

    /// Whatever has the name keeps its content.
    fn set_mtime(&mut self) {
        let name = self.name();
        let seconds = i64::try_from(self.random.below(1_000_000)).unwrap() - 500_000;
        let mtime = FileTime::new(seconds, 123_456_789_u32);
        self.note(format!("mtime {name} {mtime}"));
        let command = Command::Mtime { path: self.path(name), mtime };
        let result = code_of(self.session().ask(&command)).map(drop);
        assert_eq!(result, self.model.find(name).map(drop));
        if result.is_ok() {
            let command = Command::Stat { path: self.path(name) };
            let (replies, _) = self.session().ask(&command).unwrap();
            assert!(matches!(&replies[..], [Reply::Entry(entry)] if entry.mtime == mtime), "{replies:?}");
        }
    }

    fn remove(&mut self) {
        let name = self.name();
        self.note(format!("rm {name}"));
        let command = Command::rm(self.path(name));
        let result = code_of(self.session().ask(&command)).map(drop);
        assert_eq!(result, self.model.remove(name));
    }

    fn rename(&mut self) {
        let (from, to, replace) = (self.name(), self.name(), self.random.one_in(2));
        self.note(format!("mv {from} {to}, replace: {replace}"));
        let command = Command::Mv { from: self.path(from), to: self.path(to), replace };
        let result = code_of(self.session().ask(&command)).map(drop);
        assert_eq!(result, self.model.rename(from, to, replace));
    }

    /// One client goes, in one of two ways, and another comes.
    fn leave(&mut self) {
        let new = session(self.server);
        let gone = std::mem::replace(self.session(), new);
        if self.random.one_in(2) {
            gone.reset();
        }
    }

    /// The folder itself agrees with the model.
    fn expect_agreement(&self) {
        let mut found = BTreeMap::new();
        read_tree(&self.server.path(format!("s{}", self.seed)), "", &mut found);
        let summary = |nodes: &BTreeMap<String, Node>| -> Vec<String> {
            let describe = |(name, node): (&String, &Node)| match node {
                Node::File(content) => format!("{name}: {}", Digest::of(content)),
                Node::Dir => format!("{name}/"),
            };
            nodes.iter().map(describe).collect()
        };
        assert_eq!(summary(&found), summary(&self.model.nodes), "the folder, and the model");
    }
}

fn session(server: &Server) -> Session {
    Session::with(server.control_address()).unwrap()
}

/// No connection is lost here.
#[track_caller]
fn code_of<T>(result: Attempt<T>) -> Result<T, ErrorCode> {
    result.map_err(|failure: Failure| failure.code())
}

fn names_of(replies: Vec<Reply>) -> Vec<String> {
    let mut names: Vec<String> = replies
        .into_iter()
        .map(|reply| {
            let Reply::Entry(entry) = reply else { panic!("{reply:?}") };
            String::from_utf8(entry.name).unwrap()
        })
        .collect();
    names.sort();
    names
}

fn read_tree(directory: &Path, prefix: &str, found: &mut BTreeMap<String, Node>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read_tree(&entry.path(), &format!("{name}/"), found);
            found.insert(name, Node::Dir);
        } else {
            found.insert(name, Node::File(std::fs::read(entry.path()).unwrap()));
        }
    }
}

fn run(server: &Server, seed: u64) {
    let mut run = Run::new(server, seed);
    for _ in 0..STEPS {
        run.step();
    }
    run.expect_agreement();
}

#[test]
fn any_sequence_of_commands_does_what_a_map_in_memory_does() {
    let server = Server::start();
    let descriptors = server.process().descriptors();
    match std::env::var("FERRY_SEED") {
        Ok(seed) => run(&server, seed.parse().expect("FERRY_SEED is a number")),
        Err(_) => (0..SEEDS).for_each(|seed| run(&server, seed)),
    }
    // What was broken off may be kept; whatever else was staged is gone.
    let is_kept = |name: &String| name.contains("/partial/");
    wait_until("end of the staged files", || server.staged_files().iter().all(is_kept));
    wait_until("return of the descriptors", || server.process().descriptors() <= descriptors);
}
