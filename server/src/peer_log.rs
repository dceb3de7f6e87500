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
    /// Of the lines that were left out.
    moved: Moved,
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
        let level = lines::level(event);
        if self.admits(level, peer, now) {
            log::log!(level, "{}", Line { peer: peer.ip().to_canonical(), event });
        } else if log::log_enabled!(level)
            && let Some(count) = self.peers.get_mut(&Address::from(peer))
        {
            count.moved.note(event);
        }
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
        for count in self.peers.values().filter(|count| count.left_out > 0) {
            log::warn!("{}", count.sentence());
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
        let count = self.peers.entry(address).or_insert(Count::of(peer));
        if self.lines >= LOG_LINES_PER_SECOND_MAX || count.lines >= LOG_PEER_LINES_PER_SECOND_MAX {
            count.left_out += 1;
            return false;
        }
        self.lines += 1;
        count.lines += 1;
        true
    }
}

impl Count {
    fn of(peer: SocketAddr) -> Self {
        Self { peer, lines: 0, left_out: 0, moved: Moved::default() }
    }

    /// What stands in the place of the lines that were left out.
    fn sentence(&self) -> String {
        let Self { left_out, moved, .. } = self;
        let peer = self.peer.ip().to_canonical();
        let separator = if moved.is_nothing() { "" } else { "; " };
        format!("Left out {left_out} lines about {peer}: too many at once{separator}{moved}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::path::RemotePath;
    use ferry_session::action::Direction;
    use std::time::Duration;

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
    fn what_was_moved_is_told_of_the_lines_that_are_left_out() {
        let (mut log, now) = (PeerLog::default(), Instant::now());
        let uploaded = Event::Finished {
            direction: Direction::Upload,
            path: RemotePath::root(),
            offset: 0,
            length: 1000,
            elapsed: Duration::ZERO,
        };
        admitted(&mut log, peer(1, 1), now, LOG_PEER_LINES_PER_SECOND_MAX - 1);
        for _ in 0..4 {
            log.report(peer(1, 1), &uploaded, now);
        }
        let count = &log.peers[&Address::from(peer(1, 1))];
        let told = "Left out 3 lines about 10.0.0.1: too many at once; uploaded 3 files (3.0 kB)";
        assert_eq!(count.sentence(), told);
        let count = Count { left_out: 2, ..Count::of(peer(1, 1)) };
        assert_eq!(count.sentence(), "Left out 2 lines about 10.0.0.1: too many at once");
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
