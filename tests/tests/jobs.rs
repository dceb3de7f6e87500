//! Transfers in the background of the prompt: begun there, put there in the middle, brought back, stopped, and told of.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::proxy::{Direction, Fault, Kind, Link, Proxy};
use ferry_tests::server::Server;
use ferry_tests::terminal::Terminal;
use ferry_tests::wait::wait_until;
use rustix::process::Signal;
use std::process::Command;

const PROMPT: &str = "Enter your command: ";
/// More than what is sent in one piece, so that what has come of it is kept.
const BIG_BYTES: u64 = 3 << 20;
const HELD_AT_BYTES: u64 = 2 << 20;

const CONTROL_C: &str = "\u{3}";
const CONTROL_D: &str = "\u{4}";
const CONTROL_U: &str = "\u{15}";
const CONTROL_Z: &str = "\u{1a}";
const TAB: &str = "\t";

/// A client at a server behind a link that stands still in the middle of every large file, until it is let go.
struct Setting {
    server: Server,
    ferry: Ferry,
    proxy: Proxy,
}

impl Setting {
    fn new(direction: Direction) -> Self {
        let (server, ferry) = (Server::start(), Ferry::new());
        let content = Content::new(1, BIG_BYTES);
        match direction {
            Direction::ToClient => server.put("big", content.bytes()),
            Direction::ToServer => ferry.put("big", content.bytes()),
        }
        server.put("a.txt", "a");
        let proxy = Proxy::before(server.control_address());
        proxy.hold(Link::Data, direction, HELD_AT_BYTES);
        Self { server, ferry, proxy }
    }

    fn prompt(&self) -> Terminal {
        self.prompt_with(&[], 200)
    }

    fn prompt_with(&self, arguments: &[&str], columns: u16) -> Terminal {
        let mut command = self.ferry.command(self.proxy.control_address());
        command.args(arguments);
        let mut terminal = Terminal::run_sized(command, columns, 50);
        terminal.wait_for_cursor_after(PROMPT);
        terminal
    }

    #[track_caller]
    fn wait_until_held(&self, connections: usize) {
        wait_until("stop in the middle of the files", || self.proxy.held() == connections);
    }

    /// All that the link has passed on is on the disk: a reset loses nothing of it.
    #[track_caller]
    fn wait_until_stored(&self, connections: usize) {
        self.wait_until_held(connections);
        wait_until("arrival of what has passed", || {
            self.ferry.path(".big.ferry-part").metadata().is_ok_and(|file| file.len() == HELD_AT_BYTES)
        });
    }

    /// As if nothing of the large file had ever come.
    #[track_caller]
    fn begin_anew(&self) {
        self.proxy.let_go();
        self.wait_until_held(0);
        self.proxy.hold(Link::Data, Direction::ToClient, HELD_AT_BYTES);
        std::fs::remove_file(self.ferry.path(".big.ferry-part")).unwrap();
    }

    fn has_big(&self) -> bool {
        self.ferry.path("big").exists() && self.ferry.read("big") == Content::new(1, BIG_BYTES).bytes()
    }
}

/// Types a line and waits for the next prompt; gives what was shown meanwhile.
#[track_caller]
fn enter(terminal: &mut Terminal, line: &str) -> Vec<String> {
    let before = terminal.lines().len();
    terminal.type_line(line);
    terminal.wait_until(&format!("prompt after {line:?}"), |screen| {
        screen.before_cursor() == PROMPT && screen.lines().len() > before
    });
    let lines = terminal.lines();
    lines[before..lines.len() - 1].to_vec()
}

/// Puts the transfer that runs into the background.
#[track_caller]
fn suspend(terminal: &mut Terminal, told: &str) {
    terminal.type_keys(CONTROL_Z);
    terminal.wait_for_text(told);
    terminal.wait_for_cursor_after(PROMPT);
}

