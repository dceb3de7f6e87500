//! FTP (RFC 959, 1123, 2389, 2428, 3659): commands one way, replies the other.
//!
//! One command is worked on at a time, and the dialect remembers which, to word its answers. What a transfer needs
//! beside its path comes ahead of it, in commands of their own: a way for data, where to begin, how much will come.

mod address;
mod answering;
mod asked;
mod asking;
mod command;
mod inbox;
mod path;
mod reply;
mod settings;
mod telnet;
mod verb;

use super::foreign::ForeignProtocol;
use super::{Answered, Dialect, Heard, Interruption};
use crate::Running;
use crate::action::{Direction, Event};
use crate::answer::Answer;
use crate::entry_format::EntryFormat;
use crate::entry_format::facts::FactSet;
use crate::limits::{FTP_INBOX_MAX_BYTES, FTP_LINE_END_BYTES, FTP_LINE_MAX_BYTES, FTP_LOGIN_LINE_MAX_BYTES};
use asked::Asked;
use command::Parsed;
use ferry_common::error::ErrorCode;
use ferry_common::limits::NO_COMMAND_LINES_MAX;
use ferry_common::path::RemotePath;
use inbox::Inbox;
use path::absolute;
use reply::{first_line, line};
use settings::{help, set_mode, set_structure};
use std::net::{IpAddr, Ipv4Addr};
use verb::{Argument, Verb};

/// Why there is no answer to `PASV`: it tells addresses of IPv4.
const NOT_OVER_V6: &str = "PASV is of no use over IPv6; use EPSV.";

/// What the server's operator decided for FTP.
#[derive(Debug, Clone, Copy)]
pub struct FtpPolicy {
    /// What clients are told to connect to for data, in place of the address that they have connected to.
    pub address: Option<Ipv4Addr>,
    /// No connection is made to a client.
    pub no_active: bool,
    /// Nothing in the folder is changed, and clients that ask are told so.
    pub read_only: bool,
}

/// The client of one session.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub address: IpAddr,
    /// A number that no other session has, for names that are to be free.
    pub seed: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Ftp {
    policy: FtpPolicy,
    client: Client,
    inbox: Inbox,
    login: Login,
    /// Now or before.
    has_logged_in: bool,
    /// Lines in a row, up to the newest, that were no commands.
    lines_not_commands: usize,
    /// The folder that the session is in.
    folder: RemotePath,
    /// `TYPE A`. Files are sent unchanged all the same.
    is_ascii: bool,
    /// What `MLSD` and `MLST` tell.
    facts: FactSet,
    /// `EPSV ALL` was said.
    only_epsv: bool,
    /// A data connection was asked for that no transfer has used up.
    has_offer: bool,
    ahead: Ahead,
    /// What the next command renames, if it is one that does.
    rename_from: Option<RemotePath>,
    /// The client ends the transfer under way.
    is_aborting: bool,
    /// The last transfer was broken off, not by its client, and nothing has been heard since.
    has_broken_off: bool,
    /// The client was told goodbye in the middle of a transfer, which is its last.
    has_said_goodbye: bool,
    /// How many names `STOU` has made.
    unique_names: u64,
    asked: Asked,
    /// A part of the answer was given.
    has_begun: bool,
}

/// What was said ahead of a transfer. A command that neither prepares one nor is one forgets it.
#[derive(Debug, Default)]
struct Ahead {
    /// Where it begins.
    rest: u64,
    /// What an upload has, by its client's word.
    declared_bytes: Option<u64>,
}

/// How far a client has come in logging in. Everybody may, by any name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    NeedsUser,
    NeedsPassword,
    Done,
}

impl Dialect for Ftp {
    fn push(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
    }

