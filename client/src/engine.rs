//! One session of a client on non-blocking sockets: a `Dialogue` with its control connection, and its data connection while
//! there is one. It performs what the dialogue asks for and never waits. What to ask for, and what the bytes of a transfer
//! are, is its owner's affair: the owner makes requests, has the session take turns, and hears of news.
//!
//! Deadlines are the owner's as well: [`Session::moved`] tells whether anything comes or goes.

mod data;
pub(crate) mod link;
mod unsent;

use crate::limits::{DATA_CONNECTIONS_PER_COMMAND, TICKET_MAX_BYTES, TURN_CONTROL_BYTES};
use data::{Broken, Data};
use ferry_common::dialogue::{Dialogue, Failure, RequestId, Step, Success};
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::wire::command::Command;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::file_time::FileTime;
use ferry_common::wire::session_entry::{SessionEntry, SessionTotals};
use link::Link;
use mio::event::Event;
use mio::{Registry, Token};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;

pub use data::Loss;
pub use link::is_shortage;

/// The owner cannot go on with a transfer, and knows why. The data connection is aborted: there is no other way to stop one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// What a server says of a file before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Of what follows.
    pub length: u64,
    /// Last modification.
    pub mtime: FileTime,
    pub executable: bool,
}

/// The bytes of the requests, in both directions. The engine keeps none of them.
pub trait Payloads {
    /// The bytes of a download follow.
    fn announce(&mut self, id: RequestId, announced: Announcement) -> Result<(), Stop>;

    /// Bytes of a download have come; `offset` counts from the first that comes.
    fn take(&mut self, id: RequestId, offset: u64, bytes: &[u8]) -> Result<(), Stop>;

    /// An upload is to be sent from this byte of its file on; after a lost data connection again.
    fn begin(&mut self, id: RequestId, offset: u64) -> Result<(), Stop>;

    /// Makes at least one of the bytes of an upload's file from `offset` on, and tells how many.
    fn fill(&mut self, id: RequestId, offset: u64, into: &mut [u8]) -> Result<usize, Stop>;

    /// The digest of the whole file of an upload, all of which was made.
    fn trailer(&mut self, id: RequestId) -> Result<Digest, Stop>;
}

/// Which events are whose.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    pub control: Token,
    pub data: Token,
}

/// What a turn is taken with, and what it moved.
#[derive(Debug)]
pub struct Turn<'a> {
    pub registry: &'a Registry,
    /// For one read.
    pub scratch: &'a mut [u8],
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

/// What the owner hears, in the order in which it happened.
#[derive(Debug)]
pub enum News {
    Connected,
    ConnectFailed(io::Error),
    Entry {
        id: RequestId,
        entry: Entry,
    },
    /// The answer to `sum` or `partial`.
    Digest {
        id: RequestId,
        length: u64,
        digest: Digest,
    },
    /// The server has got so much of the file of an upload; its word for it.
    Received {
        id: RequestId,
        bytes: u64,
    },
    /// The answer to `df`.
    Space {
        id: RequestId,
        free_bytes: u64,
        total_bytes: u64,
    },
    /// One session of those that `who` tells of.
    Session {
        id: RequestId,
        entry: SessionEntry,
    },
    /// What `who` tells of all sessions together.
    Totals {
        id: RequestId,
        totals: SessionTotals,
    },
    /// A line of `hello`, of `help`, or that says that long work goes on.
    Info {
        id: RequestId,
        words: Vec<Vec<u8>>,
    },
    Done {
        id: RequestId,
        result: Result<Success, Failure>,
    },
    /// The data connection is gone. Whatever was under way on it ends by itself; `is_idle` where that is nothing.
    DataLost {
        loss: Loss,
        is_idle: bool,
    },
    /// The server has closed the data connection in answer to [`Session::close_data`].
    DataClosed,
    /// Every request that is not done ends; `is_idle` where there was none.
    ControlLost {
        is_idle: bool,
    },
    /// The server does not speak the protocol: the session is of no more use, and no request of it ends any more.
    Violation(String),
}

