//! What is asked of the work, command by command.

use super::address::{BadAddress, Family, admitted_port, parse_eprt, parse_number, parse_port};
use super::asked::Asked;
use super::command::{split_word, without_options};
use super::path::resolve;
use super::reply::{NEEDS_WAY, line, reason};
use super::verb::Verb;
use super::{Ahead, Ftp, NOT_OVER_V6, answered, refused};
use crate::action::{Beginning, Change, Length, Query, Removable, Way};
use crate::dialect::Heard;
use crate::entry_format::EntryFormat;
use crate::entry_format::date::parse_stamp;
use crate::request::{DownloadSpec, Request, UploadSpec, Via};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Conditions;
use std::net::SocketAddr;

/// What the names of `STOU` begin with, where the client does not say.
const UNIQUE_NAME: &[u8] = b"ftpd";

/// The bit of a mode by which the owner may execute a file.
const OWNER_EXECUTES: u32 = 0o100;

impl Ftp {
    fn ask(&mut self, asked: Asked, request: Request) -> Heard {
        self.asked = asked;
        self.has_begun = false;
        Heard::Request(request)
    }

    /// Asks about what a path leads to, or says that it cannot be used. Names that are to be made have a code of their own.
    fn ask_at(&mut self, verb: Verb, path: &[u8], ask: impl FnOnce(RemotePath) -> (Asked, Request)) -> Heard {
        match resolve(&self.folder, path) {
            Ok(path) => {
                let (asked, request) = ask(path);
                self.ask(asked, request)
            }
            Err(code) => {
                let makes_name =
                    matches!(verb, Verb::Stor | Verb::Appe | Verb::Stou | Verb::Mkd | Verb::Rnto);
                refused(code, line(if makes_name { 553 } else { 550 }, reason(code)))
            }
        }
    }

    pub(super) fn pasv(&mut self) -> Heard {
        if self.only_epsv {
            return answered(Verb::Pasv, line(501, "PASV not allowed after EPSV ALL."));
        }
        match Family::of(self.client.address) {
            Family::V6 => answered(Verb::Pasv, line(425, NOT_OVER_V6)),
            Family::V4 => self.offer(Asked::Pasv, Way::Passive),
        }
    }

    pub(super) fn epsv(&mut self, argument: &[u8]) -> Heard {
        let own = Family::of(self.client.address).number();
        if argument.eq_ignore_ascii_case(b"ALL") {
            self.only_epsv = true;
            return answered(Verb::Epsv, line(200, "Other commands than EPSV are refused from now on."));
        }
        match parse_number::<u32>(argument) {
            _ if argument.is_empty() => self.offer(Asked::Epsv, Way::Passive),
            Some(number) if number == u32::from(own) => self.offer(Asked::Epsv, Way::Passive),
            Some(_) => answered(Verb::Epsv, wrong_family(own)),
            None => refused(ErrorCode::Usage, line(501, "Unknown argument to EPSV.")),
        }
    }

    fn offer(&mut self, asked: Asked, way: Way) -> Heard {
        self.has_offer = false;
        self.ask(asked, Request::Offer { way })
    }

    pub(super) fn port(&mut self, argument: &[u8]) -> Heard {
        self.active(Verb::Port, parse_port(argument))
    }

    pub(super) fn eprt(&mut self, argument: &[u8]) -> Heard {
        self.active(Verb::Eprt, parse_eprt(argument, Family::of(self.client.address)))
    }

    fn active(&mut self, verb: Verb, told: Result<SocketAddr, BadAddress>) -> Heard {
        let (word, client) = (verb.word(), self.client.address);
        if self.only_epsv {
            return answered(verb, line(501, format_args!("{word} not allowed after EPSV ALL.")));
        }
        if self.policy.no_active {
            return answered(verb, line(502, "This server connects to nobody; use PASV or EPSV."));
        }
        match told.and_then(|told| admitted_port(told, client)) {
            Ok(port) => self.offer(Asked::Active, Way::Active { port }),
            Err(BadAddress::Form) => {
                refused(ErrorCode::Usage, line(501, format_args!("Invalid {word} format.")))
            }
            Err(BadAddress::Family) => answered(verb, wrong_family(Family::of(client).number())),
            Err(BadAddress::Foreign) => {
                answered(verb, line(501, "No data connection is made to a foreign address."))
            }
            Err(BadAddress::Privileged) => {
                answered(verb, line(501, "No data connection is made to a privileged port."))
            }
        }
    }

