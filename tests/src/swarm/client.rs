//! One client: a [`Session`] and its place in the plan. It is moved by its driver's calls alone and never waits.

use super::cli::{Config, Operation};
use super::lease::Pool;
use super::plan::{self, Kind, Position};
use super::report::{FailureKind, Report};
use super::running::{self, Requests, Running};
use crate::content::Content;
use ferry_client::engine::{Loss, News, Session, Tokens, Turn};
use ferry_common::dialogue::{Failure, Success};
use ferry_common::limits::PROTOCOL_VERSION;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, UploadOptions};
use mio::event::Event;
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the server may take to close a data connection that the client has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the clients have in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The file that all download.
    pub(crate) shared_path: RemotePath,
    pub(crate) registry: Registry,
    pub(crate) report: Report,
    /// Names to upload under.
    pub(crate) names: Pool<u32, usize>,
    /// Permissions to have a data connection.
    pub(crate) permits: Pool<(), usize>,
    /// What the pools handed over and the driver has yet to deliver.
    pub(crate) grants: Vec<(usize, Grant)>,
    pub(crate) notices: Vec<(usize, Notice)>,
    pub(crate) scratch: Vec<u8>,
}

/// Clients that may have something to do now.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Those in a transfer: the server gives them little time to connect, and they hold what others need.
    pub(crate) transfers: VecDeque<usize>,
    pub(crate) others: VecDeque<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Grant {
    Name(u32),
    Permit,
}

/// What a client tells its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Greeted,
    SharedUploaded,
    Finished,
    Gone,
}

pub(crate) struct Client {
    /// Its slot; also makes its tokens.
    key: usize,
    index: u32,
    stage: Stage,
    since: Instant,
    position: Position,
    session: Session,
    requests: Requests,
    name: Option<u32>,
    has_permit: bool,
    /// What it uploads is the shared file.
    is_preparing: bool,
    has_greeted: bool,
    has_finished: bool,
    is_queued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Greeting,
    /// Connected, with nothing to do.
    Idle,
    WaitingForName,
    WaitingForPermit,
    Working,
    ClosingData,
    Leaving,
    Gone,
}

impl Client {
    pub(crate) fn connect(key: usize, index: u32, to: SocketAddr, registry: &Registry) -> io::Result<Self> {
        let tokens = Tokens { control: Token(key * 2), data: Token(key * 2 + 1) };
        Ok(Self {
            key,
            index,
            stage: Stage::Connecting,
            since: Instant::now(),
            position: Position::default(),
            session: Session::connect(to, tokens, registry)?,
            requests: Requests::default(),
            name: None,
            has_permit: false,
            is_preparing: false,
            has_greeted: false,
            has_finished: false,
            is_queued: false,
        })
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.stage == Stage::Connecting
    }

    pub(crate) fn has_greeted(&self) -> bool {
        self.has_greeted
    }

    pub(crate) fn has_finished(&self) -> bool {
        self.has_finished
    }

    /// Puts it on a list of those with something to do, once.
    pub(crate) fn enqueue(&mut self, ready: &mut Ready) {
        if !std::mem::replace(&mut self.is_queued, true) {
            let list = if self.has_permit { &mut ready.transfers } else { &mut ready.others };
            list.push_back(self.key);
        }
    }

    /// It was taken off that list.
    pub(crate) fn dequeued(&mut self) {
        self.is_queued = false;
    }

    /// True while its data connection could not be made for want of a port.
    pub(crate) fn wants_data_connect(&self) -> bool {
        self.session.wants_connect()
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        self.session.latch(event);
    }

    /// Uploads the file that all are to download.
    pub(crate) fn prepare(&mut self, shared: &mut Shared) {
        self.enter(Stage::Working);
        self.is_preparing = true;
        let content = plan::shared_content(&shared.config);
        let path = shared.shared_path.clone();
        self.request(
            Command::Upload { path, size: content.size_bytes, options: UploadOptions::default() },
            None,
            content,
            shared,
        );
    }

    /// Begins the operation at its place in the plan, or tells that there is none.
    pub(crate) fn begin_next(&mut self, shared: &mut Shared) {
        self.enter(Stage::Working);
        match self.position.operation(&shared.config) {
            None => {
                self.enter(Stage::Idle);
                self.has_finished = true;
                shared.notices.push((self.key, Notice::Finished));
            }
            Some(Operation::Ls) => {
                let command = Command::Ls { path: RemotePath::root() };
                self.request(command, Some(Kind::Ls), Content::new(0, 0), shared);
            }
            Some(Operation::Download) => self.await_permit(shared),
            Some(Operation::Upload) => match shared.names.take_or_wait(self.key) {
                Some(name) => self.use_name(name, shared),
                None => self.enter(Stage::WaitingForName),
            },
        }
    }

