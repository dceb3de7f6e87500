//! `ferry` without a prompt: commands by `-c` and from a pipe, what goes where, and the exit statuses.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::server::{Options, Server};
use ferry_tests::wait::wait_until;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

fn server_with_files() -> Server {
    let server = Server::start();
    server.put("a.txt", Content::new(1, 3552).bytes());
    server.put("server.py", "print()");
    server
}

#[test]
fn results_go_to_standard_output_and_messages_to_standard_error() {
    let server = server_with_files();
    let ferry = Ferry::new();
    let run = ferry.run(server.control_address(), &["ls"]);
    run.expect_status(0);
    assert_eq!(run.stdout, "a.txt\nserver.py\n");
    assert_eq!(run.stderr, "");

    let run = ferry.run(server.control_address(), &["download a.txt"]);
    run.expect_status(0);
    assert_eq!(run.stdout, "");
    let messages =
        ["Start downloading..", "file size: 3552", "Total Received: 3552 / 3552", "Download is finished!"];
    assert_eq!(run.stderr_lines(), messages);
    assert_eq!(ferry.read("a.txt"), Content::new(1, 3552).bytes());

    ferry.put("foo_new.png", Content::new(2, 271_296).bytes());
    let run = ferry.run(server.control_address(), &["upload foo_new.png"]);
    run.expect_status(0);
    assert_eq!(run.stdout, "");
    let messages =
        ["FTP connection established commencing upload", "Sent: 271296 / 271296", "File upload done..."];
    assert_eq!(run.stderr_lines(), messages);
    assert_eq!(std::fs::read(server.path("foo_new.png")).unwrap(), Content::new(2, 271_296).bytes());
}

#[test]
fn commands_run_in_order_and_stop_at_the_first_failure() {
    let server = server_with_files();
    let ferry = Ferry::new();
    let commands = ["download a.txt", "download nothing", "download server.py"];
    let run = ferry.run(server.control_address(), &commands);
    run.expect_status(4);
    assert!(run.stderr.contains("No such file found on the server!"), "{}", run.stderr);
    assert_eq!(ferry.files(), ["a.txt"]);

    let run = ferry.run_piped(server.control_address(), "ls\nupload nothing\ndownload server.py\n");
    run.expect_status(5);
    assert_eq!(run.stdout, "a.txt\nserver.py\n");
    assert!(run.stderr.contains("No such file found locally..."), "{}", run.stderr);
    assert_eq!(ferry.files(), ["a.txt"]);
}

