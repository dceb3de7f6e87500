//! The server's shell: performs what the session asks for, one small step at a time.

use super::Pair;
use super::store::Store;
use ferry_common::error::ErrorCode;
use ferry_common::limits::{PUBLISHING_MAX, TICKET_SECRET_BYTES, TRAILER_BYTES};
use ferry_common::wire::command::Conditions;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::session_entry::{SessionEntry, SessionTotals};
use ferry_common::wire::ticket::Ticket;
use ferry_session::access::Cleared;
use ferry_session::action::{
    Action, Beginning, Change, End, Event, Length, ListQuery, Publication, Query, SurveyPart, SurveyQuery,
    Way,
};
use ferry_session::dialect::Dialect;
use ferry_session::fact::Fact;
use ferry_session::limits::TURN_LINES;
use ferry_session::outbox::Outbox;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct ServerShell {
    pub(crate) store: Store,
    /// The sessions that `who` tells of.
    pub(crate) crowd: Vec<SessionEntry>,
    pub(crate) outbox: Outbox,
    pub(crate) jobs: VecDeque<Job>,
    /// Files that wait for their names, in the order of their uploads.
    pub(crate) publications: VecDeque<(Publication, Vec<u8>)>,
    pub(crate) most_publications: usize,
    /// While true, no file gets its name.
    pub(crate) commits_stall: bool,
    /// While true, no disk answers and no ticket is given out.
    pub(crate) disk_stalls: bool,
    pub(crate) ticket: Option<Ticket>,
    tickets_issued: u8,
    /// The data connection of the session.
    pub(crate) link: Option<usize>,
    open: Option<Vec<u8>>,
    pub(crate) staged: Option<Staged>,
    movement: Option<Movement>,
    /// What has come of the digest behind an upload.
    trailer: Vec<u8>,
    closing: bool,
    pub(crate) closed: bool,
    pub(crate) aborted: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) most_outbox_bytes: usize,
}

/// The file of an upload that is being received.
#[derive(Debug)]
pub(crate) struct Staged {
    path: Cleared,
    size: Length,
    content: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Job {
    List(ListQuery),
    Survey(SurveyQuery),
    Query(Query),
    Change(Change),
    Open { path: Cleared },
    Stage { path: Cleared, size: Length, new: bool, conditions: Conditions, beginning: Beginning },
    Check { digest: bool },
    Ticket,
}

/// What the data connection is to carry now.
#[derive(Debug, Clone, Copy)]
enum Movement {
    Send { offset: usize, left: usize },
    Receive { left: Length, trailer: bool },
    Trailer,
    Drop { left: usize },
}

impl ServerShell {
    /// A command is over: its session is not told what comes of its jobs.
    fn forget_jobs(&mut self) {
        self.jobs.retain(|job| matches!(job, Job::Ticket));
    }
}

impl<D: Dialect> Pair<D> {
    pub(crate) fn server_reads(&mut self, most: usize) -> bool {
        if self.session.is_paused() {
            self.session.handle(Fact::Turn { lines: TURN_LINES }, self.now);
            self.perform();
            return true;
        }
        if self.server.closed || !self.session.wants_input() {
            return false;
        }
        let bytes = self.wire.read_commands(most);
        if bytes.is_empty() && !self.wire.commands_at_end() {
            return false;
        }
        if bytes.is_empty() {
            self.session.handle(Fact::EndOfInput, self.now);
        } else {
            self.session.handle(Fact::Input(&bytes), self.now);
        }
        self.perform();
        true
    }

    pub(crate) fn server_writes(&mut self, most: usize) -> bool {
        if self.client.reads_nothing {
            return false;
        }
        let mut count = 0;
        while count < most && !self.server.outbox.is_empty() {
            let front = self.server.outbox.front();
            let part = front.len().min(most - count);
            self.wire.write_replies(&front[..part]);
            self.server.outbox.consume(part);
            count += part;
        }
        if count == 0 {
            return false;
        }
        self.session.handle(Fact::RepliesWritten(count), self.now);
        self.perform();
        true
    }

