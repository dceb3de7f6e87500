//! How a session begins its commands: one at a time, in their order, and what each asks of the shell first.

use crate::action::{Action, Event, Question};
use crate::foreign::ForeignProtocol;
use crate::phase::{Listing, Phase};
use crate::{Ending, Session};
use ferry_common::error::ErrorCode;
use ferry_common::limits::{
    EAGER_MAX_BYTES, LINE_MAX_BYTES, NO_COMMAND_LINES_MAX, PROTOCOL_VERSION, PUBLISHING_MAX,
};
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, CommandError, UploadOptions, Verb};
use ferry_common::wire::reply::Reply;
use std::fmt::Display;
use std::time::Instant;

impl Session {
    /// Goes on with the lines at hand, one command at a time. Every fact ends here, since any may have
    /// finished a command.
    pub(crate) fn take_commands(&mut self, now: Instant) {
        while self.takes_commands() {
            match self.next_command(now) {
                Some(command) if self.admits(&command) => self.begin(command, now),
                Some(command) => {
                    self.held = Some(Box::new(command));
                    return;
                }
                None => break,
            }
        }
        if self.ending != Ending::No && matches!(self.phase, Phase::Ready) && self.owed.is_empty() {
            if self.ending == Ending::Stopping {
                let code = ErrorCode::ShuttingDown;
                self.reply(Reply::err(code, format_args!("{code}; closing")), now);
            }
            self.close(now);
        }
    }

    /// The next command that can be understood. Lines that cannot are answered on the way.
    fn next_command(&mut self, now: Instant) -> Option<Command> {
        if let Some(command) = self.held.take() {
            return Some(*command);
        }
        while self.takes_commands() {
            match self.decoder.next_line() {
                Ok(Some(line)) => {
                    self.lines_left -= 1;
                    self.since = now;
                    if let Some(protocol) = ForeignProtocol::of_line(&line) {
                        self.end_wrong_protocol(protocol.message(), now);
                        return None;
                    }
                    match Command::parse(&line) {
                        Ok(command) => {
                            self.lines_not_commands = 0;
                            return Some(command);
                        }
                        Err(error) => self.refuse_line(error, now),
                    }
                }
                Ok(None) => {
                    if let Some(protocol) = ForeignProtocol::of_beginning(self.decoder.partial()) {
                        self.end_wrong_protocol(protocol.message(), now);
                    } else if self.input_ended {
                        self.ending = Ending::Quiet;
                    }
                    return None;
                }
                Err(_) => {
                    self.log_refusal(None, ErrorCode::LineTooLong, None);
                    let message = format_args!("a line has at most {LINE_MAX_BYTES} bytes; closing");
                    self.reply(Reply::err(ErrorCode::LineTooLong, message), now);
                    self.ending = Ending::Quiet;
                }
            }
        }
        None
    }

    /// Answers a line that is no command, and ends the session where too many of them came in a row: what
    /// comes is not this protocol then, and a command in it would be one by chance.
    fn refuse_line(&mut self, error: CommandError, now: Instant) {
        let is_command = !matches!(error.code, ErrorCode::Syntax | ErrorCode::UnknownCommand);
        self.lines_not_commands = if is_command { 0 } else { self.lines_not_commands + 1 };
        if self.lines_not_commands >= NO_COMMAND_LINES_MAX {
            let message = format_args!("{NO_COMMAND_LINES_MAX} lines in a row are no commands; closing");
            return self.end_wrong_protocol(message, now);
        }
        self.log_refusal(None, error.code, None);
        self.reply(Reply::err(error.code, error.message), now);
        self.drop_payload(error.eager_bytes, now);
    }

    /// The client speaks another protocol: whatever else it sends is not looked at.
    fn end_wrong_protocol(&mut self, message: impl Display, now: Instant) {
        self.log_refusal(None, ErrorCode::WrongProtocol, None);
        self.reply(Reply::err(ErrorCode::WrongProtocol, message), now);
        self.ending = Ending::Quiet;
    }

    /// Only a small upload may begin while others wait for the disk. Anything else could see that they do,
    /// or needs an answer before it can go on.
    fn admits(&self, command: &Command) -> bool {
        self.owed.publishing() == 0
            || matches!(command, Command::Upload { size, options, .. } if options.is_eager(*size))
                && self.owed.admits_upload()
                && self.owed.publishing() < PUBLISHING_MAX
    }

