//! Both ends under random commands, cuts, orders of events, and faults. Everything follows from a seed:
//! `FERRY_SEED=123 cargo test -p ferry-session --test pair random` runs one again.

use crate::model::random::{Random, Seed, for_each_seed};
use crate::model::store::{Faults, MTIME, Store};
use crate::model::{POLICY, Pair, STEPS};
use crate::verified::resume;
use ferry_common::dialogue::Failure;
use ferry_common::error::ErrorCode;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Conditions, UploadOptions, Was};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::file_time::FileTime;
use ferry_session::access::{Access, Need};
use ferry_session::action::{Beginning, Change, Found, Publication, Query, Removable};
use ferry_session::fact::Fact;
use std::collections::BTreeMap;
use std::time::Duration;

const SEEDS: u64 = 1000;
const EAGER_MAX: usize = EAGER_MAX_BYTES as usize;

const PATHS: [&str; 10] = ["a", "b", "c", "d", "e", "dir", "dir/x", "new", "new/f", "missing/f"];

#[test]
fn random_sessions_keep_every_promise() {
    let mut seen = BTreeMap::new();
    let is_one = for_each_seed(SEEDS, |seed| {
        for what in Simulation::run(seed) {
            *seen.entry(what).or_insert(0) += 1;
        }
    });
    if is_one {
        return;
    }
    for what in ["resumed", "mismatch", "changed", "exists", "shared flush", "broken-off", "no-space"] {
        assert!(seen.get(what).is_some_and(|&times| times >= 5), "{what} is hardly ever tried: {seen:?}");
    }
}

/// Which kinds of trouble a seed has. The server may always close an idle data connection: that is none.
struct Trouble {
    disk: bool,
    network: bool,
    cancels: bool,
    slow: bool,
}

struct Asked {
    command: Command,
    /// Of an upload.
    content: Vec<u8>,
    false_digest: bool,
}

struct Simulation {
    random: Random,
    trouble: Trouble,
    pair: Pair,
    asked: Vec<Asked>,
    /// What the store was in the beginning.
    first: Store,
    /// The names of the large uploads asked for, with their contents.
    large: Vec<(String, Vec<u8>)>,
}

