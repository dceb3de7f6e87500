//! Lines at the end of standard error that can be taken off the terminal again.

use crate::terminal::layout::width;
use crate::terminal::screen;
use std::io::{self, Write as _};

/// The widths of the lines on the screen; the cursor is behind the last of them.
#[derive(Debug, Default)]
pub(crate) struct Drawn(Vec<usize>);

impl Drawn {
    /// Draws these lines in place of those that are there.
    pub(crate) fn replace(&mut self, lines: &[String]) {
        let (columns, _) = screen::size_of(io::stderr());
        write(&(erasure(&self.0, columns) + &lines.join("\n")));
        self.0 = lines.iter().map(|line| width(line)).collect();
    }

    pub(crate) fn erase(&mut self) {
        if !self.0.is_empty() {
            write(&erasure(&self.0, screen::size_of(io::stderr()).0));
            self.0.clear();
        }
    }
}

/// All at once, so that nothing flickers. Where standard error is gone, there is nothing to see.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// What takes lines of these widths off a terminal of so many columns. One that has become narrower since they were drawn has
/// broken them into several.
fn erasure(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
    match rows {
        0 => String::new(),
        1 => "\r\x1b[J".to_owned(),
        _ => format!("\r\x1b[{}A\x1b[J", rows - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_erased_also_where_the_terminal_has_broken_its_lines() {
        assert_eq!(erasure(&[], 80), "");
        assert_eq!(erasure(&[0], 80), "\r\x1b[J");
        assert_eq!(erasure(&[79, 79, 20], 80), "\r\x1b[2A\x1b[J");
        assert_eq!(erasure(&[79, 79, 20], 40), "\r\x1b[4A\x1b[J");
    }
}
