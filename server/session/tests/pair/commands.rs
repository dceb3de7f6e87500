//! What each verb does when nothing goes wrong, and how each is refused.

use crate::model::store::MTIME;
use crate::model::{POLICY, Pair};
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, LINE_MAX_BYTES, OUTBOX_PAUSE_BYTES, PROTOCOL_VERSION};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Verb;
use ferry_common::wire::entry::EntryKind;
use ferry_common::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use ferry_session::action::{BrokenOff, Direction, Event, Length};
use ferry_session::fact::{Fact, Scarcity};
use ferry_session::limits::LISTING_PART_BYTES;
use ferry_session::{Policy, ShowWho};

const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;

pub(crate) fn bytes(length: usize, salt: u8) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 8) as u8 ^ salt).collect()
}

fn names(pair: &Pair, id: u64) -> Vec<String> {
    let entries = pair.client.entries.get(&id).map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|entry| String::from_utf8(entry.name.clone()).unwrap()).collect()
}

#[test]
fn ls_lists_the_served_folder_or_the_one_that_is_named() {
    let mut pair = Pair::new();
    pair.server.store.put("a b\n.txt", b"12345");
    pair.server.store.make_dir("photos");
    pair.server.store.put("photos/one", b"");
    let (root, photos) = (pair.request("ls"), pair.request("ls photos"));
    pair.run();
    assert_eq!((pair.number(root), pair.number(photos)), (2, 1));
    assert_eq!(names(&pair, root), ["a b\n.txt", "photos"]);
    assert_eq!(names(&pair, photos), ["one"]);
    let entries = &pair.client.entries[&root];
    assert_eq!((entries[0].kind, entries[0].size_bytes, entries[0].mtime), (EntryKind::File, 5, MTIME));
    assert_eq!((entries[1].kind, entries[1].size_bytes), (EntryKind::Dir, 0));
}

#[test]
fn a_long_listing_pauses_while_the_client_reads() {
    let mut pair = Pair::new();
    for number in 0..5000 {
        pair.server.store.put(&format!("a rather long name of a file, number {number:06}"), b"");
    }
    let id = pair.request("ls");
    pair.client.reads_nothing = true;
    pair.run();
    assert!(pair.server.outbox.len() >= OUTBOX_PAUSE_BYTES, "a listing runs ahead of its reader");
    assert!(pair.server.jobs.is_empty(), "and then waits for it");
    pair.client.reads_nothing = false;
    pair.run();
    assert_eq!(pair.number(id), 5000);
    assert_eq!(names(&pair, id).len(), 5000);
}

#[test]
fn stat_tells_of_one() {
    let mut pair = Pair::new();
    pair.server.store.make_dir("photos");
    pair.server.store.put("photos/one", b"abc");
    let (file, nothing) = (pair.request("stat photos/one"), pair.request("stat photos/two"));
    pair.run();
    pair.number(file);
    assert_eq!(pair.client.entries[&file].len(), 1);
    assert_eq!(pair.client.entries[&file][0].size_bytes, 3);
    assert_eq!(pair.refusal(nothing), ErrorCode::NotFound);
}

#[test]
fn df_tells_the_room_where_a_path_leads() {
    let mut pair = Pair::new();
    pair.server.store.make_dir("photos");
    let (top, inner) = (pair.request("df"), pair.request("df photos"));
    let nothing = pair.request("df nothing");
    pair.run();
    assert_eq!(pair.client.spaces, [(top, (5, 10)), (inner, (5, 10))].into());
    assert_eq!(pair.refusal(nothing), ErrorCode::NotFound);
}

/// So many sessions, some of which move a file with a long name.
fn crowd(size: u8) -> Vec<SessionEntry> {
    let entry = |number: u8| {
        let activity = SessionActivity::ALL[usize::from(number) % 3];
        let name = if activity == SessionActivity::Idle { Vec::new() } else { vec![number; 255] };
        let address = [127, 0, 0, number].into();
        SessionEntry { address, activity, moved_bytes: 1, size_bytes: 2, seconds: 3, name }
    };
    (128..128 + size).map(entry).collect()
}

