//! The data connection of a session: payload in and out in the order of the dialogue's steps, chunk by chunk; it buffers
//! none.

use super::link::{Link, is_shortage};
use super::{Payload, Payloads};
use ferry_common::dialogue::RequestId;
use mio::event::Event;
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// How often a connect is tried again while the system is short of ports.
const CONNECT_ATTEMPTS: u32 = 100;

#[derive(Debug)]
pub(crate) struct Data {
    address: SocketAddr,
    token: Token,
    /// `None` while the connect must be tried again later.
    link: Option<Link>,
    attempts: u32,
    /// What is left of the ticket's line.
    ticket_line: Vec<u8>,
    incoming: VecDeque<Span>,
    outgoing: VecDeque<Span>,
    /// This end has sent all that it will.
    closing: bool,
}

/// Part of a file that is on its way.
#[derive(Debug)]
struct Span {
    id: RequestId,
    offset: u64,
    end: u64,
}

/// What one turn brought.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// The server closed in answer to the client's close.
    pub(crate) is_closed: bool,
}

/// Why there is no data connection any more.
#[derive(Debug)]
pub(crate) enum Loss {
    /// It was never made.
    Connect(io::Error),
    Ended,
    /// Bytes that nothing had announced.
    Excess(usize),
}

impl Data {
    pub(crate) fn open(address: SocketAddr, token: Token, ticket: &[u8], registry: &Registry) -> Self {
        let mut data = Self {
            address,
            token,
            link: None,
            attempts: 0,
            ticket_line: [ticket, b"\n"].concat(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            closing: false,
        };
        // A failure shows again, or has passed, at the first turn.
        let _ = data.connect(registry);
        data
    }

    /// True while [`Data::connect`] should be called again a little later.
    pub(crate) fn wants_connect(&self) -> bool {
        self.link.is_none()
    }

    pub(crate) fn connect(&mut self, registry: &Registry) -> Result<(), Loss> {
        if self.link.is_some() {
            return Ok(());
        }
        self.attempts += 1;
        match Link::connect(self.address, registry, self.token) {
            Ok(link) => self.link = Some(link),
            Err(error) if is_shortage(&error) && self.attempts < CONNECT_ATTEMPTS => {}
            Err(error) => return Err(Loss::Connect(error)),
        }
        Ok(())
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        if let Some(link) = &mut self.link {
            link.latch(event);
        }
    }

    pub(crate) fn receive(&mut self, id: RequestId, offset: u64, length: u64) {
        if length > 0 {
            let end = offset.saturating_add(length);
            self.incoming.push_back(Span { id, offset, end });
        }
    }

    pub(crate) fn transmit(&mut self, id: RequestId, offset: u64, length: u64) {
        if length > 0 {
            let end = offset.saturating_add(length);
            self.outgoing.push_back(Span { id, offset, end });
        }
    }

    /// True where nothing is owed in either direction.
    pub(crate) fn is_settled(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_connected)
            && self.ticket_line.is_empty()
            && self.incoming.is_empty()
            && self.outgoing.is_empty()
    }

    /// Ends this end's half; [`Moved::is_closed`] tells when the server has ended its own. So the server
    /// knows of the end before the client's next command can reach it.
    pub(crate) fn close(&mut self) -> Result<(), Loss> {
        self.closing = true;
        match &self.link {
            Some(link) => link.shutdown_write().map_err(|_| Loss::Ended),
            None => Err(Loss::Ended),
        }
    }

    /// True where [`Data::turn`] could move something at once.
    pub(crate) fn has_work(&self) -> bool {
        let Some(link) = &self.link else { return false };
        let wants_read = self.closing || !self.incoming.is_empty();
        let wants_write = !self.ticket_line.is_empty() || !self.outgoing.is_empty();
        (link.can_read() && wants_read) || (link.can_write() && wants_write)
    }

    /// Moves what can be moved at once, at most about `budget_bytes` in each direction.
    pub(super) fn turn<P: Payload>(
        &mut self,
        budget_bytes: usize,
        scratch: &mut [u8],
        payloads: &mut Payloads<P>,
    ) -> Result<Moved, Loss> {
        let mut moved = Moved::default();
        let Some(link) = &mut self.link else { return Ok(moved) };
        if !link.finish_connect().map_err(Loss::Connect)? {
            return Ok(moved);
        }
        self.write_turn(budget_bytes, scratch, payloads, &mut moved)?;
        self.read_turn(budget_bytes, scratch, payloads, &mut moved)?;
        Ok(moved)
    }

    fn write_turn<P: Payload>(
        &mut self,
        budget: usize,
        scratch: &mut [u8],
        payloads: &mut Payloads<P>,
        moved: &mut Moved,
    ) -> Result<(), Loss> {
        let Some(link) = &mut self.link else { return Ok(()) };
        while !self.ticket_line.is_empty() {
            match link.write(&self.ticket_line) {
                Ok(Some(taken)) => drop(self.ticket_line.drain(..taken)),
                Ok(None) => return Ok(()),
                Err(_) => return Err(Loss::Ended),
            }
        }
        let mut left = budget;
        while let Some(span) = self.outgoing.front_mut()
            && left > 0
            && link.can_write()
        {
            let chunk = chunk_of(scratch, left, span);
            // The payload of a request that has ended is owed all the same: any bytes will do.
            if let Some(payload) = payloads.get_mut(span.id) {
                payload.fill(span.offset, chunk);
            }
            match link.write(chunk) {
                Ok(Some(taken)) => {
                    span.offset += taken as u64;
                    moved.sent_bytes += taken as u64;
                    left -= taken.min(left);
                }
                Ok(None) => return Ok(()),
                Err(_) => return Err(Loss::Ended),
            }
            if span.offset == span.end {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    fn read_turn<P: Payload>(
        &mut self,
        budget: usize,
        scratch: &mut [u8],
        payloads: &mut Payloads<P>,
        moved: &mut Moved,
    ) -> Result<(), Loss> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut left = budget;
        while let Some(span) = self.incoming.front_mut()
            && left > 0
        {
            let chunk = chunk_of(scratch, left, span);
            let taken = match link.read(chunk) {
                Ok(Some(0)) | Err(_) => {
                    return if moved.received_bytes > 0 { Ok(()) } else { Err(Loss::Ended) };
                }
                Ok(Some(taken)) => taken,
                Ok(None) => return Ok(()),
            };
            if let Some(payload) = payloads.get_mut(span.id) {
                payload.take(span.offset, &chunk[..taken]);
            }
            span.offset += taken as u64;
            moved.received_bytes += taken as u64;
            left -= taken.min(left);
            if span.offset == span.end {
                self.incoming.pop_front();
            }
        }
        if self.closing && self.incoming.is_empty() {
            match link.read(scratch) {
                Ok(Some(0)) | Err(_) => moved.is_closed = true,
                Ok(Some(taken)) => return Err(Loss::Excess(taken)),
                Ok(None) => {}
            }
        }
        Ok(())
    }
}

/// The part of `scratch` for the next step of `span`.
fn chunk_of<'scratch>(scratch: &'scratch mut [u8], left: usize, span: &Span) -> &'scratch mut [u8] {
    let owed = usize::try_from(span.end - span.offset).unwrap_or(usize::MAX);
    let length = scratch.len().min(left).min(owed);
    &mut scratch[..length]
}
