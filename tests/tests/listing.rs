//! Listings: what they tell, and that a very long one costs the server little and others nothing.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::wire::entry::EntryKind;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::reply::Reply;
use ferry_tests::conversation::{Answer, Conversation};
use ferry_tests::server::Server;
use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How many entries the long listing has; one may want a million.
fn many() -> usize {
    std::env::var("FERRY_TEST_ENTRIES").ok().map_or(200_000, |number| number.parse().unwrap())
}

/// Memory that a listing may cost beyond what the server has anyway.
const LISTING_COST_BYTES: u64 = 8 << 20;
/// What others may wait for a small answer meanwhile, on a machine that is busy with all of this.
const QUICK: Duration = Duration::from_secs(1);

fn server_with_long_listing() -> Server {
    let server = Server::start();
    std::fs::create_dir(server.path("many")).unwrap();
    std::fs::create_dir(server.path("few")).unwrap();
    server.put("few/a.txt", "a");
    let directory = server.path("many");
    for number in 0..many() {
        File::create(directory.join(format!("a-file-with-a-name-of-common-length-{number:08}"))).unwrap();
    }
    server
}

#[track_caller]
fn expect_small_listing(answer: &Answer) {
    assert_eq!(answer.outcome, Ok(vec!["1".to_owned()]));
    assert_eq!(answer.names(), [b"a.txt"]);
}

#[test]
fn a_very_long_listing_streams_in_bounded_memory_and_others_stay_quick() {
    let server = server_with_long_listing();
    let mut other = Conversation::with(&server);
    expect_small_listing(&other.ask("ls few"));
    let before_bytes = server.process().peak_resident_bytes();
    let done = AtomicBool::new(false);
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut session = Conversation::with(&server);
            session.send("ls many\n");
            let mut names = HashSet::new();
            let words = loop {
                match session.reply() {
                    Reply::Entry(entry) => assert!(names.insert(entry.name), "listed twice"),
                    Reply::Ok { words } => break words,
                    other @ (Reply::Data { .. }
                    | Reply::Download { .. }
                    | Reply::Upload { .. }
                    | Reply::Received { .. }
                    | Reply::Digest { .. }
                    | Reply::Space { .. }
                    | Reply::Session(_)
                    | Reply::Totals(_)
                    | Reply::Info { .. }
                    | Reply::Err { .. }) => panic!("{other:?}"),
                }
            };
            done.store(true, Ordering::Relaxed);
            assert_eq!(names.len(), many());
            assert_eq!(words, [many().to_string().into_bytes()]);
        });
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            expect_small_listing(&other.ask("ls few"));
            waits.push(began.elapsed());
        }
    });
    assert!(waits.len() > 10, "the long listing was over before others could be asked");
    let longest = waits.iter().max().unwrap();
    assert!(*longest < QUICK, "somebody waited {longest:?}");
    let grown = server.process().peak_resident_bytes() - before_bytes;
    assert!(grown < LISTING_COST_BYTES, "the listing cost {grown} bytes of memory");
}

/// The names are such that few files make a listing longer than all buffers between the two ends.
#[test]
fn a_listing_whose_directory_is_replaced_meanwhile_ends_in_an_error() {
    let server = Server::start();
    for directory in ["many", "few"] {
        std::fs::create_dir(server.path(directory)).unwrap();
    }
    server.put("few/a.txt", "a");
    let escaped = "\u{1}".repeat(240);
    for number in 0..16_000 {
        File::create(server.path(format!("many/{number}{escaped}"))).unwrap();
    }
    let mut session = Conversation::with(&server);
    session.send("ls many\n");
    let Reply::Entry(_) = session.reply() else { panic!("no entry") };
    // Nothing more is read, so that the server cannot have listed all of it.
    std::fs::rename(server.path("many"), server.path("moved")).unwrap();
    std::fs::rename(server.path("few"), server.path("many")).unwrap();
    let answer = session.answer();
    assert_eq!(answer.code(), ErrorCode::Changed);
    assert!(!answer.names().contains(&b"a.txt".to_vec()));
    expect_small_listing(&session.ask("ls many"));
}

/// Ten clients ask and do not read: the server must not collect the answers for them.
#[test]
fn listings_that_nobody_reads_wait_in_bounded_memory() {
    let server = server_with_long_listing();
    let mut other = Conversation::with(&server);
    expect_small_listing(&other.ask("ls few"));
    let before_bytes = server.process().peak_resident_bytes();
    let mut lazy: Vec<Conversation> = (0..10).map(|_| Conversation::with(&server)).collect();
    lazy.iter_mut().for_each(|session| session.send("ls many\n".repeat(100)));
    for _ in 0..100 {
        expect_small_listing(&other.ask("ls few"));
    }
    let grown = server.process().peak_resident_bytes() - before_bytes;
    assert!(grown < LISTING_COST_BYTES, "ten listings cost {grown} bytes of memory");
    // They read after all, and have missed nothing.
    let first = lazy.first_mut().unwrap();
    assert_eq!(first.answer().outcome, Ok(vec![many().to_string()]));
}

#[test]
fn an_entry_tells_kind_size_and_time() {
    let server = Server::start();
    server.put("a.txt", [7; 3552]);
    std::fs::create_dir(server.path("photos")).unwrap();
    let time = UNIX_EPOCH + Duration::new(1_764_000_000, 20_300);
    File::options().write(true).open(server.path("a.txt")).unwrap().set_modified(time).unwrap();
    let mut session = Conversation::with(&server);
    let listing = session.ask("ls");
    assert_eq!(listing.outcome, Ok(vec!["2".to_owned()]));
    let mut stats = Vec::new();
    for name in ["a.txt", "photos"] {
        let answer = session.ask(format!("stat {name}"));
        assert!(answer.outcome.is_ok());
        stats.extend(answer.replies);
    }
    for reply in listing.replies {
        assert!(stats.contains(&reply), "{reply:?} is not as {stats:?}");
    }
    let Reply::Entry(file) = &stats[0] else { panic!("{:?}", stats[0]) };
    let mtime = FileTime::new(1_764_000_000, 20_300);
    assert_eq!((file.kind, file.size_bytes, file.mtime), (EntryKind::File, 3552, mtime));
    let Reply::Entry(directory) = &stats[1] else { panic!("{:?}", stats[1]) };
    assert_eq!((directory.kind, directory.size_bytes), (EntryKind::Dir, 0));
}

#[test]
fn an_empty_folder_and_a_single_file_are_listed_too() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    assert_eq!(session.ask("ls").outcome, Ok(vec!["0".to_owned()]));
    server.put("a.txt", "a");
    assert_eq!(session.ask("ls a.txt").names(), [b"a.txt"]);
    std::fs::create_dir_all(server.path("one/two")).unwrap();
    server.put("one/two/b.txt", "b");
    assert_eq!(session.ask("ls one/two/").names(), [b"b.txt"]);
    assert_eq!(session.download("one/two/b.txt").unwrap(), b"b");
}
