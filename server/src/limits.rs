//! Every bound of the server's shell, with its unit in its name. The relations between them, and to those of the protocol
//! ([`ferry_common::limits`]), are checked when this file is compiled.

use ferry_common::limits::{DISK_TIMEOUT, EAGER_MAX_BYTES, PUBLISHING_MAX};
use ferry_session::limits::TURN_LINES;
use std::time::Duration;

/// How long the server waits at its end for what it has asked of the disk.
pub const DISK_FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes that one read takes from a control connection.
pub const CONTROL_READ_BYTES: usize = 16 * 1024;
/// How long a closed session waits for its peer to see the last reply and close as well...
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// ...and how much it reads away meanwhile.
pub const LINGER_MAX_BYTES: u64 = EAGER_MAX_BYTES;

/// Payload moved for one data connection in one turn of the reactor.
pub const TURN_CONNECTION_BYTES: u64 = 256 * 1024;
/// One step of a turn (outcomes of the disk, commands that have just come, deadlines, accepts) ends after this time,
/// whatever its pieces cost; what is left has its turn in the next one. Several times what a piece takes, so that the
/// poll between them costs little, and so short that a command is looked at within a millisecond or two.
pub const TURN_STEP_TIME: Duration = Duration::from_micros(200);
/// The same for payload while no command waits.
pub const TURN_PAYLOAD_TIME: Duration = Duration::from_millis(1);
/// The same for payload beside commands, of which there may be ever more: about what all other steps have together, so
/// that a transfer has half of the reactor.
pub const TURN_PAYLOAD_BESIDE_COMMANDS_TIME: Duration = Duration::from_micros(500);
/// The same for commands that were sent ahead of others, of which there may be any number: less than a transfer has.
pub const TURN_PIPELINES_TIME: Duration = Duration::from_micros(100);
/// Lines of all sessions that have just become ready, shared among these.
pub const TURN_FRESH_LINES: usize = 256;
/// Places of sessions that one part of the answer to `who` looks at: some tens of microseconds, so that a step of a turn
/// can hold several.
pub const SURVEY_PART_PLACES: u64 = 128;
/// Events taken from the system in one turn.
pub const TURN_EVENTS: usize = 1024;
/// When accepting failed for want of descriptors or memory, it is tried again after this time.
pub const ACCEPT_RETRY_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that may wait in a listener's queue; the system may allow fewer (`somaxconn`).
pub const LISTEN_BACKLOG: i32 = 4096;
/// Unsent bytes in the system's buffer of a socket beyond which it takes no more (`TCP_NOTSENT_LOWAT`): what a peer
/// does not take yet stays in the page cache. Large enough that the next part is there before the network is idle.
pub const SOCKET_UNSENT_BYTES: u32 = 128 * 1024;
/// Idle time after which the system probes whether the peer of a connection is still there.
pub const KEEPALIVE_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Threads of a mounted file system that look names up...
pub const NAME_THREADS: usize = 3;
/// ...that make and change names...
pub const CHANGE_THREADS: usize = 2;
/// ...that read files...
pub const READ_THREADS: usize = 3;
/// ...that write and close uploads, which never wait for a download to be read...
pub const WRITE_THREADS: usize = 2;
/// ...and that flush single large files, and name them where no other waits.
pub const FLUSH_THREADS: usize = 2;
/// By how much these are nicer than the reactor.
pub const DISK_THREAD_NICENESS: i32 = 5;
/// File systems beneath the folder that have threads of their own; those beyond share some.
pub const LANES_MAX: usize = 8;
/// Threads of a file system to which no job has come for this long end, and its mount is let go of.
pub const LANE_IDLE_TIME: Duration = Duration::from_secs(10);
/// Jobs of one kind that may wait for the threads of one file system. An address with fewer of them takes a place
/// of the one with the most when all are taken.
pub const LANE_QUEUE_JOBS_MAX: usize = 64 * 1024;
/// When the threads of one kind have answered nothing for this long, what waits for them is told to come again...
pub const LANE_SILENCE: Duration = Duration::from_secs(10);
/// ...and for this long where uploads are brought to the disk, which takes its time on a slow one.
pub const LANE_FLUSH_SILENCE: Duration = Duration::from_secs(60);
/// Size of a buffer between an upload's socket and its file.
pub const UPLOAD_BUFFER_BYTES: usize = 256 * 1024;
/// Such buffers in use at once, over all uploads.
pub const UPLOAD_BUFFERS_MAX: usize = 128;
/// Writes under way for one upload.
pub const UPLOAD_WRITES_MAX: usize = 4;
/// Data of a large upload that may wait in memory for the disk, so that the flush of no other upload has to wait long.
pub const UPLOAD_UNFLUSHED_BYTES: u64 = 64 * 1024 * 1024;
/// Uploads that share their flushes at most...
pub const BATCH_UPLOADS_MAX: usize = 240;
/// ...and directories that they go to, each of which is held open.
pub const BATCH_DIRECTORIES_MAX: usize = 16;
/// Uploads of a batch up to which each file or directory is flushed by itself; beyond that the whole file
/// system is, once.
pub const BATCH_SINGLE_FLUSHES_MAX: usize = 3;
/// Threads that compute digests of files.
pub const DIGEST_THREADS: usize = 2;
/// Part of a file after which a digest lets the next one have a turn.
pub const DIGEST_STEP_BYTES: u64 = 8 * 1024 * 1024;
/// The same in time, where reading takes long.
pub const DIGEST_STEP_TIME: Duration = Duration::from_millis(50);
/// How often the progress of a digest is told to the sessions that wait for it.
pub const DIGEST_REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Digests of unchanged files that are remembered.
pub const DIGESTS_KNOWN_MAX: usize = 16 * 1024;
/// A file must have been left alone for this long before its digest is remembered: a later change within
/// the resolution of the clock of its file system would not show.
pub const DIGEST_SETTLE_TIME: Duration = Duration::from_secs(2);
/// Free space that uploads leave on a file system by default: a hundredth of it, but no more than this.
pub const KEEP_FREE_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Space that is set aside for a large upload ahead of the bytes that come.
pub const SPACE_STEP_BYTES: u64 = 16 * 1024 * 1024;
/// What an upload counts against others before its bytes come, at most.
pub const SPACE_CLAIM_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that may be written before a file system is asked again for its free space...
pub const SPACE_CREDIT_BYTES: u64 = 16 * 1024 * 1024;
/// ...or after this time.
pub const SPACE_CREDIT_TIME: Duration = Duration::from_secs(1);
/// Staged files that are whole and kept open until they are flushed, so that no error of writing them back is
/// lost; those beyond are flushed at once, or with their whole file system.
pub const STAGED_OPEN_MAX: u64 = 24;
/// Staged files that are copied from another at once: each holds that one open beside what its session's place is counted
/// with.
pub const COPIES_MAX: u64 = 8;
/// Uploads that broke off of which something is kept on one file system, be it nothing but that; the oldest go first...
pub const KEPT_UPLOADS_MAX: usize = 16 * 1024;
/// ...and what each counts at least among the bytes that are kept.
pub const KEPT_UPLOAD_MIN_BYTES: u64 = 4096;
/// After an upload of which anything is kept has ended, what is kept is looked through within this time.
pub const KEPT_LOOK_TIME: Duration = Duration::from_secs(60);
/// Uploads up to this size are gathered in memory and reach the disk in one piece...
pub const SMALL_UPLOAD_MAX_BYTES: u64 = 64 * 1024;
/// ...as long as all of these together are no more than this.
pub const SMALL_UPLOADS_TOTAL_BYTES: u64 = 64 * 1024 * 1024;
/// Downloads up to this size are read by the reactor itself, where they are in memory: to copy them takes less time than it
/// takes to have another thread compute their digest.
pub const SMALL_DOWNLOAD_MAX_BYTES: usize = 32 * 1024;
/// Part of a file that is brought into memory before it is sent.
pub const WARM_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// For so long the files that wait for a disk are read together, one after the other, before the first has its next turn...
pub const READS_ROUND_TIME: Duration = Duration::from_millis(400);
/// ...and one of them at least for this long, which a disk takes to find it and to read something.
pub const READ_TURN_MIN_TIME: Duration = Duration::from_millis(2);
/// Sending a part of a file from memory takes far less than this: one that takes longer has waited for a disk...
pub const SLOW_SEND_TIME: Duration = Duration::from_millis(5);
/// ...or for a processor, unless it takes longer than this...
pub const STALLED_SEND_TIME: Duration = Duration::from_millis(100);
/// ...and the file of one that has waited for a disk goes through buffers for so long.
pub const SLOW_FILE_TIME: Duration = Duration::from_secs(10);
/// Files that are known to be slow; the oldest give way.
pub const SLOW_FILES_MAX: usize = 256;
/// Size of a buffer between a file that the reactor may not read and the socket of its download.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Such buffers in use at once, over all downloads.
pub const READ_BUFFERS_MAX: usize = 128;
/// Such buffers that one download has filled and not sent; one more may be being filled.
pub const READ_PIECES_MAX: usize = 2;

