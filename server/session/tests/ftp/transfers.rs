//! What transfers ask for, of what was said ahead of them and of what was not.

use crate::desk::{Desk, SENT, path};
use ferry_common::wire::command::Conditions;
use ferry_common::wire::digest::Digest;
use ferry_session::action::{Beginning, Length, Way};
use ferry_session::entry_format::EntryFormat;
use ferry_session::request::{DownloadSpec, Request, UploadSpec, Via};

fn download(desk: &mut Desk, line: &str) -> DownloadSpec {
    let request = desk.request(line);
    let Request::Download { spec, .. } = request else { panic!("{request:?}") };
    spec
}

fn upload(desk: &mut Desk, line: &str) -> UploadSpec {
    let request = desk.request(line);
    let Request::Upload { spec, .. } = request else { panic!("{request:?}") };
    spec
}

#[test]
fn files_are_sent_with_their_length_told() {
    let mut desk = Desk::binary();
    desk.tell("PASV");
    assert_eq!(desk.tell("RETR a.txt"), "150 Sending the file (5 bytes).\r\n226 Sent 5 bytes.\r\n");
    assert_eq!(desk.data, b"hello");
    desk.tell("REST 2");
    desk.tell("PORT 127,0,0,1,8,1");
    let spec = download(&mut desk, "RETR a.txt");
    assert_eq!(spec, DownloadSpec { offset: 2, digest: false, until_close: true, via: Via::Ahead });
    assert_eq!(desk.data, b"llo");
    desk.tell("REST 6");
    desk.tell("PASV");
    assert_eq!(desk.tell("RETR a.txt"), "554 Restart position 6 > file size.\r\n");
    assert_eq!(desk.tell("RETR nothing"), "550 No such file or directory.\r\n");
    assert_eq!(desk.tell("RETR sub"), "550 Is a directory.\r\n");
    assert_eq!(desk.tell("RETR a\rb"), "550 This name cannot be used.\r\n");
}

#[test]
fn files_are_received_and_their_digest_told() {
    let mut desk = Desk::binary();
    desk.tell("EPSV");
    let digest = Digest::of(SENT);
    assert_eq!(
        desk.tell("STOR sub/ new "),
        format!("150 Send the file.\r\n226 Stored {} bytes, xxh3-128 {digest}.\r\n", SENT.len())
    );
    let Some(Request::Upload { path: stored, spec }) = desk.asked.last() else { panic!("no upload") };
    assert_eq!(stored, &path("sub/ new "));
    let expected = UploadSpec {
        size: Length::UntilClose,
        is_eager: false,
        has_trailer: false,
        new: false,
        conditions: Conditions::NONE,
        mtime: None,
        executable: None,
        beginning: Beginning::Empty,
        via: Via::Ahead,
        declared_bytes: None,
        needs_client: true,
    };
    assert_eq!(*spec, expected);
    desk.tell("EPSV");
    let appended = upload(&mut desk, "APPE a.txt");
    assert_eq!(appended, UploadSpec { beginning: Beginning::Published, ..expected });
    assert_eq!(desk.nodes[&b"a.txt"[..]].as_deref(), Some(&[b"hello", SENT].concat()[..]));
    desk.tell("EPSV");
    desk.tell("REST 3");
    let resumed = upload(&mut desk, "STOR a.txt");
    assert_eq!(resumed, UploadSpec { beginning: Beginning::Unconfirmed { offset: 3 }, ..expected });
}

/// What is left of a data connection that an upload did not use must not be taken for another file.
#[test]
fn an_upload_has_a_way_of_its_own() {
    for line in ["STOR new", "APPE a.txt", "STOU"] {
        let mut desk = Desk::binary();
        let refused = "425 No data connection: use PASV, EPSV, PORT or EPRT first.\r\n";
        assert_eq!(desk.tell(line), refused);
        for used in
            ["STOR .ferry-staging", "RETR nothing", "RETR a.txt", "LIST", "LIST \r", "REST 1\r\nSTOR x"]
        {
            assert_eq!(desk.code("PASV"), 227);
            desk.tell(used);
            assert_eq!(desk.tell(line), refused, "{line} behind {used}");
        }
        assert_eq!(desk.code("PASV"), 227);
        assert_eq!(desk.code(line), 226);
    }
}

/// Whether there is anything to be sent is found out first; the work knows whether there is a way.
#[test]
fn what_is_sent_is_looked_for_before_the_way() {
    let mut desk = Desk::binary();
    assert_eq!(desk.code("RETR nothing"), 550);
    assert_eq!(desk.code("REST 9\r\nRETR a.txt"), 554);
    assert_eq!(download(&mut desk, "RETR a.txt").via, Via::Ahead);
    assert_eq!(desk.code("LIST nothing"), 550);
}