    fn next(&mut self) -> Heard {
        if self.has_said_goodbye {
            return last(answered(Verb::Quit, Vec::new()));
        }
        match self.inbox.next_line(self.line_max_bytes()) {
            Ok(Some(line)) => self.hear(&line),
            Ok(None) => match ForeignProtocol::of_beginning(self.inbox.bytes()) {
                Some(protocol) => Heard::Answered(wrong_protocol(protocol.message())),
                None => Heard::Nothing,
            },
            Err(inbox::LineTooLong) => {
                let text = line(500, "The line is too long; closing.");
                Heard::Answered(Answered { is_last: true, ..mistake(ErrorCode::LineTooLong, text) })
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.inbox.bytes().len()
    }

    fn awaits_more(&self) -> bool {
        self.inbox.awaits_end()
    }

    fn clear(&mut self) {
        self.inbox = Inbox::default();
    }

    fn text_of(&mut self, answer: Answer) -> Vec<u8> {
        self.word(answer)
    }

    fn greeting(&self) -> Option<Vec<u8>> {
        Some(line(220, "Ferry is ready."))
    }

    fn hears_meanwhile(&self) -> bool {
        true
    }

    fn has_room(&self) -> bool {
        let max_bytes = match self.login {
            Login::NeedsUser | Login::NeedsPassword => FTP_LOGIN_LINE_MAX_BYTES + FTP_LINE_END_BYTES,
            Login::Done => FTP_INBOX_MAX_BYTES,
        };
        self.held_bytes() < max_bytes
    }

    fn interruption(&mut self, running: Option<Running<'_>>) -> Option<Interruption> {
        // In the midst of a reply, nothing is told.
        let is_replying = matches!(self.asked, Asked::Stat { .. });
        let verbs: &[Verb] = if is_replying { &[Verb::Abor] } else { &[Verb::Abor, Verb::Stat] };
        match self.inbox.take_interruption(verbs) {
            Some(Verb::Abor) => {
                self.is_aborting = true;
                Some(Interruption::Abort(line(226, "ABOR command successful.")))
            }
            Some(_) => Some(Interruption::Told(progress(running))),
            None if is_replying => None,
            None => self.leave_meanwhile().map(Interruption::Told),
        }
    }

    fn has_said_goodbye(&self) -> bool {
        self.has_said_goodbye || self.inbox.has(Verb::Quit)
    }

    fn awaits_login(&self) -> bool {
        !self.has_logged_in
    }
}

impl Ftp {
    pub(super) fn new(policy: FtpPolicy, client: Client) -> Self {
        Self {
            policy,
            client,
            inbox: Inbox::default(),
            login: Login::NeedsUser,
            has_logged_in: false,
            lines_not_commands: 0,
            folder: RemotePath::root(),
            is_ascii: true,
            facts: FactSet::all(!policy.read_only),
            only_epsv: false,
            has_offer: false,
            ahead: Ahead::default(),
            rename_from: None,
            is_aborting: false,
            has_broken_off: false,
            has_said_goodbye: false,
            unique_names: 0,
            asked: Asked::Nothing,
            has_begun: false,
        }
    }

    fn line_max_bytes(&self) -> usize {
        match self.login {
            Login::NeedsUser | Login::NeedsPassword => FTP_LOGIN_LINE_MAX_BYTES,
            Login::Done => FTP_LINE_MAX_BYTES,
        }
    }

    fn hear(&mut self, text: &[u8]) -> Heard {
        let Some(Parsed { verb, argument }) = command::parse(text) else {
            return Heard::Answered(self.refuse_line(text));
        };
        self.lines_not_commands = 0;
        if self.login != Login::Done && !verb.is_for_everybody() {
            return answered(verb, line(530, reply::NEEDS_LOGIN));
        }
        match verb.argument() {
            Argument::None if argument.iter().any(|&byte| byte != b' ') => {
                refused(ErrorCode::Usage, line(501, reply::TAKES_NO_ARGUMENT))
            }
            Argument::Needed if argument.is_empty() => {
                refused(ErrorCode::Usage, line(501, reply::NEEDS_ARGUMENT))
            }
            Argument::None | Argument::Needed | Argument::Optional => self.obey(verb, argument),
        }
    }

    /// Answers a client that logs out or leaves while a transfer runs, which goes on: what it had a right to before must not
    /// wait for that. Where it has logged out, the commands behind are refused at once. None of these replies begins with a
    /// 2: a client that has sent its commands ahead would take that for the good end of its transfer.
    fn leave_meanwhile(&mut self) -> Option<Vec<u8>> {
        let Parsed { verb, .. } = command::parse(self.inbox.front()?)?;
        if self.has_said_goodbye || !self.has_logged_in {
            return None;
        }
        let text = if verb == Verb::Quit {
            self.has_said_goodbye = true;
            line(150, "The session ends once the transfer is over.")
        } else if verb == Verb::Rein {
            self.log_out_meanwhile();
            line(150, "Ready for a new user; the transfer goes on.")
        } else if verb == Verb::User {
            self.log_out_meanwhile();
            self.login = Login::NeedsPassword;
            line(331, "Previous account information was flushed, send password.")
        } else if self.login != Login::Done && !verb.is_for_everybody() {
            line(530, reply::NEEDS_LOGIN)
        } else {
            return None;
        };
        self.inbox.drop_front();
        Some(text)
    }

    /// The transfer is still to be answered.
    fn log_out_meanwhile(&mut self) {
        let (asked, has_begun) = (self.asked.clone(), self.has_begun);
        self.log_out();
        (self.asked, self.has_begun) = (asked, has_begun);
    }

    /// Answers a line that is no command, and hears no more where too many of them came in a row, or where it belongs to
    /// another protocol: a command behind it would be one by chance.
    fn refuse_line(&mut self, text: &[u8]) -> Answered {
        if let Some(protocol) = ForeignProtocol::of_line(text) {
            return wrong_protocol(protocol.message());
        }
        self.lines_not_commands += 1;
        if self.lines_not_commands >= NO_COMMAND_LINES_MAX {
            return wrong_protocol("too many lines in a row are no commands; closing");
        }
        mistake(ErrorCode::UnknownCommand, line(500, reply::NOT_UNDERSTOOD))
    }

    fn obey(&mut self, verb: Verb, argument: &[u8]) -> Heard {
        let rename_from = self.rename_from.take();
        let has_broken_off = std::mem::take(&mut self.has_broken_off);
        self.is_aborting = false;
        let keeps = verb.prepares_transfer();
        let ahead = if keeps { Ahead::default() } else { std::mem::take(&mut self.ahead) };
        match verb {
            Verb::Abor => self.abor(has_broken_off),
            Verb::Acct => answered(verb, line(202, "No account is needed.")),
            Verb::Allo => self.declare(argument),
            Verb::Appe => self.appe(argument, &ahead),
            Verb::Auth | Verb::Pbsz | Verb::Prot => answered(verb, line(502, "TLS is not offered.")),
            Verb::Cdup => self.cwd(b".."),
            Verb::Clnt => answered(verb, line(200, "Noted.")),
            Verb::Cwd => self.cwd(argument),
            Verb::Dele => self.dele(argument),
            Verb::Eprt => self.eprt(argument),
            Verb::Epsv => self.epsv(argument),
            Verb::Feat => self.features(),
            Verb::Help => help(argument),
            Verb::Host => answered(verb, line(220, "Ferry is ready.")),
            Verb::List => self.list_like_ls(verb, argument, EntryFormat::Unix),
            Verb::Mdtm => self.look_at(verb, argument, |_| Asked::Mdtm),
            Verb::Mfmt => self.mfmt(argument),
            Verb::Mkd => self.mkd(argument),
            Verb::Mlsd => self.list(verb, Asked::Mlsd, argument, EntryFormat::Facts(self.facts)),
            Verb::Mlst => self.mlst(argument),
            Verb::Mode => set_mode(argument),
            Verb::Nlst => self.list_like_ls(verb, argument, EntryFormat::Names),
            Verb::Noop => answered(verb, line(200, "Nothing done.")),
            Verb::Opts => self.opts(argument),
            Verb::Pass => self.pass(),
            Verb::Pasv => self.pasv(),
            Verb::Port => self.port(argument),
            Verb::Pwd => self.pwd(),
            Verb::Quit => last(answered(verb, line(221, "Goodbye."))),
            Verb::Rein => self.rein(),
            Verb::Rest => self.set_rest(argument),
            Verb::Retr => self.retr(argument, &ahead),
            Verb::Rmd => self.rmd(argument),
            Verb::Rnfr => self.rnfr(argument),
            Verb::Rnto => self.rnto(rename_from, argument),
            Verb::Site => self.site(argument),
            Verb::Size => self.size(argument),
            Verb::Smnt => answered(verb, line(504, "Nothing is mounted here.")),
            Verb::Stat => self.stat(argument),
            Verb::Stor => self.stor(argument, &ahead),
            Verb::Stou => self.stou(argument, &ahead),
            Verb::Stru => set_structure(argument),
            Verb::Syst => answered(verb, line(215, "UNIX Type: L8")),
            Verb::Type => self.set_type(argument),
            Verb::User => self.user(),
        }
    }
}

/// Answers what the dialect needs no work for.
fn answered(verb: Verb, text: Vec<u8>) -> Heard {
    let event = Event::Received { command: verb.word() };
    Heard::Answered(Answered { text, event, is_mistake: false, payload_bytes: 0, is_last: false })
}

/// Answers a command that cannot be understood.
fn refused(code: ErrorCode, text: Vec<u8>) -> Heard {
    Heard::Answered(mistake(code, text))
}

fn mistake(code: ErrorCode, text: Vec<u8>) -> Answered {
    let event = Event::NotUnderstood { code };
    Answered { text, event, is_mistake: true, payload_bytes: 0, is_last: false }
}

/// Nothing is heard behind it.
fn last(heard: Heard) -> Heard {
    match heard {
        Heard::Answered(answered) => Heard::Answered(Answered { is_last: true, ..answered }),
        heard @ (Heard::Request(_) | Heard::Nothing) => heard,
    }
}

/// The client speaks another protocol: whatever else it sends is not looked at.
fn wrong_protocol(message: &str) -> Answered {
    Answered { is_last: true, ..mistake(ErrorCode::WrongProtocol, line(500, message)) }
}

/// What has moved of the transfer under way.
fn progress(running: Option<Running<'_>>) -> Vec<u8> {
    let Some(Running { direction, path, moved_bytes, size_bytes }) = running else {
        return line(213, "A listing is under way.");
    };
    let moved = match direction {
        Direction::Download => format!("{moved_bytes} of {size_bytes} bytes sent of "),
        Direction::Upload => format!("{moved_bytes} bytes received of "),
    };
    let inner = [b" ", moved.as_bytes(), &absolute(path), b"\r\n"].concat();
    [first_line(213, "Transfer:"), inner, line(213, "End.")].concat()
}
