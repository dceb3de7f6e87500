//! The data connection of a session, apart from what is moved over it: a session keeps its data connection from one
//! transfer to the next, or has one come ahead of the transfer.

use crate::action::{Action, End, Way};

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataLine {
    None,
    /// The shell looks for room for one.
    Wanted,
    /// The client has a ticket or a port, and is to connect; or the server connects to the client.
    Offered,
    Attached,
}

impl DataLine {
    pub(crate) fn is_attached(self) -> bool {
        self == Self::Attached
    }

    pub(crate) fn is_wanted(self) -> bool {
        self == Self::Wanted
    }

    pub(crate) fn is_offered(self) -> bool {
        self == Self::Offered
    }

    /// Asks for a data connection where there is none.
    pub(crate) fn want(&mut self, way: Way) -> Option<Action> {
        match self {
            Self::None => {
                *self = Self::Wanted;
                Some(Action::RequestData(way))
            }
            Self::Wanted | Self::Offered | Self::Attached => None,
        }
    }

    /// There is room, and a ticket, a port or an attempt to connect. False where it comes too late.
    pub(crate) fn offer(&mut self) -> bool {
        self.advance(Self::Wanted, Self::Offered)
    }

    /// The client has connected. False where it does so too late.
    pub(crate) fn attach(&mut self) -> bool {
        self.advance(Self::Offered, Self::Attached)
    }

    /// Gives up the connection, which has this end, or the wish for one.
    pub(crate) fn close(&mut self, end: End) -> Option<Action> {
        match std::mem::replace(self, Self::None) {
            Self::None => None,
            Self::Wanted | Self::Offered => Some(Action::CancelData),
            Self::Attached => Some(Action::CloseData(end)),
        }
    }

    /// None will come. False where it has come, or was given up, already.
    pub(crate) fn handle_unreachable(&mut self) -> bool {
        let is_due = matches!(self, Self::Wanted | Self::Offered);
        if is_due {
            *self = Self::None;
        }
        is_due
    }

    /// The connection has ended by itself.
    pub(crate) fn handle_end(&mut self) {
        if *self == Self::Attached {
            *self = Self::None;
        }
    }

    fn advance(&mut self, from: Self, to: Self) -> bool {
        let fits = *self == from;
        if fits {
            *self = to;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::DataLine::{Attached, None as NoLine, Offered, Wanted};
    use super::*;

    #[test]
    fn a_connection_is_asked_for_once_offered_once_and_attached_once() {
        let mut line = NoLine;
        assert!(!line.offer() && !line.attach(), "not asked for");
        assert_eq!((line.want(Way::Ticket), line), (Some(Action::RequestData(Way::Ticket)), Wanted));
        assert!(line.want(Way::Ticket).is_none() && !line.attach());
        assert!(line.offer() && line == Offered);
        assert!(!line.offer() && line.attach() && line == Attached);
        assert!(!line.attach() && !line.offer() && line.want(Way::Ticket).is_none());
    }

    #[test]
    fn what_is_closed_is_what_there_is() {
        for (mut line, action) in [
            (NoLine, None),
            (Wanted, Some(Action::CancelData)),
            (Offered, Some(Action::CancelData)),
            (Attached, Some(Action::CloseData(End::Torn))),
        ] {
            assert_eq!((line.close(End::Torn), line), (action, NoLine));
        }
    }

    #[test]
    fn the_end_of_an_earlier_connection_does_not_take_the_wish_for_another_away() {
        for (mut line, after) in [(NoLine, NoLine), (Wanted, Wanted), (Offered, Offered), (Attached, NoLine)]
        {
            line.handle_end();
            assert_eq!(line, after);
        }
    }

    #[test]
    fn a_connection_that_will_not_come_is_waited_for_no_more_and_one_that_has_come_stays() {
        for (mut line, was_awaited, after) in [
            (NoLine, false, NoLine),
            (Wanted, true, NoLine),
            (Offered, true, NoLine),
            (Attached, false, Attached),
        ] {
            assert_eq!((line.handle_unreachable(), line), (was_awaited, after));
        }
    }
}
