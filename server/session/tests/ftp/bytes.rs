//! Whatever bytes come, and in whatever pieces.

use crate::desk::{Desk, POLICY, client};
use ferry_session::dialect::{AnyDialect, Dialect, Heard};
use ferry_session::limits::{FTP_LINE_MAX_BYTES, FTP_LOGIN_LINE_MAX_BYTES};
use ferry_session::request::Request;
use proptest::collection::vec;
use proptest::prelude::*;

/// All that is said and asked.
fn outcome(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Request>, bool) {
    let (mut desk, mut said) = (Desk::logged_in(), Vec::new());
    for piece in pieces {
        desk.dialect.push(piece);
        said.extend(desk.hear_all());
    }
    (said, desk.asked, desk.has_ended)
}

const STREAM: &[u8] = b"TYPE I\r\nREST 2\nEPSV\r\nRETR a.txt\r\nMKD \xff\xffx y \r\nSTAT /\r\n\xff\xf4\xff\xf2ABOR\r\n\
    \xff\xfb\x01CWD sub\r\n\r\nNONE\r\nSTOR  a\rb\r\nPASV\r\nSTOR \xc3\xa9\r\nMLST\r\n\xf4\xffabor\r\nQUIT\r\nNOOP\r\n";

#[test]
fn every_cut_of_the_stream_is_heard_alike() {
    let whole = outcome(&[STREAM]);
    assert!(whole.2 && whole.1.len() == 8, "{:?}", whole.1);
    assert_eq!(outcome(&STREAM.chunks(1).collect::<Vec<_>>()), whole);
    for cut in 0..=STREAM.len() {
        assert_eq!(outcome(&[&STREAM[..cut], &STREAM[cut..]]), whole, "cut at {cut}");
    }
}

/// A line of so many bytes, in pieces of such a length; what is said to it, where anything is.
fn long_line(mut desk: Desk, length: usize, end: &str, piece: usize) -> (String, bool) {
    let line = [&b"CWD "[..], &vec![b'x'; length - 4], end.as_bytes()].concat();
    let mut said = Vec::new();
    for piece in line.chunks(piece) {
        assert!(desk.dialect.has_room(), "the rest of a line that is short enough is welcome");
        desk.dialect.push(piece);
        said.extend(desk.hear_all());
        if desk.has_ended {
            break;
        }
    }
    (String::from_utf8(said).unwrap(), desk.has_ended)
}

#[test]
fn the_longest_line_passes_and_one_byte_more_ends_the_session() {
    for (make, max_bytes) in
        [(Desk::logged_in as fn() -> Desk, FTP_LINE_MAX_BYTES), (Desk::new, FTP_LOGIN_LINE_MAX_BYTES)]
    {
        for piece in [1, 7, 1000, usize::MAX] {
            for end in ["\r\n", "\n"] {
                let (said, has_ended) = long_line(make(), max_bytes, end, piece);
                assert!(!has_ended && (said.starts_with("550") || said.starts_with("530")), "{said}");
                let (said, has_ended) = long_line(make(), max_bytes + 1, end, piece);
                assert_eq!((&said[..], has_ended), ("500 The line is too long; closing.\r\n", true));
            }
        }
        // It need not end.
        let mut desk = make();
        while desk.dialect.has_room() {
            desk.dialect.push(b"x");
            desk.hear_all();
        }
        assert!(desk.has_ended && desk.dialect.held_bytes() == max_bytes + 2);
    }
}

