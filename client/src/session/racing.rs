//! Connects to a host that has several addresses: all of them are tried side by side, each a little after the one before it
//! (RFC 8305), and the first connection that stands is taken. So an address that does not answer costs a moment only.

use crate::engine::link::Link;
use crate::failure::Failure;
use crate::limits::{CONNECT_ADDRESSES_MAX, CONNECT_STAGGER, CONNECT_TIMEOUT, WAIT_NOTICE_DELAY};
use crate::session::waiting::Loop;
use crate::terminal::screen;
use mio::Token;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// Why there is no connection to a host.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The command is to end before its end.
    Stopped(Failure),
    Io(io::Error),
}

struct Race<'a> {
    /// Those that were not tried yet.
    addresses: std::vec::IntoIter<SocketAddr>,
    next_start: Instant,
    running: Vec<Attempt>,
    errors: Vec<io::Error>,
    net: &'a mut Loop,
}

struct Attempt {
    address: SocketAddr,
    token: Token,
    link: Link,
    deadline: Instant,
}

/// Gives the first connection that stands. `name` is what the user calls the host. Events of the attempts have the tokens
/// from `first_token` on.
pub(crate) fn connect(
    addresses: Vec<SocketAddr>,
    name: &dyn std::fmt::Display,
    first_token: Token,
    net: &mut Loop,
) -> Result<(Link, SocketAddr), DialError> {
    let begun = Instant::now();
    let mut notice = Some(begun + WAIT_NOTICE_DELAY);
    let addresses = in_turn(addresses).into_iter();
    let mut race = Race { addresses, next_start: begun, running: Vec::new(), errors: Vec::new(), net };
    loop {
        race.net.interrupts().check().map_err(DialError::Stopped)?;
        race.start_due(first_token);
        if let Some(winner) = race.finish() {
            return Ok(winner);
        }
        if race.running.is_empty() && race.addresses.len() == 0 {
            return Err(DialError::Io(most_telling(race.errors)));
        }
        let now = Instant::now();
        if notice.take_if(|notice| *notice <= now).is_some() {
            screen::notice(&format!("Waiting for {name} to answer; Ctrl-C stops"));
        }
        race.wait(notice)?;
    }
}

impl Race<'_> {
    /// Begins with the next address, where it is time or all before it have failed.
    fn start_due(&mut self, first_token: Token) {
        while (self.running.is_empty() || self.next_start <= Instant::now())
            && let Some(address) = self.addresses.next()
        {
            let now = Instant::now();
            let token = Token(first_token.0 + self.addresses.len());
            match Link::connect(address, self.net.registry(), token) {
                Ok(link) => {
                    self.next_start = now + CONNECT_STAGGER;
                    self.running.push(Attempt { address, token, link, deadline: now + CONNECT_TIMEOUT });
                }
                Err(error) => self.errors.push(error),
            }
        }
    }

    /// Takes out those that have failed, and the winner.
    fn finish(&mut self) -> Option<(Link, SocketAddr)> {
        let now = Instant::now();
        let mut at = 0;
        while let Some(attempt) = self.running.get_mut(at) {
            match attempt.link.finish_connect() {
                Ok(true) => {
                    let Attempt { link, address, .. } = self.running.swap_remove(at);
                    return Some((link, address));
                }
                Ok(false) if attempt.deadline > now => {
                    at += 1;
                    continue;
                }
                Ok(false) => self.errors.push(io::ErrorKind::TimedOut.into()),
                Err(error) => self.errors.push(error),
            }
            self.running.remove(at);
            self.next_start = now;
        }
        None
    }

    fn wait(&mut self, notice: Option<Instant>) -> Result<(), DialError> {
        let next_start = (self.addresses.len() > 0).then_some(self.next_start);
        let dues = self.running.iter().map(|attempt| attempt.deadline);
        let dues = dues.chain(next_start).chain(notice).chain(self.net.interrupts().deadline());
        let due = dues.min().unwrap_or_else(Instant::now);
        let timeout = due.saturating_duration_since(Instant::now());
        for event in self.net.wait(timeout).map_err(DialError::Stopped)? {
            for attempt in &mut self.running {
                if attempt.token == event.token() {
                    attempt.link.latch(event);
                }
            }
        }
        Ok(())
    }
}

