//! `mkdir`, `rm`, `mv`, and what an upload does to the name that it takes: every refusal has its code and
//! changes nothing.
#![allow(clippy::unwrap_used)]

use ferry_common::error::ErrorCode;
use ferry_common::path::HIDDEN_NAME;
use ferry_common::wire::command::UploadOptions;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::reply::Reply;
use ferry_tests::conversation::Conversation;
use ferry_tests::server::{Options, Server};
use ferry_tests::session::Session;
use rustix::fs::{CWD, Mode};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A folder with something of everything.
fn populate(server: &Server) {
    for directory in ["dir", "dir/sub", "empty"] {
        std::fs::create_dir(server.path(directory)).unwrap();
    }
    for file in ["file", "other", "dir/kept"] {
        server.put(file, file);
    }
    rustix::fs::mkfifoat(CWD, server.path("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    symlink("file", server.path("link")).unwrap();
    symlink("/tmp", server.path("way-out")).unwrap();
}

/// Each of these is refused with its code, and the folder is as before.
#[track_caller]
fn expect_refused(server: &Server, cases: &[(&str, ErrorCode)]) {
    let before = server.files();
    let mut session = Conversation::with(server);
    for &(line, code) in cases {
        let answer = session.ask(line);
        assert_eq!(answer.code(), code, "{line}");
        assert!(answer.replies.is_empty(), "{line}");
    }
    assert_eq!(server.files(), before);
    for file in ["file", "other", "dir/kept"] {
        assert_eq!(std::fs::read(server.path(file)).unwrap(), file.as_bytes());
    }
}

#[track_caller]
fn expect_ok(session: &mut Conversation, line: &str) {
    assert_eq!(session.ask(line).outcome, Ok(vec![]), "{line}");
}

#[test]
fn mkdir_makes_one_directory_and_refuses_the_rest() {
    let server = Server::start();
    populate(&server);
    expect_refused(
        &server,
        &[
            ("mkdir dir", ErrorCode::Exists),
            ("mkdir file", ErrorCode::Exists),
            ("mkdir link", ErrorCode::Exists),
            ("mkdir fifo", ErrorCode::Exists),
            ("mkdir .", ErrorCode::Exists),
            ("mkdir missing/x", ErrorCode::NoParent),
            ("mkdir file/x", ErrorCode::NotDirectory),
            ("mkdir way-out/x", ErrorCode::BadLink),
            ("mkdir ../x", ErrorCode::BadPath),
            ("mkdir /x", ErrorCode::BadPath),
            ("mkdir .ferry-staging", ErrorCode::BadPath),
            ("mkdir .ferry-staging/x", ErrorCode::BadPath),
            ("mkdir", ErrorCode::Usage),
            ("mkdir x y", ErrorCode::Usage),
        ],
    );
    let mut session = Conversation::with(&server);
    expect_ok(&mut session, "mkdir dir/sub/new");
    assert!(server.path("dir/sub/new").is_dir());
    expect_ok(&mut session, "mkdir \"a b\"");
    assert!(server.path("a b").is_dir());
}

#[test]
fn rm_removes_files_links_and_empty_directories_and_refuses_the_rest() {
    let server = Server::start();
    populate(&server);
    expect_refused(
        &server,
        &[
            ("rm dir", ErrorCode::NotEmpty),
            ("rm missing", ErrorCode::NotFound),
            ("rm missing/x", ErrorCode::NotFound),
            ("rm fifo", ErrorCode::NotRegular),
            ("rm file/x", ErrorCode::NotDirectory),
            ("rm way-out/x", ErrorCode::BadLink),
            ("rm .", ErrorCode::BadPath),
            ("rm ../x", ErrorCode::BadPath),
            ("rm .ferry-staging", ErrorCode::BadPath),
            ("rm", ErrorCode::Usage),
            ("rm file other", ErrorCode::Usage),
        ],
    );
    let mut session = Conversation::with(&server);
    // A link goes by itself, wherever it leads.
    expect_ok(&mut session, "rm link");
    expect_ok(&mut session, "rm way-out");
    assert_eq!(std::fs::read(server.path("file")).unwrap(), b"file");
    expect_ok(&mut session, "rm file");
    expect_ok(&mut session, "rm empty");
    assert!(!server.path("file").exists() && !server.path("empty").exists());
    assert_eq!(session.ask("rm file").code(), ErrorCode::NotFound);
    assert!(std::fs::metadata(server.path("fifo")).is_ok(), "the FIFO was not touched");
}

#[test]
fn mv_renames_within_the_folder_and_refuses_the_rest() {
    let server = Server::start();
    populate(&server);
    expect_refused(
        &server,
        &[
            ("mv missing x", ErrorCode::NotFound),
            ("mv missing/x x", ErrorCode::NotFound),
            ("mv file missing/x", ErrorCode::NoParent),
            ("mv file other/x", ErrorCode::NotDirectory),
            ("mv file other", ErrorCode::Exists),
            ("mv file file", ErrorCode::Exists),
            ("mv file dir", ErrorCode::Exists),
            ("mv file link", ErrorCode::Exists),
            ("mv file fifo", ErrorCode::Exists),
            ("mv dir empty", ErrorCode::Exists),
            ("mv file dir replace", ErrorCode::IsDirectory),
            ("mv dir empty replace", ErrorCode::IsDirectory),
            ("mv dir file replace", ErrorCode::NotDirectory),
            ("mv file fifo replace", ErrorCode::NotRegular),
            ("mv fifo x", ErrorCode::NotRegular),
            ("mv dir dir/sub/x", ErrorCode::BadPath),
            ("mv dir/sub dir/sub/x", ErrorCode::BadPath),
            ("mv . x", ErrorCode::BadPath),
            ("mv file .", ErrorCode::BadPath),
            ("mv file ../x", ErrorCode::BadPath),
            ("mv ../x file", ErrorCode::BadPath),
            ("mv file .ferry-staging/x", ErrorCode::BadPath),
            ("mv .ferry-staging x", ErrorCode::BadPath),
            ("mv file way-out/x", ErrorCode::BadLink),
            ("mv file", ErrorCode::Usage),
            ("mv file x overwrite", ErrorCode::Usage),
        ],
    );
    let mut session = Conversation::with(&server);
    expect_ok(&mut session, "mv file dir/moved");
    assert_eq!(std::fs::read(server.path("dir/moved")).unwrap(), b"file");
    assert!(!server.path("file").exists());
    expect_ok(&mut session, "mv dir/moved other replace");
    assert_eq!(std::fs::read(server.path("other")).unwrap(), b"file");
    expect_ok(&mut session, "mv dir renamed");
    assert_eq!(std::fs::read(server.path("renamed/kept")).unwrap(), b"dir/kept");
}

/// rename(2) itself does nothing where both names are links to one file.
#[test]
fn after_mv_over_a_second_link_to_the_same_file_the_old_name_is_gone() {
    let server = Server::start();
    std::fs::create_dir(server.path("d")).unwrap();
    let mut session = Conversation::with(&server);
    for (from, to) in [("a", "b"), ("a", "d/b"), ("d/a", "b")] {
        server.put(from, "content");
        std::fs::hard_link(server.path(from), server.path(to)).unwrap();
        assert_eq!(session.ask(format!("mv {from} {to}")).code(), ErrorCode::Exists);
        expect_ok(&mut session, &format!("mv {from} {to} replace"));
        assert!(!server.path(from).exists(), "{from} is still there");
        assert_eq!(std::fs::read(server.path(to)).unwrap(), b"content");
        std::fs::remove_file(server.path(to)).unwrap();
    }
    symlink("nowhere", server.path("l")).unwrap();
    std::fs::hard_link(server.path("l"), server.path("m")).unwrap();
    expect_ok(&mut session, "mv l m replace");
    assert!(!server.path("l").is_symlink() && server.path("m").is_symlink());
    assert_eq!(server.staged_files(), Vec::<String>::new());
}

#[test]
fn mv_of_a_file_to_its_own_name_keeps_it() {
    let server = Server::start();
    std::fs::create_dir(server.path("d")).unwrap();
    symlink("d", server.path("e")).unwrap();
    let mut session = Conversation::with(&server);
    server.put("d/a", "content");
    std::fs::hard_link(server.path("d/a"), server.path("elsewhere")).unwrap();
    for line in ["mv d/a d/a replace", "mv d/a e/a replace", "mv e/./a d//a replace"] {
        expect_ok(&mut session, line);
        assert_eq!(std::fs::read(server.path("d/a")).unwrap(), b"content", "{line}");
    }
    assert_eq!(session.ask("mv d/a e/a").code(), ErrorCode::Exists);
}

#[test]
fn a_read_only_server_changes_no_name() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "file").unwrap();
    let server = Options::default().root(home.path()).arguments(&["--read-only"]).start();
    let mut session = Conversation::with(&server);
    for line in
        ["mkdir x", "rm file", "mv file x", "mv file x replace", "upload x 1", "rm missing", "mtime file 1"]
    {
        assert_eq!(session.ask(line).code(), ErrorCode::ReadOnly, "{line}");
    }
    assert_eq!(server.files(), ["file"]);
}