    fn begin(&mut self, command: Command, now: Instant) {
        self.actions.push_back(Action::Log(Event::Received { verb: command.verb() }));
        match command {
            Command::Ls { path } => {
                self.enter(Phase::Listing(Listing { path: path.clone(), entries: 0, paused_at: None }), now);
                self.actions.push_back(Action::List { path, cursor: None });
            }
            Command::Stat { path } => self.ask(Question::Stat { path }, now),
            Command::Sum { path, length } => self.ask(Question::Sum { path, length }, now),
            Command::Partial { path } => self.ask(Question::Partial { path }, now),
            Command::Mkdir { path } => self.alter(Question::Mkdir { path }, now),
            Command::Rm { path } => self.alter(Question::Rm { path }, now),
            Command::Mv { from, to, replace } => self.alter(Question::Mv { from, to, replace }, now),
            Command::Download { path, offset, digest } => {
                self.enter(Phase::Opening { path: path.clone(), offset, digest }, now);
                self.actions.push_back(Action::Open { path });
            }
            Command::Upload { path, size, options } => self.begin_upload(path, size, options, now),
            Command::Hello { version } => self.say_hello(version, now),
            Command::Help => self.say_help(now),
            Command::Exit => {
                self.reply(Reply::ok(), now);
                self.ending = Ending::Quiet;
            }
        }
    }

    fn begin_upload(&mut self, path: RemotePath, size: u64, mut options: UploadOptions, now: Instant) {
        options.new |= self.policy.no_overwrite;
        if self.policy.read_only {
            self.refuse_upload(path, size, &options, ErrorCode::ReadOnly, now);
        } else if path.is_root() {
            self.refuse_upload(path, size, &options, ErrorCode::IsDirectory, now);
        } else if options.resume.is_some_and(|resume| resume.offset > size) {
            self.refuse_upload(path, size, &options, ErrorCode::BadOffset, now);
        } else {
            self.enter(Phase::Staging { path: path.clone(), size, options }, now);
            let UploadOptions { new, resume, .. } = options;
            self.actions.push_back(Action::Stage { path, size, new, resume });
        }
    }

    fn ask(&mut self, question: Question, now: Instant) {
        self.enter(Phase::Asking(question.clone()), now);
        self.actions.push_back(Action::Ask(question));
    }

    /// As [`Session::ask`], where the folder may be changed at all.
    fn alter(&mut self, mut question: Question, now: Instant) {
        if let Question::Mv { replace, .. } = &mut question {
            *replace &= !self.policy.no_overwrite;
        }
        let refused = if self.policy.read_only { Some(ErrorCode::ReadOnly) } else { refuse_root(&question) };
        match refused {
            Some(code) => self.refuse_question(&question, code, now),
            None => self.ask(question, now),
        }
    }

    pub(crate) fn refuse_question(&mut self, question: &Question, code: ErrorCode, now: Instant) {
        let (verb, path) = verb_and_path(question);
        if let Question::Mv { from, to, .. } = question {
            self.reply(Reply::err(code, format_args!("{code}: {from} to {to}")), now);
            self.log_refusal(Some(verb), code, Some(path));
            self.enter(Phase::Ready, now);
        } else {
            self.refuse(verb, path, code, now);
        }
    }

    fn say_help(&mut self, now: Instant) {
        for &verb in Verb::ALL {
            let text = format_args!("{} - {}", verb.usage(), verb.summary());
            self.reply(Reply::info(Verb::Help.word(), text), now);
        }
        self.reply(Reply::ok(), now);
    }

    /// The version in force is the highest that both ends speak.
    fn say_hello(&mut self, version: Option<u64>, now: Instant) {
        if version == Some(0) {
            self.log_refusal(Some(Verb::Hello), ErrorCode::Version, None);
            return self.reply(Reply::err(ErrorCode::Version, ErrorCode::Version), now);
        }
        let yes_no = if self.policy.read_only { "yes" } else { "no" };
        for (key, value) in [
            ("line-max", LINE_MAX_BYTES.to_string()),
            ("eager-max", EAGER_MAX_BYTES.to_string()),
            ("read-only", yes_no.to_owned()),
        ] {
            self.reply(Reply::info(Verb::Hello.word(), format_args!("{key} {value}")), now);
        }
        self.reply(Reply::ok_with(version.unwrap_or(PROTOCOL_VERSION).min(PROTOCOL_VERSION)), now);
    }
}

/// The served folder itself is there, and stays.
fn refuse_root(question: &Question) -> Option<ErrorCode> {
    match question {
        Question::Mkdir { path } => path.is_root().then_some(ErrorCode::Exists),
        Question::Rm { path } => path.is_root().then_some(ErrorCode::BadPath),
        Question::Mv { from, to, .. } => (from.is_root() || to.is_root()).then_some(ErrorCode::BadPath),
        Question::Stat { .. } | Question::Sum { .. } | Question::Partial { .. } => None,
    }
}

/// The command that a question comes from, and the path that its answer is about.
pub(crate) fn verb_and_path(question: &Question) -> (Verb, RemotePath) {
    match question {
        Question::Stat { path } => (Verb::Stat, path.clone()),
        Question::Sum { path, .. } => (Verb::Sum, path.clone()),
        Question::Partial { path } => (Verb::Partial, path.clone()),
        Question::Mkdir { path } => (Verb::Mkdir, path.clone()),
        Question::Rm { path } => (Verb::Rm, path.clone()),
        Question::Mv { from, .. } => (Verb::Mv, from.clone()),
    }
}
