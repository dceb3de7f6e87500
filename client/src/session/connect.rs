//! The server as the user names it, and how a control connection to it is made. Never speaks on it.

use crate::engine::link::Link;
use crate::failure::{self, Failure};
use crate::session::racing::{self, DialError};
use crate::session::waiting::Loop;
use ferry_common::wire::words;
use mio::Token;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The server as the user named it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
}

/// A control connection and the server's address.
pub(crate) struct Connected {
    pub(crate) control: Link,
    pub(crate) peer: SocketAddr,
}

impl Target {
    /// `host` may be an IPv6 address in brackets.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.to_owned(), port }
    }

    /// Connects to the address of the host that answers first. Events of the attempts have the tokens from `first_token` on.
    pub(crate) fn connect(&self, first_token: Token, net: &mut Loop) -> Result<Connected, Failure> {
        let addresses = self.resolve(net)?;
        if addresses.is_empty() {
            return Err(Failure::CannotConnect(format!("The host of {self} has no address")));
        }
        match racing::connect(addresses, self, first_token, net) {
            Ok((control, peer)) => Ok(Connected { control, peer }),
            Err(DialError::Stopped(failure)) => Err(failure),
            Err(DialError::Io(error)) => Err(self.failure(&error)),
        }
    }

    /// The resolver may wait long for a name server that is gone, and nothing can end that.
    fn resolve(&self, net: &Loop) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let (host, port) = (self.host.clone(), self.port);
        let resolved =
            net.interrupts().aside(move || Ok((host.as_str(), port).to_socket_addrs()?.collect()))?;
        resolved.map_err(|error| {
            Failure::CannotConnect(format!(
                "Cannot find the host {}: {}",
                words::display(self.host.as_bytes()),
                describe(&error)
            ))
        })
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let hint = if error.kind() == io::ErrorKind::ConnectionRefused {
            "; is the server running there, and on this port?"
        } else if error.kind() == io::ErrorKind::TimedOut {
            "; is the host up, and the port open in its firewall?"
        } else {
            ""
        };
        Failure::CannotConnect(format!("Cannot connect to {self}: {}{hint}", describe(error)))
    }
}

/// `host:port`, safe to show.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = words::escape_text(self.host.as_bytes());
        if host.contains(':') {
            write!(formatter, "[{host}]:{}", self.port)
        } else {
            write!(formatter, "{host}:{}", self.port)
        }
    }
}

/// An error of a connection in words; the system's text for a timeout of ours is none.
pub(crate) fn describe(error: &io::Error) -> String {
    if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
        "no answer in time".to_owned()
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        "it was closed".to_owned()
    } else {
        failure::describe(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_shows_as_it_is_written() {
        assert_eq!(Target::new("nas.local", 2222).to_string(), "nas.local:2222");
        assert_eq!(Target::new("[::1]", 2222).to_string(), "[::1]:2222");
        assert_eq!(Target::new("::1", 2222).to_string(), "[::1]:2222");
        assert_eq!(Target::new("a\x1b[2J", 1).to_string(), "a\\x1b[2J:1");
    }
}
