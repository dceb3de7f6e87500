//! The listeners of all ports that stay open: binding them, and accepting one connection at a time.

use crate::config::Config;
use crate::limits::{FTP_PORT, LISTEN_BACKLOG};
use crate::net::listener::{self, Accepted};
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// Attempts at finding a port that is free on every address.
const ANY_PORT_ATTEMPTS: usize = 32;

/// What a connection to a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Control,
    Ftp,
    Data,
}

/// One listening socket. `ready` is latched: it stays set until accepting would block.
#[derive(Debug)]
struct Listener {
    /// `None` once it is closed; its place stays, because its place is its token.
    socket: Option<TcpListener>,
    purpose: Purpose,
    ready: bool,
}

#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// Accepting failed for want of resources; not before this instant again.
    paused_until: Option<Instant>,
    pub(crate) control_port: u16,
    pub(crate) data_port: u16,
    /// `None` where FTP is not served.
    pub(crate) ftp_port: Option<u16>,
}

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub(crate) struct ListenError {
    address: SocketAddr,
    reason: String,
}

impl Acceptor {
    pub(crate) fn bind(config: &Config) -> Result<Self, ListenError> {
        let (control, control_port) = bind_everywhere(&config.listen, config.port)?;
        let (data, data_port) = bind_everywhere(&config.listen, config.data_port)?;
        let ftp = bind_ftp(config)?;
        let listener = |purpose| move |socket| Listener { socket: Some(socket), purpose, ready: false };
        let ftp_port = ftp.as_ref().map(|(_, port)| *port);
        let ftp = ftp.into_iter().flat_map(|(sockets, _)| sockets).map(listener(Purpose::Ftp));
        let control = control.into_iter().map(listener(Purpose::Control));
        let listeners = control.chain(ftp).chain(data.into_iter().map(listener(Purpose::Data))).collect();
        Ok(Self { listeners, paused_until: None, control_port, data_port, ftp_port })
    }

    /// Registers every listener; the token of each is its place.
    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (place, listener) in self.listeners.iter_mut().enumerate() {
            if let Some(socket) = &mut listener.socket {
                registry.register(socket, Token(place), Interest::READABLE)?;
            }
        }
        Ok(())
    }

    pub(crate) fn handle_ready(&mut self, place: usize) {
        if let Some(listener) = self.listeners.get_mut(place) {
            listener.ready = listener.socket.is_some();
        }
    }

    /// True while [`Acceptor::accept`] may have a connection.
    pub(crate) fn is_ready(&self) -> bool {
        self.paused_until.is_none() && self.listeners.iter().any(|listener| listener.ready)
    }

    /// Accepts nothing until this instant.
    pub(crate) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// When [`Acceptor::end_pause`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.paused_until
    }

    pub(crate) fn end_pause(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }

    pub(crate) fn accept(&mut self, purpose: Purpose) -> Accepted {
        if self.paused_until.is_some() {
            return Accepted::Empty;
        }
        for listener in
            self.listeners.iter_mut().filter(|listener| listener.purpose == purpose && listener.ready)
        {
            let Some(socket) = &listener.socket else { continue };
            match listener::accept(socket) {
                Accepted::Empty => listener.ready = false,
                accepted @ (Accepted::Connection(..) | Accepted::Exhausted(_)) => return accepted,
            }
        }
        Accepted::Empty
    }

    /// Takes no further sessions. Data connections are still welcome, for the transfers under way.
    pub(crate) fn close_control(&mut self) {
        for listener in self.listeners.iter_mut().filter(|listener| listener.purpose != Purpose::Data) {
            listener.socket = None;
            listener.ready = false;
        }
    }
}

/// Listens for FTP clients. A port that was not asked for need not be had.
fn bind_ftp(config: &Config) -> Result<Option<(Vec<TcpListener>, u16)>, ListenError> {
    if config.no_ftp {
        return Ok(None);
    }
    let bound = bind_everywhere(&config.listen, config.ftp_port.unwrap_or(FTP_PORT));
    match (bound, config.ftp_port) {
        (Ok((sockets, port)), _) => {
            for socket in &sockets {
                // What a client sends urgently, to interrupt a transfer, keeps its place among the rest.
                SockRef::from(socket).set_out_of_band_inline(true).map_err(|error| {
                    let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
                    ListenError { address, reason: error.to_string() }
                })?;
            }
            Ok(Some((sockets, port)))
        }
        (Err(error), Some(_)) => Err(error),
        (Err(error), None) => {
            log::warn!("FTP is not served: {error}; --no-ftp does without");
            Ok(None)
        }
    }
}

/// Listens on `port` of each address; port 0 stands for one that is free on all of them.
fn bind_everywhere(addresses: &[IpAddr], port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    let mut attempts = if port == 0 { ANY_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_all(addresses, port) {
            Err(_) if attempts > 0 => {}
            result => return result,
        }
    }
}

fn bind_all(addresses: &[IpAddr], mut port: u16) -> Result<(Vec<TcpListener>, u16), ListenError> {
    let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    let by_default = addresses.is_empty();
    let mut sockets = Vec::new();
    for &address in if by_default { &everywhere } else { addresses } {
        let address = SocketAddr::new(address, port);
        match listener::listen(address, LISTEN_BACKLOG) {
            Ok(socket) => {
                port = socket.local_addr().map_or(port, |local| local.port());
                sockets.push(socket);
            }
            // A machine without IPv6 is served on IPv4 alone, unless it was asked for by name.
            Err(error) if by_default && address.is_ipv6() && is_unsupported(&error) => {}
            Err(error) => return Err(ListenError { address, reason: advice(&error, address) }),
        }
    }
    Ok((sockets, port))
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn advice(error: &io::Error, address: SocketAddr) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => format!(
            "port {} is in use; stop the program that has it, or choose another with --port, --data-port or --ftp-port",
            address.port()
        ),
        Some(Errno::ACCESS) => format!("port {} needs privileges; choose one above 1023", address.port()),
        Some(Errno::ADDRNOTAVAIL) => "this machine has no such address; see --listen".to_owned(),
        Some(_) | None => error.to_string(),
    }
}
