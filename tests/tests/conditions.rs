//! What comes while files are moved or removed is nobody's to lose: it is not replaced, not removed, and nothing goes through
//! a link that came meanwhile.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ends::{Ends, put, set_time};
use ferry_tests::ferry::{Ferry, Finished};
use ferry_tests::relay::Relay;
use ferry_tests::server::Server;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn both_up() -> Ends {
    let [up, _] = Ends::both();
    up
}

/// Between the look at a name and its removal.
#[test]
fn what_changed_right_before_its_removal_on_the_server_stays() {
    let ends = both_up();
    put(ends.from("kept"), "kept");
    for name in ["edited", "file now", "link now", "old", "sub/old"] {
        put(ends.to(name), "old");
    }
    symlink("kept", ends.to("folder now")).unwrap();
    let to = ends.to("");
    let relay = Relay::with_meanwhile(ends.server.control_address(), "rm", move || {
        put(to.join("edited"), "new");
        for name in ["file now", "link now", "folder now"] {
            fs::remove_file(to.join(name)).unwrap();
        }
        fs::create_dir(to.join("file now")).unwrap();
        symlink("kept", to.join("link now")).unwrap();
        fs::create_dir(to.join("folder now")).unwrap();
        put(to.join("sub/new"), "new");
    });
    let run = ends.ferry.run(relay.address(), &["sync --up -f --delete from to"]);
    let told = &run.expect_status(0).stderr;
    for name in ["edited", "file now", "link now", "folder now"] {
        assert!(
            told.contains(&format!("to/{name}"))
                && told.contains("it is not any more what was counted; it stays"),
            "{told}"
        );
    }
    assert!(told.contains("2 files removed") && told.contains("5 were not removed"), "{told}");
    assert_eq!(ends.there(), ["edited", "file now", "folder now", "kept", "link now", "sub", "sub/new"]);
    assert_eq!(fs::read(ends.to("edited")).unwrap(), b"new");
}

/// A file of the same name, size and time is behind the link, and an empty folder.
#[test]
fn nothing_is_removed_through_a_link_that_came_right_before() {
    let ends = both_up();
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    let elsewhere = ends.server.path("elsewhere");
    for folder in [ends.to("sub"), elsewhere.clone()] {
        put(folder.join("old"), "old");
        set_time(&folder.join("old"), early);
        fs::create_dir(folder.join("empty")).unwrap();
    }
    let to = ends.to("");
    let relay = Relay::with_meanwhile(ends.server.control_address(), "rm", move || {
        fs::rename(to.join("sub"), to.with_file_name("aside")).unwrap();
        symlink("../elsewhere", to.join("sub")).unwrap();
    });
    let run = ends.ferry.run(relay.address(), &["sync --up -f --delete from to"]);
    let told = &run.expect_status(0).stderr;
    assert!(told.contains("to/sub/old: it is not any more what was counted; it stays"), "{told}");
    assert!(elsewhere.join("old").exists() && elsewhere.join("empty").exists(), "{told}");
    assert!(fs::symlink_metadata(ends.to("sub")).unwrap().is_symlink());
}

/// TO may be reached through links: the user has named it.
#[test]
fn removals_work_beneath_a_to_that_is_a_link_and_at_an_older_server() {
    let ends = both_up();
    symlink("to", ends.server.path("by link")).unwrap();
    put(ends.from("kept"), "kept");
    for is_older in [false, true] {
        put(ends.to("old/deep/file"), "old");
        symlink("deep", ends.to("old/link")).unwrap();
        let server = ends.server.control_address();
        let relay = if is_older { Relay::older_than_conditions(server) } else { Relay::before(server) };
        let run = ends.ferry.run(relay.address(), &["sync --up -f --delete from 'by link'"]);
        let told = &run.expect_status(0).stderr;
        assert!(told.contains("2 files and 2 folders removed"), "{told}");
        assert_eq!(ends.there(), ["kept"]);
    }
}

const OLD: &str = "old";
/// Of somebody else, and of another size.
const THEIRS: &str = "of somebody else";

