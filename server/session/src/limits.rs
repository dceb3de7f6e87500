//! The bounds of a session that the protocol does not tell of; the others are in [`ferry_common::limits`].

use ferry_common::limits::{LINE_MAX_BYTES, NAME_MAX_BYTES, OUTBOX_PAUSE_BYTES, PATH_MAX_BYTES};
use std::time::Duration;

/// Most unsent replies of a session: a pause, and the longest answer that may still be given at once, which is
/// a part of a listing or an error that repeats two paths, with an entry's line and a final line behind it.
pub const OUTBOX_MAX_BYTES: usize =
    OUTBOX_PAUSE_BYTES + larger(LISTING_PART_BYTES, LINE_MAX_BYTES) + 8 * NAME_MAX_BYTES;

/// How long a client may take to say what it must say first, where there is such a thing.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Lines of one session that are looked at before others have their turn.
pub const TURN_LINES: usize = 16;

/// Encoded entries after which one step of a listing ends.
pub const LISTING_PART_BYTES: usize = 16 * 1024;

/// Longest command of FTP, without its end: a path, and room for what is before it.
pub const FTP_LINE_MAX_BYTES: usize = 8 * 1024;
/// Longest command of FTP of a client that is not logged in.
pub const FTP_LOGIN_LINE_MAX_BYTES: usize = 512;
/// The end of a command of FTP: CR and LF.
pub const FTP_LINE_END_BYTES: usize = 2;
/// Commands of FTP that wait while another is worked on, from which on no more is read.
pub const FTP_INBOX_MAX_BYTES: usize = FTP_LINE_MAX_BYTES + FTP_LINE_END_BYTES;

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

const _: () = assert!(FTP_LINE_MAX_BYTES > PATH_MAX_BYTES + FTP_LOGIN_LINE_MAX_BYTES);
const _: () = assert!(LISTING_PART_BYTES < OUTBOX_PAUSE_BYTES);
