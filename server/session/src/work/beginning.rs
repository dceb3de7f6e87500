//! How the work begins what is asked of it, and what each request asks of the shell first.

use super::Work;
use super::phase::{Listing, Phase};
use crate::access::Need;
use crate::action::{Action, Beginning, Change, Event, Length, ListQuery};
use crate::answer::{Answer, Subject};
use crate::entry_format::EntryFormat;
use crate::request::{Request, UploadSpec, Via};
use ferry_common::error::ErrorCode;
use ferry_common::limits::PUBLISHING_MAX;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Resume;
use std::borrow::Borrow;
use std::time::Instant;

impl Work {
    /// Only a small upload may begin while others wait for the disk. Anything else could see that they do, or needs an
    /// answer before it can go on.
    pub(crate) fn admits(&self, request: &Request) -> bool {
        self.owed.publishing() == 0
            || match request {
                Request::Upload { spec, .. } => {
                    spec.is_eager && self.owed.admits_upload() && self.owed.publishing() < PUBLISHING_MAX
                }
                Request::List { .. }
                | Request::Offer { .. }
                | Request::DropOffer
                | Request::Survey { .. }
                | Request::Query(_)
                | Request::Change(_)
                | Request::Download { .. } => false,
            }
    }

    /// Begins a request that the work [admits](Work::admits), between commands.
    pub(crate) fn begin(&mut self, request: Request, now: Instant) {
        self.command = request.name();
        self.log(Event::Received { command: self.command });
        match request {
            Request::List { path, format, via } => self.list(&path, format, via, now),
            Request::Offer { way } => self.offer(way, now),
            Request::DropOffer => self.drop_offer(now),
            Request::Survey { format } => self.survey(format, now),
            Request::Query(query) => match query.cleared(&self.access) {
                Ok(query) => {
                    self.enter(Phase::Asking(query.clone()), now);
                    self.act(Action::Query(query));
                }
                Err(code) => self.refuse(query.path(), code, now),
            },
            Request::Change(change) => {
                let cleared = change.cleared(&self.access);
                match cleared.and_then(|cleared| refuse_root(&cleared).map_or(Ok(cleared), Err)) {
                    Ok(change) => {
                        self.enter(Phase::Changing(change.clone()), now);
                        self.act(Action::Change(change));
                    }
                    Err(code) => self.refuse_change(&change, code, now),
                }
            }
            Request::Download { path, spec } => match self.access.clear(Need::Read, &path) {
                Ok(path) => {
                    self.enter(Phase::Opening { path: path.clone(), spec }, now);
                    self.act(Action::Open { path });
                }
                Err(code) => {
                    self.drop_line_of(spec.via);
                    self.refuse(&path, code, now);
                }
            },
            Request::Upload { path, spec } => self.begin_upload(&path, spec, now),
        }
    }

    fn list(&mut self, path: &RemotePath, format: EntryFormat, via: Option<Via>, now: Instant) {
        match self.access.clear(Need::List, path) {
            Ok(path) => {
                let listing =
                    Listing { path: path.clone(), format, via, entries: 0, left_out: 0, paused_at: None };
                self.enter(Phase::Listing(listing), now);
                self.act(Action::List(ListQuery { path, cursor: None, format }));
            }
            Err(code) => self.refuse(path, code, now),
        }
    }

    fn begin_upload(&mut self, path: &RemotePath, mut spec: UploadSpec, now: Instant) {
        spec.new |= !self.access.allows(Need::Replace);
        let UploadSpec { size, new, conditions, beginning, .. } = spec;
        let is_beyond = match (size, beginning) {
            (
                Length::Exact(size_bytes),
                Beginning::Kept(Resume { offset, .. }) | Beginning::Unconfirmed { offset },
            ) => offset > size_bytes,
            (Length::Exact(_), Beginning::Empty | Beginning::Published) | (Length::UntilClose, _) => false,
        };
        let cleared = self.access.clear(Need::Create, path).and_then(|cleared| {
            if cleared.is_root() {
                Err(ErrorCode::IsDirectory)
            } else if spec.needs_client && self.is_client_gone {
                Err(ErrorCode::BrokenOff)
            } else if is_beyond {
                Err(ErrorCode::BadOffset)
            } else {
                Ok(cleared)
            }
        });
        match cleared {
            Ok(path) => {
                self.enter(Phase::Staging { path: path.clone(), spec }, now);
                self.act(Action::Stage { path, size, new, conditions, beginning });
            }
            Err(code) => self.refuse_upload(path, &spec, code, now),
        }
    }

    pub(super) fn refuse_change<P: Borrow<RemotePath>>(
        &mut self,
        change: &Change<P>,
        code: ErrorCode,
        now: Instant,
    ) {
        let path = change.path().borrow().clone();
        let subject = match change {
            Change::Mv { from, to, .. } => {
                Subject::Rename { from: from.borrow().clone(), to: to.borrow().clone() }
            }
            Change::Mkdir { .. } | Change::Rm { .. } | Change::Mtime { .. } | Change::Chmod { .. } => {
                Subject::Path(path.clone())
            }
        };
        self.answer(Answer::Refused { code, subject });
        self.log_refusal(code, path);
        self.enter(Phase::Ready, now);
    }
}

/// The served folder itself is there, and stays.
fn refuse_root(change: &Change) -> Option<ErrorCode> {
    match change {
        Change::Mkdir { path, .. } => path.is_root().then_some(ErrorCode::Exists),
        Change::Rm { path, .. } => path.is_root().then_some(ErrorCode::BadPath),
        Change::Mv { from, to, .. } => (from.is_root() || to.is_root()).then_some(ErrorCode::BadPath),
        Change::Mtime { .. } | Change::Chmod { .. } => None,
    }
}
