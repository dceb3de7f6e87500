//! What a person sees of a tree that moves over a slow link.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ferry::Ferry;
use ferry_tests::proxy::{Proxy, Slowness};
use ferry_tests::server::Server;
use ferry_tests::terminal::Terminal;
use std::path::Path;
use std::time::Duration;

const PROMPT: &str = "Enter your command: ";
const CONTROL_C: &str = "\u{3}";
const LARGE_BYTES: u64 = 4 << 20;
const SLOW: Slowness = Slowness { one_way: Duration::from_millis(5), bytes_per_second: 4_000_000 };

/// The names and contents of the tree.
fn files() -> impl Iterator<Item = (String, Vec<u8>)> {
    let small = (0..20).map(|number| (format!("tree/small/{number}"), b"small".to_vec()));
    let large = (0..3).map(|number| {
        let name = format!("tree/a long name of a folder with pictures/IMG_{number}.CR3");
        (name, Content::new(number, LARGE_BYTES).bytes())
    });
    small.chain(large)
}

fn plant(folder: &Path) {
    for (name, content) in files() {
        std::fs::create_dir_all(folder.join(&name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(&name), content).unwrap();
    }
}

/// The display as it stands on the screen: the line of the whole, and those below it.
fn display(lines: &[String]) -> &[String] {
    let first = lines.iter().rposition(|line| line.contains(" of 23 files"));
    first.map_or(&[][..], |first| &lines[first..])
}

/// The number before the percent sign that a line has.
fn percent(line: &str) -> u64 {
    let before = line.split('%').next().unwrap().trim_end();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Looks at a tree on its way: first in 80 columns, then in 40 and three rows, then broken off.
fn watch(mut terminal: Terminal) {
    terminal.wait_until("files that move", |screen| {
        let lines = screen.lines();
        let display = display(&lines);
        display.len() == 4
            && display[1].starts_with("  ")
            && display[1].contains("IMG_")
            && display[1].ends_with(" %")
    });
    let lines = terminal.lines();
    assert!(display(&lines).iter().all(|line| line.chars().count() < 80), "{lines:?}");
    if let [whole, files @ ..] = display(&lines)
        && files.len() == 3
    {
        // Both tell what is at the other end, and not what some buffer on the way has taken.
        let mean = files.iter().map(|line| percent(line)).sum::<u64>() / 3;
        assert!(percent(whole).abs_diff(mean) <= 2, "{lines:?}");
    }
    terminal.resize(40, 3);
    terminal.wait_until("fewer and shorter lines", |screen| {
        let lines = screen.lines();
        let display = display(&lines);
        display.len() == 2 && display.iter().all(|line| line.chars().count() < 40)
    });
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_cursor_after(PROMPT);
    let lines = terminal.lines();
    assert!(!lines.iter().any(|line| line.contains(" of 23 files") || line.contains("IMG_")), "{lines:?}");
}

#[test]
fn a_tree_goes_on_when_its_server_was_restarted() {
    let mut server = Server::start();
    let (proxy, ferry) = (Proxy::slow(server.control_address(), SLOW), Ferry::new());
    plant(&ferry.local());
    let mut terminal = prompt_over(&proxy, &ferry);
    terminal.type_line("upload tree");
    terminal.wait_for_text("IMG_0.CR3");
    server.kill();
    terminal.wait_for_text("connection lost, trying again; Ctrl-C stops");
    let again = server.start_again();
    terminal.wait_for_text("all verified");
    terminal.wait_for_cursor_after(PROMPT);
    for (name, content) in files() {
        assert!(std::fs::read(again.path(&name)).unwrap() == content, "{name}");
    }
}

fn prompt_over(proxy: &Proxy, ferry: &Ferry) -> Terminal {
    let mut terminal = Terminal::run_sized(ferry.command(proxy.control_address()), 80, 24);
    terminal.wait_for_cursor_after(PROMPT);
    terminal
}

#[test]
fn a_download_names_the_files_that_move_and_fits_the_terminal_and_leaves_nothing() {
    let server = Server::start();
    plant(server.root());
    let (proxy, ferry) = (Proxy::slow(server.control_address(), SLOW), Ferry::new());
    let mut terminal = prompt_over(&proxy, &ferry);
    terminal.type_line("download tree");
    watch(terminal);
}

#[test]
fn an_upload_names_the_files_that_move_and_fits_the_terminal_and_leaves_nothing() {
    let server = Server::start();
    let (proxy, ferry) = (Proxy::slow(server.control_address(), SLOW), Ferry::new());
    plant(&ferry.local());
    let mut terminal = prompt_over(&proxy, &ferry);
    terminal.type_line("upload tree");
    watch(terminal);
}
