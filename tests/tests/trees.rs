//! Whole trees, down and up: they arrive as they are, what is there already is not moved again, what cannot be moved is told
//! and stops nothing else, and no link leads out of where they go.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::proxy::{Direction, Fault, Kind, Link, Proxy};
use ferry_tests::relay::Relay;
use ferry_tests::server::{Options, Server};
use ferry_tests::tree::{Node, assert_same, harvest, plant, set_mtime, without_folder_times};
use ferry_tests::wait::{WAIT_LIMIT, wait_until};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// In memory, where there are so many files: to remove them takes some disks minutes.
const BIG_TREES: &str = "/dev/shm";
const FILES: usize = 20_000;
const FEW_FILES: usize = 1_000;
const HUGE: Content = Content { seed: 31, size_bytes: 200_000_000 };

#[test]
fn a_tree_with_every_awkward_name_makes_the_round_trip() {
    let within = Path::new(BIG_TREES);
    let (origin, server) = (Ferry::within(within), Options::default().within(within).start());
    plant(&origin.path("tree"), FILES, 1);
    let planted = harvest(&origin.path("tree"));
    assert!(planted.values().filter(|node| matches!(node, Node::File { .. })).count() == FILES);

    let run = origin.run(server.control_address(), &["upload tree"]);
    run.expect_status(0);
    assert_same(&planted, &harvest(&server.path("tree")));

    plant(&server.path("other"), FEW_FILES, 2);
    let back = Ferry::within(within);
    back.run(server.control_address(), &["download tree"]).expect_status(0);
    back.run(server.control_address(), &["download other"]).expect_status(0);
    assert_same(&planted, &harvest(&back.path("tree")));
    assert_same(&harvest(&server.path("other")), &harvest(&back.path("other")));
    for name in ["tree", "other"] {
        assert_eq!(mtime(&back.path(name)), mtime(&server.path(name)));
    }
    assert_eq!(mtime(&back.path("tree")), mtime(&origin.path("tree")));
}

#[test]
fn what_is_there_already_is_not_moved_again() {
    let (ferry, server) = (Ferry::new(), Server::start());
    plant(&server.path("tree"), FEW_FILES, 3);
    ferry.run(server.control_address(), &["download tree"]).expect_status(0);
    let run = ferry.run(server.control_address(), &["download tree"]);
    assert!(
        run.expect_status(0).stderr.contains("0 files received (0 new, 1,000 the same)"),
        "{}",
        run.stderr
    );

    server.put("tree/*/more", "more");
    let changed = harvest(&server.path("tree")).into_keys().find(|path| path.ends_with("file 500")).unwrap();
    fs::write(server.path("tree").join(&changed), "changed").unwrap();
    let run = ferry.run(server.control_address(), &["download tree"]);
    assert!(run.expect_status(0).stderr.contains("(1 new, 1 changed, 999 the same)"), "{}", run.stderr);
    assert_same(&harvest(&server.path("tree")), &harvest(&ferry.path("tree")));

    // The other way, too.
    fs::write(ferry.path("tree").join(&changed), "changed here").unwrap();
    let run = ferry.run(server.control_address(), &["upload tree"]);
    assert!(run.expect_status(0).stderr.contains("(0 new, 1 changed, 1,000 the same)"), "{}", run.stderr);
    assert_eq!(fs::read(server.path("tree").join(&changed)).unwrap(), b"changed here");
}

fn mtime(path: &Path) -> (i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.mtime(), metadata.mtime_nsec())
}