    /// The disk finishes its oldest job.
    pub(crate) fn server_disk(&mut self) -> bool {
        if self.server.disk_stalls || self.server.closed {
            return false;
        }
        let Some(job) = self.server.jobs.pop_front() else { return false };
        if matches!(job, Job::Ticket) {
            self.issue_ticket();
        } else {
            let fault = self.server.store.faults.job.take();
            self.finish_job(job, fault);
        }
        self.perform();
        true
    }

    fn finish_job(&mut self, job: Job, fault: Option<ErrorCode>) {
        let (server, now) = (&mut self.server, self.now);
        let fails = fault.map_or(Ok(()), Err);
        match job {
            Job::List(query) => {
                self.session.handle(Fact::Listed(fails.and_then(|()| server.store.list(&query))), now);
            }
            Job::Survey(query) => self.session.handle(Fact::Surveyed(survey(&server.crowd, query)), now),
            Job::Query(query) => {
                self.session.handle(Fact::Found(fails.and_then(|()| server.store.answer(&query))), now);
            }
            Job::Change(change) => {
                self.session.handle(Fact::Changed(fails.and_then(|()| server.store.change(&change))), now);
            }
            Job::Check { digest } => {
                let changed = server.store.faults.changed.take().map_or(fails, Err);
                let content = server.open.as_ref().expect("checks only what is open");
                let checked = changed.map(|()| digest.then(|| Digest::of(content)));
                self.session.handle(Fact::Checked(checked), now);
            }
            Job::Open { path } => {
                let opened = fails.and_then(|()| server.store.open(&path)).map(|(opened, content)| {
                    server.open = Some(content);
                    opened
                });
                self.session.handle(Fact::Opened(opened), now);
            }
            Job::Stage { path, size, new, conditions, beginning } => {
                assert!(server.staged.is_none(), "one file is received at a time");
                let staged = fails.and_then(|()| server.store.stage(&path, (new, conditions), beginning));
                let offset = staged.map(|content| {
                    let offset = content.len() as u64;
                    server.staged = Some(Staged { path, size, content });
                    offset
                });
                self.session.handle(Fact::Staged(offset), now);
            }
            Job::Ticket => unreachable!("handled by the caller"),
        }
    }

    /// The disk gives names to the oldest files that wait for theirs.
    pub(crate) fn server_commits(&mut self, most: usize) -> bool {
        let count = self.server.publications.len().min(most);
        (0..count).map(|_| self.commit_at(0)).fold(false, |some, done| some | done)
    }

    /// The disk gives a name to one of the files that wait: those of different file systems do not wait for
    /// each other.
    pub(crate) fn commit_at(&mut self, place: usize) -> bool {
        let server = &mut self.server;
        if server.disk_stalls || server.commits_stall || server.closed {
            return false;
        }
        let Some((publication, content)) = server.publications.remove(place) else { return false };
        let published = match server.store.faults.publish.take() {
            Some(code) => Err(code),
            None => server.store.publish(&publication, content),
        };
        self.session.handle(Fact::Published { id: publication.id, result: published }, self.now);
        self.perform();
        true
    }

    fn issue_ticket(&mut self) {
        self.server.tickets_issued += 1;
        let ticket = Ticket::new(7, [self.server.tickets_issued; TICKET_SECRET_BYTES]);
        self.session.handle(Fact::Ticket(ticket.clone()), self.now);
        self.server.ticket = Some(ticket);
    }

