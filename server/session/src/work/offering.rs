//! How the work has a data connection come about ahead of the request that uses it.

use super::Work;
use super::phase::Phase;
use crate::action::{End, Way};
use crate::answer::{Answer, Subject};
use crate::request::Via;
use ferry_common::error::ErrorCode;
use std::net::SocketAddr;
use std::time::Instant;

impl Work {
    pub(super) fn offer(&mut self, way: Way, now: Instant) {
        self.end_data_line(End::Clean);
        self.enter(Phase::Offering, now);
        self.want_data(way);
    }

    pub(super) fn want_data(&mut self, way: Way) {
        if let Some(action) = self.data_line.want(way) {
            self.act(action);
        }
    }

    pub(super) fn drop_offer(&mut self, now: Instant) {
        self.end_data_line(End::Clean);
        self.finish(Answer::Done, now);
    }

    pub(crate) fn handle_listening(&mut self, address: SocketAddr, now: Instant) {
        if matches!(self.phase, Phase::Offering) && self.data_line.offer() {
            self.finish(Answer::Listening(address), now);
        }
    }

    /// There is room for a connection to the client, which is being made.
    pub(crate) fn handle_connecting(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Offering) && self.data_line.offer() {
            self.finish(Answer::Done, now);
        }
    }

    pub(crate) fn handle_unreachable(&mut self, now: Instant) {
        if !self.data_line.handle_unreachable() {
            return;
        }
        match self.phase {
            Phase::Offering => self.refuse_offer(ErrorCode::Io, now),
            Phase::Connecting(_) => self.break_off(ErrorCode::TimedOut, now),
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Surveying(_)
            | Phase::Asking(_)
            | Phase::Changing(_)
            | Phase::Opening { .. }
            | Phase::Staging { .. }
            | Phase::Moving(_)
            | Phase::Checking(_)
            | Phase::Dropping { .. }
            | Phase::Closed => {}
        }
    }

    /// A request is refused whose data connection was for it alone, whether that has come yet or not.
    pub(super) fn drop_line_of(&mut self, via: Via) {
        match via {
            Via::Kept => {}
            Via::Ahead => self.end_data_line(End::Clean),
        }
    }

    pub(super) fn refuse_offer(&mut self, code: ErrorCode, now: Instant) {
        self.finish(Answer::Refused { code, subject: Subject::DataConnection }, now);
    }
}
