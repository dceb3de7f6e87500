//! Links that break at any byte: the name holds the old content, none, or the whole new one; what was held
//! comes back; and the same transfer, asked for again, completes.
#![allow(clippy::unwrap_used)]

use ferry_common::limits::TICKET_TIMEOUT;
use ferry_common::wire::command::UploadOptions;
use ferry_tests::content::Content;
use ferry_tests::ferry::{Ferry, Running};
use ferry_tests::proxy::{Direction, Fault, Kind, Link, Proxy};
use ferry_tests::random::Random;
use ferry_tests::server::Server;
use ferry_tests::session::{Attempt, Session};
use ferry_tests::wait::{WAIT_LIMIT, wait_at_most, wait_for, wait_until};
use std::time::Duration;

const OLD: &[u8] = b"the old content";
const SMALL: Content = Content { seed: 5, size_bytes: 2048 };
const NAME: &str = "file";
/// What is downloaded.
const GIVEN: &str = "given";
/// No transfer here moves as many bytes over one link.
const SWEEP_MAX: u64 = 8192;

/// What a sweep repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Upload,
    Download,
}

impl Transfer {
    fn attempt(self, proxy: &Proxy) -> Attempt<()> {
        let mut session = Session::with(proxy.control_address())?;
        match self {
            Self::Upload => {
                let options = UploadOptions { digest: true, ..UploadOptions::default() };
                session.upload(NAME, &SMALL.bytes(), options)?;
            }
            Self::Download => assert_eq!(session.download(GIVEN, 0)?.bytes, SMALL.bytes()),
        }
        Ok(())
    }

    /// The ways that something moves.
    fn links(self) -> &'static [(Link, Direction)] {
        const UPLOAD: &[(Link, Direction)] = &[
            (Link::Control, Direction::ToServer),
            (Link::Control, Direction::ToClient),
            (Link::Data, Direction::ToServer),
        ];
        const DOWNLOAD: &[(Link, Direction)] = &[
            (Link::Control, Direction::ToServer),
            (Link::Control, Direction::ToClient),
            (Link::Data, Direction::ToServer),
            (Link::Data, Direction::ToClient),
        ];
        match self {
            Self::Upload => UPLOAD,
            Self::Download => DOWNLOAD,
        }
    }
}

/// Old or none where nothing new is whole.
fn prepare(server: &Server, number: u64) {
    let _ = std::fs::remove_file(server.path(NAME));
    if number % 4 < 2 {
        server.put(NAME, OLD);
    }
}

#[track_caller]
fn expect_old_or_new(server: &Server, number: u64, case: &Fault) {
    let found = std::fs::read(server.path(NAME)).ok();
    let old = (number % 4 < 2).then_some(OLD);
    let whole = found.as_deref() == old || found.as_deref() == Some(&SMALL.bytes());
    assert!(whole, "{case:?}: {} bytes", found.map_or(0, |found| found.len()));
}

/// One fault of each kind at each byte of one direction of one link, up to the first that the transfer does
/// not reach. Gives how many there were.
fn sweep(transfer: Transfer, (link, direction): (Link, Direction), kinds: &[Kind], step: usize) -> u64 {
    let server = Server::start();
    server.put(GIVEN, SMALL.bytes());
    let proxy = Proxy::before(server.control_address());
    Transfer::Upload.attempt(&proxy).unwrap();
    let baseline = server.process().descriptors();
    let mut count = 0;
    for after in (0..SWEEP_MAX).step_by(step) {
        for &kind in kinds {
            let fault = Fault { link, direction, after, kind };
            prepare(&server, after);
            proxy.arm(fault);
            let attempt = transfer.attempt(&proxy);
            expect_old_or_new(&server, after, &fault);
            let has_happened = proxy.disarm();
            let is_harmless = !has_happened || matches!(kind, Kind::Trickle(_));
            assert!(!is_harmless || attempt.is_ok(), "{fault:?}: {attempt:?}");

            let again = transfer.attempt(&proxy);
            assert!(again.is_ok(), "{fault:?}, then {again:?}");
            if transfer == Transfer::Upload {
                assert_eq!(std::fs::read(server.path(NAME)).unwrap(), SMALL.bytes(), "{fault:?}");
            }
            if !has_happened {
                expect_released(&server, baseline);
                return count;
            }
            count += 1;
        }
    }
    panic!("no end of {link:?} {direction:?}");
}

