//! Every bound of the client, with its unit in its name. Those of the protocol are in
//! `ferry_common::limits`.

use ferry_common::limits::{
    DATA_SLOT_TIMEOUT, DISK_TIMEOUT, EAGER_MAX_BYTES, NAME_MAX_BYTES, STALL_WINDOW, STALL_WINDOW_MIN_BYTES,
};
use std::time::Duration;

/// For one address of the server, control or data.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an address of the server has for itself before the next one is tried beside it: as RFC 8305 recommends.
pub(crate) const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// Most addresses of a name that are tried: far more than any host has that a person connects to.
pub(crate) const CONNECT_ADDRESSES_MAX: usize = 16;
/// What answers at that port must show within this time that it is a Ferry server.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// For the next line of a reply. A server that follows the protocol may first wait for its disk, then for
/// a data connection to spare. Keepalive notices a dead host long before.
pub(crate) const REPLY_TIMEOUT: Duration =
    Duration::from_secs(DISK_TIMEOUT.as_secs() + DATA_SLOT_TIMEOUT.as_secs() + 30);
/// For an answer of a server that says meanwhile that it works on it: time for the digest of 4 TB at 100 MB/s.
pub(crate) const WORKING_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// A transfer moves at least [`PACE_MIN_BYTES`] in this time. The server gives up on a stalled one first, and says so.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(2 * STALL_WINDOW.as_secs() + 15);
/// What is progress: what the server asks of its clients.
pub(crate) const PACE_MIN_BYTES: u64 = STALL_WINDOW_MIN_BYTES;
/// After this time without a sign of the server a person is told what is waited for.
pub(crate) const WAIT_NOTICE_DELAY: Duration = Duration::from_secs(5);
/// For the answer to a command whose transfer this end broke off; then the whole session is given up...
pub(crate) const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// ...and a person is told after this time what is waited for: as long as a program seems to answer at once.
pub(crate) const CANCEL_NOTICE_DELAY: Duration = Duration::from_millis(300);
/// For the answer to `exit`; nothing depends on it.
pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A silent server is asked for a sign of life after this time...
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// ...again at this interval...
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// ...and given up after this many unanswered questions.
pub(crate) const KEEPALIVE_PROBES: u32 = 3;
/// Bytes that the server's host does not acknowledge, or have room for, for this long mean that it is gone.
pub(crate) const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a transfer whose connection was lost is tried again, where nothing else was asked for...
pub(crate) const RETRY_FOR_DEFAULT_S: u64 = 60;
/// ...and the most that can be asked for: a year.
pub(crate) const RETRY_FOR_MAX_S: u64 = 365 * 24 * 60 * 60;
/// The wait before the first such try; each further wait is twice as long...
pub(crate) const RETRY_FIRST_DELAY: Duration = Duration::from_millis(100);
/// ...up to this.
pub(crate) const RETRY_MAX_DELAY: Duration = Duration::from_secs(5);
/// How often a transfer is tried whose file changed meanwhile, or that arrived damaged.
pub(crate) const SPOILT_TRIES_MAX: u32 = 3;
/// How long to look whether a server that ends the session also closes the connection.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Data connections that a server may ask for within one command: one, and one more where it has closed
/// the old one meanwhile.
pub(crate) const DATA_CONNECTIONS_PER_COMMAND: u32 = 4;
/// Longest ticket that is passed on.
pub(crate) const TICKET_MAX_BYTES: usize = 128;

/// How often a connect is tried again while this host is short of ports...
pub(crate) const DATA_CONNECT_ATTEMPTS: u32 = 100;
/// ...and how soon.
pub(crate) const DATA_CONNECT_INTERVAL: Duration = Duration::from_millis(50);
/// Payload that a session moves in each direction before others have their turn.
pub(crate) const TURN_DATA_BYTES: usize = 1024 * 1024;
/// Replies that a session takes in before others have their turn.
pub(crate) const TURN_CONTROL_BYTES: usize = 64 * 1024;
/// Payload that is gathered for one write.
pub(crate) const GATHER_BYTES: usize = 256 * 1024;
/// Payload in the kernel that is not on the wire: what is there can neither be taken back nor be counted as moved. Enough
/// for a millisecond of 2 Gbit/s.
pub(crate) const NOT_SENT_MAX_BYTES: u32 = 256 * 1024;