    /// Reads ticket lines; the right one attaches, any other closes.
    pub(crate) fn server_accepts(&mut self) -> bool {
        for link in 0..self.wire.links.len() {
            let accepted = &self.wire.links[link];
            if accepted.server_gone || accepted.ticket_line.ends_with(b"\n") {
                continue;
            }
            let byte = self.wire.read_up(link, 1);
            self.wire.links[link].ticket_line.extend(&byte);
            let line = &self.wire.links[link].ticket_line;
            if let Some(text) = line.strip_suffix(b"\n") {
                let presented = Ticket::parse(text);
                let right =
                    self.server.ticket.take_if(|ticket| presented.is_some_and(|it| ticket.matches(&it)));
                if right.is_some() {
                    self.server.link = Some(link);
                    self.session.handle(Fact::DataAttached, self.now);
                    self.perform();
                } else {
                    self.wire.links[link].server_gone = true;
                }
            }
            if !byte.is_empty() {
                return true;
            }
        }
        false
    }

    pub(crate) fn server_moves(&mut self, most: usize) -> bool {
        let (Some(link), Some(movement)) = (self.server.link, self.server.movement) else {
            return self.server_notices_loss();
        };
        match movement {
            Movement::Send { .. } if self.wire.links[link].client_gone => return self.server_loses_data(),
            Movement::Send { offset, left } => self.send(link, offset, left, most),
            Movement::Receive { left, trailer } => {
                let allowed = self.server.store.faults.write_fails_after.unwrap_or(usize::MAX);
                let left_bytes = match left {
                    Length::Exact(bytes) => usize::try_from(bytes).unwrap(),
                    Length::UntilClose => usize::MAX,
                };
                let bytes = self.wire.read_up(link, left_bytes.min(most).min(allowed.max(1)));
                if bytes.is_empty() {
                    return self.wire.up_at_end(link) && self.server_loses_data();
                }
                self.receive(&bytes, left, trailer);
            }
            Movement::Trailer => {
                let left = TRAILER_BYTES - self.server.trailer.len();
                let bytes = self.wire.read_up(link, left.min(most));
                if bytes.is_empty() {
                    return self.wire.up_at_end(link) && self.server_loses_data();
                }
                self.receive_trailer(&bytes);
            }
            Movement::Drop { left } => {
                let count = self.wire.read_up(link, left.min(most)).len();
                if count == 0 {
                    return self.wire.up_at_end(link) && self.server_loses_data();
                }
                self.server.movement = (left > count).then_some(Movement::Drop { left: left - count });
                self.session.handle(Fact::Moved { bytes: count as u64 }, self.now);
            }
        }
        self.perform();
        true
    }

    /// As the server's shell does it when it needs room: closes a data connection on which nothing moves.
    pub(crate) fn server_evicts(&mut self) -> bool {
        match self.server.link {
            Some(link) if self.server.movement.is_none() => {
                self.wire.links[link].server_gone = true;
                self.server_loses_data()
            }
            Some(_) | None => false,
        }
    }

    /// Another address wants what the session has.
    pub(crate) fn server_gives_way(&mut self) {
        if !self.server.closed {
            self.session.handle(Fact::GiveWay, self.now);
            self.perform();
        }
    }

    fn send(&mut self, link: usize, offset: usize, left: usize, most: usize) {
        let server = &mut self.server;
        let content = server.open.as_deref().expect("sent only what is open");
        let end = content.len().min(server.store.faults.shrink_to.unwrap_or(usize::MAX));
        let count = left.min(most).min(end.saturating_sub(offset));
        if count == 0 {
            server.store.faults.shrink_to = None;
            server.movement = None;
            self.session.handle(Fact::SendFailed(ErrorCode::Changed), self.now);
            return;
        }
        self.wire.write_down(link, &content[offset..offset + count]);
        server.movement =
            (left > count).then_some(Movement::Send { offset: offset + count, left: left - count });
        self.session.handle(Fact::Moved { bytes: count as u64 }, self.now);
    }

    fn receive_trailer(&mut self, bytes: &[u8]) {
        let server = &mut self.server;
        server.trailer.extend(bytes);
        if server.trailer.len() == TRAILER_BYTES {
            let line = std::mem::take(&mut server.trailer);
            server.movement = None;
            self.session.handle(Fact::Trailer(line.strip_suffix(b"\n").and_then(Digest::parse)), self.now);
        }
    }

