//! Under every attack that `swarm attack` knows, in a small form, a good client is served, and afterwards nothing is left
//! of it.
#![allow(clippy::unwrap_used)]

use ferry_tests::conversation::Conversation;
use ferry_tests::server::{Options, Server};
use ferry_tests::swarm::attack::crowd::{Crowd, Target};
use ferry_tests::swarm::attack::fixtures::Fixtures;
use ferry_tests::swarm::attack::plan::Attack;
use ferry_tests::wait::wait_until;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far more than it takes, and far less than waiting for what attackers hold.
const SOON: Duration = Duration::from_secs(5);
/// How often the good client comes during an attack.
const VISITS: usize = 5;
/// An attack of this size may cost this much.
const MEMBERS: usize = 150;
const RESIDENT_MAX_BYTES: u64 = 64 << 20;

/// A server with what the attacks ask for.
fn server() -> Server {
    let server = Options::default().arguments(&["--max-sessions", "400"]).open_files(1024).start();
    let fixtures = Fixtures { entries: 500, cold_files: MEMBERS, cold_bytes: 100_000 };
    fixtures.prepare(server.root()).unwrap();
    server.put("file", "content");
    server
}

/// Everything that a person does, each soon enough.
#[track_caller]
fn visit(server: &Server, attack: &str) {
    let soon = |what: &str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        assert!(started.elapsed() < SOON, "{attack}: {what} took {:?}", started.elapsed());
    };
    let mut session = Conversation::with(server);
    soon("ls", &mut || assert!(session.ask("ls").outcome.is_ok()));
    soon("sum", &mut || assert!(session.ask("sum file").outcome.is_ok()));
    soon("download", &mut || assert_eq!(session.download("file").unwrap(), b"content"));
    // An idle data connection may have to make room for others.
    let mut session = Conversation::with(server);
    soon("upload", &mut || assert_eq!(session.upload("upload", b"content"), Ok(())));
}

#[track_caller]
fn expect_good_clients_served(attack: Attack, members: usize) {
    let (server, name, plan) = (server(), attack.name(), attack.plan().scaled(members));
    let members = plan.members as u64;
    let descriptors = server.process().descriptors();
    let target = Target {
        control: server.control_address(),
        data: server.data_address(),
        from: Some(IpAddr::from([127, 0, 0, 2])),
    };
    let (there, over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let mut crowd = Crowd::new(plan, target).unwrap();
            crowd.run(|| over.load(Ordering::Relaxed), || there.store(true, Ordering::Relaxed)).unwrap();
            crowd.counts()
        });
        let visits = std::panic::catch_unwind(|| {
            wait_until("crowd", || there.load(Ordering::Relaxed));
            (0..VISITS).for_each(|_| visit(&server, &name));
        });
        over.store(true, Ordering::Relaxed);
        let (begun, failed) = crowd.join().unwrap();
        assert!(begun >= members && failed == 0, "{name}: {begun} connections, {failed} failed");
        visits.unwrap();
    });
    visit(&server, &name);
    wait_until("end of what the attackers held", || server.process().descriptors() <= descriptors + 2);
    let resident = server.process().peak_resident_bytes();
    assert!(resident < RESIDENT_MAX_BYTES, "{name}: {resident} bytes");
}

/// One test for each attack.
macro_rules! attacks {
    ($($name:ident: $attack:ident, $members:expr;)*) => {
        $(
            #[test]
            fn $name() {
                expect_good_clients_served(Attack::$attack, $members);
            }
        )*

        #[test]
        fn every_attack_has_its_test() {
            let tested = [$(Attack::$attack),*];
            for attack in <Attack as clap::ValueEnum>::value_variants() {
                assert!(tested.contains(attack), "{}", attack.name());
            }
        }
    };
}

attacks! {
    slow_readers_are_borne: SlowReaders, MEMBERS;
    stopped_readers_are_borne: StoppedReaders, MEMBERS;
    slow_listers_are_borne: SlowListers, MEMBERS;
    the_slowest_listers_are_borne: SlowestListers, MEMBERS;
    dribbled_lines_are_borne: DribbledLines, MEMBERS;
    dribbled_uploads_are_borne: DribbledUploads, MEMBERS;
    a_connect_storm_is_borne: ConnectStorm, 64;
    a_reset_storm_is_borne: ResetStorm, 64;
    connections_without_a_ticket_are_borne: Unticketed300, 300;
    many_connections_without_a_ticket_are_borne: Unticketed5000, 600;
    wrong_tickets_are_borne: WrongTickets, 100;
    endless_lines_are_borne: EndlessLines, MEMBERS;
    half_lines_are_borne: HalfLines, 350;
    pipelined_commands_are_borne: Help1500, MEMBERS;
    more_pipelined_commands_are_borne: Help15000, 350;
    refused_downloads_are_borne: RefusedDownloads, MEMBERS;
    cold_readers_are_borne: ColdReaders, 50;
    full_uploaders_are_borne: FullUploaders, 20;
    listings_of_a_large_folder_are_borne: LargeListings, 50;
    digests_for_nobody_are_borne: Sums, 32;
    announced_uploads_are_borne: Announced, 40;
    one_host_with_all_sessions_is_borne: AllSessions, 500;
    one_host_with_all_data_connections_is_borne: AllData, 300;
    idle_sessions_are_borne: Idle, 350;
}
