//! A dialect of two commands, `GET NAME` and `PUT NAME`, in which the end of the data connection is that of the file. It
//! has nothing in common with Ferry's own but the work behind it.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Conditions;
use ferry_session::action::{Beginning, Event, Length};
use ferry_session::answer::Answer;
use ferry_session::dialect::{Answered, Dialect, Heard};
use ferry_session::request::{DownloadSpec, Request, UploadSpec, Via};

#[derive(Debug, Default)]
pub(crate) struct Toy {
    input: Vec<u8>,
}

impl Dialect for Toy {
    fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Heard {
        let Some(end) = self.input.iter().position(|&byte| byte == b'\n') else { return Heard::Nothing };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        let path_behind = |verb: &[u8]| RemotePath::parse(line.strip_prefix(verb)?.strip_suffix(b"\n")?).ok();
        if let Some(path) = path_behind(b"GET ") {
            let spec = DownloadSpec { offset: 0, digest: false, until_close: true, via: Via::Kept };
            return Heard::Request(Request::Download { path, spec });
        }
        if let Some(path) = path_behind(b"PUT ") {
            let (is_eager, has_trailer, new, mtime, executable) = (false, false, false, None, None);
            let spec = UploadSpec {
                size: Length::UntilClose,
                is_eager,
                has_trailer,
                new,
                conditions: Conditions::NONE,
                mtime,
                executable,
                beginning: Beginning::Empty,
                via: Via::Kept,
                declared_bytes: None,
                needs_client: false,
            };
            return Heard::Request(Request::Upload { path, spec });
        }
        let event = Event::NotUnderstood { code: ErrorCode::UnknownCommand };
        let text = b"WHAT?\n".to_vec();
        Heard::Answered(Answered { text, event, is_mistake: true, payload_bytes: 0, is_last: false })
    }

    fn held_bytes(&self) -> usize {
        self.input.len()
    }

    fn awaits_more(&self) -> bool {
        !self.input.contains(&b'\n')
    }

    fn clear(&mut self) {
        self.input.clear();
    }

    fn text_of(&mut self, answer: Answer) -> Vec<u8> {
        let line = match answer {
            Answer::Said(text) => return text,
            Answer::Offered(ticket) => format!("CONNECT {ticket}\n"),
            Answer::Sending { length, .. } => format!("LENGTH {length}\n"),
            Answer::Receiving { .. } => "SEND\n".to_owned(),
            Answer::Moved { length, .. } => format!("DONE {length}\n"),
            Answer::Working => "WAIT\n".to_owned(),
            Answer::Received { .. } => String::new(),
            Answer::Refused { code, .. } | Answer::Ending { code, .. } => format!("FAILED {}\n", code.word()),
            other @ (Answer::Entries(_)
            | Answer::Listening(_)
            | Answer::SendingListing
            | Answer::Listed { .. }
            | Answer::Entry(_)
            | Answer::Sum { .. }
            | Answer::Partial { .. }
            | Answer::Space { .. }
            | Answer::Surveyed { .. }
            | Answer::Done) => unreachable!("nothing asks for {other:?}"),
        };
        line.into_bytes()
    }
}
