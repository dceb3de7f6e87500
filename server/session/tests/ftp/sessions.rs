//! The dialect in a session: what of it may interrupt a transfer, and what the end of the control connection means.

use crate::desk::{MTIME, POLICY, client};
use ferry_common::error::ErrorCode;
use ferry_common::wire::digest::Digest;
use ferry_session::action::{Action, End, Length, ListingPart, Opened, Publication, Way};
use ferry_session::dialect::AnyDialect;
use ferry_session::fact::Fact;
use ferry_session::limits::{LOGIN_TIMEOUT, TURN_LINES};
use ferry_session::{Policy, Session, ShowWho};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

struct Line {
    session: Session,
    now: Instant,
    /// What was said since it was last looked at.
    said: String,
    /// What is to be done, less what is said and logged.
    actions: Vec<Action>,
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "a test begins at some instant")]
    fn new() -> Self {
        let policy = Policy { data_port: 0, read_only: false, no_overwrite: false, show_who: ShowWho::None };
        let now = Instant::now();
        let session = Session::new(AnyDialect::ftp(POLICY, client("127.0.0.1")), policy, now);
        let mut line = Self { session, now, said: String::new(), actions: Vec::new() };
        line.collect();
        assert_eq!(line.take_said(), "220 Ferry is ready.\r\n");
        line
    }

    fn logged_in() -> Self {
        let mut line = Self::new();
        line.tell("USER x\r\nPASS y\r\nTYPE I\r\n");
        assert_eq!(line.codes(), "331 230 200");
        line
    }

    /// Its passive port has been connected to.
    fn connected() -> Self {
        let mut line = Self::logged_in();
        line.tell("EPSV\r\n");
        assert_eq!(line.actions, [Action::RequestData(Way::Passive)]);
        line.fact(Fact::Listening(SocketAddr::from(([127, 0, 0, 1], 2049))));
        assert_eq!(line.codes(), "229");
        line.fact(Fact::DataAttached);
        line.actions.clear();
        line
    }

    fn uploading() -> Self {
        let mut line = Self::connected();
        line.tell("STOR a\r\n");
        assert!(matches!(line.actions[..], [Action::Stage { .. }]));
        line.fact(Fact::Staged(Ok(0)));
        let receive = Action::Receive { offset: 0, length: Length::UntilClose, trailer: false };
        assert_eq!((line.codes(), line.actions.last()), ("150".to_owned(), Some(&receive)));
        line.fact(Fact::Arrived { bytes: 5 });
        line.fact(Fact::Moved { bytes: 5 });
        line.actions.clear();
        line
    }

    fn downloading() -> Self {
        let mut line = Self::connected();
        line.tell("RETR a\r\n");
        line.fact(Fact::Opened(Ok(Opened { size_bytes: 100, mtime: MTIME, executable: false })));
        assert_eq!(line.take_said(), "150 Sending the file (100 bytes).\r\n");
        line.fact(Fact::Moved { bytes: 40 });
        line.actions.clear();
        line
    }

    fn tell(&mut self, text: &str) {
        self.fact(Fact::Input(text.as_bytes()));
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.session.handle(fact, self.now);
        self.collect();
        self.session.handle(Fact::Turn { lines: TURN_LINES }, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(action) = self.session.poll_action() {
            if let Action::Reply(text) = action {
                self.said.push_str(std::str::from_utf8(&text).unwrap());
                self.session.handle(Fact::RepliesWritten(text.len()), self.now);
            } else if !matches!(action, Action::Log(_)) {
                self.actions.push(action);
            }
        }
    }

    fn take_said(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    /// Of what was said, the code of each reply.
    fn codes(&mut self) -> String {
        let said = self.take_said();
        let lasts = said.lines().filter(|line| line.as_bytes()[0] != b' ' && line.as_bytes()[3] == b' ');
        lasts.map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
    }

    fn publish(&mut self, result: Result<Digest, ErrorCode>) {
        let is_publication = |action: &&Action| matches!(action, Action::Publish(_));
        let Some(Action::Publish(Publication { id, .. })) = self.actions.iter().find(is_publication) else {
            panic!("nothing is published");
        };
        let id = *id;
        self.fact(Fact::Published { id, result });
    }
}

#[test]
fn an_upload_gets_its_name_and_the_commands_behind_it_their_turn() {
    let mut line = Line::uploading();
    line.tell("NOOP\r\nPWD\r\n");
    assert_eq!(line.codes(), "", "they wait");
    line.fact(Fact::DataEnded(End::Clean));
    line.publish(Ok(Digest::of(b"")));
    let said = line.take_said();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some(&*format!("226 Stored 5 bytes, xxh3-128 {}.", Digest::of(b""))));
    assert_eq!(lines.next(), Some("200 Nothing done."));
    assert_eq!(lines.next(), Some("257 \"/\" is the current directory."));
}

