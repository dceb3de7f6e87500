//! The data connection of a session: payload in and out in the order of the dialogue's steps. Bytes that come go to their
//! request at once; bytes that go are gathered, so that many small files share a read and a write.

use super::link::{Link, is_shortage};
use super::unsent::Unsent;
use super::{Payloads, Stop, Turn};
use crate::limits::{DATA_CONNECT_ATTEMPTS, GATHER_BYTES, TURN_DATA_BYTES};
use ferry_common::dialogue::RequestId;
use ferry_common::wire::digest::Digest;
use mio::event::Event;
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

#[derive(Debug)]
pub(crate) struct Data {
    address: SocketAddr,
    token: Token,
    /// `None` while the connect must be tried again later.
    link: Option<Link>,
    attempts: u32,
    incoming: VecDeque<Span>,
    outgoing: VecDeque<Outgoing>,
    unsent: Unsent,
    /// This end has sent all that it will.
    is_closing: bool,
}

/// Part of a file that is on its way.
#[derive(Debug)]
struct Span {
    id: RequestId,
    offset: u64,
    end: u64,
}

#[derive(Debug)]
struct Outgoing {
    span: Span,
    /// The digest follows the bytes.
    trailer: bool,
    /// The request has failed; its bytes are owed all the same, and any will do.
    is_void: bool,
}

/// Why there is no data connection any more.
#[derive(Debug)]
pub enum Loss {
    /// It was never made.
    Connect(io::Error),
    Ended,
    /// Bytes that nothing had announced.
    Excess,
}

/// Why a turn ended early.
pub(super) enum Broken {
    Lost(Loss),
    /// The owner cannot go on with a request.
    Stopped,
    /// The server has closed in answer to this end's close.
    Closed,
}

impl From<Loss> for Broken {
    fn from(loss: Loss) -> Self {
        Self::Lost(loss)
    }
}

impl Data {
    pub(crate) fn open(address: SocketAddr, token: Token, ticket: &[u8], registry: &Registry) -> Self {
        let mut unsent = Unsent::default();
        unsent.push(ticket);
        unsent.push(b"\n");
        let mut data = Self {
            address,
            token,
            link: None,
            attempts: 0,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            unsent,
            is_closing: false,
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
            Err(error) if is_shortage(&error) && self.attempts < DATA_CONNECT_ATTEMPTS => {}
            Err(error) => return Err(Loss::Connect(error)),
        }
        Ok(())
    }

    pub(crate) fn is_connecting(&self) -> bool {
        !self.link.as_ref().is_some_and(Link::is_connected)
    }

    pub(crate) fn latch(&mut self, event: &Event) {
        if let Some(link) = &mut self.link {
            link.latch(event);
        }
    }

    pub(crate) fn receive(&mut self, id: RequestId, length: u64) {
        if length > 0 {
            self.incoming.push_back(Span { id, offset: 0, end: length });
        }
    }

    pub(crate) fn transmit(&mut self, id: RequestId, offset: u64, length: u64, trailer: bool) {
        if length > 0 || trailer {
            let span = Span { id, offset, end: offset.saturating_add(length) };
            self.outgoing.push_back(Outgoing { span, trailer, is_void: false });
        }
    }

    /// True where bytes that the server has announced have not come.
    pub(crate) fn is_receiving(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// True where bytes of this end are not handed to the kernel.
    pub(crate) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty() || !self.unsent.is_empty()
    }

    /// What is still to come, and to be handed to the kernel.
    pub(crate) fn owed_bytes(&self) -> u64 {
        let spans = self.incoming.iter().chain(self.outgoing.iter().map(|outgoing| &outgoing.span));
        let owed = spans.map(|span| span.end - span.offset);
        owed.fold(self.unsent_bytes(), u64::saturating_add)
    }

    /// What was gathered and is not handed to the kernel.
    pub(crate) fn unsent_bytes(&self) -> u64 {
        self.unsent.len() as u64
    }

    /// True where all bytes of an upload are handed to the kernel.
    pub(crate) fn has_sent(&self, id: RequestId) -> bool {
        !self.outgoing.iter().any(|outgoing| outgoing.span.id == id) && !self.unsent.holds(id)
    }

    /// The request has failed. Tells how many of its bytes are owed all the same.
    pub(crate) fn void(&mut self, id: RequestId) -> u64 {
        let Some(outgoing) = self.outgoing.iter_mut().find(|outgoing| outgoing.span.id == id) else {
            return 0;
        };
        outgoing.is_void = true;
        outgoing.span.end - outgoing.span.offset
    }

    /// The uploads whose bytes are not wholly handed to the kernel.
    pub(crate) fn unsent_uploads(&self) -> impl Iterator<Item = RequestId> {
        self.unsent.requests().chain(self.outgoing.iter().map(|outgoing| outgoing.span.id))
    }