/// A client that was offered a data connection is missed only when its ticket is void.
#[track_caller]
fn expect_released(server: &Server, baseline: usize) {
    let released = wait_at_most(TICKET_TIMEOUT + WAIT_LIMIT, || {
        (server.process().descriptors() <= baseline && server.staged_files().is_empty()).then_some(())
    });
    let held = (server.process().descriptor_targets(), server.staged_files());
    assert!(released.is_some(), "more than {baseline}: {held:?}");
}

/// Sweeps all ways at the same time, each with a server of its own. Tells how many faults there were.
fn sweep_all(transfer: Transfer, kinds: &[Kind], step: usize) -> u64 {
    let count = std::thread::scope(|scope| {
        let sweeps: Vec<_> = transfer
            .links()
            .iter()
            .map(|&way| scope.spawn(move || sweep(transfer, way, kinds, step)))
            .collect();
        sweeps.into_iter().map(|sweep| sweep.join().unwrap()).sum()
    });
    println!("{count} faults in {transfer:?}s");
    count
}

#[test]
fn an_upload_that_is_cut_at_any_byte_leaves_no_false_file_and_completes_when_repeated() {
    assert!(sweep_all(Transfer::Upload, &[Kind::Reset, Kind::End], 1) > 2 * SMALL.size_bytes);
}

#[test]
fn a_download_that_is_cut_at_any_byte_is_noticed_and_completes_when_repeated() {
    assert!(sweep_all(Transfer::Download, &[Kind::Reset, Kind::End], 1) > 2 * SMALL.size_bytes);
}

#[test]
fn transfers_that_stall_or_trickle_at_any_byte_leave_no_false_file() {
    let kinds = [Kind::Stall(Duration::from_millis(10)), Kind::Trickle(Duration::from_micros(200))];
    std::thread::scope(|scope| {
        for transfer in [Transfer::Upload, Transfer::Download] {
            scope.spawn(move || assert!(sweep_all(transfer, &kinds, 5) > SMALL.size_bytes / 5));
        }
    });
}

/// What the real client moves through the proxy.
const BIG: Content = Content { seed: 6, size_bytes: 6 << 20 };
const RUNS: u64 = 24;

/// One random fault for the real client. Where it strikes differs from run to run; `FERRY_SEED` repeats one.
fn random_fault(random: &mut Random, transfer: Transfer) -> Fault {
    let data = match transfer {
        Transfer::Upload => Direction::ToServer,
        Transfer::Download => Direction::ToClient,
    };
    let kind = match random.below(4) {
        0 => Kind::Reset,
        1 => Kind::End,
        2 => Kind::Stall(Duration::from_millis(300)),
        _ => Kind::Trickle(Duration::from_millis(1)),
    };
    match random.below(8) {
        0 => Fault { link: Link::Control, direction: Direction::ToServer, after: random.below(150), kind },
        1 => Fault { link: Link::Control, direction: Direction::ToClient, after: random.below(300), kind },
        2 => Fault { link: Link::Data, direction: data, after: random.below(100), kind },
        _ => Fault { link: Link::Data, direction: data, after: random.below(BIG.size_bytes + 50), kind },
    }
}

fn client_through(proxy: &Proxy, ferry: &Ferry, transfer: Transfer, retry_for: &str) -> Running {
    let mut command = ferry.command(proxy.control_address());
    let text = match transfer {
        Transfer::Upload => "upload big",
        Transfer::Download => "download big",
    };
    command.args(["--retry-for", retry_for, "-c", text]);
    Running::start(command, b"")
}