#[test]
fn piped_commands_run_without_a_prompt() {
    let server = server_with_files();
    let ferry = Ferry::new();
    for input in
        ["ls\ndownload a.txt\nls", "ls\r\n\r\ndownload a.txt\r\nls\r\n", "ls\ndownload a.txt\nls\nexit\n"]
    {
        let run = ferry.run_piped(server.control_address(), input);
        run.expect_status(0);
        assert_eq!(run.stdout, "a.txt\nserver.py\n".repeat(2), "{input:?}");
        assert!(!run.stderr.contains("Enter your command"), "{}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
        assert_eq!(ferry.files(), ["a.txt"]);
    }
    ferry.run_piped(server.control_address(), "").expect_status(0);
    let run = ferry.run_piped(server.control_address(), "exit\nls\n");
    run.expect_status(0);
    assert_eq!(run.stdout, "");
}

/// What editors of other systems leave in a file of commands.
#[test]
fn comments_marks_and_odd_bytes_in_piped_commands_harm_nothing() {
    let server = server_with_files();
    server.put("my file", "");
    let ferry = Ferry::new();
    let input = b"\xef\xbb\xbfdownload a.txt # the first\r\n# a remark\n\tdownload 'my file'\nls\n# \xff\n";
    let run = ferry.run_piped(server.control_address(), input);
    run.expect_status(0);
    assert_eq!(run.stdout, "a.txt\n\"my file\"\nserver.py\n");
    assert_eq!(ferry.files(), ["a.txt", "my file"]);
}

/// The whole of the work goes over one connection, a file's data over another that stays.
#[test]
fn many_transfers_share_a_session() {
    let server = Options::default().arguments(&["--log-level", "debug"]).start();
    server.put("a.txt", Content::new(1, 3552).bytes());
    let ferry = Ferry::new();
    let run = ferry.run_piped(server.control_address(), "download a.txt\nupload a.txt -o b.txt\n".repeat(50));
    run.expect_status(0);
    let log = server.log();
    assert_eq!(log.iter().filter(|line| line.contains("Established Connection with")).count(), 1);
    assert_eq!(std::fs::read(server.path("b.txt")).unwrap(), Content::new(1, 3552).bytes());
}

#[test]
fn each_kind_of_failure_has_its_exit_status() {
    let server = server_with_files();
    std::fs::create_dir(server.path("dir")).unwrap();
    let address = server.control_address();
    let ferry = Ferry::new();
    std::fs::create_dir(ferry.path("server.py")).unwrap();
    for (command, status) in [
        ("ls", 0),
        ("fetch a.txt", 2),
        ("download", 2),
        ("download -x a.txt", 2),
        ("mv a b c", 2),
        ("ls \"a", 2),
        ("", 2),
        ("download nothing", 4),
        ("ls nothing", 4),
        ("upload nothing", 5),
        ("download server.py", 5),
        ("download a.txt -o missing/a.txt", 5),
    ] {
        let run = ferry.run(address, &[command]);
        run.expect_status(status);
        assert_eq!(run.stderr.is_empty(), status == 0, "{command}: {}", run.stderr);
    }
    for (line, status) in
        [("fetch a.txt\n", 2), ("ls \"a\n", 2), ("download nothing\n", 4), ("upload nothing\n", 5)]
    {
        ferry.run_piped(address, line).expect_status(status);
    }
    assert_eq!(ferry.files(), ["server.py"]);
}

#[test]
fn wrong_usage_of_the_program_has_its_exit_status() {
    let ferry = Ferry::new();
    for arguments in [&["--fly"][..], &["localhost", "65536"], &["localhost", "0"], &["a", "1", "c"], &["-c"]]
    {
        let mut command = ferry.bare_command();
        command.args(arguments);
        Running::start(command, b"").finish().expect_status(2);
    }
    let mut command = ferry.bare_command();
    command.arg("--help");
    let help = Running::start(command, b"").finish();
    help.expect_status(0);
    assert!(help.stdout.contains("Exit status"), "{}", help.stdout);
}

#[test]
fn whoever_cannot_connect_is_told_so() {
    let ferry = Ferry::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = ferry.run(nobody, &["ls"]);
    run.expect_status(3);
    assert!(!run.stderr.is_empty());
    let mut command = ferry.bare_command();
    command.args(["no-such-host.invalid", "2222", "-c", "ls"]);
    let run = Running::start(command, b"").finish();
    run.expect_status(3);
    assert!(run.stderr.contains("no-such-host.invalid"), "{}", run.stderr);
}

/// What answers at the port is no Ferry server: it closes at once, or speaks another protocol.
#[test]
fn something_else_at_the_port_is_a_failure() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let ferry = Ferry::new();
    for greeting in [&b""[..], b"220 FTP ready\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\xff\x1b[2J\n"]
    {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::io::{Read, Write};
                let (mut peer, _) = listener.accept().unwrap();
                let mut ignored = [0; 64];
                let _ = peer.read(&mut ignored);
                let _ = peer.write_all(greeting);
            });
            let run = ferry.run(address, &["ls"]);
            assert!(matches!(run.status, Some(3 | 6)), "{greeting:?}: {run:?}");
            assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
            assert_eq!(run.stdout, "");
        });
    }
}

#[test]
fn a_server_that_ends_between_commands_is_a_failure_of_the_next() {
    let mut server = server_with_files();
    let ferry = Ferry::new();
    let (input, mut keyboard) = std::io::pipe().unwrap();
    let mut command = ferry.command(server.control_address());
    command.stdin(input).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut client = command.spawn().unwrap();
    drop(command);
    std::io::Write::write_all(&mut keyboard, b"download a.txt\n").unwrap();
    wait_until("download", || ferry.files() == ["a.txt"]);
    server.kill();
    let _ = std::io::Write::write_all(&mut keyboard, b"ls\n");
    drop(keyboard);
    let status = ferry_tests::server::wait_for_exit(&mut client, ferry_tests::wait::WAIT_LIMIT);
    // The client may notice before or after it has sent the command: then it cannot connect again, or has
    // lost the connection.
    assert!(matches!(status.code(), Some(3 | 6)), "{status:?}");
}

