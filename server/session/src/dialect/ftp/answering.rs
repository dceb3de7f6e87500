//! The words of answers.

use super::address::in_numbers;
use super::asked::Asked;
use super::path::absolute;
use super::reply::{first_path_line, line, path_line, reason};
use super::{Ftp, NOT_OVER_V6};
use crate::action::Way;
use crate::answer::{Answer, Subject};
use crate::entry_format::date::Date;
use ferry_common::error::ErrorCode;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::net::{IpAddr, SocketAddr};

/// What is said of a file that is not there, by commands that files alone have an answer to.
const NOT_RETRIEVABLE: &str = "Not retrievable: no such file.";

impl Ftp {
    pub(super) fn word(&mut self, answer: Answer) -> Vec<u8> {
        match answer {
            Answer::Said(text) => text,
            Answer::Entries(text) => self.entries(text),
            Answer::Listening(address) => self.listening(address),
            Answer::SendingListing => self.begun(line(150, "Here comes the listing.")),
            Answer::Sending { length, .. } => {
                self.begun(line(150, format_args!("Sending the file ({length} bytes).")))
            }
            Answer::Receiving { .. } => self.receiving(),
            Answer::Listed { entries, left_out } => self.listed(entries, left_out),
            Answer::Entry(entry) => self.entry(&entry),
            Answer::Done => self.done(),
            Answer::Moved { length, digest } => match digest {
                Some(digest) => line(226, format_args!("Stored {length} bytes, xxh3-128 {digest}.")),
                None => line(226, format_args!("Sent {length} bytes.")),
            },
            Answer::Refused { code, subject } => self.refused(code, &subject),
            Answer::Ending { reason, .. } => line(421, format_args!("{reason}; closing")),
            // A client that is told something before its time takes it for the end of what it waits for.
            Answer::Working | Answer::Received { .. } => Vec::new(),
            // Asked for by no command of this protocol.
            Answer::Offered(_)
            | Answer::Sum { .. }
            | Answer::Partial { .. }
            | Answer::Space { .. }
            | Answer::Surveyed { .. } => Vec::new(),
        }
    }

    /// Something was said of what is asked for that is not its end.
    fn begun(&mut self, text: Vec<u8>) -> Vec<u8> {
        self.has_begun = true;
        text
    }

    fn entries(&mut self, text: Vec<u8>) -> Vec<u8> {
        if let Asked::Stat { path } = &self.asked
            && !self.has_begun
        {
            let first = first_path_line(213, "Status of", path);
            return self.begun([first, text].concat());
        }
        text
    }

    fn listening(&mut self, address: SocketAddr) -> Vec<u8> {
        let port = address.port();
        if self.asked == Asked::Epsv {
            self.way = Some(Way::Passive);
            return line(229, format_args!("Entering extended passive mode (|||{port}|)."));
        }
        let own = match address.ip().to_canonical() {
            IpAddr::V4(own) => Some(own),
            IpAddr::V6(_) => None,
        };
        let Some(told) = self.policy.address.or(own) else { return line(425, NOT_OVER_V6) };
        self.way = Some(Way::Passive);
        line(227, format_args!("Entering passive mode ({}).", in_numbers(told, port)))
    }

    fn receiving(&mut self) -> Vec<u8> {
        let text = if let Asked::Stou { path, .. } = &self.asked {
            [b"150 FILE: ", path.file_name().unwrap_or_default(), b"\r\n"].concat()
        } else {
            line(150, "Send the file.")
        };
        self.begun(text)
    }

    fn listed(&mut self, entries: u64, left_out: u64) -> Vec<u8> {
        let also = match left_out {
            0 => String::new(),
            _ => format!("; left out {left_out} whose names have line breaks"),
        };
        if matches!(self.asked, Asked::Stat { .. }) {
            // There is a first line even where nothing is listed.
            let first = self.entries(Vec::new());
            [first, line(213, format_args!("Listed {entries} entries{also}."))].concat()
        } else {
            line(226, format_args!("Listed {entries} entries{also}."))
        }
    }

    fn entry(&mut self, entry: &Entry) -> Vec<u8> {
        match (std::mem::replace(&mut self.asked, Asked::Nothing), entry.kind) {
            (Asked::Cwd { path }, EntryKind::Dir) => {
                let text = path_line(250, &path, " is the current directory.");
                self.folder = path;
                text
            }
            (Asked::Cwd { .. }, EntryKind::File) => line(550, reason(ErrorCode::NotDirectory)),
            (Asked::Size, EntryKind::File) => line(213, entry.size_bytes),
            (Asked::Mdtm, EntryKind::File) => line(213, Date::of(entry.mtime).stamp()),
            (Asked::Size | Asked::Mdtm, EntryKind::Dir) => line(550, "Not retrievable: is a directory."),
            (Asked::Mlst { path, facts }, _) => {
                let shown = absolute(&path);
                let facts = facts.of(entry).to_string();
                let first = first_path_line(250, "Listing", &path);
                [&first, &b" "[..], facts.as_bytes(), b" ", &shown, b"\r\n250 End.\r\n"].concat()
            }
            (Asked::Rnfr { path }, _) => {
                self.rename_from = Some(path);
                line(350, "Ready for RNTO.")
            }
            (
                Asked::Nothing
                | Asked::Pasv
                | Asked::Epsv
                | Asked::Active
                | Asked::Abor
                | Asked::Rein
                | Asked::Retr { .. }
                | Asked::Stor { .. }
                | Asked::Stou { .. }
                | Asked::List
                | Asked::Mlsd
                | Asked::Stat { .. }
                | Asked::Rnto
                | Asked::Mkd { .. }
                | Asked::Rmd
                | Asked::Dele
                | Asked::Mfmt { .. }
                | Asked::Chmod,
                _,
            ) => Vec::new(),
        }
    }

