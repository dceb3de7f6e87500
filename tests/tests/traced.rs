//! What only the system calls of the server can show. Run by `tests/checks`, which sees to `strace`.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::{ON_FREE_PORTS, Options, Server};
use ferry_tests::tracing::recorder::{Call, Trace};
use ferry_tests::tracing::story::{Renamed, Story};
use ferry_tests::wait::wait_until;
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

const IDLE_TIME: Duration = Duration::from_secs(10);
const IDLE_SESSIONS: usize = 100;
const PIPELINED_UPLOADS: usize = 1000;
const PIPELINED_DOWNLOADS: usize = 300;

/// What the reactor's thread may call: nothing that can wait for a disk.
const REACTOR_CALLS: &[&str] = &[
    "accept4",
    "brk",
    "cachestat",
    "close",
    "epoll_ctl",
    "epoll_wait",
    "fstat",
    "futex",
    "getrandom",
    "getrusage",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "openat2",
    // The auxiliary vector of the process, which a library reads when it first needs it.
    "prctl",
    "preadv2",
    "read",
    // Of an open file's name as the kernel has it in memory.
    "readlink",
    "recvfrom",
    "sched_yield",
    "sendfile",
    "sendto",
    // Pushes what waits in a socket for more.
    "setsockopt",
    "shutdown",
    // cachestat, to an strace that is older than it.
    "syscall_0x1c3",
    "write",
];