#[test]
fn an_upload_may_be_given_another_name_and_a_download_too() {
    let server = server_with_files();
    std::fs::create_dir(server.path("dir")).unwrap();
    let ferry = Ferry::new();
    ferry.put("here.txt", "content");
    let commands = [
        "upload here.txt -o dir/there.txt",
        "download dir/there.txt -o back.txt",
        "download dir/there.txt",
        "upload back.txt there.txt -o dir",
    ];
    ferry.run(server.control_address(), &commands).expect_status(0);
    assert_eq!(std::fs::read(server.path("dir/there.txt")).unwrap(), b"content");
    assert_eq!(ferry.files(), ["back.txt", "here.txt", "there.txt"]);
    assert_eq!(ferry.read("back.txt"), b"content");
    assert_eq!(std::fs::read(server.path("dir/back.txt")).unwrap(), b"content");
}

#[test]
fn several_names_are_moved_whatever_becomes_of_each() {
    let server = server_with_files();
    server.put("[1].txt", "1");
    let ferry = Ferry::new();
    let run = ferry.run(server.control_address(), &["download a.txt nothing server.py"]);
    run.expect_status(4);
    assert!(run.stderr.contains("nothing: No such file found on the server!"), "{}", run.stderr);
    assert_eq!(ferry.files(), ["a.txt", "server.py"]);

    let run = ferry.run(server.control_address(), &["download a.txt 'other name'"]);
    run.expect_status(4);
    let hint = "To give it another name: download a.txt -o \"other name\"\n";
    assert!(run.stderr.contains(hint), "{}", run.stderr);

    std::fs::create_dir(server.path("a folder")).unwrap();
    let run = ferry.run(server.control_address(), &["stat a*/"]);
    assert!(
        run.expect_status(0).stdout.contains("a folder") && !run.stdout.contains("a.txt"),
        "{}",
        run.stdout
    );

    let run = ferry.run(server.control_address(), &["get *.txt s* -o ."]);
    run.expect_status(0);
    assert_eq!(ferry.files(), ["[1].txt", "a.txt", "server.py"]);
    ferry.run(server.control_address(), &["rm '*.txt'"]).expect_status(4);
    ferry.run(server.control_address(), &["rm *.txt", "mput ?1* a.* -o copies"]).expect_status(0);
    assert_eq!(std::fs::read(server.path("copies/[1].txt")).unwrap(), b"1");
    assert!(server.path("copies/a.txt").exists() && !server.path("a.txt").exists());
}

#[test]
fn names_are_relative_to_the_place() {
    let server = server_with_files();
    std::fs::create_dir_all(server.path("Photos/2023")).unwrap();
    server.put("Photos/2023/a b.jpg", "photo");
    let ferry = Ferry::new();
    std::fs::create_dir(ferry.path("here")).unwrap();
    let commands = [
        "cd Photos/2023",
        "pwd",
        "ls",
        "lcd here",
        "get 'a b.jpg'",
        "mv 'a b.jpg' ..",
        "cd ..",
        "ls",
        "cd -",
        "put 'a b.jpg'",
        "get /a.txt",
        "cd ../../../..",
        "ls",
        "lcd -",
        "lls",
        "!echo $((6 * 7)) >answer",
    ];
    let run = ferry.run(server.control_address(), &commands);
    run.expect_status(0);
    let top = "Photos/\na.txt\nserver.py\n";
    assert_eq!(run.stdout, format!("/Photos/2023\n\"a b.jpg\"\n2023/\n\"a b.jpg\"\n{top}here\n"));
    assert_eq!(ferry.read("here/a b.jpg"), b"photo");
    assert_eq!(ferry.read("here/a.txt").len(), 3552);
    assert_eq!(ferry.read("answer"), b"42\n");
    assert_eq!(std::fs::read(server.path("Photos/2023/a b.jpg")).unwrap(), b"photo");
    for (command, status) in
        [("cd nothing", 4), ("cd a.txt", 4), ("cd -", 2), ("lcd nothing", 5), ("!false", 5)]
    {
        ferry.run(server.control_address(), &[command]).expect_status(status);
    }
}

