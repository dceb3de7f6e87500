//! Files of every size that matters are identical at the other end.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::ferry::Ferry;
use ferry_tests::server::{Options, Server};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const SIZES: [u64; 11] = [
    0,
    1,
    2,
    4095,
    4096,
    65_537,
    EAGER_MAX_BYTES - 1,
    EAGER_MAX_BYTES,
    EAGER_MAX_BYTES + 1,
    2 * EAGER_MAX_BYTES,
    17 * EAGER_MAX_BYTES + 13,
];

#[test]
fn every_size_makes_the_round_trip_over_one_data_connection() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    for size in SIZES {
        let content = Content::new(size, size);
        session.upload_content("file", content).unwrap();
        assert!(std::fs::read(server.path("file")).unwrap() == content.bytes(), "upload of {size}");
        assert!(session.download("file").unwrap() == content.bytes(), "download of {size}");
    }
    for size in SIZES.into_iter().rev() {
        let content = Content::new(size + 1, size);
        session.upload_content("file", content).unwrap();
        assert!(session.download("file").unwrap() == content.bytes(), "round trip of {size}");
    }
}

#[test]
fn every_size_makes_the_round_trip_through_the_client() {
    let server = Server::start();
    for size in SIZES {
        let content = Content::new(size, size);
        let (here, there) = (Ferry::new(), Ferry::new());
        here.put("file", content.bytes());
        here.run(server.control_address(), &["upload file"]).expect_status(0);
        there.run(server.control_address(), &["download file"]).expect_status(0);
        assert!(there.read("file") == content.bytes(), "round trip of {size}");
        assert_eq!(there.files(), ["file"]);
    }
}

#[test]
fn a_download_begins_at_its_offset() {
    let server = Server::start();
    let content = Content::new(9, 3_000_000);
    server.put("file", content.bytes());
    let mut session = Conversation::with(&server);
    for offset in [1, 4096, content.size_bytes - 1, content.size_bytes] {
        let mut taken = 0;
        let length = session.download_to("file", offset, |at, chunk| {
            assert_eq!(content.first_mismatch(at, chunk), None);
            taken += chunk.len() as u64;
        });
        assert_eq!(length, Ok(content.size_bytes - offset));
        assert_eq!(taken, content.size_bytes - offset);
    }
    let beyond = session.ask(format!("download file {}", content.size_bytes + 1));
    assert_eq!(beyond.code(), ErrorCode::BadOffset);
    assert_eq!(session.ask("download file -1").code(), ErrorCode::Usage);
}

/// Many small files ahead of every reply: the order of the commands is the order of the bytes.
#[test]
fn transfers_sent_ahead_keep_their_order() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.upload("first", b"1").unwrap();
    let contents: Vec<Content> = (0..100).map(|number| Content::new(number, number * 37)).collect();
    for (number, content) in contents.iter().enumerate() {
        session.send(format!("upload f{number} {}\n", content.size_bytes));
        session.send_data(*content, 0, content.size_bytes);
    }
    for content in &contents {
        assert_eq!(session.answer().outcome.unwrap()[0], content.size_bytes.to_string());
    }
    (0..100).for_each(|number| session.send(format!("download f{number}\n")));
    for content in &contents {
        assert_eq!(session.begin_download(), Ok(content.size_bytes));
        session.expect_data(*content, 0, content.size_bytes);
        assert!(session.answer().outcome.is_ok());
    }
}

const HUGE_BYTES: u64 = 5 << 30;
/// Where the huge file is not zero: at its ends, and around the limits of 32 bits.
const ISLANDS: [u64; 5] = [0, (1 << 31) - 4096, (1 << 32) - 4096, (1 << 32) + (1 << 20), HUGE_BYTES - 8192];
const ISLAND_BYTES: usize = 8192;

/// A sparse file: mostly holes, with islands of data.
fn make_huge(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(HUGE_BYTES).unwrap();
    for at in ISLANDS {
        let mut island = vec![0; ISLAND_BYTES];
        Content::new(HUGE_BYTES, HUGE_BYTES).fill(at, &mut island);
        file.write_all_at(&island, at).unwrap();
    }
}

/// Compares chunk by chunk, in bounded memory.
fn expect_huge(path: &Path) {
    let mut file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), HUGE_BYTES);
    let content = Content::new(HUGE_BYTES, HUGE_BYTES);
    let (mut chunk, mut expected) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for start in (0..HUGE_BYTES).step_by(chunk.len()) {
        file.read_exact(&mut chunk).unwrap();
        expected.fill(0);
        let end = start + chunk.len() as u64;
        for island in ISLANDS {
            let from = island.clamp(start, end);
            let to = (island + ISLAND_BYTES as u64).clamp(start, end);
            content.fill(from, &mut expected[(from - start) as usize..(to - start) as usize]);
        }
        assert!(chunk == expected, "not identical between {start} and {end}");
    }
}

/// Memory if there is enough of it, as a disk takes its time for ten gigabytes.
fn roomy_directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|facts| {
        let (_, rest) = facts.split_once("MemAvailable:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    });
    let room = rustix::fs::statvfs(memory).map_or(0, |facts| facts.f_bavail * facts.f_frsize);
    let needed = HUGE_BYTES * 2;
    if room > needed && available.is_some_and(|available| available > needed) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

#[test]
fn a_sparse_file_of_five_gibibytes_makes_the_round_trip() {
    let place = roomy_directory();
    let server = Options::default().within(&place).start();
    let ferry = Ferry::within(&place);
    make_huge(&server.path("huge"));
    ferry.run(server.control_address(), &["download huge"]).expect_status(0);
    expect_huge(&ferry.path("huge"));
    std::fs::remove_file(ferry.path("huge")).unwrap();
    std::fs::remove_file(server.path("huge")).unwrap();

    make_huge(&ferry.path("huge"));
    ferry.run(server.control_address(), &["upload huge"]).expect_status(0);
    expect_huge(&server.path("huge"));
    assert!(server.process().peak_resident_bytes() < 256 << 20, "the server held the file in memory");
}
