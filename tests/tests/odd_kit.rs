//! The odd file systems that other tests use are as odd as they say, and leave nothing behind. Run by
//! `tests/checks`.
#![allow(clippy::unwrap_used)]

use ferry_tests::odd::{Call, Flock, OddMount, Quirks};
use ferry_tests::wait::{WAIT_LIMIT, wait_until};
use rustix::fs::{CWD, FallocateFlags, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

fn odd(quirks: Quirks) -> OddMount {
    OddMount::new(quirks).unwrap()
}

fn is_mounted(path: &Path) -> bool {
    fs::read_to_string("/proc/self/mounts").unwrap().contains(path.to_str().unwrap())
}

fn cat(path: &Path) -> Child {
    Command::new("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn an_ordinary_one_is_like_any_file_system() {
    let mount = odd(Quirks::default());
    let at = |name: &str| mount.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(at("sub/a"), &content).unwrap();
    assert!(fs::read(at("sub/a")).unwrap() == content);
    assert!(fs::read(mount.backing().join("sub/a")).unwrap() == content);
    File::open(at("sub/a")).unwrap().sync_all().unwrap();
    File::open(at("sub")).unwrap().sync_all().unwrap();
    renameat_with(CWD, at("sub/a"), CWD, at("b"), RenameFlags::NOREPLACE).unwrap();
    fs::write(at("c"), "c").unwrap();
    let taken = renameat_with(CWD, at("c"), CWD, at("b"), RenameFlags::NOREPLACE);
    assert_eq!(taken, Err(Errno::EXIST));
    fs::hard_link(at("b"), at("d")).unwrap();
    assert_eq!(fs::metadata(at("b")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(at("b")).unwrap().ino(), fs::metadata(at("d")).unwrap().ino());
    std::os::unix::fs::symlink("b", at("link")).unwrap();
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("b"));
    assert_eq!(fs::read(at("link")).unwrap().len(), content.len());
    let mtime = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5_000_000);
    File::options().write(true).open(at("b")).unwrap().set_modified(mtime).unwrap();
    assert_eq!(fs::metadata(at("b")).unwrap().modified().unwrap(), mtime);
    fs::set_permissions(at("b"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(fs::metadata(at("b")).unwrap().mode() & 0o7777, 0o640);
    rustix::fs::setxattr(at("b"), "user.note", b"value", rustix::fs::XattrFlags::empty()).unwrap();
    let mut value = [0; 16];
    assert_eq!(rustix::fs::getxattr(at("b"), "user.note", &mut value), Ok(5));
    let open = File::options().write(true).open(at("b")).unwrap();
    open.set_len(10).unwrap();
    rustix::fs::fallocate(&open, FallocateFlags::KEEP_SIZE, 0, 1 << 20).unwrap();
    assert_eq!(fs::metadata(at("b")).unwrap().len(), 10);
    assert!(rustix::fs::statvfs(mount.path()).unwrap().f_blocks > 0);
    fs::remove_file(at("b")).unwrap();
    // An open file without a name is still there.
    assert_eq!(open.metadata().unwrap().len(), 10);
    for number in 0..2000 {
        fs::write(at(&format!("sub/{number}")), "").unwrap();
    }
    assert_eq!(fs::read_dir(at("sub")).unwrap().count(), 2000);
    fs::remove_dir_all(at("sub")).unwrap();
    let mut left: Vec<String> = fs::read_dir(mount.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["c", "d", "link"]);
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn each_quirk_is_one() {
    let invalid = odd(Quirks { fsyncdir_invalid: true, rename_flags_invalid: true, ..Quirks::default() });
    let flushed = File::open(invalid.path()).unwrap().sync_all().unwrap_err();
    assert_eq!(flushed.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
    fs::write(invalid.path().join("a"), "a").unwrap();
    let (from, to) = (invalid.path().join("a"), invalid.path().join("b"));
    assert_eq!(renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE), Err(Errno::INVAL));
    fs::rename(&from, &to).unwrap();

    let denied = odd(Quirks {
        utimes_denied: true,
        chmod_denied: true,
        link_denied: true,
        no_fallocate: true,
        fixed_owner: Some((1234, 1234)),
        ..Quirks::default()
    });
    let path = denied.path().join("a");
    fs::write(&path, "a").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let is_denied = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
    };
    is_denied(file.set_modified(SystemTime::UNIX_EPOCH));
    is_denied(fs::set_permissions(&path, fs::Permissions::from_mode(0o600)));
    is_denied(std::os::unix::fs::chown(&path, Some(1), None));
    is_denied(fs::hard_link(&path, denied.path().join("b")));
    assert_eq!(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 10), Err(Errno::OPNOTSUPP));
    assert_eq!(file.metadata().unwrap().uid(), 1234);

    let vague = odd(Quirks { sizes_zero: true, statfs_zero: true, times_flap: true, ..Quirks::default() });
    let path = vague.path().join("a");
    fs::write(&path, "content").unwrap();
    let (first, second) = (fs::metadata(&path).unwrap(), fs::metadata(&path).unwrap());
    assert_eq!(first.len(), 0);
    assert_ne!(first.modified().unwrap(), second.modified().unwrap());
    let mut content = String::new();
    File::open(&path).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    let space = rustix::fs::statvfs(vague.path()).unwrap();
    assert_eq!((space.f_blocks, space.f_bavail), (0, 0));

    let folding = odd(Quirks { case_insensitive: true, ..Quirks::default() });
    fs::write(folding.path().join("Read.Me"), "x").unwrap();
    fs::write(folding.path().join("rEAD.mE"), "y").unwrap();
    assert_eq!(fs::read_to_string(folding.path().join("read.me")).unwrap(), "y");
    assert_eq!(fs::read_dir(folding.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn locks_hold_as_far_as_they_are_said_to() {
    for (kind, holds_here, holds_elsewhere) in
        [(Flock::Local, true, false), (Flock::Forwarded, true, true), (Flock::Granted, false, false)]
    {
        let mount = odd(Quirks { flock: kind, ..Quirks::default() });
        let twin = mount.twin(Quirks { flock: kind, ..Quirks::default() }).unwrap();
        fs::write(mount.path().join("lock"), "").unwrap();
        let open = |mount: &OddMount| File::open(mount.path().join("lock")).unwrap();
        let (first, here, elsewhere) = (open(&mount), open(&mount), open(&twin));
        let is_held = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive).is_err();
        assert!(!is_held(&first));
        assert_eq!((is_held(&here), is_held(&elsewhere)), (holds_here, holds_elsewhere), "{kind:?}");
        flock(&first, FlockOperation::Unlock).unwrap();
        assert!(!is_held(&elsewhere));
        // That of a directory never leaves the machine.
        let (first, elsewhere) = (File::open(mount.path()).unwrap(), File::open(twin.path()).unwrap());
        assert!(!is_held(&first) && !is_held(&elsewhere));
    }
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_stalled_call_hangs_until_it_is_released() {
    let mount = odd(Quirks::default());
    fs::write(mount.path().join("a"), "content").unwrap();
    for call in [Call::Lookup, Call::Open, Call::Read, Call::All] {
        let calls = mount.calls(call);
        mount.stall(call);
        let mut readers: Vec<Child> = (0..3).map(|_| cat(&mount.path().join("a"))).collect();
        // The first of several to look a name up does it for all.
        mount.wait_until_waiting(1);
        assert!(readers.iter_mut().all(|reader| reader.try_wait().unwrap().is_none()));
        assert!(mount.calls(call) > calls);
        mount.release();
        for mut reader in readers {
            assert!(reader.wait().unwrap().success(), "{call:?}");
        }
        assert_eq!(mount.waiting(), 0);
    }
    // The rest goes on meanwhile.
    mount.stall(Call::Fsync);
    let path = mount.path().join("b");
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| File::create(&path).unwrap().sync_all());
        mount.wait_until_waiting(1);
        assert_eq!(fs::read_to_string(mount.path().join("a")).unwrap(), "content");
        mount.release();
        flushing.join().unwrap().unwrap();
    });
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn calls_can_be_slow_and_can_fail() {
    let mount = odd(Quirks::default());
    fs::write(mount.path().join("a"), "content").unwrap();
    let time = Duration::from_millis(300);
    mount.delay(Call::Open, time);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| File::open(mount.path().join("a")).unwrap());
        }
    });
    // Slow requests are so side by side.
    assert!((time..20 * time).contains(&start.elapsed()), "{:?}", start.elapsed());
    mount.delay(Call::Open, Duration::ZERO);
    mount.fail(Call::Open, Some(Errno::STALE));
    let failure = File::open(mount.path().join("a")).unwrap_err();
    assert_eq!(failure.raw_os_error(), Some(Errno::STALE.raw_os_error()));
    mount.fail(Call::Open, None);
    File::open(mount.path().join("a")).unwrap();
}

