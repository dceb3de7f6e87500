//! What people see of the two programs before and beside their work: help, the start of the server at a terminal, its log
//! there, and what it asks before it shares a home folder.
#![allow(clippy::unwrap_used)]

use ferry_tests::binaries;
use ferry_tests::ferry::{Ferry, Finished, Running};
use ferry_tests::server::ON_FREE_PORTS;
use ferry_tests::snapshot;
use ferry_tests::terminal::Terminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

const COLUMNS: usize = 80;
/// Fourteen hours ahead of UTC, as POSIX writes it.
const ZONE: &str = "LINT-14";
const ZONE_AHEAD_S: u64 = 14 * 3600;
const DAY_S: u64 = 24 * 3600;

fn run(program: PathBuf, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program);
    command.args(arguments);
    Running::start(command, b"").finish()
}

#[test]
fn help_is_whole_at_80_columns() {
    for (name, program) in [("ferryd", binaries::ferryd()), ("ferry", binaries::ferry())] {
        for (flag, suffix) in [("-h", "short"), ("--help", "long")] {
            let help = run(program.clone(), &[flag]);
            help.expect_status(0);
            for line in help.stdout_lines() {
                assert!(line.chars().count() <= COLUMNS, "{name} {flag}: {line:?}");
            }
            let lines: Vec<&str> = help.stdout_lines().into_iter().map(str::trim_end).collect();
            snapshot::expect(&format!("{name}-help-{suffix}.txt"), &(lines.join("\n") + "\n"));
        }
    }
}

#[test]
fn completions_and_a_manual_page_can_be_had() {
    for (name, program) in [("ferryd", binaries::ferryd()), ("ferry", binaries::ferry())] {
        for shell in ["bash", "zsh", "fish"] {
            let completions = run(program.clone(), &["--completions", shell]);
            completions.expect_status(0);
            for text in [name, "no-overwrite"] {
                assert!(completions.stdout.contains(text), "{name} {shell}: {}", completions.stdout);
            }
        }
        let page = run(program.clone(), &["--man"]);
        page.expect_status(0);
        assert!(page.stdout.contains(&format!(".TH {name} 1")), "{}", page.stdout);
        assert!(page.stdout.contains("Exit status"), "{}", page.stdout);
        run(program, &["--completions", "tcsh"]).expect_status(2);
    }
}

/// A `ferryd` on free ports of this machine, in a time zone of its own, with a home and a current folder.
fn ferryd(home: &Path, current: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::ferryd());
    command.args(ON_FREE_PORTS).args(arguments).current_dir(current).env("HOME", home).env("TZ", ZONE);
    command
}

/// The arguments of `ferry` in the line of the start that tells how to reach the server on this machine.
fn told_arguments(terminal: &mut Terminal) -> Vec<String> {
    let line = terminal.lines().into_iter().find(|line| line.contains("on this machine")).unwrap();
    line.split_whitespace().skip_while(|word| *word != "ferry").skip(1).map(str::to_owned).collect()
}