/// Two faults in one transfer, and the client sees it through.
fn run_seed(server: &Server, seed: u64) {
    let mut random = Random::new(seed);
    let transfer = *random.pick(&[Transfer::Upload, Transfer::Download]);
    let proxy = Proxy::before(server.control_address());
    let ferry = Ferry::new();
    let _ = std::fs::remove_file(server.path("big"));
    match transfer {
        Transfer::Upload => ferry.put("big", BIG.bytes()),
        Transfer::Download => server.put("big", BIG.bytes()),
    }
    let fault = random_fault(&mut random, transfer);
    let case = format!("FERRY_SEED={seed}: {transfer:?}, {fault:?}");
    proxy.arm(fault);
    let mut running = client_through(&proxy, &ferry, transfer, "20");
    let over = wait_for("fault, or the end of the client", || {
        let has_ended = running.child.try_wait().unwrap().is_some();
        (has_ended || proxy.has_happened()).then_some(has_ended)
    });
    if !over {
        let (link, direction) = (fault.link, fault.direction);
        let after = if link == Link::Data { random.below(BIG.size_bytes / 2) } else { random.below(100) };
        proxy.arm(Fault { link, direction, after, kind: Kind::Reset });
    }
    let mut run = running.finish();
    if run.status == Some(3) && fault.link == Link::Control {
        // It had not come to know the server yet, and says that it cannot connect.
        proxy.disarm();
        run = client_through(&proxy, &ferry, transfer, "20").finish();
    }
    assert_eq!(run.status, Some(0), "{case}\n{}", run.stderr);
    let there = if transfer == Transfer::Upload { server.path("big") } else { ferry.path("big") };
    assert!(std::fs::read(there).unwrap() == BIG.bytes(), "{case}: another content");
    if transfer == Transfer::Download {
        assert_eq!(ferry.files(), ["big"], "{case}: more than the file is left");
    }
}

#[test]
fn the_client_sees_a_transfer_through_whatever_the_link_does() {
    let server = Server::start();
    match std::env::var("FERRY_SEED") {
        Ok(seed) => run_seed(&server, seed.parse().expect("FERRY_SEED is a number")),
        Err(_) => (0..RUNS).for_each(|seed| run_seed(&server, seed)),
    }
    wait_until("end of the staged files", || server.staged_files().is_empty());
}

/// The link breaks and does not come back: the client says so, in time, and the next run goes on.
#[test]
fn the_client_gives_up_on_a_link_that_stays_away_and_the_next_run_goes_on() {
    for (seed, transfer) in [Transfer::Upload, Transfer::Download].into_iter().enumerate() {
        for retry_for in ["0", "1"] {
            let server = Server::start();
            let ferry = Ferry::new();
            match transfer {
                Transfer::Upload => ferry.put("big", BIG.bytes()),
                Transfer::Download => server.put("big", BIG.bytes()),
            }
            let direction = transfer.links()[transfer.links().len() - 1].1;
            let proxy = Proxy::before(server.control_address());
            let after = 4 << 20 | seed as u64;
            proxy.arm(Fault { link: Link::Data, direction, after, kind: Kind::End });
            proxy.refuse_after_fault();
            let running = client_through(&proxy, &ferry, transfer, retry_for);
            let run = running.finish();
            run.expect_status(6);
            assert!(!run.stderr.contains("done") && !run.stderr.contains("finished"), "{}", run.stderr);
            let there = if transfer == Transfer::Upload { server.path("big") } else { ferry.path("big") };
            assert!(!there.exists(), "a false file");

            let proxy = Proxy::before(server.control_address());
            let run = client_through(&proxy, &ferry, transfer, retry_for).finish();
            run.expect_status(0);
            assert!(run.stderr.contains("Resuming"), "it began anew:\n{}", run.stderr);
            assert!(std::fs::read(there).unwrap() == BIG.bytes());
        }
    }
}
