//! What the work and the session do for a dialect whose data connections come ahead or are made by the server, whose listings
//! go over them, and whose clients take uploads back: by a command in the middle, or by going.

use crate::meanwhile_dialect::{Meanwhile, PORT};
use crate::model::POLICY;
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use ferry_session::Session;
use ferry_session::action::{Action, Cursor, DirectoryIdentity, End, ListingPart, Opened, Publication, Way};
use ferry_session::consent::Consent;
use ferry_session::fact::Fact;
use ferry_session::limits::LOGIN_TIMEOUT;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

struct World {
    session: Session<Meanwhile>,
    now: Instant,
    /// What the client was told, since it was looked at last.
    said: String,
    consent: Option<Consent>,
    publication: Option<u64>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let session = Session::new(Meanwhile::default(), POLICY, now);
        let mut world = Self { session, now, said: String::new(), consent: None, publication: None };
        assert_eq!(world.perform(), []);
        assert_eq!(world.take_said(), "HELLO\n");
        world
    }

    /// Tells a fact, and gives what is asked of the shell about it, but for replies and the log.
    fn tell(&mut self, fact: Fact<'_>) -> Vec<Action> {
        self.session.handle(fact, self.now);
        self.perform()
    }

    fn perform(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.session.poll_action() {
            if let Action::Reply(text) = action {
                self.said.push_str(str::from_utf8(&text).unwrap());
                self.session.handle(Fact::RepliesWritten(text.len()), self.now);
            } else if let Action::Publish(Publication { id, consent, .. }) = action {
                self.publication = Some(id);
                self.consent = consent;
            } else if !matches!(action, Action::Log(_)) {
                actions.push(action);
            }
        }
        actions
    }

    fn hear(&mut self, lines: &str) -> Vec<Action> {
        self.tell(Fact::Input(lines.as_bytes()))
    }

    fn take_said(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    /// A data connection is there, ahead of what it is for.
    fn attach_ahead(&mut self) {
        assert_eq!(self.hear("OFFER\n"), [Action::RequestData(Way::Passive)]);
        assert_eq!(self.tell(Fact::Listening(ADDRESS)), []);
        assert_eq!(self.tell(Fact::DataAttached), []);
        assert_eq!(self.take_said(), "AT 127.0.0.1:5000\n");
    }

    /// An upload runs, of which so much has come.
    fn upload(&mut self, line: &str, bytes: u64) {
        self.attach_ahead();
        assert!(matches!(self.hear(line)[..], [Action::Stage { .. }]));
        assert!(matches!(self.tell(Fact::Staged(Ok(0)))[..], [Action::Receive { .. }]));
        assert_eq!(self.take_said(), "SEND\n");
        self.tell(Fact::Arrived { bytes });
        self.tell(Fact::Moved { bytes });
    }

    /// An upload has come whole, and waits for its name.
    fn upload_whole(&mut self) -> Consent {
        self.upload("PUT a\n", 10);
        assert_eq!(self.tell(Fact::DataEnded(End::Clean)), []);
        self.consent.clone().unwrap()
    }

    fn publish(&mut self) {
        let (id, consent) = (self.publication.unwrap(), self.consent.as_ref().unwrap());
        let result = if consent.holds() { Ok(Digest::of(b"")) } else { Err(ErrorCode::BrokenOff) };
        self.tell(Fact::Published { id, result });
    }
}

fn part(text: &str, next: Option<Cursor>) -> Fact<'static> {
    let entries = text.lines().count() as u64;
    Fact::Listed(Ok(ListingPart { text: text.as_bytes().to_vec(), entries, left_out: 1, next }))
}

fn opened(size_bytes: u64) -> Fact<'static> {
    Fact::Opened(Ok(Opened { size_bytes, mtime: FileTime::new(0, 0), executable: false }))
}

#[test]
fn a_data_connection_that_was_asked_for_ahead_serves_one_transfer() {
    let mut world = World::new();
    world.attach_ahead();
    assert!(matches!(world.hear("GET a\n")[..], [Action::Open { .. }]));
    assert!(matches!(world.tell(opened(3))[..], [Action::Send { length: 3, .. }]));
    assert!(matches!(world.tell(Fact::Moved { bytes: 3 })[..], [Action::Check { .. }]));
    let done = world.tell(Fact::Checked(Ok(None)));
    assert_eq!(done, [Action::CloseData(End::Clean), Action::Discard]);
    assert_eq!(world.take_said(), "LENGTH 3\nDONE 3\n");
    // Nothing was offered for the next.
    world.hear("GET a\n");
    assert_eq!(world.tell(opened(3)), [Action::Discard]);
    assert_eq!(world.take_said(), "FAILED timed-out\n");
}

#[test]
fn a_transfer_waits_for_the_connection_that_was_offered_and_no_longer_than_that_is_possible() {
    for comes in [true, false] {
        let mut world = World::new();
        world.hear("OFFER\n");
        world.tell(Fact::Listening(ADDRESS));
        world.hear("GET a\n");
        assert_eq!(world.tell(opened(3)), []);
        world.take_said();
        if comes {
            assert!(matches!(world.tell(Fact::DataAttached)[..], [Action::Send { .. }]));
            assert_eq!(world.take_said(), "LENGTH 3\n");
        } else {
            assert_eq!(world.tell(Fact::Unreachable), [Action::Discard]);
            assert_eq!(world.take_said(), "FAILED timed-out\n");
        }
    }
}

