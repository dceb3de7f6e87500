//! Each call of the server on files and sockets fails in each way that it can: whatever fails, its client
//! gets an `err` or what it asked for, no name has a wrong file, no descriptor is lost, and others are served.

use crate::attempt::{Attempt, Ended};
use crate::calls::{ERRORS, failing_points, is_socket_call};
use crate::folders::{LARGE, NAME, OLD, SENT_BYTES, SMALL};
use crate::ftp;
use ferry_common::limits::{STALL_WINDOW, TICKET_TIMEOUT};
use ferry_tests::content::Content;
use ferry_tests::server::Server;
use ferry_tests::tracing::injector::{Aim, Call, Injector};
use ferry_tests::wait::{WAIT_LIMIT, wait_at_most, wait_for, wait_until};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const OTHER: &str = "other.txt";
/// How often a scenario is watched before its calls are made to fail.
const COUNTING_RUNS: usize = 5;

/// A client must hear within this time...
const ANSWER_TIME: Duration = Duration::from_secs(8);
/// ...unless the system said falsely that a socket has nothing: nothing will tell the server otherwise.
const FALSE_ANSWER_TIME: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    SmallUpload,
    Overwrite,
    LargeUpload,
    ResumedUpload,
    Download,
    Listing,
    FtpUpload,
    FtpOverwrite,
    FtpAppend,
    FtpResume,
    FtpDownload,
}

/// A server to be tormented, and what is known of it.
struct Bench {
    server: Server,
    injector: Injector,
    idle_descriptors: usize,
    /// Where it keeps uploads that broke off, and what it has kept there of one.
    kept_path: PathBuf,
    kept: Vec<u8>,
}

impl Scenario {
    /// What is sent.
    fn content(self) -> Content {
        match self {
            Self::SmallUpload
            | Self::Overwrite
            | Self::Listing
            | Self::FtpUpload
            | Self::FtpOverwrite
            | Self::FtpAppend => SMALL,
            Self::LargeUpload
            | Self::ResumedUpload
            | Self::FtpResume
            | Self::Download
            | Self::FtpDownload => LARGE,
        }
    }

    /// What the file is then.
    fn whole(self) -> Vec<u8> {
        match self {
            Self::FtpAppend => [OLD.bytes(), SMALL.bytes()].concat(),
            Self::SmallUpload
            | Self::Overwrite
            | Self::Listing
            | Self::FtpUpload
            | Self::FtpOverwrite
            | Self::LargeUpload
            | Self::ResumedUpload
            | Self::FtpResume
            | Self::Download
            | Self::FtpDownload => self.content().bytes(),
        }
    }

    fn old(self) -> Option<Content> {
        match self {
            Self::Overwrite | Self::FtpOverwrite | Self::FtpAppend | Self::FtpResume => Some(OLD),
            Self::Download | Self::FtpDownload => Some(LARGE),
            Self::SmallUpload | Self::LargeUpload | Self::ResumedUpload | Self::Listing | Self::FtpUpload => {
                None
            }
        }
    }

    /// Runs with a session of its own, which ends with it.
    fn run(self, server: &Server, limit: Duration, kept_bytes: u64) -> Ended {
        let content = self.content().bytes();
        let with_attempt = |run: &dyn Fn(&mut Attempt) -> Ended| {
            Attempt::with(server.control_address(), limit)
                .map_or_else(|ended| ended, |mut attempt| run(&mut attempt))
        };
        match self {
            Self::SmallUpload | Self::Overwrite | Self::LargeUpload => {
                with_attempt(&|attempt| attempt.upload(NAME, &content, 0))
            }
            Self::ResumedUpload => with_attempt(&|attempt| attempt.upload(NAME, &content, kept_bytes)),
            Self::Download => with_attempt(&|attempt| attempt.download(NAME, &content)),
            Self::Listing => with_attempt(&Attempt::ls),
            Self::FtpUpload | Self::FtpOverwrite => {
                ftp::upload(server.ftp_address(), limit, &format!("STOR {NAME}"), &content)
            }
            Self::FtpAppend => ftp::upload(server.ftp_address(), limit, &format!("APPE {NAME}"), &content),
            Self::FtpResume => {
                let rest = &content[usize::try_from(kept_bytes).unwrap()..];
                ftp::resume(server.ftp_address(), limit, (NAME, kept_bytes), rest)
            }
            Self::FtpDownload => ftp::download(server.ftp_address(), limit, NAME, &content),
        }
    }
}

