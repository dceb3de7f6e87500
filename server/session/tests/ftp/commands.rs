//! Every command, in every state that a session can be in.

use crate::desk::{Desk, POLICY, client, path};
use ferry_common::wire::command::Conditions;
use ferry_common::wire::file_time::FileTime;
use ferry_session::action::{Change, Event, Query, Removable, Way};
use ferry_session::dialect::ftp::FtpPolicy;
use ferry_session::dialect::{Dialect, Heard};
use ferry_session::request::{Request, Via};

/// Every command, and the code of the last reply to it: of a client that is not logged in, and of one that is.
const COMMANDS: &[(&str, u16, u16)] = &[
    ("ABOR", 530, 225),
    ("ACCT x", 202, 202),
    ("ALLO 5", 530, 200),
    ("APPE a.txt", 530, 425),
    ("AUTH TLS", 502, 502),
    ("CDUP", 530, 250),
    ("CLNT x", 200, 200),
    ("CWD sub", 530, 250),
    ("DELE sub/b.txt", 530, 250),
    ("EPRT |1|127.0.0.1|2049|", 530, 200),
    ("EPSV", 530, 229),
    ("FEAT", 211, 211),
    ("HELP", 214, 214),
    ("HOST nas.local", 220, 220),
    ("LIST", 530, 226),
    ("MDTM a.txt", 530, 213),
    ("MFMT 20200101000000 a.txt", 530, 213),
    ("MKD new", 530, 257),
    ("MLSD", 530, 226),
    ("MLST", 530, 250),
    ("MODE S", 530, 200),
    ("NLST", 530, 226),
    ("NOOP", 200, 200),
    ("OPTS UTF8 ON", 200, 200),
    ("OPTS MLST type;", 530, 200),
    ("PASS x", 503, 503),
    ("PASV", 530, 227),
    ("PBSZ 0", 502, 502),
    ("PORT 127,0,0,1,8,1", 530, 200),
    ("PROT P", 502, 502),
    ("PWD", 530, 257),
    ("QUIT", 221, 221),
    ("REIN", 530, 220),
    ("REST 0", 530, 350),
    ("RETR a.txt", 530, 226),
    ("RMD sub/deep", 530, 250),
    ("RNFR a.txt", 530, 350),
    ("RNTO b", 530, 503),
    ("SITE HELP", 214, 214),
    ("SITE CHMOD 755 a.txt", 530, 200),
    ("SIZE a.txt", 530, 550),
    ("SMNT x", 530, 504),
    ("STAT", 211, 211),
    ("STAT a.txt", 530, 213),
    ("STOR new", 530, 425),
    ("STOU", 530, 425),
    ("STRU F", 530, 200),
    ("SYST", 215, 215),
    ("TYPE I", 530, 200),
    ("USER x", 331, 331),
    ("XCUP", 530, 250),
    ("XCWD sub", 530, 250),
    ("XMKD new", 530, 257),
    ("XPWD", 530, 257),
    ("XRMD sub/deep", 530, 250),
    ("NONE", 500, 500),
    ("SITE NONE", 530, 500),
];

/// What every reply is to look like (RFC 959, 4.2).
fn assert_is_reply(line: &str, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        let code = &rest[..3];
        assert!(code.bytes().all(|byte| byte.is_ascii_digit()), "{line}: {text:?}");
        let (first, mut behind) = rest.split_once("\r\n").unwrap();
        if first.as_bytes()[3] == b'-' {
            loop {
                let (inner, after) = behind.split_once("\r\n").expect("an end to the reply");
                behind = after;
                if inner.starts_with(&format!("{code} ")) {
                    break;
                }
                assert!(!inner.as_bytes()[0].is_ascii_digit(), "{line}: {text:?}");
            }
        } else {
            assert_eq!(first.as_bytes()[3], b' ', "{line}: {text:?}");
        }
        rest = behind;
    }
}

#[test]
fn every_command_has_its_reply_before_and_after_the_login() {
    for &(line, before, after) in COMMANDS {
        for (mut desk, code) in [(Desk::new(), before), (Desk::logged_in(), after)] {
            let text = desk.tell(line);
            assert_is_reply(line, &text);
            let last = text.lines().last().unwrap();
            assert!(last.starts_with(&format!("{code} ")), "{line}: {text:?}, not {code}");
            assert_eq!(desk.has_ended, line == "QUIT");
        }
    }
}

