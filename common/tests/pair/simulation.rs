//! Both ends under random commands, cuts, orders of events, and faults. Everything follows from a seed:
//! `FERRY_SEED=123 cargo test -p ferry-common --test pair random` runs one again.

use crate::model::Pair;
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use std::collections::BTreeMap;
use std::time::Duration;

const SEEDS: u64 = 1000;
const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;

#[test]
fn random_sessions_keep_every_promise() {
    match std::env::var("FERRY_SEED") {
        Ok(seed) => Simulation::run(seed.parse().expect("FERRY_SEED is a whole number")),
        Err(_) => (0..SEEDS).for_each(Simulation::run),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in so many times.
    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Tells the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see this again: FERRY_SEED={}", self.0);
        }
    }
}

enum Asked {
    Upload { path: String, content: Vec<u8> },
    Download { path: String, offset: usize },
    Other,
}

/// Which kinds of trouble a seed has. The server may always close an idle data connection: that is none.
struct Trouble {
    disk: bool,
    network: bool,
    cancels: bool,
    slow: bool,
}

struct Simulation {
    random: Random,
    trouble: Trouble,
    pair: Pair,
    asked: Vec<Asked>,
    /// Every content that a name may have had.
    versions: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Simulation {
    fn run(seed: u64) {
        let _seed = Seed(seed);
        let mut random = Random(seed);
        let mut trouble = || random.one_in(3);
        let trouble = Trouble { disk: trouble(), network: trouble(), cancels: trouble(), slow: trouble() };
        let pair = Pair::new();
        let mut simulation = Self { random, trouble, pair, asked: Vec::new(), versions: BTreeMap::new() };
        simulation.fill_store();
        simulation.live();
        simulation.settle();
        simulation.check_uploads();
        simulation.check_downloads();
        simulation.check_calm();
    }

    fn fill_store(&mut self) {
        self.pair.server.store.make_dir("dir");
        for name in ["a", "b", "c"] {
            let content = self.content();
            self.pair.server.store.put(name, &content);
            self.versions.insert(name.to_owned(), vec![content]);
        }
    }

    fn live(&mut self) {
        let requests = 3 + self.random.below(25);
        let eagerness = 1 + self.random.below(100);
        while self.asked.len() < requests {
            if self.random.one_in(eagerness) {
                self.ask();
            }
            self.disturb();
            self.step();
        }
        for _ in 0..self.random.below(2000) {
            self.disturb();
            self.step();
        }
    }

    fn step(&mut self) {
        let most = match self.random.below(4) {
            0 => 1,
            1 => 1 + self.random.below(20),
            2 => 1 + self.random.below(5000),
            _ => EAGER_MAX,
        };
        let which = self.random.below(Pair::STEPS);
        self.pair.step(which, most);
    }

    fn ask(&mut self) {
        let path = ["a", "b", "c", "d", "e", "dir", "missing/f"][self.random.below(7)].to_owned();
        let pair = &mut self.pair;
        let asked = match self.random.below(8) {
            0..=2 => {
                let content = self.content();
                self.pair.upload(&path, &content);
                self.versions.entry(path.clone()).or_default().push(content.clone());
                Asked::Upload { path, content }
            }
            3..=5 => {
                let offset = if self.random.one_in(3) { self.random.below(100) } else { 0 };
                pair.request(&format!("download {path} {offset}"));
                Asked::Download { path, offset }
            }
            other => {
                pair.request(if other == 6 { "ls" } else { "stat a" });
                Asked::Other
            }
        };
        self.asked.push(asked);
    }

    /// Content that tells whose it is.
    fn content(&mut self) -> Vec<u8> {
        let size = match self.random.below(30) {
            0 => EAGER_MAX + self.random.below(3) - 1,
            1 => EAGER_MAX + self.random.below(EAGER_MAX),
            2..=4 => 0,
            _ => self.random.below(3000),
        };
        let mut content = self.random.next().to_le_bytes().repeat(size / 8 + 1);
        content.truncate(size);
        content
    }

    fn disturb(&mut self) {
        let (random, pair) = (&mut self.random, &mut self.pair);
        if random.one_in(50) {
            pair.server_evicts();
        }
        if self.trouble.disk && random.one_in(200) {
            let faults = &mut pair.server.store.faults;
            match random.below(3) {
                0 => faults.job = Some(ErrorCode::NoSpace),
                1 => faults.shrink_to = Some(random.below(1000)),
                _ => faults.write_fails_after = Some(random.below(1000) + random.below(2) * EAGER_MAX),
            }
        }
        if self.trouble.network && random.one_in(300) {
            pair.network_fails();
        }
        if self.trouble.cancels && random.one_in(300) {
            pair.client_cancels();
        }
        if self.trouble.slow && random.one_in(100) {
            pair.server.disk_stalls = random.one_in(2);
            pair.client.reads_nothing = random.one_in(3);
            pair.now += Duration::from_millis(random.below(20_000) as u64);
            pair.session.handle_timeout(pair.now);
            pair.perform();
        }
    }

    /// The trouble is over. What still waits can only wait for time to pass.
    fn settle(&mut self) {
        let pair = &mut self.pair;
        pair.server.disk_stalls = false;
        pair.client.reads_nothing = false;
        pair.run();
        for _ in 0..self.asked.len() {
            if pair.dialogue.is_busy() {
                pair.pass_to_deadline();
            }
        }
        assert_eq!(pair.client.done.len(), self.asked.len(), "a request hangs");
        pair.server.store.faults = crate::model::store::Faults::default();
        if !pair.server.closed {
            let (up, down) = (pair.upload("last", b"last"), pair.request("download last"));
            pair.run();
            assert_eq!((pair.number(up), pair.number(down)), (4, 4));
            assert_eq!(pair.client.delivered[&down], b"last");
        }
    }

    fn check_uploads(&self) {
        let mut published = self.pair.server.store.published.clone();
        published.retain(|(path, _)| path != b"last");
        let mut found = |path: &str, content: &Vec<u8>| {
            let place =
                published.iter().position(|(name, whole)| name == path.as_bytes() && whole == content);
            place.map(|place| published.remove(place)).is_some()
        };
        for (id, asked) in self.asked.iter().enumerate() {
            let Asked::Upload { path, content } = asked else { continue };
            match self.pair.outcome(id as u64) {
                Ok(number) => {
                    assert_eq!(*number, Some(content.len() as u64));
                    assert!(found(path, content), "upload {id} is not in the store");
                }
                // The disk may have done it after all, or the answer was lost.
                Err(Failure::Refused { code: Some(ErrorCode::Io), .. } | Failure::ControlLost) => {
                    found(path, content);
                }
                Err(_) => {}
            }
        }
        published.retain(|(_, content)| !content.is_empty());
        assert!(published.is_empty(), "published what was not sent, or sent once, or refused");
    }

    fn check_downloads(&self) {
        for (id, asked) in self.asked.iter().enumerate() {
            if let (Asked::Download { path, offset }, Ok(number)) = (asked, self.pair.outcome(id as u64)) {
                let delivered = &self.pair.client.delivered[&(id as u64)];
                assert_eq!(*number, Some(delivered.len() as u64));
                let mut versions = self.versions[path].iter().filter_map(|whole| whole.get(*offset..));
                assert!(versions.any(|tail| tail == delivered), "download {id} is no version of its file");
            }
        }
    }

    /// Without trouble, nothing fails but what must.
    fn check_calm(&self) {
        let Trouble { disk, network, cancels, slow } = self.trouble;
        if disk || network || cancels || slow {
            return;
        }
        for (id, asked) in self.asked.iter().enumerate() {
            let outcome = self.pair.outcome(id as u64);
            let served = |path: &str| !["d", "e", "dir", "missing/f"].contains(&path);
            match asked {
                Asked::Upload { path, .. } => {
                    assert_eq!(outcome.is_ok(), path != "dir" && path != "missing/f", "{id}: {outcome:?}");
                }
                Asked::Download { path, offset: 0 } if served(path) => {
                    assert!(outcome.is_ok(), "{id}: {outcome:?}");
                }
                Asked::Download { .. } => {}
                Asked::Other => assert!(outcome.is_ok(), "{id}: {outcome:?}"),
            }
        }
    }
}
