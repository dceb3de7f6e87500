//! The prompt in a terminal, as its users know it.
#![allow(clippy::unwrap_used)]

use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::Server;
use ferry_tests::terminal::Terminal;
use ferry_tests::wait::wait_until;
use rustix::process::Signal;
use std::fs::File;

const PROMPT: &str = "Enter your command: ";
const HUGE_BYTES: u64 = 4 << 30;

const CONTROL_C: &str = "\u{3}";
const CONTROL_D: &str = "\u{4}";
const TAB: &str = "\t";
const UP: &str = "\u{1b}[A";

fn prompt_of(ferry: &Ferry, server: &Server) -> Terminal {
    let mut terminal = Terminal::run(ferry.command(server.control_address()));
    terminal.wait_for_cursor_after(PROMPT);
    terminal
}

/// Types a line and waits for the next prompt, which is on a later line.
#[track_caller]
fn enter(terminal: &mut Terminal, line: &str) {
    let before = terminal.lines().len();
    terminal.type_line(line);
    terminal.wait_until(&format!("prompt after {line:?}"), |screen| {
        screen.before_cursor() == PROMPT && screen.lines().len() > before
    });
}

#[test]
fn the_session_is_the_one_that_its_users_know() {
    let server = Server::start();
    server.put("a.txt", Content::new(1, 3552).bytes());
    server.put("server.py", "print()");
    let ferry = Ferry::new();
    ferry.put("foo_new.png", Content::new(2, 271_296).bytes());
    let mut terminal = prompt_of(&ferry, &server);
    for line in ["ls", "download b.txt", "download a.txt", "upload c.txt", "upload foo_new.png"] {
        enter(&mut terminal, line);
    }
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
    let expected = "\
Enter your command: ls
a.txt
server.py
Enter your command: download b.txt
No such file found on the server!
Enter your command: download a.txt
Start downloading..
file size: 3552
Total Received: 3552 / 3552
Download is finished!
Enter your command: upload c.txt
No such file found locally...
Enter your command: upload foo_new.png
FTP connection established commencing upload
Sent: 271296 / 271296
File upload done...
Enter your command: exit
Client connection Closed!";
    let lines = terminal.lines();
    let first = lines.iter().position(|line| line.starts_with(PROMPT.trim_end())).unwrap();
    assert_eq!(lines[first..].join("\n"), expected);
    assert_eq!(ferry.read("a.txt"), Content::new(1, 3552).bytes());
    assert_eq!(std::fs::read(server.path("foo_new.png")).unwrap(), Content::new(2, 271_296).bytes());
}

#[test]
fn a_failure_does_not_end_the_session() {
    let server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    for line in
        ["fetch a.txt", "ls \"a", "", "   ", "download ../../etc/passwd", "download", "upload nothing"]
    {
        enter(&mut terminal, line);
    }
    enter(&mut terminal, "download a.txt");
    assert_eq!(ferry.read("a.txt"), b"a");
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn tab_completes_a_command() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("down");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}download "));
}

#[test]
fn up_looks_for_lines_that_begin_as_what_was_typed() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    for line in ["stat one", "sum two", "stat three", " stat unkept", "sum four"] {
        enter(&mut terminal, line);
    }
    for line in ["sum four", "stat three", "sum two"] {
        terminal.type_keys(UP);
        terminal.wait_for_cursor_after(&format!("{PROMPT}{line}"));
    }
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    terminal.type_keys("stat");
    for line in ["stat three", "stat one"] {
        terminal.type_keys(UP);
        terminal.wait_until(line, |screen| screen.lines().last().unwrap() == &format!("{PROMPT}{line}"));
    }
}

#[test]
fn the_place_stands_before_the_prompt() {
    let server = Server::start();
    std::fs::create_dir_all(server.path("my photos/2023")).unwrap();
    server.put("my photos/2023/beach at night.png", "beach");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("cd my");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}cd \"my photos/\""));
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}cd \"my photos/2023/\""));
    terminal.type_line("");
    terminal.wait_for_cursor_after(&format!("my photos/2023  {PROMPT}"));
    terminal.type_keys("download be");
    terminal.type_keys(TAB);
    terminal.type_keys("--t");
    terminal.wait_for_cursor_after(&format!("my photos/2023  {PROMPT}download \"beach at night.png\" --t"));
    terminal.type_keys("o ");
    terminal.type_line("beach");
    terminal.wait_for_cursor_after(&format!("my photos/2023  {PROMPT}"));
    assert_eq!(ferry.read("beach"), b"beach");
    terminal.type_line("cd");
    terminal.wait_for_cursor_after(PROMPT);
}