#[test]
fn a_server_that_replaces_nothing_never_does() {
    let server = Options::default().arguments(&["--no-overwrite"]).start();
    populate(&server);
    expect_refused(
        &server,
        &[
            ("upload file 4", ErrorCode::Exists),
            ("upload file 4000000", ErrorCode::Exists),
            ("upload link 4 digest", ErrorCode::Exists),
            ("mv file other", ErrorCode::Exists),
            ("mv file other replace", ErrorCode::Exists),
        ],
    );
    let mut session = Conversation::with(&server);
    session.upload("new", b"new").unwrap();
    assert_eq!(session.upload("new", b"newer").unwrap_err().code, Some(ErrorCode::Exists));
    expect_ok(&mut session, "mv new newest");
    assert_eq!(std::fs::read(server.path("newest")).unwrap(), b"new");
}

/// Two uploads of one new name, both begun while it was free: one of them has it.
#[test]
fn of_two_new_files_of_one_name_one_is_refused() {
    let server = Server::start();
    let mut sessions = [Conversation::with(&server), Conversation::with(&server)];
    for session in &mut sessions {
        session.send("upload x 3 new\n");
        let Reply::Data { port, ticket } = session.reply() else { panic!("no offer") };
        session.open_data(port, &ticket);
    }
    let outcomes = sessions.each_mut().map(|session| {
        std::io::Write::write_all(session.data.as_mut().unwrap(), b"new").unwrap();
        session.answer().outcome.map_err(|refusal| refusal.code)
    });
    assert_eq!(outcomes[0].as_ref().unwrap()[0], "3");
    assert_eq!(outcomes[1], Err(Some(ErrorCode::Exists)));
}

