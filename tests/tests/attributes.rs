//! What a file has beside its content: an upload that replaces a file leaves it to whom it belongs, and a new one
//! is as if it had been made in its directory.
#![allow(clippy::unwrap_used)]

use ferry_common::wire::entry::Entry;
use ferry_common::wire::reply::Reply;
use ferry_tests::binaries;
use ferry_tests::conversation::{Answer, Conversation};
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{ON_FREE_PORTS, Server};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// Over [`ferry_common::limits::EAGER_MAX_BYTES`], so that it is flushed by itself.
const LARGE: usize = 2 << 20;

/// Owner, group, mode, access control list.
type Facts = (u32, u32, u32, Option<Vec<u8>>);

fn facts(path: &Path) -> Facts {
    let stat = fs::symlink_metadata(path).unwrap();
    (stat.uid(), stat.gid(), stat.mode() & 0o7777, attribute(path, ACCESS))
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 64 << 10];
    match rustix::fs::lgetxattr(path, name, &mut value) {
        Ok(length) => Some(value[..length].to_vec()),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
        Err(errno) => panic!("{name} of {}: {errno}", path.display()),
    }
}

/// False, told, where the file system has none.
fn set_attribute(path: &Path, name: &str, value: &[u8]) -> bool {
    match rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::OPNOTSUPP) => {
            eprintln!("skipped: {name} is not known here");
            false
        }
        Err(errno) => panic!("{name} of {}: {errno}", path.display()),
    }
}

/// A list of tags, permissions and ids: 1 the owner, 2 a user, 4 the owning group, 8 a group, 16 the mask, 32
/// others.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for &(tag, permissions, id) in entries {
        value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        value.extend(id.to_le_bytes());
    }
    value
}

const NO_ID: u32 = u32::MAX;

fn named(user: u32, group_permissions: u16) -> Vec<u8> {
    acl(&[(1, 6, NO_ID), (2, 6, user), (4, group_permissions, NO_ID), (16, 6, NO_ID), (32, 0, NO_ID)])
}

/// Uploads a small and a large file over each of the names.
fn replace(server: &Server, name: &str, expect: impl Fn(&Path)) {
    let mut session = Conversation::with(server);
    for content in [vec![1; 10], vec![2; LARGE]] {
        session.upload(name, &content).unwrap();
        assert!(fs::read(server.path(name)).unwrap() == content);
        expect(&server.path(name));
    }
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn a_replaced_file_keeps_its_access_list_and_user_attributes() {
    let server = Server::start();
    server.put("x", "old");
    let path = server.path("x");
    if !set_attribute(&path, "user.comment", b"kept \0 as it is")
        || !set_attribute(&path, "user.empty", b"")
        || !set_attribute(&path, "user.long", &[7; 1000])
        || !set_attribute(&path, ACCESS, &named(4321, 0))
    {
        return;
    }
    let before = facts(&path);
    assert_eq!(before.2, 0o660, "the group's bits are the mask");
    replace(&server, "x", |path| {
        assert_eq!(facts(path), before);
        assert_eq!(attribute(path, "user.comment").unwrap(), b"kept \0 as it is");
        assert_eq!(attribute(path, "user.empty").unwrap(), b"");
        assert_eq!(attribute(path, "user.long").unwrap(), [7; 1000]);
    });
    // A link is replaced itself, so nothing is taken over from what it leads to.
    std::os::unix::fs::symlink("x", server.path("link")).unwrap();
    server.put("usual", "");
    let usual = facts(&server.path("usual"));
    replace(&server, "link", |path| assert_eq!(facts(path), usual));
}

/// The file is what it would be if any program had made it there; so is a directory.
#[track_caller]
fn expect_as_if_made_in(server: &Server, directory: &str) {
    let around = server.path(directory);
    fs::write(around.join("made"), "").unwrap();
    fs::create_dir(around.join("made.d")).unwrap();
    let (file, inner) = (facts(&around.join("made")), facts(&around.join("made.d")));
    let mut session = Conversation::with(server);
    for (name, content) in [("small", vec![1; 10]), ("large", vec![2; LARGE])] {
        session.upload(format!("{directory}/{name}"), &content).unwrap();
        assert_eq!(facts(&around.join(name)), file, "{directory}/{name}");
    }
    assert_eq!(session.ask(format!("mkdir {directory}/d")).outcome, Ok(vec![]));
    assert_eq!(facts(&around.join("d")), inner);
    assert_eq!(attribute(&around.join("d"), DEFAULT), attribute(&around, DEFAULT));
}

#[test]
fn a_new_file_has_the_default_access_list_of_its_directory() {
    let server = Server::start();
    for directory in ["with", "with/without", "usual", "plain"] {
        fs::create_dir(server.path(directory)).unwrap();
    }
    if !set_attribute(&server.path("with"), DEFAULT, &named(4321, 5)) {
        return;
    }
    let mode_only = acl(&[(1, 7, NO_ID), (4, 0, NO_ID), (32, 0, NO_ID)]);
    assert!(set_attribute(&server.path("plain"), DEFAULT, &mode_only));
    for directory in ["with", "with/without", "usual", "plain", "."] {
        expect_as_if_made_in(&server, directory);
    }
    assert!(attribute(&server.path("with/small"), ACCESS).is_some());
}

/// What the staging directory has inherited does not reach the files.
#[test]
fn a_list_of_the_served_folder_itself_does_not_reach_files_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    if !set_attribute(folder.path(), DEFAULT, &named(4321, 5)) {
        return;
    }
    let server = ferry_tests::server::Options::default().root(folder.path()).start();
    fs::create_dir(server.path("usual")).unwrap();
    rustix::fs::lremovexattr(server.path("usual"), DEFAULT).unwrap();
    for directory in ["usual", "."] {
        expect_as_if_made_in(&server, directory);
    }
}

