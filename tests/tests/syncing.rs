//! `sync --delete`: one folder becomes like the other, and nothing goes that is not meant.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ends::{Ends, files_in, put, set_time};
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::proxy::{Direction, Fault, Kind, Link, Proxy};
use ferry_tests::relay::Relay;
use ferry_tests::server::{Options, Server};
use ferry_tests::terminal::Terminal;
use ferry_tests::tree::{assert_same, harvest, plant};
use ferry_tests::wait::{WAIT_LIMIT, wait_until};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// In memory, where there are so many files: to remove them takes some disks minutes.
const BIG_TREES: &str = "/dev/shm";
const FEW_FILES: usize = 1_000;
const MANY_FILES: usize = 20_000;
/// "A few seconds", on a machine that does much else.
const MANY_FILES_LIMIT: Duration = Duration::from_secs(30);
const PROMPT: &str = "Enter your command: ";

#[test]
fn one_folder_becomes_like_the_other() {
    for ends in Ends::both() {
        plant(&ends.from(""), FEW_FILES, 1);
        plant(&ends.to("surplus"), FEW_FILES, 2);
        plant(&ends.to("*"), FEW_FILES, 3);
        put(ends.to("empty/within/no more"), "");
        let run = ends.run("sync -f --delete from to");
        let removed = harvest(&ends.from("")).len();
        assert!(run.expect_status(0).stderr.contains("files and "), "{removed}: {}", run.stderr);
        assert!(run.stderr.contains(" folders removed ("), "{}", run.stderr);
        // Folders have the times that they were given, though something went from them.
        assert_same(&harvest(&ends.from("")), &harvest(&ends.to("")));
        let run = ends.run("sync -f --delete from to");
        assert!(run.expect_status(0).stderr.contains("There is nothing to remove"), "{}", run.stderr);
    }
}

