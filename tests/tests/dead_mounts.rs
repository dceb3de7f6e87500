//! A file system beneath the folder that stops answering concerns only the clients that ask for it: not the others, and not the
//! end of the server. Run by `tests/checks`: mounting needs root.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::command::{Command, UploadOptions};
use ferry_server::limits::READ_THREADS;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::mount::Mount;
use ferry_tests::odd::{Call, OddMount, Quirks};
use ferry_tests::server::Server;
use ferry_tests::session::{Session, path};
use ferry_tests::wait::wait_until;
use rustix::process::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CONTENT: Content = Content { seed: 31, size_bytes: 3 << 20 };
const PLAIN: UploadOptions = UploadOptions::NONE;
/// Far more than any of these takes on a healthy disk, and far less than a dead one would have them wait.
const SOON: Duration = Duration::from_secs(4);

/// A server with a healthy folder, in which `drive` is another file system that is mounted while it runs.
fn server_with_drive() -> (Server, OddMount) {
    let server = Server::start();
    server.put("file", CONTENT.bytes());
    std::fs::create_dir(server.path("drive")).unwrap();
    let drive = OddMount::over(&server.path("drive"), Quirks::default()).unwrap();
    std::fs::write(drive.path().join("file"), CONTENT.bytes()).unwrap();
    (server, drive)
}

/// Sessions that have asked for everything that there is on the drive, several times, and wait.
fn ask_for_the_drive(server: &Server) -> Vec<Conversation> {
    let lines = [
        "ls drive",
        "stat drive/file",
        "sum drive/file",
        "download drive/file",
        "upload drive/small 10",
        "upload drive/large 9000000",
        "mkdir drive/made",
        "rm drive/missing",
        "mv drive/file drive/moved",
        "partial drive/large",
    ];
    let ask = |line: &&str| {
        let mut session = Conversation::with(server);
        session.send(format!("{line}\n"));
        session
    };
    (0..5).flat_map(|_| lines.iter().map(ask)).collect()
}

#[track_caller]
fn expect_a_healthy_disk(server: &Server, context: Call) {
    let soon = |what: &str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        assert!(started.elapsed() < SOON, "{context:?}: {what} took {:?}", started.elapsed());
    };
    for turn in 0..3 {
        let mut session = Session::with(server.control_address()).unwrap();
        soon("ls", &mut || {
            let (entries, _) = session.ask(&Command::Ls { path: path(".") }).unwrap();
            assert!(entries.len() >= 2, "the mount point is listed as well");
        });
        soon("download", &mut || {
            assert!(session.download("file", 0).unwrap().bytes == CONTENT.bytes());
        });
        soon("small upload", &mut || _ = session.upload("small", b"content", PLAIN).unwrap());
        soon("upload", &mut || {
            session.upload(&format!("new-{turn}"), &CONTENT.bytes(), PLAIN).unwrap();
        });
        soon("sum", &mut || {
            session.ask(&Command::Sum { path: path("file"), length: None }).unwrap();
        });
        soon("mkdir", &mut || {
            session.ask(&Command::mkdir(path(&format!("made-{context:?}-{turn}")))).unwrap();
        });
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn whatever_call_hangs_the_healthy_disk_goes_on() {
    for call in [
        Call::All,
        Call::Lookup,
        Call::Getattr,
        Call::Open,
        Call::Read,
        Call::Opendir,
        Call::Readdir,
        Call::Create,
        Call::Write,
        Call::Flush,
        Call::Fsync,
        Call::Statfs,
        Call::Release,
    ] {
        let (server, drive) = server_with_drive();
        drive.stall(call);
        let waiting = ask_for_the_drive(&server);
        expect_a_healthy_disk(&server, call);
        drop(waiting);
        drive.release();
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_drive_that_answers_slowly_delays_only_its_own_users() {
    let (server, drive) = server_with_drive();
    drive.delay(Call::All, Duration::from_secs(1));
    let _waiting = ask_for_the_drive(&server);
    expect_a_healthy_disk(&server, Call::All);
    drive.delay(Call::All, Duration::ZERO);
}

/// Though the downloads are from the drive that the upload goes to, whatever their number.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn an_upload_is_behind_no_download_that_waits_for_the_disk() {
    const READERS: usize = 20;
    let (server, drive) = server_with_drive();
    // Past the kernel, which remembers what it has written.
    (0..READERS).for_each(|n| std::fs::write(drive.backing().join(n.to_string()), CONTENT.bytes()).unwrap());
    drive.stall(Call::Read);
    let address = server.control_address();
    let download = move |n| Session::with(address).unwrap().download(&format!("drive/{n}"), 0).unwrap().bytes;
    let readers: Vec<_> = (0..READERS).map(|n| std::thread::spawn(move || download(n))).collect();
    drive.wait_until_waiting(READ_THREADS);
    let started = Instant::now();
    let mut session = Session::with(address).unwrap();
    session.upload("drive/new", &CONTENT.bytes(), PLAIN).unwrap();
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    drive.release();
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() == CONTENT.bytes()));
}