#[test]
fn a_way_is_replaced_by_the_next() {
    let mut desk = Desk::binary();
    desk.tell("PASV");
    assert_eq!(desk.request("PORT 127,0,0,1,8,1"), Request::Offer { way: Way::Active { port: 2049 } });
    assert_eq!(upload(&mut desk, "STOR x").via, Via::Ahead);
    desk.tell("PORT 127,0,0,1,8,1");
    assert_eq!(desk.request("PASV"), Request::Offer { way: Way::Passive });
    assert_eq!(upload(&mut desk, "STOR x").via, Via::Ahead);
    // One that is refused leaves it as it was.
    desk.tell("PORT 127,0,0,1,8,1");
    assert_eq!(desk.code("PORT 127,0,0,2,8,1"), 501);
    assert_eq!(upload(&mut desk, "STOR x").via, Via::Ahead);
}

#[test]
fn a_way_can_be_given_up() {
    for way in ["PASV", "PORT 127,0,0,1,8,1"] {
        let mut desk = Desk::binary();
        assert_eq!(desk.tell("ABOR"), "225 No transfer to abort.\r\n");
        desk.tell(way);
        assert_eq!(desk.request("ABOR"), Request::DropOffer);
        assert_eq!(desk.tell("ABOR"), "225 No transfer to abort.\r\n");
        assert_eq!(desk.code("STOR x"), 425);
    }
}

/// Commands behind which what was said ahead of a transfer still holds, and others.
const PREPARING: &[&str] = &[
    "PASV",
    "EPSV",
    "PORT 127,0,0,1,8,1",
    "EPRT |1|127.0.0.1|2049|",
    "TYPE I",
    "MODE S",
    "STRU F",
    "SIZE a.txt",
    "MDTM a.txt",
    "MLST a.txt",
    "NOOP",
    "PWD",
    "FEAT",
    "SYST",
    "STAT",
    "HELP",
    "OPTS UTF8 ON",
    "NONE",
];
const OTHERS: &[&str] = &[
    "CWD sub",
    "CDUP",
    "LIST",
    "NLST",
    "MLSD",
    "RETR a.txt",
    "STOR y",
    "APPE y",
    "STOU",
    "DELE y",
    "MKD y",
    "RMD y",
    "RNFR a.txt",
    "RNTO y",
    "MFMT 20200101000000 a.txt",
    "SITE HELP",
    "ABOR",
    "CLNT x",
];

#[test]
fn what_is_said_ahead_holds_for_the_next_transfer_alone() {
    for (lines, holds) in [(PREPARING, true), (OTHERS, false)] {
        for line in lines {
            let mut desk = Desk::binary();
            desk.tell("REST 2");
            desk.tell(line);
            let offset = download(&mut desk, "RETR /a.txt").offset;
            assert_eq!(offset == 2, holds, "{line}");
            assert_eq!(download(&mut desk, "RETR /a.txt").offset, 0);

            desk.tell("PASV");
            desk.tell("ALLO 7");
            desk.tell(line);
            // The way may be gone by that.
            desk.tell("PASV");
            let declared = upload(&mut desk, "STOR x").declared_bytes;
            assert_eq!(declared == Some(7), holds, "{line}");
            desk.tell("PASV");
            assert_eq!(upload(&mut desk, "STOR x").declared_bytes, None);
        }
    }
}

#[test]
fn both_may_be_said_ahead_of_one_upload() {
    let mut desk = Desk::binary();
    for line in ["ALLO 9", "REST 4", "EPSV"] {
        desk.tell(line);
    }
    let spec = upload(&mut desk, "STOR x");
    assert_eq!((spec.declared_bytes, spec.beginning), (Some(9), Beginning::Unconfirmed { offset: 4 }));
    for line in ["REST 4", "ALLO 9", "ALLO x", "REST 0", "EPSV"] {
        desk.tell(line);
    }
    let spec = upload(&mut desk, "STOR x");
    assert_eq!((spec.declared_bytes, spec.beginning), (None, Beginning::Empty));
}

#[test]
fn neither_an_appending_upload_nor_one_under_a_new_name_can_be_resumed() {
    for (line, word) in [("APPE a.txt", "APPE"), ("STOU", "STOU")] {
        let mut desk = Desk::binary();
        desk.tell("REST 10");
        assert_eq!(desk.tell(line), format!("450 Can't {word} while REST request is pending.\r\n"));
        desk.tell("PASV");
        assert_eq!(desk.code(line), 226, "it is asked for no more");
    }
}

