//! The client's shell: performs what the dialogue asks for, one small step at a time.

use super::Pair;
use ferry_common::dialogue::{Failure, RequestId, Step, Success};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::Entry;
use ferry_common::wire::session_entry::{SessionEntry, SessionTotals};
use ferry_session::dialect::Dialect;
use std::collections::{BTreeMap, VecDeque};

/// How a request ended.
pub(crate) type Outcome = Result<Success, Failure>;

#[derive(Debug, Default)]
pub(crate) struct ClientShell {
    /// The newest data connection, unless it is closed.
    pub(crate) link: Option<usize>,
    receives: VecDeque<(RequestId, usize)>,
    /// What is to be sent, and how much of it is.
    transmits: VecDeque<(Vec<u8>, usize)>,
    /// What each upload is to bring.
    contents: BTreeMap<RequestId, Vec<u8>>,
    /// What follows each upload, where a digest is to follow.
    trailers: BTreeMap<RequestId, Vec<u8>>,
    /// What follows the uploads asked for from now on in the place of their digest.
    pub(crate) false_trailer: Option<Vec<u8>>,
    /// What each download has brought.
    pub(crate) delivered: BTreeMap<RequestId, Vec<u8>>,
    pub(crate) entries: BTreeMap<RequestId, Vec<Entry>>,
    pub(crate) digests: BTreeMap<RequestId, (u64, Digest)>,
    /// How much of each upload the server has said to have.
    received: BTreeMap<RequestId, u64>,
    pub(crate) sessions: BTreeMap<RequestId, Vec<SessionEntry>>,
    pub(crate) totals: BTreeMap<RequestId, SessionTotals>,
    /// Free and total bytes.
    pub(crate) spaces: BTreeMap<RequestId, (u64, u64)>,
    pub(crate) infos: BTreeMap<RequestId, Vec<Vec<Vec<u8>>>>,
    pub(crate) done: Vec<(RequestId, Outcome)>,
    /// The shell does not read replies, so that the server cannot write them.
    pub(crate) reads_nothing: bool,
    /// Replies are kept as text, and the dialogue sees nothing: for commands that no dialogue would send.
    pub(crate) raw: Option<String>,
    control_closed: bool,
}

impl<D: Dialect> Pair<D> {
    /// Asks for what the line says. An upload brings as many `x` as it promises.
    pub(crate) fn request(&mut self, line: &str) -> RequestId {
        let command = Command::parse(line.as_bytes()).unwrap();
        let size = if let Command::Upload { size, .. } = command { size } else { 0 };
        let id = self.dialogue.request(command);
        self.transmit_later(id, vec![b'x'; usize::try_from(size).unwrap()]);
        id
    }

    pub(crate) fn upload(&mut self, path: &str, content: &[u8]) -> RequestId {
        self.upload_with(path, content, UploadOptions::default())
    }

    pub(crate) fn upload_with(&mut self, path: &str, content: &[u8], options: UploadOptions) -> RequestId {
        let path = RemotePath::parse(path.as_bytes()).unwrap();
        let id = self.dialogue.request(Command::Upload { path, size: content.len() as u64, options });
        self.transmit_later(id, content.to_vec());
        id
    }

    fn transmit_later(&mut self, id: RequestId, content: Vec<u8>) {
        let right = || format!("{}\n", Digest::of(&content)).into_bytes();
        let trailer = self.client.false_trailer.clone().unwrap_or_else(right);
        self.client.trailers.insert(id, trailer);
        self.client.contents.insert(id, content);
        self.take_steps();
    }

    /// How the request ended; it must have.
    pub(crate) fn outcome(&self, id: RequestId) -> &Outcome {
        let mut outcomes = self.client.done.iter().filter(|(done, _)| *done == id);
        let (_, outcome) = outcomes.next().unwrap_or_else(|| panic!("request {id} has not ended"));
        assert!(outcomes.next().is_none(), "request {id} has ended twice");
        outcome
    }

    pub(crate) fn number(&self, id: RequestId) -> u64 {
        self.success(id).number.unwrap_or(0)
    }

    /// The digest behind the `ok`.
    pub(crate) fn digest(&self, id: RequestId) -> Option<Digest> {
        self.success(id).digest
    }

    fn success(&self, id: RequestId) -> Success {
        *self.outcome(id).as_ref().unwrap_or_else(|failure| panic!("request {id}: {failure}"))
    }

    pub(crate) fn refusal(&self, id: RequestId) -> ErrorCode {
        match self.outcome(id) {
            Err(Failure::Refused { code: Some(code), .. }) => *code,
            other => panic!("request {id} was not refused: {other:?}"),
        }
    }

    /// As Ctrl-C does it: the transfer is given up by closing the data connection.
    pub(crate) fn client_cancels(&mut self) -> bool {
        if self.client.link.is_none() {
            return false;
        }
        self.client_closes_link();
        self.dialogue.handle_data_closed();
        self.take_steps();
        true
    }

