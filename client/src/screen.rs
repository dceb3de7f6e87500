//! The two streams that a person or a script sees: results on standard output, messages on standard
//! error. Never panics when they are closed; never passes a control character of somebody else on.

use crate::failure::Failure;
use crate::limits::MESSAGE_MAX_CHARS;
use std::io::{self, BufWriter, Stdout, Write};

/// A line for the person at the terminal. Text of others in it must have been escaped.
pub(crate) fn message(text: &str) {
    // Where standard error is gone there is nobody to tell about it.
    let _ = writeln!(io::stderr().lock(), "{}", clip(text));
}

pub(crate) fn failure(failure: &Failure) {
    if !failure.is_silent() {
        message(&failure.to_string());
    }
}

/// Lines of results, buffered: call [`Results::finish`].
pub(crate) struct Results(BufWriter<Stdout>);

impl Results {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(Failure::Output)
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::Output)
    }
}

/// A server may send long messages, and each byte of them may have become an escape of four characters.
fn clip(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_MAX_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_clipped_between_characters() {
        assert_eq!(clip("short"), "short");
        let long = "ü".repeat(MESSAGE_MAX_CHARS + 1);
        assert_eq!(clip(&long), format!("{}...", "ü".repeat(MESSAGE_MAX_CHARS)));
    }
}