/// A time is set last, and where it is not right already.
#[test]
fn an_upload_sets_the_times_of_folders_and_asks_for_no_more_than_it_must() {
    let (ferry, server) = (Ferry::new(), Server::start());
    let relay = Relay::before(server.control_address());
    plant(&ferry.path("tree"), FEW_FILES, 7);
    let planted = harvest(&ferry.path("tree"));
    let folders = 1 + planted.values().filter(|node| matches!(node, Node::Folder { .. })).count();
    let address = relay.address();
    ferry.run(address, &["upload tree"]).expect_status(0);
    assert_same(&planted, &harvest(&server.path("tree")));
    let stats = relay.count("stat");
    assert_eq!(relay.count("mtime"), folders);

    // Each folder and each file is asked about once, to find that it is there.
    ferry.run(address, &["upload tree"]).expect_status(0);
    assert_eq!(relay.count("mtime"), folders);
    assert_eq!(relay.count("stat") - stats, folders + FEW_FILES);

    // A new file changes the time of its folder, and that is put right; as is one that was changed by hand.
    let [new, touched] = [&b"*"[..], b"?"].map(|name| Path::new("tree").join(OsStr::from_bytes(name)));
    let before = mtime(&ferry.path(&new));
    fs::write(ferry.path(new.join("more")), "more").unwrap();
    set_mtime(&ferry.path(&new), before.0, before.1);
    set_mtime(&server.path(&touched), 5, 5);
    ferry.run(address, &["upload tree"]).expect_status(0);
    assert_same(&harvest(&ferry.path("tree")), &harvest(&server.path("tree")));
    assert_eq!(relay.count("mtime") - folders, 2);

    let mut command = ferry.command(address);
    command.args(["--no-times", "-c", "upload tree -o copy"]);
    Running::start(command, b"").finish().expect_status(0);
    assert_eq!(relay.count("mtime") - folders, 2);
}

/// A server closes a session that sends many lines which are no commands to it.
#[test]
fn an_older_server_is_asked_for_the_time_of_one_folder() {
    let (ferry, server) = (Ferry::new(), Server::start());
    let relay = Relay::older_than(server.control_address(), "mtime");
    plant(&ferry.path("tree"), 300, 8);
    let run = ferry.run(relay.address(), &["upload tree"]);
    run.expect_status(0);
    let remark = "This server sets no times of folders; those of the files are kept";
    assert!(run.stderr_lines().contains(&remark), "{}", run.stderr);
    assert_eq!(relay.count("mtime"), 1);
    let planted = without_folder_times(harvest(&ferry.path("tree")));
    assert_same(&planted, &without_folder_times(harvest(&server.path("tree"))));
}

#[test]
fn links_and_pipes_have_a_sentence_each_and_stop_nothing() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(ferry.path("tree/folder")).unwrap();
    ferry.put("tree/file", "content");
    ferry.put("outside", "outside");
    symlink("../outside", ferry.path("tree/link")).unwrap();
    symlink("..", ferry.path("tree/loop")).unwrap();
    rustix::fs::mknodat(CWD, ferry.path("tree/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let run = ferry.run(server.control_address(), &["upload tree"]);
    run.expect_status(0);
    for sentence in [
        "3 were not sent:",
        "  tree/fifo: it is a FIFO",
        "  tree/link: it is a symbolic link",
        "  tree/loop: it is a symbolic link",
    ] {
        assert!(run.stderr_lines().contains(&sentence), "{}", run.stderr);
    }
    let there: Vec<PathBuf> = harvest(&server.path("tree")).into_keys().collect();
    assert_eq!(there, [PathBuf::from("file"), PathBuf::from("folder")]);
}

#[test]
fn no_link_is_followed_where_a_tree_is_written() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(server.path("tree/evil")).unwrap();
    fs::create_dir_all(server.path("tree/good")).unwrap();
    server.put("tree/evil/file", "from the server");
    server.put("tree/good/file", "from the server");
    server.put("tree/name", "from the server");
    let outside = Ferry::new();
    outside.put("precious", "precious");
    fs::create_dir(ferry.path("tree")).unwrap();
    symlink(outside.local(), ferry.path("tree/evil")).unwrap();
    symlink(outside.path("precious"), ferry.path("tree/name")).unwrap();
    let run = ferry.run(server.control_address(), &["download tree"]);
    run.expect_status(5);
    assert!(
        run.stderr.contains("tree/evil: a symbolic link has this name here; it is left alone"),
        "{}",
        run.stderr
    );
    assert_eq!(outside.files(), ["precious"]);
    assert_eq!(outside.read("precious"), b"precious");
    assert_eq!(ferry.read("tree/good/file"), b"from the server");
    // A link in the place of a file is replaced itself.
    assert_eq!(ferry.read("tree/name"), b"from the server");
}

