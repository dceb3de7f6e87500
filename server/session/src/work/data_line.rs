//! The data connection of a session, apart from what is moved over it: a session keeps its data connection from one
//! transfer to the next.

use crate::action::{Action, End};

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataLine {
    None,
    /// The shell looks for room for one.
    Wanted,
    /// The client has a ticket, and is to connect.
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
    pub(crate) fn want(&mut self) -> Option<Action> {
        match self {
            Self::None => {
                *self = Self::Wanted;
                Some(Action::RequestData)
            }
            Self::Wanted | Self::Offered | Self::Attached => None,
        }
    }

    /// There is room, and a ticket. False where it comes too late.
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
        assert_eq!((line.want(), line), (Some(Action::RequestData), Wanted));
        assert!(line.want().is_none() && !line.attach());
        assert!(line.offer() && line == Offered);
        assert!(!line.offer() && line.attach() && line == Attached);
        assert!(!line.attach() && !line.offer() && line.want().is_none());
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
}
