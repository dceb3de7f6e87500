//! Sessions that need a file opened before they have a place for a data connection, which brings a
//! descriptor for a file with it. Only so many are let ahead; the others wait with nothing open, each for the turn of its
//! address. Sessions that want a digest stand in a line of their own, since that may take as long as the file is large.

use crate::admission::lines::Lines;
use crate::limits::FILES_AHEAD_MAX;
use crate::net::address::Address;
use crate::net::slots::Key;
use ferry_common::limits::DATA_SLOT_TIMEOUT;
use ferry_session::action::{Action, Beginning, Query};
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct FileQueue {
    transfers: Queue,
    digests: Queue,
}

/// What a session stands in line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Transfer,
    Digest,
}

#[derive(Debug)]
struct Queue {
    /// Sessions that hold, or are about to hold, a file, in the order in which they came to that.
    ahead: BTreeMap<u64, (Address, Key)>,
    next_ahead: u64,
    waiting: Lines<(Key, Action)>,
    /// When each of those has waited too long, by its stamp.
    dues: BTreeMap<u64, (Instant, Address)>,
}

/// Whether a session may have a file open though it has no place for a data connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileTurn {
    /// The session needs no file, or has a place for it.
    #[default]
    NotQueued,
    /// The session's stamp in the line.
    Waiting(Purpose, u64),
    /// The session's number among those ahead.
    Admitted(Purpose, u64),
}