#[test]
fn no_more_than_the_inbox_holds_is_welcome_while_a_request_is_worked_on() {
    let mut desk = Desk::logged_in();
    let mut pushed = 0;
    while desk.dialect.has_room() {
        desk.dialect.push(b"NOOP\r\n");
        pushed += 1;
    }
    assert!((FTP_LINE_MAX_BYTES..FTP_LINE_MAX_BYTES + 10).contains(&(pushed * 6)));
    assert_eq!(desk.dialect.held_bytes(), pushed * 6);
    assert!(!desk.dialect.awaits_more());
    assert_eq!(desk.hear_all().len(), pushed * "200 Nothing done.\r\n".len());
    assert!(desk.dialect.has_room() && desk.dialect.held_bytes() == 0);
    desk.dialect.push(b"NO");
    assert!(desk.dialect.awaits_more() && desk.dialect.held_bytes() == 2);
    desk.dialect.clear();
    assert!(!desk.dialect.awaits_more() && desk.dialect.held_bytes() == 0);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "USER x",
        "PASS",
        "EPSV",
        "PASV",
        "PORT ",
        "EPRT |1|",
        "LIST",
        "MLSD",
        "MLST ",
        "RETR ",
        "STOR ",
        "APPE ",
        "STOU",
        "REST ",
        "ALLO ",
        "SITE CHMOD 7",
        "OPTS MLST ",
        "STAT",
        "ABOR",
        "QUIT",
        "RNFR ",
        "RNTO ",
        "MFMT 2020",
        "CWD ",
        "TYPE ",
        "HELP ",
        "REIN",
        "/..",
        "~",
        "a.txt",
        "sub/",
        "127,0,0,1,8,1",
        "127.0.0.1|2049|",
        "0101000000 ",
        "55 ",
        "\r\n",
        "\r\n",
        "\n",
        " ",
        "18446744073709551616",
    ]);
    prop_oneof![
        4 => word.prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
        1 => vec(prop::sample::select(vec![0xff, 0xf4, 0xf2, 0xfb, b'\r', b'\n', 0]), 0..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing that comes leads to a panic, to a path that leads out, or to different things by how it was cut.
    #[test]
    fn anything_may_come(pieces in vec(piece(), 0..40), cut in any::<prop::sample::Index>()) {
        let stream = [&b"USER x\r\nPASS y\r\n"[..], &pieces.concat()].concat();
        let cut = cut.index(stream.len() + 1);
        let run = |pieces: &[&[u8]]| {
            let (mut desk, mut said) = (Desk::new(), Vec::new());
            for piece in pieces {
                desk.dialect.push(piece);
                while desk.dialect.interruption(None).is_some() {}
                said.extend(desk.hear_all());
            }
            (said, desk.asked, desk.has_ended)
        };
        run(&[&stream]);
        run(&[&stream[..cut], &stream[cut..]]);
        let whole = outcome(&[&stream]);
        prop_assert_eq!(outcome(&[&stream[..cut], &stream[cut..]]), whole.clone());
        for request in &whole.1 {
            let shown = format!("{request:?}");
            prop_assert!(!shown.contains("/../") && !shown.contains("/./") && !shown.contains("//"), "{}", shown);
        }
        // Every reply has a code, and lines end as they should.
        for line in whole.0.split_inclusive(|&byte| byte == b'\n') {
            prop_assert!(line.ends_with(b"\r\n"));
            prop_assert!(!line[..line.len() - 2].contains(&b'\r'));
        }
    }

    /// What has come is never looked at twice, and lines that interrupt leave the others as they are.
    #[test]
    fn interruptions_are_taken_out_from_between_other_lines(
        lines in vec(prop::sample::select(vec!["NOOP", "ABOR", "STAT", "STAT x", "QUIT", "abor", "ABOR x", ""]), 0..20),
        taken in 0..6_usize,
    ) {
        let mut dialect = AnyDialect::ftp(POLICY, client("127.0.0.1"));
        for (number, line) in lines.iter().enumerate() {
            dialect.push(format!("{line}\r\n").as_bytes());
            if number % 6 == taken {
                while dialect.interruption(None).is_some() {}
            }
        }
        let is_interrupting = |line: &&&str| matches!(**line, "ABOR" | "abor" | "STAT");
        while dialect.interruption(None).is_some() {}
        prop_assert!(dialect.interruption(None).is_none());
        prop_assert_eq!(dialect.has_said_goodbye(), lines.contains(&"QUIT"));
        let rest: Vec<_> = lines.iter().filter(|line| !is_interrupting(line)).collect();
        prop_assert_eq!(dialect.held_bytes(), rest.iter().map(|line| line.len() + 2).sum::<usize>());
        for _ in rest {
            prop_assert!(!matches!(dialect.next(), Heard::Nothing));
        }
        prop_assert!(matches!(dialect.next(), Heard::Nothing));
    }
}