#[test]
fn tab_completes_a_remote_name_that_has_a_space() {
    let server = Server::start();
    server.put("my photo.png", "photo");
    server.put("other.txt", "other");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("download my");
    terminal.type_keys(TAB);
    terminal.wait_until("name in quotes", |screen| {
        screen.before_cursor().trim_end() == format!("{PROMPT}download \"my photo.png\"")
    });
    enter(&mut terminal, "");
    assert_eq!(ferry.read("my photo.png"), b"photo");
    // The same from within quotes.
    terminal.type_keys("stat \"my ph");
    terminal.type_keys(TAB);
    terminal.wait_until("name in quotes", |screen| {
        screen.before_cursor().trim_end() == format!("{PROMPT}stat \"my photo.png\"")
    });
}

#[test]
fn tab_completes_a_local_name_after_upload() {
    let server = Server::start();
    server.put("remote only.txt", "remote");
    let ferry = Ferry::new();
    ferry.put("local file.txt", "local");
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("upload lo");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}upload \"local file.txt\" "));
    enter(&mut terminal, "");
    assert_eq!(std::fs::read(server.path("local file.txt")).unwrap(), b"local");
}

#[test]
fn tab_goes_into_folders() {
    let server = Server::start();
    std::fs::create_dir(server.path("photos")).unwrap();
    server.put("photos/beach.png", "beach");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("download pho");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}download photos/"));
    terminal.type_keys("be");
    terminal.type_keys(TAB);
    terminal.wait_until("name", |screen| {
        screen.before_cursor().trim_end() == format!("{PROMPT}download photos/beach.png")
    });
    enter(&mut terminal, "");
    assert_eq!(ferry.read("beach.png"), b"beach");
}

#[test]
fn tab_finds_what_fits_in_a_folder_of_very_many_names() {
    let server = Server::start();
    std::fs::create_dir(server.path("many")).unwrap();
    for number in 0..30_000 {
        File::create(server.path(format!("many/file number {number}"))).unwrap();
    }
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("stat many/file\\ number\\ 29998");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat many/file\\ number\\ 29998 "));
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    terminal.type_keys("stat many/FILE");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat \"many/file number "));
}

#[test]
fn tab_completes_awkward_names_options_topics_and_names_at_home() {
    let server = Server::start();
    std::fs::create_dir_all(server.path("it's [1]/a\u{1b}b")).unwrap();
    server.put("it's [1]/a\u{1b}b/$HOME `x`.txt", "x");
    let ferry = Ferry::new();
    std::fs::create_dir(ferry.local().parent().unwrap().join("at home")).unwrap();
    let mut terminal = prompt_of(&ferry, &server);
    for (typed, completed) in [
        ("stat it", "stat \"it's [1]/\""),
        ("stat 'it", "stat \"it's [1]/\""),
        ("stat it\\'", "stat it\\'s\\ \\[1\\]/"),
        ("stat \"it's [1]/\"", "stat \"it's [1]/a\\x1bb/\""),
        ("stat \"it's [1]/a\\x1bb/\"", "stat \"it's [1]/a\\x1bb/$HOME `x`.txt\" "),
        ("download -", "download -"),
        ("mkdir -", "mkdir -p "),
        ("help dow", "help download"),
        ("lcd ~/at", "lcd \"~/at home/\""),
    ] {
        terminal.type_keys(typed);
        terminal.type_keys(TAB);
        terminal.wait_for_cursor_after(&format!("{PROMPT}{completed}"));
        terminal.type_keys(CONTROL_C);
        terminal.wait_for_cursor_after(PROMPT);
    }
}

