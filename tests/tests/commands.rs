//! Commands that are made of several requests: whole folders made, removed, searched and measured, files read.
#![allow(clippy::unwrap_used)]

use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_tests::content::Content;
use ferry_tests::ends::{Ends, put};
use ferry_tests::ferry::Ferry;
use ferry_tests::proxy::{Proxy, Slowness};
use ferry_tests::server::Server;
use ferry_tests::terminal::Terminal;
use ferry_tests::tree::set_mtime;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

const PROMPT: &str = "Enter your command: ";

fn server_with_folders() -> Server {
    let server = Server::start();
    std::fs::create_dir_all(server.path("Photos/2023/summer")).unwrap();
    std::fs::create_dir_all(server.path("Photos/2024")).unwrap();
    server.put("Photos/2023/summer/beach.jpg", [1; 1000]);
    server.put("Photos/2023/a b.jpg", [2; 500]);
    server.put("Photos/index.txt", "an index\n");
    server.put("notes.txt", "one\ntwo \x1b[2J\n");
    server
}

fn prompt_of(ferry: &Ferry, server: &Server) -> Terminal {
    let mut terminal = Terminal::run(ferry.command(server.control_address()));
    terminal.wait_for_cursor_after(PROMPT);
    terminal
}

#[test]
fn folders_are_made_with_those_that_they_are_in() {
    let server = server_with_folders();
    let ferry = Ferry::new();
    let address = server.control_address();
    ferry.run(address, &["mkdir new/er/est"]).expect_status(4);
    ferry.run(address, &["mkdir -p new/er/est Photos/2023/winter", "mkdir -p new/er"]).expect_status(0);
    assert!(server.path("new/er/est").is_dir() && server.path("Photos/2023/winter").is_dir());
    ferry.run(address, &["mkdir -p notes.txt"]).expect_status(4);
    ferry.run(address, &["mkdir -p notes.txt/x"]).expect_status(4);
    ferry.run(address, &["mkdir new/er"]).expect_status(4);
}

#[test]
fn a_folder_goes_with_all_that_is_in_it_and_links_go_alone() {
    let server = server_with_folders();
    symlink("../../Photos/2023", server.path("Photos/2024/link")).unwrap();
    symlink("..", server.path("Photos/2024/circle")).unwrap();
    for number in 0..50 {
        server.put(format!("Photos/2024/{number}"), "x");
    }
    let ferry = Ferry::new();
    let address = server.control_address();
    ferry.run(address, &["rm Photos/2024"]).expect_status(4);
    let refused = ferry.run(address, &["rm -r Photos/2023"]);
    refused.expect_status(2);
    assert!(refused.stderr.contains("2 files") && refused.stderr.contains("rm -rf"), "{}", refused.stderr);
    assert!(server.path("Photos/2023/summer/beach.jpg").exists());
    let run = ferry.run(address, &["rm -rf Photos/2024"]);
    run.expect_status(0);
    assert_eq!(run.stderr, "Removed Photos/2024 and 52 in it\n");
    assert!(!server.path("Photos/2024").exists());
    assert!(server.path("Photos/2023/summer/beach.jpg").exists(), "what a link leads to stays");
    ferry.run(address, &["rm -rf ."]).expect_status(2);
    ferry.run(address, &["rm -rf notes.txt Photos"]).expect_status(0);
    assert!(!server.path("Photos").exists() && !server.path("notes.txt").exists());
}

#[test]
fn a_person_is_asked_before_a_folder_goes() {
    let server = server_with_folders();
    let ferry = Ferry::new();
    let mut terminal = prompt_of(&ferry, &server);
    let question = "Remove Photos with 3 folders, 3 files, 1.5 kB? [y/N] ";
    for (answer, stays) in [("\r", true), ("n\r", true), ("\u{3}", true), ("y\r", false)] {
        terminal.type_line("rm -r Photos");
        terminal.wait_for_cursor_after(question);
        terminal.type_keys(answer);
        terminal.wait_for_cursor_after(PROMPT);
        assert_eq!(server.path("Photos").exists(), stays, "{answer:?}");
    }
}

#[test]
fn names_are_found_and_folders_drawn_and_measured() {
    let server = server_with_folders();
    let ferry = Ferry::new();
    let address = server.control_address();
    let stdout = |commands: &[&str]| {
        let run = ferry.run(address, commands);
        run.expect_status(0);
        run.stdout
    };
    assert_eq!(stdout(&["find *.jpg"]), "\"Photos/2023/a b.jpg\"\nPhotos/2023/summer/beach.jpg\n");
    assert_eq!(stdout(&["find '*.jpg' Photos/2023/summer"]), "Photos/2023/summer/beach.jpg\n");
    assert_eq!(stdout(&["cd Photos", "find SUMM", "find 20?4"]), "2023/summer/\n2024/\n");
    let tree = "\
.
├── Photos/
│   ├── 2023/
│   │   ├── summer/
│   │   │   └── beach.jpg
│   │   └── a b.jpg
│   ├── 2024/
│   └── index.txt
└── notes.txt
4 folders, 4 files, 1.5 kB
";
    assert_eq!(stdout(&["tree"]), tree);
    assert_eq!(
        stdout(&["cd Photos", "tree -L 1 2023"]),
        "2023\n├── summer/\n└── a b.jpg\n1 folder, 1 file, 500 B\n"
    );
    let sizes = "     1500  2023/\n        0  2024/\n     1509  Photos  3 folders, 3 files\n";
    assert_eq!(stdout(&["du Photos"]), sizes);
    assert_eq!(stdout(&["du -sh Photos"]), "   1.5 kB  Photos  3 folders, 3 files\n");
    ferry.run(address, &["tree nothing"]).expect_status(4);
    ferry.run(address, &["tree -L none"]).expect_status(2);
}