    /// True where nothing is owed in either direction.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_connecting() && !self.is_sending() && !self.is_receiving()
    }

    /// True where something, or the end, has come although nothing is owed.
    pub(crate) fn has_odd_input(&self) -> bool {
        self.incoming.is_empty()
            && self.link.as_ref().is_some_and(|link| link.is_connected() && link.has_input())
    }

    /// Ends this end's half; [`Broken::Closed`] tells when the server has ended its own. So the server
    /// knows of the end before the client's next command can reach it.
    pub(crate) fn close(&mut self) -> Result<(), Loss> {
        self.is_closing = true;
        match &self.link {
            Some(link) => link.shutdown_write().map_err(|_| Loss::Ended),
            None => Err(Loss::Ended),
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn abort(self) {
        if let Some(link) = self.link {
            link.abort();
        }
    }

    /// True where [`Data::turn`] could move something at once.
    pub(crate) fn has_work(&self) -> bool {
        let Some(link) = &self.link else { return false };
        (link.can_read() && (self.is_closing || self.is_receiving()))
            || (link.can_write() && self.is_sending())
    }

    /// Moves what can be moved at once, within a budget in each direction. Tells how much has come.
    pub(super) fn turn(
        &mut self,
        turn: &mut Turn<'_>,
        payloads: &mut dyn Payloads,
    ) -> (u64, Result<(), Broken>) {
        let Some(link) = &mut self.link else { return (0, Ok(())) };
        match link.finish_connect() {
            Err(error) => return (0, Err(Loss::Connect(error).into())),
            Ok(false) => return (0, Ok(())),
            Ok(true) => {}
        }
        let written = self.write_turn(turn, payloads);
        // An end that was sent for behind the last byte of a download must not cost that byte.
        let (received, read) = self.read_turn(turn, payloads);
        (
            received,
            if matches!(written, Err(Broken::Lost(_))) && received > 0 { read } else { written.and(read) },
        )
    }

    fn write_turn(&mut self, turn: &mut Turn<'_>, payloads: &mut dyn Payloads) -> Result<(), Broken> {
        let mut left = TURN_DATA_BYTES;
        while left > 0 && self.is_sending() {
            if self.link.as_ref().is_none_or(|link| !link.can_write()) {
                return Ok(());
            }
            if self.unsent.is_empty() {
                self.gather(payloads)?;
            }
            let Some(link) = &mut self.link else { return Ok(()) };
            match link.write(self.unsent.rest()) {
                Ok(Some(taken)) => {
                    self.unsent.take(taken);
                    turn.sent_bytes += taken as u64;
                    left -= taken.min(left);
                }
                Ok(None) => return Ok(()),
                Err(_) => return Err(Loss::Ended.into()),
            }
        }
        Ok(())
    }

    /// Takes the next bytes of one large file, or of several small ones.
    fn gather(&mut self, payloads: &mut dyn Payloads) -> Result<(), Broken> {
        while self.unsent.len() < GATHER_BYTES
            && let Some(Outgoing { span, trailer, is_void }) = self.outgoing.front_mut()
        {
            let id = span.id;
            if span.offset < span.end {
                let room = (GATHER_BYTES - self.unsent.len()) as u64;
                let most = usize::try_from((span.end - span.offset).min(room)).unwrap_or(GATHER_BYTES);
                let filled = self.unsent.push_with(most, |into| {
                    if *is_void { Ok(into.len()) } else { payloads.fill(id, span.offset, into) }
                });
                match filled {
                    Ok(filled) if filled > 0 => span.offset += filled.min(most) as u64,
                    Ok(_) | Err(Stop) => return Err(Broken::Stopped),
                }
            }
            if span.offset == span.end {
                if *trailer {
                    let digest = if *is_void { Ok(Digest::of(&[])) } else { payloads.trailer(id) };
                    let digest = digest.map_err(|Stop| Broken::Stopped)?;
                    self.unsent.push(format!("{digest}\n").as_bytes());
                }
                self.unsent.end(id);
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    fn read_turn(&mut self, turn: &mut Turn<'_>, payloads: &mut dyn Payloads) -> (u64, Result<(), Broken>) {
        let mut received = 0;
        let mut left = TURN_DATA_BYTES;
        while left > 0 && self.is_receiving() {
            let wanted = self.announced(turn.scratch.len().min(left));
            let Some(link) = &mut self.link else { break };
            let taken = match link.read(&mut turn.scratch[..wanted]) {
                Ok(Some(0)) | Err(_) => return (received, Err(Loss::Ended.into())),
                Ok(Some(taken)) => taken,
                Ok(None) => return (received, Ok(())),
            };
            left -= taken.min(left);
            let (given, result) = self.distribute(&turn.scratch[..taken], payloads);
            received += given;
            turn.received_bytes += given;
            if result.is_err() {
                return (received, result);
            }
        }
        (received, self.look_for_close(turn))
    }

    fn look_for_close(&mut self, turn: &mut Turn<'_>) -> Result<(), Broken> {
        let Some(link) = self.link.as_mut().filter(|_| self.is_closing && self.incoming.is_empty()) else {
            return Ok(());
        };
        match link.read(turn.scratch) {
            Ok(Some(0)) | Err(_) => Err(Broken::Closed),
            Ok(Some(_)) => Err(Loss::Excess.into()),
            Ok(None) => Ok(()),
        }
    }

    /// How much of what is announced goes into one read.
    fn announced(&self, most: usize) -> usize {
        let mut announced = 0_u64;
        for span in &self.incoming {
            announced = announced.saturating_add(span.end - span.offset);
            if announced >= most as u64 {
                return most;
            }
        }
        usize::try_from(announced).unwrap_or(most)
    }

    /// Gives the bytes to the requests whose they are, and tells how many were given.
    fn distribute(&mut self, mut bytes: &[u8], payloads: &mut dyn Payloads) -> (u64, Result<(), Broken>) {
        let mut given = 0;
        while !bytes.is_empty()
            && let Some(span) = self.incoming.front_mut()
        {
            let owed = usize::try_from(span.end - span.offset).unwrap_or(usize::MAX);
            let (own, rest) = bytes.split_at(owed.min(bytes.len()));
            if payloads.take(span.id, span.offset, own).is_err() {
                return (given, Err(Broken::Stopped));
            }
            given += own.len() as u64;
            span.offset += own.len() as u64;
            if span.offset == span.end {
                self.incoming.pop_front();
            }
            bytes = rest;
        }
        (given, Ok(()))
    }
}