    fn receive(&mut self, bytes: &[u8], left: Length, trailer: bool) {
        let server = &mut self.server;
        let left = match left {
            Length::Exact(left) => Length::Exact(left - bytes.len() as u64),
            Length::UntilClose => Length::UntilClose,
        };
        let unread = match left {
            Length::Exact(left) => left + if trailer { TRAILER_BYTES as u64 } else { 0 },
            Length::UntilClose => 0,
        };
        if let Some(allowed) = server.store.faults.write_fails_after {
            if allowed <= bytes.len() {
                server.store.faults.write_fails_after = None;
                server.movement = None;
                return self.session.handle(
                    Fact::ReceiveFailed { code: ErrorCode::NoSpace, unread_bytes: unread },
                    self.now,
                );
            }
            server.store.faults.write_fails_after = Some(allowed - bytes.len());
        }
        server.staged.as_mut().expect("received only what is staged").content.extend(bytes);
        server.movement = match (left, trailer) {
            (Length::Exact(0), true) => Some(Movement::Trailer),
            (Length::Exact(0), false) => None,
            (left, trailer) => Some(Movement::Receive { left, trailer }),
        };
        let bytes = bytes.len() as u64;
        self.session.handle(Fact::Arrived { bytes }, self.now);
        self.session.handle(Fact::Moved { bytes }, self.now);
    }

    fn server_notices_loss(&mut self) -> bool {
        self.server.link.is_some_and(|link| self.wire.up_at_end(link)) && self.server_loses_data()
    }

    fn server_loses_data(&mut self) -> bool {
        let link = self.server.link.take().expect("lost only what is attached");
        self.wire.links[link].server_gone = true;
        self.server.movement = None;
        self.server.trailer.clear();
        let end = if self.wire.links[link].is_torn { End::Torn } else { End::Clean };
        self.session.handle(Fact::DataEnded(end), self.now);
        self.perform();
        true
    }

    /// A file is being received.
    pub(crate) fn uploads_are_under_way(&self) -> bool {
        self.server.movement.is_some() && self.server.staged.is_some()
    }

    /// The link goes away under both ends.
    pub(crate) fn network_fails(&mut self) {
        if let Some(link) = self.client.link {
            self.network_tears(link);
        }
    }

    /// As [`Pair::network_fails`], for any data connection.
    pub(crate) fn network_tears(&mut self, link: usize) {
        self.wire.links[link].client_gone = true;
        self.wire.links[link].server_gone = true;
        self.wire.lose_in_flight(link);
    }

    pub(crate) fn shut_down(&mut self) {
        self.session.handle(Fact::Shutdown, self.now);
        self.perform();
    }

    /// Performs every action, in order.
    pub(crate) fn perform(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.perform_one(action);
        }
        let server = &mut self.server;
        server.most_outbox_bytes = server.most_outbox_bytes.max(server.outbox.len());
        if server.aborted || server.closing && server.outbox.is_empty() {
            server.closed = true;
            self.wire.replies_ended = true;
            self.keep();
            if let Some(link) = self.server.link.take() {
                self.wire.links[link].server_gone = true;
            }
        }
    }