#[test]
fn a_file_can_be_read_without_being_kept() {
    let server = server_with_folders();
    let ferry = Ferry::new();
    let address = server.control_address();
    let run = ferry.run(address, &["cat Photos/index.txt notes.txt"]);
    run.expect_status(0);
    assert_eq!(run.stdout, "an index\none\ntwo \x1b[2J\n");
    assert_eq!(run.stderr, "");
    assert!(ferry.files().is_empty());
    server.put("large", Content::new(3, 3 * EAGER_MAX_BYTES).bytes());
    let command = format!(
        "!test $({} {} {} -c 'cat large' | wc -c) = {}",
        ferry_tests::binaries::ferry().display(),
        address.ip(),
        address.port(),
        3 * EAGER_MAX_BYTES
    );
    ferry.run(address, &[&command]).expect_status(0);
    ferry.run(address, &["cat nothing"]).expect_status(4);

    let mut terminal = prompt_of(&ferry, &server);
    terminal.type_line("cat notes.txt");
    terminal.wait_for_text("two \\x1b[2J");
    terminal.wait_for_cursor_after(PROMPT);
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);

    let mut command = ferry.command(address);
    command.env("PAGER", "sed s/one/paged/");
    let mut terminal = Terminal::run(command);
    terminal.wait_for_cursor_after(PROMPT);
    terminal.type_line("more notes.txt");
    terminal.wait_for_text("paged");
    terminal.wait_for_cursor_after(PROMPT);
}

#[test]
fn a_person_is_asked_before_another_file_is_replaced() {
    let server = Server::start();
    let ferry = Ferry::new();
    for name in ["a", "b", "c"] {
        server.put(name, "of the server");
        ferry.put(name, "here");
    }
    let mut terminal = prompt_of(&ferry, &server);
    let question = |name: &str| format!("{name} is here already: 4 B, today ");
    let mut answer = |line: &str, answers: &[(String, &str)]| {
        let before = terminal.lines().len();
        terminal.type_line(line);
        for (question, answer) in answers {
            terminal.wait_until(question, |screen| {
                let asked = screen.before_cursor();
                asked.contains(question.as_str()) && asked.contains("[y/N")
            });
            terminal.type_line(answer);
        }
        terminal.wait_until("the next prompt", |screen| {
            screen.before_cursor() == PROMPT && screen.lines().len() > before
        });
        terminal.lines()
    };
    let lines = answer("download a", &[(question("a"), "")]);
    assert!(lines.contains(&"a is left alone".to_owned()), "{lines:?}");
    assert_eq!(ferry.read("a"), b"here");
    let all = "3 files here differ, such as a. Replace them?".to_owned();
    let lines = answer("download a b c", &[(all.clone(), "")]);
    assert!(lines.contains(&"3 were not received:".to_owned()), "{lines:?}");
    assert_eq!(ferry.read("a"), b"here");
    let one = |name: &str| format!("{name} here differs from that on the server. Replace it?");
    let each = [(all.clone(), "each"), (one("a"), "n"), (one("b"), "y"), (one("c"), "")];
    let lines = answer("download a b c", &each);
    assert!(lines.contains(&"2 were not received:".to_owned()), "{lines:?}");
    let contents = || ["a", "b", "c"].map(|name| ferry.read(name) == b"of the server");
    assert_eq!(contents(), [false, true, false]);
    ferry.put("b", "here");
    answer("download a b c", &[(all.clone(), "each"), (one("a"), ""), (one("b"), "all")]);
    assert_eq!(contents(), [false, true, true]);
    for name in ["a", "b", "c"] {
        ferry.put(name, "here");
    }
    answer("download a b c", &[(all, "y")]);
    assert_eq!((ferry.read("a"), ferry.read("c")), (b"of the server".to_vec(), b"of the server".to_vec()));
    let lines = answer("download a", &[]);
    assert!(lines.contains(&"a is up to date".to_owned()), "{lines:?}");
    let lines = answer("upload a", &[]);
    assert!(lines.contains(&"a is up to date on the server".to_owned()), "{lines:?}");

    ferry.put("a", "other content");
    let question = "a is on the server already: 13 B, today ".to_owned();
    answer("upload a", &[(question, "n")]);
    assert_eq!(std::fs::read(server.path("a")).unwrap(), b"of the server");
    answer("upload -f a", &[]);
    assert_eq!(std::fs::read(server.path("a")).unwrap(), b"other content");
    ferry.put("b", "here");
    answer("download -f b", &[]);
    assert_eq!(ferry.read("b"), b"of the server");
    // Without a person it is as it always was.
    ferry.put("b", "here");
    ferry.run(server.control_address(), &["download b"]).expect_status(0);
    assert_eq!(ferry.read("b"), b"of the server");
}

