//! One connection of a crowd: what it has still to send, how much it may read, and what it was told. It opens none.

use super::plan::{Flow, Leave, Read, Send};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

/// Most bytes that one turn sends or reads.
const TURN_BYTES: usize = 64 * 1024;
/// A line is looked at as far as this; offers of data connections are shorter.
const LINE_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) stream: TcpStream,
    pub(super) number: usize,
    /// The session of a data connection.
    pub(super) session: Option<usize>,
    /// The data connection of a session.
    pub(super) data: Option<usize>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) queued: bool,
    born: Instant,
    leave: Leave,
    read: Read,
    readable_bytes: usize,
    sending: Sending,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Sending {
    /// Sent once, ahead of all else.
    opening: Vec<u8>,
    bytes: Vec<u8>,
    position: usize,
    /// How much may be sent now, where that is bounded.
    allowed_bytes: usize,
    repeat: Repeat,
}

#[derive(Debug)]
enum Repeat {
    Never,
    /// When so many more answers have come, of so many.
    Answered {
        left: usize,
        of: usize,
    },
    AtOnce,
    Paced {
        bytes_per_second: usize,
    },
}

/// What a turn has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Waits for the socket, or for time to pass.
    Waits,
    /// May go on at once.
    GoesOn,
    /// The server offers a data connection.
    Offered {
        port: u16,
        ticket: Vec<u8>,
    },
    Ended,
}

impl Member {
    pub(super) fn new(stream: TcpStream, number: usize, opening: Vec<u8>, flow: &Flow, leave: Leave) -> Self {
        let text = |bytes: &[u8]| replace(bytes, number);
        let (bytes, repeat) = match &flow.send {
            Send::Nothing => (Vec::new(), Repeat::Never),
            Send::Once(bytes) => (text(bytes), Repeat::Never),
            Send::Answered { burst, answers } => {
                (text(burst), Repeat::Answered { left: *answers, of: *answers })
            }
            Send::Endless(bytes) => (bytes.clone(), Repeat::AtOnce),
            Send::Slowly { bytes, bytes_per_second } => {
                (text(bytes), Repeat::Paced { bytes_per_second: *bytes_per_second })
            }
        };
        let sending = Sending { opening, bytes, position: 0, allowed_bytes: 0, repeat };
        Self {
            stream,
            number,
            session: None,
            data: None,
            readable: false,
            writable: false,
            queued: false,
            born: Instant::now(),
            leave,
            read: flow.read,
            readable_bytes: 0,
            sending,
            line: Vec::new(),
        }
    }

    /// It stays no longer.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.leave {
            Leave::Never => false,
            Leave::AtOnce { .. } => self.writable,
            Leave::After(time) => now >= self.born + time,
        }
    }

    pub(super) fn resets(&self) -> bool {
        matches!(self.leave, Leave::AtOnce { reset: true })
    }

    /// Time has passed: more may be sent and read.
    pub(super) fn pass(&mut self, time: Duration, seconds_before: u64, seconds_now: u64) {
        let share = |per_second: usize| {
            let part = per_second as u128 * time.as_millis() / 1000;
            // What is too slow for a share of each tick is given by whole seconds.
            let rest = if part == 0 && seconds_now > seconds_before { per_second } else { 0 };
            usize::try_from(part).unwrap_or(usize::MAX) + rest
        };
        if let Read::BytesPerSecond(per_second) = self.read {
            self.readable_bytes = (self.readable_bytes + share(per_second)).min(per_second);
        }
        if let Repeat::Paced { bytes_per_second } = self.sending.repeat {
            self.sending.allowed_bytes =
                (self.sending.allowed_bytes + share(bytes_per_second)).min(bytes_per_second);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.readable && self.may_read() > 0 || self.writable && !self.sending.due().is_empty()
    }

    pub(super) fn turn(&mut self, scratch: &mut [u8]) -> Turn {
        match self.try_turn(scratch) {
            Ok(turn) => turn,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Turn::Waits
            }
            Err(_) => Turn::Ended,
        }
    }

    fn try_turn(&mut self, scratch: &mut [u8]) -> io::Result<Turn> {
        if self.writable && !self.sending.due().is_empty() {
            match self.stream.write(self.sending.due()) {
                Ok(count) => self.sending.consume(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        let most = self.may_read().min(TURN_BYTES).min(scratch.len());
        if self.readable && most > 0 {
            match self.stream.read(&mut scratch[..most]) {
                Ok(0) => return Ok(Turn::Ended),
                Ok(count) => {
                    self.readable_bytes = self.readable_bytes.saturating_sub(count);
                    if let Some(offer) = self.look_at(&scratch[..count]) {
                        return Ok(offer);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(if self.has_work() { Turn::GoesOn } else { Turn::Waits })
    }

    fn may_read(&self) -> usize {
        match self.read {
            Read::All => usize::MAX,
            Read::BytesPerSecond(_) => self.readable_bytes,
            Read::Nothing => 0,
        }
    }

    /// Follows the lines of a control connection. An offer is the last of what was read, since the server waits then.
    fn look_at(&mut self, bytes: &[u8]) -> Option<Turn> {
        if self.session.is_some() {
            return None;
        }
        let mut offer = None;
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if line.starts_with(b"ok") || line.starts_with(b"err ") {
                    self.sending.answer();
                } else if line.starts_with(b"(data) ") {
                    offer = parse_offer(&line);
                }
            }
        }
        offer
    }
}

impl Sending {
    /// What may be sent next.
    fn due(&self) -> &[u8] {
        if !self.opening.is_empty() {
            return &self.opening;
        }
        let rest = &self.bytes[self.position.min(self.bytes.len())..];
        match self.repeat {
            Repeat::Paced { .. } => &rest[..rest.len().min(self.allowed_bytes)],
            Repeat::Never | Repeat::Answered { .. } | Repeat::AtOnce => rest,
        }
    }

    fn consume(&mut self, count: usize) {
        if !self.opening.is_empty() {
            self.opening.drain(..count);
            return;
        }
        self.position += count;
        self.allowed_bytes = self.allowed_bytes.saturating_sub(count);
        let again = matches!(self.repeat, Repeat::AtOnce | Repeat::Paced { .. });
        if again && self.position >= self.bytes.len() {
            self.position = 0;
        }
    }

    fn answer(&mut self) {
        if let Repeat::Answered { left, of } = &mut self.repeat {
            *left = left.saturating_sub(1);
            if *left == 0 {
                *left = *of;
                self.position = 0;
            }
        }
    }
}

fn replace(bytes: &[u8], number: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("{n}") { text.replace("{n}", &number.to_string()).into_bytes() } else { bytes.to_vec() }
}

fn parse_offer(line: &[u8]) -> Option<Turn> {
    let text = str::from_utf8(line).ok()?;
    let mut words = text.split_whitespace().skip(1);
    let port = words.next()?.parse().ok()?;
    Some(Turn::Offered { port, ticket: words.next()?.as_bytes().to_vec() })
}
