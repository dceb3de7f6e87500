//! One session of a client on non-blocking sockets: a `Dialogue` with its control connection, and its data connection while
//! there is one. It performs what the dialogue asks for and never waits. What to ask for, and what the bytes of a transfer
//! are, is its owner's affair: the owner makes requests, has the engine take turns, and hears of news.

mod data;
pub(crate) mod link;

use data::{Data, Moved};
use ferry_common::dialogue::{Dialogue, Failure, RequestId, Step, Success};
use ferry_common::wire::command::Command;
use ferry_common::wire::entry::Entry;
use link::Link;
use mio::event::Event;
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

pub(crate) use data::Loss;

/// Most payload in each direction, and most replies, that one turn moves.
const TURN_BUDGET_BYTES: usize = 64 * 1024;

/// The bytes of one request, in either direction. The engine keeps none of them.
pub(crate) trait Payload {
    /// Makes the bytes from `offset` on.
    fn fill(&self, offset: u64, chunk: &mut [u8]);
    /// Takes the bytes from `offset` on, which have come.
    fn take(&mut self, offset: u64, bytes: &[u8]);
}

/// Which events are whose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    pub(crate) control: Token,
    pub(crate) data: Token,
}

/// What the owner hears, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum News {
    Connected,
    ConnectFailed(io::Error),
    /// A download has this length.
    Announced {
        id: RequestId,
        length: u64,
    },
    Entry {
        id: RequestId,
        entry: Entry,
    },
    /// [`Engine::take_payload`] is to follow.
    Done {
        id: RequestId,
        result: Result<Success, Failure>,
    },
    /// Whatever was under way on it ends by itself; `is_idle` where that is nothing.
    DataLost {
        loss: Loss,
        is_idle: bool,
    },
    /// The server has closed the data connection in answer to [`Engine::close_data`].
    DataClosed,
    /// Every request that is not done ends; `is_idle` where there was none.
    ControlLost {
        is_idle: bool,
    },
    /// The server does not speak the protocol: the session is of no more use.
    Violation(String),
}

/// See the module's documentation.
pub(crate) struct Engine<P> {
    server: SocketAddr,
    tokens: Tokens,
    dialogue: Dialogue,
    control: Link,
    has_connected: bool,
    /// The control connection has failed or ended.
    is_over: bool,
    unsent: Vec<u8>,
    data: Option<Data>,
    payloads: Payloads<P>,
    news: VecDeque<News>,
}

/// The payloads of the requests that are not done.
#[derive(Debug)]
struct Payloads<P>(Vec<(RequestId, P)>);

