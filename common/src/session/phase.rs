//! What a session is doing. A phase owns what only it needs.

use crate::action::Direction;
use crate::path::RemotePath;
use std::time::Instant;

#[derive(Debug)]
pub(super) enum Phase {
    /// Between commands.
    Ready,
    Listing(Listing),
    Looking {
        path: RemotePath,
    },
    Opening {
        path: RemotePath,
        offset: u64,
    },
    Staging {
        path: RemotePath,
        size: u64,
    },
    /// Waiting for a data connection: first for room (`ticket_issued` is false), then for the client.
    Connecting {
        transfer: Transfer,
        ticket_issued: bool,
    },
    Moving(Transfer),
    Publishing(Transfer),
    /// Reading away the bytes of a refused upload.
    Dropping {
        remaining: u64,
    },
    Closed,
}

#[derive(Debug)]
pub(super) struct Listing {
    pub(super) path: RemotePath,
    pub(super) entries: u64,
    /// Where the next part begins, while the client is to read the last one.
    pub(super) paused_at: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) direction: Direction,
    pub(super) path: RemotePath,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) mtime_s: i64,
    pub(super) moved: u64,
    pub(super) started: Instant,
}

impl Phase {
    /// True where the peer's speed is what is waited for, with so many bytes of replies unwritten.
    pub(super) fn is_paced(&self, unwritten_bytes: usize) -> bool {
        match self {
            Self::Ready => unwritten_bytes > 0,
            Self::Listing(listing) => listing.paused_at.is_some(),
            Self::Looking { .. }
            | Self::Opening { .. }
            | Self::Staging { .. }
            | Self::Connecting { .. }
            | Self::Publishing(_) => false,
            Self::Moving(_) | Self::Dropping { .. } | Self::Closed => true,
        }
    }

    /// Takes the transfer out of a phase that has one; the session is between commands then.
    pub(super) fn take_transfer(&mut self) -> Option<Transfer> {
        match std::mem::replace(self, Self::Ready) {
            Self::Connecting { transfer, .. } | Self::Moving(transfer) | Self::Publishing(transfer) => {
                Some(transfer)
            }
            other @ (Self::Ready
            | Self::Listing(_)
            | Self::Looking { .. }
            | Self::Opening { .. }
            | Self::Staging { .. }
            | Self::Dropping { .. }
            | Self::Closed) => {
                *self = other;
                None
            }
        }
    }
}
