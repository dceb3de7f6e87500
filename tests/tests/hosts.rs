//! How a server is named: by an address, a URL, a name of the configuration, or the environment.
#![allow(clippy::unwrap_used)]

use ferry_tests::ferry::{Ferry, Finished, Running};
use ferry_tests::server::Server;
use ferry_tests::terminal::Terminal;

fn run(ferry: &Ferry, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let mut command = ferry.bare_command();
    command.args(arguments).envs(variables.iter().copied());
    Running::start(command, b"").finish()
}

fn server_with_photos() -> (Server, u16) {
    let server = Server::start();
    std::fs::create_dir(server.path("my photos")).unwrap();
    server.put("my photos/a.jpg", "a");
    let port = server.control_port();
    (server, port)
}

#[test]
fn a_server_may_be_named_with_its_port_and_a_folder() {
    let (_server, port) = server_with_photos();
    let ferry = Ferry::new();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("ferry://127.0.0.1:{port}"),
        format!("ferry://127.0.0.1:{port}/"),
    ] {
        let listed = run(&ferry, &[], &[&host, "-c", "ls"]);
        assert_eq!(listed.expect_status(0).stdout, "\"my photos/\"\n", "{host}");
    }
    let url = format!("ferry://127.0.0.1:{port}/my%20photos");
    assert_eq!(run(&ferry, &[], &[&url, "-c", "ls"]).expect_status(0).stdout, "a.jpg\n");
    assert_eq!(run(&ferry, &[("FERRY_HOST", &url)], &["-c", "ls"]).expect_status(0).stdout, "a.jpg\n");
    run(&ferry, &[], &[&format!("ferry://127.0.0.1:{port}/nothing"), "-c", "ls"]).expect_status(4);
    run(&ferry, &[], &[&format!("127.0.0.1:{port}"), "1", "-c", "ls"]).expect_status(2);
    run(&ferry, &[], &["http://127.0.0.1", "-c", "ls"]).expect_status(2);
}

#[test]
fn a_name_of_the_configuration_stands_for_an_address() {
    let (_server, port) = server_with_photos();
    let ferry = Ferry::new();
    ferry.configure(&format!("[hosts.nas]\naddress = \"127.0.0.1\"\nport = {port}\n"));
    assert_eq!(run(&ferry, &[], &["nas", "-c", "ls"]).expect_status(0).stdout, "\"my photos/\"\n");
    assert_eq!(run(&ferry, &[("FERRY_HOST", "nas")], &["-c", "pwd"]).expect_status(0).stdout, "/\n");

    ferry.configure("[hosts.nas]\naddress = 127\n");
    let refused = run(&ferry, &[], &["nas", "-c", "ls"]);
    refused.expect_status(2);
    assert!(refused.stderr.contains("config.toml, line 2: "), "{}", refused.stderr);
    assert_eq!(refused.stderr_lines().len(), 1);
}

#[test]
fn a_person_is_told_where_they_are() {
    let (server, port) = server_with_photos();
    let ferry = Ferry::new();
    let mut command = ferry.bare_command();
    command.arg(format!("ferry://127.0.0.1:{port}/my%20photos"));
    let mut terminal = Terminal::run(command);
    terminal.wait_for_text(&format!("Connected to 127.0.0.1:{port}; help lists the commands"));
    terminal.wait_for_cursor_after("my photos  Enter your command: ");
    drop(server);
}

#[test]
fn programs_are_told_of_files_in_json() {
    let (server, port) = server_with_photos();
    server.put("my photos/.b\u{202e}", "b");
    let file = std::fs::File::open(server.path("my photos/a.jpg")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_764_000_000_250);
    file.set_modified(time).unwrap();
    let ferry = Ferry::new();
    let url = format!("ferry://127.0.0.1:{port}/my%20photos");
    let listed = run(&ferry, &[], &[&url, "--json", "-c", "ls", "-c", "stat a.jpg"]);
    let lines = listed.expect_status(0).stdout_lines();
    let expected = r#"{"name":"a.jpg","kind":"file","size":1,"modified":"2025-11-24T16:00:00.25Z"}"#;
    assert!(lines[0].starts_with(r#"{"name":".b\u202e","kind":"file","size":1,"#), "{lines:?}");
    assert_eq!(lines[1..], [expected, expected]);
}