#[test]
fn who_tells_what_the_operator_lets_everybody_see() {
    for (show_who, told) in [(ShowWho::All, 11), (ShowWho::Counts, 0)] {
        let mut pair = Pair::with_policy(Policy { show_who, ..POLICY });
        pair.server.crowd = crowd(11);
        let id = pair.request("who");
        let next = pair.request("stat nothing");
        pair.run();
        assert_eq!(pair.number(id), told);
        assert_eq!(pair.refusal(next), ErrorCode::NotFound);
        let sessions = pair.client.sessions.remove(&id).unwrap_or_default();
        assert_eq!(sessions, pair.server.crowd[..usize::try_from(told).unwrap()]);
        let SessionTotals { sessions, uploads, downloads, up_bytes_per_second, down_bytes_per_second } =
            pair.client.totals[&id];
        assert_eq!((sessions, uploads, downloads), (11, 4, 3));
        assert_eq!((up_bytes_per_second, down_bytes_per_second), (4, 3));
    }
    let mut pair = Pair::with_policy(Policy { show_who: ShowWho::None, ..POLICY });
    pair.server.crowd = crowd(11);
    let id = pair.request("who");
    pair.run();
    assert_eq!(pair.refusal(id), ErrorCode::Denied);
    assert!(pair.client.totals.is_empty() && pair.client.sessions.is_empty());
}

#[test]
fn who_waits_for_a_client_that_does_not_read() {
    let mut pair = Pair::new();
    pair.server.crowd = crowd(100);
    pair.client.reads_nothing = true;
    let ids: Vec<_> = (0..3).map(|_| pair.request("who")).collect();
    pair.run();
    assert!(pair.server.most_outbox_bytes <= OUTBOX_PAUSE_BYTES + LISTING_PART_BYTES);
    pair.client.reads_nothing = false;
    pair.run();
    for id in ids {
        assert_eq!(pair.number(id), 100);
        assert_eq!(pair.client.sessions[&id], pair.server.crowd);
    }
}

#[test]
fn who_gives_way_and_the_next_is_told_from_its_beginning() {
    let mut pair = Pair::new();
    pair.server.crowd = crowd(11);
    let first = pair.request("who");
    pair.server_reads(usize::MAX);
    pair.server_disk();
    pair.server_gives_way();
    let second = pair.request("who");
    pair.run();
    assert_eq!(pair.refusal(first), ErrorCode::Busy);
    assert_eq!(pair.client.sessions[&second], pair.server.crowd);
}

#[test]
fn a_download_brings_the_file_from_its_offset_on() {
    let mut pair = Pair::new();
    let content = bytes(3552, 1);
    pair.server.store.put("a", &content);
    pair.server.store.put("empty", b"");
    for offset in [0, 1, 3551, 3552] {
        let id = pair.request(&format!("download a {offset}"));
        pair.run();
        assert_eq!(pair.number(id), 3552 - offset as u64);
        assert_eq!(pair.client.delivered[&id], content[offset..]);
    }
    let (beyond, empty) = (pair.request("download a 3553"), pair.request("download empty"));
    pair.run();
    assert_eq!(pair.refusal(beyond), ErrorCode::BadOffset);
    assert_eq!((pair.number(empty), pair.client.delivered[&empty].len()), (0, 0));
    assert_eq!(pair.wire.links.len(), 1, "one data connection carries them all");
}

#[test]
fn an_upload_of_any_size_is_stored_whole() {
    let mut pair = Pair::new();
    for (salt, size) in [0, 1, 3552, EAGER_MAX - 1, EAGER_MAX, EAGER_MAX + 1].into_iter().enumerate() {
        let content = bytes(size, salt as u8);
        let id = pair.upload("c", &content);
        pair.run();
        assert_eq!(pair.number(id), size as u64);
        assert!(pair.server.store.content("c") == Some(&content), "{size}");
    }
    assert_eq!(pair.wire.links.len(), 1, "one data connection carries them all");
}

#[test]
fn an_upload_is_not_confirmed_before_it_is_published() {
    let mut pair = Pair::new();
    pair.upload("a", b"first");
    pair.run();
    let id = pair.upload("a", b"second");
    pair.server_reads(usize::MAX);
    pair.server_disk();
    pair.server.disk_stalls = true;
    pair.run();
    assert_eq!(pair.client.done.len(), 1);
    assert_eq!(pair.server.store.content("a"), Some(&b"first"[..]));
    pair.server.disk_stalls = false;
    pair.run();
    assert_eq!(pair.number(id), 6);
    assert_eq!(pair.server.store.content("a"), Some(&b"second"[..]));
}