impl Bench {
    fn new() -> Self {
        let server = Server::start();
        wait_until("sleep of the threads", || server.process().is_asleep());
        let idle_descriptors = server.process().descriptors();
        let mut attempt = Attempt::with(server.control_address(), WAIT_LIMIT).unwrap();
        assert_eq!(attempt.upload(OTHER, &SMALL.bytes(), 0), Ended::Ok);
        attempt.upload_beginning(NAME, LARGE, SENT_BYTES);
        wait_for("kept upload", || attempt.kept(NAME));
        drop(attempt);
        let kept_path = server.path(&server.staged_files()[0]);
        let kept = fs::read(&kept_path).unwrap();
        let injector = Injector::attach(server.process(), Aim::Watch);
        Self { server, injector, idle_descriptors, kept_path, kept }
    }

    fn prepare(&self, scenario: Scenario) {
        let _ = fs::remove_file(self.server.path(NAME));
        let _ = fs::remove_file(&self.kept_path);
        if let Some(old) = scenario.old() {
            self.server.put(NAME, old.bytes());
        }
        if matches!(scenario, Scenario::ResumedUpload | Scenario::FtpResume) {
            fs::write(&self.kept_path, &self.kept).unwrap();
        }
    }

    /// How often each call is made in the scenario, at least: a part of a file that another thread is reading is looked at
    /// page by page, and whether one is depends on chance.
    fn count(&self, scenario: Scenario) -> BTreeMap<Call, usize> {
        let mut least: BTreeMap<Call, usize> = BTreeMap::new();
        for _ in 0..COUNTING_RUNS {
            for (call, count) in self.count_once(scenario) {
                least.entry(call).and_modify(|least| *least = count.min(*least)).or_insert(count);
            }
        }
        least
    }

    fn count_once(&self, scenario: Scenario) -> BTreeMap<Call, usize> {
        self.settle(ANSWER_TIME).unwrap();
        self.prepare(scenario);
        self.injector.aim(Aim::Watch);
        assert_eq!(scenario.run(&self.server, WAIT_LIMIT, self.kept.len() as u64), Ended::Ok);
        self.settle(ANSWER_TIME).unwrap();
        self.injector.counts()
    }

    /// One run; `None` where the call that should fail was not made, and what was wrong is the error.
    fn run(&self, scenario: Scenario, aim: Aim) -> Result<Option<Ended>, String> {
        self.settle(ANSWER_TIME)?;
        self.prepare(scenario);
        self.injector.aim(aim);
        let limit = if is_false_would_block(aim) { FALSE_ANSWER_TIME } else { ANSWER_TIME };
        let ended = scenario.run(&self.server, limit, self.kept.len() as u64);
        // What belongs to the end of the session counts as well.
        let settled = self.settle(settle_time(aim));
        let has_fired = self.injector.has_fired();
        self.injector.aim(Aim::Watch);
        check_ended(aim, ended)?;
        self.check_file(scenario, ended)?;
        self.check_others()?;
        settled?;
        Ok((has_fired || aim == Aim::Watch).then_some(ended))
    }

    fn check_file(&self, scenario: Scenario, ended: Ended) -> Result<(), String> {
        if scenario == Scenario::Listing {
            return Ok(());
        }
        let found = fs::read(self.server.path(NAME)).ok();
        let is_new = found.as_ref().is_some_and(|found| *found == scenario.whole());
        let is_old = found == scenario.old().map(|old| old.bytes());
        if is_new || (is_old && ended != Ended::Ok) {
            Ok(())
        } else {
            Err(format!("after {ended:?} there is a wrong file"))
        }
    }