/// Why the work that begins a command leaves a file open with the session, if it does.
pub(crate) fn file_purpose(action: &Action) -> Option<Purpose> {
    match action {
        Action::Open { .. } | Action::Stage { beginning: Beginning::Empty, .. } => Some(Purpose::Transfer),
        // What is there already is read before the rest comes.
        Action::Stage {
            beginning: Beginning::Kept(_) | Beginning::Unconfirmed { .. } | Beginning::Published,
            ..
        }
        | Action::Query(Query::Sum { .. } | Query::Partial { .. }) => Some(Purpose::Digest),
        Action::Query(Query::Stat { .. } | Query::Df { .. })
        | Action::Change(_)
        | Action::Reply(_)
        | Action::Log(_)
        | Action::List(_)
        | Action::Survey(_)
        | Action::RequestData(_)
        | Action::CancelData
        | Action::CloseData(_)
        | Action::Send { .. }
        | Action::Check { .. }
        | Action::Receive { .. }
        | Action::Drop { .. }
        | Action::SendText(_)
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
        address: Address,
        session: Key,
        action: Action,
        now: Instant,
    ) -> (FileTurn, Option<Action>) {
        let queue = self.queue(purpose);
        if queue.has_room() && queue.waiting.is_empty() {
            return (FileTurn::Admitted(purpose, queue.let_ahead(address, session)), Some(action));
        }
        let stamp = queue.waiting.push_last(address, (session, action));
        queue.dues.insert(stamp, (now + DATA_SLOT_TIMEOUT, address));
        (FileTurn::Waiting(purpose, stamp), None)
    }

    /// The session at `address` needs no file any more, or has a place for it.
    pub(crate) fn leave(&mut self, address: Address, file_turn: FileTurn) {
        match file_turn {
            FileTurn::NotQueued => {}
            FileTurn::Waiting(purpose, stamp) => {
                let queue = self.queue(purpose);
                queue.waiting.remove(address, stamp);
                queue.dues.remove(&stamp);
            }
            FileTurn::Admitted(purpose, number) => {
                let queue = self.queue(purpose);
                if queue.ahead.remove(&number).is_some() {
                    queue.waiting.release(address);
                }
            }
        }
    }

    /// The next session that may go ahead, and with what.
    pub(crate) fn next_admitted(&mut self) -> Option<(Key, FileTurn, Action)> {
        [Purpose::Transfer, Purpose::Digest].into_iter().find_map(|purpose| {
            let queue = self.queue(purpose);
            if !queue.has_room() {
                return None;
            }
            let (address, stamp, (session, action)) = queue.waiting.pop()?;
            queue.dues.remove(&stamp);
            Some((session, FileTurn::Admitted(purpose, queue.let_ahead(address, session)), action))
        })
    }

    /// The session that must do without its file for one of an address that has fewer: of those ahead, the newest of the
    /// address that has the most. It is to leave.
    pub(crate) fn to_give_way(&self) -> Option<Key> {
        [&self.transfers, &self.digests].into_iter().find_map(|queue| {
            let heaviest = queue.waiting.heavier_than_next().filter(|_| !queue.has_room())?;
            let mut ahead = queue.ahead.values().rev();
            ahead.find(|(address, _)| *address == heaviest).map(|(_, session)| *session)
        })
    }

    /// A session that has waited too long.
    pub(crate) fn next_expired(&mut self, now: Instant) -> Option<Key> {
        [&mut self.transfers, &mut self.digests].into_iter().find_map(|queue| {
            let first = queue.dues.first_entry().filter(|first| first.get().0 <= now)?;
            let (stamp, (_, address)) = first.remove_entry();
            queue.waiting.remove(address, stamp).map(|(session, _)| session)
        })
    }

    /// When [`FileQueue::next_expired`] has something at the earliest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let first = |queue: &Queue| queue.dues.first_key_value().map(|(_, (due, _))| *due);
        first(&self.transfers).into_iter().chain(first(&self.digests)).min()
    }

    fn queue(&mut self, purpose: Purpose) -> &mut Queue {
        match purpose {
            Purpose::Transfer => &mut self.transfers,
            Purpose::Digest => &mut self.digests,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { ahead: BTreeMap::new(), next_ahead: 0, waiting: Lines::new(), dues: BTreeMap::new() }
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.ahead.len() < FILES_AHEAD_MAX
    }

    fn let_ahead(&mut self, address: Address, session: Key) -> u64 {
        let number = self.next_ahead;
        self.next_ahead += 1;
        self.ahead.insert(number, (address, session));
        self.waiting.take(address);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_session::action::Way;

    const TRANSFER: Purpose = Purpose::Transfer;

    fn host(number: u8) -> Address {
        Address::V4([127, 0, 0, number])
    }

    fn key(number: u64) -> Key {
        Key::from_bits(number)
    }

    /// A queue that one address has filled.
    fn full(now: Instant) -> FileQueue {
        let mut queue = FileQueue::default();
        for number in 0..FILES_AHEAD_MAX as u64 {
            let entered = queue.enter(TRANSFER, host(1), key(number), Action::RequestData(Way::Ticket), now);
            assert_eq!(
                entered,
                (FileTurn::Admitted(TRANSFER, number), Some(Action::RequestData(Way::Ticket)))
            );
        }
        queue
    }

    #[test]
    fn so_many_are_ahead_and_the_others_come_in_order_or_wait_too_long() {
        let now = Instant::now();
        let mut queue = full(now);
        let file_turns: Vec<FileTurn> = (1000..1004)
            .map(|number| {
                queue.enter(TRANSFER, host(1), key(number), Action::RequestData(Way::Ticket), now).0
            })
            .collect();
        let digest =
            queue.enter(Purpose::Digest, host(1), key(2000), Action::RequestData(Way::Ticket), now).0;
        assert_eq!(digest, FileTurn::Admitted(Purpose::Digest, 0), "a line of its own");
        assert_eq!(queue.next_admitted(), None);
        queue.leave(host(1), file_turns[1]);
        queue.leave(host(1), FileTurn::Admitted(TRANSFER, 3));
        queue.leave(host(1), FileTurn::Admitted(TRANSFER, 3));
        queue.leave(host(1), FileTurn::Admitted(TRANSFER, 4));
        let mut next = || queue.next_admitted().map(|(session, ..)| session);
        assert_eq!((next(), next(), next()), (Some(key(1000)), Some(key(1002)), None));
        assert_eq!(queue.next_expired(now), None);
        let due = queue.due().unwrap();
        assert_eq!(queue.next_expired(due), Some(key(1003)));
        assert_eq!(queue.due(), None);
    }

    #[test]
    fn the_newest_of_the_address_with_the_most_gives_way_to_another_address() {
        let now = Instant::now();
        let mut queue = full(now);
        queue.enter(TRANSFER, host(1), key(1000), Action::RequestData(Way::Ticket), now);
        assert_eq!(queue.to_give_way(), None, "it has the most itself");
        queue.enter(TRANSFER, host(2), key(1001), Action::RequestData(Way::Ticket), now);
        let newest = FILES_AHEAD_MAX as u64 - 1;
        assert_eq!(queue.to_give_way(), Some(key(newest)));
        queue.leave(host(1), FileTurn::Admitted(TRANSFER, newest));
        assert_eq!(queue.to_give_way(), None);
        assert_eq!(queue.next_admitted().map(|(session, ..)| session), Some(key(1001)));
    }
}