#[test]
fn only_an_upload_beyond_the_eager_limit_waits_for_its_go_ahead() {
    for (size, waits) in [(EAGER_MAX, false), (EAGER_MAX + 1, true)] {
        let mut pair = Pair::new();
        let opening = pair.upload("first", b"1");
        pair.run();
        pair.number(opening);
        pair.upload("second", &bytes(size, 0));
        assert_eq!(pair.client_writes_data(usize::MAX), !waits, "{size}");
    }
}

#[test]
fn hello_agrees_on_the_highest_version_that_both_speak_and_tells_the_limits() {
    let mut pair = Pair::new();
    for (line, version) in [("hello", PROTOCOL_VERSION), ("hello 1", 1), ("hello 99", PROTOCOL_VERSION)] {
        let id = pair.request(line);
        pair.run();
        assert_eq!(pair.number(id), version, "{line}");
        let told: Vec<String> = pair.client.infos[&id]
            .iter()
            .map(|words| String::from_utf8(words.join(&b' ')).unwrap())
            .collect();
        let limits = [
            format!("line-max {LINE_MAX_BYTES}"),
            format!("eager-max {EAGER_MAX}"),
            "read-only no".into(),
            "conditions yes".into(),
        ];
        assert_eq!(told, limits);
    }
    let none = pair.request("hello 0");
    pair.run();
    assert_eq!(pair.refusal(none), ErrorCode::Version);
}

#[test]
fn help_tells_of_every_verb() {
    let mut pair = Pair::new();
    let id = pair.request("help");
    pair.run();
    pair.number(id);
    for (verb, words) in Verb::ALL.iter().zip(&pair.client.infos[&id]) {
        assert_eq!(words[0], verb.word().as_bytes());
    }
    assert_eq!(pair.client.infos[&id].len(), Verb::ALL.len());
}

#[test]
fn exit_ends_the_session_and_what_was_asked_for_behind_it() {
    let mut pair = Pair::new();
    let (exit, late) = (pair.request("exit"), pair.request("ls"));
    pair.run();
    pair.number(exit);
    assert_eq!(pair.outcome(late), &Err(Failure::ControlLost));
    assert!(pair.server.closed && !pair.server.aborted);
}

/// Requests of which none waits for another, with what must come of them.
pub(crate) trait Mix {
    fn request_all(pair: &mut Pair) -> Self;

    /// The uploads that are not refused, in their order.
    fn sent() -> Vec<(&'static str, Vec<u8>)>;

    /// The uploads that may be published where others fail.
    fn possible() -> Vec<(&'static str, Vec<u8>)> {
        Self::sent()
    }

    fn assert_all_done(&self, pair: &Pair);

    /// Whatever was answered with `ok` has happened, and whole.
    fn assert_ok_is_true(&self, pair: &Pair);
}

/// Downloads, uploads and listings of all kinds, half of them refused, none of which waits for another.
pub(crate) struct Mixed {
    ids: Vec<u64>,
}

impl Mix for Mixed {
    fn request_all(pair: &mut Pair) -> Self {
        pair.server.store.put("a", &bytes(40, 1));
        pair.server.store.put("empty", b"");
        pair.server.store.make_dir("dir");
        let ids = vec![
            pair.request("hello 1"),
            pair.request("download a"),
            pair.upload("u1", &bytes(30, 2)),
            pair.upload("dir", &bytes(20, 3)),
            pair.upload("missing/u2", &bytes(10, 4)),
            pair.request("download nothing"),
            pair.request("ls"),
            pair.upload("u3", b""),
            pair.upload("u1", &bytes(25, 5)),
            pair.request("download empty"),
            pair.request("download u1 5"),
            pair.request("stat dir"),
        ];
        Self { ids }
    }

    fn sent() -> Vec<(&'static str, Vec<u8>)> {
        vec![("u1", bytes(30, 2)), ("u3", Vec::new()), ("u1", bytes(25, 5))]
    }

