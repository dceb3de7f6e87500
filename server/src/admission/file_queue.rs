//! Sessions that need a file opened before they have a place for a data connection, which brings a
//! descriptor for a file with it. Only so many are let ahead; the others wait in order, with nothing open.
//! Those who want a digest stand in a line of their own, since that may take as long as the file is large.

use crate::net::slots::Key;
use ferry_common::action::{Action, Question};
use ferry_common::limits::{DATA_SLOT_TIMEOUT, FILES_AHEAD_MAX};
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct FileQueue {
    transfers: Line,
    digests: Line,
}

/// What somebody stands in line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Transfer,
    Digest,
}

#[derive(Debug, Default)]
struct Line {
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
    /// Its stamp in the line.
    Waiting(Purpose, u64),
    Ahead(Purpose),
}

/// Why the work that begins a command leaves a file open with the session, if it does.
pub(crate) fn file_purpose(action: &Action) -> Option<Purpose> {
    match action {
        Action::Open { .. } | Action::Stage { resume: None, .. } => Some(Purpose::Transfer),
        Action::Stage { resume: Some(_), .. }
        | Action::Ask(Question::Sum { .. } | Question::Partial { .. }) => Some(Purpose::Digest),
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
        | Action::Abort => None,
    }
}

impl FileQueue {
    /// Gives the work back if it can be done at once, else keeps it for later.
    pub(crate) fn enter(
        &mut self,
        purpose: Purpose,
        session: Key,
        action: Action,
        now: Instant,
    ) -> (Standing, Option<Action>) {
        let line = self.line(purpose);
        if line.ahead < FILES_AHEAD_MAX && line.waiting.is_empty() {
            line.ahead += 1;
            return (Standing::Ahead(purpose), Some(action));
        }
        let stamp = line.next_stamp;
        line.next_stamp += 1;
        line.waiting.insert(stamp, Waiting { session, action, due: now + DATA_SLOT_TIMEOUT });
        (Standing::Waiting(purpose, stamp), None)
    }

    /// The session needs no file any more, or has a place for it.
    pub(crate) fn leave(&mut self, standing: Standing) {
        match standing {
            Standing::Apart => {}
            Standing::Waiting(purpose, stamp) => _ = self.line(purpose).waiting.remove(&stamp),
            Standing::Ahead(purpose) => self.line(purpose).ahead -= 1,
        }
    }

    /// The next who may go ahead, and with what.
    pub(crate) fn next_admitted(&mut self) -> Option<(Key, Standing, Action)> {
        [Purpose::Transfer, Purpose::Digest].into_iter().find_map(|purpose| {
            let line = self.line(purpose);
            if line.ahead >= FILES_AHEAD_MAX {
                return None;
            }
            let (_, Waiting { session, action, .. }) = line.waiting.pop_first()?;
            line.ahead += 1;
            Some((session, Standing::Ahead(purpose), action))
        })
    }

    /// Who has waited too long.
    pub(crate) fn next_expired(&mut self, now: Instant) -> Option<Key> {
        [&mut self.transfers, &mut self.digests].into_iter().find_map(|line| {
            let first = line.waiting.first_entry().filter(|first| first.get().due <= now)?;
            Some(first.remove().session)
        })
    }

    /// When [`FileQueue::next_expired`] has something at the earliest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let first = |line: &Line| line.waiting.first_key_value().map(|(_, waiting)| waiting.due);
        first(&self.transfers).into_iter().chain(first(&self.digests)).min()
    }

    fn line(&mut self, purpose: Purpose) -> &mut Line {
        match purpose {
            Purpose::Transfer => &mut self.transfers,
            Purpose::Digest => &mut self.digests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_ahead_and_the_others_come_in_order_or_wait_too_long() {
        let mut queue = FileQueue::default();
        let now = Instant::now();
        let transfer = Purpose::Transfer;
        let mut enter = |number: u64| queue.enter(transfer, Key::from_bits(number), Action::RequestData, now);
        for number in 0..FILES_AHEAD_MAX {
            assert_eq!(enter(number), (Standing::Ahead(transfer), Some(Action::RequestData)));
        }
        let (first, second) = (enter(1000).0, enter(1001).0);
        enter(1002);
        enter(1003);
        assert_eq!((first, second), (Standing::Waiting(transfer, 0), Standing::Waiting(transfer, 1)));
        let digest = queue.enter(Purpose::Digest, Key::from_bits(2000), Action::RequestData, now).0;
        assert_eq!(digest, Standing::Ahead(Purpose::Digest), "a line of its own");
        assert_eq!(queue.next_admitted(), None);
        queue.leave(second);
        queue.leave(Standing::Ahead(transfer));
        queue.leave(Standing::Ahead(transfer));
        let mut next = || queue.next_admitted().map(|(session, ..)| session);
        assert_eq!((next(), next(), next()), (Some(Key::from_bits(1000)), Some(Key::from_bits(1002)), None));
        assert_eq!(queue.next_expired(now), None);
        let due = queue.due().unwrap();
        assert_eq!(queue.next_expired(due), Some(Key::from_bits(1003)));
        assert_eq!(queue.due(), None);
    }
}