#[test]
fn nothing_is_asked_before_a_login() {
    for (line, ..) in COMMANDS {
        for lines in [vec![*line], vec!["USER x", line]] {
            let mut desk = Desk::new();
            lines.into_iter().filter(|line| !line.starts_with("PASS")).for_each(|line| drop(desk.tell(line)));
            assert_eq!(desk.asked, [], "{line}");
            assert!(desk.dialect.awaits_login());
        }
    }
    assert_eq!(Desk::new().tell("stat /"), "530 Log in with USER and PASS first.\r\n");
    assert!(!Desk::logged_in().dialect.awaits_login());
}

#[test]
fn arguments_are_needed_or_not_there() {
    let needed = [
        "ALLO",
        "APPE",
        "DELE",
        "EPRT",
        "MDTM",
        "MFMT",
        "MKD",
        "MODE",
        "OPTS",
        "PORT",
        "REST",
        "RETR",
        "RMD",
        "RNFR",
        "RNTO",
        "SITE CHMOD",
        "SITE",
        "SIZE",
        "STOR",
        "STRU",
        "TYPE",
        "USER",
        "XMKD",
        "XRMD",
    ];
    for verb in needed {
        let text = Desk::logged_in().tell(verb);
        assert_eq!(text, "501 Syntax error: command needs an argument.\r\n", "{verb}");
    }
    for verb in ["ABOR", "CDUP", "FEAT", "NOOP", "PASV", "PWD", "QUIT", "REIN", "SYST", "XCUP", "XPWD"] {
        let text = Desk::logged_in().tell(format!("{verb} arg"));
        assert_eq!(text, "501 Syntax error: command does not accept arguments.\r\n", "{verb}");
        assert!(Desk::logged_in().code(format!("{verb} ")) < 400, "{verb}");
    }
}

#[test]
fn logging_in_takes_a_name_and_a_password_of_any_kind() {
    let mut desk = Desk::new();
    assert_eq!(desk.tell("PASS x"), "503 Login with USER first.\r\n");
    assert_eq!(desk.code("USER anonymous"), 331);
    assert_eq!(desk.code("PWD"), 530);
    assert_eq!(desk.code("PASS"), 230);
    assert_eq!(desk.tell("PASS x"), "503 User already authenticated.\r\n");
    desk.tell("CWD sub");
    desk.tell("TYPE I");
    assert_eq!(desk.tell("USER other"), "331 Previous account information was flushed, send password.\r\n");
    assert_eq!(desk.code("PWD"), 530);
    assert_eq!(desk.code("PASS "), 230);
    assert_eq!(desk.tell("PWD"), "257 \"/\" is the current directory.\r\n");
    assert_eq!(desk.code("SIZE a.txt"), 550, "the type is what it was at the beginning");
    assert_eq!(desk.request("REIN"), Request::DropOffer);
    assert_eq!((desk.code("PWD"), desk.code("USER x"), desk.code("PASS x")), (530, 331, 230));
    desk.tell("REIN");
    assert!(!desk.dialect.awaits_login(), "the time for the first login has no end for others");
}

#[test]
fn a_password_is_shown_nowhere() {
    let mut desk = Desk::new();
    desk.tell("USER somebody");
    desk.dialect.push(b"PASS open-sesame\r");
    assert!(!format!("{desk:?}").contains("sesame"));
    desk.dialect.push(b"\n");
    assert!(!format!("{desk:?}").contains("sesame"));
    let heard = desk.dialect.next();
    assert!(
        matches!(&heard, Heard::Answered(answered) if answered.event == Event::Received { command: "PASS" })
    );
    assert!(!format!("{heard:?} {desk:?}").contains("sesame"));
    // Said where no password is expected.
    for line in ["PASS open-sesame", "PAS open-sesame", "open-sesame"] {
        desk.dialect.push(format!("{line}\r\n").as_bytes());
        assert!(!format!("{:?} {desk:?}", desk.dialect.next()).contains("sesame"));
    }
}

