//! Whatever bytes come over the control connection of FTP: no panic, no path that leads out of the folder or is not in its
//! plain form, and no more memory than the inbox may have. The first byte decides where the stream is cut.
#![no_main]

use ferry_session::action::{Change, Query};
use ferry_session::dialect::ftp::{Client, FtpPolicy};
use ferry_session::dialect::{AnyDialect, Dialect, Heard};
use ferry_session::limits::FTP_INBOX_MAX_BYTES;
use ferry_session::request::Request;
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let client = Client { address: Ipv4Addr::LOCALHOST.into(), seed: 1 };
    let mut dialect = AnyDialect::ftp(FtpPolicy { address: None, no_active: false, read_only: false }, client);
    dialect.push(b"USER a\r\nPASS b\r\n");
    for piece in stream.chunks(usize::from(cut).max(1)) {
        dialect.push(piece);
        assert!(dialect.held_bytes() <= FTP_INBOX_MAX_BYTES + piece.len());
        while dialect.interruption(None).is_some() {}
        loop {
            match dialect.next() {
                Heard::Request(request) => paths(&request).into_iter().for_each(check),
                Heard::Answered(answered) if answered.is_last => return,
                Heard::Answered(_) => {}
                Heard::Nothing => break,
            }
        }
    }
});

fn paths(request: &Request) -> Vec<&[u8]> {
    match request {
        Request::List { path, .. } | Request::Download { path, .. } | Request::Upload { path, .. } => vec![path.as_bytes()],
        Request::Query(
            Query::Stat { path } | Query::Sum { path, .. } | Query::Partial { path } | Query::Df { path },
        ) => vec![path.as_bytes()],
        Request::Change(Change::Mv { from, to, .. }) => vec![from.as_bytes(), to.as_bytes()],
        Request::Change(
            Change::Mkdir { path, .. } | Change::Rm { path, .. } | Change::Mtime { path, .. } | Change::Chmod { path, .. },
        ) => vec![path.as_bytes()],
        Request::Offer { .. } | Request::DropOffer | Request::Survey { .. } => Vec::new(),
    }
}

fn check(path: &[u8]) {
    if path.is_empty() {
        return;
    }
    assert!(!path.contains(&0), "{}", path.escape_ascii());
    for name in path.split(|&byte| byte == b'/') {
        assert!(!name.is_empty() && name != b".." && name != b".", "{}", path.escape_ascii());
    }
}
