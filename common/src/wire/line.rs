//! Cuts a byte stream into lines. Owns the bytes of a line that is not complete yet, and no more than
//! that plus what one read brought.

use crate::limits::LINE_MAX_BYTES;
use crate::wire::input_buffer::InputBuffer;
use thiserror::Error;

/// A line grew over [`LINE_MAX_BYTES`]. The stream cannot be trusted any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the line is longer than {LINE_MAX_BYTES} bytes")]
pub struct LineTooLong;

/// Lines end with LF; a CR before it is forgiven. Holds no memory while it holds no bytes.
#[derive(Debug, Default)]
pub struct LineDecoder {
    buffer: InputBuffer,
    /// Where the next line begins in `buffer`.
    start: usize,
    /// Up to where `buffer` is known to hold no LF after `start`.
    scanned: usize,
}

impl LineDecoder {
    /// Takes in what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drop_front(self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.append(bytes);
    }

    /// The next complete line without its ending, or `None` when more bytes are needed.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        let Some(length) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            self.scanned = self.buffer.len();
            if self.partial_bytes() > LINE_MAX_BYTES + 1 {
                return Err(LineTooLong);
            }
            if self.partial_bytes() == 0 {
                *self = Self::default();
            }
            return Ok(None);
        };
        let end = self.scanned + length;
        let line = &self.buffer[self.start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_MAX_BYTES {
            return Err(LineTooLong);
        }
        let line = line.to_vec();
        self.start = end + 1;
        self.scanned = self.start;
        Ok(Some(line))
    }

    /// What is held of lines that were not handed out yet.
    pub fn partial(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The length of [`LineDecoder::partial`].
    pub fn partial_bytes(&self) -> usize {
        self.partial().len()
    }

    /// True where what is held is known to be a line without its end.
    pub fn awaits_end(&self) -> bool {
        self.partial_bytes() > 0 && self.scanned == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(decoder: &mut LineDecoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.next_line().unwrap()).collect()
    }

    #[test]
    fn every_cut_of_the_stream_gives_the_same_lines() {
        let stream = b"ls\r\n\ndownload a\nx\ry\n";
        let whole = vec![b"ls".to_vec(), b"".to_vec(), b"download a".to_vec(), b"x\ry".to_vec()];
        for cut in 0..=stream.len() {
            let mut decoder = LineDecoder::default();
            let mut lines = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                decoder.push(piece);
                lines.extend(lines_of(&mut decoder));
            }
            assert_eq!(lines, whole, "cut at {cut}");
            assert_eq!(decoder.partial_bytes(), 0);
        }
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        for (length, ending, fits) in
            [(LINE_MAX_BYTES, "\n", true), (LINE_MAX_BYTES, "\r\n", true), (LINE_MAX_BYTES + 1, "\n", false)]
        {
            let mut decoder = LineDecoder::default();
            decoder.push(&vec![b'a'; length]);
            decoder.push(ending.as_bytes());
            assert_eq!(decoder.next_line().is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn a_line_without_its_end_is_told_from_lines_that_nobody_has_asked_for() {
        let mut decoder = LineDecoder::default();
        assert!(!decoder.awaits_end());
        decoder.push(b"ls\nstat x\nhal");
        assert!(!decoder.awaits_end());
        lines_of(&mut decoder);
        assert!(decoder.awaits_end());
        decoder.push(b"f\n");
        assert!(!decoder.awaits_end());
        lines_of(&mut decoder);
        assert!(!decoder.awaits_end());
    }

    #[test]
    fn an_endless_line_is_refused_before_it_ends() {
        let mut decoder = LineDecoder::default();
        decoder.push(&vec![b'a'; LINE_MAX_BYTES + 2]);
        assert_eq!(decoder.next_line(), Err(LineTooLong));
    }

    #[test]
    fn holds_no_memory_when_it_holds_no_bytes() {
        let mut decoder = LineDecoder::default();
        decoder.push(b"ls\n");
        lines_of(&mut decoder);
        assert_eq!(decoder.buffer.capacity_bytes(), 0);
    }
}