#[test]
fn folders_are_gone_to_and_told() {
    let mut desk = Desk::logged_in();
    for (line, reply) in [
        ("CWD sub", "250 \"/sub\" is the current directory."),
        ("CWD deep/", "250 \"/sub/deep\" is the current directory."),
        ("CDUP", "250 \"/sub\" is the current directory."),
        ("CWD ..", "250 \"/\" is the current directory."),
        ("CWD ..", "250 \"/\" is the current directory."),
        ("CWD ~/sub", "250 \"/sub\" is the current directory."),
        ("CWD a.txt", "550 No such file or directory."),
        ("CWD /a.txt", "550 Not a directory."),
        ("PWD", "257 \"/sub\" is the current directory."),
        ("CWD", "250 \"/\" is the current directory."),
        ("MKD a \"b\"", "257 \"/a \"\"b\"\"\" directory created."),
        ("CWD a \"b\"", "250 \"/a \"\"b\"\"\" is the current directory."),
        ("CWD .ferry-staging", "550 This name cannot be used."),
        ("MKD .ferry-staging", "553 This name cannot be used."),
        ("MKD a\0b", "553 This name cannot be used."),
    ] {
        assert_eq!(desk.tell(line), format!("{reply}\r\n"), "{line}");
    }
}

#[test]
fn names_are_changed() {
    let mut desk = Desk::logged_in();
    let change = |desk: &mut Desk, line: &str| {
        let request = desk.request(line);
        let Request::Change(change) = request else { panic!("{request:?}") };
        change
    };
    assert_eq!(change(&mut desk, "MKD /x/../y"), Change::Mkdir { path: path("y"), follow: None });
    assert_eq!(
        change(&mut desk, "RMD y"),
        Change::Rm { path: path("y"), what: Removable::Directory, conditions: Conditions::NONE }
    );
    assert_eq!(desk.code("RMD a.txt"), 550);
    assert_eq!(desk.code("RMD nothing"), 550);
    assert_eq!(
        change(&mut desk, "DELE sub"),
        Change::Rm { path: path("sub"), what: Removable::File, conditions: Conditions::NONE }
    );
    let mtime = FileTime::new(1_577_836_800, 500_000_000);
    let expected = Change::Mtime { path: path("a.txt"), mtime };
    assert_eq!(change(&mut desk, "MFMT 20200101000000.5 a.txt"), expected);
    for (mode, executable) in [("755", true), ("0644", false), ("100", true), ("677", false)] {
        let expected = Change::Chmod { path: path("a.txt"), executable };
        assert_eq!(change(&mut desk, &format!("SITE CHMOD {mode} a.txt")), expected, "{mode}");
    }
    for (line, reply) in [
        ("MKD sub", "550 File exists."),
        ("MFMT a.txt", "501 Syntax error: MFMT needs a time and a path."),
        ("MFMT 20170921 a.txt", "501 Invalid time format; YYYYMMDDHHMMSS is expected."),
        ("SITE CHMOD 777", "501 Syntax error: SITE CHMOD needs two arguments."),
        ("SITE CHMOD 778 a.txt", "501 Invalid SITE CHMOD format."),
        ("SITE CHMOD -17 a.txt", "501 Invalid SITE CHMOD format."),
        ("SITE CHMOD 77777777777777777777 a.txt", "501 Invalid SITE CHMOD format."),
        ("SITE CHMOD u+x a.txt", "501 Invalid SITE CHMOD format."),
    ] {
        assert_eq!(desk.tell(line), format!("{reply}\r\n"), "{line}");
    }
}

#[test]
fn a_rename_takes_two_commands_with_nothing_in_between() {
    let mut desk = Desk::logged_in();
    assert_eq!(desk.request("RNFR a.txt"), Request::Query(Query::Stat { path: path("a.txt") }));
    let expected = Change::Mv { from: path("a.txt"), to: path("sub/c"), replace: true };
    assert_eq!(desk.request("RNTO sub/c"), Request::Change(expected));
    assert_eq!(desk.tell("RNTO d"), "503 Bad sequence of commands: use RNFR first.\r\n");
    for between in ["NOOP", "PWD", "RNFR nothing", "CWD sub"] {
        assert_eq!(desk.code("RNFR /sub/c"), 350);
        desk.tell(between);
        assert_eq!(desk.code("RNTO d"), 503, "{between}");
    }
    assert_eq!(desk.tell("RNFR /"), "550 Can't rename home directory.\r\n");
}