#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn a_killed_process_is_let_go_of_a_stalled_call() {
    let mount = odd(Quirks::default());
    fs::write(mount.path().join("a"), vec![1; 1 << 20]).unwrap();
    for call in [Call::Getattr, Call::Open, Call::Read, Call::All] {
        mount.stall(call);
        let mut reader = cat(&mount.path().join("a"));
        mount.wait_until_waiting(1);
        reader.kill().unwrap();
        ferry_tests::server::wait_for_exit(&mut reader, WAIT_LIMIT);
        mount.release();
    }
}

/// Whatever is stalled, and while another process waits. (A test that itself has a file open there must close it before
/// it ends: the kernel waits for the daemon then, which is the same process.)
#[test]
#[ignore = "needs root to mount; run tests/checks"]
fn nothing_is_left_of_it_even_after_a_panic() {
    let mut path = None;
    let mut reader = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mount = odd(Quirks::default());
        fs::write(mount.path().join("a"), "content").unwrap();
        path = Some(mount.path().to_owned());
        mount.stall(Call::All);
        reader = Some(cat(&mount.path().join("a")));
        mount.wait_until_waiting(1);
        panic!("as intended");
    }));
    assert!(panicked.is_err());
    assert!(!is_mounted(&path.unwrap()));
    reader.unwrap().wait().unwrap();
    let has_daemon = || {
        fs::read_dir("/proc/self/task").unwrap().flatten().any(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("fuser"))
        })
    };
    wait_until("end of the daemon's threads", || !has_daemon());
}