/// What turns have moved.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl<P: Payload> Engine<P> {
    pub(crate) fn connect(server: SocketAddr, tokens: Tokens, registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            server,
            tokens,
            dialogue: Dialogue::default(),
            control: Link::connect(server, registry, tokens.control)?,
            has_connected: false,
            is_over: false,
            unsent: Vec::new(),
            data: None,
            payloads: Payloads(Vec::new()),
            news: VecDeque::new(),
        })
    }

    /// Asks for something behind what was asked for before; it is sent with the next turn.
    pub(crate) fn request(&mut self, command: Command, payload: P) -> RequestId {
        let id = self.dialogue.request(command);
        self.payloads.0.push((id, payload));
        id
    }

    /// The payloads of the requests that are not done, the oldest first.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &P> {
        self.payloads.0.iter().map(|(_, payload)| payload)
    }

    pub(crate) fn payload_mut(&mut self, id: RequestId) -> Option<&mut P> {
        self.payloads.get_mut(id)
    }

    /// Gives the payload of a request back that is done.
    pub(crate) fn take_payload(&mut self, id: RequestId) -> Option<P> {
        self.payloads.remove(id)
    }

    /// True while there are requests that are not done, or whose payload was not taken.
    pub(crate) fn is_busy(&self) -> bool {
        !self.payloads.0.is_empty()
    }

    /// The next thing that has happened.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        if event.token() == self.tokens.control {
            self.control.latch(event);
        } else if let Some(data) = &mut self.data {
            data.latch(event);
        }
    }

    /// Does all that can be done at once, within a budget.
    pub(crate) fn turn(&mut self, registry: &Registry, scratch: &mut [u8], traffic: &mut Traffic) {
        if !self.finish_connect() {
            return;
        }
        self.send_requests(registry);
        self.read_control(registry, scratch);
        self.move_data(registry, scratch, traffic);
        self.flush();
    }

    /// Sends what was asked for since.
    pub(crate) fn send_requests(&mut self, registry: &Registry) {
        self.perform(registry);
        self.flush();
    }

    /// True where [`Engine::turn`] could do something at once.
    pub(crate) fn has_work(&self) -> bool {
        !self.is_over
            && (self.control.can_read()
                || (self.control.can_write() && !self.unsent.is_empty())
                || self.data.as_ref().is_some_and(Data::has_work))
    }

    /// True while a data connection could not be made for want of a port: [`Engine::retry_connect`] is to be called.
    pub(crate) fn wants_connect(&self) -> bool {
        self.data.as_ref().is_some_and(Data::wants_connect)
    }

    pub(crate) fn retry_connect(&mut self, registry: &Registry) {
        if let Some(data) = &mut self.data
            && let Err(loss) = data.connect(registry)
        {
            self.lose_data(loss);
        }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Ends this end's half of a data connection on which nothing is owed; [`News::DataClosed`] tells when the server has
    /// ended its own, so that it knows of the end before the next request can reach it. False where that cannot be: the
    /// connection is gone then.
    pub(crate) fn close_data(&mut self) -> bool {
        let is_closing = self.data.as_mut().is_some_and(|data| data.is_settled() && data.close().is_ok());
        if !is_closing {
            self.drop_data();
        }
        is_closing
    }

    /// Lets go of the data connection at once.
    pub(crate) fn drop_data(&mut self) {
        self.data = None;
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

    fn read_control(&mut self, registry: &Registry, scratch: &mut [u8]) {
        let mut left = TURN_BUDGET_BYTES;
        while left > 0 && !self.is_over {
            match self.control.read(scratch) {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => self.lose_control(),
                Ok(Some(count)) => {
                    left -= count.min(left);
                    if let Err(violation) = self.dialogue.handle_control(&scratch[..count]) {
                        self.is_over = true;
                        self.news.push_back(News::Violation(violation.to_string()));
                        return;
                    }
                }
            }
            self.perform(registry);
        }
    }

    fn move_data(&mut self, registry: &Registry, scratch: &mut [u8], traffic: &mut Traffic) {
        let Some(data) = &mut self.data else { return };
        match data.turn(TURN_BUDGET_BYTES, scratch, &mut self.payloads) {
            Err(loss) => self.lose_data(loss),
            Ok(Moved { received_bytes, sent_bytes, is_closed }) => {
                traffic.received_bytes += received_bytes;
                traffic.sent_bytes += sent_bytes;
                if received_bytes > 0 {
                    self.dialogue.handle_received(received_bytes);
                }
                if is_closed {
                    self.news.push_back(News::DataClosed);
                    self.drop_data();
                }
            }
        }
        self.perform(registry);
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() && !self.is_over {
            match self.control.write(&self.unsent) {
                Ok(Some(taken)) => drop(self.unsent.drain(..taken)),
                Ok(None) => return,
                Err(_) => self.lose_control(),
            }
        }
    }

    fn lose_data(&mut self, loss: Loss) {
        self.news.push_back(News::DataLost { loss, is_idle: !self.dialogue.is_busy() });
        self.drop_data();
    }

    fn lose_control(&mut self) {
        self.is_over = true;
        self.news.push_back(News::ControlLost { is_idle: !self.dialogue.is_busy() });
        self.data = None;
        self.dialogue.handle_control_closed();
    }

    /// Performs all the work that the dialogue has.
    fn perform(&mut self, registry: &Registry) {
        while let Some(step) = self.dialogue.poll_step() {
            match step {
                Step::Send(bytes) => self.unsent.extend_from_slice(&bytes),
                Step::CloseData => self.data = None,
                Step::OpenData { port, ticket } => {
                    let address = SocketAddr::new(self.server.ip(), port);
                    self.data = Some(Data::open(address, self.tokens.data, &ticket, registry));
                }
                Step::Receive { id, length, .. } => {
                    self.news.push_back(News::Announced { id, length });
                    if let Some(data) = &mut self.data {
                        data.receive(id, 0, length);
                    }
                }
                Step::Transmit { id, offset, length, .. } => {
                    if let Some(data) = &mut self.data {
                        data.transmit(id, offset, length);
                    }
                }
                Step::Entry { id, entry } => self.news.push_back(News::Entry { id, entry }),
                Step::Digest { .. } | Step::Info { .. } => {}
                Step::Done { id, result } => self.news.push_back(News::Done { id, result }),
            }
        }
    }
}

impl<P> Payloads<P> {
    fn get_mut(&mut self, id: RequestId) -> Option<&mut P> {
        self.0.iter_mut().find(|(other, _)| *other == id).map(|(_, payload)| payload)
    }

    fn remove(&mut self, id: RequestId) -> Option<P> {
        let at = self.0.iter().position(|(other, _)| *other == id)?;
        Some(self.0.remove(at).1)
    }
}
