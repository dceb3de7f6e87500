//! The same work in another dialect, in which the end of the data connection is that of the file: what is whole ends
//! cleanly, and what ends cleanly is whole. The simulation follows from a seed, as that of Ferry's own dialect does:
//! `FERRY_SEED=123 cargo test -p ferry-session --test pair toy` runs one again.

use crate::model::random::{Random, Seed, for_each_seed};
use crate::model::{POLICY, Pair, STEPS};
use crate::toy_dialect::Toy;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, TICKET_SECRET_BYTES};
use ferry_common::wire::ticket::Ticket;
use ferry_session::Session;
use ferry_session::action::{Action, End, Publication};
use ferry_session::fact::Fact;
use std::collections::BTreeMap;
use std::time::Instant;

const SEEDS: u64 = 1000;
const LARGE: usize = EAGER_MAX_BYTES as usize + 1000;

/// Both ends; the client's is here, since no dialogue speaks the dialect.
struct World {
    pair: Pair<Toy>,
    transfers: Vec<Transfer>,
    /// How many of them are answered.
    answered: usize,
}

struct Transfer {
    name: String,
    put: Option<Put>,
    link: Option<usize>,
    /// The server has said how long the file is, so that what comes is the file.
    is_announced: bool,
    received: Vec<u8>,
    /// How the data connection of a download ended.
    end: Option<End>,
    /// `DONE` with a length, or `FAILED` with a code.
    verdict: Option<Result<usize, String>>,
}

struct Put {
    content: Vec<u8>,
    sent: usize,
    /// The client goes away after so many bytes, without an end.
    torn_at: Option<usize>,
    is_wanted: bool,
}

impl World {
    fn new() -> Self {
        let mut pair = Pair::raw_speaking(Toy::default(), POLICY);
        for name in ["a", "b"] {
            pair.server.store.put(name, &[b'0'; 1000]);
        }
        Self { pair, transfers: Vec::new(), answered: 0 }
    }

    fn get(&mut self, name: &str) -> usize {
        self.ask("GET", name, None)
    }

    fn put(&mut self, name: &str, content: &[u8], torn_at: Option<usize>) -> usize {
        let put = Put { content: content.to_vec(), sent: 0, torn_at, is_wanted: false };
        self.ask("PUT", name, Some(put))
    }

    fn ask(&mut self, verb: &str, name: &str, put: Option<Put>) -> usize {
        self.pair.wire.write_commands(format!("{verb} {name}\n").as_bytes());
        let (name, received) = (name.to_owned(), Vec::new());
        let (link, end, verdict, is_announced) = (None, None, None, false);
        self.transfers.push(Transfer { name, put, link, is_announced, received, end, verdict });
        self.transfers.len() - 1
    }

    /// Lets happen all that can happen while time stands still.
    fn run(&mut self) {
        loop {
            self.pair.run();
            if !self.step_client(usize::MAX) {
                return;
            }
        }
    }

    fn step_client(&mut self, most: usize) -> bool {
        let mut progress = self.read_lines();
        for index in 0..self.transfers.len() {
            progress |= self.step_transfer(index, most);
        }
        progress
    }

