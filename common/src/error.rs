//! The closed set of errors that a server answers with.

use std::fmt;

/// Declares [`ErrorCode`] with, for each variant, its stable word on the wire and what it says to a person.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $message:literal;)+) => {
        /// Why a command was refused or a transfer failed. The word of each is stable; PROTOCOL.md
        /// lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of PROTOCOL.md.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable word that follows `err`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the code says to a person.
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

error_codes! {
    /// The line is not a sequence of words.
    Syntax = "syntax", "the line cannot be read";
    LineTooLong = "line-too-long", "the line is too long; the connection will be closed";
    UnknownCommand = "unknown-command", "unknown command; try help";
    /// HTTP, TLS, or too many lines in a row that are no command.
    WrongProtocol = "wrong-protocol", "this is not Ferry's protocol; the connection will be closed";
    /// A known command with the wrong arguments.
    Usage = "usage", "wrong arguments";
    /// The peer asked for version 0 of the protocol.
    Version = "version", "no version of the protocol in common";
    /// A name that is never served: absolute, with `..`, with a NUL, too long, or hidden.
    BadPath = "bad-path", "this name cannot be used";
    NotFound = "not-found", "no such file";
    /// The directory that an upload should go to does not exist.
    NoParent = "no-parent", "no such directory to put this file in";
    IsDirectory = "is-directory", "this is a directory";
    NotDirectory = "not-directory", "this is not a directory";
    /// A FIFO, socket or device.
    NotRegular = "not-regular", "this is not a regular file";
    /// A link that leads out of the served folder, or in circles.
    BadLink = "bad-link", "a link in this path leaves the served folder, or is not to be followed";
    Denied = "denied", "permission denied on the server";
    /// A mount point, or something that another program or host holds.
    InUse = "in-use", "this name is in use on the server";
    /// The file system lacks an operation that this needs.
    Unsupported = "unsupported", "the server's file system cannot do this";
    /// Either the server or the file system.
    ReadOnly = "read-only", "the server lets nothing be changed here";
    BadOffset = "bad-offset", "the offset is beyond the end of the file";
    /// The file says that it is empty, and has bytes all the same.
    UnknownSize = "unknown-size", "the size of this file is not known beforehand, so it cannot be sent";
    /// The name is taken, and nothing was to be replaced.
    Exists = "exists", "this name is taken already";
    NotEmpty = "not-empty", "the directory is not empty";
    /// A rename between two file systems.
    CrossDevice = "cross-device", "the two names are on different file systems";
    /// Nothing is kept of this upload, or not what the client has.
    NoPartial = "no-partial", "nothing of this upload is kept that could be resumed";
    /// The bytes that came are not those that were sent.
    Mismatch = "mismatch", "the digest does not match; send the file again";
    NoSpace = "no-space", "no space left on the server";
    /// What the server keeps for itself on that file system cannot be made or used.
    CannotStage = "cannot-stage", "the server cannot take uploads here; its log says why";
    /// The file changed while it was being sent, or a directory was replaced while it was in use.
    Changed = "changed", "this changed on the server meanwhile; try again";
    /// The cause is in the server's log.
    Io = "io", "the server failed to do this; its log says why";
    /// The data connection was closed before the transfer was complete.
    BrokenOff = "broken-off", "the data connection was closed";
    /// The peer moved too little in the time allowed, or did not redeem its ticket.
    TimedOut = "timed-out", "no progress for too long";
    Busy = "busy", "the server is full, or the disk that holds this does not answer; try again later";
    ShuttingDown = "shutting-down", "the server is shutting down";
}

impl ErrorCode {
    /// The code of a stable word.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word().as_bytes() == word)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}
