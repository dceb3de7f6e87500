//! Downloads from file systems that are slow, odd or dead: their own users wait, and no others. Run by
//! `tests/checks`.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_server::limits::WARM_WINDOW_BYTES;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::mount::Mount;
use ferry_tests::odd::{Call, OddMount, Quirks};
use ferry_tests::server::{Options, Server};
use rustix::fs::Advice;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// More than the sockets between two processes hold.
const BIG: Content = Content { seed: 8, size_bytes: 32 << 20 };
const SMALL: Content = Content { seed: 9, size_bytes: 1 << 20 };
const HOLED: Content = Content { seed: 10, size_bytes: 3 * WARM_WINDOW_BYTES };
const READ_BYTES: u64 = 1 << 20;
/// Between "waits for the dead mount" and "does not", on a busy machine.
const PROMPT: Duration = Duration::from_secs(5);
const ROUNDS: usize = 20;
/// What one read of the slow disk takes.
const SLOW_READ: Duration = Duration::from_secs(1);
const PAGE_BYTES: u64 = 4096;
const READERS: usize = 4;

fn attributes_cached() -> Quirks {
    Quirks { cache: Duration::from_secs(3600), ..Quirks::default() }
}

/// A folder with `small`, and the odd file system in `odd`.
fn odd_in_folder(quirks: Quirks) -> (Server, OddMount) {
    let server = Server::start();
    server.put("small", SMALL.bytes());
    std::fs::create_dir(server.path("odd")).unwrap();
    let odd = OddMount::over(&server.path("odd"), quirks).unwrap();
    (server, odd)
}

