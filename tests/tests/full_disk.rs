//! A disk that is full for real: every client is answered, what is `ok` is whole, and space comes back. And a
//! folder that spans two file systems.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use ferry_tests::content::Content;
use ferry_tests::ftp::Ftp;
use ferry_tests::mount::Mount;
use ferry_tests::random::Random;
use ferry_tests::server::{Options, Server};
use ferry_tests::session::{Session, path};
use ferry_tests::wait::wait_until;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

const CLIENTS: u64 = 6;
/// Uploads that a client has refused in a row before it takes the disk for full.
const REFUSALS: u32 = 4;
const PLAIN: UploadOptions = UploadOptions::NONE;
const CHECKED: UploadOptions = UploadOptions { digest: true, ..PLAIN };
/// What a file system keeps of directories that have once been large.
const SLACK_BYTES: u64 = 512 << 10;

/// The uploads that were answered with `ok`.
type Uploaded = BTreeMap<String, Content>;

/// The file system, or `None`, told, where none can be mounted on this machine.
fn mounted(mount: Result<Mount, String>) -> Option<Mount> {
    mount.inspect_err(|why| eprintln!("skipped: {why}")).ok()
}

fn session(server: &Server) -> Session {
    Session::with(server.control_address()).unwrap()
}

/// Uploads files of all sizes until even small ones are refused.
fn fill(server: &Server, client: u64, seed: u64) -> Uploaded {
    let mut random = Random::new(seed << 8 | client);
    let mut session = session(server);
    let mut uploaded = Uploaded::new();
    let mut refused = 0;
    for number in 0.. {
        let size = match random.below(8) {
            // The disk is full when what is small is refused.
            _ if refused > 0 => random.between(4096, 8192),
            0..4 => random.below(16 << 10),
            4..7 => random.below(EAGER_MAX_BYTES),
            _ => random.between(EAGER_MAX_BYTES, 4 * EAGER_MAX_BYTES),
        };
        let (name, content) = (format!("{client}-{number}"), Content::new(random.number(), size));
        let options = if random.one_in(2) { CHECKED } else { PLAIN };
        match session.upload(&name, &content.bytes(), options) {
            Ok(_) => {
                refused = 0;
                uploaded.insert(name, content);
            }
            Err(failure) => {
                assert_eq!(failure.code(), ErrorCode::NoSpace, "{name} of {size} bytes");
                refused += 1;
            }
        }
        if refused >= REFUSALS {
            break;
        }
    }
    uploaded
}

fn fill_by_all(server: &Server, seed: u64) -> Uploaded {
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || fill(server, client, seed))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// The folder holds these files, and nothing else but what the server keeps for itself.
#[track_caller]
fn expect_files(server: &Server, uploaded: &Uploaded) {
    for (name, content) in uploaded {
        assert!(std::fs::read(server.path(name)).unwrap() == content.bytes(), "{name} is not whole");
    }
    let (replies, _) = session(server).ask(&Command::Ls { path: path(".") }).unwrap();
    let mut listed: Vec<String> = replies
        .into_iter()
        .map(|reply| {
            let Reply::Entry(entry) = reply else { panic!("{reply:?}") };
            String::from_utf8(entry.name).unwrap()
        })
        .filter(|name| name != "lost+found")
        .collect();
    listed.sort();
    assert!(listed.iter().eq(uploaded.keys()), "listed: {listed:?}, uploaded: {:?}", uploaded.keys());
    wait_until("end of the staged files", || server.staged_files().is_empty());
}

/// A file that the disk can never hold is refused before a byte of it is asked for.
#[track_caller]
fn expect_refused_at_once(server: &Server, size: u64) {
    let mut session = session(server);
    session.begin_upload("too-large", size, CHECKED).unwrap();
    assert_eq!(session.reply().unwrap_err().code(), ErrorCode::NoSpace);
    assert!(!server.path("too-large").exists());
}

fn remove(server: &Server, names: impl Iterator<Item = impl AsRef<str>>) {
    let mut session = session(server);
    for name in names {
        session.ask(&Command::rm(path(name.as_ref()))).unwrap();
    }
}