/// See the module's documentation.
pub struct Session {
    server: SocketAddr,
    tokens: Tokens,
    dialogue: Dialogue,
    control: Link,
    has_connected: bool,
    /// The server has ended the control connection; what it has sent on the data connection may still come.
    has_control_ended: bool,
    /// The session has failed or ended.
    is_over: bool,
    /// The session is over since the server does not speak the protocol.
    has_violated: bool,
    unsent: Vec<u8>,
    data: Option<Data>,
    /// Where the last data connection goes or went.
    data_address: Option<SocketAddr>,
    /// Data connections since a request has ended.
    data_connections: u32,
    /// Uploads of which not all bytes were handed over when their data connection went.
    cut_uploads: HashSet<RequestId>,
    /// Uploads that are not done.
    uploads: HashSet<RequestId>,
    news: VecDeque<News>,
    /// Bytes that came or went, replies and payload.
    moved: u64,
}

impl Session {
    pub fn connect(server: SocketAddr, tokens: Tokens, registry: &Registry) -> io::Result<Self> {
        Ok(Self::new(server, tokens, Link::connect(server, registry, tokens.control)?, false))
    }

    /// Goes on with a control connection that stands.
    pub(crate) fn adopt(
        mut control: Link,
        server: SocketAddr,
        tokens: Tokens,
        registry: &Registry,
    ) -> io::Result<Self> {
        control.rename(registry, tokens.control)?;
        Ok(Self::new(server, tokens, control, true))
    }

    fn new(server: SocketAddr, tokens: Tokens, control: Link, has_connected: bool) -> Self {
        Self {
            server,
            tokens,
            dialogue: Dialogue::default(),
            control,
            has_connected,
            has_control_ended: false,
            is_over: false,
            has_violated: false,
            unsent: Vec::new(),
            data: None,
            data_address: None,
            data_connections: 0,
            cut_uploads: HashSet::new(),
            uploads: HashSet::new(),
            news: VecDeque::new(),
            moved: 0,
        }
    }

    /// Asks for something behind what was asked for before; it is sent with the next turn.
    pub fn request(&mut self, command: Command) -> RequestId {
        if !self.dialogue.is_busy() {
            self.drop_odd_data();
        }
        let is_upload = matches!(command, Command::Upload { .. });
        let id = self.dialogue.request(command);
        if is_upload {
            self.uploads.insert(id);
        }
        id
    }

    /// See [`Dialogue::knows_conditions`].
    pub fn knows_conditions(&self) -> bool {
        self.dialogue.knows_conditions()
    }

    /// True while there are requests that are not done.
    pub fn is_busy(&self) -> bool {
        self.dialogue.is_busy()
    }

    /// The next thing that has happened.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Grows with each byte that comes or goes.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// False once nothing more can come of the session.
    pub fn is_usable(&self) -> bool {
        !self.is_over && !self.has_control_ended
    }

    /// True where the server has closed the session, or said something unasked, since the last request was done.
    pub fn is_stale(&self) -> bool {
        !self.is_usable() || (self.has_connected && !self.dialogue.is_busy() && self.control.has_input())
    }

