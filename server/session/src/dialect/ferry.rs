//! Ferry's own protocol: lines of words one way, replies the other, as PROTOCOL.md has it.

use super::foreign::ForeignProtocol;
use super::{Answered, Dialect, Heard};
use crate::Policy;
use crate::action::{Beginning, Change, Event, Length, Query, Removable};
use crate::answer::{Answer, Subject};
use crate::entry_format::EntryFormat;
use crate::request::{DownloadSpec, Request, UploadSpec, Via};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{EAGER_MAX_BYTES, LINE_MAX_BYTES, NO_COMMAND_LINES_MAX, PROTOCOL_VERSION};
use ferry_common::wire::command::{Command, CommandError, UploadOptions, Verb};
use ferry_common::wire::line::LineDecoder;
use ferry_common::wire::reply::Reply;
use std::fmt::Display;

/// See the module's documentation.
#[derive(Debug)]
pub struct Ferry {
    decoder: LineDecoder,
    /// Lines in a row, up to the newest, that were no commands.
    lines_not_commands: usize,
    /// What `hello` tells of the server, and an offer of its data port.
    policy: Policy,
}

impl Dialect for Ferry {
    fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    fn next(&mut self) -> Heard {
        match self.decoder.next_line() {
            Ok(Some(line)) => {
                if let Some(protocol) = ForeignProtocol::of_line(&line) {
                    return Heard::Answered(wrong_protocol(protocol.message()));
                }
                match Command::parse(&line) {
                    Ok(command) => {
                        self.lines_not_commands = 0;
                        self.understand(command)
                    }
                    Err(error) => Heard::Answered(self.refuse_line(error)),
                }
            }
            Ok(None) => match ForeignProtocol::of_beginning(self.decoder.partial()) {
                Some(protocol) => Heard::Answered(wrong_protocol(protocol.message())),
                None => Heard::Nothing,
            },
            Err(_) => {
                let message = format_args!("a line has at most {LINE_MAX_BYTES} bytes; closing");
                Heard::Answered(last_refusal(ErrorCode::LineTooLong, message))
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.decoder.partial_bytes()
    }

    fn awaits_more(&self) -> bool {
        self.decoder.awaits_end()
    }

    fn clear(&mut self) {
        self.decoder = LineDecoder::default();
    }

    /// The reply lines of an answer.
    fn text_of(&mut self, answer: Answer) -> Vec<u8> {
        match answer {
            Answer::Said(text) | Answer::Entries(text) => text,
            Answer::Working => Reply::working(),
            // Asked for by no command of this protocol.
            Answer::Listening(_) | Answer::SendingListing => Vec::new(),
            Answer::Offered(ticket) => Reply::data(self.policy.data_port, &ticket),
            Answer::Sending { length, mtime, executable } => Reply::download(length, mtime, executable),
            Answer::Receiving { offset } => Reply::upload(offset),
            Answer::Received { bytes } => Reply::received(bytes),
            Answer::Listed { entries, .. } => Reply::ok_with(entries),
            Answer::Entry(entry) => with_ok(Reply::entry(Verb::Stat.word(), &entry)),
            Answer::Sum { length, digest } => with_ok(Reply::digest(Verb::Sum.word(), length, digest)),
            Answer::Partial { length, digest } => {
                with_ok(Reply::digest(Verb::Partial.word(), length, digest))
            }
            Answer::Space { free_bytes, total_bytes } => with_ok(Reply::space(free_bytes, total_bytes)),
            Answer::Surveyed { sessions, totals } => {
                [Reply::totals(&totals), Reply::ok_with(sessions)].concat()
            }
            Answer::Done => Reply::ok(),
            Answer::Moved { length, digest } => Reply::ok_transfer(length, digest),
            Answer::Refused { code, subject: Subject::Path(path) } => {
                Reply::err(code, format_args!("{code}: {path}"))
            }
            Answer::Refused { code, subject: Subject::Rename { from, to } } => {
                Reply::err(code, format_args!("{code}: {from} to {to}"))
            }
            Answer::Refused { code, subject: Subject::Sessions | Subject::DataConnection } => {
                Reply::err(code, code)
            }
            Answer::Ending { code, reason } => Reply::err(code, format_args!("{reason}; closing")),
        }
    }
}

impl Ferry {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { decoder: LineDecoder::default(), lines_not_commands: 0, policy: *policy }
    }

    /// Makes a request of a command, or answers one that needs no work.
    fn understand(&self, command: Command) -> Heard {
        Heard::Request(match command {
            Command::Ls { path } => Request::List { path, format: EntryFormat::Ferry, via: None },
            Command::Stat { path } => Request::Query(Query::Stat { path }),
            Command::Sum { path, length } => Request::Query(Query::Sum { path, length }),
            Command::Partial { path } => Request::Query(Query::Partial { path }),
            Command::Who => Request::Survey { format: EntryFormat::Ferry },
            Command::Df { path } => Request::Query(Query::Df { path }),
            Command::Mkdir { path, follow } => Request::Change(Change::Mkdir { path, follow }),
            Command::Rm { path, conditions } => {
                Request::Change(Change::Rm { path, what: Removable::Any, conditions })
            }
            Command::Mv { from, to, replace } => Request::Change(Change::Mv { from, to, replace }),
            Command::Mtime { path, mtime } => Request::Change(Change::Mtime { path, mtime }),
            Command::Download { path, offset, digest } => Request::Download {
                path,
                spec: DownloadSpec { offset, digest, until_close: false, via: Via::Kept },
            },
            Command::Upload { path, size, options } => {
                Request::Upload { path, spec: upload_spec(size, &options) }
            }
            Command::Hello { version } => return Heard::Answered(self.hello(version)),
            Command::Help => return Heard::Answered(received(Verb::Help, help(), false)),
            Command::Exit => return Heard::Answered(received(Verb::Exit, Reply::ok(), true)),
        })
    }

    /// Answers a line that is no command, and hears no more where too many of them came in a row: what comes is not this
    /// protocol then, and a command in it would be one by chance.
    fn refuse_line(&mut self, error: CommandError) -> Answered {
        let is_command = !matches!(error.code, ErrorCode::Syntax | ErrorCode::UnknownCommand);
        self.lines_not_commands = if is_command { 0 } else { self.lines_not_commands + 1 };
        if self.lines_not_commands >= NO_COMMAND_LINES_MAX {
            return wrong_protocol(format_args!(
                "{NO_COMMAND_LINES_MAX} lines in a row are no commands; closing"
            ));
        }
        Answered {
            text: Reply::err(error.code, error.message),
            event: Event::NotUnderstood { code: error.code },
            is_mistake: true,
            payload_bytes: error.eager_bytes,
            is_last: false,
        }
    }

    /// The version in force is the highest that both ends speak.
    fn hello(&self, version: Option<u64>) -> Answered {
        if version == Some(0) {
            let code = ErrorCode::Version;
            let event = Event::NotUnderstood { code };
            return Answered {
                text: Reply::err(code, code),
                event,
                ..received(Verb::Hello, Vec::new(), false)
            };
        }
        let mut text = Vec::new();
        for (key, value) in [
            ("line-max", LINE_MAX_BYTES.to_string()),
            ("eager-max", EAGER_MAX_BYTES.to_string()),
            ("read-only", if self.policy.read_only { "yes" } else { "no" }.to_owned()),
            ("conditions", "yes".to_owned()),
        ] {
            text.extend(Reply::info(Verb::Hello.word(), format_args!("{key} {value}")));
        }
        text.extend(Reply::ok_with(version.unwrap_or(PROTOCOL_VERSION).min(PROTOCOL_VERSION)));
        received(Verb::Hello, text, false)
    }
}

fn upload_spec(size: u64, options: &UploadOptions) -> UploadSpec {
    let UploadOptions { digest, new, mtime, executable, resume, conditions } = *options;
    let (is_eager, size) = (options.is_eager(size), Length::Exact(size));
    UploadSpec {
        size,
        is_eager,
        has_trailer: digest,
        new,
        conditions,
        mtime,
        executable,
        beginning: resume.map_or(Beginning::Empty, Beginning::Kept),
        via: Via::Kept,
        declared_bytes: None,
        needs_client: false,
    }
}

fn help() -> Vec<u8> {
    let mut text = Vec::new();
    for &verb in Verb::ALL {
        text.extend(Reply::info(Verb::Help.word(), format_args!("{} - {}", verb.usage(), verb.summary())));
    }
    text.extend(Reply::ok());
    text
}

fn received(verb: Verb, text: Vec<u8>, is_last: bool) -> Answered {
    Answered {
        text,
        event: Event::Received { command: verb.word() },
        is_mistake: false,
        payload_bytes: 0,
        is_last,
    }
}

/// The client speaks another protocol: whatever else it sends is not looked at.
fn wrong_protocol(message: impl Display) -> Answered {
    last_refusal(ErrorCode::WrongProtocol, message)
}

fn last_refusal(code: ErrorCode, message: impl Display) -> Answered {
    let event = Event::NotUnderstood { code };
    Answered { text: Reply::err(code, message), event, is_mistake: true, payload_bytes: 0, is_last: true }
}

fn with_ok(mut line: Vec<u8>) -> Vec<u8> {
    line.extend(Reply::ok());
    line
}
