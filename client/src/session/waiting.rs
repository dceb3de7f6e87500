//! The one place where the client waits for the network: a poll that also ends when a signal comes. Knows no session and no
//! deadline; its users turn to their sessions, compute how long they can wait, and wait here.

use crate::engine::Turn;
use crate::failure::{Failure, describe};
use crate::limits::{EVENTS_PER_POLL, RECEIVE_BUFFER_BYTES};
use crate::terminal::interrupt::Interrupts;
use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Of the waker; sessions have others.
const WAKER_TOKEN: Token = Token(usize::MAX);

/// See the module's documentation.
pub(crate) struct Loop {
    poll: Poll,
    events: Events,
    scratch: Box<[u8]>,
    interrupts: Arc<Interrupts>,
    /// Signals wake the poll as long as this lives.
    _waker: Arc<Waker>,
}

impl Loop {
    pub(crate) fn new(interrupts: &Arc<Interrupts>) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(|error| cannot_wait(&error))?;
        let waker = Waker::new(poll.registry(), WAKER_TOKEN).map_err(|error| cannot_wait(&error))?;
        let waker = Arc::new(waker);
        interrupts.wake(&waker);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_POLL),
            scratch: vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(),
            interrupts: Arc::clone(interrupts),
            _waker: waker,
        })
    }

    pub(crate) fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// What a session takes its turn with.
    pub(crate) fn turn(&mut self) -> Turn<'_> {
        Turn { registry: self.poll.registry(), scratch: &mut self.scratch, received_bytes: 0, sent_bytes: 0 }
    }

    /// Waits until something happens on a connection, a signal comes, or the time is over. Gives what has happened on
    /// connections.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<impl Iterator<Item = &Event>, Failure> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_wait(&error)),
        }
        Ok(self.events.iter().filter(|event| event.token() != WAKER_TOKEN))
    }
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::Local(format!("Cannot wait for the network: {}", describe(error)))
}