#[track_caller]
fn leave(terminal: &mut Terminal) {
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn a_transfer_with_an_ampersand_leaves_the_prompt_free_and_tells_its_end_above_what_is_typed() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    assert_eq!(enter(&mut terminal, "download big&"), ["[1] download big"]);
    setting.wait_until_held(1);
    assert_eq!(enter(&mut terminal, "ls"), ["a.txt", "big"]);
    let jobs = enter(&mut terminal, "jobs");
    assert!(jobs.len() == 1 && jobs[0].starts_with("[1] download big  "), "{jobs:?}");
    assert!(!setting.ferry.path("big").exists());
    terminal.type_keys("stat a.t");
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: download big, 3.1 MB in ");
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat a.t"));
    assert!(setting.has_big());
    terminal.type_keys("xt");
    let stat = enter(&mut terminal, "");
    assert!(stat.iter().any(|line| line.contains("a.txt")), "{stat:?}");
    assert_eq!(enter(&mut terminal, "jobs"), ["[1] download big  done"]);
    leave(&mut terminal);
}

#[test]
fn control_z_puts_a_download_into_the_background_and_other_commands_run_meanwhile() {
    let setting = Setting::new(Direction::ToClient);
    setting.ferry.put("b.txt", "b");
    let mut terminal = setting.prompt_with(&[], 80);
    terminal.type_line("download big");
    setting.wait_until_held(1);
    terminal.wait_for_text("% ");
    suspend(&mut terminal, "[1] download big goes on in the background (jobs, wait 1, cancel 1)");
    assert!(!terminal.lines().iter().any(|line| line.contains('%')), "the progress is off the screen");
    // In the foreground, as ever.
    assert_eq!(
        enter(&mut terminal, "upload b.txt"),
        ["FTP connection established commencing upload", "Sent: 1 / 1", "File upload done..."]
    );
    wait_until("progress", || enter(&mut terminal, "jobs")[0].contains(" %  "));
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: download big, 3.1 MB in ");
    assert!(setting.has_big());
    assert!(!terminal.lines().iter().any(|line| line.contains("is finished")), "its end is told in one line");
    leave(&mut terminal);
}

#[test]
fn control_z_puts_an_upload_into_the_background() {
    let setting = Setting::new(Direction::ToServer);
    let mut terminal = setting.prompt();
    terminal.type_line("upload big");
    setting.wait_until_held(1);
    suspend(&mut terminal, "[1] upload big goes on");
    assert_eq!(enter(&mut terminal, "download a.txt").last().unwrap(), "Download is finished!");
    // Tab knows the names of now for a while.
    terminal.type_keys("stat a");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat a.txt "));
    terminal.type_keys(CONTROL_U);
    terminal.wait_for_cursor_after(PROMPT);
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: upload big, 3.1 MB in ");
    assert_eq!(std::fs::read(setting.server.path("big")).unwrap(), Content::new(1, BIG_BYTES).bytes());
    terminal.type_keys("stat bi");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat big "));
}

#[test]
fn tab_asks_the_server_while_a_transfer_has_the_connection() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_held(1);
    terminal.type_keys("stat a.");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat a.txt "));
}

#[test]
fn wait_brings_a_transfer_back_and_control_z_sends_it_back_again() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_held(1);
    terminal.type_line("wait 1");
    terminal.wait_until("progress", |screen| {
        screen.lines().last().is_some_and(|line| line.starts_with("big") && line.contains('%'))
    });
    suspend(&mut terminal, "[1] download big goes on");
    terminal.type_line("fg");
    terminal.wait_until("progress", |screen| screen.lines().last().is_some_and(|line| line.contains('%')));
    setting.proxy.let_go();
    terminal.wait_for_text("Total Received: 3145728 / 3145728");
    terminal.wait_for_text("Download is finished!");
    terminal.wait_for_cursor_after(PROMPT);
    assert!(setting.has_big());
    for (line, told) in [
        ("wait", "No transfer is in the background"),
        ("jobs", "No transfer is in the background"),
        ("wait 1", "There is no transfer 1 in the background; jobs lists them"),
        ("cancel x", "There is no transfer x in the background; jobs lists them"),
        ("ls &", "ls cannot run in the background; download, upload and sync can (a name & goes in quotes)"),
    ] {
        assert_eq!(enter(&mut terminal, line), [told], "{line}");
    }
}