#[test]
fn a_file_that_cannot_have_its_name_stops_no_other_and_decides_the_status() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir(server.path("tree")).unwrap();
    for number in 0..200 {
        server.put(format!("tree/{number}"), format!("{number}"));
    }
    fs::create_dir_all(ferry.path("tree/77")).unwrap();
    let run = ferry.run(server.control_address(), &["download tree"]);
    run.expect_status(5);
    assert!(run.stderr.contains("199 files received"), "{}", run.stderr);
    assert!(
        run.stderr.contains("  tree/77: a folder has this name here; it is left alone"),
        "{}",
        run.stderr
    );

    fs::remove_dir(ferry.path("tree/77")).unwrap();
    let read_only = Options::default().root(server.root()).arguments(&["--read-only"]).start();
    ferry.put("tree/new", "new");
    let run = ferry.run(read_only.control_address(), &["upload tree"]);
    run.expect_status(4);
    assert!(run.stderr.contains("  tree: "), "{}", run.stderr);
}

#[test]
fn nothing_is_replaced_with_no_overwrite() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir(server.path("tree")).unwrap();
    fs::create_dir(ferry.path("tree")).unwrap();
    server.put("tree/a", "of the server");
    server.put("tree/b", "of the server");
    ferry.put("tree/a", "mine");
    let mut command = ferry.command(server.control_address());
    command.args(["--no-overwrite", "-c", "download tree"]);
    let run = Running::start(command, b"").finish();
    run.expect_status(5);
    assert_eq!((ferry.read("tree/a"), ferry.read("tree/b")), (b"mine".to_vec(), b"of the server".to_vec()));
}

/// Wherever the link breaks, everything arrives, and as it is.
#[test]
fn a_link_that_breaks_costs_no_file() {
    let server = Server::start();
    fs::create_dir(server.path("tree")).unwrap();
    for number in 0..300 {
        server.put(format!("tree/{number}"), Content::new(number, number * 37).bytes());
    }
    server.put("tree/large", Content::new(9, 3_000_000).bytes());
    let planted = without_folder_times(harvest(&server.path("tree")));
    let faults = [
        (Link::Control, Direction::ToServer, 3_000),
        (Link::Control, Direction::ToClient, 9_000),
        (Link::Data, Direction::ToClient, 200_000),
        (Link::Data, Direction::ToClient, 2_000_000),
    ];
    for (link, direction, after) in faults {
        for kind in [Kind::Reset, Kind::End] {
            let proxy = Proxy::before(server.control_address());
            proxy.arm(Fault { link, direction, after, kind });
            let ferry = Ferry::new();
            let run = ferry.run(proxy.control_address(), &["download tree"]);
            assert!(proxy.has_happened(), "{link:?} {after}");
            run.expect_status(0);
            assert_same(&planted, &without_folder_times(harvest(&ferry.path("tree"))));
        }
    }
    let ferry = Ferry::new();
    ferry.run(server.control_address(), &["download tree"]).expect_status(0);
    let faults = [
        (Link::Control, Direction::ToServer, 3_000),
        (Link::Control, Direction::ToClient, 3_000),
        (Link::Data, Direction::ToServer, 200_000),
        (Link::Data, Direction::ToServer, 2_000_000),
    ];
    for (link, direction, after) in faults {
        for kind in [Kind::Reset, Kind::End] {
            let target = Server::start();
            let proxy = Proxy::before(target.control_address());
            proxy.arm(Fault { link, direction, after, kind });
            let run = ferry.run(proxy.control_address(), &["upload tree"]);
            assert!(proxy.has_happened(), "{link:?} {after}");
            run.expect_status(0);
            assert_same(&planted, &without_folder_times(harvest(&target.path("tree"))));
        }
    }
}

/// What is not compared is moved all the same, large files too.
#[test]
fn a_tree_moves_without_verification() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir(server.path("tree")).unwrap();
    server.put("tree/small", "small");
    server.put("tree/large", Content::new(9, 3_000_000).bytes());
    let unverified = |line: &str| {
        let mut command = ferry.command(server.control_address());
        command.args(["--no-verify", "-c", line]);
        let run = Running::start(command, b"").finish();
        assert!(!run.expect_status(0).stderr.contains("verified"), "{}", run.stderr);
    };
    unverified("download tree");
    unverified("upload tree -o copy");
    let planted = without_folder_times(harvest(&server.path("tree")));
    assert_same(&planted, &without_folder_times(harvest(&ferry.path("tree"))));
    assert_same(&planted, &without_folder_times(harvest(&server.path("copy/tree"))));
}

