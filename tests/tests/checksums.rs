//! `-c` with `sync`, `download` and `upload`: content decides whether a file is the same, not time.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ends::{Ends, put, set_time};
use ferry_tests::ferry::Ferry;
use ferry_tests::proxy::{Direction, Fault, Kind, Link, Proxy};
use ferry_tests::server::Server;
use ferry_tests::tree::{Node, assert_same, harvest, without_folder_times};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files that are the same by time and by content, by one of them, or by none.
fn plant_for_comparison(ends: &Ends) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for (name, from, to, is_of_one_time) in [
        ("same", "content", "content", true),
        ("time differs", "content", "content", false),
        ("content differs", "content", "CONTENT", true),
        ("both differ", "content", "CONTENT", false),
        ("size differs", "content", "contents", true),
        ("empty", "", "", false),
    ] {
        put(ends.from(name), from);
        put(ends.to(name), to);
        set_time(&ends.from(name), time);
        set_time(&ends.to(name), if is_of_one_time { time } else { time + Duration::from_secs(5) });
    }
    let large = Content::new(7, 5_000_000).bytes();
    fs::write(ends.from("large"), &large).unwrap();
    fs::write(ends.to("large"), &large).unwrap();
    set_time(&ends.from("large"), time);
    set_time(&ends.to("large"), time);
}

#[test]
fn a_checksum_finds_what_time_does_not_tell_and_spares_what_is_the_same() {
    for ends in Ends::both() {
        plant_for_comparison(&ends);
        let run = ends.run("sync -n -c from to");
        let mut lines: Vec<_> = run.expect_status(0).stdout_lines();
        lines.sort_unstable();
        let told = ["both differ", "content differs", "size differs"];
        assert_eq!(lines.len(), told.len(), "{lines:?}");
        assert!(
            lines.iter().zip(told).all(|(line, name)| line.ends_with(&format!("/{name}\""))),
            "{lines:?}"
        );

        let run = ends.run("sync -c from to");
        let summary = "3 files ";
        assert!(run.expect_status(0).stderr.starts_with(summary), "{}", run.stderr);
        assert!(run.stderr.contains("(0 new, 3 changed, 4 the same)"), "{}", run.stderr);
        let contents = |top: PathBuf| -> Vec<Vec<u8>> {
            let content = |node| match node {
                Node::File { content, .. } => content,
                Node::Folder { .. } => Vec::new(),
            };
            harvest(&top).into_values().map(content).collect()
        };
        assert!(contents(ends.from("")) == contents(ends.to("")));
        let run = ends.run("sync --checksum from to");
        assert!(run.expect_status(0).stderr.contains("(0 new, 7 the same)"), "{}", run.stderr);

        // Their times are as they were: without it they look different.
        let run = ends.run("sync from to");
        assert!(run.expect_status(0).stderr.contains("2 changed"), "{}", run.stderr);
    }
}

#[test]
fn a_checksum_holds_for_downloads_and_uploads_too() {
    let (ferry, server) = (Ferry::new(), Server::start());
    let address = server.control_address();
    fs::create_dir(server.path("tree")).unwrap();
    for number in 0..3_000 {
        server.put(format!("tree/{number}"), Content::new(number, number % 500).bytes());
    }
    ferry.run(address, &["download tree"]).expect_status(0);
    let path = ferry.path("tree/1234");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut content = fs::read(&path).unwrap();
    content[100] ^= 1;
    fs::write(&path, content).unwrap();
    set_time(&path, time);

    let run = ferry.run(address, &["upload -n tree"]);
    assert_eq!(run.expect_status(0).stdout, "", "by time it is the same");
    let run = ferry.run(address, &["download -c tree"]);
    assert!(run.expect_status(0).stderr.contains("(0 new, 1 changed, 2,999 the same)"), "{}", run.stderr);
    server.put("tree/77", "x".repeat(77));
    let run = ferry.run(address, &["upload -c tree"]);
    assert!(run.expect_status(0).stderr.contains("(0 new, 1 changed, 2,999 the same)"), "{}", run.stderr);
    assert_same(
        &without_contents_of_times(&server.path("tree")),
        &without_contents_of_times(&ferry.path("tree")),
    );

    // One file by its name.
    for (line, told) in [
        ("download -c tree/5 -o tree/5", "tree/5 is up to date"),
        ("upload -c tree/5 -o tree/5", "tree/5 is up to date on the server"),
    ] {
        let run = ferry.run(address, &[line]);
        assert_eq!(run.expect_status(0).stderr.trim_end(), told);
    }
    server.put("tree/5", "other");
    ferry.run(address, &["download -c tree/5 -o tree/5"]).expect_status(0);
    assert_eq!(ferry.read("tree/5"), b"other");
}

fn without_contents_of_times(top: &Path) -> std::collections::BTreeMap<PathBuf, Node> {
    let mut nodes = without_folder_times(harvest(top));
    for node in nodes.values_mut() {
        if let Node::File { mtime, .. } = node {
            *mtime = (0, 0);
        }
    }
    nodes
}

#[test]
fn a_comparison_survives_a_link_that_breaks() {
    for ends in Ends::both() {
        for number in 0..500 {
            let content = format!("content {number:04}");
            put(ends.from(&format!("{number}")), &content);
            put(ends.to(&format!("{number}")), if number % 100 == 7 { "CONTENT XXXX" } else { &content });
        }
        for (direction, after) in [(Direction::ToServer, 1_000), (Direction::ToClient, 40_000)] {
            let proxy = Proxy::before(ends.server.control_address());
            proxy.arm(Fault { link: Link::Control, direction, after, kind: Kind::Reset });
            let run = ends.ferry.run(proxy.control_address(), &["sync -n -c from to"]);
            assert!(proxy.has_happened(), "{direction:?} {after}");
            assert_eq!(run.expect_status(0).stdout_lines().len(), 5, "{}", run.stdout);
            assert!(run.stderr.contains("5 changed, 495 the same"), "{}", run.stderr);
        }
    }
}
