//! The words of answers.

use super::address::in_numbers;
use super::asked::Asked;
use super::path::absolute;
use super::reply::{first_path_line, line, path_line, reason};
use super::{Ftp, NOT_OVER_V6};
use crate::answer::{Answer, Subject};
use crate::entry_format::date::Date;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_common::wire::entry::{Entry, EntryKind};
use std::net::{IpAddr, SocketAddr};

/// What is said of a file that is not there, by commands that files alone have an answer to.
const NOT_RETRIEVABLE: &str = "This is not retrievable: no such file.";

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
            Answer::Moved { length, digest } => self.moved(length, digest),
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
            self.has_offer = true;
            return line(229, format_args!("Entering extended passive mode (|||{port}|)."));
        }
        let own = match address.ip().to_canonical() {
            IpAddr::V4(own) => Some(own),
            IpAddr::V6(_) => None,
        };
        let Some(told) = self.policy.address.or(own) else { return line(425, NOT_OVER_V6) };
        self.has_offer = true;
        line(227, format_args!("Entering passive mode ({}).", in_numbers(told, port)))
    }

    fn receiving(&mut self) -> Vec<u8> {
        let text = if let Asked::Stou { name, .. } = &self.asked {
            [&b"150 FILE: "[..], name, b"\r\n"].concat()
        } else {
            line(150, "Send the file.")
        };
        self.begun(text)
    }

    fn moved(&self, length: u64, digest: Option<Digest>) -> Vec<u8> {
        let done = if matches!(self.asked, Asked::Retr { .. }) { "Sent" } else { "Stored" };
        let digest = digest.map(|digest| format!(", xxh3-128 {digest}")).unwrap_or_default();
        line(226, format_args!("{done} {length} bytes{digest}."))
    }

    fn listed(&mut self, entries: u64, left_out: u64) -> Vec<u8> {
        let also = match left_out {
            0 => String::new(),
            _ => format!("; left out, since their names have line breaks: {left_out}"),
        };
        let text = format!("Entries listed: {entries}{also}.");
        if matches!(self.asked, Asked::Stat { .. }) {
            // There is a first line even where nothing is listed.
            let first = self.entries(Vec::new());
            [first, line(213, text)].concat()
        } else {
            line(226, text)
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
            (Asked::Size | Asked::Mdtm, EntryKind::Dir) => {
                line(550, "This is not retrievable: is a directory.")
            }
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
            Asked::Active => {
                self.has_offer = true;
                line(200, "Connecting to your port; passive mode passes more firewalls.")
            }
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

    fn refused(&mut self, code: ErrorCode, subject: &Subject) -> Vec<u8> {
        match subject {
            Subject::DataConnection => line(425, format_args!("No data connection: {code}.")),
            Subject::Path(_) | Subject::Rename { .. } | Subject::Sessions
                if self.has_begun && self.asked.is_transfer() =>
            {
                self.has_broken_off = !std::mem::take(&mut self.is_aborting);
                self.broken_off(code)
            }
            // The reply goes to its end with the code that it has begun with.
            Subject::Path(_) if self.has_begun && matches!(self.asked, Asked::Stat { .. }) => {
                line(213, format_args!("The listing is not whole: {}", reason(code)))
            }
            Subject::Path(path) if code == ErrorCode::NotFound && self.lists_pattern(path) => {
                line(550, "Globbing not supported.")
            }
            Subject::Path(_) | Subject::Rename { .. } | Subject::Sessions => self.not_begun(code),
        }
    }

    /// True where a listing of what matches is expected, as some servers have it.
    fn lists_pattern(&self, path: &RemotePath) -> bool {
        let is_listing = matches!(self.asked, Asked::List | Asked::Stat { .. });
        is_listing && path.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
    }

    /// A refusal in place of what was asked for.
    fn not_begun(&self, code: ErrorCode) -> Vec<u8> {
        let asked = &self.asked;
        let is_of_data = matches!(code, ErrorCode::TimedOut | ErrorCode::BrokenOff | ErrorCode::Busy);
        if is_of_data && asked.is_transfer() {
            return line(425, format_args!("No data connection: {code}."));
        }
        if code == ErrorCode::BadPath && asked.makes_name() {
            return line(553, reason(code));
        }
        match (asked, code) {
            (Asked::Mlsd, ErrorCode::NotDirectory) => line(501, reason(code)),
            (Asked::Size | Asked::Mdtm, ErrorCode::NotFound) => line(550, NOT_RETRIEVABLE),
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
            (_, _) => line(refusal(code), reason(code)),
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
