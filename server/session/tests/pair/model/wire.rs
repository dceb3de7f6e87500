//! The network between the two ends: ordered bytes, which a gate may hold back at any place.

use std::collections::VecDeque;

/// One direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Commands,
    Replies,
    /// Data from the client.
    Up,
    /// Data from the server.
    Down,
}

impl Lane {
    pub(crate) const ALL: [Self; 4] = [Self::Commands, Self::Replies, Self::Up, Self::Down];
}

/// One data connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    pub(crate) client_gone: bool,
    pub(crate) server_gone: bool,
    /// By a reset, from whichever end.
    pub(crate) is_torn: bool,
    /// What the server has read of the ticket's line.
    pub(crate) ticket_line: Vec<u8>,
}

/// Everything that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    commands: VecDeque<u8>,
    replies: VecDeque<u8>,
    /// All data connections there ever were; the place is the name.
    pub(crate) links: Vec<Link>,
    /// The client has said its last command.
    pub(crate) commands_ended: bool,
    /// The server has closed the control connection.
    pub(crate) replies_ended: bool,
    /// How many more bytes may be read from a lane; no gate, no bound.
    gates: [Option<usize>; 4],
    read: [usize; 4],
}

impl Wire {
    /// From now on, `lane` lets only this many bytes pass.
    pub(crate) fn shut_gate_after(&mut self, lane: Lane, bytes: usize) {
        self.gates[lane as usize] = Some(bytes);
    }

    /// True where a gate was shut.
    pub(crate) fn open_gates(&mut self) -> bool {
        std::mem::take(&mut self.gates).iter().any(Option::is_some)
    }

    /// Bytes that a lane has carried to its reader.
    pub(crate) fn read_bytes(&self, lane: Lane) -> usize {
        self.read[lane as usize]
    }

    pub(crate) fn write_commands(&mut self, bytes: &[u8]) {
        if !self.replies_ended {
            self.commands.extend(bytes);
        }
    }

    pub(crate) fn write_replies(&mut self, bytes: &[u8]) {
        self.replies.extend(bytes);
    }

    pub(crate) fn write_up(&mut self, link: usize, bytes: &[u8]) {
        if !self.links[link].server_gone {
            self.links[link].up.extend(bytes);
        }
    }

    pub(crate) fn write_down(&mut self, link: usize, bytes: &[u8]) {
        if !self.links[link].client_gone {
            self.links[link].down.extend(bytes);
        }
    }

    pub(crate) fn read_commands(&mut self, most: usize) -> Vec<u8> {
        take(&mut self.commands, &mut self.gates, &mut self.read, Lane::Commands, most)
    }

    pub(crate) fn read_replies(&mut self, most: usize) -> Vec<u8> {
        take(&mut self.replies, &mut self.gates, &mut self.read, Lane::Replies, most)
    }

    pub(crate) fn read_up(&mut self, link: usize, most: usize) -> Vec<u8> {
        take(&mut self.links[link].up, &mut self.gates, &mut self.read, Lane::Up, most)
    }

    pub(crate) fn read_down(&mut self, link: usize, most: usize) -> Vec<u8> {
        take(&mut self.links[link].down, &mut self.gates, &mut self.read, Lane::Down, most)
    }

    pub(crate) fn commands_at_end(&self) -> bool {
        self.commands_ended && self.commands.is_empty()
    }

    pub(crate) fn replies_at_end(&self) -> bool {
        self.replies_ended && self.replies.is_empty()
    }

    /// The server has read all that the client ever sent on this connection.
    pub(crate) fn up_at_end(&self, link: usize) -> bool {
        self.links[link].client_gone && self.links[link].up.is_empty()
    }

    /// The client has read all that the server ever sent on this connection.
    pub(crate) fn down_at_end(&self, link: usize) -> bool {
        self.links[link].server_gone && self.links[link].down.is_empty()
    }

    /// The network forgets what is on its way, as a reset connection does.
    pub(crate) fn lose_in_flight(&mut self, link: usize) {
        self.links[link].is_torn = true;
        self.links[link].up.clear();
        self.links[link].down.clear();
    }
}

fn take(
    bytes: &mut VecDeque<u8>,
    gates: &mut [Option<usize>; 4],
    read: &mut [usize; 4],
    lane: Lane,
    most: usize,
) -> Vec<u8> {
    let gate = &mut gates[lane as usize];
    let count = bytes.len().min(most).min(gate.unwrap_or(usize::MAX));
    if let Some(left) = gate {
        *left -= count;
    }
    read[lane as usize] += count;
    bytes.drain(..count).collect()
}