/// Events that one poll brings.
pub(crate) const EVENTS_PER_POLL: usize = 64;
/// One read of a connection.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;
/// One read of a file whose digest is taken: small enough to stay in the processor's cache.
pub(crate) const HASH_BUFFER_BYTES: usize = 256 * 1024;
/// Threads that take the digests of many files.
pub(crate) const HASH_THREADS: usize = 2;
/// Before a beginning of this size is compared with the server's, which takes a while, that is told.
pub(crate) const LONG_COMPARISON_MIN_BYTES: u64 = 256 * 1024 * 1024;
/// Attempts to find a hidden name that is free.
pub(crate) const HIDDEN_NAMES_MAX: usize = 16;
/// Names of a folder that are looked through for what killed runs have left, before one file is downloaded into it: a few
/// milliseconds.
pub(crate) const SWEPT_NAMES_MAX: usize = 10_000;
/// An interrupted download is kept to go on with where the file is larger than this.
pub(crate) const KEPT_DOWNLOAD_MIN_BYTES: u64 = EAGER_MAX_BYTES;

/// A listing of at most this many entries is sorted before it is shown; a longer one is shown as it comes.
pub(crate) const SORTED_LISTING_MAX_ENTRIES: usize = 10_000;
/// The same in bytes of names, so that a hostile server cannot fill the memory with long ones.
pub(crate) const SORTED_LISTING_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Memory for the names that a walk through folders has still before it: more than any folder of people needs.
pub(crate) const WALK_HELD_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most names that a walk comes to. Links that lead in circles make a tree endless.
pub(crate) const WALK_ENTRIES_MAX: u64 = 20_000_000;
/// Files that are removed from a folder before it is listed again.
pub(crate) const REMOVED_AT_ONCE_MAX: usize = 10_000;
/// Folders that are listed at the same time to be removed.
pub(crate) const REMOVED_FOLDERS_AHEAD: usize = 16;
/// Longest line of a file that is shown on a terminal as one; a longer one is escaped piece by piece.
pub(crate) const SHOWN_LINE_MAX_BYTES: usize = 64 * 1024;
/// Most names that one pattern may stand for: more are a folder, which is named as such.
pub(crate) const PATTERN_MATCHES_MAX: usize = 100_000;
/// Results that are gathered for one write.
pub(crate) const RESULTS_BUFFER_BYTES: usize = 8 * 1024;
/// Lines that a transfer in the background has said that are kept to be shown; of more, the last ones.
pub(crate) const CONSOLE_HELD_LINES_MAX: usize = 200;
/// Transfers at the same time, in the background and in the foreground together. Each has sessions of its own.
pub(crate) const JOBS_MAX: usize = 16;
/// Transfers that have ended in the background that `jobs` still tells of.
pub(crate) const JOBS_ENDED_SHOWN_MAX: usize = 10;
/// Longest command that is kept to be shown as what a transfer is.
pub(crate) const JOB_TITLE_MAX_COLUMNS: usize = 200;
/// Longest text of a server that is shown in one message.
pub(crate) const MESSAGE_MAX_CHARS: usize = 600;

/// Completion asks the server for at most this long.
pub(crate) const COMPLETION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the names of a directory are good for completion.
pub(crate) const COMPLETION_FRESH: Duration = Duration::from_secs(10);
/// Most names of one directory that are kept for completion.
pub(crate) const COMPLETION_MAX_NAMES: usize = 10_000;
/// Most directories whose names are kept.
pub(crate) const COMPLETION_MAX_DIRECTORIES: usize = 16;

