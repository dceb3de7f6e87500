//! Commands that the dialect answers by itself: logging in, what holds for the session, and what can be known of the
//! server.

use super::address::parse_number;
use super::asked::Asked;
use super::command::split_word;
use super::reply::{NEEDS_LOGIN, first_line, inner_line, line, path_line};
use super::verb::Verb;
use super::{Ftp, Login, answered, refused};
use crate::dialect::Heard;
use crate::entry_format::facts::{FactName, FactSet};
use ferry_common::error::ErrorCode;
use ferry_common::limits::FILE_MAX_BYTES;

/// Commands on one line of the help.
const HELP_COLUMNS: usize = 8;

impl Ftp {
    pub(super) fn user(&mut self) -> Heard {
        let text = match self.login {
            Login::NeedsUser | Login::NeedsPassword => "Username ok, send password.",
            Login::Done => "Previous account information was flushed, send password.",
        };
        self.log_out();
        self.login = Login::NeedsPassword;
        answered(Verb::User, line(331, text))
    }

    pub(super) fn pass(&mut self) -> Heard {
        let (code, text) = match self.login {
            Login::NeedsUser => (503, "Login with USER first."),
            Login::NeedsPassword => {
                self.login = Login::Done;
                self.has_logged_in = true;
                (230, "Login successful.")
            }
            Login::Done => (503, "User already authenticated."),
        };
        answered(Verb::Pass, line(code, text))
    }

    /// Everything is as it was at the beginning of the session.
    pub(super) fn log_out(&mut self) {
        let inbox = std::mem::take(&mut self.inbox);
        let Self { unique_names, has_logged_in, .. } = *self;
        *self = Self { inbox, unique_names, has_logged_in, ..Self::new(self.policy, self.client) };
    }

    pub(super) fn pwd(&self) -> Heard {
        answered(Verb::Pwd, path_line(257, &self.folder, " is the current directory."))
    }

    pub(super) fn set_type(&mut self, argument: &[u8]) -> Heard {
        let letters: Vec<u8> =
            argument.iter().filter(|&&byte| byte != b' ').map(u8::to_ascii_uppercase).collect();
        let text = match letters.as_slice() {
            b"A" | b"AN" | b"AT" | b"L7" => {
                self.is_ascii = true;
                "Type set to: ASCII; files are sent unchanged."
            }
            b"I" | b"IN" | b"L8" => {
                self.is_ascii = false;
                "Type set to: Binary."
            }
            _ => return answered(Verb::Type, line(504, "Unsupported type; use A or I.")),
        };
        answered(Verb::Type, line(200, text))
    }

    /// At the beginning of a file there is nothing to count, in whatever type.
    pub(super) fn set_rest(&mut self, argument: &[u8]) -> Heard {
        self.ahead.rest = 0;
        match parse_number(argument).filter(|&bytes: &u64| bytes <= FILE_MAX_BYTES) {
            Some(1..) if self.is_ascii => {
                answered(Verb::Rest, line(501, "Resuming transfers not allowed in ASCII mode."))
            }
            Some(bytes) => {
                self.ahead.rest = bytes;
                answered(Verb::Rest, line(350, format_args!("Restarting at position {bytes}.")))
            }
            None => refused(ErrorCode::Usage, line(501, "Invalid parameter.")),
        }
    }

    /// No client means an empty file by that: those that say 0 do not know the size.
    pub(super) fn declare(&mut self, argument: &[u8]) -> Heard {
        let (number, _) = split_word(argument).unwrap_or((argument, b""));
        self.ahead.declared_bytes = parse_number(number).filter(|&bytes| bytes > 0);
        match self.ahead.declared_bytes {
            Some(bytes) => {
                answered(Verb::Allo, line(200, format_args!("The next upload is whole with {bytes} bytes.")))
            }
            None => answered(Verb::Allo, line(202, "No storage allocation necessary.")),
        }
    }

    pub(super) fn opts(&mut self, argument: &[u8]) -> Heard {
        let (word, options) = split_word(argument).unwrap_or((argument, b""));
        if word.eq_ignore_ascii_case(b"UTF8") {
            return if options.eq_ignore_ascii_case(b"ON") || options.is_empty() {
                answered(Verb::Opts, line(200, "UTF8 is always on."))
            } else {
                refused(ErrorCode::Usage, line(501, "UTF8 is always on."))
            };
        }
        if self.login != Login::Done {
            return answered(Verb::Opts, line(530, NEEDS_LOGIN));
        }
        if !word.eq_ignore_ascii_case(b"MLST") {
            return refused(ErrorCode::Usage, line(501, "Unsupported command."));
        }
        self.choose_facts(options)
    }