#[test]
fn a_port_that_cannot_be_had_and_one_that_nothing_came_to_are_told() {
    let mut world = World::new();
    world.hear("OFFER\n");
    assert_eq!(world.tell(Fact::Unreachable), []);
    assert_eq!(world.take_said(), "FAILED io\n");
    world.hear("OFFER\n");
    world.tell(Fact::Listening(ADDRESS));
    world.take_said();
    assert_eq!(world.tell(Fact::Unreachable), [], "its time is over before a transfer comes");
    assert_eq!(world.take_said(), "");
    // Room that does not come in time.
    world.hear("OFFER\n");
    world.now = world.session.deadline();
    assert_eq!(world.tell(Fact::Timeout), [Action::CancelData]);
    assert_eq!(world.take_said(), "FAILED busy\n");
}

#[test]
fn another_offer_takes_the_place_of_the_first_and_one_can_be_dropped() {
    let mut world = World::new();
    world.attach_ahead();
    let again = [Action::CloseData(End::Clean), Action::RequestData(Way::Passive)];
    assert_eq!(world.hear("OFFER\n"), again);
    world.tell(Fact::Listening(ADDRESS));
    world.take_said();
    assert_eq!(world.hear("DROP\n"), [Action::CancelData]);
    assert_eq!(world.hear("DROP\n"), []);
    assert_eq!(world.take_said(), "DONE\nDONE\n");
}

#[test]
fn a_refused_request_takes_its_data_connection_with_it() {
    for (line, refusal) in [
        ("GET a\n", Fact::Opened(Err(ErrorCode::NotFound))),
        ("PUT a\n", Fact::Staged(Err(ErrorCode::NotFound))),
        ("LIST a\n", Fact::Listed(Err(ErrorCode::NotFound))),
    ] {
        let mut world = World::new();
        world.attach_ahead();
        world.hear(line);
        assert!(world.tell(refusal).contains(&Action::CloseData(End::Clean)), "{line}");
        assert_eq!(world.take_said(), "FAILED not-found\n");
    }
}

#[test]
fn the_server_connects_where_the_client_wants_that() {
    let mut world = World::new();
    assert_eq!(world.hear("ACTIVE\n"), [Action::RequestData(Way::Active { port: PORT })]);
    assert_eq!(world.tell(Fact::Connecting), []);
    assert_eq!(world.take_said(), "DONE\n");
    world.hear("GET a\n");
    assert_eq!(world.tell(opened(3)), [], "the connection is not there yet");
    assert!(matches!(world.tell(Fact::DataAttached)[..], [Action::Send { .. }]));
    assert_eq!(world.take_said(), "LENGTH 3\n");
    // The client refuses it, before its transfer or behind it.
    for is_before in [true, false] {
        let mut world = World::new();
        world.hear("ACTIVE\n");
        world.tell(Fact::Connecting);
        world.take_said();
        if is_before {
            world.tell(Fact::Unreachable);
        }
        world.hear("GET a\n");
        let opened = world.tell(opened(3));
        let ended = if is_before { opened } else { world.tell(Fact::Unreachable) };
        assert_eq!(ended, [Action::Discard]);
        assert_eq!(world.take_said(), "FAILED timed-out\n");
    }
}

#[test]
fn a_listing_goes_over_the_data_connection_part_by_part() {
    let directory = DirectoryIdentity { device: 1, inode: 2, made: None };
    let next = Some(Cursor { directory, position: 7 });
    let mut world = World::new();
    world.attach_ahead();
    world.hear("LIST a\n");
    assert_eq!(world.take_said(), "");
    assert_eq!(world.tell(part("one\ntwo\n", next)), [Action::SendText(b"one\ntwo\n".to_vec())]);
    assert_eq!(world.take_said(), "NAMES\n");
    assert_eq!(world.tell(Fact::Moved { bytes: 5 }), [], "the rest of the part comes first");
    let more = world.tell(Fact::Moved { bytes: 3 });
    assert!(matches!(&more[..], [Action::List(query)] if query.cursor == next));
    // A part of which nothing is to be told.
    assert!(matches!(&world.tell(part("", next))[..], [Action::List(_)]));
    assert_eq!(world.tell(part("three\n", None)), [Action::SendText(b"three\n".to_vec())]);
    assert_eq!(world.tell(Fact::Moved { bytes: 6 }), [Action::CloseData(End::Clean)]);
    assert_eq!(world.take_said(), "LISTED 3 3\n");
}