#[test]
fn sync_makes_one_folder_hold_what_the_other_holds() {
    let (ferry, server) = (Ferry::new(), Server::start());
    plant(&ferry.path("here"), FEW_FILES, 5);
    let address = server.control_address();
    ferry.run(address, &["sync here there/deep"]).expect_status(0);
    let planted = harvest(&ferry.path("here"));
    assert_same(&planted, &harvest(&server.path("there/deep")));
    assert_eq!(mtime(&server.path("there/deep")), mtime(&ferry.path("here")));
    let run = ferry.run(address, &["sync here there/deep"]);
    assert!(run.expect_status(0).stderr.contains("(0 new, 1,000 the same)"), "{}", run.stderr);

    ferry.run(address, &["mirror there/deep back"]).expect_status(0);
    assert_same(&harvest(&server.path("there/deep")), &harvest(&ferry.path("back")));
    assert_eq!(mtime(&ferry.path("back")), mtime(&ferry.path("here")));

    // Where both ends have the first one, it must be said which is meant.
    fs::create_dir(server.path("back")).unwrap();
    server.put("back/only there", "content");
    let run = ferry.run(address, &["sync back other"]);
    assert!(run.expect_status(2).stderr.contains("sync --up sends it"), "{}", run.stderr);
    ferry.run(address, &["sync --down back other"]).expect_status(0);
    assert_eq!(ferry.read("other/only there"), b"content");
    ferry.run(address, &["sync -u back other"]).expect_status(0);
    assert_same(&planted, &harvest(&server.path("other")));
    ferry.run(address, &["sync nowhere other"]).expect_status(5);
}

#[test]
fn a_dry_run_tells_and_touches_nothing() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(server.path("tree/folder")).unwrap();
    server.put("tree/folder/a b", "content");
    ferry.put("mine", "content");
    let address = server.control_address();
    let run = ferry.run(address, &["download -n tree"]);
    assert_eq!(run.expect_status(0).stdout, "download \"tree/folder/a b\"\n");
    let run = ferry.run(address, &["upload -n mine -o new"]);
    assert_eq!(run.expect_status(0).stdout, "upload new/mine\n");
    assert_eq!(ferry.files(), ["mine"]);
    assert!(!server.path("new").exists());
}

#[test]
fn what_is_excluded_is_not_moved() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(server.path("tree/cache")).unwrap();
    for name in ["tree/a.txt", "tree/b.tmp", "tree/cache/c.txt"] {
        server.put(name, "content");
    }
    let address = server.control_address();
    ferry.run(address, &["download -x *.tmp -x cache/ tree"]).expect_status(0);
    let there: Vec<PathBuf> = harvest(&ferry.path("tree")).into_keys().collect();
    assert_eq!(there, [PathBuf::from("a.txt")]);
}

/// Links to folders can lead in circles. A link to a file is that file.
#[test]
fn no_link_to_a_folder_of_the_server_is_entered_unless_it_is_named() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(server.path("tree/folder")).unwrap();
    server.put("tree/folder/file", "content");
    symlink("..", server.path("tree/folder/loop")).unwrap();
    symlink("folder/file", server.path("tree/link")).unwrap();
    let address = server.control_address();
    let run = ferry.run(address, &["download tree"]);
    let why = "tree/folder/loop: it is a symbolic link to a folder; name it to have what it leads to";
    assert!(run.expect_status(0).stderr.contains(why), "{}", run.stderr);
    let there: Vec<PathBuf> = harvest(&ferry.path("tree")).into_keys().collect();
    assert_eq!(there, ["folder", "folder/file", "link"].map(PathBuf::from));
    assert_eq!(ferry.read("tree/link"), b"content");
    ferry.run(address, &["download tree/folder/loop -o named"]).expect_status(0);
    assert_eq!(ferry.read("named/loop/folder/file"), b"content");
}

