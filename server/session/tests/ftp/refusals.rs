//! The reply to every error, for what it may come of, before and after a transfer has begun.

use crate::desk::{Desk, MTIME, path, refused};
use ferry_common::error::ErrorCode;
use ferry_session::answer::{Answer, Subject};
use ferry_session::dialect::{Dialect, Heard};

/// What is said where a line is answered like that.
fn said(desk: &mut Desk, line: &str, answers: Vec<Answer>) -> String {
    desk.dialect.push(format!("{line}\r\n").as_bytes());
    assert!(matches!(desk.dialect.next(), Heard::Request(_)), "{line}");
    let text: Vec<u8> = answers.into_iter().flat_map(|answer| desk.dialect.text_of(answer)).collect();
    String::from_utf8(text).unwrap()
}

fn begun(line: &str) -> Answer {
    match &line[..4] {
        "RETR" => Answer::Sending { length: 5, mtime: MTIME, executable: false },
        "LIST" | "NLST" | "MLSD" => Answer::SendingListing,
        _ => Answer::Receiving { offset: 0 },
    }
}

#[test]
fn every_error_has_a_reply_whatever_it_comes_of() {
    for &code in ErrorCode::ALL {
        for line in [
            "RETR a",
            "STOR a",
            "APPE a",
            "STOU",
            "LIST",
            "MLSD",
            "STAT a",
            "CWD a",
            "SIZE a",
            "MDTM a",
            "MLST a",
            "RNFR a",
            "MKD a",
            "RMD a",
            "DELE a",
            "MFMT 20200101000000 a",
            "SITE CHMOD 755 a",
        ] {
            let mut desk = Desk::binary();
            desk.tell("PASV");
            let text = said(&mut desk, line, vec![refused(code, path("a"))]);
            assert!(matches!(text.as_bytes()[0], b'4' | b'5') && text.ends_with("\r\n"), "{line}: {text}");
            assert_eq!(text.lines().count(), 1, "{line}: {text}");
        }
        for line in ["RETR a", "STOR a", "APPE a", "STOU", "LIST", "NLST", "MLSD"] {
            let mut desk = Desk::binary();
            desk.tell("PASV");
            let text = said(&mut desk, line, vec![begun(line), refused(code, path("a"))]);
            let (first, last) = text.split_once("\r\n").unwrap();
            assert!(first.starts_with("150 ") && matches!(last.as_bytes()[0], b'4' | b'5'), "{line}: {text}");
        }
    }
}

#[test]
fn errors_of_transfers_have_the_codes_that_clients_know() {
    use ErrorCode::{
        BadLink, BadOffset, BadPath, BrokenOff, Busy, CannotStage, Changed, Denied, Exists, InUse, Io,
        NoParent, NoPartial, NoSpace, NotFound, NotRegular, ReadOnly, TimedOut,
    };
    for (line, code, before, after) in [
        ("RETR a", NotFound, 550, 550),
        ("RETR a", Denied, 550, 550),
        ("RETR a", NotRegular, 550, 550),
        ("RETR a", BadLink, 550, 550),
        ("RETR a", BadOffset, 554, 554),
        ("RETR a", TimedOut, 425, 426),
        ("RETR a", BrokenOff, 425, 426),
        ("RETR a", Busy, 425, 426),
        ("RETR a", Io, 451, 451),
        ("RETR a", Changed, 451, 451),
        ("STOR a", BadPath, 553, 550),
        ("STOR a", NoParent, 550, 550),
        ("STOR a", ReadOnly, 550, 550),
        ("STOR a", NoSpace, 452, 452),
        ("STOR a", NoPartial, 554, 554),
        ("STOR a", CannotStage, 451, 451),
        ("STOR a", BrokenOff, 425, 426),
        ("STOR a", TimedOut, 425, 426),
        ("STOR a", Io, 451, 451),
        ("STOR a", Exists, 550, 550),
        ("APPE a", InUse, 550, 550),
        ("STOU", Exists, 450, 450),
        ("LIST", NotFound, 550, 550),
        ("LIST", TimedOut, 425, 426),
        ("LIST", Changed, 451, 451),
    ] {
        for (mut answers, expected) in [(Vec::new(), before), (vec![begun(line)], after)] {
            let mut desk = Desk::binary();
            desk.tell("PASV");
            answers.push(refused(code, path("a")));
            let text = said(&mut desk, line, answers);
            let last = text.lines().last().unwrap();
            assert!(last.starts_with(&format!("{expected} ")), "{line} {code:?}: {text}, not {expected}");
        }
    }
}

#[test]
fn a_declared_size_that_did_not_come_is_named() {
    let mut desk = Desk::binary();
    for line in ["PASV", "ALLO 5"] {
        desk.tell(line);
    }
    let answers = vec![begun("STOR"), refused(ErrorCode::BrokenOff, path("a"))];
    assert!(
        said(&mut desk, "STOR a", answers)
            .contains("\r\n426 The connection broke off, or brought another size")
    );
    desk.tell("PASV");
    let text = said(&mut desk, "APPE a", vec![refused(ErrorCode::InUse, path("a"))]);
    assert_eq!(text, "550 An upload to this name broke off; send it whole.\r\n");
}

#[test]
fn a_port_that_cannot_be_had_is_no_way() {
    for line in ["PASV", "EPSV"] {
        let mut desk = Desk::binary();
        desk.tell("PORT 127,0,0,1,8,1");
        let answer = Answer::Refused { code: ErrorCode::Busy, subject: Subject::DataConnection };
        assert!(said(&mut desk, line, vec![answer]).starts_with("425 "));
        assert_eq!(desk.code("STOR x"), 425);
    }
}

#[test]
fn renames_and_root_have_words_of_their_own() {
    let mut desk = Desk::binary();
    desk.tell("RNFR a.txt");
    let subject = Subject::Rename { from: path("a.txt"), to: path("b") };
    let text = said(&mut desk, "RNTO b", vec![Answer::Refused { code: ErrorCode::BadPath, subject }]);
    assert_eq!(text, "553 This name cannot be used.\r\n");
    let text = said(&mut desk, "RMD /", vec![refused(ErrorCode::BadPath, path(""))]);
    assert_eq!(text, "550 Can't remove root directory.\r\n");
}

/// RFC 959, 4.2: it goes to its end with the code that it has begun with.
#[test]
fn a_listing_in_a_reply_that_breaks_off_ends_the_reply() {
    let answers = vec![Answer::Entries(b"-line\r\n".to_vec()), refused(ErrorCode::Changed, path("sub"))];
    let text = said(&mut Desk::binary(), "STAT sub", answers);
    let end = "213 The listing is not whole: this changed on the server meanwhile; try again\r\n";
    assert_eq!(text, format!("213-Status of \"/sub\":\r\n-line\r\n{end}"));
}

#[test]
fn what_does_not_concern_a_client_is_not_said() {
    let mut desk = Desk::binary();
    desk.tell("PASV");
    let answers = vec![Answer::Working, begun("STOR"), Answer::Received { bytes: 5 }, Answer::Working];
    assert_eq!(said(&mut desk, "STOR a", answers), "150 Send the file.\r\n");
    let ending = Answer::Ending { code: ErrorCode::ShuttingDown, reason: "the server is shutting down" };
    assert_eq!(desk.dialect.text_of(ending), b"421 the server is shutting down; closing\r\n");
}
