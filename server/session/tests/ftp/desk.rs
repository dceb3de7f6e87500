//! The dialect before a small world of files. What it asks of the work is answered at once, and kept for the test to look
//! at.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::{Entry, EntryKind};
use ferry_common::wire::file_time::FileTime;
use ferry_session::action::{Beginning, Change, Query, Removable, Way};
use ferry_session::answer::{Answer, Subject};
use ferry_session::dialect::ftp::{Client, FtpPolicy};
use ferry_session::dialect::{Answered, AnyDialect, Dialect, Heard};
use ferry_session::entry_format::EntryFormat;
use ferry_session::request::{DownloadSpec, Request, UploadSpec, Via};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// 2025-11-24 16:00:00.
pub(crate) const MTIME: FileTime = FileTime::from_seconds(1_764_000_000);
/// A minute later.
pub(crate) const NOW: FileTime = FileTime::from_seconds(1_764_000_060);
pub(crate) const POLICY: FtpPolicy = FtpPolicy { address: None, no_active: false, read_only: false };
/// What every upload brings.
pub(crate) const SENT: &[u8] = b"what was sent";

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) dialect: AnyDialect,
    /// Folders have no content.
    pub(crate) nodes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub(crate) asked: Vec<Request>,
    /// What the last transfer has sent to the client.
    pub(crate) data: Vec<u8>,
    /// The dialect hears no more.
    pub(crate) has_ended: bool,
}

pub(crate) fn path(text: &str) -> RemotePath {
    if text.is_empty() { RemotePath::root() } else { RemotePath::parse(text.as_bytes()).unwrap() }
}

pub(crate) fn client(address: &str) -> Client {
    Client { address: address.parse().unwrap(), seed: 0xab }
}

impl Desk {
    pub(crate) fn of(policy: FtpPolicy, client: Client) -> Self {
        let nodes = [("sub", None), ("sub/deep", None), ("sub/b.txt", Some("b")), ("a.txt", Some("hello"))];
        let nodes = nodes.map(|(path, content)| (path.into(), content.map(Into::into)));
        let (asked, data, has_ended) = (Vec::new(), Vec::new(), false);
        Self { dialect: AnyDialect::ftp(policy, client), nodes: nodes.into(), asked, data, has_ended }
    }

    pub(crate) fn new() -> Self {
        Self::of(POLICY, client("127.0.0.1"))
    }

    pub(crate) fn logged_in() -> Self {
        let mut desk = Self::new();
        assert_eq!(desk.tell("USER somebody"), "331 Username ok, send password.\r\n");
        assert_eq!(desk.tell("PASS secret"), "230 Login successful.\r\n");
        desk
    }

    /// In TYPE I.
    pub(crate) fn binary() -> Self {
        let mut desk = Self::logged_in();
        assert_eq!(desk.tell("TYPE I"), "200 Type set to: Binary.\r\n");
        desk
    }

    /// Everything that is said to a line.
    pub(crate) fn tell(&mut self, line: impl AsRef<[u8]>) -> String {
        self.dialect.push(&[line.as_ref(), b"\r\n"].concat());
        String::from_utf8(self.hear_all()).unwrap()
    }

    /// The last code that is said to a line.
    pub(crate) fn code(&mut self, line: impl AsRef<[u8]>) -> u16 {
        let text = self.tell(line);
        text.lines().last().unwrap()[..3].parse().unwrap()
    }

    /// What a line asks for, answered or not.
    pub(crate) fn request(&mut self, line: &str) -> Request {
        let before = self.asked.len();
        let text = self.tell(line);
        assert_eq!(self.asked.len(), before + 1, "{line}: {text}");
        self.asked.last().unwrap().clone()
    }

    /// Everything that is said to what has come.
    pub(crate) fn hear_all(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while !self.has_ended {
            match self.dialect.next() {
                Heard::Nothing => break,
                Heard::Answered(Answered { text, is_last, payload_bytes, .. }) => {
                    assert_eq!(payload_bytes, 0);
                    self.has_ended = is_last;
                    said.extend(text);
                }
                Heard::Request(request) => {
                    self.asked.push(request.clone());
                    for answer in self.answers(request) {
                        said.extend(self.dialect.text_of(answer));
                    }
                }
            }
        }
        said
    }

    fn answers(&mut self, request: Request) -> Vec<Answer> {
        match request {
            Request::Offer { way: Way::Active { .. } } => vec![Answer::Done],
            Request::Offer { .. } => vec![Answer::Listening(SocketAddr::from(([127, 0, 0, 1], 2049)))],
            Request::DropOffer => vec![Answer::Done],
            Request::List { path, format, via } => self.list(path, format, via),
            Request::Query(Query::Stat { path }) => vec![match self.entry(&path) {
                Some(entry) => Answer::Entry(entry),
                None => refused(ErrorCode::NotFound, path),
            }],
            Request::Change(change) => vec![self.change(change)],
            Request::Download { path, spec } => self.download(path, &spec),
            Request::Upload { path, spec } => self.upload(path, &spec),
            other @ (Request::Survey { .. } | Request::Query(_)) => panic!("FTP does not ask {other:?}"),
        }
    }

