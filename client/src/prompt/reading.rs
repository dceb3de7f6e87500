//! `cat` and `more`: the content of files on the server, shown and not kept. What a terminal would obey is escaped.

use crate::failure::{Failure, describe};
use crate::limits::SHOWN_LINE_MAX_BYTES;
use crate::prompt::context::Context;
use crate::prompt::input::PromptCommand;
use crate::prompt::pattern::expand_remote;
use crate::prompt::remote;
use crate::session::Session;
use ferry_common::wire::words;
use std::env;
use std::io::{self, IsTerminal, Seek, Write};
use std::process::Command;

/// Writes files to standard output: byte for byte, unless that is a terminal.
pub(crate) fn cat(session: &mut Session, context: &Context, command: &PromptCommand) -> Result<(), Failure> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return copy(session, context, command, &mut stdout.lock());
    }
    let mut shown = Harmless::new(stdout.lock());
    let copied = copy(session, context, command, &mut shown);
    copied.and(shown.end().map_err(Failure::Output))
}

/// Shows files in the pager. They are fetched first: a pager reads as slowly as a person does.
pub(crate) fn more(session: &mut Session, context: &Context, command: &PromptCommand) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return cat(session, context, command);
    }
    let cannot =
        |error: io::Error| Failure::Local(format!("Cannot show it in a pager: {}", describe(&error)));
    let file = tempfile::tempfile().map_err(cannot)?;
    let mut shown = Harmless::new(&file);
    copy(session, context, command, &mut shown)?;
    shown.end().map_err(cannot)?;
    (&file).rewind().map_err(cannot)?;
    let pager = env::var_os("PAGER").filter(|pager| !pager.is_empty()).unwrap_or_else(|| "less".into());
    let status = Command::new("/bin/sh").arg("-c").arg(&pager).stdin(file).status().map_err(cannot)?;
    match status.code() {
        Some(126 | 127) => Err(Failure::Local(format!(
            "There is no pager {}; PAGER names another one",
            words::display(pager.as_encoded_bytes())
        ))),
        Some(_) | None => Ok(()),
    }
}

fn copy(
    session: &mut Session,
    context: &Context,
    command: &PromptCommand,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for name in &command.names {
        for found in expand_remote(session, &context.place, name)? {
            remote::read(session, &found.path, context.transfer.verify, out)?;
        }
    }
    out.flush().map_err(Failure::Output)
}

/// Passes lines on with what is not printable in them escaped, but for tabs.
struct Harmless<W: Write> {
    out: io::BufWriter<W>,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// Some of it was passed on already.
    is_begun: bool,
}

impl<W: Write> Harmless<W> {
    fn new(out: W) -> Self {
        Self { out: io::BufWriter::new(out), line: Vec::new(), is_begun: false }
    }

    /// A last line without its end gets one, so that the prompt does not stand behind it.
    fn end(mut self) -> io::Result<()> {
        if self.is_begun || !self.line.is_empty() {
            self.end_line()?;
        }
        self.out.flush()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.pass_line()?;
        self.is_begun = false;
        self.out.write_all(b"\n")
    }

    fn pass_line(&mut self) -> io::Result<()> {
        for (at, part) in self.line.split(|&byte| byte == b'\t').enumerate() {
            if at > 0 {
                self.out.write_all(b"\t")?;
            }
            self.out.write_all(words::escape_text(part).as_bytes())?;
        }
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte == b'\n' {
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                self.end_line()?;
            } else {
                self.line.push(byte);
                if self.line.len() >= SHOWN_LINE_MAX_BYTES {
                    self.pass_line()?;
                    self.is_begun = true;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut harmless = Harmless::new(&mut out);
        parts.iter().for_each(|part| harmless.write_all(part).unwrap());
        harmless.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown(&[b"a\tb\r\n", b"\x1b[2J\xff\n"]), "a\tb\n\\x1b[2J\\xff\n");
        assert_eq!(shown(&[b"gr\xc3", b"\xbcn"]), "grün\n");
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[&vec![b'a'; 3 * SHOWN_LINE_MAX_BYTES]]).len(), 3 * SHOWN_LINE_MAX_BYTES + 1);
    }
}