/// Longest configuration: room for thousands of hosts.
pub(crate) const CONFIG_MAX_BYTES: u64 = 256 * 1024;
/// What a question leaves free at the end of its line, so that its answer stands there.
pub(crate) const ANSWER_ROOM_COLUMNS: usize = 5;
/// Commands that are remembered across sessions.
pub(crate) const HISTORY_MAX_LINES: usize = 1_000;
/// A command that is done before this time shows no progress...
pub(crate) const LIVE_DELAY: Duration = Duration::from_millis(250);
/// ...which is drawn anew at this interval, whether anything moves or not.
pub(crate) const LIVE_INTERVAL: Duration = Duration::from_millis(200);
/// The rate that it shows is of this time...
pub(crate) const LIVE_RATE_WINDOW: Duration = Duration::from_secs(3);
/// ...as measured at this interval.
pub(crate) const LIVE_SAMPLE_INTERVAL: Duration = Duration::from_millis(200);
/// Silence after which it tells of that in place of a rate.
pub(crate) const LIVE_SILENCE: Duration = Duration::from_secs(5);
/// A bar is drawn where there is room for this much of one...
pub(crate) const LIVE_BAR_COLUMNS_MIN: usize = 10;
/// ...and is no longer than this.
pub(crate) const LIVE_BAR_COLUMNS_MAX: usize = 30;
/// Files that are named below the progress of a tree.
pub(crate) const BOARD_FILES_MAX: usize = 4;

/// Files that a tree moves at the same time, where nothing else was asked for: large ones each on a session of its own...
pub(crate) const MIRROR_JOBS_DEFAULT: usize = 4;
/// ...and the most that can be asked for.
pub(crate) const MIRROR_JOBS_MAX: usize = 32;
/// Events of the network that are taken in at a time.
pub(crate) const POOL_EVENTS: usize = 256;
/// One read of a session of a pool.
pub(crate) const POOL_SCRATCH_BYTES: usize = 256 * 1024;
/// How soon a pool notices a signal, and how often its display is drawn.
pub(crate) const POOL_TICK: Duration = Duration::from_millis(100);
/// Small files that one session asks for ahead: enough for 20,000 a second over 10 ms.
pub(crate) const TREE_AHEAD_FILES: usize = 256;
/// The size together of the small files that one session has ahead, beyond which it asks for no more.
pub(crate) const TREE_AHEAD_BYTES: u64 = 8 * 1024 * 1024;
/// Large files that one session has ahead, so that the second begins without a wait for the first.
pub(crate) const TREE_LARGE_AHEAD_FILES: usize = 2;
/// Folders of the server whose listings are asked for ahead, and names that it is asked about.
pub(crate) const TREE_AHEAD_QUESTIONS: usize = 128;
/// Folders whose times one session has on their way: enough to share the server's flushes, and to leave some to others.
pub(crate) const TREE_AHEAD_TIMES: usize = 16;
/// A file over this size goes on a session of its own.
pub(crate) const TREE_LARGE_MIN_BYTES: u64 = EAGER_MAX_BYTES;
/// Names that wait to be moved, beyond which a walk of a local folder waits.
pub(crate) const TREE_PLANNED_FILES_MAX: usize = 4_096;
/// How often one file of a tree is asked for again where the connection or its content was spoilt.
pub(crate) const TREE_FILE_TRIES_MAX: u32 = 5;
/// Folders within folders; a link to a folder above it makes more of them.
pub(crate) const TREE_DEPTH_MAX: usize = 128;
/// Sentences about files that were not moved that are kept to be told; further ones are counted.
pub(crate) const TREE_COMPLAINTS_MAX: usize = 1_000;
/// Such sentences that are shown at a prompt.
pub(crate) const TREE_COMPLAINTS_SHOWN: usize = 20;