/// By the command, and by Ctrl-C after it was brought back.
#[test]
fn what_is_cancelled_is_tidied_up_and_goes_on_by_the_same_command() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    for (number, way) in [(1, "cancel 1"), (2, "cancel all"), (3, "wait")] {
        if number > 1 {
            setting.begin_anew();
        }
        enter(&mut terminal, "download big &");
        setting.wait_until_stored(1);
        terminal.type_line(way);
        if way == "wait" {
            terminal.wait_until("progress", |screen| {
                screen.lines().last().is_some_and(|line| line.starts_with("big") && line.contains('%'))
            });
            terminal.type_keys(CONTROL_C);
        }
        terminal.wait_until("end of it", |screen| {
            screen.lines().iter().filter(|line| *line == "Interrupted").count() == number
        });
        terminal.wait_for_cursor_after(PROMPT);
        let kept = "bytes are kept as .big.ferry-part; the same download goes on from there";
        let lines = terminal.lines();
        assert_eq!(lines.iter().filter(|line| line.ends_with(kept)).count(), number, "{lines:?}");
        assert_eq!(setting.ferry.files(), [".big.ferry-part"], "{way}");
        assert_eq!(enter(&mut terminal, "jobs"), ["No transfer is in the background"]);
    }
    setting.proxy.let_go();
    let again = enter(&mut terminal, "download big");
    assert!(again.iter().any(|line| line.starts_with("Resuming at byte ")), "{again:?}");
    assert_eq!(setting.ferry.files(), ["big"]);
    assert!(setting.has_big());
}

#[test]
fn to_leave_while_a_transfer_runs_is_asked_about() {
    const QUESTION: &str = "A transfer still runs. Wait for it, leave and stop it, or stay? [w/l/S] ";
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_stored(1);
    for (leaving, stays) in [("exit\r", "\r"), (CONTROL_D, "n\r"), ("exit\r", CONTROL_C)] {
        terminal.type_keys(leaving);
        terminal.wait_for_cursor_after(QUESTION);
        terminal.type_keys(stays);
        terminal.wait_for_cursor_after(PROMPT);
    }
    terminal.type_line("exit");
    terminal.wait_for_cursor_after(QUESTION);
    terminal.type_line("l");
    assert_eq!(terminal.wait_for_exit(), 0);
    assert_eq!(setting.ferry.files(), [".big.ferry-part"]);

    setting.begin_anew();
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_stored(1);
    terminal.type_line("exit");
    terminal.wait_for_cursor_after(QUESTION);
    terminal.type_keys(CONTROL_D);
    assert_eq!(terminal.wait_for_exit(), 0);
    assert_eq!(setting.ferry.files(), [".big.ferry-part"]);

    setting.begin_anew();
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_stored(1);
    terminal.type_line("exit");
    terminal.wait_for_cursor_after(QUESTION);
    terminal.type_line("w");
    terminal.wait_for_text("[1] download big");
    setting.proxy.let_go();
    assert_eq!(terminal.wait_for_exit(), 0);
    assert!(terminal.lines().last().unwrap().contains("Client connection Closed!"));
    assert!(setting.has_big());
}

#[test]
fn a_transfer_keeps_the_local_folder_that_it_was_begun_in() {
    let setting = Setting::new(Direction::ToClient);
    std::fs::create_dir(setting.ferry.path("elsewhere")).unwrap();
    setting.ferry.put("elsewhere/c.txt", "c");
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_held(1);
    enter(&mut terminal, "lcd elsewhere");
    enter(&mut terminal, "download a.txt");
    enter(&mut terminal, "upload c.txt");
    assert_eq!(enter(&mut terminal, "lls"), ["a.txt  c.txt"]);
    assert_eq!(
        enter(&mut terminal, "lls -1 *.txt ../elsewhere/c.txt"),
        ["../elsewhere/c.txt", "a.txt", "c.txt"]
    );
    assert_eq!(enter(&mut terminal, "!cat c.txt; echo"), ["c"]);
    let place = enter(&mut terminal, "lpwd");
    assert!(place[0].ends_with("/local/elsewhere"), "{place:?}");
    terminal.type_keys("upload c.");
    terminal.type_keys(TAB);
    terminal.wait_for_cursor_after(&format!("{PROMPT}upload c.txt "));
    terminal.type_keys(CONTROL_U);
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: download big");
    assert!(setting.has_big());
    assert_eq!(setting.ferry.read("elsewhere/a.txt"), b"a");
    assert_eq!(std::fs::read(setting.server.path("c.txt")).unwrap(), b"c");
    enter(&mut terminal, "lcd -");
    assert_eq!(enter(&mut terminal, "lls"), ["big  elsewhere"]);
}