    fn assert_all_done(&self, pair: &Pair) {
        let id = |place: usize| self.ids[place];
        for (place, number) in [(0, 1), (1, 40), (2, 30), (6, 4), (7, 0), (8, 25), (9, 0), (10, 20), (11, 0)]
        {
            assert_eq!(pair.number(id(place)), number, "request {place}");
        }
        assert_eq!(pair.refusal(id(3)), ErrorCode::IsDirectory);
        assert_eq!(pair.refusal(id(4)), ErrorCode::NoParent);
        assert_eq!(pair.refusal(id(5)), ErrorCode::NotFound);
        assert_eq!(pair.client.delivered[&id(1)], bytes(40, 1));
        assert_eq!(pair.client.delivered[&id(9)], b"");
        assert_eq!(pair.client.delivered[&id(10)], bytes(25, 5)[5..]);
        assert_eq!(names(pair, id(6)), ["a", "dir", "empty", "u1"]);
        assert_all_published::<Self>(pair);
        assert!(!pair.dialogue.is_busy());
    }

    fn assert_ok_is_true(&self, pair: &Pair) {
        let ok = |place: usize| pair.outcome(self.ids[place]).is_ok();
        for (place, path, content) in [(2, "u1", bytes(30, 2)), (7, "u3", vec![]), (8, "u1", bytes(25, 5))] {
            let published = (path.as_bytes().to_vec(), content);
            assert!(!ok(place) || pair.server.store.published.contains(&published), "request {place}");
        }
        assert!(!ok(1) || pair.client.delivered[&self.ids[1]] == bytes(40, 1));
        let tails = [bytes(30, 2)[5..].to_vec(), bytes(25, 5)[5..].to_vec()];
        assert!(!ok(10) || tails.contains(&pair.client.delivered[&self.ids[10]]));
        assert!(!ok(3) && !ok(4) && !ok(5));
    }
}

pub(crate) fn assert_all_published<M: Mix>(pair: &Pair) {
    let sent = M::sent().into_iter().map(|(path, content)| (path.as_bytes().to_vec(), content));
    assert_eq!(pair.server.store.published, sent.collect::<Vec<_>>());
}

#[test]
fn commands_sent_ahead_are_all_done_in_their_order() {
    let mut pair = Pair::new();
    let mixed = Mixed::request_all(&mut pair);
    pair.run();
    mixed.assert_all_done(&pair);
    assert_eq!(pair.wire.links.len(), 1);
}

#[test]
fn commands_sent_ahead_on_an_open_data_connection_are_all_done_in_their_order() {
    let mut pair = Pair::new();
    pair.request("download first");
    pair.server.store.put("first", b"1");
    pair.run();
    let small = pair.upload("s1", &bytes(100, 1));
    let large = pair.upload("large", &bytes(EAGER_MAX + 1, 2));
    let refused = pair.upload("no/such/large", &bytes(EAGER_MAX + 1, 2));
    let behind = pair.upload("s2", &bytes(EAGER_MAX, 3));
    let back = pair.request("download large");
    pair.run();
    assert_eq!(pair.number(small), 100);
    assert_eq!(pair.number(large), EAGER_MAX_BYTES + 1);
    assert_eq!(pair.refusal(refused), ErrorCode::NoParent);
    assert_eq!(pair.number(behind), EAGER_MAX_BYTES);
    assert_eq!(pair.number(back), EAGER_MAX_BYTES + 1);
    assert!(pair.client.delivered[&back] == bytes(EAGER_MAX + 1, 2));
    assert!(pair.server.store.content("s2") == Some(&bytes(EAGER_MAX, 3)));
    assert_eq!(pair.wire.links.len(), 1);
}

#[test]
fn thousands_of_commands_ahead_pend_within_the_bound() {
    let mut pair = Pair::new();
    pair.client.reads_nothing = true;
    for _ in 0..2000 {
        pair.request("help");
    }
    pair.chunk = 16 * 1024;
    pair.run();
    assert!(pair.server.outbox.len() >= OUTBOX_PAUSE_BYTES);
    assert!(!pair.session.wants_input(), "who does not read its replies is not listened to");
    pair.client.reads_nothing = false;
    pair.run();
    assert_eq!(pair.client.done.len(), 2000);
}

#[test]
fn refused_uploads_leave_the_data_connection_in_step() {
    for read_only in [false, true] {
        let mut pair = Pair::with_policy(Policy { read_only, ..POLICY });
        pair.server.store.put("a", &bytes(500, 9));
        pair.server.store.make_dir("dir");
        let first = pair.request("download a");
        pair.run();
        pair.number(first);
        let root = pair.upload(".", &bytes(70, 1));
        let dir = pair.upload("dir", &bytes(EAGER_MAX, 2));
        let parent = pair.upload("no/where", &bytes(1, 3));
        let (fits, back) = (pair.upload("c", &bytes(300, 4)), pair.request("download a"));
        pair.run();
        let codes = [root, dir, parent].map(|id| pair.refusal(id));
        if read_only {
            assert_eq!(codes, [ErrorCode::ReadOnly; 3]);
            assert_eq!(pair.refusal(fits), ErrorCode::ReadOnly);
            assert!(pair.server.store.published.is_empty());
        } else {
            assert_eq!(codes, [ErrorCode::IsDirectory, ErrorCode::IsDirectory, ErrorCode::NoParent]);
            assert_eq!(pair.number(fits), 300);
            assert_eq!(pair.server.store.content("c"), Some(&bytes(300, 4)[..]));
        }
        assert_eq!(pair.client.delivered[&back], bytes(500, 9));
        assert_eq!(pair.wire.links.len(), 1, "a refusal does not cost the data connection");
    }
}

#[test]
fn each_job_of_the_disk_may_fail_and_the_session_goes_on() {
    for line in ["ls", "stat a", "download a"] {
        let mut pair = Pair::new();
        pair.server.store.put("a", b"a");
        pair.server.store.faults.job = Some(ErrorCode::Io);
        let (fails, works) = (pair.request(line), pair.request(line));
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::Io, "{line}");
        pair.number(works);
    }
}