/// Each of them has asked for more than the sockets and the buffers hold, and reads a little now and then.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn slow_readers_of_a_drive_leave_its_buffers_to_others() {
    const READERS: usize = 60;
    const ROUNDS: u64 = 5;
    let content = Content { seed: 32, size_bytes: 16 << 20 };
    let (server, drive) = server_with_drive();
    std::fs::write(drive.backing().join("big"), content.bytes()).unwrap();
    let slow = || {
        let mut session = Conversation::with(&server);
        assert_eq!(session.ask_for_download("drive/big"), Ok(content.size_bytes));
        session
    };
    let mut slow: Vec<_> = (0..READERS).map(|_| slow()).collect();
    for round in 0..ROUNDS {
        slow.iter_mut().for_each(|session| session.expect_data(content, 1000 * round, 1000 * (round + 1)));
        let started = Instant::now();
        let bytes = Session::with(server.control_address()).unwrap().download("drive/file", 0).unwrap().bytes;
        assert!(bytes == CONTENT.bytes());
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }
    slow[0].expect_data(content, 1000 * ROUNDS, content.size_bytes);
    slow[0].answer().outcome.unwrap();
}

/// A small upload all of which is sent. It is on a data connection that is there already, so that nothing of it reaches
/// the disk before all of it has come.
fn begin_small_upload(server: &Server, name: &str) -> Session {
    let mut session = Session::with(server.control_address()).unwrap();
    session.upload("first", b"first", PLAIN).unwrap();
    session.begin_upload(name, 7, PLAIN).unwrap();
    session.send_data(b"content");
    session
}