#[test]
fn a_tree_that_ctrl_c_has_stopped_goes_on_where_it_was() {
    let server = Server::start();
    fs::create_dir(server.path("tree")).unwrap();
    for number in 0..300 {
        server.put(format!("tree/{number}"), Content::new(number, 4096).bytes());
    }
    let planted = without_folder_times(harvest(&server.path("tree")));
    let proxy = Proxy::before(server.control_address());
    let kind = Kind::Stall(WAIT_LIMIT);
    proxy.arm(Fault { link: Link::Data, direction: Direction::ToClient, after: 400_000, kind });
    let ferry = Ferry::new();
    let mut command = ferry.command(proxy.control_address());
    command.args(["-c", "download tree"]);
    let running = Running::start(command, b"");
    // What has come is named without a wait for what has not.
    wait_until("files that are whole", || {
        fs::read_dir(ferry.path("tree")).is_ok_and(|entries| entries.count() > 50)
    });
    running.process().signal(Signal::INT);
    let run = running.finish();
    run.expect_status(130);
    assert!(run.stderr.contains("not complete: the same command goes on from here"), "{}", run.stderr);
    for (path, node) in without_folder_times(harvest(&ferry.path("tree"))) {
        assert_eq!(planted.get(&path), Some(&node), "{path:?} is not whole");
    }
    let run = ferry.run(server.control_address(), &["download tree"]);
    assert!(!run.expect_status(0).stderr.contains("(300 new"), "{}", run.stderr);
    assert_same(&planted, &without_folder_times(harvest(&ferry.path("tree"))));
}

/// A folder is made for it, but the file's own path is longer than the protocol allows.
#[test]
fn a_path_that_becomes_too_long_at_the_server_is_told() {
    let (ferry, server) = (Ferry::new(), Server::start());
    let folder = std::iter::repeat_n("d".repeat(246), 15).fold(ferry.path("t"), |path, name| path.join(name));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("f".repeat(255)), "content").unwrap();
    ferry.put("t/short", "content");
    let run = ferry.run(server.control_address(), &[&format!("upload t -o {}", "b".repeat(200))]);
    run.expect_status(2);
    assert!(run.stderr.contains("its path is too long for the server"), "{}", run.stderr);
    assert!(run.stderr.contains("1 file sent"), "{}", run.stderr);
    assert!(server.path("b".repeat(200)).join("t/short").exists());
}

/// A client that is killed when it has half of a large file of a tree. What it leaves, with the server.
fn killed_in_the_middle() -> (Ferry, Server) {
    let within = Path::new(BIG_TREES);
    let (ferry, server) = (Ferry::within(within), Options::default().within(within).start());
    fs::create_dir(server.path("tree")).unwrap();
    server.put("tree/small", "small");
    server.put("tree/huge", HUGE.bytes());
    let proxy = Proxy::before(server.control_address());
    let (after, kind) = (HUGE.size_bytes / 2, Kind::Stall(WAIT_LIMIT));
    proxy.arm(Fault { link: Link::Data, direction: Direction::ToClient, after, kind });
    let mut command = ferry.command(proxy.control_address());
    command.args(["-c", "download tree"]);
    let running = Running::start(command, b"");
    wait_until("a part of the large file", || {
        fs::metadata(ferry.path(PART)).is_ok_and(|part| part.len() > HUGE.size_bytes / 3)
            && ferry.path("tree/small").exists()
    });
    running.process().signal(Signal::KILL);
    running.finish();
    let part = fs::metadata(ferry.path(PART)).unwrap();
    assert!(part.len() < HUGE.size_bytes && part.mode() & 0o777 == 0o600, "{part:?}");
    assert!(!ferry.path("tree/huge").exists());
    (ferry, server)
}

const PART: &str = "tree/.huge.ferry-part";

/// The same command once more: everything is there, and nothing else.
#[track_caller]
fn complete(ferry: &Ferry, server: &Server) -> String {
    let run = ferry.run(server.control_address(), &["download tree"]);
    run.expect_status(0);
    assert!(ferry.read("tree/huge") == HUGE.bytes());
    assert_same(&harvest(&server.path("tree")), &harvest(&ferry.path("tree")));
    run.stderr
}