/// Descriptors kept aside for listeners, the folder, the log, and what the disk threads open in passing.
pub const RESERVED_DESCRIPTORS: u64 = 52
    + 4 * (NAME_THREADS + CHANGE_THREADS + READ_THREADS + WRITE_THREADS + FLUSH_THREADS) as u64
    + STAGED_OPEN_MAX
    + COPIES_MAX;
/// Sessions that may have a file open before there is a place for their data connection; as many more for a
/// digest.
pub const FILES_AHEAD_MAX: usize = 32;
/// Running work gives way to another address only when it has had so long to show what it makes of its place.
pub const GIVING_WAY_MIN_AGE: Duration = Duration::from_secs(1);
/// Sessions that are picked to give way at one look through all of them, and most that do in one turn.
pub const GIVING_WAY_MAX: usize = 64;
/// After a look that has found none, the next is not before this.
pub const GIVING_WAY_RETRY_TIME: Duration = Duration::from_millis(100);
/// Input of all sessions that is held and not worked on yet, beyond which sessions end that hold a line without its end:
/// those that hold most, of the address that does.
pub const INPUT_TOTAL_BYTES: usize = 16 * 1024 * 1024;
/// From so much on, one read takes...
pub const INPUT_SCARCE_BYTES: usize = INPUT_TOTAL_BYTES / 2;
/// ...no more than this, so that the input of very many sessions at work stays within the same.
pub const CONTROL_SCARCE_READ_BYTES: usize = 512;
/// Places for connections whose memory is kept when a crowd has gone.
pub const SLOTS_KEPT: usize = 1024;
/// Sessions beyond the limit that are being told so.
pub const REFUSALS_MAX: u64 = 64;
/// Where FTP clients connect to, unless the operator says otherwise.
pub const FTP_PORT: u16 = 2121;
/// How long a port that was opened for one data connection waits for it.
pub const PASSIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that may wait at such a port. Strangers among them are closed one by one.
pub const PASSIVE_BACKLOG: i32 = 4;
/// Ports of a range that are tried for one data connection.
pub const PASSIVE_ATTEMPTS_MAX: u16 = 64;
/// Data connections that have not presented a ticket yet.
pub const UNTICKETED_MAX: u64 = 224;
/// Fewest data connections that a server must have room for.
pub const DATA_SLOTS_MIN: u64 = 4;
/// Lines of the log about all peers in each [`LOG_WINDOW`], beyond which they are counted...
pub const LOG_LINES_PER_SECOND_MAX: u64 = 1000;
/// ...and about one address.
pub const LOG_PEER_LINES_PER_SECOND_MAX: u64 = 100;
/// Addresses whose lines are counted one by one.
pub const LOG_PEERS_MAX: usize = 256;
/// The second in which lines of the log are counted.
pub const LOG_WINDOW: Duration = Duration::from_secs(1);
/// How long the server waits at its end for whatever takes its log.
pub const LOG_FINISH_TIMEOUT: Duration = Duration::from_secs(1);
/// Lines of the log that may wait to be written; beyond that they are dropped and counted.
pub const LOG_QUEUE_LINES: usize = 16 * 1024;
/// Addresses that the start tells at a terminal; a machine with virtual networks may have very many.
pub const BANNER_ADDRESSES_MAX: usize = 8;
/// What is read of the answer to the one question that the server asks.
pub const CONSENT_MAX_BYTES: u64 = 64;
/// Shortcomings of file systems that the server remembers having logged.
pub const SHORTFALLS_TOLD_MAX: usize = 1024;