    fn read_lines(&mut self) -> bool {
        let text = self.pair.client.raw.as_mut().unwrap();
        let Some(end) = text.rfind('\n') else { return false };
        let lines: String = text.drain(..=end).collect();
        for line in lines.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let transfer = &mut self.transfers[self.answered];
            match word {
                "CONNECT" => transfer.link = Some(self.pair.open_link(rest.as_bytes())),
                "SEND" => transfer.put.as_mut().unwrap().is_wanted = true,
                "LENGTH" => transfer.is_announced = true,
                "WAIT" => {}
                "DONE" | "FAILED" => {
                    let is_done = word == "DONE";
                    let verdict = if is_done { Ok(rest.parse().unwrap()) } else { Err(rest.to_owned()) };
                    assert!(transfer.verdict.replace(verdict).is_none());
                    self.answered += 1;
                }
                other => panic!("{other}"),
            }
        }
        true
    }

    fn step_transfer(&mut self, index: usize, most: usize) -> bool {
        let Transfer { put, link, received, end, verdict, .. } = &mut self.transfers[index];
        let Some(link) = *link else { return false };
        let wire = &mut self.pair.wire;
        if wire.links[link].client_gone && put.is_some() || end.is_some() {
            return false;
        }
        if let Some(Put { content, sent, torn_at, is_wanted }) = put {
            let until = torn_at.unwrap_or(content.len());
            if *is_wanted && *sent < until {
                let part = &content[*sent..until.min(sent.saturating_add(most))];
                wire.write_up(link, part);
                *sent += part.len();
            } else if *is_wanted || verdict.is_some() {
                wire.links[link].client_gone = true;
                wire.links[link].is_torn |= torn_at.is_some();
            } else {
                return false;
            }
            return true;
        }
        let bytes = wire.read_down(link, most);
        received.extend(&bytes);
        if bytes.is_empty() && wire.down_at_end(link) {
            *end = Some(if wire.links[link].is_torn { End::Torn } else { End::Clean });
            wire.links[link].client_gone = true;
        }
        !bytes.is_empty() || end.is_some()
    }

    /// What each transfer promised holds, in the order in which they were answered.
    fn check(&self) {
        let mut model = BTreeMap::from([("a", vec![b'0'; 1000]), ("b", vec![b'0'; 1000])]);
        let mut published = Vec::new();
        for (index, transfer) in self.transfers.iter().enumerate() {
            let Transfer { name, put, is_announced, received, end, verdict, .. } = transfer;
            let verdict = verdict.as_ref().unwrap_or_else(|| panic!("transfer {index} hangs"));
            match (put, verdict) {
                (Some(put), Ok(length)) => {
                    assert!(put.torn_at.is_none(), "transfer {index} is no whole upload");
                    assert_eq!(*length, put.content.len());
                    model.insert(name, put.content.clone());
                    published.push((name.clone().into_bytes(), put.content.clone()));
                }
                (None, Ok(length)) => {
                    assert_eq!(*length, model[name.as_str()].len());
                    if *end == Some(End::Clean) {
                        assert!(*received == model[name.as_str()], "transfer {index}");
                    }
                }
                (None, Err(_)) => {
                    assert!(!is_announced || *end != Some(End::Clean), "transfer {index} looks whole");
                }
                (Some(_), Err(_)) => {}
            }
        }
        assert!(self.pair.server.store.published == published, "published what was not sent");
    }
}

fn code(code: ErrorCode) -> Option<Result<usize, String>> {
    Some(Err(code.word().to_owned()))
}

#[test]
fn a_download_is_its_length_and_the_bytes_until_close() {
    let mut world = World::new();
    let ids = [world.get("a"), world.get("b"), world.get("missing")];
    world.run();
    world.check();
    assert_eq!(ids.map(|id| world.transfers[id].end), [Some(End::Clean), Some(End::Clean), None]);
    assert_eq!(world.transfers[2].verdict, code(ErrorCode::NotFound));
    assert_ne!(world.transfers[0].link, world.transfers[1].link, "each has a connection of its own");
}

#[test]
fn a_download_that_is_not_whole_has_no_clean_end() {
    for is_cut in [false, true] {
        let mut world = World::new();
        let faults = &mut world.pair.server.store.faults;
        if is_cut {
            faults.shrink_to = Some(10);
        } else {
            faults.changed = Some(ErrorCode::Changed);
        }
        let id = world.get("a");
        world.run();
        world.check();
        assert_eq!(world.transfers[id].end, Some(End::Torn));
        assert_eq!(world.transfers[id].verdict, code(ErrorCode::Changed));
    }
}

#[test]
fn an_upload_is_whole_where_its_connection_ends_cleanly_and_only_there() {
    let content = vec![b'1'; LARGE];
    for torn_at in [0, 1, LARGE - 1, LARGE] {
        let mut world = World::new();
        let ids = [world.put("a", &content, Some(torn_at)), world.put("b", &content, None)];
        world.run();
        world.check();
        let [torn, whole] = ids.map(|id| world.transfers[id].verdict.clone());
        assert_eq!((torn, whole), (code(ErrorCode::BrokenOff), Some(Ok(LARGE))));
        assert_eq!(world.pair.server.store.content("a"), Some(&[b'0'; 1000][..]), "the old file is there");
        let kept = world.pair.server.store.partials.get(&b"a"[..]);
        assert_eq!(kept.map(Vec::len), (torn_at as u64 > EAGER_MAX_BYTES).then_some(torn_at));
    }
}

#[test]
fn an_empty_upload_is_an_empty_file() {
    let mut world = World::new();
    world.put("a", b"", None);
    world.run();
    world.check();
    assert_eq!(world.pair.server.store.content("a"), Some(&b""[..]));
}

#[test]
fn an_upload_that_cannot_be_written_is_refused_and_its_connection_closed() {
    let mut world = World::new();
    world.pair.server.store.faults.write_fails_after = Some(10);
    let ids = [world.put("a", &[b'1'; 100], None), world.put("a", &[b'2'; 100], None)];
    world.run();
    world.check();
    let [refused, done] = ids.map(|id| world.transfers[id].verdict.clone());
    assert_eq!((refused, done), (code(ErrorCode::NoSpace), Some(Ok(100))));
}