    /// Nothing that one client has brought about is in the way of another.
    fn check_others(&self) -> Result<(), String> {
        let mut attempt = Attempt::with(self.server.control_address(), ANSWER_TIME)
            .map_err(|ended| format!("another client cannot connect: {ended:?}"))?;
        let results = [
            attempt.ls(),
            attempt.upload(OTHER, &SMALL.bytes(), 0),
            attempt.download(OTHER, &SMALL.bytes()),
            attempt.ls(),
        ];
        if results == [Ended::Ok; 4] { Ok(()) } else { Err(format!("another session had {results:?}")) }
    }

    /// All descriptors come back.
    fn settle(&self, limit: Duration) -> Result<(), String> {
        let process = self.server.process();
        wait_at_most(limit, || (process.descriptors() <= self.idle_descriptors).then_some(()))
            .ok_or_else(|| format!("descriptors stay open: {:?}", process.descriptor_targets()))
    }
}

/// A session whose data connection failed under it gives up at its deadline, and not because its client has
/// closed the control connection: it might have closed its sending side only.
fn settle_time(aim: Aim) -> Duration {
    match aim {
        Aim::Fail(point, _) if is_socket_call(point.call) => ANSWER_TIME + TICKET_TIMEOUT.max(STALL_WINDOW),
        Aim::Fail(..) | Aim::Watch | Aim::Kill(_) => ANSWER_TIME,
    }
}

fn check_ended(aim: Aim, ended: Ended) -> Result<(), String> {
    let is_fine = match (ended, aim) {
        (Ended::Ok, _) => true,
        (Ended::Refused(_) | Ended::Replied(_), Aim::Fail(..)) => true,
        (Ended::Closed, Aim::Fail(point, _)) => is_socket_call(point.call),
        (Ended::Silent, aim) => is_false_would_block(aim),
        _ => false,
    };
    if is_fine { Ok(()) } else { Err(format!("the client saw {ended:?}")) }
}

fn is_false_would_block(aim: Aim) -> bool {
    matches!(aim, Aim::Fail(point, Errno::EAGAIN) if is_socket_call(point.call))
}

fn label(ended: Ended) -> String {
    match ended {
        Ended::Ok => "ok".to_owned(),
        Ended::Refused(code) => format!("err {}", code.word()),
        Ended::Replied(code) => code.to_string(),
        Ended::Closed => "closed".to_owned(),
        Ended::Silent => "silent".to_owned(),
    }
}

fn sweep(scenario: Scenario) {
    let mut bench = Bench::new();
    bench.run(scenario, Aim::Watch).unwrap();
    let points = failing_points(&bench.count(scenario));
    assert!(!points.is_empty(), "nothing was traced");
    let (mut results, mut unreached, mut wrong) = (BTreeMap::new(), 0, Vec::new());
    for point in points {
        for &errno in ERRORS {
            match bench.run(scenario, Aim::Fail(point, errno)) {
                Ok(Some(ended)) => *results.entry(label(ended)).or_insert(0) += 1,
                Ok(None) => unreached += 1,
                Err(reason) => {
                    println!("  {point} with {errno:?}: {reason}");
                    wrong.push((point, errno, reason));
                    bench = Bench::new();
                }
            }
        }
    }
    let tried: usize = results.values().sum();
    println!("{scenario:?}: {tried} errors: {results:?}; not reached {unreached}; wrong {}", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(unreached * 4 <= tried, "too many calls were not reached");
}

macro_rules! sweeps {
    ($($name:ident $scenario:ident),* $(,)?) => {
        $(
            #[test]
            #[ignore = "takes long, and traces; run tests/checks"]
            fn $name() {
                sweep(Scenario::$scenario);
            }
        )*
    };
}

sweeps! {
    a_small_upload_survives_every_error SmallUpload,
    an_upload_over_a_file_survives_every_error Overwrite,
    a_large_upload_survives_every_error LargeUpload,
    a_resumed_upload_survives_every_error ResumedUpload,
    a_download_survives_every_error Download,
    a_listing_survives_every_error Listing,
    an_ftp_upload_survives_every_error FtpUpload,
    an_ftp_upload_over_a_file_survives_every_error FtpOverwrite,
    what_is_appended_over_ftp_survives_every_error FtpAppend,
    an_ftp_upload_that_is_gone_on_with_survives_every_error FtpResume,
    an_ftp_download_survives_every_error FtpDownload,
}