#[test]
fn a_server_that_goes_away_under_a_transfer_is_told_of() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt_with(&["--retry-for", "1"], 200);
    enter(&mut terminal, "download big &");
    setting.wait_until_stored(1);
    let (link, direction) = (Link::Data, Direction::ToClient);
    setting.proxy.arm(Fault { link, direction, after: 0, kind: Kind::Reset });
    setting.proxy.refuse_after_fault();
    setting.proxy.let_go();
    terminal.wait_for_text("[1] failed: download big: ");
    let jobs = enter(&mut terminal, "jobs");
    assert!(jobs[0].starts_with("[1] download big  failed: "), "{jobs:?}");
    assert_eq!(setting.ferry.files(), [".big.ferry-part"]);
    let lines = terminal.lines();
    assert!(lines.iter().any(|line| line.contains("are kept as .big.ferry-part")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("Trying to go on")), "it is over: {lines:?}");
}

#[test]
fn a_link_that_comes_back_has_the_transfer_go_on() {
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    setting.wait_until_stored(1);
    let (link, direction) = (Link::Data, Direction::ToClient);
    setting.proxy.arm(Fault { link, direction, after: 0, kind: Kind::Reset });
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: download big, ");
    terminal.wait_for_text("Resuming at byte ");
    assert!(setting.has_big());
}

#[test]
fn two_transfers_run_at_once() {
    let setting = Setting::new(Direction::ToClient);
    std::fs::create_dir(setting.server.path("tree")).unwrap();
    setting.server.put("tree/large", Content::new(2, BIG_BYTES).bytes());
    setting.server.put("tree/small", "small");
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download big &");
    enter(&mut terminal, "download tree &");
    setting.wait_until_held(2);
    wait_until("both on their way", || {
        let jobs = enter(&mut terminal, "jobs");
        jobs.len() == 2 && jobs[1].contains(" of 2 files")
    });
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: download big, ");
    terminal.wait_for_text("[2] done: download tree, 2 files received, 1 folder made (2 new), 3.1 MB in ");
    assert!(setting.has_big());
    assert_eq!(setting.ferry.read("tree/large"), Content::new(2, BIG_BYTES).bytes());
    leave(&mut terminal);
}

#[test]
fn a_folder_that_is_sent_in_the_background_tells_what_was_sent_and_what_was_not() {
    let setting = Setting::new(Direction::ToServer);
    std::fs::create_dir(setting.ferry.path("tree")).unwrap();
    setting.ferry.put("tree/large", Content::new(2, BIG_BYTES).bytes());
    setting.ferry.put("tree/small", "small");
    std::os::unix::fs::symlink("small", setting.ferry.path("tree/link")).unwrap();
    let mut terminal = setting.prompt_with(&[], 80);
    terminal.type_line("sync tree copy");
    setting.wait_until_held(1);
    suspend(&mut terminal, "[1] sync tree copy goes on");
    wait_until("progress", || enter(&mut terminal, "jobs")[0].contains(" of 2 files"));
    setting.proxy.let_go();
    terminal.wait_for_text("[1] done: sync tree copy, 2 files sent (2 new), 3.1 MB in ");
    terminal.wait_for_text("    1 was not sent:");
    terminal.wait_for_text("      copy/link: it is a symbolic link");
    assert_eq!(std::fs::read(setting.server.path("copy/large")).unwrap(), Content::new(2, BIG_BYTES).bytes());
    // What would be moved is a result; in the background it is told behind the end.
    enter(&mut terminal, "download -n copy &");
    terminal.wait_for_text("[2] done: download -n copy");
    terminal.wait_for_text("    download copy/small");
}