fn mtime(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// A removal changes the time of the folder that something goes from, which is put right where it was changed, and nowhere else.
#[test]
fn folders_have_their_times_after_a_removal_and_an_identical_run_sends_nothing_needless() {
    for ends in Ends::both() {
        let relay = Relay::before(ends.server.control_address());
        let run = |line: &str| ends.ferry.run(relay.address(), &[line]).expect_status(0).stderr.clone();
        for name in ["kept", "deep/kept", "deep/er/kept", "beside/kept"] {
            put(ends.from(name), "kept");
        }
        let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
        let folders = ["", "deep", "deep/er", "beside"];
        for (folder, number) in folders.iter().zip(0..) {
            set_time(&ends.from(folder), early + Duration::from_millis(1_234_567 * number));
        }
        let assert_times = |when: &str| {
            for folder in folders {
                assert_eq!(mtime(&ends.to(folder)), mtime(&ends.from(folder)), "{folder} {when}");
            }
        };
        run("sync from to");
        assert_times("at first");
        let set = relay.count("mtime");
        assert_eq!(set, if ends.is_up { folders.len() } else { 0 });

        // What is too much was put there without a trace of it.
        for name in ["old/file", "deep/er/old"] {
            put(ends.to(name), "old");
        }
        for folder in ["", "deep/er"] {
            set_time(&ends.to(folder), mtime(&ends.from(folder)));
        }
        let told = run("sync -f --delete from to");
        assert!(told.contains("2 files and 1 folder removed"), "{told}");
        assert_times("after the removal");
        assert_eq!(relay.count("mtime") - set, if ends.is_up { 2 } else { 0 });
        assert_eq!(ends.there().len(), 7);

        let verbs = ["mtime", "rm", "upload", "download", "stat"];
        let counts = || verbs.map(|verb| relay.count(verb));
        let before = counts();
        let told = run("sync -f --delete from to");
        assert!(told.contains("There is nothing to remove"), "{told}");
        let sent: Vec<_> = counts().iter().zip(before).map(|(after, before)| after - before).collect();
        // Where the ends are, and each folder and file that the server has.
        let stats = if ends.is_up { 2 + folders.len() + 4 } else { 1 };
        assert_eq!(sent, [0, 0, 0, 0, stats]);
        assert_times("after an identical run");

        // Nor does a no spoil them.
        put(ends.to("old"), "old");
        let mut terminal = Terminal::run(ends.ferry.command(relay.address()));
        terminal.wait_for_cursor_after(PROMPT);
        terminal.type_line("sync --delete from to");
        let place = if ends.is_up { "on the server" } else { "here" };
        terminal
            .wait_for_cursor_after(&format!("1 file is only {place} (3 B): old. Remove it from to? [y/N] "));
        terminal.type_line("n");
        terminal.wait_for_text("Nothing was removed");
        terminal.wait_for_cursor_after(PROMPT);
        assert_times("after a no");
    }
}

#[test]
fn without_a_person_it_needs_to_be_told_and_moves_nothing_before() {
    for ends in Ends::both() {
        put(ends.from("new"), "new");
        put(ends.to("old"), "old");
        let run = ends.run("sync --delete from to");
        assert!(run.expect_status(2).stderr.contains("with -f it does not ask"), "{}", run.stderr);
        assert_eq!(ends.there(), ["old"]);
        let piped = ends.ferry.run_piped(ends.server.control_address(), "sync --delete from to\n");
        piped.expect_status(2);
        assert_eq!(ends.there(), ["old"]);
    }
}

#[test]
fn a_dry_run_lists_what_would_go_and_touches_nothing() {
    for ends in Ends::both() {
        put(ends.from("new"), "new");
        put(ends.to("a b"), "old");
        put(ends.to("old/deep/file"), "old");
        let run = ends.run("sync -n --delete from to");
        let moved = if ends.is_up { "upload to/new" } else { "download from/new" };
        assert_eq!(
            run.expect_status(0).stdout_lines(),
            [moved, "remove \"to/a b\"", "remove to/old", "remove to/old/deep", "remove to/old/deep/file"]
        );
        assert!(run.stderr.contains("2 files and 2 folders to remove (6 B)"), "{}", run.stderr);
        assert_eq!(ends.there(), ["a b", "old", "old/deep", "old/deep/file"]);
    }
}

/// A name that differs in case only is another one on a disk that tells them apart, as those of the tests do.
#[test]
fn a_dry_run_tells_of_spellings_what_a_real_one_does() {
    for ends in Ends::both() {
        for name in ["up", "deep/up/file"] {
            put(ends.from(name), "new");
        }
        for name in ["UP", "deep/UP/file", "other"] {
            put(ends.to(name), "old");
        }
        // What is not moved brings no other name.
        symlink("nowhere", ends.from("LINK")).unwrap();
        put(ends.to("link"), "old");
        let run = ends.run("sync -n --delete from to");
        let removed: Vec<_> = run
            .expect_status(0)
            .stdout_lines()
            .into_iter()
            .filter(|line| line.starts_with("remove "))
            .collect();
        let expected = ["remove to/UP", "remove to/deep/UP", "remove to/deep/UP/file", "remove to/other"];
        let link = if ends.is_up { None } else { Some("remove to/link") };
        assert!(expected.iter().chain(&link).all(|line| removed.contains(line)), "{removed:?}");
        let run = ends.run("sync -f --delete from to");
        run.expect_status(0);
        let left = ends.there();
        let went =
            |line: &&str| !left.iter().any(|name| line.strip_prefix("remove to/") == Some(name.as_str()));
        assert!(removed.iter().all(went), "{removed:?} {left:?}");
        assert_eq!(left.len(), 4 + usize::from(ends.is_up), "{left:?}");
    }
}

/// Such a path can be made, but not named.
#[test]
fn what_has_too_long_a_path_is_told_and_stays() {
    for ends in Ends::both() {
        let name = "d".repeat(200);
        let mut folder = fs::File::open(ends.to("")).unwrap();
        for _ in 0..22 {
            rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            folder = rustix::fs::openat(&folder, &name, flags, Mode::empty()).unwrap().into();
        }
        put(ends.to("old"), "old");
        let told = "something in it has a path of more than 4095 bytes; it stays";
        for (line, done) in
            [("sync -n --delete from to", "to remove"), ("sync -f --delete from to", "removed")]
        {
            let run = ends.run(line);
            assert_eq!(run.status, Some(5), "{}", run.stderr);
            assert!(run.stderr.contains(told) && run.stderr.contains("1 file "), "{}", run.stderr);
            assert!(run.stderr.contains(done), "{}", run.stderr);
        }
        assert!(ends.to(&name).exists() && !ends.to("old").exists());
        let run = ends.run("sync -f --delete from to");
        assert!(run.stderr.contains("Nothing was removed\n1 was not removed:"), "{}", run.stderr);
    }
}

#[test]
fn nothing_is_removed_where_anything_could_not_be_moved() {
    for ends in Ends::both() {
        put(ends.from("a"), "a file");
        put(ends.from("b"), "b");
        put(ends.to("a/within"), "a folder is in the way");
        put(ends.to("old"), "old");
        for line in ["sync -f --delete from to", "sync -n --delete from to"] {
            let run = ends.run(line);
            assert_ne!(run.status, Some(0), "{}", run.stderr);
            assert!(
                run.stderr.contains("Nothing is removed, as not everything could be moved"),
                "{}",
                run.stderr
            );
            assert!(!run.stdout.contains("remove "), "{}", run.stdout);
            let named = if ends.is_up { "to/a: " } else { "from/a: " };
            assert!(run.stderr.contains(named), "{}", run.stderr);
            assert!(ends.to("old").exists() && ends.to("a/within").exists());
        }
    }
}

#[test]
fn nothing_is_removed_where_the_connection_is_lost() {
    for ends in Ends::both() {
        for number in 0..100 {
            put(ends.from(&format!("{number}")), "some content");
        }
        put(ends.to("old"), "old");
        let proxy = Proxy::before(ends.server.control_address());
        let direction = if ends.is_up { Direction::ToServer } else { Direction::ToClient };
        proxy.arm(Fault { link: Link::Data, direction, after: 300, kind: Kind::Reset });
        proxy.refuse_after_fault();
        let mut command = ends.ferry.command(proxy.control_address());
        command.args(["--retry-for", "0", "-c", "sync -f --delete from to"]);
        let run = Running::start(command, b"").finish();
        assert!(run.expect_status(6).stderr.contains("Nothing is removed"), "{}", run.stderr);
        assert!(proxy.has_happened() && ends.to("old").exists());
    }
}

#[test]
fn a_folder_that_is_not_there_is_no_empty_one() {
    for ends in Ends::both() {
        put(ends.to("old"), "old");
        fs::remove_dir(ends.from("")).unwrap();
        let run = ends.run("sync -f --delete from to");
        run.expect_status(5);
        assert_eq!(ends.there(), ["old"]);
    }
}

#[test]
fn links_go_themselves_and_nothing_that_they_lead_to() {
    for ends in Ends::both() {
        let precious = ends.to("").with_file_name("precious");
        put(precious.join("file"), "precious");
        put(ends.from("common/a"), "a");
        fs::create_dir_all(ends.to("old")).unwrap();
        fs::create_dir_all(ends.to("common")).unwrap();
        symlink("../precious", ends.to("to a folder")).unwrap();
        symlink("../../precious", ends.to("old/to a folder")).unwrap();
        symlink("../../precious/file", ends.to("old/to a file")).unwrap();
        symlink("../common", ends.to("old/within")).unwrap();
        symlink("to a file", ends.to("old/to a link")).unwrap();
        symlink(".", ends.to("common/loop")).unwrap();
        let run = ends.run("sync -f --delete from to");
        assert!(run.expect_status(0).stderr.contains("6 files and 1 folder removed (0 B)"), "{}", run.stderr);
        assert_eq!(ends.there(), ["common", "common/a"]);
        assert_eq!(fs::read(precious.join("file")).unwrap(), b"precious");
    }
}

/// What was not sent is there all the same: its name stays at the other end, whatever has it there.
#[test]
fn what_is_no_file_at_the_sending_end_keeps_what_has_its_name() {
    let [up, down] = Ends::both();
    symlink("nowhere", up.from("link")).unwrap();
    symlink("/", up.from("other")).unwrap();
    rustix::fs::mknodat(CWD, up.from("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    for name in ["link", "fifo", "other/within", "old"] {
        put(up.to(name), "kept");
    }
    up.run("sync -f --delete from to").expect_status(0);
    assert_eq!(up.there(), ["fifo", "link", "other", "other/within"]);

    // The server does not list the first, but tells of it when it is asked.
    rustix::fs::mknodat(CWD, down.from("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(down.server.path("elsewhere")).unwrap();
    symlink("../elsewhere", down.from("other")).unwrap();
    for name in ["fifo", "other/within", "old"] {
        put(down.to(name), "kept");
    }
    let run = down.run("sync -f --delete from to");
    let why = "to/fifo: FROM has something of this name by now; it stays";
    assert!(run.expect_status(0).stderr.contains(why), "{}", run.stderr);
    assert_eq!(down.there(), ["fifo", "other", "other/within"]);
}

#[test]
fn pipes_and_what_transfers_keep_stay_with_their_folders() {
    for ends in Ends::both() {
        put(ends.to("old/file"), "old");
        rustix::fs::mknodat(CWD, ends.to("old/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for name in [".a.ferry-part", "deep/.b.ferry-01234abc", "deep/file"] {
            put(ends.to(name), "kept");
        }
        let run = ends.run("sync -f --delete from to");
        assert!(run.expect_status(0).stderr.contains("2 files removed (7 B)"), "{}", run.stderr);
        assert_eq!(ends.there(), [".a.ferry-part", "deep", "deep/.b.ferry-01234abc", "old", "old/fifo"]);
    }
    // The whole shared folder: what the server keeps there for itself is none of it.
    let (ferry, server) = (Ferry::new(), Server::start());
    fs::create_dir(ferry.path("from")).unwrap();
    server.put("old", "old");
    ferry.run(server.control_address(), &["sync --up -f --delete from /"]).expect_status(0);
    assert!(!server.path("old").exists() && server.path(".ferry-staging").exists());
}

#[test]
fn excluded_names_stay_at_both_ends() {
    for ends in Ends::both() {
        for name in ["a", "b.tmp", "cache/new", "deep/c.tmp"] {
            put(ends.from(name), "from");
        }
        for name in ["old", "old.tmp", "cache/old", "deep/old", "gone/old", "gone/deep/old.tmp"] {
            put(ends.to(name), "to");
        }
        fs::create_dir(ends.to("gone/bare")).unwrap();
        ends.run("sync -f --delete -x *.tmp -x cache/ from to").expect_status(0);
        assert_eq!(
            ends.there(),
            ["a", "cache", "cache/old", "deep", "gone", "gone/deep", "gone/deep/old.tmp", "old.tmp"]
        );
        assert!(ends.from("b.tmp").exists() && ends.from("cache/new").exists());
    }
}

#[test]
fn many_files_go_in_a_few_seconds() {
    for is_up in [true, false] {
        let within = Path::new(BIG_TREES);
        let (ferry, server) = (Ferry::within(within), Options::default().within(within).start());
        let ends = Ends { ferry, server, is_up };
        put(ends.from("kept"), "kept");
        for number in 0..MANY_FILES {
            put(ends.to(&format!("{}/{number}", number % 100)), "old");
        }
        let began = Instant::now();
        let run = ends.run("sync -f --delete from to");
        assert!(
            run.expect_status(0).stderr.contains("20,000 files and 100 folders removed"),
            "{}",
            run.stderr
        );
        assert!(began.elapsed() < MANY_FILES_LIMIT, "{:?}", began.elapsed());
        assert_eq!(ends.there(), ["kept"]);
    }
}

/// A look that was cut short is made anew, and a removal whose answer was lost is asked for again.
#[test]
fn a_link_that_breaks_in_the_middle_costs_nothing() {
    for ends in Ends::both() {
        for (direction, after) in [
            (Direction::ToServer, 400),
            (Direction::ToClient, 9_000),
            (Direction::ToServer, 20_000),
            (Direction::ToClient, 30_000),
        ] {
            put(ends.from("kept"), "kept");
            for number in 0..1_500 {
                put(ends.to(&format!("{}/{number}", number % 10)), "old");
            }
            ends.run("sync from to").expect_status(0);
            let proxy = Proxy::before(ends.server.control_address());
            proxy.arm(Fault { link: Link::Control, direction, after, kind: Kind::Reset });
            let run = ends.ferry.run(proxy.control_address(), &["sync -f --delete from to"]);
            assert!(proxy.has_happened(), "{direction:?} {after}");
            let counted = "1,500 files and 10 folders removed (4.5 kB)";
            assert!(run.expect_status(0).stderr.contains(counted), "{direction:?} {after}: {}", run.stderr);
            assert_eq!(ends.there(), ["kept"], "{direction:?} {after}: {}", run.stderr);
        }
    }
}

#[test]
fn a_kill_in_the_middle_leaves_what_the_same_command_goes_on_with() {
    for ends in Ends::both() {
        put(ends.from("kept"), "kept");
        for number in 0..3_000 {
            put(ends.to(&format!("old/{number}")), "old");
        }
        ends.run("sync from to").expect_status(0);
        let proxy = Proxy::before(ends.server.control_address());
        let kind = Kind::Stall(WAIT_LIMIT);
        proxy.arm(Fault { link: Link::Control, direction: Direction::ToServer, after: 20_000, kind });
        let mut command = ends.ferry.command(proxy.control_address());
        command.args(["-c", "sync -j 1 -f --delete from to"]);
        let running = Running::start(command, b"");
        wait_until("a removal that stands still", || {
            proxy.has_happened() && files_in(&ends.to("old")) < 3_000
        });
        running.process().signal(Signal::KILL);
        assert_eq!(running.finish().status, None);
        let left = files_in(&ends.to("old"));
        assert!(left > 0, "it was over already");
        assert_eq!(fs::read(ends.to("kept")).unwrap(), b"kept");
        ends.run("sync -f --delete from to").expect_status(0);
        assert_eq!(ends.there(), ["kept"]);
    }
}

/// Of what was asked for last, no answer has come.
#[test]
fn a_removal_that_is_stopped_counts_what_is_known_to_be_gone() {
    for ends in Ends::both() {
        put(ends.from("kept"), "kept");
        for number in 0..3_000 {
            put(ends.to(&format!("old/{number}")), "old");
        }
        ends.run("sync from to").expect_status(0);
        for line in ["sync -j 1 -f --delete from to", "rm -rf to"] {
            if line.starts_with("rm") && !ends.is_up {
                continue;
            }
            let before = files_in(&ends.to("old"));
            let proxy = Proxy::before(ends.server.control_address());
            let kind = Kind::Stall(WAIT_LIMIT);
            proxy.arm(Fault { link: Link::Control, direction: Direction::ToServer, after: 20_000, kind });
            let mut command = ends.ferry.command(proxy.control_address());
            command.args(["-c", line]);
            let running = Running::start(command, b"");
            wait_until("a removal that stands still", || {
                proxy.has_happened() && files_in(&ends.to("old")) < before
            });
            running.process().signal(Signal::INT);
            let run = running.finish();
            let told =
                run.expect_status(130).stderr_lines().into_iter().find(|line| line.contains(" removed"));
            let told = told.unwrap_or_else(|| panic!("{}", run.stderr));
            let number = told.trim_start_matches("At least ").split(' ').next().unwrap().replace(',', "");
            let gone = before - files_in(&ends.to("old"));
            let told_of: usize = number.parse().unwrap();
            assert!(told_of <= gone && (told_of == gone || told.starts_with("At least ")), "{gone}: {told}");
        }
    }
}

fn prompt_of(ends: &Ends) -> Terminal {
    let mut terminal = Terminal::run(ends.ferry.command(ends.server.control_address()));
    terminal.wait_for_cursor_after(PROMPT);
    terminal
}

#[test]
fn a_person_is_asked_with_numbers_and_names() {
    for ends in Ends::both() {
        put(ends.from("kept"), "kept");
        for name in ["old/deep/file", "a.txt", "b.txt", "c d", "e"] {
            put(ends.to(name), "old");
        }
        let mut terminal = prompt_of(&ends);
        terminal.type_line("sync --delete from to");
        let place = if ends.is_up { "on the server" } else { "here" };
        let question = format!(
            "5 files and 2 folders are only {place} (15 B): old/, a.txt, b.txt and 2 more. Remove them from to? [y/N] "
        );
        terminal.wait_for_cursor_after(&question);
        terminal.type_line("n");
        terminal.wait_for_text("Nothing was removed");
        terminal.wait_for_cursor_after(PROMPT);
        assert_eq!(ends.there().len(), 8);

        // What changes while the question stands is asked about anew.
        terminal.type_line("sync --delete from to");
        terminal.wait_for_cursor_after(&question);
        put(ends.to("e"), "longer than it was");
        put(ends.from("a.txt"), "new");
        fs::remove_dir_all(ends.to("old/deep")).unwrap();
        terminal.type_line("y");
        terminal.wait_for_cursor_after(&format!(
            "That has changed meanwhile. 3 files and 1 folder are only {place} (24 B): old/, b.txt, \"c d\" and 1 more. \
             Remove them from to? [y/N] "
        ));
        terminal.type_line("y");
        terminal.wait_for_text("3 files and 1 folder removed (24 B)");
        assert_eq!(ends.there(), ["a.txt", "kept"]);
    }
}

/// An answer is given to a question that has been read.
#[test]
fn what_was_typed_before_a_question_is_no_answer_to_it() {
    let [ends, _] = Ends::both();
    fs::write(ends.from("new"), Content::new(1, 3 << 20).bytes()).unwrap();
    put(ends.to("old"), "old");
    let proxy = Proxy::before(ends.server.control_address());
    proxy.hold(Link::Data, Direction::ToServer, 2 << 20);
    let mut terminal = Terminal::run(ends.ferry.command(proxy.control_address()));
    terminal.wait_for_cursor_after(PROMPT);
    // While all is sent.
    terminal.type_line("sync --delete from to");
    wait_until("stop in the middle of the file", || proxy.held() == 1);
    terminal.type_line("y");
    terminal.wait_for_text("y");
    terminal.type_keys("yes");
    proxy.let_go();
    let question = "1 file is only on the server (3 B): old. Remove it from to? [y/N] ";
    terminal.wait_for_cursor_after(question);
    terminal.type_line("");
    terminal.wait_for_text("Nothing was removed");
    terminal.wait_for_cursor_after(PROMPT);
    // Pasted with the command. What else was is the next command.
    for (line, question) in
        [("sync --delete from to", question), ("rm -r to", "Remove to with 2 files, 3.1 MB? [y/N] ")]
    {
        terminal.type_keys(&format!("{line}\ryes\r"));
        terminal.wait_for_cursor_after(question);
        terminal.type_line("n");
        terminal.wait_for_text("Unknown command: yes");
        terminal.wait_for_cursor_after(PROMPT);
    }
    assert_eq!(ends.there(), ["new", "old"]);
}

/// From the first change on, the questions about the rest are held up for some seconds.
#[test]
fn what_changes_after_it_was_counted_stays() {
    for ends in Ends::both() {
        put(ends.from("kept"), "kept");
        let name = |number: u64| format!("old/{number}");
        (0..3_000).for_each(|number| put(ends.to(&name(number)), "old"));
        ends.run("sync from to").expect_status(0);
        let proxy = Proxy::before(ends.server.control_address());
        let kind = Kind::Trickle(Duration::from_millis(50));
        proxy.arm(Fault { link: Link::Control, direction: Direction::ToServer, after: 20_000, kind });
        let mut command = ends.ferry.command(proxy.control_address());
        command.args(["-c", "sync -j 1 -f --delete from to"]);
        let running = Running::start(command, b"");
        wait_until("a removal that is slow", || proxy.has_happened());
        let mut changed = 0;
        for number in 0..3_000 {
            if ends.to(&name(number)).exists() {
                put(ends.to(&name(number)), "changed");
                changed += 1;
            }
        }
        let run = running.finish();
        let stay = " it is not any more what was counted; it stays";
        assert!(run.expect_status(0).stderr.contains(stay), "{}", run.stderr);
        let left = files_in(&ends.to("old"));
        // Between the look and the removal, a few instructions pass.
        assert!(changed > 0 && left + 2 >= changed, "{left} stay of {changed}");
    }
}

#[test]
fn a_question_says_where_all_would_go() {
    let [up, down] = Ends::both();
    up.server.put("file", "old");
    let mut terminal = prompt_of(&up);
    terminal.type_line("sync --up --delete from /");
    terminal.wait_for_cursor_after(
        "FROM is empty, and all that is in TO would go: 1 file and 1 folder are only on the server (3 B): to/, file. \
         Remove them from the whole shared folder? [y/N] ",
    );
    // Not to answer is no.
    terminal.type_keys("\r");
    terminal.wait_for_text("Nothing was removed");
    assert!(up.server.path("file").exists());

    put(down.from("kept"), "kept");
    put(down.ferry.local().with_file_name("mine"), "mine");
    let mut terminal = prompt_of(&down);
    terminal.type_line("sync --down --delete -x local/ from ~/");
    terminal.wait_for_text("are only here");
    terminal.wait_for_text("Remove them from your home folder? [y/N]");
    terminal.type_keys("\x03");
    terminal.wait_for_text("Interrupted");
    assert!(down.ferry.local().with_file_name("mine").exists());
}
