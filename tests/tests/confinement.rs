//! No client gets out of the served folder, and nothing but regular files and directories is served.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::Server;
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SECRET: &[u8] = b"the secret beside the folder";

/// A server whose folder is full of ways out.
fn server_with_traps() -> Server {
    let server = Server::start();
    std::fs::write(server.root().parent().unwrap().join("secret.txt"), SECRET).unwrap();
    server.put("a.txt", "inside");
    std::fs::create_dir(server.path("dir")).unwrap();
    server.put("dir/b.txt", "inside too");
    for (target, name) in [
        ("../secret.txt", "link-out"),
        ("/etc/passwd", "link-absolute"),
        ("..", "dir-out"),
        ("/", "dir-root"),
        ("/dev/zero", "device"),
        ("loop", "loop"),
        ("missing", "dangling"),
        ("../served/a.txt", "link-out-and-in"),
        ("/proc/self/root/etc/passwd", "magic"),
        ("a.txt", "link-in"),
        ("../a.txt", "dir/link-up-in"),
    ] {
        symlink(target, server.path(name)).unwrap();
    }
    make_fifo(&server.path("fifo"));
    drop(UnixListener::bind(server.path("socket")).unwrap());
    server
}

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
}

#[test]
fn a_download_of_what_must_not_be_served_gets_the_right_err() {
    let server = server_with_traps();
    let mut session = Conversation::with(&server);
    for (name, code) in [
        ("nothing", ErrorCode::NotFound),
        ("dir/nothing", ErrorCode::NotFound),
        ("dir", ErrorCode::IsDirectory),
        (".", ErrorCode::IsDirectory),
        ("a.txt/b.txt", ErrorCode::NotDirectory),
        ("fifo", ErrorCode::NotRegular),
        ("socket", ErrorCode::NotRegular),
        ("../../etc/passwd", ErrorCode::BadPath),
        ("../secret.txt", ErrorCode::BadPath),
        ("dir/../../secret.txt", ErrorCode::BadPath),
        ("/etc/passwd", ErrorCode::BadPath),
        ("\"\"", ErrorCode::BadPath),
        (".ferry-staging", ErrorCode::BadPath),
        (".ferry-staging/0", ErrorCode::BadPath),
        ("link-out", ErrorCode::BadLink),
        ("link-absolute", ErrorCode::BadLink),
        ("dir-out/secret.txt", ErrorCode::BadLink),
        ("dir-root/etc/passwd", ErrorCode::BadLink),
        ("device", ErrorCode::BadLink),
        ("loop", ErrorCode::BadLink),
        ("link-out-and-in", ErrorCode::BadLink),
        ("magic", ErrorCode::BadLink),
        ("dangling", ErrorCode::NotFound),
    ] {
        let answer = session.ask(format!("download {name}"));
        assert_eq!(answer.code(), code, "{name}");
        assert!(answer.replies.is_empty(), "{name}: nothing may move");
        let stat = session.ask(format!("stat {name}"));
        let is_served = code == ErrorCode::IsDirectory;
        assert_eq!(stat.outcome.is_ok(), is_served, "stat {name}: {stat:?}");
    }
    assert_eq!(session.download("a.txt").unwrap(), b"inside");
}

#[test]
fn links_that_stay_inside_are_served() {
    let server = server_with_traps();
    let mut session = Conversation::with(&server);
    assert_eq!(session.download("link-in").unwrap(), b"inside");
    assert_eq!(session.download("dir/link-up-in").unwrap(), b"inside");
}

#[test]
fn a_listing_shows_only_what_is_served() {
    let server = server_with_traps();
    let mut session = Conversation::with(&server);
    let names = session.ask("ls").names();
    assert_eq!(names, [&b"a.txt"[..], b"dir", b"link-in"]);
    for (name, code) in [
        ("dir-out", ErrorCode::BadLink),
        ("dir-root", ErrorCode::BadLink),
        ("..", ErrorCode::BadPath),
        ("/", ErrorCode::BadPath),
        ("nothing", ErrorCode::NotFound),
        (".ferry-staging", ErrorCode::BadPath),
    ] {
        assert_eq!(session.ask(format!("ls {name}")).code(), code, "{name}");
    }
}

#[test]
fn an_upload_does_not_get_out_either() {
    let server = server_with_traps();
    let before = server.files();
    let mut session = Conversation::with(&server);
    for (name, code) in [
        ("../new", ErrorCode::BadPath),
        ("/tmp/new", ErrorCode::BadPath),
        ("dir-out/new", ErrorCode::BadLink),
        ("dir-root/tmp/new", ErrorCode::BadLink),
        ("fifo", ErrorCode::NotRegular),
        ("socket", ErrorCode::NotRegular),
        (".ferry-staging/new", ErrorCode::BadPath),
    ] {
        assert_eq!(session.ask(format!("upload {name} 3")).code(), code, "{name}");
    }
    assert_eq!(server.files(), before);
    // A link is replaced itself, never followed.
    session.upload("link-out", b"replaced").unwrap();
    assert_eq!(std::fs::read(server.path("link-out")).unwrap(), b"replaced");
    assert!(!server.path("link-out").is_symlink());
    assert_eq!(std::fs::read(server.root().parent().unwrap().join("secret.txt")).unwrap(), SECRET);
}

#[test]
fn a_fifo_is_refused_without_being_opened() {
    let server = Server::start();
    make_fifo(&server.path("fifo"));
    let began = Instant::now();
    let mut session = Conversation::with(&server);
    assert_eq!(session.ask("download fifo").code(), ErrorCode::NotRegular);
    assert_eq!(session.ask("stat fifo").code(), ErrorCode::NotRegular);
    assert!(began.elapsed() < Duration::from_secs(5), "the answer was not at once");
    // It would succeed if any process had the FIFO open for reading.
    let writer = rustix::fs::open(server.path("fifo"), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
    assert_eq!(writer.unwrap_err(), rustix::io::Errno::NXIO);
}

#[test]
fn a_race_between_a_folder_and_a_link_does_not_get_out() {
    let server = server_with_traps();
    let (folder, link) = (server.path("swapped"), server.path("swapped-link"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("secret.txt"), "inside").unwrap();
    symlink("..", &link).unwrap();
    let stop = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, &folder, cwd, &link, exchange).unwrap();
            }
        });
        let mut session = Conversation::with(&server);
        for _ in 0..3000 {
            match session.download("swapped/secret.txt") {
                Ok(bytes) => {
                    assert_eq!(bytes, b"inside");
                    inside += 1;
                }
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(inside > 0 && refused > 0, "the race never happened: {inside} inside, {refused} refused");
}

#[test]
fn the_client_reports_a_refusal_by_its_status() {
    let server = server_with_traps();
    let ferry = Ferry::new();
    for name in ["link-out", "fifo", "nothing"] {
        let run = ferry.run(server.control_address(), &[&format!("download {name}")]);
        run.expect_status(4);
    }
    assert_eq!(ferry.files(), Vec::<String>::new());
}