#[test]
fn a_transfer_that_has_a_question_waits_until_it_is_brought_back() {
    let setting = Setting::new(Direction::ToClient);
    setting.ferry.put("a.txt", "another");
    let mut terminal = setting.prompt();
    enter(&mut terminal, "download a.txt &");
    terminal.wait_for_text("[1] waits for an answer (wait 1): download a.txt");
    assert_eq!(enter(&mut terminal, "jobs"), ["[1] download a.txt  waits for an answer: wait 1"]);
    terminal.type_line("wait 1");
    terminal.wait_until("question", |screen| screen.before_cursor().ends_with("Replace it? [y/N/all] "));
    terminal.type_line("y");
    terminal.wait_for_text("Download is finished!");
    assert_eq!(setting.ferry.read("a.txt"), b"a");
    // One that nobody answers can be stopped.
    setting.ferry.put("a.txt", "another");
    terminal.wait_for_cursor_after(PROMPT);
    enter(&mut terminal, "download a.txt &");
    terminal.wait_for_text("[2] waits for an answer");
    assert_eq!(enter(&mut terminal, "cancel 2"), ["[2] download a.txt", "Interrupted"]);
    assert_eq!(setting.ferry.read("a.txt"), b"another");
}

/// There it waits for its answer, and the program goes on.
#[test]
fn control_z_at_the_question_of_a_transfer_sends_that_back() {
    let setting = Setting::new(Direction::ToClient);
    setting.ferry.put("a.txt", "another");
    let mut terminal = setting.prompt_with(&[], 60);
    for line in ["download a.txt", "wait 1", "wait"] {
        terminal.type_line(line);
        // The question has two lines.
        terminal
            .wait_until("question", |screen| screen.before_cursor().ends_with(". Replace it? [y/N/all] "));
        suspend(&mut terminal, "[1] waits for an answer (wait 1): download a.txt");
        assert_eq!(enter(&mut terminal, "jobs"), ["[1] download a.txt  waits for an answer: wait 1"]);
    }
    assert_eq!(setting.ferry.read("a.txt"), b"another");
    enter(&mut terminal, "download big &");
    setting.wait_until_held(1);
    terminal.type_line("wait 1");
    terminal.wait_until("question", |screen| screen.before_cursor().ends_with(". Replace it? [y/N/all] "));
    terminal.type_keys("ye");
    // Another one ends above the question, at which it does not stop.
    setting.proxy.let_go();
    terminal.wait_for_text("[2] done: download big, ");
    terminal.wait_until("question", |screen| screen.before_cursor().ends_with("Replace it? [y/N/all] ye"));
    terminal.type_line("s");
    terminal.wait_for_text("Download is finished!");
    assert_eq!(setting.ferry.read("a.txt"), b"a");
    leave(&mut terminal);
}

#[test]
fn a_signal_that_ends_the_program_tidies_up_what_runs_in_the_background() {
    const HELD_EARLY_AT_BYTES: u64 = 500_000;
    for signal in [Signal::TERM, Signal::HUP] {
        let setting = Setting::new(Direction::ToClient);
        setting.proxy.hold(Link::Data, Direction::ToClient, HELD_EARLY_AT_BYTES);
        std::fs::create_dir(setting.server.path("tree")).unwrap();
        // Of files of this size nothing is kept.
        for name in ["middling", "tree/middling"] {
            setting.server.put(name, Content::new(3, 2 * HELD_EARLY_AT_BYTES).bytes());
        }
        let mut terminal = setting.prompt();
        leave(&mut terminal);
        let ordinary = terminal.settings();
        let mut terminal = setting.prompt();
        for name in ["big", "tree", "middling"] {
            enter(&mut terminal, &format!("download {name} &"));
        }
        setting.wait_until_held(3);
        for name in [".big.ferry-part", ".middling.ferry-part"] {
            wait_until("arrival of what has passed", || {
                setting.ferry.path(name).metadata().is_ok_and(|file| file.len() == HELD_EARLY_AT_BYTES)
            });
        }
        terminal.end_by(signal);
        assert_eq!(terminal.settings(), ordinary);
        assert_eq!(setting.ferry.files(), [".big.ferry-part", "tree"]);
        let beneath = std::fs::read_dir(setting.ferry.path("tree")).unwrap();
        let names: Vec<_> = beneath.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [""; 0], "no temporary file");
    }
}

