//! Either end may vanish at any point of a transfer: no false file appears, and what was held comes back.
#![allow(clippy::unwrap_used)]

use ferry_common::limits::{EAGER_MAX_BYTES, TICKET_TIMEOUT};
use ferry_common::wire::reply::Reply;
use ferry_tests::content::Content;
use ferry_tests::conversation::{Conversation, read_to_end};
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::server::{Options, Server};
use ferry_tests::terminal::Terminal;
use ferry_tests::wait::{WAIT_LIMIT, wait_at_most, wait_until};
use std::fs::File;
use std::path::Path;

const OLD: &[u8] = b"the old content";
const BIG: Content = Content { seed: 3, size_bytes: 48 << 20 };
/// Enough that the end which vanishes does so before it is done.
const HUGE_BYTES: u64 = 4 << 30;

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// It closes both connections.
    Orderly,
    /// Both connections are reset, as by a crash of its host.
    Reset,
    /// Only its data connection closes; the session stays for a while.
    DataOnly,
    /// Its control connection is reset; it keeps the data connection for as long as it may.
    ControlOnly,
}

/// How far a client comes before it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The command is half sent.
    Command,
    /// The ticket has come and is not used.
    Ticket,
    /// The data connection stands.
    Attached,
    Partly,
    /// All but one byte.
    Nearly,
    /// All bytes moved, the reply not read.
    Wholly,
}

const LEAVINGS: [Leaving; 4] = [Leaving::Orderly, Leaving::Reset, Leaving::DataOnly, Leaving::ControlOnly];
/// All but [`Point::Ticket`], which takes its time: see its test.
const POINTS: [Point; 5] = [Point::Command, Point::Attached, Point::Partly, Point::Nearly, Point::Wholly];

fn leave(session: Conversation, leaving: Leaving) {
    match leaving {
        Leaving::Orderly => drop(session),
        Leaving::Reset => session.reset(),
        Leaving::DataOnly => {
            let mut session = session;
            drop(session.data.take());
            // Whatever was running is answered, if only by the end; then this half ends too.
            session.end_input();
            while session.line().is_some() {}
        }
        Leaving::ControlOnly => {
            let mut session = session;
            let data = session.data.take();
            session.reset();
            if let Some(mut data) = data {
                // The session's end is the end of its data connection.
                read_to_end(&mut data);
            }
        }
    }
}

/// Reads replies up to the ticket, and does not use it.
fn ignore_ticket(session: &mut Conversation) {
    assert!(matches!(session.reply(), Reply::Data { .. }));
}

fn vanish_from_upload(server: &Server, content: Content, point: Point, leaving: Leaving) {
    let mut session = Conversation::with(server);
    let size = content.size_bytes;
    match point {
        Point::Command => session.send("upload file 1"),
        Point::Ticket => {
            session.send(format!("upload file {size}\n"));
            ignore_ticket(&mut session);
        }
        Point::Attached | Point::Partly | Point::Nearly | Point::Wholly => {
            session.announce_upload("file", size).unwrap();
            let end = match point {
                Point::Command | Point::Ticket | Point::Attached => 0,
                Point::Partly => size / 2,
                Point::Nearly => size - 1,
                Point::Wholly => size,
            };
            session.send_data(content, 0, end);
        }
    }
    leave(session, leaving);
}

fn vanish_from_download(server: &Server, point: Point, leaving: Leaving) {
    let mut session = Conversation::with(server);
    match point {
        Point::Command => session.send("download big"),
        Point::Ticket => {
            session.send("download big\n");
            ignore_ticket(&mut session);
        }
        Point::Attached | Point::Partly | Point::Nearly | Point::Wholly => {
            assert_eq!(session.ask_for_download("big"), Ok(BIG.size_bytes));
            let end = match point {
                Point::Command | Point::Ticket | Point::Attached => 0,
                Point::Partly => BIG.size_bytes / 2,
                Point::Nearly => BIG.size_bytes - 1,
                Point::Wholly => BIG.size_bytes,
            };
            session.expect_data(BIG, 0, end);
        }
    }
    leave(session, leaving);
}

/// Every descriptor that clients caused is closed again, and nothing is left of unfinished uploads.
#[track_caller]
fn expect_released(server: &Server, baseline: usize) {
    wait_until("return of the descriptors", || server.process().descriptors() <= baseline);
    // But for what is kept of a large upload, so that its client can go on.
    wait_until("end of the staged files", || {
        server.staged_files().iter().all(|name| name.contains("/partial/"))
    });
}

/// Descriptors after a first complete session: what the server opens once and keeps is open then.
fn warmed_up(server: &Server) -> usize {
    let at_start = server.process().descriptors();
    let mut session = Conversation::with(server);
    session.upload("warm", &BIG.bytes()[..3 << 20]).unwrap();
    session.download("warm").unwrap();
    drop(session);
    wait_until("end of the first session", || server.process().descriptors() <= at_start + 2);
    server.process().descriptors()
}