#[test]
fn what_came_before_a_clean_end_is_written_before_the_file_gets_its_name() {
    let now = Instant::now();
    let mut session = Session::new(Toy::default(), POLICY, now);
    let mut handle = |fact: Fact<'_>| {
        session.handle(fact, now);
        std::iter::from_fn(|| session.poll_action()).collect::<Vec<_>>()
    };
    handle(Fact::Input(b"PUT a\n"));
    handle(Fact::Staged(Ok(0)));
    handle(Fact::Ticket(Ticket::new(1, [1; TICKET_SECRET_BYTES])));
    handle(Fact::DataAttached);
    handle(Fact::Arrived { bytes: 10 });
    assert_eq!(handle(Fact::DataEnded(End::Clean)), []);
    assert_eq!(handle(Fact::Moved { bytes: 4 }), []);
    let actions = handle(Fact::Moved { bytes: 6 });
    assert!(matches!(&actions[..], [Action::Publish(Publication { path, .. })] if path.as_bytes() == b"a"));
}

#[test]
fn a_download_whose_connection_is_torn_before_its_clean_end_is_not_done() {
    let mut world = World::new();
    let id = world.get("a");
    while world.transfers[id].received.len() < 1000 {
        world.pair.run_steps(1);
        world.step_client(usize::MAX);
    }
    // Everything is sent, and the file is looked at once more.
    world.pair.server.disk_stalls = true;
    world.pair.network_tears(world.transfers[id].link.unwrap());
    world.run();
    assert_eq!(world.transfers[id].verdict, None);
    world.pair.server.disk_stalls = false;
    world.run();
    world.check();
    assert_eq!(world.transfers[id].verdict, code(ErrorCode::BrokenOff));
}

#[test]
fn random_sessions_of_the_toy_dialect_keep_every_promise() {
    let mut seen = BTreeMap::new();
    let is_one = for_each_seed(SEEDS, |seed| {
        for what in simulate(seed) {
            *seen.entry(what).or_insert(0) += 1;
        }
    });
    for what in ["put", "got", "torn put", "broken-off", "changed", "busy", "no-space"] {
        assert!(is_one || seen.get(what).is_some_and(|&times| times >= 5), "{what} is rare: {seen:?}");
    }
}

fn simulate(seed: u64) -> Vec<String> {
    let _seed = Seed(seed);
    let (mut random, mut world) = (Random(seed), World::new());
    for _ in 0..2 + random.below(10) {
        let name = ["a", "b", "c", "missing/x"][random.below(4)];
        if random.one_in(2) {
            world.get(name);
        } else {
            let size = if random.one_in(20) { LARGE } else { random.below(3000) };
            let mut content = random.next().to_le_bytes().repeat(size / 8 + 1);
            content.truncate(size);
            let torn_at = random.one_in(3).then(|| random.below(size + 1));
            world.put(name, &content, torn_at);
        }
        for _ in 0..random.below(300) {
            disturb(&mut random, &mut world.pair);
            step(&mut random, &mut world);
        }
    }
    world.pair.server.disk_stalls = false;
    world.run();
    // What still waits can only wait for time to pass.
    for _ in 0..world.transfers.len() {
        if world.answered < world.transfers.len() {
            world.pair.pass_to_deadline();
            world.run();
        }
    }
    world.check();
    let seen = world.transfers.iter().map(|transfer| match (&transfer.verdict, &transfer.put) {
        (Some(Err(code)), _) => code.clone(),
        (_, Some(_)) => "put".to_owned(),
        (_, None) => "got".to_owned(),
    });
    let torn = world.transfers.iter().filter(|transfer| {
        transfer.put.as_ref().is_some_and(|put| put.torn_at.is_some_and(|at| at == put.sent && at > 0))
    });
    seen.chain(torn.map(|_| "torn put".to_owned())).collect()
}

fn step(random: &mut Random, world: &mut World) {
    let most = [1, 20, 2000, LARGE][random.below(4)];
    match random.below(STEPS + 2) {
        which if which < STEPS => world.pair.step(which, most),
        _ => world.step_client(most),
    };
}

fn disturb(random: &mut Random, pair: &mut Pair<Toy>) {
    if random.one_in(100) && pair.session.is_idle() {
        pair.server_evicts();
    }
    if random.one_in(200) {
        pair.server_gives_way();
    }
    if random.one_in(50) {
        pair.server.disk_stalls = random.one_in(3);
    }
    if random.one_in(200)
        && let Some(link) = pair.wire.links.len().checked_sub(1)
    {
        pair.network_tears(link);
    }
    if random.one_in(100) {
        let faults = &mut pair.server.store.faults;
        match random.below(4) {
            0 => faults.publish = Some(ErrorCode::NoSpace),
            1 => faults.shrink_to = Some(random.below(1000)),
            2 => faults.changed = Some(ErrorCode::Changed),
            _ => faults.write_fails_after = Some(random.below(3000)),
        }
    }
}