    pub(crate) fn entry(&self, path: &RemotePath) -> Option<Entry> {
        let content = if path.is_root() { &None } else { self.nodes.get(path.as_bytes())? };
        let kind = if content.is_some() { EntryKind::File } else { EntryKind::Dir };
        let size_bytes = content.as_ref().map_or(0, |content| content.len() as u64);
        let name = path.file_name().unwrap_or(b".").to_vec();
        Some(Entry { kind, size_bytes, mtime: MTIME, executable: false, link: false, name })
    }

    fn list(&mut self, path: RemotePath, format: EntryFormat, via: Option<Via>) -> Vec<Answer> {
        let Some(entry) = self.entry(&path) else { return vec![refused(ErrorCode::NotFound, path)] };
        let listed: Vec<Entry> = match entry.kind {
            EntryKind::File if !format.lists_files() => {
                return vec![refused(ErrorCode::NotDirectory, path)];
            }
            EntryKind::File => vec![entry],
            EntryKind::Dir => self.children(&path),
        };
        let (mut text, mut left_out) = (Vec::new(), 0);
        for entry in &listed {
            left_out += u64::from(!format.write(entry, NOW, &mut text));
        }
        let end = Answer::Listed { entries: listed.len() as u64 - left_out, left_out };
        if via.is_some() {
            self.data = text;
            return vec![Answer::SendingListing, end];
        }
        let parts = text.chunks(100).map(|part| Answer::Entries(part.to_vec()));
        parts.chain([end]).collect()
    }

    fn children(&self, path: &RemotePath) -> Vec<Entry> {
        let all = self.nodes.keys().map(|key| RemotePath::parse(key).unwrap());
        all.filter(|child| child.parent().as_ref() == Some(path))
            .map(|child| self.entry(&child).unwrap())
            .collect()
    }

    fn download(&mut self, path: RemotePath, spec: &DownloadSpec) -> Vec<Answer> {
        assert!(spec.until_close && !spec.digest);
        let content = match self.nodes.get(path.as_bytes()) {
            None => return vec![refused(ErrorCode::NotFound, path)],
            Some(None) => return vec![refused(ErrorCode::IsDirectory, path)],
            Some(Some(content)) => content,
        };
        let Some(part) = content.get(usize::try_from(spec.offset).unwrap()..) else {
            return vec![refused(ErrorCode::BadOffset, path)];
        };
        self.data = part.to_vec();
        let length = part.len() as u64;
        let sending = Answer::Sending { length, mtime: MTIME, executable: false };
        vec![sending, Answer::Moved { length, digest: None }]
    }

    fn upload(&mut self, path: RemotePath, spec: &UploadSpec) -> Vec<Answer> {
        assert!(spec.needs_client && !spec.is_eager && !spec.has_trailer);
        let before = self.nodes.get(path.as_bytes()).cloned().flatten();
        let start = match spec.beginning {
            Beginning::Empty => Vec::new(),
            Beginning::Published => before.clone().unwrap_or_default(),
            Beginning::Unconfirmed { .. } => return vec![refused(ErrorCode::NoPartial, path)],
            Beginning::Kept(_) => panic!("FTP confirms nothing"),
        };
        if spec.new && before.is_some() {
            return vec![refused(ErrorCode::Exists, path)];
        }
        let (offset, whole) = (start.len() as u64, [&start, SENT].concat());
        let moved = Answer::Moved { length: whole.len() as u64, digest: Some(Digest::of(&whole)) };
        self.nodes.insert(path.as_bytes().to_vec(), Some(whole));
        vec![Answer::Receiving { offset }, moved]
    }

    fn change(&mut self, change: Change<RemotePath>) -> Answer {
        let (changed, path) = match change {
            Change::Mkdir { path, .. } => {
                let is_free = !self.nodes.contains_key(path.as_bytes());
                let made = is_free.then(|| drop(self.nodes.insert(path.as_bytes().to_vec(), None)));
                (made.ok_or(ErrorCode::Exists), path)
            }
            Change::Rm { path, what, .. } => (self.remove(&path, what), path),
            Change::Mv { from, to, replace } => {
                assert!(replace);
                let moved = self.nodes.remove(from.as_bytes());
                let moved = moved.map(|node| drop(self.nodes.insert(to.as_bytes().to_vec(), node)));
                (moved.ok_or(ErrorCode::NotFound), from)
            }
            Change::Mtime { path, .. } | Change::Chmod { path, .. } => {
                (self.entry(&path).map(drop).ok_or(ErrorCode::NotFound), path)
            }
        };
        changed.map_or_else(|code| refused(code, path), |()| Answer::Done)
    }

    fn remove(&mut self, path: &RemotePath, what: Removable) -> Result<(), ErrorCode> {
        let is_file = self.nodes.get(path.as_bytes()).ok_or(ErrorCode::NotFound)?.is_some();
        match what {
            Removable::File if !is_file => return Err(ErrorCode::IsDirectory),
            Removable::Directory if is_file => return Err(ErrorCode::NotDirectory),
            Removable::File | Removable::Directory => {}
            Removable::Any => panic!("FTP tells files and folders apart"),
        }
        self.nodes.remove(path.as_bytes());
        Ok(())
    }
}

pub(crate) fn refused(code: ErrorCode, path: RemotePath) -> Answer {
    Answer::Refused { code, subject: Subject::Path(path) }
}