/// How a transfer of `from/a` to `to/a` is asked for: alone, in a tree, and to make a folder like another.
const WAYS: [&str; 3] = ["VERB from/a -o to/a", "VERB from/a from/b -o to", "sync from to"];

fn line(way: &str, ends: &Ends, flags: &str) -> String {
    let verb = if ends.is_up { "upload" } else { "download" };
    way.replace("VERB", verb).replacen(' ', &format!(" {flags} "), 1)
}

/// Another file comes to the name after it was looked at: before the transfer itself, and long before its end.
fn run_with_their_file(ends: &Ends, line: &str) -> Finished {
    let to = ends.to("a");
    let verb = if ends.is_up { "upload" } else { "download" };
    let relay = Relay::with_meanwhile(ends.server.control_address(), verb, move || {
        fs::write(to.with_extension("theirs"), THEIRS).unwrap();
        fs::rename(to.with_extension("theirs"), &to).unwrap();
    });
    ends.ferry.run(relay.address(), &[line])
}

#[test]
fn what_came_or_changed_during_a_transfer_is_left_alone_unless_it_is_forced() {
    for way in WAYS {
        for before in [None, Some(OLD)] {
            for ends in Ends::both() {
                for name in ["a", "b"] {
                    put(ends.from(name), "ours");
                }
                before.iter().for_each(|content| put(ends.to("a"), content));
                let run = run_with_their_file(&ends, &line(way, &ends, ""));
                let told = &run.expect_status(if ends.is_up { 4 } else { 5 }).stderr;
                let place = if ends.is_up { "on the server" } else { "here" };
                assert!(
                    told.contains(&format!("changed {place} meanwhile; it is left alone")),
                    "{way}: {told}"
                );
                assert_eq!(fs::read(ends.to("a")).unwrap(), THEIRS.as_bytes(), "{way}: {told}");
                let others: &[&str] = if way == WAYS[0] { &["a"] } else { &["a", "b"] };
                assert_eq!(ends.there(), others, "nothing else is left");

                fs::remove_file(ends.to("a")).unwrap();
                before.iter().for_each(|content| put(ends.to("a"), content));
                run_with_their_file(&ends, &line(way, &ends, "-f")).expect_status(0);
                assert_eq!(fs::read(ends.to("a")).unwrap(), b"ours", "{way}");
            }
        }
    }
}

/// What was there when it was looked at is replaced without a question, where there is no person.
#[test]
fn what_is_what_was_looked_at_is_replaced_at_an_older_server_too() {
    for is_older in [false, true] {
        for way in WAYS {
            for ends in Ends::both() {
                put(ends.from("a"), "ours");
                put(ends.from("b"), "ours");
                put(ends.to("a"), OLD);
                let server = ends.server.control_address();
                let relay =
                    if is_older { Relay::older_than_conditions(server) } else { Relay::before(server) };
                ends.ferry.run(relay.address(), &[&line(way, &ends, "")]).expect_status(0);
                assert_eq!(fs::read(ends.to("a")).unwrap(), b"ours", "{way}");
            }
        }
    }
}

/// All of it has come when the name is found to be taken.
#[test]
fn a_large_download_whose_name_was_taken_is_gone_on_with() {
    let content = Content { seed: 5, size_bytes: 3_000_000 };
    for way in &WAYS[..2] {
        let [_, ends] = Ends::both();
        fs::write(ends.from("a"), content.bytes()).unwrap();
        put(ends.from("b"), "ours");
        let run = run_with_their_file(&ends, &line(way, &ends, ""));
        assert!(run.expect_status(5).stderr.contains("changed here meanwhile"), "{}", run.stderr);
        assert!(ends.to(".a.ferry-part").exists(), "{way}: {:?}", ends.there());
        let relay = Relay::before(ends.server.control_address());
        ends.ferry.run(relay.address(), &[&line(way, &ends, "-f")]).expect_status(0);
        assert_eq!(relay.count("sum"), 1, "what was there was compared");
        assert_eq!(fs::read(ends.to("a")).unwrap(), content.bytes());
        assert!(!ends.to(".a.ferry-part").exists());
    }
}