/// A client that has nothing to do with the odd file system.
#[track_caller]
fn expect_prompt_answers(server: &Server) {
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let mut session = Conversation::with(server);
        session.ask("help").outcome.unwrap();
        assert_eq!(session.download("small").unwrap(), SMALL.bytes());
    }
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_mount_that_stops_answering_during_a_download_holds_up_nobody_else() {
    for call in [Call::Read, Call::Getattr, Call::Flush, Call::Release, Call::All] {
        let (server, odd) = odd_in_folder(Quirks::default());
        std::fs::write(odd.backing().join("big"), BIG.bytes()).unwrap();
        let mut session = Conversation::with(&server);
        assert_eq!(session.ask_for_download("odd/big"), Ok(BIG.size_bytes));
        session.expect_data(BIG, 0, READ_BYTES);
        odd.stall(call);
        let waiting = thread::spawn(move || {
            session.expect_data(BIG, READ_BYTES, BIG.size_bytes);
            session.answer().outcome.unwrap();
        });
        odd.wait_until_waiting(1);
        expect_prompt_answers(&server);
        odd.release();
        waiting.join().unwrap();
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn readers_that_stop_leave_the_buffers_to_others() {
    let (server, odd) = odd_in_folder(Quirks::default());
    std::fs::write(odd.backing().join("big"), BIG.bytes()).unwrap();
    std::fs::create_dir(server.path("healthy")).unwrap();
    let healthy = OddMount::over(&server.path("healthy"), Quirks::default()).unwrap();
    std::fs::write(healthy.backing().join("small"), SMALL.bytes()).unwrap();
    let sessions: Vec<_> = (0..300)
        .map(|_| {
            let mut session = Conversation::with(&server);
            session.ask_for_download("odd/big").unwrap();
            session
        })
        .collect();
    // None of them reads: what was read for them is given up for clients that do.
    for _ in 0..ROUNDS {
        let mut session = Conversation::with(&server);
        assert_eq!(session.download("healthy/small").unwrap(), SMALL.bytes());
    }
    for mut session in sessions {
        session.expect_data(BIG, 0, READ_BYTES);
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_file_of_a_slow_mount_comes_whole() {
    let (server, odd) = odd_in_folder(attributes_cached());
    std::fs::write(odd.backing().join("a"), SMALL.bytes()).unwrap();
    odd.delay(Call::Read, Duration::from_millis(20));
    let mut session = Conversation::with(&server);
    assert_eq!(session.download("odd/a").unwrap(), SMALL.bytes());
    assert_eq!(session.download("odd/a").unwrap(), SMALL.bytes());
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_mount_whose_times_flap_is_downloaded_from() {
    let (server, odd) = odd_in_folder(Quirks { times_flap: true, ..Quirks::default() });
    std::fs::write(odd.backing().join("big"), BIG.bytes()).unwrap();
    let ferry = Ferry::new();
    for arguments in [&["-c", "download odd/big"][..], &["--no-verify", "-c", "download odd/big"]] {
        let mut command = ferry.command(server.control_address());
        command.args(arguments);
        let run = ferry_tests::ferry::Running::start(command, b"").finish();
        run.expect_status(0);
        assert!(!run.stderr.contains("changed"), "{}", run.stderr);
        assert!(ferry.read("big") == BIG.bytes());
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_mount_that_tells_no_sizes_is_not_taken_for_empty() {
    let (server, odd) = odd_in_folder(Quirks { sizes_zero: true, ..Quirks::default() });
    std::fs::write(odd.backing().join("a"), SMALL.bytes()).unwrap();
    std::fs::write(odd.backing().join("empty"), "").unwrap();
    let mut session = Conversation::with(&server);
    assert_eq!(session.download("odd/a").unwrap_err().code, Some(ErrorCode::UnknownSize));
    assert_eq!(session.ask("sum odd/a").code(), ErrorCode::UnknownSize);
    assert_eq!(session.download("odd/empty"), Ok(Vec::new()));
}

/// The kernel reclaims single pages. A disk that takes its time over one of them is waited for elsewhere.
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_hole_in_what_is_in_memory_of_a_slow_disk_holds_up_nobody() {
    let odd = OddMount::new(attributes_cached()).unwrap();
    let image = odd.path().join("image");
    let disk = Mount::ext4_in(&image, 64 << 20).unwrap();
    let path = disk.path().join("big");
    let mut file = File::create(&path).unwrap();
    for page in HOLED.bytes().chunks(PAGE_BYTES as usize) {
        file.write_all(page).unwrap();
    }
    let server = Options::default().root(disk.path()).start();
    rustix::fs::syncfs(&file).unwrap();
    let file = OpenOptions::new().read(true).open(&path).unwrap();
    let backing = File::open(&image).unwrap();
    backing.sync_all().unwrap();
    // 96 KiB in each part that is brought in at once, and never a page at its beginning or a round distance from it.
    let hole = NonZeroU64::new(24 * PAGE_BYTES);
    for start in (0..HOLED.size_bytes).step_by(WARM_WINDOW_BYTES as usize) {
        rustix::fs::fadvise(&file, start + 4 * PAGE_BYTES, hole, Advice::DontNeed).unwrap();
    }
    rustix::fs::fadvise(&backing, 0, None, Advice::DontNeed).unwrap();
    odd.delay(Call::Read, SLOW_READ);
    let reads = odd.calls(Call::Read);
    let readers_left = AtomicUsize::new(READERS);
    let longest = thread::scope(|scope| {
        // While the missing pages are on their way for one, they count as present for the others.
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut session = Conversation::with(&server);
                assert_eq!(session.download("big").unwrap(), HOLED.bytes());
                readers_left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut bystander = Conversation::with(&server);
        let mut longest = Duration::ZERO;
        while readers_left.load(Ordering::SeqCst) > 0 {
            let begun = Instant::now();
            bystander.ask("help").outcome.unwrap();
            longest = longest.max(begun.elapsed());
        }
        longest
    });
    assert!(odd.calls(Call::Read) > reads, "nothing was cold");
    assert!(longest < SLOW_READ / 2, "a bystander waited {longest:?}");
    drop(server);
}
