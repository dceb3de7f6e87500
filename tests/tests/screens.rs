//! What a person sees on a terminal of 80 columns, or of 40: listings, help, failures.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::Server;
use ferry_tests::snapshot;
use ferry_tests::terminal::Terminal;
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

const PROMPT: &str = "Enter your command: ";

fn prompt_of(ferry: &Ferry, server: &Server, columns: u16, rows: u16) -> Terminal {
    let mut command = ferry.command(server.control_address());
    command.env("TZ", "UTC");
    let mut terminal = Terminal::run_sized(command, columns, rows);
    terminal.wait_for_cursor_after(PROMPT);
    terminal
}

/// The lines that a command puts on the screen.
#[track_caller]
fn shown_by(terminal: &mut Terminal, line: &str) -> Vec<String> {
    let before = terminal.lines().len();
    terminal.type_line(line);
    terminal.wait_until(&format!("prompt after {line:?}"), |screen| {
        screen.before_cursor().ends_with(PROMPT) && screen.lines().len() > before
    });
    let lines = terminal.lines();
    lines[before..lines.len() - 1].to_vec()
}

fn server_with_photos() -> Server {
    let server = Server::start();
    std::fs::create_dir_all(server.path("dir with spaces")).unwrap();
    for number in 1..=30 {
        server.put(format!("IMG_{number}.jpg"), Content::new(number, 1000 * number).bytes());
    }
    server.put(".hidden", "");
    server.put("Makefile", "all:");
    for name in ["IMG_1.jpg", "IMG_2.jpg", "dir with spaces"] {
        let time = UNIX_EPOCH + Duration::from_secs(1_649_500_000);
        File::open(server.path(name)).unwrap().set_modified(time).unwrap();
    }
    server
}

#[test]
fn many_names_stand_in_columns_with_folders_first_and_a_sum() {
    let server = server_with_photos();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server, 80, 24);
    let lines = shown_by(&mut terminal, "ls");
    assert_eq!(lines[0], "dir with spaces/");
    assert_eq!(lines[1].split_whitespace().next(), Some("IMG_1.jpg"));
    assert_eq!(lines[2].split_whitespace().next(), Some("IMG_2.jpg"));
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "1 folder, 31 files, 465 kB; 1 hidden (ls -a)");
    assert!(terminal.output().windows(5).any(|bytes| bytes == b"\x1b[34m"), "folders are blue");
    assert!(shown_by(&mut terminal, "ls -a").iter().any(|line| line.contains(".hidden")));
    assert_eq!(shown_by(&mut terminal, "ls -1").len(), 32);
    assert_eq!(shown_by(&mut terminal, "ls -1 IMG_1?.jpg").len(), 10);
    assert_eq!(shown_by(&mut terminal, "ls -1rS *.jpg")[..2], ["IMG_1.jpg", "IMG_2.jpg"]);
}

#[test]
fn a_long_listing_fits_80_and_40_columns() {
    let server = server_with_photos();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server, 80, 24);
    let lines = shown_by(&mut terminal, "ll 'dir with spaces' IMG_1.jpg IMG_2.jpg");
    assert_eq!(lines[0], "   1.0 kB   9 Apr 2022   IMG_1.jpg");
    assert_eq!(lines[1], "   2.0 kB   9 Apr 2022   IMG_2.jpg");
    assert_eq!(lines[2..], ["2 files, 3.0 kB", "", "\"dir with spaces\":", "0 files, 0 B"]);
    let mut terminal = prompt_of(&ferry, &server, 40, 15);
    let lines = shown_by(&mut terminal, "ls -l");
    assert_eq!(lines[0], "        -   9 Apr 2022   dir wit…spaces/");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let server = server_with_photos();
    let ferry = Ferry::new();
    let listing = ["-c", "ls", "-c", "ls -l"];
    let output = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = ferry.command(server.control_address());
        command.args(listing).args(arguments).envs(variables.iter().copied());
        let mut terminal = Terminal::run(command);
        assert_eq!(terminal.wait_for_exit(), 0);
        terminal.output().to_vec()
    };
    assert!(output(&[], &[]).contains(&0x1b));
    assert!(!output(&[], &[("NO_COLOR", "1")]).contains(&0x1b));
    assert!(!output(&["--color", "never"], &[]).contains(&0x1b));
    assert!(output(&["--color=always"], &[("NO_COLOR", "1")]).contains(&0x1b));
    assert!(!ferry.run(server.control_address(), &["ls"]).stdout.contains('\x1b'));
}

#[test]
fn the_help_is_the_one_that_is_kept() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut wide = prompt_of(&ferry, &server, 80, 24);
    let expect = |terminal: &mut Terminal, line: &str, name: &str| {
        snapshot::expect(name, &(shown_by(terminal, line).join("\n") + "\n"));
    };
    expect(&mut wide, "help", "help-80.txt");
    expect(&mut wide, "help ls", "help-ls-80.txt");
    let mut narrow = prompt_of(&ferry, &server, 40, 15);
    expect(&mut narrow, "help download", "help-download-40.txt");
    let lines = shown_by(&mut narrow, "help");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
}

#[test]
fn failures_say_what_to_do() {
    let server = server_with_photos();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server, 80, 24);
    for (line, told) in [
        ("downlod a", "Unknown command: downlod; did you mean download?"),
        ("frobnicate", "Unknown command: frobnicate; help lists the commands"),
        ("help lss", "There is no command lss; did you mean ls?"),
        ("mv -x a b", "mv has no option -x; it has -f (a file of that name: ./-x)"),
        ("cd nothing", "nothing is not there on the server"),
        ("cd Makefile", "Makefile is a file, not a folder"),
        ("mv a", "Usage: mv [-f] FROM TO"),
        (
            "get \"a",
            "Cannot read this line: a closing quote is missing (a name with spaces or other special characters goes in double quotes: \"my file.txt\")",
        ),
        ("get none.jpg", "No such file found on the server!"),
        ("put none.jpg", "No such file found locally..."),
        ("!exit 3", "The command ended with status 3"),
    ] {
        assert_eq!(shown_by(&mut terminal, line).join(""), told, "{line}");
    }
}

#[test]
fn a_name_that_is_not_there_is_guessed() {
    let server = server_with_photos();
    std::fs::create_dir(server.path("Photos")).unwrap();
    server.put("Photos/my file.txt", "");
    let ferry = Ferry::new();
    ferry.put("report.txt", "");
    let mut terminal = prompt_of(&ferry, &server, 80, 24);
    for (line, meant) in [
        ("cd photos", Some("Did you mean Photos/?")),
        ("download makefil", Some("Did you mean Makefile?")),
        ("cat Photos/my\\ fle.txt", Some("Did you mean \"Photos/my file.txt\"?")),
        ("stat nothing", None),
        ("upload reprot.txt", Some("Did you mean report.txt?")),
        ("upload nothing", None),
    ] {
        let shown = shown_by(&mut terminal, line);
        assert_eq!(shown.get(1).map(String::as_str), meant, "{line}: {shown:?}");
    }
}