/// As two transfers in the background would be.
#[test]
fn of_two_downloads_to_one_name_the_second_to_end_does_not_replace_the_first() {
    let (ferry, server) = (Arc::new(Ferry::new()), Server::start());
    server.put("first", "first");
    server.put("second", "second");
    let (other, address) = (Arc::clone(&ferry), server.control_address());
    let relay = Relay::with_meanwhile(address, "download second", move || {
        other.run(address, &["download first -o name"]).expect_status(0);
    });
    let run = ferry.run(relay.address(), &["download second -o name"]);
    assert!(run.expect_status(5).stderr.contains("name changed here meanwhile"), "{}", run.stderr);
    assert_eq!((ferry.read("name"), ferry.files()), (b"first".to_vec(), vec!["name".to_owned()]));
}

/// A folder of TO that is a link: nothing goes to where it leads, but for TO itself, which the user has named.
#[test]
fn no_file_of_a_tree_goes_through_a_link_of_the_server() {
    for line in ["upload tree", "sync -u tree tree", "sync -u tree 'by link'"] {
        let (ferry, server) = (Ferry::new(), Server::start());
        for name in ["tree/x", "tree/real/x", "tree/real/deep/er/x", "tree/really/x"] {
            put(ferry.path(name), "ours");
        }
        for name in ["other", "tree"] {
            fs::create_dir(server.path(name)).unwrap();
        }
        symlink("../other", server.path("tree/real")).unwrap();
        symlink("tree", server.path("by link")).unwrap();
        let planned = ferry.run(server.control_address(), &[&line.replacen(' ', " -n ", 1)]);
        let run = ferry.run(server.control_address(), &[line]);
        for run in [planned, run] {
            let told = &run.expect_status(4).stderr;
            let why = ": a symbolic link to a folder has this name on the server; it is left alone";
            assert!(told.contains(why) && told.contains("/real") && told.contains("1 w"), "{line}: {told}");
            assert!(!run.stdout.contains("real/"), "{}", run.stdout);
        }
        assert_eq!(fs::read_dir(server.path("other")).unwrap().count(), 0, "{line}");
        assert!(server.path("tree/x").exists() && server.path("tree/really/x").exists(), "{line}");
    }
}

#[test]
fn no_file_of_a_tree_goes_through_a_link_that_came_meanwhile() {
    let (ferry, server) = (Ferry::new(), Server::start());
    put(ferry.path("tree/real/x"), "ours");
    fs::create_dir_all(server.path("tree/real")).unwrap();
    fs::create_dir(server.path("other")).unwrap();
    let real = server.path("tree/real");
    let relay = Relay::with_meanwhile(server.control_address(), "upload", move || {
        fs::remove_dir(&real).unwrap();
        symlink("../other", &real).unwrap();
    });
    let run = ferry.run(relay.address(), &["upload tree"]);
    assert!(run.expect_status(4).stderr.contains("tree/real/x"), "{}", run.stderr);
    assert_eq!(fs::read_dir(server.path("other")).unwrap().count(), 0);
}

/// Two files of the server that would have one name here: one of them comes, and the other is told of.
#[test]
fn of_two_files_with_one_name_in_a_run_one_is_left_and_told() {
    let (ferry, server) = (Ferry::new(), Server::start());
    for (folder, content) in [("one", "one"), ("two", "two"), ("same", "one")] {
        fs::create_dir(server.path(folder)).unwrap();
        server.put(format!("{folder}/x"), content);
    }
    let run = ferry.run(server.control_address(), &["download one/x two/x"]);
    assert!(run.expect_status(5).stderr.contains("two/x: changed here meanwhile"), "{}", run.stderr);
    assert_eq!((ferry.read("x"), ferry.files()), (b"one".to_vec(), vec!["x".to_owned()]));
    fs::remove_file(ferry.path("x")).unwrap();
    // The content of both is there.
    ferry.run(server.control_address(), &["download one/x same/x"]).expect_status(0);
    assert_eq!(ferry.read("x"), b"one");
}