    /// Nothing is under way: a transfer would have been broken off by this already.
    pub(super) fn abor(&mut self, has_broken_off: bool) -> Heard {
        if has_broken_off {
            // The client could not know.
            answered(Verb::Abor, line(226, "ABOR command successful; the transfer was broken off before."))
        } else if std::mem::take(&mut self.has_offer) {
            self.ask(Asked::Abor, Request::DropOffer)
        } else {
            answered(Verb::Abor, line(225, "No transfer to abort."))
        }
    }

    pub(super) fn rein(&mut self) -> Heard {
        self.log_out();
        self.ask(Asked::Rein, Request::DropOffer)
    }

    pub(super) fn retr(&mut self, path: &[u8], ahead: &Ahead) -> Heard {
        // Whether there is anything to be sent is found out first; the work knows whether there is a way for it.
        self.has_offer = false;
        let offset = ahead.rest;
        let spec = DownloadSpec { offset, digest: false, until_close: true, via: Via::Ahead };
        self.ask_at(Verb::Retr, path, |path| (Asked::Retr { offset }, Request::Download { path, spec }))
    }

    pub(super) fn list(&mut self, verb: Verb, asked: Asked, path: &[u8], format: EntryFormat) -> Heard {
        self.has_offer = false;
        let via = Some(Via::Ahead);
        self.ask_at(verb, path, |path| (asked, Request::List { path, format, via }))
    }

    pub(super) fn list_like_ls(&mut self, verb: Verb, argument: &[u8], format: EntryFormat) -> Heard {
        self.list(verb, Asked::List, without_options(argument), format)
    }

    pub(super) fn stor(&mut self, path: &[u8], ahead: &Ahead) -> Heard {
        let beginning = match ahead.rest {
            0 => Beginning::Empty,
            offset => Beginning::Unconfirmed { offset },
        };
        self.upload(Verb::Stor, path, beginning, ahead)
    }

    pub(super) fn appe(&mut self, path: &[u8], ahead: &Ahead) -> Heard {
        if ahead.rest > 0 {
            return answered(Verb::Appe, line(450, "Can't APPE while REST request is pending."));
        }
        self.upload(Verb::Appe, path, Beginning::Published, ahead)
    }

    pub(super) fn stou(&mut self, path: &[u8], ahead: &Ahead) -> Heard {
        if ahead.rest > 0 {
            return answered(Verb::Stou, line(450, "Can't STOU while REST request is pending."));
        }
        self.unique_names += 1;
        let prefix = if path.is_empty() { UNIQUE_NAME } else { path };
        let number = format!(".{:x}-{}", self.client.seed, self.unique_names);
        let name = [prefix, number.as_bytes()].concat();
        self.upload(Verb::Stou, &name, Beginning::Empty, ahead)
    }

    /// Nothing of an earlier data connection may be taken for the file: the way must be one that no transfer has used, come
    /// about or not.
    fn upload(&mut self, verb: Verb, name: &[u8], beginning: Beginning, ahead: &Ahead) -> Heard {
        let Ahead { declared_bytes, .. } = *ahead;
        let new = verb == Verb::Stou;
        if !std::mem::take(&mut self.has_offer) {
            return answered(verb, line(425, NEEDS_WAY));
        }
        let spec = UploadSpec {
            size: Length::UntilClose,
            is_eager: false,
            has_trailer: false,
            new,
            conditions: Conditions::NONE,
            mtime: None,
            executable: None,
            beginning,
            via: Via::Ahead,
            declared_bytes,
            needs_client: true,
        };
        let is_declared = declared_bytes.is_some();
        self.ask_at(verb, name, |path| {
            let asked = if new {
                Asked::Stou { name: name.to_vec(), is_declared }
            } else {
                Asked::Stor { is_declared }
            };
            (asked, Request::Upload { path, spec })
        })
    }

    /// Asks what there is at a path.
    pub(super) fn look_at(
        &mut self,
        verb: Verb,
        path: &[u8],
        asked: impl FnOnce(RemotePath) -> Asked,
    ) -> Heard {
        self.ask_at(verb, path, |path| (asked(path.clone()), Request::Query(Query::Stat { path })))
    }

