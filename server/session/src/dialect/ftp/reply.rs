//! Replies: a code of three digits and a text for people. Paths in them are bytes.

use super::path::quoted;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use std::fmt::Display;

pub(super) const NEEDS_ARGUMENT: &str = "Syntax error: command needs an argument.";
pub(super) const TAKES_NO_ARGUMENT: &str = "Syntax error: command does not accept arguments.";
pub(super) const NOT_UNDERSTOOD: &str = "Command not understood.";
pub(super) const NEEDS_LOGIN: &str = "Log in with USER and PASS first.";
pub(super) const NEEDS_WAY: &str = "No data connection: use PASV, EPSV, PORT or EPRT first.";

pub(super) fn line(code: u16, text: impl Display) -> Vec<u8> {
    format!("{code} {text}\r\n").into_bytes()
}

/// With a path in quotes before the text.
pub(super) fn path_line(code: u16, path: &RemotePath, text: &str) -> Vec<u8> {
    [format!("{code} ").as_bytes(), &quoted(path), text.as_bytes(), b"\r\n"].concat()
}

/// The first line of a reply of several.
pub(super) fn first_line(code: u16, text: impl Display) -> Vec<u8> {
    format!("{code}-{text}\r\n").into_bytes()
}

/// As [`first_line`], with a path in quotes behind the text.
pub(super) fn first_path_line(code: u16, text: &str, path: &RemotePath) -> Vec<u8> {
    [format!("{code}-{text} ").as_bytes(), &quoted(path), b":\r\n"].concat()
}

/// A line in the middle of a reply: no code, so a space, which no reply begins with.
pub(super) fn inner_line(text: impl Display) -> Vec<u8> {
    format!(" {text}\r\n").into_bytes()
}

/// What is said of an error, in the words that clients know where there are such.
pub(super) fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound | ErrorCode::NoParent => "No such file or directory.",
        ErrorCode::NotDirectory => "Not a directory.",
        ErrorCode::IsDirectory => "Is a directory.",
        ErrorCode::Exists => "File exists.",
        ErrorCode::NotEmpty => "Directory not empty.",
        ErrorCode::Denied => "Permission denied.",
        ErrorCode::NoSpace => "No space left on the server.",
        ErrorCode::BadPath => "This name cannot be used.",
        ErrorCode::Syntax
        | ErrorCode::LineTooLong
        | ErrorCode::UnknownCommand
        | ErrorCode::WrongProtocol
        | ErrorCode::Usage
        | ErrorCode::Version
        | ErrorCode::NotRegular
        | ErrorCode::BadLink
        | ErrorCode::InUse
        | ErrorCode::Unsupported
        | ErrorCode::ReadOnly
        | ErrorCode::BadOffset
        | ErrorCode::UnknownSize
        | ErrorCode::CrossDevice
        | ErrorCode::NoPartial
        | ErrorCode::Mismatch
        | ErrorCode::CannotStage
        | ErrorCode::Changed
        | ErrorCode::Io
        | ErrorCode::BrokenOff
        | ErrorCode::TimedOut
        | ErrorCode::Busy
        | ErrorCode::ShuttingDown => code.message(),
    }
}
