//! The reactor's work where one address has too much: ending sessions, transfers and commands of it for those of others.

use super::Reactor;
use crate::admission::giving_way::GivingWay;
use crate::connection::control::Control;
use crate::limits::{GIVING_WAY_MAX, GIVING_WAY_MIN_AGE, TURN_STEP_TIME};
use crate::net::address::Address;
use crate::net::slots::{Key, Slots};
use ferry_session::fact::Fact;
use ferry_session::fact::Scarcity;
use std::time::Instant;

impl Reactor {
    /// Ends a session of the address that has the most for one from `newcomer`, if that has fewer. True where there is
    /// room then.
    pub(super) fn have_session_give_way(&mut self, newcomer: Address, now: Instant) -> bool {
        let Some(heaviest) = self.roster.too_heavy(newcomer) else { return false };
        let Self { sessions_giving_way, controls, .. } = self;
        let is_eligible = |control: &Control| control.is_counted && control.may_give_way(heaviest, now);
        let Some(key) = next_to_give_way(sessions_giving_way, controls, now, is_eligible) else {
            return false;
        };
        if let Some(control) = self.controls.get_mut(key) {
            control.session.handle(Fact::CrowdedOut(Scarcity::Sessions), now);
            self.drive(key, now);
        }
        // One whose peer does not read cannot be told.
        if let Some(control) = self.controls.get_mut(key).filter(|control| control.is_open()) {
            control.abort();
            self.drive(key, now);
        }
        !self.roster.is_full()
    }

    /// Ends a transfer of an address that has more of them than one whose sessions wait; tells whether there was one to
    /// end.
    pub(super) fn have_transfer_give_way(&mut self, now: Instant) -> bool {
        let Some(heaviest) = self.data_slots.too_heavy() else {
            self.transfers_giving_way.settle();
            return false;
        };
        let Self { transfers_giving_way, controls, .. } = self;
        let is_eligible = |control: &Control| control.data.has_place() && control.may_give_way(heaviest, now);
        let Some(key) = next_to_give_way(transfers_giving_way, controls, now, is_eligible) else {
            return false;
        };
        self.have_command_give_way(key, now);
        true
    }

    /// Ends commands of an address that has more files open ahead of its data connections than one whose sessions wait to
    /// open theirs.
    pub(super) fn have_files_give_way(&mut self, now: Instant) {
        let mut left = GIVING_WAY_MAX;
        self.step(TURN_STEP_TIME, |reactor| {
            let Some(key) = reactor.file_queue.to_give_way().filter(|_| left > 0) else { return false };
            left -= 1;
            reactor.have_command_give_way(key, now);
            true
        });
    }

    fn have_command_give_way(&mut self, key: Key, now: Instant) {
        if let Some(control) = self.controls.get_mut(key) {
            control.session.handle(Fact::GiveWay, now);
            self.drive(key, now);
        }
    }
}

/// The session that makes the least of what it has, of those that are eligible.
fn next_to_give_way(
    giving_way: &mut GivingWay,
    controls: &Slots<Control>,
    now: Instant,
    is_eligible: impl Fn(&Control) -> bool,
) -> Option<Key> {
    loop {
        if let Some(key) = giving_way.pop(now) {
            if controls.get(key).is_some_and(&is_eligible) {
                return Some(key);
            }
        } else if giving_way.may_look(now) {
            let eligible = controls.entries().filter(|(_, control)| is_eligible(control));
            giving_way.refill(now, eligible.map(|(key, control)| (control.session.activity(now), key)));
        } else {
            return None;
        }
    }
}

impl Control {
    /// True for a session at `address` that is idle, or has had its time to show what it makes of what it has.
    fn may_give_way(&self, address: Address, now: Instant) -> bool {
        if !self.is_open() || Address::from(self.socket.peer()) != address {
            return false;
        }
        let activity = self.session.activity(now);
        !activity.is_working || now >= activity.since + GIVING_WAY_MIN_AGE
    }
}
