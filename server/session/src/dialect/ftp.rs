//! FTP (RFC 959, 1123, 2389, 2428, 3659): commands one way, replies the other.

use super::{Dialect, Heard, Interruption};
use crate::Running;
use crate::answer::Answer;
use std::net::{IpAddr, Ipv4Addr};

/// What the server's operator decided for FTP.
#[derive(Debug, Clone, Copy)]
pub struct FtpPolicy {
    /// What clients are told to connect to for data, in place of the address that they have connected to.
    pub address: Option<Ipv4Addr>,
    /// No connection is made to a client.
    pub no_active: bool,
}

/// The client of one session.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub address: IpAddr,
    /// A number that no other session has, for names that are to be free.
    pub seed: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Ftp {
    policy: FtpPolicy,
    client: Client,
}

impl Ftp {
    pub(super) fn new(policy: FtpPolicy, client: Client) -> Self {
        Self { policy, client }
    }
}

impl Dialect for Ftp {
    fn push(&mut self, _bytes: &[u8]) {}

    fn next(&mut self) -> Heard {
        Heard::Nothing
    }

    fn held_bytes(&self) -> usize {
        0
    }

    fn awaits_more(&self) -> bool {
        true
    }

    fn clear(&mut self) {}

    fn text_of(&mut self, _answer: Answer) -> Vec<u8> {
        Vec::new()
    }

    fn interruption(&mut self, _running: Option<Running<'_>>) -> Option<Interruption> {
        let _ = (self.policy, self.client);
        None
    }

    fn hears_meanwhile(&self) -> bool {
        true
    }
}