/// Directory entries examined after which one step of a listing ends, served or not.
pub const LISTING_PART_ENTRIES: usize = 128;

const _: () = assert!(TURN_LINES <= TURN_FRESH_LINES);
const _: () = assert!(TURN_PIPELINES_TIME.as_micros() < TURN_STEP_TIME.as_micros());
const _: () = assert!(TURN_STEP_TIME.as_micros() <= TURN_PAYLOAD_BESIDE_COMMANDS_TIME.as_micros());
const _: () = assert!(TURN_PAYLOAD_BESIDE_COMMANDS_TIME.as_micros() <= TURN_PAYLOAD_TIME.as_micros());
const _: () = assert!(CONTROL_SCARCE_READ_BYTES < CONTROL_READ_BYTES);
const _: () = assert!(UPLOAD_WRITES_MAX < UPLOAD_BUFFERS_MAX);
const _: () = assert!(SLOW_SEND_TIME.as_millis() < STALLED_SEND_TIME.as_millis());
const _: () = assert!(SPACE_STEP_BYTES <= SPACE_CLAIM_BYTES);
const _: () = assert!(READ_PIECES_MAX < READ_BUFFERS_MAX);
const _: () = assert!(TURN_CONNECTION_BYTES <= WARM_WINDOW_BYTES);
/// One batch is put together while another is flushed.
const _: () = assert!(2 * BATCH_UPLOADS_MAX <= PUBLISHING_MAX);
const _: () = assert!(2 * BATCH_DIRECTORIES_MAX as u64 <= RESERVED_DESCRIPTORS / 2);
/// A session is told that the disk does not answer before it gives up on the disk itself.
const _: () = assert!(LANE_SILENCE.as_millis() < LANE_FLUSH_SILENCE.as_millis());
const _: () = assert!(LANE_FLUSH_SILENCE.as_millis() < DISK_TIMEOUT.as_millis());
