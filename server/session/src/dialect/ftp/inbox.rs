//! What has come of a client and is not worked on yet: whole lines, and the beginning of another.

use super::command::{self, Parsed};
use super::telnet::TelnetFilter;
use super::verb::Verb;
use crate::limits::FTP_LINE_END_BYTES;
use std::fmt;
use std::ops::Range;

/// See the module's documentation. Holds no memory while it holds no bytes.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    telnet: TelnetFilter,
    /// Where the next line begins; what is before it leaves when more comes.
    start: usize,
    /// Lines whose end has come.
    whole_lines: usize,
    /// Up to where nothing is that interrupts; at the beginning of a line.
    looked_at: usize,
}

/// A line is longer than it may be. The stream cannot be trusted any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineTooLong;

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.looked_at = self.looked_at.saturating_sub(self.start);
        self.start = 0;
        let before = self.bytes.len();
        self.telnet.pass(bytes, &mut self.bytes);
        self.whole_lines += self.bytes[before..].iter().filter(|&&byte| byte == b'\n').count();
    }

    /// The next whole line without its end, or `None` before that has come.
    pub(super) fn next_line(&mut self, max_bytes: usize) -> Result<Option<Vec<u8>>, LineTooLong> {
        if self.whole_lines == 0 {
            let is_too_long = self.bytes().len() >= max_bytes + FTP_LINE_END_BYTES;
            return if is_too_long { Err(LineTooLong) } else { Ok(None) };
        }
        let place = self.line_at(self.start);
        let line = without_end(&self.bytes[place.clone()]).to_vec();
        if line.len() > max_bytes {
            return Err(LineTooLong);
        }
        self.take_out(place);
        Ok(Some(line))
    }

    /// The next whole line without its end, which stays.
    pub(super) fn front(&self) -> Option<&[u8]> {
        (self.whole_lines > 0).then(|| without_end(&self.bytes[self.line_at(self.start)]))
    }

    pub(super) fn drop_front(&mut self) {
        if self.whole_lines > 0 {
            self.take_out(self.line_at(self.start));
        }
    }

    /// Takes out the first line with one of these commands, which are heard before their turn.
    pub(super) fn take_interruption(&mut self, verbs: &[Verb]) -> Option<Verb> {
        self.looked_at = self.looked_at.max(self.start);
        loop {
            let line = self.line_at(self.looked_at);
            if !self.bytes[line.clone()].ends_with(b"\n") {
                return None;
            }
            let parsed = command::parse(without_end(&self.bytes[line.clone()]));
            if let Some(Parsed { verb, argument: b"" }) = parsed
                && verbs.contains(&verb)
            {
                self.take_out(line);
                return Some(verb);
            }
            self.looked_at = line.end;
        }
    }

    /// True where a whole line has this command.
    pub(super) fn has(&self, verb: Verb) -> bool {
        let whole_lines = self.bytes().split_inclusive(|&byte| byte == b'\n').take(self.whole_lines);
        whole_lines.filter_map(|line| command::parse(without_end(line))).any(|parsed| parsed.verb == verb)
    }

    /// All that is held.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// True where what is held is known to be a line without its end.
    pub(super) fn awaits_end(&self) -> bool {
        !self.bytes().is_empty() && self.whole_lines == 0
    }

    /// The line that begins here, with its end as far as that has come.
    fn line_at(&self, start: usize) -> Range<usize> {
        let length = self.bytes[start..].iter().position(|&byte| byte == b'\n');
        start..length.map_or(self.bytes.len(), |length| start + length + 1)
    }

    /// A whole line leaves. What is behind one in the midst moves up.
    fn take_out(&mut self, line: Range<usize>) {
        self.whole_lines -= 1;
        if line.start == self.start {
            self.start = line.end;
        } else {
            self.bytes.drain(line);
        }
        if self.start == self.bytes.len() {
            self.bytes = Vec::new();
            (self.start, self.looked_at) = (0, 0);
        }
    }
}

/// Passwords are among what is held.
impl fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, telnet, start, whole_lines, looked_at } = self;
        formatter
            .debug_struct("Inbox")
            .field("bytes", &bytes.len())
            .field("telnet", telnet)
            .field("start", start)
            .field("whole_lines", whole_lines)
            .field("looked_at", looked_at)
            .finish()
    }
}

/// A LF, and a CR before it.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