#[test]
fn a_large_file_of_a_tree_goes_on_after_a_kill() {
    let (ferry, server) = killed_in_the_middle();
    let told = complete(&ferry, &server);
    assert!(told.contains("of 1 file were here already, from a run that broke off"), "{told}");
    let log = server.wait_for_log("downloaded tree/huge  200.0 MB");
    let (_, now) = log.split_once(", of it ").unwrap_or_else(|| panic!("all of it came again: {log}"));
    let moved: f64 = now.split(' ').next().unwrap().parse().unwrap();
    assert!(now.contains(" MB now") && moved < 140.0, "{log}");
}

/// Neither a damaged beginning nor a file that has become another one at the server spoils what comes.
#[test]
fn what_is_no_beginning_of_a_large_file_begins_anew() {
    let (ferry, server) = killed_in_the_middle();
    let part = fs::OpenOptions::new().write(true).open(ferry.path(PART)).unwrap();
    part.write_all_at(b"damaged", 12_345).unwrap();
    // Longer than what comes, too.
    part.set_len(HUGE.size_bytes - 1).unwrap();
    drop(part);
    let told = complete(&ferry, &server);
    assert!(!told.contains("here already, from a run"), "{told}");
    let log = server.wait_for_log("downloaded tree/huge  200.0 MB");
    assert!(!log.contains(", of it "), "{log}");
}

/// Puts something at the second path, in place of a part. The first leads to a file that is not to be touched.
type StandIn = fn(&Path, &Path);

#[test]
fn nothing_is_written_through_what_stands_in_the_place_of_a_part() {
    let (ferry, server) = (Ferry::new(), Server::start());
    let outside = Ferry::new();
    let large = Content::new(9, 3_000_000);
    let kinds: [StandIn; 3] = [
        |precious, place| symlink(precious, place).unwrap(),
        |precious, place| fs::hard_link(precious, place).unwrap(),
        |_, place| rustix::fs::mknodat(CWD, place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
    ];
    fs::create_dir(server.path("tree")).unwrap();
    server.put("tree/large", large.bytes());
    for stand_in in kinds {
        fs::create_dir(ferry.path("tree")).unwrap();
        outside.put("precious", "precious");
        let place = ferry.path("tree/.large.ferry-part");
        stand_in(&outside.path("precious"), &place);
        let before = fs::symlink_metadata(&place).unwrap();
        ferry.run(server.control_address(), &["download tree"]).expect_status(0);
        assert!(ferry.read("tree/large") == large.bytes());
        assert_eq!(outside.read("precious"), b"precious");
        let after = fs::symlink_metadata(&place).unwrap();
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
        fs::remove_dir_all(ferry.path("tree")).unwrap();
    }
}

/// A kill between two names of a file that replaces another leaves it under a hidden one.
#[test]
fn what_killed_runs_have_left_is_removed_and_what_another_run_has_is_not() {
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir_all(server.path("tree/folder")).unwrap();
    fs::create_dir_all(ferry.path("tree/folder")).unwrap();
    server.put("tree/folder/a", "a");
    server.put("single", "single");
    let left = ["tree/folder/.a.ferry-0123abcd", "tree/.b.ferry-ffffffff", ".single.ferry-00000000"];
    let mine = ["tree/folder/.a.ferry-0123ABCD", "tree/.ferry", ".single.ferry-kept", "x.ferry-00000000"];
    for name in left.iter().chain(&mine) {
        ferry.put(name, "content");
    }
    let held = fs::File::open(ferry.path(left[0])).unwrap();
    held.try_lock().unwrap();
    let address = server.control_address();
    let are_there = |names: &[&str]| names.iter().map(|name| ferry.path(name).exists()).collect::<Vec<_>>();
    ferry.run(address, &["download -n tree"]).expect_status(0);
    assert_eq!(are_there(&left), [true; 3], "a dry run touches nothing");
    ferry.run(address, &["download tree"]).expect_status(0);
    assert_eq!(are_there(&left), [true, false, false]);
    drop(held);
    ferry.put(left[2], "content");
    ferry.run(address, &["download single"]).expect_status(0);
    ferry.run(address, &["download tree"]).expect_status(0);
    assert_eq!((are_there(&left), are_there(&mine)), (vec![false; 3], vec![true; 4]));
}
