//! Sessions that need a file opened before they have a place for a data connection, which brings a
//! descriptor for a file with it. Only so many are let ahead; the others wait in order, with nothing open.

use crate::slots::Key;
use ferry_common::action::{Action, Question};
use ferry_common::limits::{DATA_SLOT_TIMEOUT, FILES_AHEAD_MAX};
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct FileQueue {
    /// Sessions that hold, or are about to hold, a file.
    ahead: u64,
    waiting: BTreeMap<u64, Waiting>,
    next_stamp: u64,
}

#[derive(Debug)]
struct Waiting {
    session: Key,
    action: Action,
    due: Instant,
}

/// How a session stands to the queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It needs no file, or has a place for it.
    #[default]
    Apart,
    /// Its stamp in the queue.
    Waiting(u64),
    Ahead,
}

/// True for work that leaves a file open with the session.
pub(crate) fn opens_file(action: &Action) -> bool {
    match action {
        Action::Open { .. }
        | Action::Stage { .. }
        | Action::Ask(Question::Sum { .. } | Question::Partial { .. }) => true,
        Action::Ask(
            Question::Stat { .. } | Question::Mkdir { .. } | Question::Rm { .. } | Question::Mv { .. },
        )
        | Action::Reply(_)
        | Action::Log(_)
        | Action::List { .. }
        | Action::RequestData
        | Action::CancelData
        | Action::CloseData
        | Action::Send { .. }
        | Action::Check { .. }
        | Action::Receive { .. }
        | Action::Drop { .. }
        | Action::Publish(_)
        | Action::Discard
        | Action::Keep
        | Action::Close
        | Action::Abort => false,
    }
}

impl FileQueue {
    /// Gives the work back if it can be done at once, else keeps it for later.
    pub(crate) fn enter(&mut self, session: Key, action: Action, now: Instant) -> (Standing, Option<Action>) {
        if self.ahead < FILES_AHEAD_MAX && self.waiting.is_empty() {
            self.ahead += 1;
            return (Standing::Ahead, Some(action));
        }
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.waiting.insert(stamp, Waiting { session, action, due: now + DATA_SLOT_TIMEOUT });
        (Standing::Waiting(stamp), None)
    }

    /// The session needs no file any more, or has a place for it.
    pub(crate) fn leave(&mut self, standing: Standing) {
        match standing {
            Standing::Apart => {}
            Standing::Waiting(stamp) => _ = self.waiting.remove(&stamp),
            Standing::Ahead => self.ahead -= 1,
        }
    }

    /// The next in line, if there is room; it is ahead then.
    pub(crate) fn next_admitted(&mut self) -> Option<(Key, Action)> {
        if self.ahead >= FILES_AHEAD_MAX {
            return None;
        }
        let (_, Waiting { session, action, .. }) = self.waiting.pop_first()?;
        self.ahead += 1;
        Some((session, action))
    }

    /// Who has waited too long.
    pub(crate) fn next_expired(&mut self, now: Instant) -> Option<Key> {
        let first = self.waiting.first_entry().filter(|first| first.get().due <= now)?;
        Some(first.remove().session)
    }

    /// When [`FileQueue::next_expired`] has something at the earliest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_ahead_and_the_others_come_in_order_or_wait_too_long() {
        let mut queue = FileQueue::default();
        let now = Instant::now();
        let mut enter = |number: u64| queue.enter(Key::from_bits(number), Action::RequestData, now);
        for number in 0..FILES_AHEAD_MAX {
            assert_eq!(enter(number), (Standing::Ahead, Some(Action::RequestData)));
        }
        let (first, second) = (enter(1000).0, enter(1001).0);
        enter(1002);
        enter(1003);
        assert_eq!((first, second), (Standing::Waiting(0), Standing::Waiting(1)));
        assert_eq!(queue.next_admitted(), None);
        queue.leave(second);
        queue.leave(Standing::Ahead);
        queue.leave(Standing::Ahead);
        let mut next = || queue.next_admitted().map(|(session, _)| session);
        assert_eq!((next(), next(), next()), (Some(Key::from_bits(1000)), Some(Key::from_bits(1002)), None));
        assert_eq!(queue.next_expired(now), None);
        let due = queue.due().unwrap();
        assert_eq!(queue.next_expired(due), Some(Key::from_bits(1003)));
        assert_eq!(queue.due(), None);
    }
}