    /// True while bytes of uploads, or of a download, are on their way.
    pub fn is_moving(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_sending() || data.is_receiving())
    }

    pub fn latch(&mut self, event: &Event) {
        if event.token() == self.tokens.control {
            self.control.latch(event);
        } else if event.token() == self.tokens.data
            && let Some(data) = &mut self.data
        {
            data.latch(event);
        }
    }

    /// Does all that can be done at once, within a budget.
    pub fn turn(&mut self, turn: &mut Turn<'_>, payloads: &mut dyn Payloads) {
        if !self.finish_connect() {
            return;
        }
        self.send(turn.registry, payloads);
        self.read_control(turn, payloads);
        self.move_data(turn, payloads);
        self.flush();
        if self.has_control_ended && !self.data.as_ref().is_some_and(Data::is_receiving) {
            self.lose_control();
            self.perform(turn.registry, payloads);
        }
    }

    /// Sends what was asked for since.
    pub fn send(&mut self, registry: &Registry, payloads: &mut dyn Payloads) {
        self.perform(registry, payloads);
        self.flush();
    }

    /// True where [`Session::turn`] could do something at once.
    pub fn has_work(&self) -> bool {
        !self.is_over
            && (!self.news.is_empty()
                || (self.control.can_read() && !self.has_control_ended)
                || (self.control.can_write() && !self.has_control_ended && !self.unsent.is_empty())
                || self.data.as_ref().is_some_and(Data::has_work))
    }

    /// True while a data connection could not be made for want of a port: [`Session::retry_connect`] is to be called.
    pub fn wants_connect(&self) -> bool {
        self.data.as_ref().is_some_and(Data::wants_connect)
    }

    pub fn retry_connect(&mut self, registry: &Registry) {
        if let Some(data) = &mut self.data
            && let Err(loss) = data.connect(registry)
        {
            self.lose_data(loss);
        }
    }

    /// True while the data connection does not stand yet.
    pub fn is_connecting_data(&self) -> bool {
        self.data.as_ref().is_some_and(Data::is_connecting)
    }

    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Where the last data connection goes, or was to go.
    pub fn data_address(&self) -> Option<SocketAddr> {
        self.data_address
    }

    /// Payload that is still to come, and that is still to be handed to the kernel.
    pub fn owed_bytes(&self) -> u64 {
        self.data.as_ref().map_or(0, Data::owed_bytes)
    }

    /// What was made of uploads and is not handed to the kernel; `None` where there is no data connection.
    pub fn unsent_bytes(&self) -> Option<u64> {
        self.data.as_ref().map(Data::unsent_bytes)
    }

    /// Ends this end's half of a data connection on which nothing is owed; [`News::DataClosed`] tells when the server has
    /// ended its own, so that it knows of the end before the next request can reach it. False where that cannot be: the
    /// connection is gone then.
    pub fn close_data(&mut self) -> bool {
        let is_closing = self.data.as_mut().is_some_and(|data| data.is_settled() && data.close().is_ok());
        if !is_closing {
            self.drop_data();
        }
        is_closing
    }

    /// Lets go of the data connection at once; what the kernel has of it is still sent.
    pub fn drop_data(&mut self) {
        if let Some(data) = self.data.take() {
            self.cut_uploads.extend(data.unsent_uploads());
        }
        self.dialogue.handle_data_closed();
    }

    /// Breaks off whatever is under way on the data connection. What the kernel has of it is not sent any more.
    pub fn abort_data(&mut self) {
        if let Some(data) = self.data.take() {
            self.cut_uploads.extend(data.unsent_uploads());
            data.abort();
        }
        self.dialogue.handle_data_closed();
    }

    fn finish_connect(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        match self.control.finish_connect() {
            Ok(is_connected) => {
                if is_connected && !std::mem::replace(&mut self.has_connected, true) {
                    self.news.push_back(News::Connected);
                }
                is_connected
            }
            Err(error) => {
                self.is_over = true;
                self.news.push_back(News::ConnectFailed(error));
                false
            }
        }
    }

    fn read_control(&mut self, turn: &mut Turn<'_>, payloads: &mut dyn Payloads) {
        let mut left = TURN_CONTROL_BYTES;
        while left > 0 && self.is_usable() {
            match self.control.read(turn.scratch) {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => self.has_control_ended = true,
                Ok(Some(count)) => {
                    left -= count.min(left);
                    self.moved += count as u64;
                    if let Err(violation) = self.dialogue.handle_control(&turn.scratch[..count]) {
                        self.perform(turn.registry, payloads);
                        return self.violate(violation.to_string());
                    }
                }
            }
            self.perform(turn.registry, payloads);
        }
    }

    fn move_data(&mut self, turn: &mut Turn<'_>, payloads: &mut dyn Payloads) {
        let Some(data) = &mut self.data else { return };
        let sent_before = turn.sent_bytes;
        let (received, result) = data.turn(turn, payloads);
        self.moved += received + (turn.sent_bytes - sent_before);
        if received > 0 {
            self.dialogue.handle_received(received);
        }
        match result {
            Ok(()) => {}
            Err(Broken::Lost(loss)) => self.lose_data(loss),
            Err(Broken::Stopped) => self.abort_data(),
            Err(Broken::Closed) => {
                self.news.push_back(News::DataClosed);
                self.drop_data();
            }
        }
        self.perform(turn.registry, payloads);
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() && self.is_usable() {
            match self.control.write(&self.unsent) {
                Ok(Some(taken)) => {
                    self.moved += taken as u64;
                    drop(self.unsent.drain(..taken));
                }
                Ok(None) => return,
                // What the server said before it went is still to be read.
                Err(_) => {
                    self.unsent.clear();
                    self.has_control_ended = !self.control.can_read();
                    return;
                }
            }
        }
    }

    /// Between requests nothing comes over the data connection: a byte that does would be taken for the first of the next
    /// file.
    fn drop_odd_data(&mut self) {
        if self.data.as_ref().is_some_and(Data::has_odd_input) {
            self.drop_data();
        }
    }

    fn lose_data(&mut self, loss: Loss) {
        self.news.push_back(News::DataLost { loss, is_idle: !self.dialogue.is_busy() });
        self.drop_data();
    }

    fn lose_control(&mut self) {
        self.is_over = true;
        let is_idle = !self.dialogue.is_busy();
        self.data = None;
        self.dialogue.handle_control_closed();
        self.news.push_back(News::ControlLost { is_idle });
    }

    fn violate(&mut self, what: String) {
        self.is_over = true;
        self.has_violated = true;
        self.data = None;
        self.news.push_back(News::Violation(what));
    }

    /// Performs all the work that the dialogue has.
    fn perform(&mut self, registry: &Registry, payloads: &mut dyn Payloads) {
        while let Some(step) = self.dialogue.poll_step() {
            match step {
                Step::Send(bytes) => self.unsent.extend_from_slice(&bytes),
                Step::CloseData => {
                    if let Some(data) = self.data.take() {
                        self.cut_uploads.extend(data.unsent_uploads());
                    }
                }
                Step::OpenData { port, ticket } => self.open_data(port, &ticket, registry),
                Step::Receive { id, length, mtime, executable } => {
                    let announced = Announcement { length, mtime, executable };
                    match payloads.announce(id, announced) {
                        Err(Stop) => self.abort_data(),
                        Ok(()) => {
                            if let Some(data) = &mut self.data {
                                data.receive(id, length);
                            }
                        }
                    }
                }
                Step::Transmit { id, offset, length, trailer } => match payloads.begin(id, offset) {
                    Err(Stop) => {
                        self.cut_uploads.insert(id);
                        self.abort_data();
                    }
                    Ok(()) => match &mut self.data {
                        Some(data) => {
                            self.cut_uploads.remove(&id);
                            data.transmit(id, offset, length, trailer);
                        }
                        // An earlier request has cost the connection that was meant for this one.
                        None => drop(self.cut_uploads.insert(id)),
                    },
                },
                Step::Entry { id, entry } => self.news.push_back(News::Entry { id, entry }),
                Step::Digest { id, length, digest } => {
                    self.news.push_back(News::Digest { id, length, digest });
                }
                Step::Received { id, bytes } => self.news.push_back(News::Received { id, bytes }),
                Step::Space { id, free_bytes, total_bytes } => {
                    self.news.push_back(News::Space { id, free_bytes, total_bytes });
                }
                Step::Session { id, entry } => self.news.push_back(News::Session { id, entry }),
                Step::Totals { id, totals } => self.news.push_back(News::Totals { id, totals }),
                Step::Info { id, words } => self.news.push_back(News::Info { id, words }),
                Step::Done { id, result } => self.conclude(id, result),
            }
            if self.has_violated {
                return;
            }
        }
    }

    fn open_data(&mut self, port: u16, ticket: &[u8], registry: &Registry) {
        self.data_connections += 1;
        // What goes to that port is the server's choice, so that must not be much.
        if ticket.len() > TICKET_MAX_BYTES || self.data_connections > DATA_CONNECTIONS_PER_COMMAND {
            return self.violate("it asked for an improper data connection".to_owned());
        }
        let mut address = self.server;
        address.set_port(port);
        self.data_address = Some(address);
        self.data = Some(Data::open(address, self.tokens.data, ticket, registry));
    }

    /// An `ok` to an upload counts only if the server can have got all of it.
    fn conclude(&mut self, id: RequestId, result: Result<Success, Failure>) {
        self.data_connections = 0;
        if self.uploads.remove(&id) {
            let was_cut = self.cut_uploads.remove(&id);
            let is_sent = !was_cut && self.data.as_ref().is_none_or(|data| data.has_sent(id));
            if result.is_ok() && !is_sent {
                return self.violate("it says ok to a file of which it took only a part".to_owned());
            }
            if result.is_err() && self.data.as_mut().map_or(0, |data| data.void(id)) > EAGER_MAX_BYTES {
                // Cheaper than all those bytes, of which the server wants none.
                self.abort_data();
            }
        }
        self.news.push_back(News::Done { id, result });
    }
}