    pub(crate) fn client_reads(&mut self, most: usize) -> bool {
        let bytes = self.wire.read_replies(most);
        if let Some(text) = &mut self.client.raw {
            text.push_str(str::from_utf8(&bytes).unwrap());
            return !bytes.is_empty();
        }
        if bytes.is_empty() {
            // What the server had sent before it closed is read first.
            if !self.wire.replies_at_end() || self.client.control_closed || !self.client.receives.is_empty() {
                return false;
            }
            self.client.control_closed = true;
            self.dialogue.handle_control_closed();
        } else {
            self.dialogue.handle_control(&bytes).unwrap();
        }
        self.take_steps();
        true
    }

    pub(crate) fn client_reads_data(&mut self, most: usize) -> bool {
        let Some(link) = self.client.link else { return false };
        let (id, left) = self.client.receives.front().copied().unwrap_or_default();
        let bytes = self.wire.read_down(link, left.min(most));
        if bytes.is_empty() {
            if !self.wire.down_at_end(link) {
                return false;
            }
            self.client_closes_link();
            self.dialogue.handle_data_closed();
        } else {
            self.client.delivered.entry(id).or_default().extend(&bytes);
            self.client.receives[0].1 -= bytes.len();
            self.client.receives.pop_front_if(|(_, left)| *left == 0);
            self.dialogue.handle_received(bytes.len() as u64);
        }
        self.take_steps();
        true
    }

    pub(crate) fn client_writes_data(&mut self, most: usize) -> bool {
        let Some(link) = self.client.link else { return false };
        let Some((content, at)) = self.client.transmits.front_mut() else { return false };
        let end = content.len().min(at.saturating_add(most));
        self.wire.write_up(link, &content[*at..end]);
        *at = end;
        if end == content.len() {
            self.client.transmits.pop_front();
        }
        true
    }

    fn client_closes_link(&mut self) {
        if let Some(link) = self.client.link.take() {
            self.wire.links[link].client_gone = true;
        }
        self.client.receives.clear();
        self.client.transmits.clear();
    }

    /// Performs every step, in order.
    fn take_steps(&mut self) {
        while let Some(step) = self.dialogue.poll_step() {
            let client = &mut self.client;
            match step {
                Step::Send(line) => self.wire.write_commands(&line),
                Step::CloseData => self.client_closes_link(),
                Step::OpenData { ticket, .. } => {
                    assert!(client.link.is_none(), "one data connection at a time");
                    self.client.link = Some(self.open_link(&ticket));
                }
                Step::Receive { id, length, .. } => {
                    assert!(client.link.is_some() || length == 0, "downloads come in on a data connection");
                    assert!(client.delivered.insert(id, Vec::new()).is_none(), "announced once");
                    if length > 0 {
                        client.receives.push_back((id, usize::try_from(length).unwrap()));
                    }
                }
                Step::Transmit { id, offset, length, trailer } => {
                    assert!(client.link.is_some(), "uploads go out on a data connection");
                    let content = &client.contents[&id];
                    assert_eq!(offset + length, content.len() as u64);
                    let mut bytes = content[usize::try_from(offset).unwrap()..].to_vec();
                    if trailer {
                        bytes.extend(&client.trailers[&id]);
                    }
                    if !bytes.is_empty() {
                        client.transmits.push_back((bytes, 0));
                    }
                }
                Step::Digest { id, length, digest } => {
                    assert!(client.digests.insert(id, (length, digest)).is_none(), "told once");
                }
                Step::Received { id, bytes } => {
                    let before = client.received.insert(id, bytes);
                    assert!(before.is_none_or(|before| before <= bytes), "{before:?}, then {bytes}");
                }
                Step::Session { id, entry } => client.sessions.entry(id).or_default().push(entry),
                Step::Totals { id, totals } => {
                    assert!(client.totals.insert(id, totals).is_none(), "told once");
                }
                Step::Space { id, free_bytes, total_bytes } => {
                    assert!(client.spaces.insert(id, (free_bytes, total_bytes)).is_none(), "told once");
                }
                Step::Entry { id, entry } => client.entries.entry(id).or_default().push(entry),
                Step::Info { id, words } => client.infos.entry(id).or_default().push(words),
                Step::Done { id, result } => {
                    assert_eq!(id, client.done.len() as u64, "requests end once each, in their order");
                    client.done.push((id, result));
                }
            }
        }
    }

    /// A new connection to the data port that presents this.
    pub(crate) fn open_link(&mut self, ticket: &[u8]) -> usize {
        let link = self.wire.links.len();
        self.wire.links.push(super::wire::Link::default());
        self.wire.write_up(link, ticket);
        self.wire.write_up(link, b"\n");
        link
    }
}