/// One at a time, they would take a round trip each.
#[test]
fn many_names_are_removed_at_a_time_and_links_as_such() {
    const FILES: u32 = 400;
    const ROUND_TRIP: Duration = Duration::from_millis(40);
    let (ferry, server) = (Ferry::new(), Server::start());
    for number in 0..FILES {
        let folder = server.path(format!("tree/{}/within", number % 8));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(number.to_string()), "content").unwrap();
    }
    std::fs::create_dir_all(server.path("tree/empty/empty")).unwrap();
    std::fs::create_dir(server.path("elsewhere")).unwrap();
    server.put("elsewhere/precious", "precious");
    symlink("../elsewhere", server.path("tree/link")).unwrap();
    symlink("tree/0", server.path("top-link")).unwrap();
    let slowness = Slowness { one_way: ROUND_TRIP / 2, bytes_per_second: 10_000_000 };
    let proxy = Proxy::slow(server.control_address(), slowness);
    ferry.run(proxy.control_address(), &["rm -rf top-link"]).expect_status(0);
    assert!(server.path("tree/0/within").exists());
    let begun = Instant::now();
    let run = ferry.run(proxy.control_address(), &["rm -rf tree"]);
    assert!(run.expect_status(0).stderr.contains("Removed tree and 419 in it"), "{}", run.stderr);
    assert!(begun.elapsed() < FILES * ROUND_TRIP / 2, "{:?}", begun.elapsed());
    assert!(!server.path("tree").exists() && !server.path("top-link").exists());
    assert!(server.path("elsewhere/precious").exists());

    // What is not served stays, and that is told.
    std::fs::create_dir_all(server.path("tree/held")).unwrap();
    server.put("tree/file", "content");
    rustix::fs::mkfifoat(rustix::fs::CWD, server.path("tree/held/fifo"), rustix::fs::Mode::RUSR).unwrap();
    let run = ferry.run(server.control_address(), &["rm -rf tree"]);
    assert!(run.expect_status(4).stderr.contains("tree/held"), "{}", run.stderr);
    assert!(server.path("tree/held/fifo").exists());
}

/// The answer may change what is in a folder, so its time is set after that, in either direction.
#[test]
fn folders_have_their_times_whatever_the_answer_is() {
    let (ferry, server) = (Ferry::new(), Server::start());
    for (line, answer) in [("download t", "y"), ("download t", "n"), ("upload t", "y"), ("upload t", "n")] {
        let (here, there) = (ferry.local(), server.root().to_owned());
        let (from, to) = if line.starts_with('d') { (there, here) } else { (here, there) };
        for (top, content) in [(&from, "of the one end"), (&to, "of the other")] {
            let _ = std::fs::remove_dir_all(top.join("t"));
            std::fs::create_dir_all(top.join("t/folder")).unwrap();
            std::fs::write(top.join("t/folder/file"), content).unwrap();
        }
        for folder in ["t", "t/folder"] {
            set_mtime(&from.join(folder), -1_000_000, 5);
        }
        let mut terminal = prompt_of(&ferry, &server);
        terminal.type_line(line);
        terminal.wait_until("the question", |screen| screen.before_cursor().ends_with("[y/N] "));
        terminal.type_line(answer);
        terminal.wait_for_text(if answer == "y" { "1 file " } else { "it is left alone" });
        terminal.wait_until("the next prompt", |screen| screen.before_cursor() == PROMPT);
        terminal.type_line("exit");
        assert_eq!(terminal.wait_for_exit(), 0);
        let replaced = std::fs::read(to.join("t/folder/file")).unwrap() == b"of the one end";
        assert_eq!(replaced, answer == "y", "{line}");
        for folder in ["t", "t/folder"] {
            let metadata = std::fs::metadata(to.join(folder)).unwrap();
            assert_eq!(
                (metadata.mtime(), metadata.mtime_nsec()),
                (-1_000_000, 5),
                "{line} {answer} {folder}"
            );
        }
    }
}

#[test]
fn a_sync_that_cannot_be_meant_is_refused() {
    let [ends, _] = Ends::both();
    put(ends.from("file"), "here");
    put(ends.to("file"), "there");
    for (line, status, told) in [
        ("sync -u -d from to", 2, "sync goes one way: --up or --down, and not both"),
        (
            "sync -x [ from to",
            2,
            "-x: a [ or { is not closed; with a backslash before it, it stands for itself",
        ),
        ("sync from/file to", 5, "from/file is a file, not a folder"),
        ("sync to/file from", 5, "to/file is a file on the server, not a folder"),
        ("sync from&to x", 2, "A & stands at the end of a line, for the background"),
    ] {
        let run = ends.run(line);
        assert!(run.expect_status(status).stderr.contains(told), "{line}: {}", run.stderr);
    }
}