#[test]
fn a_transfer_that_is_aborted_ends_and_the_session_goes_on() {
    for (make, ends) in [
        (Line::uploading as fn() -> Line, [Action::CloseData(End::Clean), Action::Keep]),
        (Line::downloading, [Action::CloseData(End::Torn), Action::Discard]),
    ] {
        for abort in ["ABOR\r\n", "NOOP\r\nABOR\r\n", "abor\n"] {
            let mut line = make();
            line.tell(abort);
            assert_eq!(line.actions, ends);
            let expected = if abort.starts_with("NOOP") { "426 226 200" } else { "426 226" };
            assert_eq!(line.codes(), expected);
            line.tell("ABOR\r\nPWD\r\n");
            assert_eq!(line.codes(), "225 257");
        }
    }
}

/// The end of the data, or its loss, may come to the server first.
#[test]
fn an_abort_right_behind_a_transfer_that_was_broken_off_is_no_surprise() {
    let mut line = Line::uploading();
    line.fact(Fact::DataEnded(End::Torn));
    line.tell("ABOR\r\nABOR\r\n");
    assert_eq!(line.codes(), "426 226 225");
}

#[test]
fn a_client_that_logs_out_while_a_transfer_runs_has_no_rights_from_then_on_and_gets_the_transfer() {
    for (said, code) in [("REIN\r\n", "150"), ("USER other\r\n", "331")] {
        let mut line = Line::uploading();
        line.tell(said);
        line.tell("PWD\r\nNOOP\r\n");
        assert_eq!(line.codes(), format!("{code} 530"), "the NOOP waits");
        line.fact(Fact::DataEnded(End::Clean));
        line.publish(Ok(Digest::of(b"")));
        assert_eq!(line.codes(), "226 200");
        line.tell("PWD\r\n");
        assert_eq!(line.codes(), "530");
    }
}

#[test]
fn an_abort_with_the_bytes_of_telnet_is_one() {
    let mut line = Line::uploading();
    for piece in [&b"\xff"[..], b"\xf4\xff", b"\xf2AB", b"OR\r", b"\n"] {
        line.fact(Fact::Input(piece));
    }
    assert_eq!(line.codes(), "426 226");
}

#[test]
fn an_abort_takes_back_an_upload_that_waits_for_the_disk() {
    let mut line = Line::uploading();
    line.fact(Fact::DataEnded(End::Clean));
    let Some(Action::Publish(publication)) = line.actions.last() else { panic!("no publication") };
    let consent = publication.consent.clone().expect("the client must consent");
    line.tell("ABOR\r\n");
    assert!(!consent.holds(), "the file gets no name");
    assert_eq!(line.codes(), "");
    line.publish(Err(ErrorCode::BrokenOff));
    assert_eq!(line.codes(), "426 226");
}

#[test]
fn the_state_of_a_transfer_is_told_while_it_goes_on() {
    let mut line = Line::uploading();
    line.tell("STAT\r\n");
    assert_eq!(line.take_said(), "213-Transfer:\r\n 5 bytes received of /a\r\n213 End.\r\n");
    let mut line = Line::downloading();
    line.tell("NOOP\r\nSTAT\r\nSTAT /\r\n");
    assert_eq!(line.take_said(), "213-Transfer:\r\n 40 of 100 bytes sent of /a\r\n213 End.\r\n");
    assert_eq!(line.actions, []);
    line.tell("ABOR\r\n");
    assert_eq!(line.codes(), "426 226 200", "and then the listing is asked for");
    assert!(matches!(line.actions.last(), Some(Action::List(_))));
}

/// Between the lines of a reply there is room for no other.
#[test]
fn nothing_is_told_in_the_midst_of_a_listing_in_a_reply() {
    let mut line = Line::logged_in();
    line.tell("STAT /\r\n");
    line.tell("STAT\r\n");
    assert_eq!(line.take_said(), "");
    let part = ListingPart { text: b"-x\r\n".to_vec(), entries: 1, left_out: 0, next: None };
    line.fact(Fact::Listed(Ok(part)));
    let said = line.take_said();
    assert!(said.starts_with("213-Status of \"/\":\r\n-x\r\n213 Entries listed: 1.\r\n211-"), "{said}");
    line.tell("STAT /\r\n");
    line.tell("ABOR\r\n");
    assert_eq!(line.codes(), "451 226");
}