#[test]
fn settings_are_taken_or_refused() {
    let mut desk = Desk::logged_in();
    for (line, reply) in [
        ("TYPE A", "200 Type set to: ASCII; files are sent unchanged."),
        ("TYPE a n", "200 Type set to: ASCII; files are sent unchanged."),
        ("type l8", "200 Type set to: Binary."),
        ("TYPE L 8", "200 Type set to: Binary."),
        ("TYPE L7", "200 Type set to: ASCII; files are sent unchanged."),
        ("TYPE E", "504 Unsupported type; use A or I."),
        ("STRU f", "200 File transfer structure set to: F."),
        ("STRU R", "504 Unimplemented STRU type."),
        ("STRU ?", "501 Unrecognized STRU type."),
        ("MODE s", "200 Transfer mode set to: S."),
        ("MODE B", "504 Unimplemented MODE type."),
        ("MODE Z", "501 Unrecognized MODE type."),
        ("OPTS UTF8 ON", "200 UTF8 is always on."),
        ("opts utf8 on", "200 UTF8 is always on."),
        ("OPTS UTF8", "200 UTF8 is always on."),
        ("OPTS UTF8 OFF", "501 UTF8 is always on."),
        ("OPTS none", "501 Unsupported command."),
        ("ALLO 5 R 7", "200 The next upload is whole with 5 bytes."),
        ("ALLO x", "202 No storage allocation necessary."),
        ("ALLO 0", "202 No storage allocation necessary."),
        ("REST 10", "501 Resuming transfers not allowed in ASCII mode."),
        ("SIZE a.txt", "550 SIZE not allowed in ASCII mode."),
        ("TYPE I", "200 Type set to: Binary."),
        ("REST 10", "350 Restarting at position 10."),
        ("REST -1", "501 Invalid parameter."),
        ("REST 10.1", "501 Invalid parameter."),
        ("REST 9223372036854775807", "350 Restarting at position 9223372036854775807."),
        ("REST 9223372036854775808", "501 Invalid parameter."),
        ("SIZE a.txt", "213 5"),
        ("SIZE sub", "550 This is not retrievable: is a directory."),
        ("MDTM sub", "550 This is not retrievable: is a directory."),
        ("MDTM none", "550 This is not retrievable: no such file."),
        ("MDTM a.txt", "213 20251124160000"),
        ("SYST", "215 UNIX Type: L8"),
        ("HELP NONE", "501 Unrecognized command."),
        ("HELP retr", "214 Syntax: RETR path (download a file)"),
        ("SITE HELP NONE", "501 Unrecognized SITE command."),
        ("SITE none", "500 SITE command not understood."),
        ("SITEFOO bar", "500 Command not understood."),
    ] {
        assert_eq!(desk.tell(line), format!("{reply}\r\n"), "{line}");
    }
}

#[test]
fn features_are_told_with_the_facts_that_are_chosen() {
    let mut desk = Desk::logged_in();
    let all = "211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n MFMT\r\n MLST type*;perm*;size*;modify*;unix.mode*;\r\n \
               REST STREAM\r\n SIZE\r\n TVFS\r\n UTF8\r\n211 End.\r\n";
    assert_eq!(desk.tell("FEAT"), all);
    for (line, reply, shown) in [
        ("OPTS MLST TyPe;fish;modify;", "200 MLST OPTS type;modify;", "type*;perm;size;modify*;unix.mode;"),
        ("OPTS mlst bad", "501 Invalid argument.", "type*;perm;size;modify*;unix.mode;"),
        ("OPTS MLST type ;", "501 Invalid number of arguments.", "type*;perm;size;modify*;unix.mode;"),
        ("OPTS MLST", "200 MLST OPTS ", "type;perm;size;modify;unix.mode;"),
    ] {
        assert_eq!(desk.tell(line), format!("{reply}\r\n"));
        assert!(desk.tell("FEAT").contains(&format!("\r\n MLST {shown}\r\n")), "{line}");
    }
    assert_eq!(desk.tell("MLST a.txt"), "250-Listing \"/a.txt\":\r\n  /a.txt\r\n250 End.\r\n");
    let mut desk = Desk::of(FtpPolicy { no_active: true, ..POLICY }, client("127.0.0.1"));
    assert!(!desk.tell("FEAT").contains("EPRT"));
}