fn mode_of(server: &Server, name: &str) -> u32 {
    std::fs::symlink_metadata(server.path(name)).unwrap().mode() & 0o7777
}

#[test]
fn a_replaced_file_keeps_its_permissions_but_none_that_make_programs_somebody_else() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.upload("x", b"1").unwrap();
    let usual = mode_of(&server, "x");
    for (mode, expected) in [(0o640, 0o640), (0o600, 0o600), (0o755, 0o755), (0o6755, 0o755), (0o1644, 0o644)]
    {
        std::fs::set_permissions(server.path("x"), PermissionsExt::from_mode(mode)).unwrap();
        session.upload("x", b"2").unwrap();
        assert_eq!(mode_of(&server, "x"), expected, "{mode:o}");
    }
    // A link is replaced itself, and its target stays what it was.
    symlink("x", server.path("link")).unwrap();
    session.upload("link", b"3").unwrap();
    assert_eq!(mode_of(&server, "link"), usual);
    assert_eq!(std::fs::read(server.path("x")).unwrap(), b"2");
}

#[test]
fn an_upload_has_the_time_that_was_asked_for() {
    let server = Server::start();
    let mut session = Conversation::with(&server);
    session.upload("first", b"opens the data connection").unwrap();
    for (told, seconds, nanoseconds) in [
        ("0", 0, 0),
        ("1", 1, 0),
        ("1000000000.000000001", 1_000_000_000, 1),
        ("-1", -1, 0),
        ("-1.25", -2, 750_000_000),
        ("4000000000.5", 4_000_000_000, 500_000_000),
    ] {
        session.send(format!("upload x 1 mtime={told}\n"));
        std::io::Write::write_all(session.data.as_mut().unwrap(), b"x").unwrap();
        session.answer().outcome.unwrap();
        let stored = std::fs::metadata(server.path("x")).unwrap();
        assert_eq!((stored.mtime(), stored.mtime_nsec()), (seconds, nanoseconds));
        let Reply::Entry(entry) = &session.ask("stat x").replies[0] else { panic!() };
        assert_eq!(entry.mtime.to_string(), told);
        session.send("download x\n");
        let Reply::Download { mtime, .. } = session.reply() else { panic!() };
        assert_eq!(mtime.to_string(), told);
        std::io::Read::read_exact(session.data.as_mut().unwrap(), &mut [0]).unwrap();
        session.answer().outcome.unwrap();
    }
    for wrong in [
        "mtime=",
        "mtime=x",
        "mtime=1.",
        "mtime=1.0000000001",
        "mtime=99999999999999999999",
        "mtime=1 mtime=1",
    ] {
        assert_eq!(session.ask(format!("upload x 1 {wrong}")).code(), ErrorCode::Usage, "{wrong}");
    }
}

