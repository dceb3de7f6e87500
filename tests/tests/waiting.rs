//! What a person at a terminal sees while a server keeps them waiting.
#![allow(clippy::unwrap_used)]

use ferry_tests::ferry::Ferry;
use ferry_tests::terminal::Terminal;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

const CONTROL_C: &str = "\u{3}";
const TICKET: &str = "0123456789abcdef0123456789abcdef";
/// Much more than the client hands to the network before the other end takes any of it.
const LARGE_BYTES: u64 = 64 << 20;
/// Room for what comes at a server that does not read: as little as the system has.
const LITTLE_BYTES: usize = 1;

/// A server that speaks the protocol until a script ends, and is silent from then on until the client has gone.
struct Silent {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Silent {
    fn after(script: impl FnOnce(&mut BufReader<TcpStream>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let mut control = BufReader::new(listener.accept().unwrap().0);
            answer(&mut control, "hello 1", "ok 1\n");
            script(&mut control);
            // An error is an end as well.
            let _ = control.read_to_end(&mut Vec::new());
        });
        Self { address, thread: Some(thread) }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let result = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(result, Some(Ok(()))), "the script did not run to its end");
    }
}

fn answer(control: &mut BufReader<TcpStream>, command: &str, reply: &str) {
    let mut line = String::new();
    control.read_line(&mut line).unwrap();
    assert!(line.starts_with(command), "{line}");
    control.get_mut().write_all(reply.as_bytes()).unwrap();
}

/// Takes the data connection of an upload, and nothing of the file.
fn take_nothing(control: &mut BufReader<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.set_recv_buffer_size(LITTLE_BYTES).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(1).unwrap();
    let port = listener.local_addr().unwrap().as_socket().unwrap().port();
    answer(control, "partial big", "err no-partial nothing is kept\n");
    answer(control, "upload big", &format!("(data) {port} {TICKET}\n"));
    let data = listener.accept().unwrap().0;
    control.get_mut().write_all(b"(upload) 0\n").unwrap();
    // Held until the client has gone.
    let _ = control.read_to_end(&mut Vec::new());
    drop(data);
}

/// Takes all of an upload, and says to have a quarter of it before it has taken a half, and a half when it has all.
fn take_all_and_tell_less(control: &mut BufReader<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    answer(control, "partial big", "err no-partial nothing is kept\n");
    answer(control, "upload big", &format!("(data) {port} {TICKET}\n"));
    let mut data = listener.accept().unwrap().0;
    control.get_mut().write_all(b"(upload) 0\n").unwrap();
    let mut take = |bytes| std::io::copy(&mut (&mut data).take(bytes), &mut std::io::sink()).unwrap();
    take(LARGE_BYTES / 2);
    control.get_mut().write_all(format!("(received) {}\n", LARGE_BYTES / 4).as_bytes()).unwrap();
    take(LARGE_BYTES / 2);
    // The ticket stands before the bytes and the digest behind them.
    control.get_mut().write_all(format!("(received) {}\n", LARGE_BYTES / 2).as_bytes()).unwrap();
    let _ = control.read_to_end(&mut Vec::new());
}

#[test]
fn an_upload_shows_what_the_server_says_to_have_and_not_what_was_sent() {
    let server = Silent::after(take_all_and_tell_less);
    let ferry = Ferry::new();
    std::fs::File::create(ferry.path("big")).unwrap().set_len(LARGE_BYTES).unwrap();
    let mut command = ferry.command(server.address);
    command.args(["-c", "upload big"]);
    let mut terminal = Terminal::run(command);
    let mut shown = Vec::new();
    terminal.wait_until("half of the file", |screen| {
        shown.extend(screen.lines().into_iter().filter(|line| line.starts_with("big ")));
        shown.last().is_some_and(|line| line.starts_with("big  50 %"))
    });
    let told = ["big   0 %", "big  25 %", "big  50 %"];
    assert!(shown.iter().all(|line| told.iter().any(|told| line.starts_with(told))), "{shown:?}");
    terminal.type_keys(CONTROL_C);
    assert_eq!(terminal.wait_for_exit(), 130);
}

#[test]
fn a_person_is_told_what_is_waited_for() {
    let server = Silent::after(|control| answer(control, "stat a", ""));
    let ferry = Ferry::new();
    let mut command = ferry.command(server.address);
    command.args(["-c", "stat a"]);
    let mut terminal = Terminal::run(command);
    terminal.wait_for_text(&format!("Waiting for {} to answer; Ctrl-C stops", server.address));
    terminal.type_keys(CONTROL_C);
    assert_eq!(terminal.wait_for_exit(), 130);
}

#[test]
fn a_server_that_does_not_greet_is_waited_for_in_sight_of_the_person() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut terminal = Terminal::run(Ferry::new().command(address));
    terminal.wait_for_text(&format!("Waiting for {address} to answer; Ctrl-C stops"));
    terminal.type_keys(CONTROL_C);
    assert_eq!(terminal.wait_for_exit(), 130);
}

#[test]
fn an_upload_that_does_not_move_shows_its_bar_and_says_so_and_what_ctrl_c_waits_for() {
    let server = Silent::after(take_nothing);
    let ferry = Ferry::new();
    std::fs::File::create(ferry.path("big")).unwrap().set_len(LARGE_BYTES).unwrap();
    let mut command = ferry.command(server.address);
    command.args(["-c", "upload big"]);
    let mut terminal = Terminal::run(command);
    terminal.wait_until("bar before anything else is said", |screen| {
        let has = |text: &str| screen.lines().iter().any(|line| line.contains(text));
        has("big   0 %") && has("0 B of 67.1 MB") && !has("No data")
    });
    terminal.wait_for_text("No data has moved for 5 s");
    terminal.type_keys(CONTROL_C);
    terminal.wait_for_text("Stopped; waiting for");
    terminal.type_keys(CONTROL_C);
    assert_eq!(terminal.wait_for_exit(), 130);
}