    /// False where it has no use for what it is given.
    pub(crate) fn accept(&mut self, grant: Grant, shared: &mut Shared) -> bool {
        match (grant, self.stage) {
            (Grant::Name(name), Stage::WaitingForName) => self.use_name(name, shared),
            (Grant::Permit, Stage::WaitingForPermit) => self.begin_transfer(shared),
            (Grant::Name(_) | Grant::Permit, _) => return false,
        }
        true
    }

    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        self.enter(Stage::Leaving);
        self.request(Command::Exit, None, Content::new(0, 0), shared);
    }

    /// Does all that can be done at once, within a budget. True if more could be done.
    pub(crate) fn turn(&mut self, shared: &mut Shared) -> bool {
        let (registry, scratch) = (&shared.registry, shared.scratch.as_mut_slice());
        let mut turn = Turn { registry, scratch, received_bytes: 0, sent_bytes: 0 };
        self.session.turn(&mut turn, &mut self.requests);
        let Turn { received_bytes, sent_bytes, .. } = turn;
        shared.report.sent_bytes += sent_bytes;
        shared.report.received_bytes += received_bytes;
        self.hear_news(shared);
        self.stage != Stage::Gone && self.session.has_work()
    }

    /// Fails what has taken too long.
    pub(crate) fn check_time(&mut self, now: Instant, shared: &mut Shared) {
        let elapsed = now.saturating_duration_since(self.since);
        if self.stage == Stage::Connecting && elapsed > CONNECT_TIMEOUT {
            self.fail_unmeasured(&FailureKind::ConnectTimedOut, "no answer to the connect", shared);
            self.go(shared);
        } else if self.stage == Stage::ClosingData && elapsed > CLOSE_TIMEOUT {
            let detail = "the server kept it open after this end had closed its half";
            self.fail_unmeasured(&FailureKind::DataCloseIgnored, detail, shared);
            self.session.drop_data();
            self.enter(Stage::Working);
        }
        self.session.retry_connect(&shared.registry);
        self.hear_news(shared);
    }

    /// The time of the whole run is up.
    pub(crate) fn give_up(&mut self, shared: &mut Shared) {
        let stage = format!("client {} was {:?}", self.index, self.stage);
        if self.requests.is_empty() {
            shared.report.fail(None, &FailureKind::TimedOut, &stage);
        }
        for running in self.requests.iter() {
            shared.report.fail(running.kind, &FailureKind::TimedOut, &stage);
        }
    }

    /// Takes in what has happened, and goes on where all that was asked for is done.
    fn hear_news(&mut self, shared: &mut Shared) {
        loop {
            while let Some(news) = self.session.poll_news() {
                self.hear(news, shared);
            }
            if !self.settle(shared) {
                return;
            }
            self.session.send(&shared.registry, &mut self.requests);
        }
    }

    fn hear(&mut self, news: News, shared: &mut Shared) {
        match news {
            News::Connected => {
                self.enter(Stage::Greeting);
                let command = Command::Hello { version: Some(PROTOCOL_VERSION) };
                self.request(command, None, Content::new(0, 0), shared);
            }
            News::ConnectFailed(error) => {
                self.fail_unmeasured(&FailureKind::ConnectFailed, &error.to_string(), shared);
                self.go(shared);
            }
            News::Digest { .. }
            | News::Space { .. }
            | News::Received { .. }
            | News::Session { .. }
            | News::Totals { .. }
            | News::Info { .. } => {}
            News::Entry { id, entry } => {
                if let Some(running) = self.requests.get_mut(id) {
                    running.examine(&entry, shared.shared_path.as_bytes(), shared.config.size);
                }
            }
            News::Done { id, result } => {
                if let Some(running) = self.requests.remove(id) {
                    self.finish(running, result, shared);
                }
            }
            News::DataLost { loss, is_idle } => self.lose_data(loss, is_idle, shared),
            News::DataClosed => {
                if self.stage == Stage::ClosingData {
                    self.enter(Stage::Working);
                }
            }
            News::ControlLost { is_idle } => {
                if is_idle && !matches!(self.stage, Stage::Leaving | Stage::Gone) {
                    let detail = format!("while {:?}", self.stage);
                    self.fail_unmeasured(&FailureKind::ControlLost, &detail, shared);
                }
                self.go(shared);
            }
            News::Violation(violation) => {
                let detail = format!("client {}: {violation}", self.index);
                for running in self.requests.iter() {
                    shared.report.fail(running.kind, &FailureKind::Violation, &detail);
                }
                self.fail_unmeasured(&FailureKind::Violation, &violation, shared);
                self.go(shared);
            }
        }
    }

    fn use_name(&mut self, name: u32, shared: &mut Shared) {
        self.name = Some(name);
        self.await_permit(shared);
    }

    fn await_permit(&mut self, shared: &mut Shared) {
        match shared.permits.take_or_wait(self.key) {
            Some(()) => self.begin_transfer(shared),
            None => self.enter(Stage::WaitingForPermit),
        }
    }

    fn begin_transfer(&mut self, shared: &mut Shared) {
        self.has_permit = true;
        self.enter(Stage::Working);
        let Some(name) = self.name else {
            let content = plan::shared_content(&shared.config);
            let path = shared.shared_path.clone();
            let command = Command::Download { path, offset: 0, digest: false };
            return self.request(command, Some(Kind::Download), content, shared);
        };
        let content = plan::own_content(&shared.config, self.index, self.position.round);
        let path = plan::own_path(&shared.config, name);
        let command = Command::Upload { path, size: content.size_bytes, options: UploadOptions::default() };
        self.request(command, Some(Kind::Upload), content, shared);
        if shared.config.ahead {
            self.read_back(content, shared);
        }
    }

    fn read_back(&mut self, content: Content, shared: &mut Shared) {
        let Some(name) = self.name else { return };
        let command =
            Command::Download { path: plan::own_path(&shared.config, name), offset: 0, digest: false };
        self.request(command, Some(Kind::ReadBack), content, shared);
    }

    fn request(&mut self, command: Command, kind: Option<Kind>, content: Content, shared: &mut Shared) {
        let id = self.session.request(command);
        self.requests.push(id, Running::begin(kind, content));
        self.session.send(&shared.registry, &mut self.requests);
    }

    fn finish(&mut self, running: Running, result: Result<Success, Failure>, shared: &mut Shared) {
        let latency = running.started.elapsed();
        let verdict = match result {
            Ok(success) => running.verdict(success.number),
            Err(failure) => Err(running::reported(&failure)),
        };
        match verdict {
            Err((failure, detail)) => {
                let detail = format!("client {}: {detail}", self.index);
                shared.report.fail(running.kind, &failure, &detail);
            }
            Ok(()) => {
                if let Some(kind) = running.kind {
                    shared.report.succeed(kind, latency);
                }
                if running.kind == Some(Kind::Upload) && !shared.config.ahead {
                    self.read_back(running.content, shared);
                }
            }
        }
        match self.stage {
            Stage::Greeting => {
                self.enter(Stage::Idle);
                self.has_greeted = true;
                shared.notices.push((self.key, Notice::Greeted));
            }
            Stage::Leaving => self.go(shared),
            Stage::Connecting
            | Stage::Idle
            | Stage::WaitingForName
            | Stage::WaitingForPermit
            | Stage::Working
            | Stage::ClosingData
            | Stage::Gone => {}
        }
    }

    /// Goes on where all that was running has ended; a data connection is closed first. True where it does.
    fn settle(&mut self, shared: &mut Shared) -> bool {
        if self.stage != Stage::Working || !self.requests.is_empty() {
            return false;
        }
        if !self.session.has_data() {
            self.end_operation(shared);
        } else if self.session.close_data() {
            self.enter(Stage::ClosingData);
        }
        true
    }

    fn end_operation(&mut self, shared: &mut Shared) {
        self.return_leases(shared);
        if std::mem::take(&mut self.is_preparing) {
            self.enter(Stage::Idle);
            shared.notices.push((self.key, Notice::SharedUploaded));
            return;
        }
        self.position.advance(&shared.config);
        self.begin_next(shared);
    }

    fn return_leases(&mut self, shared: &mut Shared) {
        if let Some(name) = self.name.take()
            && let Some((key, name)) = shared.names.give_back(name)
        {
            shared.grants.push((key, Grant::Name(name)));
        }
        if std::mem::take(&mut self.has_permit)
            && let Some((key, ())) = shared.permits.give_back(())
        {
            shared.grants.push((key, Grant::Permit));
        }
    }

    fn lose_data(&mut self, loss: Loss, is_idle: bool, shared: &mut Shared) {
        match loss {
            Loss::Connect(error) => {
                self.fail_unmeasured(&FailureKind::DataConnectFailed, &error.to_string(), shared);
            }
            Loss::Excess => {
                self.fail_unmeasured(&FailureKind::Mismatch, "bytes that were not announced", shared);
            }
            Loss::Ended if is_idle && self.stage != Stage::ClosingData => {
                self.fail_unmeasured(&FailureKind::DataLost, "between transfers", shared);
            }
            // The server says what it thinks of it on the control connection.
            Loss::Ended => {}
        }
        if self.stage == Stage::ClosingData {
            self.enter(Stage::Working);
        }
    }

    fn fail_unmeasured(&self, failure: &FailureKind, detail: &str, shared: &mut Shared) {
        shared.report.fail(None, failure, &format!("client {}: {detail}", self.index));
    }

    /// The end; the driver frees the slot.
    fn go(&mut self, shared: &mut Shared) {
        if self.stage != Stage::Gone {
            self.enter(Stage::Gone);
            self.return_leases(shared);
            shared.notices.push((self.key, Notice::Gone));
        }
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
    }
}
