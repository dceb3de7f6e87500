//! What a server tells of itself: its room and its sessions.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::reply::Reply;
use ferry_common::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::{wait_for, wait_until};
use rustix::fs::StatVfs;
use std::io::Write;

/// More than all buffers between the two ends hold.
const DOWNLOAD: usize = 64 << 20;
const CROWD: usize = 500;
/// The answers to so many are longer than all buffers between the two ends.
const REPEATS: usize = 400;

/// Free and total bytes of the file system that the folder is on.
fn room(server: &Server) -> (u64, u64) {
    let StatVfs { f_bavail, f_blocks, f_frsize, .. } = rustix::fs::statvfs(server.root()).unwrap();
    (f_bavail * f_frsize, f_blocks * f_frsize)
}

fn told_room(server: &Server, command: &str) -> (u64, u64) {
    let answer = Conversation::with(server).ask(command);
    assert_eq!(answer.outcome, Ok(vec![]));
    let [Reply::Space { free_bytes, total_bytes }] = answer.replies[..] else { panic!("{answer:?}") };
    (free_bytes, total_bytes)
}

#[test]
fn df_tells_what_uploads_may_take_and_all_there_is() {
    let (free_bytes, total_bytes) = room(&Server::start());
    for keep_free_bytes in [0, free_bytes / 2, u64::MAX] {
        let server = Options::default().arguments(&["--keep-free", &keep_free_bytes.to_string()]).start();
        server.put("a.txt", "a");
        let expected = free_bytes.saturating_sub(keep_free_bytes);
        for command in ["df", "df .", "df a.txt"] {
            let told = told_room(&server, command);
            assert_eq!(told.1, total_bytes);
            // Others write to the same disk.
            assert!(told.0.abs_diff(expected) < free_bytes / 4, "{told:?} with {keep_free_bytes}");
        }
        let refused = Conversation::with(&server).ask("df nothing");
        assert_eq!(refused.code(), ErrorCode::NotFound);
    }
    let read_only = Options::default().arguments(&["--read-only"]).start();
    assert_eq!(told_room(&read_only, "df").1, total_bytes);
}

/// The sessions that are told of, and all together, in that order.
fn who(session: &mut Conversation) -> (Vec<SessionEntry>, SessionTotals) {
    let mut answer = session.ask("who");
    let Some(Reply::Totals(totals)) = answer.replies.pop() else { panic!("{answer:?}") };
    let told = |reply| if let Reply::Session(entry) = reply { entry } else { panic!("{reply:?}") };
    let entries: Vec<_> = answer.replies.into_iter().map(told).collect();
    assert_eq!(answer.outcome, Ok(vec![entries.len().to_string()]));
    (entries, totals)
}

/// A server with an upload and a download under way, and a session that can ask about them.
fn busy_server(show_who: &str) -> (Server, [Conversation; 3]) {
    let server = Options::default().arguments(&["--show-who", show_who]).start();
    server.put("big \u{1b}.iso", vec![7; DOWNLOAD]);
    let [mut up, mut down, asking] = [(); 3].map(|()| Conversation::with(&server));
    up.send("upload new.mp4 3000000\n");
    let Reply::Data { port, ticket } = up.reply() else { panic!("no offer") };
    up.open_data(port, &ticket);
    assert!(matches!(up.reply(), Reply::Upload { .. }));
    up.data.as_mut().unwrap().write_all(&[1; 1000]).unwrap();
    down.send("download \"big \\x1b.iso\" 5\n");
    let Reply::Data { port, ticket } = down.reply() else { panic!("no offer") };
    down.open_data(port, &ticket);
    assert!(matches!(down.reply(), Reply::Download { .. }));
    (server, [up, down, asking])
}

#[test]
fn who_tells_of_every_session_where_the_operator_lets_everybody_see_that() {
    let (_server, [_up, _down, mut asking]) = busy_server("all");
    let find = |entries: &[SessionEntry], activity| {
        let mut found = entries.iter().filter(|entry| entry.activity == activity).cloned();
        let entry = found.next().unwrap();
        assert!(found.next().is_none() && entry.address.is_loopback());
        entry
    };
    let (entries, totals) = wait_for("the first bytes", || {
        let told = who(&mut asking);
        let has_begun = find(&told.0, SessionActivity::Up).moved_bytes == 1000;
        (has_begun && find(&told.0, SessionActivity::Down).moved_bytes > 5).then_some(told)
    });
    assert_eq!((totals.sessions, totals.uploads, totals.downloads), (3, 1, 1));
    assert!(totals.down_bytes_per_second > 0);
    let up = find(&entries, SessionActivity::Up);
    assert_eq!((up.size_bytes, up.name), (3_000_000, b"new.mp4".to_vec()));
    let down = find(&entries, SessionActivity::Down);
    assert_eq!((down.size_bytes, down.name), (DOWNLOAD as u64, b"big \x1b.iso".to_vec()));
    let own = find(&entries, SessionActivity::Idle);
    assert_eq!((own.moved_bytes, own.size_bytes, own.name), (0, 0, vec![]));
}

#[test]
fn who_tells_no_addresses_and_names_but_where_the_operator_says_so() {
    let (_server, [_up, _down, mut asking]) = busy_server("counts");
    let (entries, totals) = who(&mut asking);
    assert_eq!(entries, []);
    assert_eq!((totals.sessions, totals.uploads, totals.downloads), (3, 1, 1));

    let (server, [.., mut asking]) = busy_server("none");
    let refused = asking.ask("who");
    assert_eq!((refused.code(), refused.replies.len()), (ErrorCode::Denied, 0));
    let run = Ferry::new().run(server.control_address(), &["who"]);
    run.expect_status(4);

    let server = Server::start();
    let run = Ferry::new().run(server.control_address(), &["who"]);
    run.expect_status(0);
    assert_eq!(run.stdout, "1 session; 0 uploads, 0 B/s; 0 downloads, 0 B/s\n", "counts are the default");
}

/// More than one part, more than one answer holds, and some of the places are free again.
#[test]
fn who_tells_of_a_crowd_though_its_reader_is_slow() {
    let server = Options::default().arguments(&["--show-who", "all"]).start();
    let mut sessions: Vec<_> = (0..CROWD).map(|_| Conversation::with(&server)).collect();
    sessions.iter_mut().for_each(|session| _ = session.ask("help"));
    sessions.drain(10..300);
    let mut asking = Conversation::with(&server);
    wait_until("end of those that left", || who(&mut asking).1.sessions == (CROWD - 290 + 1) as u64);
    let before_bytes = server.process().peak_resident_bytes();
    asking.send("who\n".repeat(REPEATS));
    // Others have their answers meanwhile.
    assert_eq!(who(&mut sessions[0]).0.len(), CROWD - 290 + 1);
    for _ in 0..REPEATS {
        let answer = asking.answer();
        assert_eq!(answer.outcome, Ok(vec![(CROWD - 290 + 1).to_string()]));
        assert_eq!(answer.replies.len(), CROWD - 290 + 2);
    }
    let grown = server.process().peak_resident_bytes() - before_bytes;
    assert!(grown < 8 << 20, "the answers cost {grown} bytes of memory");
}

#[test]
fn df_is_told_in_plain_words() {
    let server = Server::start();
    let run = Ferry::new().run(server.control_address(), &["df"]);
    run.expect_status(0);
    let (_, total_bytes) = room(&server);
    let [free, total] = run.stdout_lines()[..] else { panic!("{run:?}") };
    assert!(free.starts_with("Free: ") && free.contains(" bytes ("), "{free}");
    assert!(total.starts_with(&format!("Total: {total_bytes} bytes (")), "{total}");
}