/// Folders too: no other verb sets the time of one.
#[test]
fn mtime_sets_the_time_that_stat_tells_and_nothing_else() {
    let server = Server::start();
    populate(&server);
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), server.path("way-out-too")).unwrap();
    let facts =
        |path: &std::path::Path| std::fs::metadata(path).map(|stat| (stat.mtime(), stat.ctime())).unwrap();
    let before = facts(outside.path());
    expect_refused(
        &server,
        &[
            ("mtime missing 1", ErrorCode::NotFound),
            ("mtime dir/missing 1", ErrorCode::NotFound),
            ("mtime file/x 1", ErrorCode::NotDirectory),
            ("mtime way-out-too 1", ErrorCode::BadLink),
            ("mtime way-out/x 1", ErrorCode::BadLink),
            ("mtime fifo 1", ErrorCode::NotRegular),
            ("mtime ../x 1", ErrorCode::BadPath),
            ("mtime .ferry-staging 1", ErrorCode::BadPath),
            ("mtime file", ErrorCode::Usage),
            ("mtime file 1 2", ErrorCode::Usage),
            ("mtime file now", ErrorCode::Usage),
            ("mtime file 1.0000000001", ErrorCode::Usage),
            ("mtime file 9223372036854775808", ErrorCode::Usage),
        ],
    );
    assert_eq!(facts(outside.path()), before);

    let mut session = Conversation::with(&server);
    for (told, seconds, nanoseconds) in
        [("0", 0, 0), ("1000000000.000000001", 1_000_000_000, 1), ("-1.25", -2, 750_000_000)]
    {
        for name in ["file", "dir", "dir/sub", "."] {
            let mode = std::fs::metadata(server.path(name)).unwrap().mode();
            expect_ok(&mut session, &format!("mtime {name} {told}"));
            let stored = std::fs::metadata(server.path(name)).unwrap();
            assert_eq!((stored.mtime(), stored.mtime_nsec(), stored.mode()), (seconds, nanoseconds, mode));
            let Reply::Entry(entry) = &session.ask(format!("stat {name}")).replies[0] else { panic!() };
            assert_eq!(entry.mtime.to_string(), told);
        }
    }
    // What a link in the folder leads to, as `stat` tells of it.
    expect_ok(&mut session, "mtime link 5");
    assert_eq!(std::fs::metadata(server.path("file")).unwrap().mtime(), 5);
    assert_ne!(std::fs::symlink_metadata(server.path("link")).unwrap().mtime(), 5);
    assert_eq!(std::fs::read(server.path("file")).unwrap(), b"file");
}

#[test]
fn a_fifo_is_neither_opened_nor_replaced() {
    let server = Server::start();
    populate(&server);
    expect_refused(
        &server,
        &[
            ("upload fifo 3", ErrorCode::NotRegular),
            ("download fifo", ErrorCode::NotRegular),
            ("download fifo digest", ErrorCode::NotRegular),
            ("sum fifo", ErrorCode::NotRegular),
            ("stat fifo", ErrorCode::NotRegular),
        ],
    );
    assert!(!Conversation::with(&server).ask("ls").names().contains(&b"fifo".to_vec()));
}

#[test]
fn every_durability_serves() {
    for level in ["none", "data", "full"] {
        let server = Options::default().arguments(&["--durability", level]).start();
        let mut session = Conversation::with(&server);
        session.upload("small", b"small").unwrap();
        session.upload("large", &vec![7; 2 << 20]).unwrap();
        expect_ok(&mut session, "mkdir d");
        expect_ok(&mut session, "mv small d/small");
        assert_eq!(session.download("d/small").unwrap(), b"small", "{level}");
        expect_ok(&mut session, "rm d/small");
        assert!(std::fs::read(server.path("large")).unwrap() == vec![7; 2 << 20], "{level}");
    }
}

#[test]
fn the_hidden_directory_cannot_be_named_in_any_case_of_letters() {
    let server = Server::start();
    let hidden = String::from_utf8_lossy(HIDDEN_NAME).into_owned();
    let mut session = Conversation::with(&server);
    for name in [hidden.clone(), hidden.to_uppercase(), format!("./{hidden}/partial"), format!("a/{hidden}")]
    {
        for verb in ["ls", "stat", "sum", "partial", "mkdir", "rm", "download"] {
            assert_eq!(session.ask(format!("{verb} {name}")).code(), ErrorCode::BadPath, "{verb} {name}");
        }
    }
    assert_eq!(session.ask("ls").names(), Vec::<Vec<u8>>::new());
}

/// What an earlier upload has found out about a directory is not believed for ever.
#[test]
fn an_upload_goes_to_the_directory_that_has_the_name_now() {
    let server = Server::start();
    std::fs::create_dir(server.path("d")).unwrap();
    let mut session = Session::with(server.control_address()).unwrap();
    let options = UploadOptions { digest: true, ..UploadOptions::default() };
    let mut names = Conversation::with(&server);
    for (moved, trailer, before) in [("e", b"2", Err(ErrorCode::Mismatch)), ("f", b"1", Ok(()))] {
        let found = session.upload_with_trailer("d/old", b"1", options, Digest::of(trailer));
        assert_eq!(found.map(drop).map_err(|failure| failure.code()), before);
        expect_ok(&mut names, &format!("mv d {moved}"));
        expect_ok(&mut names, "mkdir d");
        session.upload("d/new", b"3", options).unwrap();
        assert_eq!(std::fs::read(server.path("d/new")).unwrap(), b"3");
        std::fs::remove_file(server.path("d/new")).unwrap();
    }
}