/// As for a snapshot: what would change the file system waits in the kernel, and cannot be interrupted.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_frozen_drive_delays_only_its_own_users_and_goes_on_afterwards() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start();
    server.put("file", CONTENT.bytes());
    std::fs::create_dir(server.path("drive")).unwrap();
    let drive = Mount::ext4_at(&home.path().join("image"), &server.path("drive"), 64 << 20).unwrap();
    std::fs::write(drive.path().join("file"), CONTENT.bytes()).unwrap();
    let frozen = drive.freeze().unwrap();
    let mut waiting = ask_for_the_drive(&server);
    let mut small = begin_small_upload(&server, "drive/frozen");
    expect_a_healthy_disk(&server, Call::All);
    assert!(waiting[1].answer().outcome.is_ok(), "what is only read is there");
    drop(frozen);
    // It may have been told that the drive does not answer.
    if let Err(failure) = small.finish_upload() {
        assert_eq!(failure.code(), ErrorCode::Busy);
    }
    let mut session = Session::with(server.control_address()).unwrap();
    session.upload("drive/new", &CONTENT.bytes(), PLAIN).unwrap();
    assert!(session.download("drive/new", 0).unwrap().bytes == CONTENT.bytes());
    // And the server ends while it is frozen again, as far as the kernel lets its threads go.
    let frozen = drive.freeze().unwrap();
    let _small = begin_small_upload(&server, "drive/again");
    server.process().signal(Signal::TERM);
    wait_until("end of serving", || TcpStream::connect(server.control_address()).is_err());
    drop(frozen);
    server.wait_for_exit();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn the_users_of_a_dead_drive_are_told() {
    let (server, drive) = server_with_drive();
    drive.stall(Call::All);
    let mut waiting = ask_for_the_drive(&server);
    drive.wait_until_waiting(1);
    // Those whose job hangs wait on, and so do those whose listing shares it; a question that is behind them is refused.
    let last_question = waiting.len() - 9;
    assert_eq!(waiting[last_question].answer().code(), ErrorCode::Busy);
    drive.release();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_dead_drive_does_not_keep_the_server_from_ending() {
    let (mut server, drive) = server_with_drive();
    drive.stall(Call::All);
    let waiting = ask_for_the_drive(&server);
    drive.wait_until_waiting(1);
    drop(waiting);
    server.process().signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    drive.release();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_drive_that_nobody_uses_can_be_unmounted() {
    let server = Server::start();
    std::fs::create_dir(server.path("drive")).unwrap();
    let drive = Mount::tmpfs_at(&server.path("drive"), 64 << 20).unwrap();
    let mut session = Session::with(server.control_address()).unwrap();
    session.upload("drive/file", &CONTENT.bytes(), PLAIN).unwrap();
    assert!(session.download("drive/file", 0).unwrap().bytes == CONTENT.bytes());
    drop(session);
    wait_until("end of the use of the drive", || {
        rustix::mount::unmount(drive.path(), rustix::mount::UnmountFlags::empty()).is_ok()
    });
    // So that it can be unmounted once more.
    std::mem::forget(drive);
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn paths_and_links_lead_from_one_file_system_to_the_other() {
    let (server, drive) = server_with_drive();
    let mut session = Session::with(server.control_address()).unwrap();
    std::os::unix::fs::symlink("drive/file", server.path("to-drive")).unwrap();
    std::os::unix::fs::symlink("drive", server.path("to-directory")).unwrap();
    std::os::unix::fs::symlink("../file", drive.path().join("back")).unwrap();
    std::os::unix::fs::symlink("/etc", server.path("out")).unwrap();
    for name in ["drive/file", "to-drive", "to-directory/file", "drive/back"] {
        assert!(session.download(name, 0).unwrap().bytes == CONTENT.bytes(), "{name}");
    }
    let (entries, _) = session.ask(&Command::Ls { path: path(".") }).unwrap();
    assert_eq!(entries.len(), 4, "{entries:?}");
    for (number, directory) in ["drive", "to-directory"].into_iter().enumerate() {
        session.upload(&format!("{directory}/large-{number}"), &CONTENT.bytes(), PLAIN).unwrap();
        session.upload(&format!("{directory}/small-{number}"), b"content", PLAIN).unwrap();
        assert_eq!(std::fs::read(drive.path().join(format!("small-{number}"))).unwrap(), b"content");
        assert!(std::fs::read(drive.path().join(format!("large-{number}"))).unwrap() == CONTENT.bytes());
    }
    let mv = |from, to| Command::Mv { from: path(from), to: path(to), replace: false };
    let crossing = session.ask(&mv("file", "drive/moved")).unwrap_err();
    assert_eq!(crossing.code(), ErrorCode::CrossDevice);
    session.ask(&mv("drive/small-0", "drive/moved")).unwrap();
    let outside = session.ask(&Command::Stat { path: path("out/passwd") }).unwrap_err();
    assert_eq!(outside.code(), ErrorCode::BadLink);
}