/// IPv6 first, and the families in turn, so that one that does not work at all does not hold up the other. Within a
/// family in the order of the resolver.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (sixes, fours): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let longest = sixes.len().max(fours.len());
    let (mut sixes, mut fours) = (sixes.into_iter(), fours.into_iter());
    let pairs = (0..longest).flat_map(|_| [sixes.next(), fours.next()]);
    pairs.flatten().take(CONNECT_ADDRESSES_MAX).collect()
}

/// That this host has no way to an address says nothing of the server, if another address did answer.
fn most_telling(errors: Vec<io::Error>) -> io::Error {
    let says_little = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::AddrNotAvailable
        )
    };
    let (little, telling): (Vec<_>, Vec<_>) = errors.into_iter().partition(says_little);
    telling.into_iter().chain(little).next().unwrap_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::interrupt::Interrupts;
    use socket2::{Domain, Socket, Type};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// An address whose host drops every attempt, like one behind a firewall: its queue of connections is full.
    struct BlackHole {
        listener: Socket,
        _waiting: TcpStream,
    }

    impl BlackHole {
        fn new() -> Self {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            Self { listener, _waiting: TcpStream::connect(address).unwrap() }
        }

        fn address(&self) -> SocketAddr {
            self.listener.local_addr().unwrap().as_socket().unwrap()
        }
    }

    fn refusing() -> SocketAddr {
        // Nothing listens there any more.
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn net() -> Loop {
        Loop::new(&Interrupts::alone()).unwrap()
    }

    fn try_all(addresses: &[SocketAddr], net: &mut Loop) -> Result<SocketAddr, DialError> {
        connect(addresses.to_vec(), &"a host", Token(2), net).map(|(_, address)| address)
    }

    #[test]
    fn an_address_that_does_not_answer_holds_up_the_next_for_a_moment_only() {
        let (hole, open) = (BlackHole::new(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = open.local_addr().unwrap();
        let begun = Instant::now();
        assert_eq!(try_all(&[hole.address(), address], &mut net()).unwrap(), address);
        let taken = begun.elapsed();
        assert!((CONNECT_STAGGER..CONNECT_TIMEOUT).contains(&taken), "{taken:?}");
    }

    #[test]
    fn one_that_refuses_holds_it_up_not_at_all() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        let (first, second) = (refusing(), refusing());
        assert_eq!(try_all(&[first, second, address], &mut net()).unwrap(), address);
        let Err(DialError::Io(error)) = try_all(&[first, second], &mut net()) else { panic!() };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_time_of_the_command_bounds_it() {
        let hole = BlackHole::new();
        let interrupts = Interrupts::alone();
        interrupts.signals_of_process().limit_time(Some(Duration::from_millis(50)));
        let mut net = Loop::new(&interrupts).unwrap();
        let begun = Instant::now();
        let _running = interrupts.begin();
        let result = try_all(&[hole.address()], &mut net);
        assert!(matches!(result, Err(DialError::Stopped(Failure::ConnectionLost(_)))), "{result:?}");
        assert!(begun.elapsed() < WAIT_NOTICE_DELAY);
    }

    #[test]
    fn families_alternate_and_what_says_little_is_said_last() {
        let parse =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let resolved = parse(&["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1", "[::1]:1", "[::2]:1"]);
        let expected = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "3.3.3.3:1"]);
        assert_eq!(in_turn(resolved), expected);
        assert_eq!(in_turn(vec![expected[0]; 1000]).len(), CONNECT_ADDRESSES_MAX);
        let errors = |kinds: &[io::ErrorKind]| kinds.iter().map(|&kind| kind.into()).collect();
        let kinds = [io::ErrorKind::NetworkUnreachable, io::ErrorKind::ConnectionRefused];
        assert_eq!(most_telling(errors(&kinds)).kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(most_telling(errors(&kinds[..1])).kind(), io::ErrorKind::NetworkUnreachable);
    }
}