    /// RFC 3659, 7.9: facts that there are not are left out.
    fn choose_facts(&mut self, options: &[u8]) -> Heard {
        if options.contains(&b' ') {
            return refused(ErrorCode::Usage, line(501, "Invalid number of arguments."));
        }
        if !options.is_empty() && !options.contains(&b';') {
            return refused(ErrorCode::Usage, line(501, "Invalid argument."));
        }
        let chosen = options.split(|&byte| byte == b';').filter_map(FactName::of_word);
        self.facts = chosen.fold(FactSet::none(!self.policy.read_only), FactSet::with);
        let names = FactName::ALL.into_iter().filter(|&name| self.facts.has(name));
        let names: String = names.map(|name| format!("{};", name.word())).collect();
        answered(Verb::Opts, line(200, format_args!("MLST OPTS {names}")))
    }

    pub(super) fn features(&self) -> Heard {
        let facts = FactName::ALL.into_iter().map(|name| {
            let mark = if self.facts.has(name) { "*" } else { "" };
            format!("{}{mark};", name.word())
        });
        let mlst = format!("MLST {}", facts.collect::<String>());
        let eprt = (!self.policy.no_active).then_some("EPRT");
        let features =
            eprt.into_iter().chain(["EPSV", "MDTM", "MFMT", &mlst, "REST STREAM", "SIZE", "TVFS", "UTF8"]);
        let lines: Vec<u8> = features.flat_map(inner_line).collect();
        answered(Verb::Feat, [first_line(211, "Features:"), lines, line(211, "End.")].concat())
    }

    pub(super) fn site(&mut self, argument: &[u8]) -> Heard {
        let (word, rest) = split_word(argument).unwrap_or((argument, b""));
        if word.eq_ignore_ascii_case(b"HELP") {
            return match rest.to_ascii_uppercase().as_slice() {
                b"" | b"CHMOD" | b"HELP" => answered(Verb::Site, usage(Verb::Site)),
                _ => refused(ErrorCode::Usage, line(501, "Unrecognized SITE command.")),
            };
        }
        if self.login != Login::Done {
            return answered(Verb::Site, line(530, NEEDS_LOGIN));
        }
        if word.eq_ignore_ascii_case(b"CHMOD") {
            return self.chmod(rest);
        }
        refused(ErrorCode::UnknownCommand, line(500, "SITE command not understood."))
    }

    /// How the session stands.
    pub(super) fn status(&self) -> Heard {
        let login = match self.login {
            Login::NeedsUser | Login::NeedsPassword => "Not logged in.",
            Login::Done => "Logged in.",
        };
        let name = if self.is_ascii { "ASCII" } else { "Binary" };
        let lines = [
            first_line(211, "Ferry's status:"),
            inner_line(login),
            inner_line(format_args!("TYPE: {name}; STRU: F; MODE: S.")),
            line(211, "End."),
        ];
        answered(Verb::Stat, lines.concat())
    }

    pub(super) fn stat(&mut self, argument: &[u8]) -> Heard {
        if argument.is_empty() {
            self.status()
        } else if self.login == Login::Done {
            self.stat_path(argument)
        } else {
            answered(Verb::Stat, line(530, NEEDS_LOGIN))
        }
    }

    pub(super) fn mlst(&mut self, path: &[u8]) -> Heard {
        let facts = self.facts;
        self.look_at(Verb::Mlst, path, |path| Asked::Mlst { path, facts })
    }
}

fn usage(verb: Verb) -> Vec<u8> {
    line(214, format_args!("Syntax: {} {}", verb.word(), verb.usage()))
}

pub(super) fn set_structure(argument: &[u8]) -> Heard {
    let (code, text) = match argument.to_ascii_uppercase().as_slice() {
        b"F" => (200, "File transfer structure set to: F."),
        b"P" | b"R" => (504, "Unimplemented STRU type."),
        _ => (501, "Unrecognized STRU type."),
    };
    answered(Verb::Stru, line(code, text))
}

pub(super) fn set_mode(argument: &[u8]) -> Heard {
    let (code, text) = match argument.to_ascii_uppercase().as_slice() {
        b"S" => (200, "Transfer mode set to: S."),
        b"B" | b"C" => (504, "Unimplemented MODE type."),
        _ => (501, "Unrecognized MODE type."),
    };
    answered(Verb::Mode, line(code, text))
}

pub(super) fn help(argument: &[u8]) -> Heard {
    if argument.is_empty() {
        let lines = Verb::ALL.chunks(HELP_COLUMNS).flat_map(|verbs| {
            let words: Vec<&str> = verbs.iter().map(|verb| verb.word()).collect();
            inner_line(words.join(" "))
        });
        let first = first_line(214, "The following commands are recognized:");
        let text = [first, lines.collect(), line(214, "HELP and a command tell how it is used.")].concat();
        return answered(Verb::Help, text);
    }
    // "SITE CHMOD" is asked for like that.
    let (word, _) = split_word(argument).unwrap_or((argument, b""));
    match Verb::of_word(word) {
        Some(verb) => answered(Verb::Help, usage(verb)),
        None => refused(ErrorCode::Usage, line(501, "Unrecognized command.")),
    }
}