#[test]
#[ignore = "needs root to give files away; run tests/checks"]
fn a_file_that_root_replaces_still_belongs_to_its_owner() {
    let server = Server::start();
    for mode in [0o600, 0o640, 0o604, 0o4755, 0o000] {
        server.put("x", "old");
        chown(server.path("x"), Some(1234), Some(5678)).unwrap();
        fs::set_permissions(server.path("x"), Permissions::from_mode(mode)).unwrap();
        replace(&server, "x", |path| {
            let (owner, group, now, _) = facts(path);
            assert_eq!((owner, group, now), (1234, 5678, mode & 0o777), "{mode:o}");
        });
    }
    set_attribute(&server.path("x"), ACCESS, &named(4321, 0));
    let before = facts(&server.path("x"));
    replace(&server, "x", |path| assert_eq!(facts(path), before));
}

#[test]
#[ignore = "needs root to give directories away; run tests/checks"]
fn a_new_file_has_the_group_of_a_directory_that_gives_it() {
    for of_root in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let give = |path: &Path| {
            chown(path, None, Some(5678)).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o2775)).unwrap();
        };
        if of_root {
            give(folder.path());
        }
        let server = ferry_tests::server::Options::default().root(folder.path()).start();
        for directory in ["giving", "usual"] {
            fs::create_dir(server.path(directory)).unwrap();
        }
        give(&server.path("giving"));
        chown(server.path("usual"), None, Some(4)).unwrap();
        fs::set_permissions(server.path("usual"), Permissions::from_mode(0o775)).unwrap();
        for directory in ["giving", "usual", "."] {
            expect_as_if_made_in(&server, directory);
        }
        assert_eq!(facts(&server.path("giving/small")).1, 5678);
    }
}

/// A server that may not give files away names the former owner and group in an access list.
#[test]
#[ignore = "needs root to become another user; run tests/checks"]
fn a_server_that_is_not_root_locks_no_owner_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    for (name, mode) in [("private", 0o600), ("shared", 0o640), ("open", 0o664)] {
        fs::write(folder.path().join(name), "old").unwrap();
        chown(folder.path().join(name), Some(1111), Some(2222)).unwrap();
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).unwrap();
    }
    // The binary may lie where only root comes.
    let program = folder.path().join("ferryd");
    fs::copy(binaries::ferryd(), &program).unwrap();
    let mut ferryd = Command::new(program);
    ferryd.args(ON_FREE_PORTS).arg(folder.path());
    ferryd.uid(1234).gid(5678);
    let server = Server::of(ferryd, folder.path());
    let list = |owner, group, own_group| {
        acl(&[
            (1, 6, NO_ID),
            (2, owner, 1111),
            (4, own_group, NO_ID),
            (8, group, 2222),
            (16, owner | group, NO_ID),
            (32, own_group, NO_ID),
        ])
    };
    for (name, expected) in [("private", list(6, 0, 0)), ("shared", list(6, 4, 0)), ("open", list(6, 6, 4))] {
        Conversation::with(&server).upload(name, b"new").unwrap();
        let (owner, group, _, now) = facts(&folder.path().join(name));
        assert_eq!((owner, group), (1234, 5678));
        assert_eq!(now.unwrap(), expected, "{name}");
        server.wait_for_log(&format!("{name} belonged to user 1111"));
    }
}

/// What the mode of a file becomes when it is made executable: its owner, and all who may read it.
fn with_execution(mode: u32) -> u32 {
    mode | 0o100 | (mode & 0o444) >> 2
}