    fn perform_one(&mut self, action: Action) {
        let server = &mut self.server;
        let size = |length: u64| usize::try_from(length).unwrap();
        match action {
            Action::Reply(lines) => server.outbox.push(&lines).expect("a session keeps to the bound"),
            Action::Survey(query) => server.jobs.push_back(Job::Survey(query)),
            Action::List(query) => server.jobs.push_back(Job::List(query)),
            Action::Query(query) => server.jobs.push_back(Job::Query(query)),
            Action::Change(change) => server.jobs.push_back(Job::Change(change)),
            Action::Open { path } => server.jobs.push_back(Job::Open { path }),
            Action::Stage { path, size, new, conditions, beginning } => {
                server.jobs.push_back(Job::Stage { path, size, new, conditions, beginning });
            }
            Action::Publish(publication) => self.publish_later(publication),
            Action::RequestData(Way::Passive | Way::Active { .. }) | Action::SendText(_) => {
                unreachable!("no dialect here asks for it")
            }
            Action::RequestData(Way::Ticket) => server.jobs.push_back(Job::Ticket),
            Action::CancelData => {
                server.jobs.retain(|job| !matches!(job, Job::Ticket));
                server.ticket = None;
            }
            Action::Send { offset, length, .. } if length > 0 => {
                self.begin(Movement::Send { offset: size(offset), left: size(length) });
            }
            Action::Send { .. } => {}
            Action::Receive { length: Length::Exact(0), trailer, .. } => {
                assert!(trailer, "receives something");
                self.begin(Movement::Trailer);
            }
            Action::Receive { offset, length, trailer } => {
                let staged = server.staged.as_ref().expect("received only what is staged");
                assert_eq!(offset, staged.content.len() as u64);
                match (length, staged.size) {
                    (Length::Exact(length), Length::Exact(size)) => assert_eq!(offset + length, size),
                    (length, size) => assert_eq!(length, size),
                }
                self.begin(Movement::Receive { left: length, trailer });
            }
            Action::Check { digest } => {
                assert!(server.movement.is_none(), "checks what is sent");
                server.jobs.push_back(Job::Check { digest });
            }
            Action::Drop { length } => self.begin(Movement::Drop { left: size(length) }),
            Action::Discard => {
                server.forget_jobs();
                server.open = None;
                server.staged = None;
            }
            Action::Keep => {
                server.forget_jobs();
                self.keep();
            }
            Action::CloseData(end) => {
                server.movement = None;
                server.trailer.clear();
                let link = server.link.take().expect("closes only what is attached");
                self.wire.links[link].server_gone = true;
                self.wire.links[link].is_torn = end == End::Torn;
            }
            Action::Close => server.closing = true,
            Action::Abort => {
                server.outbox.clear();
                server.aborted = true;
            }
            Action::Log(event) => server.events.push(event),
        }
    }

    fn keep(&mut self) {
        if let Some(Staged { path, size, content }) = self.server.staged.take() {
            self.server.store.keep(&path, size, content);
        }
    }

    fn publish_later(&mut self, publication: Publication) {
        let server = &mut self.server;
        let Staged { path, size, content } = server.staged.take().expect("publishes only what is staged");
        assert_eq!(path, publication.path);
        assert!(size == Length::UntilClose || size == Length::Exact(content.len() as u64));
        let alone = server.publications.back().is_some_and(|(before, _)| before.alone);
        assert!(!alone && (!publication.alone || server.publications.is_empty()), "large ones are alone");
        server.publications.push_back((publication, content));
        server.most_publications = server.most_publications.max(server.publications.len());
        assert!(server.publications.len() <= PUBLISHING_MAX);
    }

    fn begin(&mut self, movement: Movement) {
        assert!(self.server.link.is_some(), "nothing moves without a data connection");
        assert!(self.server.movement.is_none(), "one movement at a time");
        self.server.movement = Some(movement);
    }
}

/// Looks at few sessions at a time, each of which moves a byte a second.
fn survey(crowd: &[SessionEntry], query: SurveyQuery) -> SurveyPart {
    const PART: usize = 3;
    let from = usize::try_from(query.from).unwrap();
    let mut part = SurveyPart { text: Vec::new(), told: 0, totals: SessionTotals::default(), next: None };
    for entry in crowd.iter().skip(from).take(PART) {
        part.totals.count(entry.activity, 1);
        if let Some(format) = query.format {
            format.write_session(entry, &mut part.text);
            part.told += 1;
        }
    }
    part.next = (from + PART < crowd.len()).then_some(query.from + PART as u64);
    part
}