impl Simulation {
    /// Gives what this seed has met.
    fn run(seed: u64) -> Vec<&'static str> {
        let _seed = Seed(seed);
        let mut random = Random(seed);
        let mut trouble = || random.one_in(3);
        let trouble = Trouble { disk: trouble(), network: trouble(), cancels: trouble(), slow: trouble() };
        let (pair, first) = (Pair::new(), Store::default());
        let mut simulation = Self { random, trouble, pair, asked: Vec::new(), first, large: Vec::new() };
        simulation.fill_store();
        simulation.live();
        simulation.settle();
        simulation.check_uploads();
        simulation.check_in_order();
        simulation.seen()
    }

    fn fill_store(&mut self) {
        self.pair.server.store.make_dir("dir");
        for name in ["a", "b", "c"] {
            let content = self.content();
            self.pair.server.store.put(name, &content);
        }
        self.first = self.pair.server.store.clone();
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
        let which = self.random.below(STEPS + 1);
        if which < STEPS {
            self.pair.step(which, most);
        } else {
            self.commit_on_another_file_system();
        }
    }

    /// What is below `dir` need not wait for what is not.
    fn commit_on_another_file_system(&mut self) {
        let below = |path: &[u8]| path.starts_with(b"dir/");
        let mut waiting = self.pair.server.publications.iter();
        if let Some(place) = waiting.position(|(publication, _)| below(publication.path.as_bytes())) {
            self.pair.commit_at(place);
        }
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.random.below(PATHS.len())]
    }

    fn ask(&mut self) {
        if let Some(kept) = self.pair.server.store.partials.keys().next().cloned()
            && self.random.one_in(3)
        {
            return self.ask_to_resume(&String::from_utf8(kept).unwrap());
        }
        let path = self.path();
        let digest = ["", " digest"][self.random.below(2)];
        let line = match self.random.below(17) {
            0..=5 => return self.ask_to_upload(path),
            6..=8 => {
                let offset = if self.random.one_in(3) { self.random.below(100) } else { 0 };
                format!("download {path} {offset}{digest}")
            }
            9 => format!("sum {path}"),
            10 => format!("partial {path}"),
            11 => "mkdir new".to_owned(),
            12 => format!("rm {path}{}", ["", "", " was=dir", " was=10:1764000000"][self.random.below(4)]),
            13 => format!("mv {path} {}{}", self.path(), ["", " replace"][self.random.below(2)]),
            14 => format!("{} {path}", ["stat", "df"][self.random.below(2)]),
            15 => "who".to_owned(),
            16 => format!("mtime {path} {}", ["-0.5", "1000000000.000000001"][self.random.below(2)]),
            _ => "ls".to_owned(),
        };
        self.pair.request(&line);
        let command = Command::parse(line.as_bytes()).unwrap();
        self.asked.push(Asked { command, content: Vec::new(), false_digest: false });
    }

    fn ask_to_upload(&mut self, path: &str) {
        let content = self.content();
        let new = self.random.one_in(5);
        let was = [Was::File { size_bytes: 10, mtime: MTIME }, Was::Link][self.random.below(2)];
        let was = (!new && self.random.one_in(5)).then_some(was);
        let options = UploadOptions {
            digest: self.random.one_in(2),
            new,
            mtime: self.random.one_in(5).then_some(FileTime::new(1_000_000_000, 5)),
            executable: [None, Some(true), Some(false)][self.random.below(3)],
            resume: None,
            conditions: Conditions { was, follow: None },
        };
        if options.digest && self.random.one_in(8) {
            let other = format!("{}\n", Digest::of(b"something else"));
            let trailer = if self.random.one_in(2) { other } else { "?".repeat(other.len()) };
            self.pair.client.false_trailer = Some(trailer.into_bytes());
        }
        self.upload(path, content, options);
        self.pair.client.false_trailer = None;
    }

    /// Goes on with what is kept, or with less of it, or with a content of which nothing is kept.
    fn ask_to_resume(&mut self, path: &str) {
        let uploads: Vec<_> = self.large.iter().filter(|(name, _)| name == path).collect();
        let content = uploads[self.random.below(uploads.len())].1.clone();
        let kept = self.pair.server.store.partials[path.as_bytes()].len().min(content.len());
        let offset = if self.random.one_in(3) { self.random.below(kept + 1) } else { kept };
        let options = UploadOptions { digest: self.random.one_in(2), ..resume(&content, offset) };
        self.upload(path, content, options);
    }

    fn upload(&mut self, path: &str, content: Vec<u8>, options: UploadOptions) {
        let id = self.pair.upload_with(path, &content, options);
        assert_eq!(id, self.asked.len() as u64);
        if content.len() > EAGER_MAX {
            self.large.push((path.to_owned(), content.clone()));
        }
        let path = RemotePath::parse(path.as_bytes()).unwrap();
        let command = Command::Upload { path, size: content.len() as u64, options };
        let false_digest = self.pair.client.false_trailer.is_some();
        self.asked.push(Asked { command, content, false_digest });
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
        if random.one_in(100) {
            pair.server.commits_stall = random.one_in(2);
        }
        if self.trouble.disk && random.one_in(200) {
            let faults = &mut pair.server.store.faults;
            match random.below(5) {
                0 => faults.job = Some(ErrorCode::NoSpace),
                1 => faults.shrink_to = Some(random.below(1000)),
                2 => faults.publish = Some(ErrorCode::NoSpace),
                3 => faults.changed = Some(ErrorCode::Changed),
                _ => faults.write_fails_after = Some(random.below(1000) + random.below(2) * EAGER_MAX),
            }
        }
        if self.trouble.network && random.one_in(300) {
            pair.network_fails();
        }
        if self.trouble.network && random.one_in(300) {
            pair.server_gives_way();
        }
        if random.one_in(300) {
            pair.session.handle(Fact::EndInSight, pair.now);
            pair.perform();
        }
        if self.trouble.cancels && random.one_in(300) {
            pair.client_cancels();
        }
        if self.trouble.slow && random.one_in(100) {
            pair.server.disk_stalls = random.one_in(2);
            pair.client.reads_nothing = random.one_in(3);
            pair.now += Duration::from_millis(random.below(20_000) as u64);
            pair.session.handle(Fact::Timeout, pair.now);
            pair.perform();
            if random.one_in(3) {
                pair.session.handle(Fact::SoughtElsewhere, pair.now);
                pair.perform();
            }
        }
    }

    /// The trouble is over. What still waits can only wait for time to pass.
    fn settle(&mut self) {
        let pair = &mut self.pair;
        pair.server.disk_stalls = false;
        pair.server.commits_stall = false;
        pair.client.reads_nothing = false;
        pair.run();
        for _ in 0..self.asked.len() {
            if pair.dialogue.is_busy() {
                pair.pass_to_deadline();
            }
        }
        assert_eq!(pair.client.done.len(), self.asked.len(), "a request hangs");
        pair.server.store.faults = Faults::default();
        if !pair.server.closed {
            let (up, down) = (pair.upload("last", b"last"), pair.request("download last"));
            pair.run();
            assert_eq!((pair.number(up), pair.number(down)), (4, 4));
            assert_eq!(pair.client.delivered[&down], b"last");
        }
    }

    /// What is stored is what was sent, and no more often.
    fn check_uploads(&self) {
        let mut published = self.pair.server.store.published.clone();
        published.retain(|(path, _)| path != b"last");
        let mut found = |path: &[u8], content: &Vec<u8>| {
            let place = published.iter().position(|(name, whole)| name == path && whole == content);
            place.map(|place| published.remove(place)).is_some()
        };
        for (id, asked) in self.asked.iter().enumerate() {
            let Command::Upload { path, .. } = &asked.command else { continue };
            match self.pair.outcome(id as u64) {
                Ok(success) => {
                    assert_eq!(success.number, Some(asked.content.len() as u64));
                    assert_eq!(success.digest, Some(Digest::of(&asked.content)));
                    assert!(found(path.as_bytes(), &asked.content), "upload {id} is not in the store");
                }
                // The disk may have done it after all, or the answer was lost.
                Err(Failure::Refused { code: Some(ErrorCode::Io), .. } | Failure::ControlLost) => {
                    found(path.as_bytes(), &asked.content);
                }
                Err(_) => {}
            }
        }
        assert!(published.is_empty(), "published what was not sent, or sent once, or refused");
    }

    /// Does again, on a store of its own and one after the other, whatever was answered with `ok`: each must
    /// have found what those before it left.
    fn check_in_order(&self) {
        let Trouble { disk, network, cancels, slow } = self.trouble;
        let calm = !(disk || network || cancels || slow);
        let mut model = self.first.clone();
        for (id, asked) in self.asked.iter().enumerate() {
            let expected = |mut model: Store| self.perform(&mut model, id, asked).err();
            match self.pair.outcome(id as u64) {
                Ok(_) => assert_eq!(self.perform(&mut model, id, asked), Ok(()), "request {id}"),
                Err(Failure::Refused { code: Some(code), .. }) if calm || is_about_names(*code) => {
                    let is_particular =
                        |options: &UploadOptions| options.new || options.conditions.was.is_some();
                    let is_particular =
                        matches!(&asked.command, Command::Upload { options, .. } if is_particular(options));
                    let either = is_particular && asked.false_digest && *code == ErrorCode::Mismatch;
                    let known = either || *code == ErrorCode::NoPartial;
                    assert!(known || expected(model.clone()) == Some(*code), "request {id}: {code:?}");
                }
                Err(Failure::Refused { .. } | Failure::DataLost) => assert!(!calm, "request {id}"),
                Err(Failure::ControlLost) => return assert!(slow, "request {id}"),
            }
        }
        if !self.pair.server.closed {
            let mut nodes = self.pair.server.store.nodes.clone();
            nodes.remove(&b"last"[..]);
            assert!(nodes == model.nodes, "the store is not what its client was told");
        }
    }

    /// Does one thing, and compares what it gives with what the client got if that was `ok`.
    fn perform(&self, model: &mut Store, id: usize, asked: &Asked) -> Result<(), ErrorCode> {
        let (client, id) = (&self.pair.client, id as u64);
        let success = self.pair.outcome(id).as_ref().ok();
        let query = match asked.command.clone() {
            Command::Upload {
                path,
                options: UploadOptions { new, mtime, executable, conditions, .. },
                ..
            } => {
                model.stage(&path, (new, conditions), Beginning::Empty)?;
                let expected = asked.false_digest.then(|| Digest::of(b"something else"));
                let alone = false;
                let path = Access::everybody(&POLICY).clear(Need::Create, &path)?;
                let consent = None;
                let publication =
                    Publication { id, path, expected, mtime, executable, new, conditions, alone, consent };
                return model.publish(&publication, asked.content.clone()).map(|_| ());
            }
            Command::Download { path, offset, digest } => {
                let (_, content) = model.open(&path)?;
                let tail = content.get(usize::try_from(offset).unwrap()..).ok_or(ErrorCode::BadOffset)?;
                if let Some(success) = success {
                    assert!(client.delivered[&id] == tail, "download {id}");
                    assert_eq!(success.digest, digest.then(|| Digest::of(&content)));
                    assert_eq!(success.number, Some(tail.len() as u64));
                }
                return Ok(());
            }
            Command::Sum { path, length } => Query::Sum { path, length },
            Command::Stat { path } => Query::Stat { path },
            Command::Df { path } => Query::Df { path },
            Command::Mkdir { path, follow } => return model.change(&Change::Mkdir { path, follow }),
            Command::Rm { path, conditions } => {
                return model.change(&Change::Rm { path, what: Removable::Any, conditions });
            }
            Command::Mtime { path, mtime } => return model.change(&Change::Mtime { path, mtime }),
            Command::Mv { from, to, replace } => return model.change(&Change::Mv { from, to, replace }),
            Command::Partial { path } => {
                if let Some((length, digest)) = client.digests.get(&id) {
                    let sent = self.large.iter().filter(|(name, _)| name.as_bytes() == path.as_bytes());
                    let mut begun =
                        sent.filter_map(|(_, whole)| whole.get(..usize::try_from(*length).unwrap()));
                    assert!(begun.any(|part| Digest::of(part) == *digest), "kept what was not sent");
                }
                return Ok(());
            }
            Command::Ls { .. } | Command::Who | Command::Hello { .. } | Command::Help | Command::Exit => {
                return Ok(());
            }
        };
        let found = model.answer(&query)?;
        if success.is_some() {
            match found {
                Found::Digest { length, digest } => {
                    assert_eq!(client.digests[&id], (length, digest));
                }
                Found::Space { free_bytes, total_bytes } => {
                    assert_eq!(client.spaces[&id], (free_bytes, total_bytes));
                }
                Found::Entry(entry) => assert_eq!(client.entries[&id], [entry]),
            }
        }
        Ok(())
    }

    fn seen(&self) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for (id, asked) in self.asked.iter().enumerate() {
            match (self.pair.outcome(id as u64), &asked.command) {
                (Ok(_), Command::Upload { options: UploadOptions { resume: Some(_), .. }, .. }) => {
                    seen.push("resumed");
                }
                (Err(Failure::Refused { code: Some(code), .. }), _) => seen.push(code.word()),
                _ => {}
            }
        }
        if self.pair.server.most_publications > 1 {
            seen.push("shared flush");
        }
        seen
    }
}

/// True where the code follows from what is in the folder, and from nothing else.
fn is_about_names(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotFound
            | ErrorCode::NoParent
            | ErrorCode::IsDirectory
            | ErrorCode::NotDirectory
            | ErrorCode::Exists
            | ErrorCode::NotEmpty
            | ErrorCode::BadOffset
            | ErrorCode::BadPath
            | ErrorCode::Mismatch
    )
}