#[test]
fn an_upload_is_as_executable_as_was_asked_for_and_the_server_tells_of_it() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.upload("usual", b"opens the data connection").unwrap();
    let usual = facts(&server.path("usual")).2;
    let mut upload = |name: &str, size: usize, options: &str| {
        session.send(format!("upload {name} {size}{options}\n"));
        if size == LARGE {
            assert!(matches!(session.reply(), Reply::Upload { .. }));
        }
        session.data.as_mut().unwrap().write_all(&vec![1; size]).unwrap();
        session.answer().outcome.unwrap();
        facts(&server.path(name)).2
    };
    for size in [10, LARGE] {
        for name in ["new", "not"] {
            let _ = fs::remove_file(server.path(name));
        }
        assert_eq!(upload("not", size, " exec=no"), usual);
        assert_eq!(upload("new", size, " exec=yes"), with_execution(usual));
        assert_eq!(upload("new", size, ""), with_execution(usual), "kept");
        assert_eq!(upload("new", size, " exec=no"), usual);
        for (before, option, after) in
            [(0o4640, "yes", 0o750), (0o6744, "yes", 0o744), (0o1755, "no", 0o644), (0o611, "no", 0o611)]
        {
            fs::set_permissions(server.path("new"), Permissions::from_mode(before)).unwrap();
            assert_eq!(upload("new", size, &format!(" exec={option}")), after, "{before:o} {option}");
        }
        // What others may says nothing of the owner.
        fs::set_permissions(server.path("not"), Permissions::from_mode(0o611)).unwrap();
    }
    let is_executable = |answer: &Answer, name: &str| {
        let is_told = |reply: &Reply, expected| {
            matches!(reply, Reply::Entry(Entry { name: found, executable, .. })
                if found == name.as_bytes() && *executable == expected)
        };
        assert_eq!(
            answer.replies.iter().filter(|reply| is_told(reply, true) || is_told(reply, false)).count(),
            1
        );
        answer.replies.iter().any(|reply| is_told(reply, true))
    };
    fs::set_permissions(server.path("new"), Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("new", server.path("link")).unwrap();
    fs::create_dir(server.path("directory")).unwrap();
    for (name, expected) in [("new", true), ("link", true), ("not", false), ("directory", false)] {
        assert_eq!(is_executable(&session.ask("ls"), name), expected, "{name}");
        assert_eq!(is_executable(&session.ask(format!("stat {name}")), name), expected, "{name}");
    }
    for (name, expected) in [("new", true), ("link", true), ("not", false)] {
        session.send(format!("download {name}\n"));
        let Reply::Download { length, executable, .. } = session.reply() else { panic!() };
        assert_eq!(executable, expected, "{name}");
        let mut content = vec![0; usize::try_from(length).unwrap()];
        session.data.as_mut().unwrap().read_exact(&mut content).unwrap();
        session.answer().outcome.unwrap();
    }
}

#[test]
fn a_new_executable_file_has_what_the_default_access_list_of_its_directory_allows() {
    let server = Server::start();
    fs::create_dir(server.path("with")).unwrap();
    if !set_attribute(&server.path("with"), DEFAULT, &named(4321, 4)) {
        return;
    }
    let mut session = Conversation::with(&server);
    session.upload("first", b"opens the data connection").unwrap();
    session.send("upload with/new 1 exec=yes\n");
    session.data.as_mut().unwrap().write_all(b"1").unwrap();
    session.answer().outcome.unwrap();
    let expected = acl(&[(1, 7, NO_ID), (2, 7, 4321), (4, 5, NO_ID), (16, 7, NO_ID), (32, 0, NO_ID)]);
    assert_eq!(attribute(&server.path("with/new"), ACCESS), Some(expected));
}

#[test]
fn a_file_is_as_executable_and_as_old_at_the_other_end() {
    let (server, here, there) = (Server::start(), Ferry::new(), Ferry::new());
    let time = UNIX_EPOCH - Duration::new(3, 500);
    for (name, mode) in [("program", 0o755), ("text", 0o644), ("private", 0o700)] {
        for ferry in [&here, &there] {
            // What is replaced is the other way round.
            ferry.put(name, name);
            let mode = if ferry.path(name) == here.path(name) { mode } else { mode ^ 0o111 };
            fs::set_permissions(ferry.path(name), Permissions::from_mode(mode)).unwrap();
        }
        File::options().write(true).open(here.path(name)).unwrap().set_modified(time).unwrap();
        here.run(server.control_address(), &[&format!("upload {name}")]).expect_status(0);
        there.run(server.control_address(), &[&format!("download {name}")]).expect_status(0);
        for path in [server.path(name), there.path(name)] {
            let stored = fs::metadata(&path).unwrap();
            assert_eq!(stored.mode() & 0o100, mode & 0o100, "{}", path.display());
            assert_eq!(stored.modified().unwrap(), time, "{}", path.display());
        }
    }
}