    fn done(&mut self) -> Vec<u8> {
        match &self.asked {
            Asked::Active => line(200, "Your port is noted; passive mode passes more firewalls."),
            Asked::Abor => line(225, "ABOR command successful; data channel closed."),
            Asked::Rein => line(220, "Ready for a new user."),
            Asked::Rnto => line(250, "Renamed."),
            Asked::Mkd { path } => path_line(257, path, " directory created."),
            Asked::Rmd => line(250, "Directory removed."),
            Asked::Dele => line(250, "File removed."),
            Asked::Mfmt { path, mtime } => {
                let text = format!("213 Modify={}; ", Date::of(*mtime).stamp());
                [text.as_bytes(), &absolute(path), b"\r\n"].concat()
            }
            Asked::Chmod => line(200, "SITE CHMOD: executable or not, as asked."),
            Asked::Nothing
            | Asked::Pasv
            | Asked::Epsv
            | Asked::Retr { .. }
            | Asked::Stor { .. }
            | Asked::Stou { .. }
            | Asked::List
            | Asked::Mlsd
            | Asked::Stat { .. }
            | Asked::Cwd { .. }
            | Asked::Size
            | Asked::Mdtm
            | Asked::Mlst { .. }
            | Asked::Rnfr { .. } => Vec::new(),
        }
    }

    fn refused(&self, code: ErrorCode, subject: &Subject) -> Vec<u8> {
        match subject {
            Subject::DataConnection => line(425, format_args!("No data connection: {code}.")),
            Subject::Path(_) | Subject::Rename { .. } | Subject::Sessions => {
                if self.has_begun && self.asked.is_transfer() {
                    self.broken_off(code)
                } else {
                    self.not_begun(code)
                }
            }
        }
    }

    /// A refusal in place of what was asked for.
    fn not_begun(&self, code: ErrorCode) -> Vec<u8> {
        let is_transfer = self.asked.is_transfer();
        match (&self.asked, code) {
            (Asked::Mlsd, ErrorCode::NotDirectory) => line(501, reason(code)),
            (Asked::Size | Asked::Mdtm, ErrorCode::NotFound | ErrorCode::IsDirectory) => {
                line(550, NOT_RETRIEVABLE)
            }
            (Asked::Rmd, ErrorCode::BadPath) => line(550, "Can't remove root directory."),
            (Asked::Retr { offset }, ErrorCode::BadOffset) => {
                line(554, format_args!("Restart position {offset} > file size."))
            }
            (Asked::Stor { .. }, ErrorCode::NoPartial | ErrorCode::BadOffset) => {
                line(554, "No such file is kept of an upload: nothing of an upload to resume.")
            }
            (Asked::Stor { .. }, ErrorCode::InUse) => {
                line(550, "An upload to this name broke off; send it whole.")
            }
            (Asked::Stou { .. }, ErrorCode::Exists) => line(450, "No usable unique file name; try again."),
            (_, ErrorCode::TimedOut | ErrorCode::BrokenOff | ErrorCode::Busy) if is_transfer => {
                line(425, format_args!("No data connection: {code}."))
            }
            (asked, ErrorCode::BadPath) if asked.makes_name() => line(553, reason(code)),
            _ => line(refusal(code), reason(code)),
        }
    }

    /// The end of a transfer that had begun.
    fn broken_off(&self, code: ErrorCode) -> Vec<u8> {
        if code == ErrorCode::BrokenOff && self.asked.is_declared() {
            return line(426, "The connection broke off, or brought another size than ALLO said.");
        }
        if matches!(code, ErrorCode::BrokenOff | ErrorCode::TimedOut | ErrorCode::Busy) {
            return line(426, format_args!("Transfer broken off: {code}."));
        }
        let is_taken = code == ErrorCode::Exists && matches!(self.asked, Asked::Stou { .. });
        line(if is_taken { 450 } else { refusal(code) }, reason(code))
    }
}

/// The code of a reply for an error, where nothing is special about what was asked for.
fn refusal(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::NotFound
        | ErrorCode::NoParent
        | ErrorCode::BadPath
        | ErrorCode::IsDirectory
        | ErrorCode::NotDirectory
        | ErrorCode::NotRegular
        | ErrorCode::BadLink
        | ErrorCode::Denied
        | ErrorCode::InUse
        | ErrorCode::Unsupported
        | ErrorCode::ReadOnly
        | ErrorCode::UnknownSize
        | ErrorCode::Exists
        | ErrorCode::NotEmpty
        | ErrorCode::CrossDevice => 550,
        ErrorCode::BadOffset | ErrorCode::NoPartial => 554,
        ErrorCode::NoSpace => 452,
        ErrorCode::TimedOut | ErrorCode::Busy => 450,
        ErrorCode::CannotStage
        | ErrorCode::Changed
        | ErrorCode::Io
        | ErrorCode::Mismatch
        | ErrorCode::BrokenOff => 451,
        ErrorCode::ShuttingDown => 421,
        // What Ferry's own protocol is told of lines; no request is refused for these.
        ErrorCode::Syntax
        | ErrorCode::LineTooLong
        | ErrorCode::UnknownCommand
        | ErrorCode::WrongProtocol
        | ErrorCode::Usage
        | ErrorCode::Version => 500,
    }
}