#[test]
fn what_was_typed_before_is_hinted_at_in_grey() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    enter(&mut terminal, "stat the-same-name");
    terminal.type_keys("stat th");
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat th"));
    terminal.wait_until("hint", |screen| screen.lines().last().unwrap().ends_with("stat the-same-name"));
    terminal.type_keys("\u{1b}[C");
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat the-same-name"));
}

#[test]
fn history_survives_the_session() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    enter(&mut terminal, "stat \"a name of the first session\"");
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
    assert!(
        ferry.state().join("ferry").read_dir().unwrap().next().is_some(),
        "nothing in the state directory"
    );

    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys(UP);
    terminal.wait_for_cursor_after(&format!("{PROMPT}exit"));
    terminal.type_keys(UP);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat \"a name of the first session\""));
}

#[test]
fn a_history_with_a_line_that_is_no_text_is_not_lost() {
    let server = Server::start();
    let ferry = Ferry::new();
    std::fs::create_dir_all(ferry.state().join("ferry")).unwrap();
    std::fs::write(ferry.state().join("ferry/history"), b"#V2\nstat first\nstat \xff\nstat third\n").unwrap();
    let mut terminal = prompt_of(&ferry, &server);
    enter(&mut terminal, "stat fourth");
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);

    let mut terminal = prompt_of(&ferry, &server);
    for line in ["exit", "stat fourth", "stat third", "stat \u{fffd}", "stat first"] {
        terminal.type_keys(UP);
        terminal.wait_for_cursor_after(&format!("{PROMPT}{line}"));
    }
}

#[test]
fn a_line_can_be_edited() {
    let server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("ownload a.txx\u{7f}t\u{1}d");
    terminal.wait_for_text("download a.txt");
    enter(&mut terminal, "");
    assert_eq!(ferry.read("a.txt"), b"a");
}

#[test]
fn pasted_lines_run_one_after_the_other() {
    let server = Server::start();
    for name in ["a.txt", "my file.txt", "c d.txt"] {
        server.put(name, name);
    }
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    // As terminals mark what is pasted.
    let pasted = "download a.txt # the first\ndownload 'my file.txt'\n\n# a remark\ndownload c\\ d.txt";
    terminal.type_keys(&format!("\u{1b}[200~{pasted}\u{1b}[201~"));
    enter(&mut terminal, "");
    assert_eq!(ferry.files(), ["a.txt", "c d.txt", "my file.txt"]);
    for line in ["download c\\ d.txt", "# a remark", "download 'my file.txt'", "download a.txt # the first"] {
        terminal.type_keys(UP);
        terminal.wait_for_cursor_after(&format!("{PROMPT}{line}"));
    }
}

/// The rest of such a line is no command of its own.
#[test]
fn a_byte_that_is_no_text_costs_its_line_and_nothing_else() {
    let server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_bytes(b"stat \xff\xferm a.txt\r");
    terminal.wait_for_text("That is no text");
    terminal.wait_for_cursor_after(PROMPT);
    enter(&mut terminal, "download a.txt");
    assert_eq!(ferry.read("a.txt"), b"a");
    assert!(server.path("a.txt").exists());
}

#[test]
fn control_d_ends_the_session() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys(CONTROL_D);
    assert_eq!(terminal.wait_for_exit(), 0);
    assert!(terminal.lines().last().unwrap().contains("Client connection Closed!"));
}

#[test]
fn a_signal_at_the_prompt_leaves_the_terminal_as_it_was() {
    let server = Server::start();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
    let ordinary = terminal.settings();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = prompt_of(&ferry, &server);
        assert_ne!(terminal.settings(), ordinary, "the prompt reads key by key");
        terminal.end_by(signal);
        assert_eq!(terminal.settings(), ordinary);
    }
}

#[test]
fn control_c_at_the_prompt_drops_the_line_and_keeps_the_session() {
    let server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_keys("some nonsen");
    terminal.wait_for_cursor_after(&format!("{PROMPT}some nonsen"));
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    enter(&mut terminal, "download a.txt");
    assert_eq!(ferry.read("a.txt"), b"a");
}

/// True once something of a transfer's size is in the folder where the client runs.
fn download_has_begun(ferry: &Ferry) -> bool {
    ferry.files().iter().filter_map(|name| ferry.path(name).metadata().ok()).any(|file| file.len() > 0)
}

