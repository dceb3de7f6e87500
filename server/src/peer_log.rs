//! What the log says of peers: bounded lines in each second, with the rest told as a count for each peer, so that no
//! peer fills a disk or makes the server busy with its log. Nothing is formatted that is not logged.

mod lines;
pub(crate) mod moved;

use crate::limits::{LOG_LINES_PER_SECOND_MAX, LOG_PEER_LINES_PER_SECOND_MAX, LOG_PEERS_MAX, LOG_WINDOW};
use crate::net::address::Address;
use ferry_session::action::Event;
use lines::Line;
use log::Level;
use moved::Moved;
use std::collections::HashMap;
use std::fmt::Arguments;
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct PeerLog {
    /// When the counts began; `None` before the first line.
    since: Option<Instant>,
    /// Lines of all peers since then.
    lines: u64,
    peers: HashMap<Address, Count>,
    /// Lines left out of peers that are not counted one by one.
    left_out_beside: u64,
}

#[derive(Debug)]
struct Count {
    /// One of the peer's connections, to name it by.
    peer: SocketAddr,
    lines: u64,
    left_out: u64,
}

impl PeerLog {
    /// Says something of a peer, if there is room for it.
    pub(crate) fn tell(&mut self, level: Level, peer: SocketAddr, now: Instant, message: Arguments<'_>) {
        if self.admits(level, peer, now) {
            log::log!(level, "{message}");
        }
    }

    /// Tells of something that happened to a session of `peer`.
    pub(crate) fn report(&mut self, peer: SocketAddr, event: &Event, now: Instant) {
        let peer_ip = peer.ip().to_canonical();
        self.tell(lines::level(event), peer, now, format_args!("{}", Line { peer: peer_ip, event }));
    }

    /// Tells that a session of `peer` has ended, and what it has moved.
    pub(crate) fn report_end(&mut self, peer: SocketAddr, moved: &Moved, now: Instant) {
        log::debug!("Closed connection with: {peer}");
        if !moved.is_nothing() {
            self.tell(Level::Info, peer, now, format_args!("{} left: {moved}", peer.ip().to_canonical()));
        }
    }

    /// When [`PeerLog::tell_left_out`] has something to tell.
    pub(crate) fn due(&self) -> Option<Instant> {
        let has_left_out = self.left_out_beside > 0 || self.peers.values().any(|count| count.left_out > 0);
        self.since.filter(|_| has_left_out).map(|since| since + LOG_WINDOW)
    }

    /// Says how many lines were left out, once their time is over.
    pub(crate) fn tell_left_out(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now < since + LOG_WINDOW) {
            return;
        }
        for Count { peer, left_out, .. } in self.peers.values() {
            if *left_out > 0 {
                log::warn!("Left out {left_out} lines about {}: too many at once", peer.ip());
            }
        }
        if self.left_out_beside > 0 {
            log::warn!("Left out {} lines about other peers: too many at once", self.left_out_beside);
        }
        *self = Self::default();
    }

    /// Counts a line, and tells whether it may be logged.
    fn admits(&mut self, level: Level, peer: SocketAddr, now: Instant) -> bool {
        if !log::log_enabled!(level) {
            return false;
        }
        self.tell_left_out(now);
        self.since.get_or_insert(now);
        let address = Address::from(peer);
        let is_full = self.peers.len() >= LOG_PEERS_MAX && !self.peers.contains_key(&address);
        if is_full {
            self.left_out_beside += 1;
            return false;
        }
        let count = self.peers.entry(address).or_insert(Count { peer, lines: 0, left_out: 0 });
        if self.lines >= LOG_LINES_PER_SECOND_MAX || count.lines >= LOG_PEER_LINES_PER_SECOND_MAX {
            count.left_out += 1;
            return false;
        }
        self.lines += 1;
        count.lines += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u32, port: u16) -> SocketAddr {
        (std::net::Ipv4Addr::from(0x0a00_0000 + host), port).into()
    }

    /// As [`PeerLog::admits`] with the log at a level that has everything.
    fn admitted(log: &mut PeerLog, peer: SocketAddr, now: Instant, lines: u64) -> u64 {
        log::set_max_level(log::LevelFilter::Trace);
        let _ = log::set_logger(&Everything);
        (0..lines).filter(|_| log.admits(Level::Info, peer, now)).count() as u64
    }

    struct Everything;

    impl log::Log for Everything {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }

    #[test]
    fn a_peer_has_so_many_lines_a_second_from_all_its_connections() {
        let (mut log, now) = (PeerLog::default(), Instant::now());
        let half = LOG_PEER_LINES_PER_SECOND_MAX / 2;
        assert_eq!(admitted(&mut log, peer(1, 1), now, half), half);
        assert_eq!(admitted(&mut log, peer(1, 2), now, 10 * half), LOG_PEER_LINES_PER_SECOND_MAX - half);
        assert_eq!(log.due(), Some(now + LOG_WINDOW));
        assert_eq!(admitted(&mut log, peer(2, 1), now, 1), 1, "another has its own");
        assert_eq!(admitted(&mut log, peer(1, 1), now + LOG_WINDOW, 1), 1, "a new second");
        assert_eq!(log.due(), None);
    }

    #[test]
    fn all_peers_together_have_a_bound_and_so_has_memory() {
        let (mut log, now) = (PeerLog::default(), Instant::now());
        let lines: u64 = (0..100_000).map(|host| admitted(&mut log, peer(host, 1), now, 20)).sum();
        assert!(lines <= LOG_LINES_PER_SECOND_MAX, "{lines}");
        assert!(log.peers.len() <= LOG_PEERS_MAX);
        assert!(log.due().is_some());
    }
}
