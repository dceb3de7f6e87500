//! A server whose clients do nothing does nothing.
#![allow(clippy::unwrap_used)]

use ferry_tests::conversation::Conversation;
use ferry_tests::process::Process;
use ferry_tests::server::Server;
use std::time::Duration;

/// How long nothing is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// Time that a server may take after the last client's last word.
const SETTLING_ATTEMPTS: usize = 10;

fn activity(process: Process) -> (u64, u64) {
    (process.context_switches(), process.processor_ticks())
}

/// Every system call that waits, and every wake-up, is a context switch of some thread; what does neither
/// takes processor time.
fn activity_while_watched(process: Process) -> (u64, u64) {
    let (switches, ticks) = activity(process);
    std::thread::sleep(WATCHED);
    let (switches_after, ticks_after) = activity(process);
    (switches_after - switches, ticks_after - ticks)
}

#[test]
fn an_idle_server_makes_no_system_calls() {
    let server = Server::start();
    server.put("a.txt", "a");
    let mut sessions: Vec<Conversation> = (0..50).map(|_| Conversation::with(&server)).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        assert!(session.ask("hello").outcome.is_ok());
        match number % 3 {
            // Some have a data connection that lies idle, some have listed.
            0 => assert_eq!(session.download("a.txt").unwrap(), b"a"),
            1 => assert!(session.ask("ls").outcome.is_ok()),
            _ => {}
        }
    }
    let process = server.process();
    let mut seen = Vec::new();
    while seen.last() != Some(&(0, 0)) && seen.len() < SETTLING_ATTEMPTS {
        seen.push(activity_while_watched(process));
    }
    assert_eq!(seen.last(), Some(&(0, 0)), "wake-ups and processor ticks within {WATCHED:?}: {seen:?}");
    // It was idle, not dead.
    for session in &mut sessions {
        assert!(session.ask("hello").outcome.is_ok());
    }
    let busy = activity(process);
    sessions.iter_mut().for_each(|session| assert!(session.ask("ls").outcome.is_ok()));
    assert!(activity(process) > busy, "activity would not have been seen");
}
