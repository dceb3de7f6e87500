//! What comes while files are moved or removed is nobody's to lose: it is not replaced, not removed, and nothing goes through
//! a link that came meanwhile.
#![allow(clippy::unwrap_used)]

use ferry_tests::ends::{Ends, put, set_time};
use ferry_tests::relay::Relay;
use std::fs;
use std::os::unix::fs::symlink;
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
