//! How the work answers what was asked about names and digests, and goes on with its listings.

use super::Work;
use super::phase::Phase;
use crate::action::{Action, Event, Found, ListQuery, ListingPart, Query};
use crate::answer::Answer;
use ferry_common::error::ErrorCode;
use ferry_common::limits::OUTBOX_PAUSE_BYTES;
use std::time::Instant;

impl Work {
    pub(crate) fn handle_listing(&mut self, part: Result<ListingPart, ErrorCode>, now: Instant) {
        let Phase::Listing(listing) = &mut self.phase else { return self.handle_next_part(part, now) };
        match part {
            Err(code) => {
                let (path, via) = (listing.path.clone(), listing.via);
                via.into_iter().for_each(|via| self.drop_line_of(via));
                self.refuse(&path, code, now);
            }
            Ok(part) if listing.via.is_some() => {
                let Phase::Listing(listing) = self.phase.take() else { return };
                self.send_listing(&listing, part, now);
            }
            Ok(part) => {
                listing.entries += part.entries;
                listing.left_out += part.left_out;
                listing.paused_at = part.next;
                let finished = part.next.is_none().then_some((listing.entries, listing.left_out));
                let has_text = !part.text.is_empty();
                if has_text {
                    self.answer(Answer::Entries(part.text));
                }
                match finished {
                    Some((entries, left_out)) => self.finish(Answer::Listed { entries, left_out }, now),
                    // Where there is text, it must be known first how much of it the client has still to read.
                    None if has_text => {}
                    None => self.resume_listing(now),
                }
            }
        }
    }

    /// Asks for the next part of a listing, unless too much of it waits to be read.
    pub(super) fn resume_listing(&mut self, now: Instant) {
        if self.unwritten_bytes < OUTBOX_PAUSE_BYTES
            && let Phase::Listing(listing) = &mut self.phase
            && let Some(cursor) = listing.paused_at.take()
        {
            let (path, format) = (listing.path.clone(), listing.format);
            self.since = now;
            self.act(Action::List(ListQuery { path, cursor: Some(cursor), format }));
        }
    }

    pub(crate) fn handle_found(&mut self, found: Result<Found, ErrorCode>, now: Instant) {
        let Phase::Asking(query) = &self.phase else { return };
        match found {
            Ok(Found::Entry(entry)) => self.finish(Answer::Entry(entry), now),
            Ok(Found::Digest { length, digest }) => {
                let is_kept = matches!(query, Query::Partial { .. });
                let answer =
                    if is_kept { Answer::Partial { length, digest } } else { Answer::Sum { length, digest } };
                self.finish(answer, now);
            }
            Ok(Found::Space { free_bytes, total_bytes }) => {
                self.finish(Answer::Space { free_bytes, total_bytes }, now);
            }
            Err(code) => {
                let path = query.path().clone();
                self.refuse(&path, code, now);
            }
        }
    }

    pub(crate) fn handle_changed(&mut self, changed: Result<(), ErrorCode>, now: Instant) {
        let Phase::Changing(change) = &self.phase else { return };
        let change = change.clone();
        match changed {
            Ok(()) => {
                self.log(Event::Changed(change));
                self.finish(Answer::Done, now);
            }
            Err(code) => self.refuse_change(&change, code, now),
        }
    }

    pub(crate) fn handle_no_room(&mut self, now: Instant) {
        match self.phase {
            Phase::Asking(_) => self.handle_found(Err(ErrorCode::Busy), now),
            Phase::Changing(_) => self.handle_changed(Err(ErrorCode::Busy), now),
            Phase::Opening { .. } => self.handle_opened(Err(ErrorCode::Busy), now),
            Phase::Staging { .. } => self.handle_staged(Err(ErrorCode::Busy), now),
            Phase::Ready
            | Phase::Listing(_)
            | Phase::Offering
            | Phase::Surveying(_)
            | Phase::Connecting(_)
            | Phase::Moving(_)
            | Phase::Checking(_)
            | Phase::Dropping { .. }
            | Phase::Closed => {}
        }
    }
}