#[test]
fn control_c_cancels_the_running_download_and_keeps_the_session() {
    let server = Server::start();
    File::create(server.path("huge")).unwrap().set_len(HUGE_BYTES).unwrap();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_line("download huge");
    wait_until("beginning of the download", || download_has_begun(&ferry));
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    // Nothing has the name; what has come is kept beside it, for the next time.
    assert_eq!(ferry.files(), [".huge.ferry-part"]);
    assert!(!terminal.lines().iter().any(|line| line.contains("Download is finished!")));
    server.put("a.txt", "a");
    enter(&mut terminal, "download a.txt");
    assert_eq!(ferry.read("a.txt"), b"a");
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn control_c_cancels_the_running_upload_and_keeps_the_session() {
    let server = Server::start();
    let ferry = Ferry::new();
    File::create(ferry.path("huge")).unwrap().set_len(HUGE_BYTES).unwrap();
    ferry.put("a.txt", "a");
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_line("upload huge");
    // Of less than this nothing is kept.
    wait_until("arrival of much of the upload", || {
        let files = server.staged_files().into_iter().map(|name| server.path(&name).metadata());
        files.flatten().any(|file| file.len() > EAGER_MAX_BYTES)
    });
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    // What has come is kept for the next time.
    wait_until("keeping of the staged file", || {
        let staged = server.staged_files();
        staged.len() == 1 && staged[0].contains("/partial/")
    });
    assert!(!server.path("huge").exists());
    enter(&mut terminal, "upload a.txt");
    assert_eq!(std::fs::read(server.path("a.txt")).unwrap(), b"a");
}

#[test]
fn a_server_that_was_restarted_is_connected_to_without_a_question() {
    let mut server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    enter(&mut terminal, "cd .");
    server.kill();
    let again = server.start_again();
    enter(&mut terminal, "ls");
    let lines = terminal.lines();
    let expected = format!("{} has ended the session; connecting again", again.control_address());
    assert!(lines.contains(&expected) && lines.contains(&"a.txt".to_owned()), "{lines:?}");
}

#[test]
fn without_a_server_each_command_says_so_and_tries_again() {
    let mut server = Server::start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    server.kill();
    for _ in 0..2 {
        enter(&mut terminal, "stat a.txt");
        let lines = terminal.lines();
        let said = &lines[lines.len() - 2];
        assert!(
            said.starts_with("Cannot connect to ") && said.contains("is the server running"),
            "{lines:?}"
        );
    }
    let _again = server.start_again();
    enter(&mut terminal, "download a.txt");
    assert_eq!(ferry.read("a.txt"), b"a");
}

/// The bar is alive while the transfer runs, and what remains of it is the known line.
#[test]
fn a_transfer_shows_a_bar_that_ends_in_the_known_line() {
    let server = Server::start();
    File::create(server.path("large")).unwrap().set_len(HUGE_BYTES / 4).unwrap();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_line("download large");
    terminal.wait_until("bar", |screen| {
        let lines = screen.lines();
        assert!(!lines.iter().any(|line| line.contains("100 %") || line.contains("100%")), "{lines:?}");
        lines.iter().any(|line| line.contains('%'))
    });
    terminal.wait_for_cursor_after(PROMPT);
    let lines = terminal.lines();
    let size = HUGE_BYTES / 4;
    let expected = [
        format!("{PROMPT}download large"),
        "Start downloading..".to_owned(),
        format!("file size: {size}"),
        format!("Total Received: {size} / {size}"),
        "Download is finished!".to_owned(),
        PROMPT.trim_end().to_owned(),
    ];
    assert_eq!(lines[lines.len() - expected.len()..], expected);
}

#[test]
fn hostile_names_do_not_reach_the_terminal_as_they_are() {
    let server = Server::start();
    server.put("\u{1b}]0;owned\u{7}.txt", "");
    server.put("line\nfeed", "");
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    enter(&mut terminal, "ls");
    let lines = terminal.lines();
    assert!(lines.contains(&r#""\x1b]0;owned\x07.txt""#.to_owned()), "{lines:?}");
    assert!(lines.contains(&r#""line\nfeed""#.to_owned()), "{lines:?}");
}
