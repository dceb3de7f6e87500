//! Many uploads of one name at once: at every moment the name holds exactly one of them.
#![allow(clippy::unwrap_used)]

use ferry_tests::content::Content;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::Server;
use ferry_tests::wait::wait_until;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

const UPLOADS: u64 = 200;

/// Some of the same size, so that a mixture would not show by its size; some that must wait for a go-ahead.
fn content_of(number: u64) -> Content {
    let size_bytes = match number % 10 {
        0..=5 => 200_000,
        6..=8 => 100_000 + number * 1000,
        _ => 1_500_000,
    };
    Content::new(number + 1, size_bytes)
}

fn is_one_of_them(bytes: &[u8]) -> bool {
    (0..UPLOADS)
        .map(content_of)
        .any(|content| content.size_bytes == bytes.len() as u64 && content.first_mismatch(0, bytes).is_none())
}

#[test]
fn after_two_hundred_uploads_of_one_name_the_file_is_one_of_them() {
    let server = Server::start();
    let together = Barrier::new(UPLOADS as usize);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..UPLOADS)
            .map(|number| {
                let (server, together) = (&server, &together);
                scope.spawn(move || {
                    let mut session = Conversation::with(server);
                    together.wait();
                    session.upload_content("file", content_of(number)).unwrap();
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut session = Conversation::with(&server);
            let mut read = 0;
            while !done.load(Ordering::Relaxed) {
                if let Ok(bytes) = session.download("file") {
                    assert!(is_one_of_them(&bytes), "{} bytes of nobody", bytes.len());
                    read += 1;
                }
            }
            read
        });
        uploads.into_iter().for_each(|upload| upload.join().unwrap());
        wait_until("file", || server.path("file").exists());
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0, "nobody read while they came");
    });
    assert!(is_one_of_them(&std::fs::read(server.path("file")).unwrap()));
    assert_eq!(server.staged_files(), Vec::<String>::new());
    assert_eq!(server.files().iter().filter(|name| !name.ends_with('/')).count(), 1);
}