#[test]
fn a_client_that_vanishes_from_an_upload_leaves_the_old_file_or_none() {
    let server = Server::start();
    let baseline = warmed_up(&server);
    let contents = [Content::new(1, EAGER_MAX_BYTES / 2), Content::new(2, EAGER_MAX_BYTES * 3)];
    for content in contents {
        for point in POINTS {
            for leaving in LEAVINGS {
                for old in [None, Some(OLD)] {
                    let _ = std::fs::remove_file(server.path("file"));
                    old.inspect(|old| server.put("file", old));
                    vanish_from_upload(&server, content, point, leaving);
                    expect_released(&server, baseline);
                    let now = std::fs::read(server.path("file")).ok();
                    let is_new = now.as_deref().is_some_and(|now| now == content.bytes());
                    let is_old = now.as_deref() == old;
                    let case = format!("{content:?}, {point:?}, {leaving:?}, old: {}", old.is_some());
                    // Once all bytes have come, the server may well finish what was asked of it.
                    assert!(is_old || (is_new && point == Point::Wholly), "{case}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_vanishes_from_a_download_leaves_nothing_behind() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    let baseline = warmed_up(&server);
    for point in POINTS {
        for leaving in LEAVINGS {
            vanish_from_download(&server, point, leaving);
            expect_released(&server, baseline);
        }
    }
    assert_eq!(Conversation::with(&server).download("big").unwrap(), BIG.bytes());
}

/// A client that has a ticket may have ended its half of the control connection and still use it. So a client
/// that vanishes then is missed only when its ticket's time is up.
#[test]
fn a_client_that_vanishes_with_a_ticket_leaves_nothing_behind() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    server.put("file", OLD);
    let baseline = warmed_up(&server);
    for leaving in [Leaving::Orderly, Leaving::Reset, Leaving::ControlOnly] {
        vanish_from_download(&server, Point::Ticket, leaving);
        for size in [0, EAGER_MAX_BYTES / 2, EAGER_MAX_BYTES * 3] {
            vanish_from_upload(&server, Content::new(1, size), Point::Ticket, leaving);
        }
    }
    let released = wait_at_most(TICKET_TIMEOUT + WAIT_LIMIT, || {
        (server.process().descriptors() <= baseline).then_some(())
    });
    assert!(released.is_some(), "{:?}", server.process().descriptor_targets());
    expect_released(&server, baseline);
    assert_eq!(std::fs::read(server.path("file")).unwrap(), OLD);
}

#[test]
fn memory_comes_back_after_many_have_vanished() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    let baseline = warmed_up(&server);
    let content = Content::new(2, EAGER_MAX_BYTES * 2);
    let everybody_vanishes = || {
        for _ in 0..10 {
            for point in [Point::Ticket, Point::Attached, Point::Partly] {
                vanish_from_upload(&server, content, point, Leaving::Reset);
                vanish_from_download(&server, point, Leaving::Reset);
            }
        }
        expect_released(&server, baseline);
        server.process().resident_bytes()
    };
    let after_first = everybody_vanishes();
    for _ in 0..3 {
        everybody_vanishes();
    }
    let after_last = everybody_vanishes();
    let grown = after_last.saturating_sub(after_first);
    assert!(grown < 4 << 20, "memory grew by {grown} bytes");
}

#[test]
fn others_go_on_while_clients_vanish() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    let mut running = Conversation::with(&server);
    assert_eq!(running.ask_for_download("big"), Ok(BIG.size_bytes));
    running.expect_data(BIG, 0, 1 << 20);
    for point in POINTS {
        vanish_from_download(&server, point, Leaving::Reset);
        vanish_from_upload(&server, Content::new(1, 2 << 20), point, Leaving::Orderly);
    }
    running.expect_data(BIG, 1 << 20, BIG.size_bytes);
    assert_eq!(running.answer().outcome, Ok(vec![BIG.size_bytes.to_string()]));
}

/// After a data connection was lost the session gets another, and the command an answer.
#[test]
fn a_session_survives_the_loss_of_its_data_connection() {
    let server = Server::start();
    server.put("big", BIG.bytes());
    server.put("file", OLD);
    let mut session = Conversation::with(&server);
    session.ask_for_download("big").unwrap();
    session.data = None;
    assert_eq!(session.answer().code().word(), "broken-off");
    let content = Content::new(2, EAGER_MAX_BYTES * 2);
    session.announce_upload("file", content.size_bytes).unwrap();
    session.send_data(content, 0, EAGER_MAX_BYTES);
    session.data = None;
    assert_eq!(session.answer().code().word(), "broken-off");
    assert_eq!(session.download("file").unwrap(), OLD);
    session.upload_content("file", content).unwrap();
    assert_eq!(std::fs::read(server.path("file")).unwrap(), content.bytes());
}

/// A file of many zeros that takes no room.
fn make_huge(path: &Path) {
    File::create(path).unwrap().set_len(HUGE_BYTES).unwrap();
}

/// What the client keeps of a download of `huge`.
const PART: &str = ".huge.ferry-part";

/// True once the client has written some of a download beside its target.
fn has_begun(ferry: &Ferry) -> bool {
    let parts = ferry.files().into_iter().filter(|name| name != "huge");
    parts.filter_map(|name| ferry.path(name).metadata().ok()).any(|part| part.len() > 0)
}

#[test]
fn the_client_says_that_the_server_vanished_from_a_download() {
    let mut server = Server::start();
    make_huge(&server.path("huge"));
    let ferry = Ferry::new();
    let mut command = ferry.command(server.control_address());
    command.args(["--retry-for", "0", "-c", "download huge"]);
    let running = Running::start(command, b"");
    wait_until("beginning of the download", || has_begun(&ferry));
    server.kill();
    let run = running.finish();
    run.expect_status(6);
    assert!(!run.stderr.contains("Download is finished"), "{}", run.stderr);
    assert!(run.stderr.lines().last().is_some_and(|line| !line.is_empty()), "nothing was said");
    assert_eq!(ferry.files(), [PART], "what has come is kept, and not under the name");
}

#[test]
fn the_client_keeps_the_old_file_when_the_server_vanishes() {
    let mut server = Server::start();
    make_huge(&server.path("huge"));
    let ferry = Ferry::new();
    ferry.put("huge", OLD);
    let mut command = ferry.command(server.control_address());
    command.args(["--retry-for", "0", "-c", "download huge"]);
    let running = Running::start(command, b"");
    wait_until("beginning of the download", || has_begun(&ferry));
    server.kill();
    running.finish().expect_status(6);
    assert_eq!(ferry.files(), [PART, "huge"]);
    assert_eq!(ferry.read("huge"), OLD);
}

#[test]
fn the_client_says_that_the_server_vanished_from_an_upload() {
    let mut server = Server::start();
    let ferry = Ferry::new();
    make_huge(&ferry.path("huge"));
    let mut command = ferry.command(server.control_address());
    command.args(["--retry-for", "0", "-c", "upload huge"]);
    let running = Running::start(command, b"");
    wait_until("beginning of the upload", || {
        server.staged_files().iter().any(|name| server.path(name).metadata().is_ok_and(|file| file.len() > 0))
    });
    server.kill();
    let run = running.finish();
    run.expect_status(6);
    assert!(!run.stderr.contains("File upload done"), "{}", run.stderr);
    assert!(!server.path("huge").exists());

    // What the dead server had is gone, or kept by the next one if it was much, and seen by no client.
    let again = Options::default().root(server.root()).start();
    let staged = again.staged_files();
    assert!(staged.iter().all(|name| name.contains("/partial/")), "{staged:?}");
    assert_eq!(Conversation::with(&again).ask("ls").names(), Vec::<Vec<u8>>::new());
}

#[test]
fn the_client_in_a_folder_of_its_own_vanishes_without_a_false_file() {
    let server = Server::start();
    make_huge(&server.path("huge"));
    let baseline = server.process().descriptors();
    let ferry = Ferry::new();
    let mut command = ferry.command(server.control_address());
    command.args(["--retry-for", "0", "-c", "download huge"]);
    let mut running = Running::start(command, b"");
    wait_until("beginning of the download", || has_begun(&ferry));
    running.child.kill().unwrap();
    assert_eq!(running.finish().status, None);
    assert!(!ferry.path("huge").exists());
    expect_released(&server, baseline);
}

#[test]
fn the_prompt_offers_to_reconnect() {
    let mut server = Server::start();
    make_huge(&server.path("huge"));
    let ferry = Ferry::new();
    let mut command = ferry.command(server.control_address());
    command.args(["--retry-for", "0"]);
    let mut terminal = Terminal::run(command);
    terminal.wait_for_cursor_after("Enter your command: ");
    terminal.type_line("download huge");
    wait_until("beginning of the download", || has_begun(&ferry));
    server.kill();
    terminal.wait_until("offer", |screen| screen.before_cursor().to_lowercase().contains("reconnect"));
    assert_eq!(ferry.files(), [PART]);

    // The server is back at the same place.
    std::fs::remove_file(server.path("huge")).unwrap();
    server.put("a.txt", "a");
    let _again = server.start_again();
    terminal.type_line("y");
    terminal.wait_for_cursor_after("Enter your command: ");
    terminal.type_line("ls");
    terminal.wait_for_text("a.txt");
    terminal.wait_for_cursor_after("Enter your command: ");
    terminal.type_line("exit");
    assert_eq!(terminal.wait_for_exit(), 0);
}