#[test]
fn a_listing_that_cannot_go_on_has_no_clean_end() {
    let directory = DirectoryIdentity { device: 1, inode: 2, made: None };
    let next = Some(Cursor { directory, position: 7 });
    let mut world = World::new();
    world.attach_ahead();
    world.hear("LIST a\n");
    world.tell(part("one\n", next));
    world.tell(Fact::Moved { bytes: 4 });
    let ended = world.tell(Fact::Listed(Err(ErrorCode::Changed)));
    assert_eq!(ended, [Action::CloseData(End::Torn), Action::Discard]);
    assert_eq!(world.take_said(), "NAMES\nFAILED changed\n");
}

#[test]
fn an_upload_is_what_its_client_has_declared_or_nothing() {
    for (declared, is_whole) in [(10, true), (11, false), (9, false)] {
        let mut world = World::new();
        world.upload(&format!("PUT a {declared}\n"), 10);
        let ended = world.tell(Fact::DataEnded(End::Clean));
        assert_eq!(world.publication.is_some(), is_whole, "{declared}");
        assert_eq!(ended, if is_whole { vec![] } else { vec![Action::Keep] });
    }
}

#[test]
fn an_upload_whose_client_goes_before_it_has_its_name_gets_none() {
    let mut world = World::new();
    world.upload("PUT a\n", 10);
    let gone = world.tell(Fact::EndOfInput);
    assert_eq!(gone, [Action::CloseData(End::Clean), Action::Keep, Action::Close], "in the middle of it");
    assert!(world.publication.is_none());

    let mut world = World::new();
    let consent = world.upload_whole();
    assert!(consent.holds());
    world.tell(Fact::EndOfInput);
    assert!(!consent.holds(), "while the disk has it");
    world.publish();
    assert_eq!(world.take_said(), "FAILED broken-off\n");

    let mut world = World::new();
    let consent = world.upload_whole();
    drop(world);
    assert!(!consent.holds(), "the connection was reset");
}

#[test]
fn a_client_that_has_said_goodbye_gets_what_it_has_asked_for() {
    let mut world = World::new();
    let consent = world.upload_whole();
    world.hear("BYE\n");
    world.tell(Fact::EndOfInput);
    assert!(consent.holds());
    world.publish();
    assert_eq!(world.take_said(), "DONE 10\nBYE?\n");
}

#[test]
fn nothing_that_a_client_has_asked_for_before_it_went_is_uploaded_behind_its_back() {
    let mut world = World::new();
    world.upload("PUT a\n", 10);
    world.hear("PUT b\n");
    let gone = world.tell(Fact::EndOfInput);
    assert!(!gone.iter().any(|action| matches!(action, Action::Stage { .. })), "{gone:?}");
    assert_eq!(world.take_said(), "FAILED broken-off\nFAILED broken-off\n");
}

#[test]
fn an_abort_ends_the_transfer_in_whatever_state_it_is() {
    let mut world = World::new();
    world.upload("PUT a\n", 10);
    assert_eq!(world.hear("ABORT\n"), [Action::CloseData(End::Clean), Action::Keep]);
    assert_eq!(world.take_said(), "FAILED broken-off\nABORTED\n");

    let mut world = World::new();
    let consent = world.upload_whole();
    world.hear("OFFER\nABORT\n");
    assert!(!consent.holds());
    assert_eq!(world.take_said(), "", "what is owed comes first");
    world.publish();
    assert_eq!(world.take_said(), "FAILED broken-off\nABORTED\n");

    let mut world = World::new();
    world.attach_ahead();
    world.hear("GET a\n");
    world.tell(opened(3));
    assert_eq!(world.hear("ABORT\n"), [Action::CloseData(End::Torn), Action::Discard]);
    assert_eq!(world.take_said(), "LENGTH 3\nFAILED broken-off\nABORTED\n");
    // Where nothing is under way, it is a command like others.
    world.hear("ABORT\n");
    assert_eq!(world.take_said(), "ABORT?\n");
}

#[test]
fn a_question_in_the_middle_is_answered_and_everything_else_waits() {
    let mut world = World::new();
    world.upload("PUT a\n", 10);
    world.hear("OFFER\nWHAT\n");
    assert_eq!(world.take_said(), "MOVED Some(10)\n");
    assert!(world.session.wants_input());
    world.hear("DROP\nDROP\nDROP\n");
    assert!(!world.session.wants_input(), "so much is held and no more");
    world.tell(Fact::DataEnded(End::Clean));
    world.publish();
    assert_eq!(world.take_said(), "DONE 10\n");
    assert!(world.session.wants_input());
}

#[test]
fn who_does_not_begin_in_time_is_let_go_whatever_else_is_sent() {
    let mut world = World::new();
    let begun = world.now;
    assert_eq!(world.session.deadline(), begun + LOGIN_TIMEOUT);
    world.now = begun + LOGIN_TIMEOUT - Duration::from_millis(1);
    assert_eq!(world.tell(Fact::Timeout), []);
    world.now = begun + LOGIN_TIMEOUT;
    assert_eq!(world.tell(Fact::Timeout), [Action::Close]);
    assert_eq!(world.take_said(), "FAILED timed-out\n");
    let mut world = World::new();
    world.attach_ahead();
    assert!(world.session.deadline() > world.now + LOGIN_TIMEOUT);
}