#[test]
fn a_session_ends_when_its_transfer_has() {
    for make in [Line::uploading as fn() -> Line, Line::downloading] {
        let mut line = make();
        line.tell("QUIT\r\nNOOP\r\n");
        assert_eq!((&*line.codes(), &line.actions[..]), ("150", &[][..]), "and goes on");
        line.tell("ABOR\r\n");
        assert_eq!(line.codes(), "426 226");
        assert_eq!(line.actions.last(), Some(&Action::Close));
    }
}

/// RFC 959, 5.1: an end without a goodbye takes back what is under way.
#[test]
fn the_end_of_the_control_connection_takes_an_upload_back_unless_quit_was_said() {
    for (said, is_taken_back) in
        [("", true), ("NOOP\r\n", true), ("QUI", true), ("QUIT\r\n", false), ("quit\n", false)]
    {
        let mut line = Line::uploading();
        line.tell(said);
        line.fact(Fact::EndOfInput);
        assert_eq!(line.actions.contains(&Action::Keep), is_taken_back, "{said}");
        if !is_taken_back {
            line.fact(Fact::DataEnded(End::Clean));
            line.publish(Ok(Digest::of(b"")));
            assert_eq!(line.codes(), "150 226");
        }
        assert_eq!(line.actions.last(), Some(&Action::Close), "{said}");
    }
}

#[test]
fn what_a_client_declares_is_what_must_come() {
    for (declared, is_whole) in [(5, true), (6, false), (4, false)] {
        let mut line = Line::connected();
        line.tell(&format!("ALLO {declared}\r\nSTOR a\r\n"));
        line.fact(Fact::Staged(Ok(0)));
        line.fact(Fact::Arrived { bytes: 5 });
        line.fact(Fact::Moved { bytes: 5 });
        assert_eq!(line.codes(), "200 150");
        line.fact(Fact::DataEnded(End::Clean));
        if is_whole {
            line.publish(Ok(Digest::of(b"")));
        }
        assert_eq!(line.codes(), if is_whole { "226" } else { "426" });
    }
}

#[test]
fn a_client_that_never_connects_is_told_so() {
    let mut line = Line::logged_in();
    line.tell("PASV\r\n");
    line.fact(Fact::Listening(SocketAddr::from(([127, 0, 0, 1], 2049))));
    line.tell("RETR a\r\n");
    line.fact(Fact::Opened(Ok(Opened { size_bytes: 100, mtime: MTIME, executable: false })));
    assert_eq!(line.codes(), "227");
    line.fact(Fact::Unreachable);
    assert_eq!(line.codes(), "425");
    line.tell("RETR a\r\n");
    line.fact(Fact::Opened(Ok(Opened { size_bytes: 100, mtime: MTIME, executable: false })));
    assert_eq!(line.codes(), "425", "nor is there a way without one");
    line.tell("RETR a\r\n");
    line.fact(Fact::Opened(Err(ErrorCode::NotFound)));
    assert_eq!(line.codes(), "550");
}

#[test]
fn a_login_has_its_time_and_only_the_first() {
    let mut line = Line::new();
    line.tell("USER x\r\nNOOP\r\n");
    assert_eq!(line.session.deadline(), line.now + LOGIN_TIMEOUT);
    line.now += LOGIN_TIMEOUT;
    line.fact(Fact::Timeout);
    assert_eq!(line.codes(), "331 200 421");
    let mut line = Line::logged_in();
    line.now += LOGIN_TIMEOUT + Duration::from_secs(1);
    line.tell("USER other\r\n");
    assert!(line.session.deadline() > line.now);
    line.fact(Fact::Timeout);
    assert_eq!(line.codes(), "331");
}

#[test]
fn reading_stops_where_the_inbox_is_full_and_goes_on_behind_the_transfer() {
    let mut line = Line::uploading();
    while line.session.wants_input() {
        line.tell("NOOP\r\n");
    }
    assert_eq!(line.codes(), "");
    line.fact(Fact::DataEnded(End::Torn));
    for _ in 0..1000 {
        line.fact(Fact::Turn { lines: TURN_LINES });
    }
    let codes = line.codes();
    assert!(codes.starts_with("426 200 ") && codes.len() > 4000, "{codes}");
    assert!(line.session.wants_input());
}

#[test]
fn a_session_that_is_turned_away_is_told_why() {
    let mut line = Line::new();
    let policy = Policy { data_port: 0, read_only: false, no_overwrite: false, show_who: ShowWho::None };
    let dialect = AnyDialect::ftp(POLICY, client("127.0.0.1"));
    line.session = Session::turned_away(dialect, policy, ErrorCode::Busy, line.now);
    line.collect();
    assert_eq!(line.codes(), "220 421");
    line = Line::uploading();
    line.fact(Fact::Shutdown);
    line.tell("ABOR\r\n");
    assert_eq!(line.codes(), "426 226 421");
}