/// The lines on the screen with what differs from one run to the next replaced.
fn masked(terminal: &mut Terminal, folder: &Path, port: &str) -> String {
    let mut text = terminal.lines().join("\n") + "\n";
    let between = |text: &str, before: &str, after: &str| {
        let (_, rest) = text.split_once(before).unwrap();
        rest.split_once(after).unwrap().0.to_owned()
    };
    let free = between(&text, "  (", " free)");
    let data_port = between(&text, &format!("ports {port}, "), " and ");
    let ftp_port = between(&text, &format!("{data_port} and "), " (TCP)");
    for (part, mask) in [
        (folder.to_str().unwrap(), "FOLDER"),
        (&free, "SIZE"),
        (port, "PORT"),
        (&data_port, "DATA-PORT"),
        (&ftp_port, "FTP-PORT"),
    ] {
        text = text.replace(part, mask);
    }
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_start_at_a_terminal_says_what_is_shared_and_how_it_is_reached() {
    for (name, arguments) in [
        ("banner.txt", &[][..]),
        ("banner-read-only.txt", &["--read-only"]),
        ("banner-no-overwrite.txt", &["--no-overwrite"]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().canonicalize().unwrap().join("Public");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.txt"), "content").unwrap();
        let mut terminal = Terminal::run(ferryd(home.path(), &folder, arguments));
        terminal.wait_for_text("Ctrl-C stops.");
        let told = told_arguments(&mut terminal);
        snapshot::expect(name, &masked(&mut terminal, &folder, &told[1]));

        // What is told to be typed works.
        let client = Ferry::new();
        let mut ferry = client.bare_command();
        ferry.args(told).args(["-c", "ls"]);
        let listed = Running::start(ferry, b"").finish();
        assert_eq!(listed.expect_status(0).stdout, "a.txt\n");
        terminal.type_keys("\x03");
        assert_eq!(terminal.wait_for_exit(), 0);
    }
}

#[test]
fn the_log_at_a_terminal_has_the_local_time_of_day() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "content").unwrap();
    let mut terminal = Terminal::run(ferryd(home.path(), folder.path(), &[]));
    terminal.wait_for_text("Ctrl-C stops.");
    let client = Ferry::new();
    let mut ferry = client.bare_command();
    ferry.args(told_arguments(&mut terminal)).args(["-c", "download a.txt", "-c", "download b.txt"]);
    Running::start(ferry, b"").finish().expect_status(4);
    terminal.wait_for_text("left");
    let lines = terminal.lines();
    let at = |text: &str| {
        let line = lines.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{lines:?}"));
        line.split_once("  ").unwrap()
    };
    let (time, downloaded) = at("downloaded");
    let of_day = time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + ZONE_AHEAD_S;
    let ago = Duration::from_secs((now % DAY_S + DAY_S - of_day) % DAY_S);
    assert!(ago < Duration::from_secs(120), "{time} was {ago:?} ago");
    assert!(downloaded.starts_with("127.0.0.1 downloaded a.txt  7 B  "), "{downloaded}");
    assert_eq!(at("could not").1, "127.0.0.1 could not download b.txt: no such file (not-found)");
    assert_eq!(at(" left").1, "127.0.0.1 left: downloaded 1 file (7 B)");
    terminal.type_keys("\x03");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn a_home_folder_is_served_only_if_somebody_says_so() {
    let home = tempfile::tempdir().unwrap();
    let refused = Running::start(ferryd(home.path(), home.path(), &[]), b"").finish();
    refused.expect_status(1);
    let advice =
        "ferryd: the current folder is your home folder, which is served only if it is named: ferryd ~\n";
    assert_eq!(refused.stderr, advice);
    let root = Running::start(ferryd(home.path(), Path::new("/"), &[]), b"").finish();
    root.expect_status(1);
    assert_eq!(root.stderr, advice.replace("your home folder", "the whole file system").replace('~', "/"));

    let mut named = Terminal::run(ferryd(home.path(), home.path(), &["."]));
    named.wait_for_text("Ctrl-C stops.");
    named.type_keys("\x03");
    assert_eq!(named.wait_for_exit(), 0);
}

#[test]
fn a_terminal_asks_once_before_a_home_folder_is_shared() {
    for (answer, is_consent) in [("y", true), ("YES", true), ("n", false), ("", false)] {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = Terminal::run(ferryd(home.path(), home.path(), &["--read-only"]));
        terminal.wait_for_cursor_after("Go on? [y/N] ");
        assert_eq!(
            terminal.lines(),
            [
                "This shares your home folder, hidden files included.",
                "Everybody who reaches it may list and download; nothing can be changed.",
                "Go on? [y/N]"
            ]
        );
        terminal.type_line(answer);
        if is_consent {
            terminal.wait_for_text("Ctrl-C stops.");
            terminal.type_keys("\x03");
            assert_eq!(terminal.wait_for_exit(), 0);
        } else {
            assert_eq!(terminal.wait_for_exit(), 1);
            let told = "ferryd: nothing is shared; name a folder, such as: ferryd ~/Public";
            // The terminal of the tests does not show what is typed.
            assert!(terminal.lines().last().unwrap().ends_with(told), "{:?}", terminal.lines());
        }
    }
}