#[test]
fn a_server_on_ipv6_is_found_as_localhost() {
    let server = Options::default().arguments(&["--listen", "::1"]).start();
    server.put("a.txt", "a");
    let ferry = Ferry::new();
    let port = server.control_port().to_string();
    for host in ["localhost", "127.0.0.1", "::1"] {
        let mut command = ferry.bare_command();
        command.args([host, &port, "-c", "download a.txt"]);
        let run = Running::start(command, b"").finish();
        run.expect_status(0);
        assert_eq!(ferry.read("a.txt"), b"a");
    }
}

/// `-` stands for standard output and input, where nothing that is promised of files is lost by that.
#[test]
fn a_dash_is_standard_output_or_input() {
    let server = Server::start();
    let content: String = (0..600_000).map(|number| format!("{number}\n")).collect();
    server.put("a", &content);
    let ferry = Ferry::new();
    let run = ferry.run(server.control_address(), &["download a -o -"]);
    assert!(run.expect_status(0).stdout == content && ferry.files().is_empty());

    let mut command = ferry.command(server.control_address());
    command.args(["-c", "upload - -o b"]);
    Running::start(command, content.as_bytes()).finish().expect_status(0);
    assert!(std::fs::read(server.path("b")).unwrap() == content.as_bytes());

    for (line, status) in [
        ("upload -", 2),
        ("upload - a -o b", 2),
        ("upload - -o d/", 2),
        ("download - -o -", 2),
        ("download c -o -", 4),
    ] {
        let run = ferry.run(server.control_address(), &[line]);
        assert!(run.expect_status(status).stdout.is_empty() && !run.stderr.is_empty(), "{line}");
    }
    // There it would take the commands behind it.
    let run = ferry.run_piped(server.control_address(), "upload - -o c\nls\n");
    assert!(run.expect_status(2).stderr.contains("Standard input has the commands"));
    ferry.put("-", "of that name");
    ferry.run(server.control_address(), &["upload ./-"]).expect_status(0);
    assert_eq!(std::fs::read(server.path("-")).unwrap(), b"of that name");
}

/// One line of JSON each, with the same keys for a file and for a tree.
#[test]
fn programs_are_told_what_became_of_a_transfer() {
    let server = Server::start();
    let ferry = Ferry::new();
    std::fs::create_dir_all(ferry.path("t/sub")).unwrap();
    ferry.put("t/a", "12345");
    ferry.put("t/sub/b", "123");
    std::os::unix::fs::symlink("nowhere", ferry.path("t/link")).unwrap();
    let told = |lines: &[&str]| {
        let mut command = ferry.command(server.control_address());
        command.arg("--json").args(lines.iter().flat_map(|line| ["-c", line]));
        let run = Running::start(command, b"").finish();
        run.expect_status(0);
        // The time is different each time.
        let lines = run.stdout_lines().into_iter().map(|line| match line.split_once("\"seconds\":") {
            Some((before, behind)) => format!("{before}{}", &behind[behind.find('"').unwrap()..]),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>()
    };
    let link = r#"{"name":"t/link","why":"it is a symbolic link"}"#;
    let rest = format!(r#""complete":true,"not_moved":[{link}]}}"#);
    let sent = told(&["upload t", "upload t"]);
    let first = r#"{"direction":"up","files":2,"bytes":8,"same":0,"folders":2,"#;
    let again = r#"{"direction":"up","files":0,"bytes":0,"same":2,"folders":0,"#;
    assert_eq!(sent, [format!("{first}{rest}"), format!("{again}{rest}")]);
    let one = r#","same":0,"folders":0,"complete":true,"not_moved":[]}"#;
    assert_eq!(
        told(&["download t/a", "upload t/a -o c"]),
        [
            format!(r#"{{"direction":"down","files":1,"bytes":5{one}"#),
            format!(r#"{{"direction":"up","files":1,"bytes":5{one}"#),
        ]
    );
    server.put("t/only there", "");
    let would = told(&["sync --delete -fn t t --up"]);
    assert_eq!(would.last().unwrap(), r#"{"would":"remove","name":"t/only there"}"#);
    let removed = told(&["sync --delete -f t t --up"]);
    assert_eq!(removed.last().unwrap(), r#"{"removed":1,"complete":true,"not_removed":[]}"#);
}
