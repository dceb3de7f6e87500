//! Every bound of the protocol, and of what both of its ends have, with its unit in its name. The relations between them
//! are checked when this file is compiled. What only the server is bound by is in its own `limits.rs`.

use std::time::Duration;

/// The control port that users know.
pub const CONTROL_PORT: u16 = 2222;
/// The file data port that users know.
pub const DATA_PORT: u16 = 3333;
/// The protocol version that this code speaks; see `hello` in PROTOCOL.md.
pub const PROTOCOL_VERSION: u64 = 1;

/// Longest component of a path: `NAME_MAX` of Linux.
pub const NAME_MAX_BYTES: usize = 255;
/// Longest path: `PATH_MAX` of Linux, less its terminating NUL.
pub const PATH_MAX_BYTES: usize = 4095;
/// Longest line on the control connection, without its LF: two paths with every byte written as `\xHH`,
/// and room for the words around them.
pub const LINE_MAX_BYTES: usize = 2 * 4 * PATH_MAX_BYTES + 512;
/// Lines in a row that are no command, by their words or their verb, with the last of which a session ends.
pub const NO_COMMAND_LINES_MAX: usize = 32;
/// Most bytes of a peer's word that an error message repeats.
pub const ECHO_MAX_BYTES: usize = 256;

/// Largest upload whose bytes may be sent before the server has agreed to it. It is also what the server
/// is willing to read and drop, so that a refusal does not cost the data connection.
pub const EAGER_MAX_BYTES: u64 = 1 << 20;
/// The digest that follows an upload on its data connection: 32 hexadecimal digits and a LF.
pub const TRAILER_BYTES: usize = 33;
/// Uploads of one session that may wait for the disk while the next is received.
pub const PUBLISHING_MAX: usize = 480;
/// Largest file size: what a signed 64-bit file offset can express.
pub const FILE_MAX_BYTES: u64 = i64::MAX as u64;

/// Random bytes in the secret half of a ticket (128 bits).
pub const TICKET_SECRET_BYTES: usize = 16;
/// A data connection must present its ticket within this time of being accepted.
pub const TICKET_LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// A ticket that was not redeemed within this time of being issued is void.
pub const TICKET_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a session may wait for the server to have a data connection to spare.
pub const DATA_SLOT_TIMEOUT: Duration = Duration::from_secs(120);

/// A command line must be complete within this time of its first byte.
pub const LINE_TIMEOUT: Duration = Duration::from_secs(30);
/// A session in which nothing at all happens ends after this time.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Progress is measured over windows of this length...
pub const STALL_WINDOW: Duration = Duration::from_secs(30);
/// ...in each of which a transfer, or the reading of replies, must move at least this much.
pub const STALL_WINDOW_MIN_BYTES: u64 = 4 * 1024;
/// An upload from which nothing has come for this long gives way to a session that asks what is kept of it: its
/// client has most likely lost the connection and come back on another.
pub const GIVE_WAY_SILENCE: Duration = Duration::from_secs(3);
/// How long a session waits for one step of the disk before it gives up on it.
pub const DISK_TIMEOUT: Duration = Duration::from_secs(300);
/// Long work on the disk is reported to the client this often, so that it goes on waiting.
pub const WORKING_INTERVAL: Duration = Duration::from_secs(30);
/// How much of a large upload has come is told to its client this often.
pub const RECEIVED_INTERVAL: Duration = Duration::from_millis(500);
/// How long running transfers may go on after the server was asked to stop.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Unsent replies beyond which a session takes no further command and a listing pauses.
pub const OUTBOX_PAUSE_BYTES: usize = 64 * 1024;

/// How long an upload that broke off is kept, by default...
pub const PARTIAL_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// ...and how many bytes of such uploads.
pub const PARTIAL_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Held input of a session beyond which it is in memory that was mapped for it alone.
pub const INPUT_HEAP_MAX_BYTES: usize = 4096;
/// One extended attribute, or the names of all of a file: `XATTR_SIZE_MAX` and `XATTR_LIST_MAX` of Linux.
pub const XATTR_MAX_BYTES: usize = 64 * 1024;
/// Extended attributes that a file takes over from the one that it replaces.
pub const KEPT_ATTRIBUTES_MAX_BYTES: usize = 1 << 20;

const _: () = assert!(LINE_MAX_BYTES > 2 * 4 * PATH_MAX_BYTES + ECHO_MAX_BYTES);
const _: () = assert!(PATH_MAX_BYTES > NAME_MAX_BYTES);
const _: () = assert!(XATTR_MAX_BYTES <= KEPT_ATTRIBUTES_MAX_BYTES);
/// A session that waits for its turn is told so before it gives up on the disk.
const _: () = assert!(DATA_SLOT_TIMEOUT.as_millis() < DISK_TIMEOUT.as_millis());
const _: () = assert!(STALL_WINDOW_MIN_BYTES < EAGER_MAX_BYTES);
const _: () = assert!(GIVE_WAY_SILENCE.as_millis() < STALL_WINDOW.as_millis());
const _: () = assert!(TICKET_LINE_TIMEOUT.as_millis() < TICKET_TIMEOUT.as_millis());
