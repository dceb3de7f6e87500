//! Ferry on file systems that lack what others have: what can be done is done, nothing is lost, and what cannot be
//! done is refused clearly. Run by `tests/checks`: mounting needs root.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::file_time::FileTime;
use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::mount::Mount;
use ferry_tests::odd::{Call, Flock, OddMount, Quirks};
use ferry_tests::server::{ON_FREE_PORTS, Options, Server};
use ferry_tests::session::{Session, path};
use std::path::Path;

const CONTENT: Content = Content { seed: 21, size_bytes: 3 << 20 };
const PLAIN: UploadOptions = UploadOptions::NONE;

fn session(server: &Server) -> Session {
    Session::with(server.control_address()).unwrap()
}

fn serve(folder: &Path) -> Server {
    Options::default().root(folder).start()
}

/// What a server tells that does not start.
#[track_caller]
fn refused_start(folder: &Path) -> String {
    let output = std::process::Command::new(ferry_tests::binaries::ferryd())
        .args(ON_FREE_PORTS)
        .arg(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

/// Every verb does its work on this file system.
fn expect_all_verbs_to_work(folder: &Path) -> Server {
    let server = serve(folder);
    let mut session = session(&server);
    let timed = UploadOptions { mtime: Some(FileTime::from_seconds(1_000_000_000)), digest: true, ..PLAIN };
    session.upload("large", &CONTENT.bytes(), timed).unwrap();
    session.upload("small", b"old", timed).unwrap();
    session.upload("small", b"new", timed).unwrap();
    let new = UploadOptions { new: true, ..PLAIN };
    session.upload("once", b"once", new).unwrap();
    assert_eq!(session.upload("once", b"twice", new).unwrap_err().code(), ErrorCode::Exists);
    session.ask(&Command::mkdir(path("sub"))).unwrap();
    let mv = |from, to, replace| Command::Mv { from: path(from), to: path(to), replace };
    session.ask(&mv("once", "moved", false)).unwrap();
    assert_eq!(session.ask(&mv("small", "moved", false)).unwrap_err().code(), ErrorCode::Exists);
    session.ask(&mv("sub", "renamed", false)).unwrap();
    session.ask(&mv("small", "renamed/small", true)).unwrap();
    session.ask(&Command::rm(path("moved"))).unwrap();
    assert!(session.download("large", 0).unwrap().bytes == CONTENT.bytes());
    assert_eq!(std::fs::read(folder.join("renamed/small")).unwrap(), b"new");
    assert!(!folder.join("once").exists() && !folder.join("moved").exists());
    server
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn without_a_flush_of_directories_everything_is_done_and_that_is_said_once() {
    let mount = OddMount::new(Quirks { fsyncdir_invalid: true, ..Quirks::default() }).unwrap();
    let server = expect_all_verbs_to_work(mount.path());
    let told = server.log().iter().filter(|line| line.contains("cannot flush directories")).count();
    assert_eq!(told, 1);
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn where_nothing_can_be_adorned_files_come_all_the_same() {
    for quirks in [
        Quirks { utimes_denied: true, ..Quirks::default() },
        Quirks { chmod_denied: true, fixed_owner: Some((1234, 1234)), ..Quirks::default() },
        Quirks { no_fallocate: true, ..Quirks::default() },
    ] {
        let mount = OddMount::new(quirks.clone()).unwrap();
        let server = expect_all_verbs_to_work(mount.path());
        // The other end alike.
        drop(server);
        let served = Server::start();
        served.put("file", CONTENT.bytes());
        let ferry = Ferry::within(mount.path());
        for command in ["download file", "download file"] {
            let mut run = ferry.command(served.control_address());
            run.args(["-c", command]);
            ferry_tests::ferry::Running::start(run, b"").finish().expect_status(0);
        }
        assert!(std::fs::read(ferry.path("file")).unwrap() == CONTENT.bytes(), "{quirks:?}");
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn where_all_files_belong_to_one_owner_everything_is_done() {
    let shown = tempfile::tempdir().unwrap();
    let mount = Mount::with_fixed_owner(shown.path()).unwrap();
    let server = expect_all_verbs_to_work(mount.path());
    expect_an_upload_to_be_gone_on_with(&server);
}

/// What a container serves from its image.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn on_an_overlay_everything_is_done_and_what_lies_below_stays() {
    let home = Mount::tmpfs(256 << 20).unwrap();
    let place = |name: &str| home.path().join(name);
    for name in ["lower", "lower/directory", "upper", "work"] {
        std::fs::create_dir(place(name)).unwrap();
    }
    for name in ["lower/large", "lower/renamed-file", "lower/removed", "lower/directory/file"] {
        std::fs::write(place(name), "below").unwrap();
    }
    let overlay = Mount::overlay(&place("lower"), &place("upper"), &place("work")).unwrap();
    let server = expect_all_verbs_to_work(overlay.path());
    expect_an_upload_to_be_gone_on_with(&server);
    let mut session = session(&server);
    session.ask(&Command::rm(path("removed"))).unwrap();
    let mv = |from, to| Command::Mv { from: path(from), to: path(to), replace: false };
    session.ask(&mv("renamed-file", "moved-file")).unwrap();
    // Directories of the lower part cannot be renamed where the overlay was not made for that; all or nothing.
    let moved = session.ask(&mv("directory", "moved-directory")).is_ok();
    let at = if moved { "moved-directory/file" } else { "directory/file" };
    assert_eq!(session.download(at, 0).unwrap().bytes, b"below");
    assert_eq!(session.download("moved-file", 0).unwrap().bytes, b"below");
    let (entries, _) = session.ask(&Command::Ls { path: path(".") }).unwrap();
    assert_eq!(entries.len(), 4, "{entries:?}");
    assert_eq!(std::fs::read(place("lower/large")).unwrap(), b"below");
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_file_system_that_is_read_only_can_be_read_and_says_so() {
    let mount = Mount::tmpfs(64 << 20).unwrap();
    std::fs::write(mount.path().join("file"), CONTENT.bytes()).unwrap();
    mount.make_read_only().unwrap();
    // As a part of the folder...
    let server = Server::start();
    std::fs::create_dir(server.path("drive")).unwrap();
    let drive = Mount::tmpfs_at(&server.path("drive"), 64 << 20).unwrap();
    std::fs::write(drive.path().join("file"), CONTENT.bytes()).unwrap();
    drive.make_read_only().unwrap();
    expect_only_reading_to_work(&mut session(&server), "drive/");
    session(&server).upload("beside", &CONTENT.bytes(), PLAIN).unwrap();
    // ...and as the folder.
    let told = refused_start(mount.path());
    assert!(told.contains("--read-only"), "{told}");
    let server = Options::default().arguments(&["--read-only"]).root(mount.path()).start();
    expect_only_reading_to_work(&mut session(&server), "");
}

#[track_caller]
fn expect_only_reading_to_work(session: &mut Session, folder: &str) {
    let at = |name: &str| path(&format!("{folder}{name}"));
    let mv = Command::Mv { from: at("file"), to: at("moved"), replace: false };
    let mtime = Command::Mtime { path: at("file"), mtime: FileTime::default() };
    for change in [Command::mkdir(at("made")), Command::rm(at("file")), mv, mtime] {
        assert_eq!(session.ask(&change).unwrap_err().code(), ErrorCode::ReadOnly, "{change:?}");
    }
    for (name, content) in [("small", &b"content"[..]), ("large", &CONTENT.bytes())] {
        let refused = session.upload(&format!("{folder}{name}"), content, PLAIN).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ReadOnly, "{name}");
    }
    let file = format!("{folder}file");
    assert!(session.download(&file, 0).unwrap().bytes == CONTENT.bytes());
    session.ask(&Command::Sum { path: path(&file), length: None }).unwrap();
    session.ask(&Command::Stat { path: path(&file) }).unwrap();
}

/// The link is lost, and the client comes back for the rest.
#[track_caller]
fn expect_an_upload_to_be_gone_on_with(server: &Server) {
    let size = CONTENT.size_bytes;
    let mut lost = session(server);
    lost.begin_first_upload("resumed", size, PLAIN).unwrap();
    lost.send_data(&CONTENT.bytes()[..2 << 20]);
    drop(lost);
    let mut again = session(server);
    let (offset, digest) = again.partial("resumed").unwrap();
    assert!(offset > 0 && offset < size, "{offset}");
    let resume = Some(Resume { offset, digest });
    again.upload("resumed", &CONTENT.bytes(), UploadOptions { resume, digest: true, ..PLAIN }).unwrap();
    assert!(again.download("resumed", 0).unwrap().bytes == CONTENT.bytes());
    again.ask(&Command::rm(path("resumed"))).unwrap();
}

/// By case, and by the short names of vfat.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn by_no_name_that_a_file_system_has_for_it_is_the_staging_directory_reached() {
    let mount =
        OddMount::new(Quirks { case_insensitive: true, short_names: true, ..Quirks::default() }).unwrap();
    let server = serve(mount.path());
    let mut session = session(&server);
    session.upload("file", b"content", PLAIN).unwrap();
    let mut running = Session::with(server.control_address()).unwrap();
    running.begin_first_upload("running", CONTENT.size_bytes, PLAIN).unwrap();
    running.send_data(&CONTENT.bytes()[..2 << 20]);
    ferry_tests::wait::wait_until("arrival of the upload", || !server.staged_files().is_empty());
    let staged = server.staged_files().remove(0);
    let (_, beneath) = staged.split_once('/').unwrap();
    std::os::unix::fs::symlink("FERRYS~1", mount.path().join("link")).unwrap();
    std::os::unix::fs::symlink(format!("FERRYS~1/{beneath}"), mount.path().join("link-to-file")).unwrap();
    for top in ["FERRYS~1", "FeRRyS~1/.", "./FERRYS~1", "link"] {
        let inside = format!("{top}/{beneath}");
        let (top, inside) = (path(top), path(&inside));
        let mv =
            |from: &_, to: &_| Command::Mv { from: Clone::clone(from), to: Clone::clone(to), replace: true };
        for command in [
            Command::Ls { path: top.clone() },
            Command::Stat { path: top.clone() },
            Command::Stat { path: inside.clone() },
            Command::Sum { path: inside.clone(), length: None },
            Command::rm(inside.clone()),
            Command::mkdir(path(&format!("{top}/made"))),
            mv(&inside, &path("stolen")),
            mv(&path("file"), &inside),
        ] {
            session.ask(&command).unwrap_err();
        }
        session.download(&inside.to_string(), 0).unwrap_err();
        session.upload(&format!("{top}/put"), b"content", PLAIN).unwrap_err();
    }
    for command in [Command::rm(path("FERRYS~1")), Command::Sum { path: path("link-to-file"), length: None }]
    {
        session.ask(&command).unwrap_err();
    }
    let (entries, _) = session.ask(&Command::Ls { path: path(".") }).unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    running.send_data(&CONTENT.bytes()[2 << 20..]);
    running.finish_upload().unwrap();
    assert!(std::fs::read(mount.path().join("running")).unwrap() == CONTENT.bytes());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn without_a_rename_that_replaces_nothing_a_link_does_as_well() {
    let mount = OddMount::new(Quirks { rename_flags_invalid: true, ..Quirks::default() }).unwrap();
    expect_all_verbs_to_work(mount.path());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn without_links_either_nothing_is_replaced_by_mistake() {
    let quirks = Quirks { rename_flags_invalid: true, link_denied: true, ..Quirks::default() };
    let mount = OddMount::new(quirks).unwrap();
    let server = serve(mount.path());
    let mut session = session(&server);
    session.upload("taken", b"old", PLAIN).unwrap();
    let new = UploadOptions { new: true, ..PLAIN };
    session.upload("taken", b"new", new).unwrap_err();
    session.upload("free", b"new", new).unwrap_err();
    assert_eq!(std::fs::read(mount.path().join("taken")).unwrap(), b"old");
    session.upload("taken", b"new", PLAIN).unwrap();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_file_system_that_does_not_tell_its_size_is_not_full() {
    let mount = OddMount::new(Quirks { statfs_zero: true, ..Quirks::default() }).unwrap();
    expect_all_verbs_to_work(mount.path());
    let ramfs = Mount::ramfs().unwrap();
    expect_all_verbs_to_work(ramfs.path());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn where_locks_mean_nothing_no_server_starts_to_stage() {
    let mount = OddMount::new(Quirks { flock: Flock::Granted, ..Quirks::default() }).unwrap();
    let told = refused_start(mount.path());
    assert!(told.contains("granted twice") && told.contains("--read-only"), "{told}");
}

/// As two machines see one cluster file system: directories cannot be locked there, files can.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn two_servers_on_two_mounts_of_one_folder_leave_each_others_uploads_alone() {
    let quirks = Quirks { flock: Flock::Forwarded, ..Quirks::default() };
    let mount = OddMount::new(quirks.clone()).unwrap();
    let twin = mount.twin(quirks).unwrap();
    let first = serve(mount.path());
    let mut running = session(&first);
    running.begin_first_upload("file", CONTENT.size_bytes, PLAIN).unwrap();
    running.send_data(&CONTENT.bytes()[..2 << 20]);
    ferry_tests::wait::wait_until("arrival of the upload", || !first.staged_files().is_empty());
    let second = serve(twin.path());
    assert_eq!(session(&second).partial("file").unwrap_err().code(), ErrorCode::NoPartial);
    session(&second).upload("other", &CONTENT.bytes(), PLAIN).unwrap();
    running.send_data(&CONTENT.bytes()[2 << 20..]);
    running.finish_upload().unwrap();
    assert!(std::fs::read(mount.backing().join("file")).unwrap() == CONTENT.bytes());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_directory_that_cannot_be_removed_for_being_a_mount_point_is_in_use() {
    let server = Server::start();
    std::fs::create_dir(server.path("drive")).unwrap();
    let _drive = Mount::tmpfs_at(&server.path("drive"), 1 << 20).unwrap();
    let mut session = session(&server);
    let refused = session.ask(&Command::rm(path("drive"))).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InUse);
    let mv = Command::Mv { from: path("drive"), to: path("moved"), replace: false };
    assert_eq!(session.ask(&mv).unwrap_err().code(), ErrorCode::InUse);
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_disk_that_refuses_everything_is_told_as_that() {
    let mount = OddMount::new(Quirks::default()).unwrap();
    let server = serve(mount.path());
    mount.fail(Call::Write, Some(rustix::io::Errno::IO));
    let refused = session(&server).upload("file", &CONTENT.bytes(), PLAIN).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Io);
    mount.fail(Call::Write, None);
    session(&server).upload("file", &CONTENT.bytes(), PLAIN).unwrap();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_file_that_cannot_be_made_unexecutable_is_moved_all_the_same() {
    let quirks = || Quirks { all_executable: true, chmod_denied: true, ..Quirks::default() };
    let (shared, local) = (OddMount::new(quirks()).unwrap(), OddMount::new(quirks()).unwrap());
    let server = serve(shared.path());
    let mut session = session(&server);
    for executable in [Some(false), Some(true), None, Some(false)] {
        session.upload("file", b"content", UploadOptions { executable, ..PLAIN }).unwrap();
    }
    let ordinary = Server::start();
    ordinary.put("file", "content");
    let ferry = Ferry::within(local.path());
    for _ in 0..2 {
        ferry.run(ordinary.control_address(), &["download file"]).expect_status(0);
        assert_eq!(ferry.read("file"), b"content");
    }
}
