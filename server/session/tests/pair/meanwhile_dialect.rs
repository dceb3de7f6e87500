//! A dialect in which input is heard while a transfer runs, with data connections that come ahead or are made by the server,
//! and in which the end of the control connection takes an upload back. Lines: `OFFER`, `ACTIVE` (where the server is to
//! connect), `DROP`, `GET NAME`, `PUT NAME`, `PUT NAME BYTES`, `LIST NAME`, `ABORT`, `WHAT`, `BYE`.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Conditions;
use ferry_session::Running;
use ferry_session::action::{Beginning, Event, Length, Way};
use ferry_session::answer::Answer;
use ferry_session::dialect::{Answered, Dialect, Heard, Interruption};
use ferry_session::entry_format::EntryFormat;
use ferry_session::request::{DownloadSpec, Request, UploadSpec, Via};
use std::collections::VecDeque;

pub(crate) const PORT: u16 = 4000;
const LINES_MAX: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Meanwhile {
    lines: VecDeque<String>,
    has_begun: bool,
}

impl Meanwhile {
    fn take(&mut self, wanted: &str) -> bool {
        let place = self.lines.iter().position(|line| line == wanted);
        place.is_some_and(|place| self.lines.remove(place).is_some())
    }
}

impl Dialect for Meanwhile {
    /// Tests send whole lines.
    fn push(&mut self, bytes: &[u8]) {
        let text = str::from_utf8(bytes).unwrap();
        self.lines.extend(text.lines().map(str::to_owned));
    }

    fn next(&mut self) -> Heard {
        let Some(line) = self.lines.pop_front() else { return Heard::Nothing };
        self.has_begun = true;
        let path = |name: &str| RemotePath::parse(name.as_bytes()).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        Heard::Request(match words[..] {
            ["OFFER"] => Request::Offer { way: Way::Passive },
            ["ACTIVE"] => Request::Offer { way: Way::Active { port: PORT } },
            ["DROP"] => Request::DropOffer,
            ["GET", name] => {
                let spec = DownloadSpec { offset: 0, digest: false, until_close: true, via: Via::Ahead };
                Request::Download { path: path(name), spec }
            }
            ["PUT", name] => Request::Upload { path: path(name), spec: upload(None) },
            ["PUT", name, bytes] => {
                Request::Upload { path: path(name), spec: upload(Some(bytes.parse().unwrap())) }
            }
            ["LIST", name] => {
                Request::List { path: path(name), format: EntryFormat::Ferry, via: Some(Via::Ahead) }
            }
            _ => {
                let event = Event::NotUnderstood { code: ErrorCode::UnknownCommand };
                let (is_mistake, is_last) = (line != "BYE", line == "BYE");
                let text = format!("{line}?\n").into_bytes();
                return Heard::Answered(Answered { text, event, is_mistake, payload_bytes: 0, is_last });
            }
        })
    }

    fn held_bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }

    fn awaits_more(&self) -> bool {
        self.lines.is_empty()
    }

    fn clear(&mut self) {
        self.lines.clear();
    }

    fn text_of(&mut self, answer: Answer) -> Vec<u8> {
        let line = match answer {
            Answer::Said(text) => return text,
            Answer::Listening(address) => format!("AT {address}\n"),
            Answer::SendingListing => "NAMES\n".to_owned(),
            Answer::Listed { entries, left_out } => format!("LISTED {entries} {left_out}\n"),
            Answer::Sending { length, .. } => format!("LENGTH {length}\n"),
            Answer::Receiving { .. } => "SEND\n".to_owned(),
            Answer::Moved { length, .. } => format!("DONE {length}\n"),
            Answer::Done => "DONE\n".to_owned(),
            Answer::Working | Answer::Received { .. } => String::new(),
            Answer::Refused { code, .. } | Answer::Ending { code, .. } => format!("FAILED {}\n", code.word()),
            other @ (Answer::Entries(_)
            | Answer::Offered(_)
            | Answer::Entry(_)
            | Answer::Sum { .. }
            | Answer::Partial { .. }
            | Answer::Space { .. }
            | Answer::Surveyed { .. }) => unreachable!("nothing asks for {other:?}"),
        };
        line.into_bytes()
    }

    fn greeting(&self) -> Option<Vec<u8>> {
        Some(b"HELLO\n".to_vec())
    }

    fn hears_meanwhile(&self) -> bool {
        true
    }

    fn has_room(&self) -> bool {
        self.lines.len() < LINES_MAX
    }

    fn interruption(&mut self, running: Option<Running<'_>>) -> Option<Interruption> {
        if self.take("ABORT") {
            return Some(Interruption::Abort(b"ABORTED\n".to_vec()));
        }
        let moved_bytes = running.map(|running| running.moved_bytes);
        self.take("WHAT").then(|| Interruption::Told(format!("MOVED {moved_bytes:?}\n").into_bytes()))
    }

    fn has_said_goodbye(&self) -> bool {
        self.lines.iter().any(|line| line == "BYE")
    }

    fn awaits_login(&self) -> bool {
        !self.has_begun
    }
}

fn upload(declared_bytes: Option<u64>) -> UploadSpec {
    UploadSpec {
        size: Length::UntilClose,
        is_eager: false,
        has_trailer: false,
        new: false,
        conditions: Conditions::NONE,
        mtime: None,
        executable: None,
        beginning: Beginning::Empty,
        via: Via::Ahead,
        declared_bytes,
        needs_client: true,
    }
}
