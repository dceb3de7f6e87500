//! How the work sends listings over data connections, part by part: each is read when the one before it has been sent.

use super::Work;
use super::phase::{Listing, Phase};
use super::transfer::{SentListing, Transfer, TransferKind};
use crate::action::{Action, End, ListQuery, ListingPart};
use crate::answer::Answer;
use ferry_common::error::ErrorCode;
use std::time::Instant;

impl Work {
    /// The beginning of a listing is read: there is something to be told.
    pub(super) fn send_listing(&mut self, listing: &Listing, part: ListingPart, now: Instant) {
        let Some(via) = listing.via else { return };
        let ListingPart { text, entries, left_out, next } = part;
        let kind = TransferKind::Listing(SentListing {
            format: listing.format,
            via,
            entries,
            left_out,
            text,
            unsent_bytes: 0,
            next,
            is_read: false,
        });
        let transfer = Box::new(Transfer::new(listing.path.clone(), 0, kind, now));
        self.connect(transfer, now);
    }

    /// A later part has come, or the listing cannot go on.
    pub(super) fn handle_next_part(&mut self, part: Result<ListingPart, ErrorCode>, now: Instant) {
        let Phase::Moving(transfer) = &mut self.phase else { return };
        let Some(listing) = transfer.listing().filter(|listing| listing.is_read) else { return };
        match part {
            Ok(ListingPart { text, entries, left_out, next }) => {
                listing.is_read = false;
                listing.entries += entries;
                listing.left_out += left_out;
                listing.next = next;
                listing.text = text;
                self.send_part(now);
            }
            Err(code) => {
                self.close_data_line();
                self.fail(code, now);
            }
        }
    }

    pub(super) fn send_part(&mut self, now: Instant) {
        let Phase::Moving(transfer) = &mut self.phase else { return };
        let Some(listing) = transfer.listing() else { return };
        let text = std::mem::take(&mut listing.text);
        listing.unsent_bytes = text.len() as u64;
        if text.is_empty() {
            self.handle_part_sent(0, now);
        } else {
            self.act(Action::SendText(text));
        }
    }

    /// So much of a part is with the peer, or its socket at least.
    pub(super) fn handle_part_sent(&mut self, bytes: u64, now: Instant) {
        let Phase::Moving(transfer) = &mut self.phase else { return };
        let path = transfer.path.clone();
        let Some(listing) = transfer.listing() else { return };
        listing.unsent_bytes = listing.unsent_bytes.saturating_sub(bytes);
        if listing.unsent_bytes > 0 || listing.is_read {
            return;
        }
        let (entries, left_out) = (listing.entries, listing.left_out);
        match listing.next.take() {
            Some(cursor) => {
                listing.is_read = true;
                let query = ListQuery { path, cursor: Some(cursor), format: listing.format };
                self.since = now;
                self.act(Action::List(query));
            }
            None => {
                self.end_data_line(End::Clean);
                self.phase.take_transfer();
                self.finish(Answer::Listed { entries, left_out }, now);
            }
        }
    }
}