    pub(super) fn cwd(&mut self, path: &[u8]) -> Heard {
        let path = if path.is_empty() { b"/" } else { path };
        self.look_at(Verb::Cwd, path, |path| Asked::Cwd { path })
    }

    pub(super) fn size(&mut self, path: &[u8]) -> Heard {
        if self.is_ascii {
            return answered(Verb::Size, line(550, "SIZE not allowed in ASCII mode."));
        }
        self.look_at(Verb::Size, path, |_| Asked::Size)
    }

    pub(super) fn rnfr(&mut self, path: &[u8]) -> Heard {
        match resolve(&self.folder, path) {
            Ok(path) if path.is_root() => {
                refused(ErrorCode::BadPath, line(550, "Can't rename home directory."))
            }
            _ => self.look_at(Verb::Rnfr, path, |path| Asked::Rnfr { path }),
        }
    }

    pub(super) fn rnto(&mut self, from: Option<RemotePath>, path: &[u8]) -> Heard {
        let Some(from) = from else {
            return answered(Verb::Rnto, line(503, "Bad sequence of commands: use RNFR first."));
        };
        self.ask_at(Verb::Rnto, path, |to| {
            (Asked::Rnto, Request::Change(Change::Mv { from, to, replace: true }))
        })
    }

    pub(super) fn mkd(&mut self, path: &[u8]) -> Heard {
        self.ask_at(Verb::Mkd, path, |path| {
            (Asked::Mkd { path: path.clone() }, Request::Change(Change::Mkdir { path, follow: None }))
        })
    }

    pub(super) fn rmd(&mut self, path: &[u8]) -> Heard {
        let (what, conditions) = (Removable::Directory, Conditions::NONE);
        self.ask_at(Verb::Rmd, path, |path| {
            (Asked::Rmd, Request::Change(Change::Rm { path, what, conditions }))
        })
    }

    pub(super) fn dele(&mut self, path: &[u8]) -> Heard {
        let (what, conditions) = (Removable::File, Conditions::NONE);
        self.ask_at(Verb::Dele, path, |path| {
            (Asked::Dele, Request::Change(Change::Rm { path, what, conditions }))
        })
    }

    pub(super) fn mfmt(&mut self, argument: &[u8]) -> Heard {
        let Some((stamp, path)) = split_word(argument).filter(|(_, path)| !path.is_empty()) else {
            return refused(ErrorCode::Usage, line(501, "Syntax error: MFMT needs a time and a path."));
        };
        let Some(mtime) = parse_stamp(stamp) else {
            return refused(ErrorCode::Usage, line(501, "Invalid time format; YYYYMMDDHHMMSS is expected."));
        };
        self.ask_at(Verb::Mfmt, path, |path| {
            (Asked::Mfmt { path: path.clone(), mtime }, Request::Change(Change::Mtime { path, mtime }))
        })
    }

    pub(super) fn chmod(&mut self, argument: &[u8]) -> Heard {
        if argument.is_empty() {
            return refused(ErrorCode::Usage, line(501, super::reply::NEEDS_ARGUMENT));
        }
        let Some((mode, path)) = split_word(argument).filter(|(_, path)| !path.is_empty()) else {
            return refused(ErrorCode::Usage, line(501, "Syntax error: SITE CHMOD needs two arguments."));
        };
        let Some(mode) = parse_mode(mode) else {
            return refused(ErrorCode::Usage, line(501, "Invalid SITE CHMOD format."));
        };
        let executable = mode & OWNER_EXECUTES != 0;
        self.ask_at(Verb::Site, path, |path| {
            (Asked::Chmod, Request::Change(Change::Chmod { path, executable }))
        })
    }

    pub(super) fn stat_path(&mut self, path: &[u8]) -> Heard {
        self.ask_at(Verb::Stat, path, |path| {
            let asked = Asked::Stat { path: path.clone() };
            (asked, Request::List { path, format: EntryFormat::Unix, via: None })
        })
    }
}

/// Three or four octal digits.
fn parse_mode(text: &[u8]) -> Option<u32> {
    let is_mode = matches!(text.len(), 3 | 4) && text.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    is_mode.then(|| text.iter().fold(0, |mode, digit| mode * 8 + u32::from(digit - b'0')))
}

fn wrong_family(own: u8) -> Vec<u8> {
    line(522, format_args!("Network protocol not supported (use {own})."))
}