#[test]
fn there_is_a_bound_to_the_transfers_at_once() {
    const MOST: usize = 16;
    let setting = Setting::new(Direction::ToClient);
    let mut terminal = setting.prompt();
    let lines: Vec<String> = (1..=100).map(|number| format!("download big -o {number} &")).collect();
    terminal.type_keys(&format!("\u{1b}[200~{}\u{1b}[201~", lines.join("\n")));
    enter(&mut terminal, "");
    setting.wait_until_held(MOST);
    let refusal = format!(
        "{MOST} transfers are in the background, and more cannot be; wait for one, or cancel one (jobs lists them)"
    );
    let refused = terminal.lines().iter().filter(|line| **line == refusal).count();
    assert_eq!(refused, 100 - MOST);
    assert_eq!(enter(&mut terminal, "download a.txt"), [refusal]);
    assert_eq!(enter(&mut terminal, "jobs").len(), MOST);
    setting.proxy.let_go();
    for number in 1..=MOST {
        terminal.wait_for_text(&format!("[{number}] done: download big -o {number}, "));
        assert_eq!(setting.ferry.read(number.to_string()), Content::new(1, BIG_BYTES).bytes());
    }
    enter(&mut terminal, "download a.txt");
    assert_eq!(setting.ferry.read("a.txt"), b"a");
}

/// As a shell knows it: the program waits until it is told to go on.
#[test]
fn control_z_at_the_prompt_stops_the_program() {
    expect_stop_and_end(Command::new("/bin/sh"));
}

/// The session of the terminal, and with it the group in the foreground, are out of sight there.
#[test]
#[ignore = "needs root, for a container of its own; tests/checks runs it"]
fn control_z_at_the_prompt_stops_the_program_in_a_container() {
    let mut shell = Command::new("unshare");
    shell.args(["--pid", "--fork", "--mount-proc", "/bin/sh"]);
    expect_stop_and_end(shell);
}

#[track_caller]
fn expect_stop_and_end(mut shell: Command) {
    let setting = Setting::new(Direction::ToClient);
    let ferry = setting.ferry.command(setting.server.control_address());
    shell
        .current_dir(setting.ferry.local())
        .envs(ferry.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-c", "set -m; \"$@\"; echo It is stopped.; fg; echo It has ended.", "sh"]);
    shell.arg(ferry.get_program()).args(ferry.get_args());
    let mut terminal = Terminal::run(shell);
    terminal.wait_for_cursor_after(PROMPT);
    terminal.type_keys("stat ");
    terminal.type_keys(CONTROL_Z);
    terminal.wait_for_text("It is stopped.");
    terminal.wait_for_cursor_after(&format!("{PROMPT}stat "));
    assert!(!enter(&mut terminal, "a.txt").is_empty());
    terminal.type_line("exit");
    terminal.wait_for_text("It has ended.");
}

#[test]
fn only_the_prompt_has_a_background() {
    let setting = Setting::new(Direction::ToClient);
    const TOLD: &str = "Transfers in the background (&, jobs, wait, cancel) are for the prompt; others run one after the other\n";
    let address = setting.server.control_address();
    for line in ["download a.txt &", "jobs", "wait", "cancel 1"] {
        let run = setting.ferry.run(address, &[line, "download big"]);
        assert_eq!(run.expect_status(2).stderr, TOLD, "{line}");
        assert_eq!(setting.ferry.run_piped(address, line).expect_status(2).stderr, TOLD, "{line}");
    }
    assert_eq!(setting.ferry.files(), [""; 0]);
    setting.server.put("&", "ampersand");
    setting.ferry.run(address, &["download '&'", "download \\& -o b"]).expect_status(0);
    assert_eq!(setting.ferry.files(), ["&", "b"]);
}