#[test]
#[ignore = "needs strace; run tests/checks"]
fn an_idle_server_makes_no_system_calls() {
    let server = Server::start();
    server.put("a.txt", "content");
    let mut sessions: Vec<Conversation> = (0..IDLE_SESSIONS).map(|_| Conversation::with(&server)).collect();
    // Not all, so that no line of the log is left out, which would be told a second later.
    for session in sessions.iter_mut().take(IDLE_SESSIONS / 2) {
        session.ask("hello").outcome.unwrap();
    }
    sessions[0].download("a.txt").unwrap();
    // The thread that has closed the file may still be on its way to its next wait.
    wait_until("sleep of the threads", || server.process().is_asleep());
    let trace = Trace::attach(server.process());
    // Not a wait for anything: the time over which is measured.
    std::thread::sleep(IDLE_TIME);
    assert_eq!(trace.finish(), []);
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn a_trace_would_show_the_calls_of_a_busy_server() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.ask("hello").outcome.unwrap();
    let trace = Trace::attach(server.process());
    session.ask("ls").outcome.unwrap();
    assert_ne!(trace.finish(), []);
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn the_reactor_makes_no_call_that_can_wait_for_a_disk() {
    let server = Server::start();
    let calls = trace_busy_server(&server);
    let reactor = server.process().pid();
    for call in calls.iter().filter(|call| call.thread == reactor) {
        assert!(REACTOR_CALLS.contains(&call.name.as_str()), "{call:?}");
        assert!(call.name != "openat2" || call.rest.contains("RESOLVE_CACHED"), "{call:?}");
        assert!(call.name != "readlink" || call.rest.contains("/proc/self/fd/"), "{call:?}");
        assert!(call.name != "preadv2" || call.rest.contains("RWF_NOWAIT"), "{call:?}");
    }
    for name in ["fsync", "renameat", "pwrite64", "getdents64"] {
        assert!(calls.iter().any(|call| call.name.starts_with(name)), "the disk threads called no {name}");
    }
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn what_is_in_a_file_system_in_memory_is_sent_without_looking() {
    let server = Options::default().within(Path::new("/dev/shm")).start();
    let mut session = Conversation::in_a_download(&server, Content::new(9, 64 << 20), 1 << 20);
    let trace = Trace::attach(server.process());
    session.expect_data(Content::new(9, 64 << 20), 1 << 20, 64 << 20);
    session.answer().outcome.unwrap();
    let calls = trace.finish();
    assert!(calls.iter().any(|call| call.name == "sendfile"));
    let is_needless =
        |name: &str| ["cachestat", "syscall_0x1c3", "preadv2", "pread64", "fadvise64"].contains(&name);
    let needless: Vec<_> = calls.iter().filter(|call| is_needless(&call.name)).collect();
    assert!(needless.is_empty(), "{needless:?}");
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn every_name_is_resolved_beneath_the_root_and_nobody_is_connected_to() {
    let server = Server::start();
    symlink("/etc/passwd", server.path("outside")).unwrap();
    symlink("/etc", server.path("etc")).unwrap();
    let calls = trace_busy_server(&server);
    let resolved = calls.iter().filter(|call| call.name == "openat2").count();
    assert!(resolved > 10, "only {resolved} names were resolved");
    for call in &calls {
        assert!(call.name != "connect", "{call:?}");
        match call.name.as_str() {
            "openat2" => {
                assert!(
                    call.rest.contains("RESOLVE_BENEATH") && call.rest.contains("NO_MAGICLINKS"),
                    "{call:?}"
                );
            }
            "openat" => {
                // Staged files: names of the server's own making, in a directory that it has open.
                let is_beneath = call.rest.contains("O_NOFOLLOW") && !call.rest.starts_with("AT_FDCWD");
                let is_new_or_read = call.rest.contains("O_EXCL") || call.rest.contains("O_RDONLY");
                assert!(is_beneath && is_new_or_read && !call.rest.contains('/'), "{call:?}");
            }
            name => assert!(!["open", "creat", "execve", "link", "symlink"].contains(&name), "{call:?}"),
        }
    }
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn before_ok_the_file_is_flushed_renamed_and_its_directory_flushed() {
    for content in [Content::new(1, 5), Content::new(2, 3 << 20)] {
        let server = Server::start();
        let mut session = Conversation::with(&server);
        session.upload("before.txt", b"opens the data connection").unwrap();
        let trace = Trace::attach_for_story(server.process());
        session.upload_content("a.txt", content).unwrap();
        let story = trace.story();
        expect_order(&server, &story, &["a.txt".to_owned()]);
    }
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn uploads_sent_ahead_share_their_flushes() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.upload("before.txt", b"opens the data connection").unwrap();
    let names: Vec<String> = (0..PIPELINED_UPLOADS).map(|number| format!("f{number}")).collect();
    let content = Content::new(3, 100);
    let commands: String =
        names.iter().map(|name| format!("upload {name} {}\n", content.size_bytes)).collect();
    let mut control = session.stream().try_clone().unwrap();
    let mut data = session.data.as_ref().unwrap().try_clone().unwrap();
    let trace = Trace::attach_for_story(server.process());
    std::thread::scope(|scope| {
        scope.spawn(move || control.write_all(commands.as_bytes()).unwrap());
        scope.spawn(move || data.write_all(&content.bytes().repeat(PIPELINED_UPLOADS)).unwrap());
        for name in &names {
            session.answer().outcome.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        }
    });
    let story = trace.story();
    println!("{PIPELINED_UPLOADS} small uploads sent ahead made {} flushes", story.flushes());
    expect_order(&server, &story, &names);
    assert!(story.flushes() < PIPELINED_UPLOADS / 4, "{} flushes", story.flushes());
}

/// The bytes of many share a packet, their replies share a line of the control connection's, and no other thread is woken for
/// their digests.
#[test]
#[ignore = "needs strace; run tests/checks"]
fn small_downloads_asked_for_ahead_leave_together() {
    let server = Server::start();
    let content = Content::new(5, 1000);
    let names: Vec<String> = (0..PIPELINED_DOWNLOADS).map(|number| format!("f{number}")).collect();
    names.iter().for_each(|name| server.put(name, content.bytes()));
    let mut session = Conversation::with(&server);
    session.download("f0").unwrap();
    let trace = Trace::attach(server.process());
    session.send(names.iter().map(|name| format!("download {name} digest\n")).collect::<String>());
    for name in &names {
        session.answer().outcome.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        session.expect_data(content, 0, content.size_bytes);
    }
    let calls = trace.finish();
    let count = |is_one: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| is_one(call)).count();
    let ahead = count(&|call| call.name == "sendto" && call.rest.contains("MSG_MORE"));
    let pushed = count(&|call| call.name == "setsockopt");
    let told = count(&|call| call.name == "sendto") - ahead;
    println!(
        "{PIPELINED_DOWNLOADS} small downloads asked for ahead: {ahead} ahead, {pushed} pushes, {told} replies"
    );
    assert_eq!(ahead, PIPELINED_DOWNLOADS);
    assert!(pushed > 0 && pushed < PIPELINED_DOWNLOADS / 4 && told < PIPELINED_DOWNLOADS / 4);
    assert_eq!(count(&|call| call.name == "pread64"), 0, "another thread has read");
}

/// Each of these files, uploaded in this order, was flushed, then renamed, then its directory flushed, and
/// only then confirmed.
#[track_caller]
fn expect_order(server: &Server, story: &Story, names: &[String]) {
    let renames: HashMap<String, Renamed> =
        story.renames().into_iter().map(|renamed| (renamed.name.clone(), renamed)).collect();
    let oks = story.oks();
    let root = server.root().canonicalize().unwrap();
    assert_eq!((renames.len(), oks.len()), (names.len(), names.len()));
    for (name, &ok) in names.iter().zip(&oks) {
        let renamed = &renames[name];
        assert!(story.is_data_flushed_before(renamed), "{name} was renamed before it was flushed");
        let is_flushed = story.is_name_flushed_before(renamed, root.to_str().unwrap(), ok);
        assert!(is_flushed, "{name} was confirmed before its directory was flushed");
    }
}

/// Every kind of command, kind names and hostile ones.
fn trace_busy_server(server: &Server) -> Vec<Call> {
    server.put("a.txt", "content");
    std::fs::create_dir(server.path("sub")).unwrap();
    let mut session = Conversation::with(server);
    session.ask("hello").outcome.unwrap();
    let trace = Trace::attach(server.process());
    for line in ["ls", "ls sub", "stat a.txt", "help"] {
        session.ask(line).outcome.unwrap();
    }
    session.download("a.txt").unwrap();
    session.upload("sub/small", b"12345").unwrap();
    let large = Content { seed: 1, size_bytes: 3 << 20 };
    session.upload_content("large", large).unwrap();
    session.download("large").unwrap();
    for name in ["../../etc/passwd", "/etc/passwd", "sub/../../x", "outside", "etc/passwd", "nothing"] {
        for line in [format!("download {name}"), format!("stat {name}"), format!("ls {name}")] {
            session.ask(line).code();
        }
        let code = session.ask(format!("upload {name}/x 2000000")).code();
        assert_ne!(code, ErrorCode::Io);
    }
    trace.finish()
}

#[test]
#[ignore = "needs strace; run tests/checks"]
fn a_start_without_a_call_that_nothing_works_without_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (error, advice) in [("EPERM", "seccomp profile"), ("ENOSYS", "Linux 5.12")] {
        let output = std::process::Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=openat2", "-e"])
            .arg(format!("inject=openat2:error={error}"))
            .arg(ferry_tests::binaries::ferryd())
            .args(ON_FREE_PORTS)
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("openat2") && told.contains(advice), "{told}");
    }
}
