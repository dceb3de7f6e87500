//! What a person would see: a small terminal emulator that turns output with its cursor movements into the
//! lines on the screen. It knows the sequences that line editors and progress bars use; others are ignored.
//! Lines never wrap or scroll away.

/// The lines that were ever shown, as they look now.
#[derive(Debug, Default)]
pub struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// What was read of a sequence or a character that is not complete yet.
    pending: Vec<u8>,
}

impl Screen {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let mut input = std::mem::take(&mut self.pending);
        while !input.is_empty() {
            let Some(length) = self.take_one(&input) else {
                self.pending = input;
                return;
            };
            input.drain(..length);
        }
    }

    /// The lines without the spaces at their ends; empty lines at the end are left out.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// The line of the cursor up to the cursor.
    pub fn before_cursor(&self) -> String {
        let line = self.lines.get(self.row).map_or(&[][..], Vec::as_slice);
        let mut text: String = line.iter().take(self.column).collect();
        (text.chars().count()..self.column).for_each(|_| text.push(' '));
        text
    }

    /// Interprets one character or sequence, and gives its length; `None` where more bytes are needed.
    fn take_one(&mut self, input: &[u8]) -> Option<usize> {
        match input[0] {
            b'\r' => self.column = 0,
            b'\n' => self.row += 1,
            8 => self.column = self.column.saturating_sub(1),
            0x1b => return self.take_escape(input),
            0..0x20 | 0x7f => {}
            0x20..0x7f => self.put(char::from(input[0])),
            0x80.. => {
                let length = match input[0] {
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    0xf0.. => 4,
                    _ => 1,
                };
                let text = String::from_utf8_lossy(input.get(..length)?).into_owned();
                text.chars().for_each(|character| self.put(character));
                return Some(length);
            }
        }
        Some(1)
    }

    fn take_escape(&mut self, input: &[u8]) -> Option<usize> {
        match input.get(1)? {
            b'[' => {
                let end = input[2..].iter().position(|byte| (0x40..0x7f).contains(byte))? + 2;
                let parameters = String::from_utf8_lossy(&input[2..end]).into_owned();
                self.control(input[end], &parameters);
                Some(end + 1)
            }
            b']' => input.iter().position(|&byte| byte == 7).map(|end| end + 1),
            _ => Some(2),
        }
    }

    fn control(&mut self, action: u8, parameters: &str) {
        let number = parameters.split(';').next().and_then(|text| text.parse().ok());
        let count: usize = number.unwrap_or(1).max(1);
        match action {
            b'A' => self.row = self.row.saturating_sub(count),
            b'B' => self.row += count,
            b'C' => self.column += count,
            b'D' => self.column = self.column.saturating_sub(count),
            b'G' => self.column = count - 1,
            b'K' => self.erase_in_line(number.unwrap_or(0)),
            b'J' => {
                self.erase_in_line(0);
                self.lines.truncate(self.row + 1);
            }
            _ => {}
        }
    }

    fn erase_in_line(&mut self, mode: usize) {
        let column = self.column;
        let line = self.line();
        match mode {
            0 => line.truncate(column),
            1 => line.iter_mut().take(column + 1).for_each(|character| *character = ' '),
            _ => line.clear(),
        }
    }

    fn put(&mut self, character: char) {
        let column = self.column;
        let line = self.line();
        if line.len() <= column {
            line.resize(column + 1, ' ');
        }
        line[column] = character;
        self.column += 1;
    }

    fn line(&mut self) -> &mut Vec<char> {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, Vec::new());
        }
        &mut self.lines[self.row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &str) -> Vec<String> {
        let mut whole = Screen::default();
        whole.feed(output.as_bytes());
        let mut cut = Screen::default();
        output.as_bytes().iter().for_each(|&byte| cut.feed(&[byte]));
        assert_eq!(whole.lines(), cut.lines());
        whole.lines()
    }

    #[test]
    fn a_redrawn_line_is_one_line() {
        assert_eq!(lines("abc\r\x1b[Kde\r\nf"), ["de", "f"]);
        assert_eq!(lines("10%\r\x1b[2K100%\r\n"), ["100%"]);
        assert_eq!(lines("> l\r> ls\x1b[2D\x1b[1mx\x1b[0m"), ["> xs"]);
        assert_eq!(lines("one\r\ntwo\x1b[1A\r\x1b[JONE"), ["ONE"]);
        assert_eq!(lines("\x1b[?2004hé\x08e"), ["e"]);
    }
}