#[test]
fn a_failed_staging_or_publishing_is_an_error_and_leaves_the_old_file() {
    for publishing in [false, true] {
        let mut pair = Pair::new();
        let first = pair.upload("a", b"old");
        pair.run();
        pair.number(first);
        let (fails, works) = (pair.upload("a", b"new"), pair.upload("b", b"other"));
        let faults = &mut pair.server.store.faults;
        let fault = if publishing { &mut faults.publish } else { &mut faults.job };
        *fault = Some(ErrorCode::NoSpace);
        pair.run();
        assert_eq!(pair.refusal(fails), ErrorCode::NoSpace);
        assert_eq!(pair.number(works), 5);
        assert_eq!(pair.server.store.content("a"), Some(&b"old"[..]));
        assert_eq!(pair.server.store.content("b"), Some(&b"other"[..]));
    }
}

#[test]
fn the_log_tells_what_happened() {
    let mut pair = Pair::new();
    pair.upload("a", b"12");
    pair.request("download b");
    pair.run();
    let path = |text: &[u8]| RemotePath::parse(text).unwrap();
    let finished = Event::Finished {
        direction: Direction::Upload,
        path: path(b"a"),
        offset: 0,
        length: 2,
        elapsed: std::time::Duration::ZERO,
    };
    let refused = Event::Refused { command: "download", code: ErrorCode::NotFound, path: path(b"b") };
    let received = [Verb::Upload, Verb::Download].map(|verb| Event::Received { command: verb.word() });
    let [upload, download] = received;
    assert_eq!(pair.server.events, [upload, finished, download, refused]);
}

#[test]
fn a_transfer_that_ends_with_its_session_is_in_the_log() {
    let mut pair = Pair::new();
    pair.server.store.put("long", &bytes(100_000, 1));
    pair.upload("first", b"1");
    pair.run();
    pair.request("download long");
    pair.server_reads(usize::MAX);
    pair.server_disk();
    let code = ErrorCode::Busy;
    assert!(pair.session.unfinished(pair.now).is_some());
    pair.session.handle(Fact::CrowdedOut(Scarcity::Sessions), pair.now);
    pair.perform();
    assert_eq!(pair.session.unfinished(pair.now), None, "it is told once");
    let broken_off = BrokenOff {
        direction: Direction::Download,
        path: RemotePath::parse(b"long").unwrap(),
        offset: 0,
        moved: 0,
        length: Length::Exact(100_000),
        elapsed: std::time::Duration::ZERO,
        code,
    };
    assert_eq!(pair.server.events.last(), Some(&Event::BrokenOff(Box::new(broken_off))));
}