#[test]
fn ports_are_offered_and_those_of_others_refused() {
    for (address, line, reply) in [
        ("127.0.0.1", "PASV", "227 Entering passive mode (127,0,0,1,8,1)."),
        ("::ffff:127.0.0.1", "PASV", "227 Entering passive mode (127,0,0,1,8,1)."),
        ("::1", "PASV", "425 PASV is of no use over IPv6; use EPSV."),
        ("127.0.0.1", "EPSV", "229 Entering extended passive mode (|||2049|)."),
        ("127.0.0.1", "EPSV 1", "229 Entering extended passive mode (|||2049|)."),
        ("::1", "EPSV 2", "229 Entering extended passive mode (|||2049|)."),
        ("::1", "EPSV 1", "522 Network protocol not supported (use 2)."),
        ("127.0.0.1", "EPSV 2", "522 Network protocol not supported (use 1)."),
        ("127.0.0.1", "EPSV x", "501 Unknown argument to EPSV."),
        ("127.0.0.1", "PORT 127,0,0,1,8,1", "200 "),
        ("::ffff:127.0.0.1", "PORT 127,0,0,1,8,1", "200 "),
        ("127.0.0.1", "PORT 127,0,0,1,3,255", "501 No data connection is made to a privileged port."),
        ("127.0.0.1", "PORT 127,0,0,2,8,1", "501 No data connection is made to a foreign address."),
        ("::1", "PORT 127,0,0,1,8,1", "501 No data connection is made to a foreign address."),
        ("127.0.0.1", "PORT 127,0,0,1", "501 Invalid PORT format."),
        ("127.0.0.1", "EPRT |1|127.0.0.1|2049|", "200 "),
        ("::1", "EPRT |2|::1|2049|", "200 "),
        ("127.0.0.1", "EPRT |1|10.0.0.1|2049|", "501 No data connection is made to a foreign address."),
        ("127.0.0.1", "EPRT |3|x|2049|", "522 Network protocol not supported (use 1)."),
        ("127.0.0.1", "EPRT ||||", "501 Invalid EPRT format."),
    ] {
        let mut desk = Desk::of(POLICY, client(address));
        desk.tell("USER x");
        desk.tell("PASS x");
        let text = desk.tell(line);
        assert!(text.starts_with(reply), "{address}: {line}: {text}");
        let is_asked = matches!(&reply[..3], "200" | "227" | "229");
        assert_eq!(desk.asked.len(), usize::from(is_asked), "{line}");
    }
}

#[test]
fn the_operator_decides_what_is_told_and_who_is_connected_to() {
    let policy = FtpPolicy { address: Some([192, 0, 2, 7].into()), no_active: true, ..POLICY };
    let mut desk = Desk::of(policy, client("127.0.0.1"));
    desk.tell("USER x");
    desk.tell("PASS x");
    assert_eq!(desk.tell("PASV"), "227 Entering passive mode (192,0,2,7,8,1).\r\n");
    assert_eq!(desk.code("EPSV"), 229);
    for line in ["PORT 127,0,0,1,8,1", "EPRT |1|127.0.0.1|2049|"] {
        assert_eq!(desk.code(line), 502);
    }
    assert_eq!(desk.asked, [Request::Offer { way: Way::Passive }, Request::Offer { way: Way::Passive }]);
}

#[test]
fn epsv_all_leaves_no_other_way() {
    let mut desk = Desk::logged_in();
    assert_eq!(desk.code("EPSV ALL"), 200);
    for line in ["PASV", "PORT 127,0,0,1,8,1", "EPRT |1|127.0.0.1|2049|"] {
        assert_eq!(desk.code(line), 501, "{line}");
    }
    assert_eq!(desk.asked, []);
    assert_eq!((desk.code("EPSV"), desk.code("STOR x")), (229, 226));
    assert!(matches!(desk.asked.last(), Some(Request::Upload { spec, .. }) if spec.via == Via::Ahead));
}

#[test]
fn what_is_of_another_protocol_ends_the_session() {
    for line in [
        &b"GET / HTTP/1.1"[..],
        b"POST /x HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
        b"Host: nas.local:2121",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut desk = Desk::new();
        let text = desk.tell(line);
        assert!(text.starts_with("500 this port does not speak "), "{text}");
        assert!(desk.has_ended);
    }
    let mut desk = Desk::new();
    desk.dialect.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(desk.hear_all(), b"500 this port does not speak TLS; closing\r\n");
    assert!(desk.has_ended);
    // A name may look like that.
    let mut desk = Desk::logged_in();
    assert_eq!(desk.code("CWD x HTTP/1.1"), 550);
    assert!(!desk.has_ended);
    for count in 1..=32 {
        assert_eq!(desk.code("not a command"), 500);
        assert_eq!(desk.has_ended, count == 32);
    }
}