#[test]
fn new_names_are_made_up_and_told() {
    let mut desk = Desk::binary();
    let mut told = |line: &str| {
        desk.tell("PASV");
        let text = desk.tell(line);
        let name = text.strip_prefix("150 FILE: ").unwrap().split_once("\r\n").unwrap().0.to_owned();
        assert!(upload_is_new(&desk), "{line}");
        (name, desk.asked.last().cloned())
    };
    let (first, _) = told("STOU");
    assert_eq!(first, "ftpd.ab-1");
    assert_eq!(told("STOU").0, "ftpd.ab-2");
    let (name, asked) = told("STOU sub/x");
    assert_eq!(name, "sub/x.ab-3");
    assert!(matches!(asked, Some(Request::Upload { path: named, .. }) if named == path("sub/x.ab-3")));
    desk.nodes.insert(b"ftpd.ab-4".to_vec(), Some(Vec::new()));
    desk.tell("PASV");
    assert_eq!(desk.tell("STOU"), "450 No usable unique file name; try again.\r\n");
    desk.tell("PASV");
    assert!(desk.tell("STOU").starts_with("150 FILE: ftpd.ab-5\r\n"));
}

fn upload_is_new(desk: &Desk) -> bool {
    matches!(desk.asked.last(), Some(Request::Upload { spec, .. }) if spec.new)
}

#[test]
fn listings_are_of_the_folder_or_of_what_is_named() {
    for (line, listed, format) in [
        ("LIST", "sub", EntryFormat::Unix),
        ("LIST -la", "sub", EntryFormat::Unix),
        ("LIST -a -l deep", "sub/deep", EntryFormat::Unix),
        ("LIST /", "", EntryFormat::Unix),
        ("LIST  x", "sub/ x", EntryFormat::Unix),
        ("NLST -CF", "sub", EntryFormat::Names),
        ("NLST ..", "", EntryFormat::Names),
        ("NLST *", "sub/*", EntryFormat::Names),
    ] {
        let mut desk = Desk::binary();
        desk.tell("CWD sub");
        desk.tell("PASV");
        let expected = Request::List { path: path(listed), format, via: Some(Via::Ahead) };
        assert_eq!(desk.request(line), expected, "{line}");
    }
    let mut desk = Desk::binary();
    desk.tell("PASV");
    assert_eq!(desk.tell("LIST *"), "550 Globbing not supported.\r\n");
    desk.tell("PASV");
    assert_eq!(desk.tell("LIST"), "150 Here comes the listing.\r\n226 Entries listed: 2.\r\n");
    desk.nodes.insert(b"x\ny".to_vec(), None);
    desk.tell("PASV");
    let end = "226 Entries listed: 2; left out, since their names have line breaks: 1.\r\n";
    assert!(desk.tell("LIST").ends_with(end));
    desk.tell("PASV");
    assert_eq!(desk.tell("MLSD a.txt"), "501 Not a directory.\r\n");
    desk.tell("PASV");
    assert_eq!((desk.code("NLST a.txt"), &desk.data[..]), (226, &b"a.txt\r\n"[..]));
}

#[test]
fn a_listing_can_be_had_without_a_data_connection() {
    let mut desk = Desk::logged_in();
    assert_eq!(
        desk.tell("STAT /"),
        "213-Status of \"/\":\r\n\
         -rw-r--r--   1 owner group            5 Nov 24 16:00 a.txt\r\n\
         drwxr-xr-x   1 owner group            0 Nov 24 16:00 sub\r\n\
         213 Entries listed: 2.\r\n"
    );
    assert_eq!(desk.tell("STAT sub/deep"), "213-Status of \"/sub/deep\":\r\n213 Entries listed: 0.\r\n");
    assert_eq!(desk.tell("STAT nothing"), "550 No such file or directory.\r\n");
    assert_eq!(desk.tell("STAT *"), "550 Globbing not supported.\r\n");
}

#[test]
fn one_entry_can_be_asked_for() {
    let mut desk = Desk::logged_in();
    let facts = "type=file;perm=adfrw;size=1;modify=20251124160000;unix.mode=0644;";
    desk.tell("CWD sub");
    assert_eq!(
        desk.tell("MLST b.txt"),
        format!("250-Listing \"/sub/b.txt\":\r\n {facts} /sub/b.txt\r\n250 End.\r\n")
    );
    let facts = "type=dir;perm=cdeflmp;modify=20251124160000;unix.mode=0755;";
    assert_eq!(desk.tell("MLST /"), format!("250-Listing \"/\":\r\n {facts} /\r\n250 End.\r\n"));
    assert_eq!(desk.tell("MLST"), format!("250-Listing \"/sub\":\r\n {facts} /sub\r\n250 End.\r\n"));
}