/// Folders of a local tree that are kept open: the one that files are written to, those above it, and those of files
/// that other sessions move.
pub(crate) const TREE_FOLDERS_MAX: usize = 16;
/// File systems beneath one folder whose files share flushes. Those of any further one are flushed one by one.
pub(crate) const TREE_FILE_SYSTEMS_MAX: usize = 16;
/// Attempts at a lookup that the kernel gave up because of a rename elsewhere in the tree.
pub(crate) const TREE_LOOKUPS_MAX: usize = 16;
/// A received file of this size has its room on the disk reserved before it comes: below it a failure is cheaper.
pub(crate) const TREE_RESERVED_MIN_BYTES: u64 = 1024 * 1024;
/// Received files that are not named yet. Each holds a descriptor, so a low limit on those makes it fewer.
pub(crate) const TREE_COMMIT_FILES_MAX: usize = 1024;
/// Descriptors that received files and their folders leave to everything else.
pub(crate) const TREE_OTHER_DESCRIPTORS: usize = 256;
/// The size of received files, beyond which no more are flushed together, so that none waits long for others.
pub(crate) const TREE_COMMIT_JOB_BYTES: u64 = 64 * 1024 * 1024;
/// Received files that are named before the network is looked after again: a few milliseconds on a local disk.
pub(crate) const TREE_COMMIT_NAMES_PER_TURN: usize = 64;
/// From this many files and folders on, one flush of their file system takes less time than a flush of each (measured
/// on ext4).
pub(crate) const TREE_SHARED_FLUSH_MIN: usize = 8;
/// Names of one folder that are read, sorted and told at a time. A folder with more is sorted piece by piece.
pub(crate) const TREE_SORTED_NAMES_MAX: usize = 50_000;
/// What a spool holds in memory; the rest is in a temporary file.
pub(crate) const SPOOL_MEMORY_BYTES: usize = 4 * 1024 * 1024;
/// Names of one folder beyond which the disk is asked whether it tells the case of letters apart.
pub(crate) const TREE_FOLDED_NAMES_BEFORE_PROBE: usize = 10_000;
/// Names of one folder that are compared without regard to case, as 64-bit hashes. Beyond that they are not.
pub(crate) const TREE_FOLDED_NAMES_MAX: usize = 1_000_000;
/// Files whose digests one session is asked for ahead...
pub(crate) const COMPARED_AHEAD_FILES: usize = 64;
/// ...and all of them together. Each is open here meanwhile.
pub(crate) const COMPARED_FILES_MAX: usize = 256;
/// Names of one folder that are kept in mind, as hashes of 64 bits, to tell which the other end has too much: about 80 MB.
pub(crate) const SURPLUS_NAMES_MAX: usize = 2_000_000;
/// Names of one folder that may be another spelling of one, and wait for the rest of its listing. Further ones stay.
pub(crate) const SURPLUS_UNSURE_MAX: usize = 10_000;
/// Names that a question shows.
pub(crate) const SURPLUS_NAMES_SHOWN: usize = 3;
/// How much of a name a question shows.
pub(crate) const SURPLUS_NAME_SHOWN_COLUMNS: usize = 40;
/// How much of the name of the folder that it would be removed from.
pub(crate) const SURPLUS_FOLDER_SHOWN_COLUMNS: usize = 60;
/// How much of the names that a dry run would remove is sorted at a time.
pub(crate) const SURPLUS_SORTED_MAX_BYTES: usize = 16 << 20;
/// How often both ends are looked at anew where a connection was lost, or a folder changed, in the middle.
pub(crate) const SURPLUS_LOOKS_MAX: u32 = 5;
/// Longest pattern: it is compiled to a program of a multiple of its length.
pub(crate) const PATTERN_MAX_BYTES: usize = 1024;
/// Braces within braces.
pub(crate) const PATTERN_DEPTH_MAX: usize = 16;
/// Memory of a compiled pattern, or of all that exclude.
pub(crate) const PATTERN_PROGRAM_MAX_BYTES: usize = 4 * 1024 * 1024;

const _: () = assert!(STALL_TIMEOUT.as_secs() > 2 * STALL_WINDOW.as_secs());
const _: () = assert!(SORTED_LISTING_MAX_BYTES >= SORTED_LISTING_MAX_ENTRIES * NAME_MAX_BYTES);
const _: () = assert!(RETRY_FIRST_DELAY.as_millis() < RETRY_MAX_DELAY.as_millis());
const _: () = assert!(CONNECT_STAGGER.as_millis() < CONNECT_TIMEOUT.as_millis());
const _: () = assert!(WORKING_MAX.as_secs() > REPLY_TIMEOUT.as_secs());
const _: () = assert!(ACKNOWLEDGE_TIMEOUT.as_secs() > STALL_TIMEOUT.as_secs());