/// Fills a small file system again and again.
fn fill_and_empty(mount: &Mount) {
    let server = Options::default().root(mount.path()).start();
    let at_start = mount.free_bytes();
    let descriptors = server.process().descriptors();
    for seed in 1..=2 {
        expect_refused_at_once(&server, 2 * at_start);
        let mut uploaded = fill_by_all(&server, seed);
        assert!(uploaded.len() > 10, "a disk of {at_start} bytes took {} files", uploaded.len());
        expect_files(&server, &uploaded);
        expect_refused_at_once(&server, at_start / 2);

        // The old content outlives what cannot take its place.
        let largest = uploaded.iter().max_by_key(|(_, content)| content.size_bytes).unwrap().0.clone();
        let failure = session(&server).upload(&largest, &vec![1; 1 << 20], CHECKED).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::NoSpace);
        expect_files(&server, &uploaded);

        // Space that one file gives back is of use at once.
        remove(&server, [&largest].into_iter());
        let size = uploaded.remove(&largest).unwrap().size_bytes / 2;
        let again = Content::new(7, size);
        session(&server).upload("again", &again.bytes(), CHECKED).unwrap();
        uploaded.insert("again".to_owned(), again);
        expect_files(&server, &uploaded);

        remove(&server, uploaded.keys());
        expect_files(&server, &Uploaded::new());
        wait_until("return of the space", || mount.free_bytes() + SLACK_BYTES >= at_start);
        wait_until("return of the descriptors", || server.process().descriptors() <= descriptors);
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_full_disk_in_memory_refuses_and_recovers() {
    if let Some(mount) = mounted(Mount::tmpfs(16 << 20)) {
        fill_and_empty(&mount);
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_full_ext4_refuses_and_recovers() {
    if let Some(mount) = mounted(Mount::ext4(32 << 20)) {
        fill_and_empty(&mount);
    }
}

/// What is added to a file takes as much room as the whole...
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn nothing_is_added_to_a_file_where_its_copy_has_no_room() {
    let Some(mount) = mounted(Mount::ext4(96 << 20)) else { return };
    let server = Options::default().root(mount.path()).start();
    let content = Content::new(1, 60 << 20).bytes();
    std::fs::write(server.path("x"), &content).unwrap();
    let before = mount.free_bytes();
    let mut ftp = Ftp::login(server.ftp_address());
    assert_eq!(ftp.upload("APPE x", b"tail").code, 452);
    assert!(std::fs::read(server.path("x")).unwrap() == content);
    assert_eq!(server.staged_files(), Vec::<String>::new());
    wait_until("the room is given back", || mount.free_bytes() + 65536 >= before);
    std::fs::write(server.path("y"), "small ").unwrap();
    assert_eq!(ftp.upload("APPE y", b"tail").code, 226);
    assert_eq!(std::fs::read(server.path("y")).unwrap(), b"small tail");
}

/// ...but where files share what they have in common.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn what_is_added_to_a_file_needs_no_room_for_a_copy_where_files_can_share() {
    let Some(mount) = mounted(Mount::xfs(320 << 20)) else { return };
    let server = Options::default().root(mount.path()).start();
    let content = Content::new(1, 150 << 20).bytes();
    std::fs::write(server.path("x"), &content).unwrap();
    assert!(mount.free_bytes() < content.len() as u64, "a copy would have room");
    let mut ftp = Ftp::login(server.ftp_address());
    assert_eq!(ftp.upload("APPE x", b"tail").code, 226);
    assert!(std::fs::read(server.path("x")).unwrap() == [&content, b"tail".as_slice()].concat());
}

/// Other writers may take the space between the start of an upload and its end.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_disk_that_fills_up_during_uploads_fails_them_cleanly() {
    for mount in [Mount::tmpfs(8 << 20), Mount::ext4(32 << 20)].into_iter().filter_map(mounted) {
        let server = Options::default().root(mount.path()).start();
        std::fs::write(server.path("x"), "old").unwrap();
        let content = Content::new(1, EAGER_MAX_BYTES);
        let mut sessions: Vec<Session> = (0..3).map(|_| session(&server)).collect();
        for session in &mut sessions {
            session.begin_first_upload("x", content.size_bytes, PLAIN).unwrap();
            session.send_data(&content.bytes()[..1000]);
        }
        let left = usize::try_from(mount.free_bytes()).unwrap();
        // The file system may refuse the last part of this.
        let _ = std::fs::write(server.path("other"), vec![1; left + (1 << 20)]);
        for session in &mut sessions {
            session.send_data(&content.bytes()[1000..]);
            assert_eq!(session.finish_upload().unwrap_err().code(), ErrorCode::NoSpace);
        }
        assert_eq!(std::fs::read(server.path("x")).unwrap(), b"old");
        remove(&server, ["other"].into_iter());
        for session in &mut sessions {
            session.upload("x", &content.bytes(), CHECKED).unwrap();
        }
        assert!(std::fs::read(server.path("x")).unwrap() == content.bytes());
        wait_until("end of the staged files", || server.staged_files().is_empty());
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_file_system_mounted_inside_the_folder_is_served_like_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let inner = home.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let Some(_mount) = mounted(Mount::tmpfs_at(&inner, 16 << 20)) else { return };
    std::fs::create_dir(inner.join("deep")).unwrap();
    let mut server = Options::default().root(home.path()).start();
    let mut client = session(&server);
    let (small, large) = (Content::new(1, 1000), Content::new(2, 3 << 20));
    for name in ["inner/small", "inner/deep/small", "small"] {
        client.upload(name, &small.bytes(), CHECKED).unwrap();
        assert_eq!(client.download(name, 0).unwrap().bytes, small.bytes());
    }
    client.upload("inner/deep/large", &large.bytes(), CHECKED).unwrap();
    assert_eq!(std::fs::metadata(server.path("inner/deep/large")).unwrap().size(), large.size_bytes);

    let rename = |from, to| Command::Mv { from: path(from), to: path(to), replace: false };
    assert_eq!(client.ask(&rename("inner/small", "moved")).unwrap_err().code(), ErrorCode::CrossDevice);
    assert_eq!(client.ask(&rename("small", "inner/moved")).unwrap_err().code(), ErrorCode::CrossDevice);
    client.ask(&rename("inner/small", "inner/deep/moved")).unwrap();

    // Nothing of the inner file system is staged on the outer one, nor can it be seen.
    client.begin_upload("inner/too-large", 64 << 20, PLAIN).unwrap();
    assert_eq!(client.reply().unwrap_err().code(), ErrorCode::NoSpace);
    let (replies, _) = client.ask(&Command::Ls { path: path("inner") }).unwrap();
    assert_eq!(replies.len(), 1, "{replies:?}");

    // What breaks off there is kept there, also for the next server.
    let sent = 2 << 20;
    let mut broken = session(&server);
    broken.begin_first_upload("inner/kept", large.size_bytes, PLAIN).unwrap();
    broken.send_data(&large.bytes()[..usize::try_from(sent).unwrap()]);
    let has_come = |name: &String| std::fs::metadata(server.path(name)).is_ok_and(|file| file.len() == sent);
    let is_hidden = |name: &String| name.starts_with("inner/.ferry-staging/");
    wait_until("arrival of the upload", || {
        server.files().iter().filter(|name| is_hidden(name)).any(has_come)
    });
    server.kill();
    let server = Options::default().root(home.path()).start();
    let mut client = session(&server);
    let (length, digest) = client.partial("inner/kept").unwrap();
    assert_eq!((length, digest), (sent, Digest::of(&Content { size_bytes: sent, ..large }.bytes())));
    let options = UploadOptions { resume: Some(Resume { offset: length, digest }), ..CHECKED };
    client.upload("inner/kept", &large.bytes(), options).unwrap();
    assert!(std::fs::read(server.path("inner/kept")).unwrap() == large.bytes());
}
