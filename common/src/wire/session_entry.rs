//! What `who` tells of the sessions of a server.

use std::net::IpAddr;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEntry {
    /// Of its client.
    pub address: IpAddr,
    pub activity: SessionActivity,
    /// What the receiving end has of the file; 0 for an idle session.
    pub moved_bytes: u64,
    /// Size of the whole file; 0 for an idle session.
    pub size_bytes: u64,
    /// How long it has been doing this.
    pub seconds: u64,
    /// The last name of the file's path; empty for an idle session.
    pub name: Vec<u8>,
}

/// What a session moves, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionActivity {
    Up,
    Down,
    /// No file, for the time being.
    Idle,
}

/// All sessions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionTotals {
    pub sessions: u64,
    pub uploads: u64,
    pub downloads: u64,
    /// Of all uploads, each since it began.
    pub up_bytes_per_second: u64,
    /// The same of all downloads.
    pub down_bytes_per_second: u64,
}

impl SessionActivity {
    pub const ALL: &[Self] = &[Self::Up, Self::Down, Self::Idle];

    /// The stable word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Idle => "idle",
        }
    }

    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|activity| activity.word().as_bytes() == word)
    }
}

impl SessionTotals {
    /// Counts a session, with the rate of what it moves.
    pub fn count(&mut self, activity: SessionActivity, bytes_per_second: u64) {
        self.sessions += 1;
        let (transfers, rate) = match activity {
            SessionActivity::Up => (&mut self.uploads, &mut self.up_bytes_per_second),
            SessionActivity::Down => (&mut self.downloads, &mut self.down_bytes_per_second),
            SessionActivity::Idle => return,
        };
        *transfers += 1;
        *rate = rate.saturating_add(bytes_per_second);
    }

    /// Adds what was counted of other sessions.
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.uploads += other.uploads;
        self.downloads += other.downloads;
        self.up_bytes_per_second = self.up_bytes_per_second.saturating_add(other.up_bytes_per_second);
        self.down_bytes_per_second = self.down_bytes_per_second.saturating_add(other.down_bytes_per_second);
    }
}
