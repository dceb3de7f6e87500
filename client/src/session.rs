//! The client's session as its user sees it: commands run in it, and it outlives the connections that
//! carry it. Owns the current link and connects anew where that is due; never prompts.

pub(crate) mod connect;
pub(crate) mod handler;
pub(crate) mod link;
pub(crate) mod pace;
pub(crate) mod racing;
pub(crate) mod waiting;

use crate::failure::Failure;
use crate::limits::EXIT_TIMEOUT;
use crate::session::connect::Target;
use crate::session::link::{CONNECT_TOKEN, Handler, Ignore, Link};
use crate::session::waiting::Loop;
use crate::terminal::interrupt::Interrupts;
use crate::terminal::screen;
use ferry_common::dialogue::Success;
use ferry_common::wire::command::Command;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// See the module's documentation.
pub(crate) struct Session {
    target: Target,
    interrupts: Arc<Interrupts>,
    net: Loop,
    link: Option<Link>,
    /// It was never connected, nor tried to be.
    is_new: bool,
}

impl Session {
    pub(crate) fn connect(target: Target, interrupts: &Arc<Interrupts>) -> Result<Self, Failure> {
        let mut session = Self::unconnected(target, interrupts)?;
        session.reconnect()?;
        Ok(session)
    }

    /// A session that its first command connects.
    pub(crate) fn unconnected(target: Target, interrupts: &Arc<Interrupts>) -> Result<Self, Failure> {
        let net = Loop::new(interrupts)?;
        Ok(Self { target, interrupts: Arc::clone(interrupts), net, link: None, is_new: true })
    }

    /// False after a command in which the connection was lost or had to be given up.
    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// The server that the session is with.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The address that the server has last answered at.
    pub(crate) fn peer(&mut self) -> Result<SocketAddr, Failure> {
        self.reconnect_if_lost()?;
        self.link.as_ref().map(Link::peer).ok_or_else(|| self.no_connection())
    }

    /// True where the server has told that it knows the conditions of commands. Connects where nothing is connected.
    pub(crate) fn knows_conditions(&mut self) -> Result<bool, Failure> {
        if self.link.is_none() {
            self.reconnect()?;
        }
        Ok(self.link.as_ref().is_some_and(Link::knows_conditions))
    }

    pub(crate) fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    pub(crate) fn reconnect(&mut self) -> Result<(), Failure> {
        self.link = None;
        self.is_new = false;
        let connected = self.target.connect(CONNECT_TOKEN, &mut self.net)?;
        self.link = Some(Link::open(connected, &mut self.net)?);
        Ok(())
    }

    /// Connects a session that was put in the place of another one. Where that fails, the next command will say so.
    pub(crate) fn connect_if_new(&mut self) {
        if self.is_new {
            let _ = self.reconnect();
        }
    }

    /// Sees to it that there is a connection. True where that took a new one.
    pub(crate) fn reconnect_if_lost(&mut self) -> Result<bool, Failure> {
        let is_lost = self.link.as_ref().is_none_or(Link::is_stale);
        if is_lost {
            self.reconnect()?;
        }
        Ok(is_lost)
    }

    /// Runs a command, after connecting anew where the connection is gone already: nothing was in progress
    /// on it. One that crossed the news that the session is over is run again.
    pub(crate) fn exchange(
        &mut self,
        command: Command,
        handler: &mut dyn Handler,
    ) -> Result<Success, Failure> {
        if self.link.as_ref().is_some_and(Link::is_stale) {
            self.tell_ended();
            self.link = None;
        }
        if self.link.is_none() {
            self.reconnect()?;
        }
        match self.run(command.clone(), handler, None) {
            Err(Failure::SessionEnded(_)) => {
                self.tell_ended();
                self.reconnect()?;
                self.run(command, handler, None)
            }
            result => result,
        }
    }

    /// Runs a command only if that is possible at once, and for a limited time.
    pub(crate) fn exchange_if_connected(
        &mut self,
        command: Command,
        handler: &mut dyn Handler,
        patience: Duration,
    ) -> Result<(), Failure> {
        if self.link.as_ref().is_some_and(Link::is_stale) {
            return Err(self.no_connection());
        }
        self.run(command, handler, Some(patience)).map(|_| ())
    }

    /// Says goodbye to the server, where it still listens.
    pub(crate) fn close(&mut self) {
        // The session is over, whatever the server says to that.
        let _ = self.exchange_if_connected(Command::Exit, &mut Ignore, EXIT_TIMEOUT);
    }

    fn run(
        &mut self,
        command: Command,
        handler: &mut dyn Handler,
        patience: Option<Duration>,
    ) -> Result<Success, Failure> {
        let Some(link) = &mut self.link else {
            return Err(self.no_connection());
        };
        let result = link.exchange(&mut self.net, command, handler, patience);
        if !link.is_usable() {
            self.link = None;
        }
        result
    }

    fn tell_ended(&self) {
        screen::message(&format!("{} has ended the session; connecting again", self.target));
    }

    fn no_connection(&self) -> Failure {
        Failure::ConnectionLost(format!("There is no connection to {}", self.target))
    }
}
