//! What a session is doing. A phase owns what only it needs; a transfer is in memory of its own, so that idle sessions, of
//! which there are very many, are small.

use super::transfer::Transfer;
use crate::access::Cleared;
use crate::action::{Change, Cursor, Query};
use crate::entry_format::EntryFormat;
use crate::request::{DownloadSpec, UploadSpec, Via};
use ferry_common::wire::session_entry::SessionTotals;

#[derive(Debug)]
pub(crate) enum Phase {
    /// Between commands.
    Ready,
    Listing(Listing),
    /// A data connection is asked for ahead of the transfer.
    Offering,
    /// All sessions of the server are told of.
    Surveying(Survey),
    Asking(Query),
    Changing(Change),
    Opening {
        path: Cleared,
        spec: DownloadSpec,
    },
    Staging {
        path: Cleared,
        spec: UploadSpec,
    },
    /// A transfer without a data connection yet; the [data line](super::data_line) tells what becomes of that. It is not
    /// asked for while older uploads hold back the line that would offer it.
    Connecting(Box<Transfer>),
    Moving(Box<Transfer>),
    /// A download was sent, and its file is looked at once more.
    Checking(Box<Transfer>),
    /// Reading away the bytes of a refused upload.
    Dropping {
        remaining: u64,
    },
    Closed,
}

#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) path: Cleared,
    pub(crate) format: EntryFormat,
    /// Over which data connection it goes, where it goes over one.
    pub(crate) via: Option<Via>,
    pub(crate) entries: u64,
    pub(crate) left_out: u64,
    /// Where the next part begins, while the client is to read the last one.
    pub(crate) paused_at: Option<Cursor>,
}

#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) format: Option<EntryFormat>,
    /// Sessions that were told of one by one.
    pub(crate) told: u64,
    pub(crate) totals: SessionTotals,
    /// Where the next part begins, while the client is to read the last one.
    pub(crate) paused_at: Option<u64>,
}

impl Phase {
    /// True where this phase may come behind `before`. A transfer is taken out of its phase, which is [`Phase::Ready`] then,
    /// before it enters the next.
    pub(crate) fn may_follow(&self, before: &Self) -> bool {
        match self {
            Self::Closed => true,
            Self::Ready => !matches!(before, Self::Closed),
            Self::Connecting(_) | Self::Moving(_) => {
                matches!(before, Self::Ready | Self::Opening { .. } | Self::Staging { .. } | Self::Listing(_))
            }
            Self::Listing(_)
            | Self::Offering
            | Self::Surveying(_)
            | Self::Asking(_)
            | Self::Changing(_)
            | Self::Opening { .. }
            | Self::Staging { .. }
            | Self::Checking(_)
            | Self::Dropping { .. } => matches!(before, Self::Ready),
        }
    }

    /// A file is being sent, or just was, whose end the client knows by that of the data connection.
    pub(crate) fn sends_until_close(&self) -> bool {
        match self {
            Self::Moving(transfer) | Self::Checking(transfer) => transfer.is_sent_until_close(),
            Self::Ready
            | Self::Listing(_)
            | Self::Offering
            | Self::Surveying(_)
            | Self::Asking(_)
            | Self::Changing(_)
            | Self::Opening { .. }
            | Self::Staging { .. }
            | Self::Connecting(_)
            | Self::Dropping { .. }
            | Self::Closed => false,
        }
    }

    /// Takes all that the phase has; the session is between commands then.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Ready)
    }

    /// Takes the transfer out of a phase that has one; the session is between commands then.
    pub(crate) fn take_transfer(&mut self) -> Option<Box<Transfer>> {
        match std::mem::replace(self, Self::Ready) {
            Self::Connecting(transfer) | Self::Moving(transfer) | Self::Checking(transfer) => Some(transfer),
            other @ (Self::Ready
            | Self::Listing(_)
            | Self::Offering
            | Self::Surveying(_)
            | Self::Asking(_)
            | Self::Changing(_)
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
